//! Checkpoint files: only those that can be used count, and old ones go only when the new one is named.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{append, entry, open, settings, vote};
use crate::checkpoint::Checkpoint;
use crate::checkpoint_files::checkpoint_name;
use crate::disk_trait::{Disk, DiskErrorKind};
use crate::ids::{GroupId, Index, Term};
use crate::log::Log;
use crate::recover::{Finding, Outcome};
use crate::testing::{Collector, FaultDisk, Survival};

const SEGMENT_BYTES: u32 = 64 * 1024;

fn checkpoint(log: &mut Log<FaultDisk>, index: u64) {
    log.write_checkpoint(GroupId(1), Index(index), Term(1), b"state")
        .expect("the disk works");
}

fn name(index: u64) -> String {
    checkpoint_name(GroupId(1), Index(index))
}

fn names(disk: &FaultDisk) -> Vec<String> {
    let all = disk.names().into_iter();
    all.filter(|name| name.starts_with("checkpoint/")).collect()
}

/// A log of four entries with checkpoints at 1 and 2.
fn two_generations() -> FaultDisk {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    log.submit(vote(1, 1, 1, 1, 0));
    let entries = (1..=4).map(|index| entry(index, 1, b"text")).collect();
    log.submit(append(1, 2, 0, entries));
    log.flush().expect("the disk works");
    for index in 1..=2 {
        checkpoint(&mut log, index);
        log.flush().expect("the disk works");
    }
    disk.lose_power(Survival::Kept)
}

#[test]
fn a_checkpoint_made_elsewhere_is_named_behind_what_was_flushed_meanwhile() {
    let disk = two_generations();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    let maker = log.checkpoint_maker(GroupId(1), Index(3), Term(1));
    log.submit(append(1, 3, 4, vec![entry(5, 1, b"text")]));
    log.flush().expect("the disk works");
    let made = maker.expect("the log is whole").make(b"state");
    log.submit(append(1, 4, 5, vec![entry(6, 1, b"text")]));
    log.flush().expect("the disk works");
    assert_eq!(names(&disk), [name(1), name(2), name(3)], "none is named");
    let unnamed = disk.lose_power(Survival::Lost);
    let (_, _, found) = open(&unnamed, settings(SEGMENT_BYTES));
    assert_eq!(taken(&found), Some(Index(3)), "as good as a named one");
    log.adopt_checkpoint(made).expect("it was made");
    assert!(log.has_queued());
    log.flush().expect("the disk works");
    assert_eq!(names(&disk), [name(2), name(3)]);
    let (_, recovery, found) = open(&disk.lose_power(Survival::Lost), settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Unclean);
    assert_eq!(taken(&found), Some(Index(3)));
}

fn taken(found: &Collector) -> Option<Index> {
    let checkpoint = found.groups[&GroupId(1)].checkpoint.as_ref();
    checkpoint.map(|(index, ..)| *index)
}

#[test]
fn a_bad_sector_in_the_newest_checkpoint_leaves_the_older_one() {
    let disk = two_generations();
    disk.set_bad_page(&name(2), 0);
    let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
    let told = Finding::Checkpoint {
        group: GroupId(1),
        index: Index(2),
    };
    assert_eq!(recovery.findings, [told]);
    assert_eq!(taken(&found), Some(Index(1)));
}

#[test]
fn a_damaged_checkpoint_is_no_generation() {
    let disk = two_generations();
    disk.rot(&name(2), |bytes| bytes[66] ^= 1);
    let (mut log, _, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(taken(&found), Some(Index(1)));
    checkpoint(&mut log, 3);
    log.flush().expect("the disk works");
    assert_eq!(names(&disk), [name(1), name(3)], "the useless one goes");
    checkpoint(&mut log, 4);
    log.flush().expect("the disk works");
    assert_eq!(names(&disk), [name(3), name(4)]);
}

#[test]
fn without_a_usable_checkpoint_nothing_is_removed_until_there_are_two() {
    let disk = two_generations();
    for index in 1..=2 {
        disk.rot(&name(index), |bytes| bytes[66] ^= 1);
    }
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    checkpoint(&mut log, 3);
    log.flush().expect("the disk works");
    assert_eq!(names(&disk), [name(1), name(2), name(3)]);
}

#[test]
fn an_old_generation_is_removed_only_after_the_block_of_the_new_one_is_durable() {
    let disk = two_generations();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    checkpoint(&mut log, 3);
    assert_eq!(names(&disk), [name(1), name(2), name(3)]);
    // Block, slot, sync.
    disk.fail_at(disk.calls() + 3, DiskErrorKind::Io);
    assert!(log.flush().is_err());
    assert_eq!(names(&disk), [name(1), name(2), name(3)]);
    let disk = disk.lose_power(Survival::Lost);
    let (mut log, _, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(taken(&found), Some(Index(3)), "it is whole, named or not");
    checkpoint(&mut log, 4);
    log.flush().expect("the disk works");
    assert_eq!(names(&disk), [name(3), name(4)]);
}

#[test]
fn a_checkpoint_of_another_directory_group_or_index_is_not_taken() {
    let right = Checkpoint {
        directory_id: super::DIRECTORY,
        group: GroupId(1),
        index: Index(3),
        term: Term(1),
        body: b"state",
    };
    let wrong = [
        Checkpoint {
            directory_id: 1,
            ..right
        },
        Checkpoint {
            group: GroupId(2),
            ..right
        },
        Checkpoint {
            index: Index(4),
            ..right
        },
    ];
    for (content, expected) in [(right, 3), (wrong[0], 2), (wrong[1], 2), (wrong[2], 2)] {
        let disk = two_generations();
        let file = disk.create(&name(3)).expect("it is new");
        disk.write_at(&file, 0, &content.encode())
            .expect("the disk works");
        let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
        assert_eq!(taken(&found), Some(Index(expected)));
        assert_eq!(recovery.outcome == Outcome::Damaged, expected == 2);
    }
}

#[test]
fn a_file_that_is_no_checkpoint_in_any_byte_gives_way_to_the_older_one() {
    let disk = two_generations();
    let len = disk.content(&name(2)).len();
    let changes = (0..len).map(|at| vec![at]).chain([vec![]]);
    for change in changes {
        let disk = disk.fork();
        disk.rot(&name(2), |bytes| match change.first() {
            Some(at) => bytes[*at] ^= 1,
            None => bytes.clear(),
        });
        let (.., found) = open(&disk, settings(SEGMENT_BYTES));
        assert_eq!(taken(&found), Some(Index(1)), "byte {change:?}");
    }
}
