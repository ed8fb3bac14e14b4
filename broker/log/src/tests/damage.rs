//! Rot: ranges, bad sectors, first blocks, files gone. Whoever lost something says so, and nobody else.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::sample::{SEGMENT_BYTES, assert_told, damage, missing, sample_disk};
use super::{DIRECTORY, append, entry, open, settings};
use crate::block::{BlockSeed, decode_block};
use crate::disk_trait::Disk;
use crate::error::LogError;
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::log::Log;
use crate::recover::{Finding, GroupDamage, Outcome};
use crate::segment::{SegmentHeader, segment_name};
use crate::settings::LogSettings;
use crate::testing::{Collector, FaultDisk, Survival};

#[test]
fn a_flipped_payload_costs_one_group_its_end_and_nobody_else_anything() {
    let (disk, sample) = sample_disk();
    let (_, _, before) = open(&disk.lose_power(Survival::Lost), settings(SEGMENT_BYTES));
    let hit = before.groups[&GroupId(2)].committed[7].1;
    disk.rot(&segment_name(SegmentId(1)), |bytes| {
        bytes[hit.offset() as usize + 60] ^= 4
    });
    let (mut log, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    let whole =
        decode_block(&sample.bytes, hit, BlockSeed::new(DIRECTORY, SegmentId(1))).expect("whole");
    assert_eq!(
        recovery.findings,
        [Finding::Damage {
            from: hit,
            end: whole.end,
            only: Some(GroupId(2))
        }]
    );
    let expected = GroupDamage {
        hole: Some(Index(8)),
        seen_again: Some(Index(9)),
        hard_state_lost: false,
        from: hit,
        end: whole.end,
    };
    assert_eq!(damage(&found, GroupId(2)), Some(expected));
    assert_eq!(
        (damage(&found, GroupId(1)), damage(&found, GroupId(3))),
        (None, None)
    );
    assert_eq!(missing(&sample, &found), [GroupId(2)]);

    // The others live on; the next life finds the same.
    let next = sample.groups[&GroupId(1)].len() as u64 + 1;
    log.submit(append(1, 1, next - 1, vec![entry(next, 1, b"goes on")]));
    log.close().expect("the disk works");
    let (_, recovery, again) = open(&disk.lose_power(Survival::Lost), settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert_eq!(damage(&again, GroupId(2)), Some(expected));
    assert_eq!(again.groups[&GroupId(1)].entries().len() as u64, next);
    assert_eq!(again.groups[&GroupId(2)].entries().len(), 7);
}

#[test]
#[should_panic(expected = "INV-LOG-14")]
fn a_group_with_a_hole_takes_no_appends() {
    let (disk, _) = sample_disk();
    disk.rot(&segment_name(SegmentId(1)), |bytes| {
        bytes[9_000..9_600].fill(0)
    });
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    for group in 1..=3 {
        log.submit(append(group, 1, 0, vec![entry(8, 1, b"x")]));
    }
}

#[test]
fn a_range_of_unknown_blocks_costs_those_who_had_entries_there() {
    let (disk, sample) = sample_disk();
    disk.rot(&segment_name(SegmentId(1)), |bytes| {
        bytes[12_000..16_096].fill(0)
    });
    let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert!(matches!(
        recovery.findings[..],
        [Finding::Damage { only: None, .. }]
    ));
    assert_told(&sample, &found, "range");
    for group in 1..=3 {
        let damage = damage(&found, GroupId(group)).expect("suspect");
        assert!(damage.hole.is_some() && damage.seen_again.is_some());
    }
}

#[test]
fn a_bad_page_costs_what_is_on_it_and_opening_goes_on() {
    let (disk, sample) = sample_disk();
    disk.set_bad_page(&segment_name(SegmentId(1)), 3);
    let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    let at = |offset| LogPosition::new(SegmentId(1), offset);
    assert_eq!(
        recovery.findings[0],
        Finding::Unreadable {
            from: at(12_288),
            end: at(16_384)
        }
    );
    assert_told(&sample, &found, "bad page");
    assert!(!missing(&sample, &found).is_empty());

    let (disk, sample) = sample_disk();
    disk.set_bad_page(&segment_name(SegmentId(1)), 0);
    let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert_eq!(missing(&sample, &found), []);
}

/// A log of several segments.
fn several_segments() -> (FaultDisk, Vec<String>) {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    for index in 1..=12 {
        log.submit(append(
            1,
            index,
            index - 1,
            vec![entry(index, 1, &[1; 1_000])],
        ));
        log.submit(append(2, index, index - 1, vec![entry(index, 1, b"small")]));
        log.flush().expect("the disk works");
    }
    log.close().expect("the disk works");
    let names = disk.names();
    assert_eq!(names.len(), 4);
    (disk, names)
}

#[test]
fn a_segment_that_is_gone_is_missed() {
    let (disk, names) = several_segments();
    disk.remove(&names[1]).expect("it is there");
    let (_, recovery, found) = open(&disk, settings(8 * 1024));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert!(recovery.findings.contains(&Finding::Missing {
        segment: SegmentId(2)
    }));
    for group in 1..=2 {
        let damage = damage(&found, GroupId(group)).expect("entries are gone");
        assert_eq!(
            (damage.hole, damage.hard_state_lost),
            (Some(Index(4)), false)
        );
    }
}

#[test]
fn a_first_segment_that_is_gone_costs_every_group_its_beginning() {
    let (disk, names) = several_segments();
    disk.remove(&names[0]).expect("it is there");
    let (_, recovery, found) = open(&disk, settings(8 * 1024));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert_eq!(
        damage(&found, GroupId(1)).and_then(|damage| damage.hole),
        Some(Index(1))
    );
}

#[test]
fn a_segment_that_was_wiped_is_not_taken_for_one_that_never_was() {
    for wiped in 1..3 {
        let (disk, names) = several_segments();
        disk.rot(&names[wiped], |bytes| bytes[1_024..].fill(0));
        let (_, recovery, found) = open(&disk, settings(8 * 1024));
        assert_eq!(recovery.outcome, Outcome::Damaged);
        let hole = Some(Index(1 + 3 * wiped as u64));
        assert_eq!(
            damage(&found, GroupId(1)).and_then(|damage| damage.hole),
            hole
        );
        assert!(disk.names().contains(&names[wiped]), "it is not removed");
    }
}

#[test]
fn a_last_segment_whose_first_block_rots_is_still_there() {
    let (disk, names) = several_segments();
    disk.rot(&names[3], |bytes| bytes[4_100] ^= 1);
    let (_, recovery, found) = open(&disk, settings(8 * 1024));
    assert!(recovery.findings.contains(&Finding::State {
        segment: SegmentId(4)
    }));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    // What STATE said is in the segments before, and no entry was lost with it.
    assert_eq!(found.groups[&GroupId(1)].entries().len(), 12);
    let holes = [1, 2].map(|group| damage(&found, GroupId(group)).and_then(|damage| damage.hole));
    assert_eq!(holes, [None, None]);
}

#[test]
fn a_commit_told_behind_a_lost_range_does_not_commit_what_may_have_been_overridden_there() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    log.submit(append(
        1,
        1,
        1,
        vec![entry(1, 1, b"one"), entry(2, 1, b"overridden")],
    ));
    let from = log.flush().expect("the disk works").sync_end.offset() as usize;
    log.submit(append(
        1,
        2,
        3,
        vec![entry(2, 2, b"stands"), entry(3, 2, b"three")],
    ));
    let end = log.flush().expect("the disk works").sync_end.offset() as usize;
    log.write_checkpoint(GroupId(1), Index(3), Term(2), b"state")
        .expect("the disk works");
    log.close().expect("the disk works");
    disk.rot(&segment_name(SegmentId(1)), |bytes| {
        bytes[from..end].fill(0)
    });
    let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert_eq!(found.groups[&GroupId(1)].committed.len(), 1);
    assert!(damage(&found, GroupId(1)).is_some_and(|damage| damage.hole.is_some()));
}

#[test]
fn new_damage_in_an_old_segment_is_told_by_the_state_of_a_new_one_once() {
    let (disk, names) = several_segments();
    disk.rot(&names[0], |bytes| bytes[4_300] ^= 1);
    let (log, recovery, _) = open(&disk, settings(8 * 1024));
    assert_eq!((recovery.outcome, recovery.segments), (Outcome::Damaged, 4));
    assert_eq!(log.active_segment(), SegmentId(5), "a STATE that tells it");
    log.close().expect("the disk works");
    let (log, recovery, _) = open(&disk, settings(8 * 1024));
    assert_eq!((recovery.outcome, recovery.segments), (Outcome::Damaged, 5));
    assert_eq!(log.active_segment(), SegmentId(5), "told already");
}

#[test]
fn without_mark_slots_later_blocks_tell_damage_from_a_tear() {
    let settings = LogSettings {
        mark_slots: false,
        ..settings(SEGMENT_BYTES)
    };
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings);
    for index in 1..=9 {
        log.submit(append(
            1,
            index,
            index - 1,
            vec![entry(index, 1, &[1; 100])],
        ));
        log.flush().expect("the disk works");
    }
    let (.., before) = open(&disk.fork(), settings);
    let hit = before.groups[&GroupId(1)].committed[3].1.offset() as usize;
    disk.rot(&segment_name(SegmentId(1)), |bytes| bytes[hit + 60] ^= 1);
    let (_, recovery, found) = open(&disk, settings);
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert_eq!(
        damage(&found, GroupId(1)).and_then(|damage| damage.hole),
        Some(Index(4))
    );
}

#[test]
fn a_last_segment_of_which_only_rubble_is_left_is_kept_and_told() {
    let disk = FaultDisk::new();
    let large = settings(2 * 1024 * 1024);
    let (mut log, ..) = open(&disk, large);
    log.submit(append(1, 1, 1, vec![entry(1, 1, b"one")]));
    log.close().expect("the disk works");
    let name = segment_name(SegmentId(2));
    let rubble = disk.create(&name).expect("it is new");
    disk.write_at(&rubble, 0, &vec![0x77; 2 * 1024 * 1024])
        .expect("the disk works");
    let (_, recovery, found) = open(&disk, large);
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert!(recovery.findings.contains(&Finding::State {
        segment: SegmentId(2)
    }));
    assert!(disk.names().contains(&name), "it is not removed");
    assert_eq!(
        damage(&found, GroupId(1)).and_then(|damage| damage.hole),
        Some(Index(2))
    );
}

/// Two faults that hide each other: the first block of a segment says where the one before ended, and the last block
/// there overrides an entry. Found by `rotten_images_are_answered_and_never_give_wrong_bytes`.
#[test]
fn an_override_that_rots_together_with_the_next_state_brings_nothing_back() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    log.submit(append(
        1,
        1,
        1,
        vec![entry(1, 1, &[1; 1_900]), entry(2, 1, b"overridden")],
    ));
    log.flush().expect("the disk works");
    log.submit(append(1, 2, 1, vec![entry(2, 2, b"stands")]));
    let at = log.flush().expect("the disk works").persisted[0].positions[0].1;
    log.submit(append(1, 3, 3, vec![entry(3, 2, &[3; 2_200])]));
    log.close().expect("the disk works");
    let names = disk.names();
    assert_eq!(names.len(), 2);
    for head in [false, true] {
        let disk = disk.fork();
        disk.rot(&names[0], |bytes| bytes[at.offset() as usize + 50] ^= 1);
        disk.rot(&names[1], |bytes| {
            bytes[if head { 4_100 } else { 4_150 }] ^= 1
        });
        let (_, recovery, found) = open(&disk, settings(8 * 1024));
        assert_eq!(recovery.outcome, Outcome::Damaged);
        let group = &found.groups[&GroupId(1)];
        assert_eq!(
            group.committed.len(),
            1,
            "the entry that was overridden is not brought back"
        );
        assert_eq!(
            damage(&found, GroupId(1)).and_then(|damage| damage.hole),
            Some(Index(2))
        );
    }
}

#[test]
fn a_checkpoint_beyond_the_log_proves_that_the_log_lost_its_end() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(
        &disk,
        LogSettings {
            mark_slots: false,
            ..settings(SEGMENT_BYTES)
        },
    );
    let mut ends = Vec::new();
    for index in 1..=9 {
        log.submit(append(
            1,
            index,
            index - 1,
            vec![entry(index, 1, &[1; 100])],
        ));
        ends.push(log.flush().expect("the disk works").sync_end.offset() as usize);
    }
    log.write_checkpoint(GroupId(1), Index(8), Term(1), b"state")
        .expect("the disk works");
    log.close().expect("the disk works");
    disk.rot(&segment_name(SegmentId(1)), |bytes| {
        bytes[ends[3]..].fill(0)
    });
    let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert_eq!(
        damage(&found, GroupId(1)).and_then(|damage| damage.hole),
        Some(Index(5))
    );
}

#[test]
fn segments_of_another_directory_or_a_newer_version_are_refused() {
    let (disk, names) = several_segments();
    let foreign = LogSettings {
        directory_id: 1,
        ..settings(8 * 1024)
    };
    let error = Log::open(disk.fork(), foreign, &mut Collector::default()).err();
    assert_eq!(
        error,
        Some(LogError::ForeignSegment {
            segment: SegmentId(1)
        })
    );
    disk.rot(&names[0], |bytes| {
        let header = SegmentHeader::decode(bytes).expect("whole");
        let mut newer = header.encode();
        newer[8] = 2;
        let crc = crc32c::crc32c(&newer[..40]);
        newer[40..].copy_from_slice(&crc.to_le_bytes());
        bytes[..44].copy_from_slice(&newer);
    });
    let error = Log::open(disk, settings(8 * 1024), &mut Collector::default()).err();
    assert_eq!(
        error,
        Some(LogError::Version {
            segment: SegmentId(1),
            version: 2
        })
    );
}
