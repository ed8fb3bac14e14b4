//! Segments made ahead, here or on another thread, and checkpoints.

use alloc::vec;
use alloc::vec::Vec;

use super::{append, entry, open, settings};
use crate::checkpoint_files::checkpoint_name;
use crate::error::LogError;
use crate::ids::{GroupId, Index, SegmentId, Term};
use crate::log::Log;
use crate::recover::{Finding, Outcome};
use crate::testing::{Collector, FaultDisk, Survival};

fn fill(log: &mut Log<FaultDisk>, indexes: core::ops::RangeInclusive<u64>) {
    for index in indexes {
        log.submit(append(
            1,
            index,
            index - 1,
            vec![entry(index, 1, &[7; 1_000])],
        ));
        log.flush().expect("the disk works");
    }
}

#[test]
fn a_segment_made_elsewhere_is_rolled_to() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    let maker = log.segment_maker().expect("none is ready");
    assert!(log.segment_maker().is_none(), "one is being made");
    assert_eq!(log.prepare_segment(), Ok(false));
    let made = maker.make().expect("the disk works");
    assert_eq!(made.segment(), SegmentId(2));
    log.adopt(Ok(made));
    assert!(log.segment_maker().is_none(), "one is ready");
    fill(&mut log, 1..=5);
    assert_eq!(log.active_segment(), SegmentId(2));
    assert!(log.segment_maker().is_some());
}

#[test]
fn a_maker_that_is_overtaken_by_a_roll_comes_too_late() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    let maker = log.segment_maker().expect("none is ready");
    fill(&mut log, 1..=5);
    assert_eq!(log.active_segment(), SegmentId(3));
    log.adopt(maker.make());
    assert_eq!(
        disk.names(),
        ["log/0000000000000001.seg", "log/0000000000000003.seg"]
    );
    fill(&mut log, 6..=9);
    let (_, recovery, found) = open(&disk.lose_power(Survival::Mixed(3)), settings(8 * 1024));
    assert_eq!((recovery.outcome, recovery.segments), (Outcome::Unclean, 3));
    assert_eq!(found.groups[&GroupId(1)].entries().len(), 9);
}

#[test]
fn a_maker_that_fails_is_asked_for_anew() {
    let (mut log, ..) = open(&FaultDisk::new(), settings(8 * 1024));
    drop(log.segment_maker().expect("none is ready"));
    log.adopt(Err(LogError::Failed));
    assert_eq!(
        log.segment_maker().expect("asked anew").segment,
        SegmentId(3)
    );
}

#[test]
fn a_blank_segment_is_used_by_the_next_life_and_left_overs_are_removed() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    assert_eq!(log.prepare_segment(), Ok(true));
    fill(&mut log, 1..=2);
    let left_over = crate::disk_trait::Disk::create(&disk, "log/0000000000000009.tmp");
    left_over.expect("there is none of that name");
    let disk = disk.kill();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    assert_eq!(log.prepare_segment(), Ok(false), "it is there already");
    assert_eq!(
        disk.names(),
        ["log/0000000000000001.seg", "log/0000000000000002.seg"]
    );
    fill(&mut log, 3..=5);
    assert_eq!(log.active_segment(), SegmentId(2));
}

#[test]
fn a_segment_whose_name_only_looked_durable_is_made_durable_before_it_is_used() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    // Create, reserve, zeros, header, sync, rename; the directory sync is never done.
    disk.crash_at(disk.calls() + 7);
    assert!(log.prepare_segment().is_err());
    let disk = disk.kill();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    assert_eq!(log.prepare_segment(), Ok(false), "it is there");
    fill(&mut log, 1..=6);
    assert_eq!(log.active_segment(), SegmentId(2));
    let (.., found) = open(&disk.lose_power(Survival::Lost), settings(8 * 1024));
    assert_eq!(found.groups[&GroupId(1)].entries().len(), 6);
}

#[test]
fn the_newest_usable_checkpoint_is_taken_and_two_are_kept() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    for index in 1..=3 {
        fill(&mut log, index..=index);
        log.write_checkpoint(GroupId(1), Index(index), Term(1), &[index as u8; 9])
            .expect("the disk works");
        log.flush().expect("the disk works");
    }
    log.close().expect("the disk works");
    let names: Vec<_> = disk
        .names()
        .into_iter()
        .filter(|name| name.starts_with("checkpoint"))
        .collect();
    assert_eq!(
        names,
        [
            checkpoint_name(GroupId(1), Index(2)),
            checkpoint_name(GroupId(1), Index(3))
        ]
    );

    let (_, recovery, found) = open(&disk.lose_power(Survival::Lost), settings(8 * 1024));
    let group = &found.groups[&GroupId(1)];
    assert_eq!(group.checkpoint, Some((Index(3), Term(1), vec![3; 9])));
    // The checkpoint, the segment, and before it its STATE, of no group, for what is kept.
    assert_eq!(recovery.bytes_read, 64 + 9 + 8 * 1024 + 48 + 64);
    assert_eq!(
        group.committed.len(),
        3,
        "applied means committed, though no later entry says so"
    );

    let torn = disk.lose_power(Survival::Lost);
    torn.rot(&checkpoint_name(GroupId(1), Index(3)), |bytes| {
        bytes[70] ^= 1
    });
    let (_, recovery, found) = open(&torn, settings(8 * 1024));
    assert_eq!(
        recovery.findings,
        [Finding::Checkpoint {
            group: GroupId(1),
            index: Index(3)
        }]
    );
    assert_eq!(
        found.groups[&GroupId(1)].checkpoint,
        Some((Index(2), Term(1), vec![2; 9]))
    );

    let mut picky = Collector {
        refuse_up_to: Index(9),
        ..Collector::default()
    };
    Log::open(
        disk.lose_power(Survival::Lost),
        settings(8 * 1024),
        &mut picky,
    )
    .expect("the disk works");
    assert_eq!(picky.groups[&GroupId(1)].checkpoint, None);
    assert_eq!(picky.groups[&GroupId(1)].committed.len(), 3);
}

#[test]
fn a_checkpoint_file_that_no_block_names_shows_what_is_committed() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    fill(&mut log, 1..=2);
    log.write_checkpoint(GroupId(1), Index(2), Term(1), b"state")
        .expect("the disk works");
    drop(log);
    let (.., found) = open(&disk.kill(), settings(8 * 1024));
    let group = &found.groups[&GroupId(1)];
    assert_eq!(group.committed.len(), 2);
    assert_eq!(
        group.end.as_ref().map(|end| end.hard_state.commit),
        Some(Index(2))
    );
}

#[test]
#[should_panic(expected = "INV-LOG-21")]
fn a_checkpoint_of_what_is_not_durable_is_a_bug() {
    let (mut log, ..) = open(&FaultDisk::new(), settings(8 * 1024));
    log.submit(append(1, 1, 1, vec![entry(1, 1, b"one")]));
    let _ = log.write_checkpoint(GroupId(1), Index(1), Term(1), b"");
}
