//! Tails that were zeroed or cut off, from each place on: seen down to the newest mark.

use alloc::vec;
use alloc::vec::Vec;

use super::sample::{SEGMENT_BYTES, Sample, assert_told, damage, missing, sample_disk};
use super::{append, entry, open, settings};
use crate::ids::{GroupId, SegmentId};
use crate::limits::SEGMENT_HEADER_BYTES;
use crate::recover::Outcome;
use crate::segment::segment_name;
use crate::settings::LogSettings;
use crate::testing::{Collector, FaultDisk, Survival};

/// Zeroes or cuts the tail from each place on, and opens.
fn lose_tails(
    settings: LogSettings,
    is_closed: bool,
    lose: impl Fn(&mut Vec<u8>, usize),
    check: impl Fn(usize, &Sample, Outcome, &Collector),
) {
    let (disk, sample) = sample_disk();
    let disk = disk.lose_power(Survival::Lost);
    if is_closed {
        let (log, ..) = open(&disk, settings);
        log.close().expect("the disk works");
    }
    for from in (SEGMENT_HEADER_BYTES as usize + 8..SEGMENT_BYTES as usize).step_by(72) {
        let disk = disk.fork();
        disk.rot(&segment_name(SegmentId(1)), |bytes| lose(bytes, from));
        let (_, recovery, found) = open(&disk, settings);
        check(from, &sample, recovery.outcome, &found);
        let (_, again, found_again) = open(&disk.lose_power(Survival::Lost), settings);
        assert_eq!(
            recovery.outcome == Outcome::Damaged,
            again.outcome == Outcome::Damaged,
            "tail from {from}"
        );
        for group in sample.groups.keys() {
            assert_eq!(
                damage(&found, *group),
                damage(&found_again, *group),
                "tail from {from}, group {group}"
            );
        }
    }
}

#[test]
fn a_zeroed_tail_is_seen_down_to_the_newest_mark() {
    let zero = |bytes: &mut Vec<u8>, from: usize| bytes[from..].fill(0);
    lose_tails(
        settings(SEGMENT_BYTES),
        false,
        zero,
        |from, sample, outcome, found| {
            let is_seen = from < sample.marked.offset() as usize;
            assert_eq!(outcome == Outcome::Damaged, is_seen, "tail from {from}");
            if is_seen {
                assert_told(sample, found, &alloc::format!("tail from {from}"));
            } else {
                // The range that the guarantees name: what the last sync wrote.
                assert!(missing(sample, found).len() <= 3);
            }
        },
    );
}

#[test]
fn a_zeroed_tail_of_a_closed_log_is_always_seen() {
    let zero = |bytes: &mut Vec<u8>, from: usize| bytes[from..].fill(0);
    lose_tails(
        settings(SEGMENT_BYTES),
        true,
        zero,
        |from, sample, outcome, found| {
            assert_told(sample, found, &alloc::format!("tail from {from}"));
            assert_eq!(
                outcome == Outcome::Damaged,
                from < sample.end.offset() as usize,
                "tail from {from}"
            );
        },
    );
}

#[test]
fn a_file_that_was_cut_is_always_seen() {
    let cut = |bytes: &mut Vec<u8>, from: usize| bytes.truncate(from);
    lose_tails(
        settings(SEGMENT_BYTES),
        false,
        cut,
        |from, sample, outcome, found| {
            assert_told(sample, found, &alloc::format!("cut at {from}"));
            assert_eq!(outcome, Outcome::Damaged, "cut at {from}");
        },
    );
}

#[test]
fn without_mark_slots_a_zeroed_tail_looks_like_a_tear() {
    let settings = LogSettings {
        mark_slots: false,
        ..settings(SEGMENT_BYTES)
    };
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings);
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
    disk.rot(&segment_name(SegmentId(1)), |bytes| {
        bytes[ends[3]..].fill(0)
    });
    let (_, recovery, found) = open(&disk, settings);
    assert_eq!(
        recovery.outcome,
        Outcome::Unclean,
        "this is what the slots are for"
    );
    assert_eq!(found.groups[&GroupId(1)].entries().len(), 4);
}
