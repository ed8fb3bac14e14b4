//! What the device refuses to read proves nothing: it is never a tear, never a segment that does not exist.

use alloc::string::String;
use alloc::vec;

use super::sample::damage;
use super::{append, entry, open, settings, vote};
use crate::disk_trait::Disk;
use crate::ids::{GroupId, Index, SegmentId};
use crate::limits::SEGMENT_HEADER_BYTES;
use crate::log::Log;
use crate::recover::{Finding, Outcome};
use crate::segment::segment_name;
use crate::settings::LogSettings;
use crate::testing::{FaultDisk, Survival};

const SEGMENT_BYTES: u32 = 64 * 1024;
const PAGES: u64 = SEGMENT_BYTES as u64 / 4_096;

fn fill(log: &mut Log<FaultDisk>, indexes: core::ops::RangeInclusive<u64>, payload: &[u8]) {
    for index in indexes {
        log.submit(append(
            1,
            1 + index,
            index - 1,
            vec![entry(index, 1, payload)],
        ));
        log.flush().expect("the disk works");
    }
}

/// A log with a second segment in which acked entries of group 1 stand; the last one.
pub(super) fn two_segments() -> (FaultDisk, Index) {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    log.submit(vote(1, 1, 1, 1, 0));
    let mut index = 0;
    while log.active_segment() == SegmentId(1) {
        index += 1;
        fill(&mut log, index..=index, &[7; 8_000]);
    }
    fill(&mut log, index + 1..=index + 2, b"acked");
    log.idle_mark().expect("the disk works");
    (disk.lose_power(Survival::Kept), Index(index + 2))
}

fn young_segment() -> (FaultDisk, String) {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    log.submit(vote(1, 1, 1, 1, 0));
    fill(&mut log, 1..=3, b"acked");
    log.idle_mark().expect("the disk works");
    (disk.lose_power(Survival::Kept), segment_name(SegmentId(1)))
}

#[test]
fn a_last_segment_that_cannot_be_read_is_kept_and_every_group_is_suspect() {
    let (disk, _) = two_segments();
    let name = segment_name(SegmentId(2));
    let before = disk.content(&name);
    let sick = disk.fork();
    for page in 0..PAGES {
        sick.set_bad_page(&name, page);
    }
    let (_, recovery, found) = open(&sick, settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert_eq!(sick.content(&name), before, "it is the only copy");
    assert!(damage(&found, GroupId(1)).is_some_and(|damage| damage.hole.is_some()));
}

#[test]
fn a_young_log_that_cannot_be_read_is_damaged_in_every_partition_and_not_taken_for_a_new_one() {
    let (disk, name) = young_segment();
    (0..4).for_each(|page| disk.set_bad_page(&name, page));
    let settings = LogSettings {
        partitions: 3,
        ..settings(SEGMENT_BYTES)
    };
    for _ in 0..2 {
        let (_, recovery, found) = open(&disk, settings);
        assert_eq!(recovery.outcome, Outcome::Damaged);
        assert!(disk.names().contains(&name), "it is not removed");
        for group in 1..=3 {
            let damage = damage(&found, GroupId(group)).expect("suspect");
            assert_eq!(
                (damage.hole, damage.hard_state_lost),
                (Some(Index(1)), true)
            );
        }
    }
}

#[test]
fn a_segment_whose_start_rots_is_damaged_because_no_crash_leaves_a_wrong_header() {
    let (disk, _) = two_segments();
    let name = segment_name(SegmentId(2));
    disk.rot(&name, |bytes| bytes[..16 * 1_024].fill(0x5a));
    let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert!(damage(&found, GroupId(1)).is_some());
    assert!(disk.names().contains(&name), "it is not removed");
}

#[test]
fn a_read_error_in_the_last_batch_is_no_tear() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    log.submit(vote(1, 1, 1, 1, 0));
    fill(&mut log, 1..=1, &[1; 6_000]);
    log.submit(append(
        1,
        3,
        1,
        vec![entry(2, 1, &[2; 6_000]), entry(3, 1, b"three")],
    ));
    log.flush().expect("the disk works");
    let disk = disk.lose_power(Survival::Kept);
    for (page, lost) in [(2, 1), (3, 2)] {
        let sick = disk.fork();
        sick.set_bad_page(&segment_name(SegmentId(1)), page);
        let (_, recovery, found) = open(&sick, settings(SEGMENT_BYTES));
        assert_eq!(recovery.outcome, Outcome::Damaged, "page {page}");
        let hole = damage(&found, GroupId(1)).and_then(|damage| damage.hole);
        assert_eq!(hole, Some(Index(lost)), "page {page}");
        // The next life says the same, though its STATE tells where the segment ended.
        let (_, _, again) = open(&sick, settings(SEGMENT_BYTES));
        assert_eq!(
            damage(&again, GroupId(1)).and_then(|damage| damage.hole),
            hole
        );
    }
}

#[test]
fn a_batch_whose_end_alone_cannot_be_read_is_damage_and_stays_below_the_recorded_end() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    log.submit(vote(1, 1, 1, 1, 0));
    fill(&mut log, 1..=2, &[1; 6_000]);
    let end = log.sync_end();
    let disk = disk.lose_power(Survival::Kept);
    let name = segment_name(SegmentId(1));
    let sick = disk.fork();
    sick.set_bad_page(&name, u64::from(end.offset()) / 4_096);
    let (mut log, recovery, found) = open(&sick, settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    let hole = damage(&found, GroupId(1)).and_then(|damage| damage.hole);
    assert_eq!(hole, Some(Index(2)));
    log.submit(append(2, 1, 0, vec![entry(1, 1, b"another group goes on")]));
    log.close().expect("the disk works");
    let told =
        |finding: &Finding| matches!(finding, Finding::Damage { end: told, .. } if *told >= end);
    assert!(
        recovery.findings.iter().any(told),
        "{:?}",
        recovery.findings
    );
    let (_, _, again) = open(&sick, settings(SEGMENT_BYTES));
    assert_eq!(
        damage(&again, GroupId(1)).and_then(|damage| damage.hole),
        Some(Index(2))
    );
    assert_eq!(again.groups[&GroupId(2)].entries().len(), 1);
}

#[test]
fn a_bad_page_behind_a_blank_tail_costs_no_group_anything() {
    let (disk, name) = young_segment();
    disk.set_bad_page(&name, PAGES - 1);
    let (log, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(log.active_segment(), SegmentId(2), "nobody writes on it");
    assert!(
        recovery
            .findings
            .iter()
            .any(|finding| matches!(finding, Finding::Unreadable { .. }))
    );
    assert_eq!(damage(&found, GroupId(1)), None);
    assert_eq!(found.groups[&GroupId(1)].entries().len(), 3);
}

#[test]
fn a_segment_made_ahead_that_cannot_be_read_or_is_not_blank_is_not_removed() {
    let (disk, _) = young_segment();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    log.prepare_segment().expect("the disk works");
    drop(log);
    let ahead = segment_name(SegmentId(2));
    let spoil: [&dyn Fn(&FaultDisk); 6] = [
        &|disk| disk.set_bad_page(&ahead, 9),
        &|disk| disk.rot(&ahead, |bytes| bytes[0] ^= 1),
        &|disk| disk.rot(&ahead, |bytes| bytes[600] = 1),
        &|disk| disk.rot(&ahead, |bytes| bytes[1_030] = 1),
        &|disk| disk.rot(&ahead, |bytes| bytes[SEGMENT_HEADER_BYTES as usize] = 1),
        &|disk| disk.rot(&ahead, |bytes| bytes.truncate(40_000)),
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        let disk = disk.fork();
        spoil(&disk);
        let (log, recovery, _) = open(&disk, settings(SEGMENT_BYTES));
        assert_eq!(recovery.outcome, Outcome::Damaged, "{number}");
        assert!(disk.names().contains(&ahead), "{number}");
        assert_eq!(log.active_segment(), SegmentId(3), "{number}");
    }
    let (log, recovery, _) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(
        (recovery.outcome, log.active_segment()),
        (Outcome::Unclean, SegmentId(1))
    );
}

#[test]
fn only_a_state_of_which_sectors_are_missing_is_taken_for_one_that_was_being_written() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    // Enough groups for a STATE of several sectors.
    (1..=16).for_each(|group| log.submit(vote(group, 1, 1, 1, 0)));
    log.flush().expect("the disk works");
    log.roll().expect("the disk works");
    drop(log);
    let disk = disk.lose_power(Survival::Kept);
    let name = segment_name(SegmentId(2));
    for (from, end) in [(0, 512), (512, 1_024), (1_024, 1_536), (0, 1_024)] {
        let disk = disk.fork();
        let at = SEGMENT_HEADER_BYTES as usize;
        disk.rot(&name, |bytes| bytes[at + from..at + end].fill(0));
        let (_, recovery, _) = open(&disk, settings(SEGMENT_BYTES));
        assert_eq!(recovery.outcome, Outcome::Unclean, "sectors from {from}");
        assert!(!disk.names().contains(&name), "sectors from {from}");
    }
    for at in [0, 4, 20, 60, 700, 1_200] {
        let disk = disk.fork();
        disk.rot(&name, |bytes| {
            bytes[SEGMENT_HEADER_BYTES as usize + at] ^= 1
        });
        let (_, recovery, _) = open(&disk, settings(SEGMENT_BYTES));
        assert_eq!(recovery.outcome, Outcome::Damaged, "byte {at}");
        assert!(disk.names().contains(&name), "byte {at}");
    }
}

#[test]
fn of_a_large_blank_segment_made_ahead_only_the_start_is_read() {
    let large = settings(8 * 1024 * 1024);
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, large);
    fill(&mut log, 1..=2, b"acked");
    log.prepare_segment().expect("the disk works");
    log.close().expect("the disk works");
    let disk = disk.kill();
    let (_, recovery, _) = open(&disk, large);
    // Heads of both first blocks, and STATE of no group: looked at before for what is kept.
    let looked_at = 48 + 48 + 64;
    let expected = looked_at + u64::from(large.segment_bytes + crate::limits::BLANK_PROOF_BYTES);
    assert_eq!(
        (recovery.bytes_read, disk.bytes_read()),
        (expected, expected)
    );
    // With anything in it, it is read to its end.
    let file = disk.open(&segment_name(SegmentId(2))).expect("there");
    disk.write_at(&file, 2 * 1024 * 1024, &[1])
        .expect("the disk works");
    let disk = disk.kill();
    let (_, recovery, _) = open(&disk, large);
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert_eq!(
        recovery.bytes_read,
        looked_at + 2 * u64::from(large.segment_bytes)
    );
}
