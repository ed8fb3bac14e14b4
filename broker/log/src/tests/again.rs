//! Files that were renamed, copied, cut or mixed up, and opening again and again: never a silent loss, never a removed file
//! with something in it.

use alloc::string::String;
use alloc::vec::Vec;

use super::sample::damage;
use super::unreadable::two_segments;
use super::{append, entry, open, settings};
use crate::disk_trait::Disk;
use crate::error::LogError;
use crate::ids::{GroupId, Index, SegmentId};
use crate::log::Log;
use crate::recover::{Finding, Outcome};
use crate::segment::segment_name;
use crate::settings::LogSettings;
use crate::testing::{Collector, FaultDisk, Survival};

const SEGMENT_BYTES: u32 = 64 * 1024;

fn put(disk: &FaultDisk, segment: u32, bytes: &[u8]) -> String {
    let name = segment_name(SegmentId(segment));
    let file = disk.create(&name).expect("it is new");
    disk.write_at(&file, 0, bytes).expect("the disk works");
    disk.sync(&file).expect("the disk works");
    disk.sync_directory("log").expect("the disk works");
    name
}

/// Every crash point of an open that follows an unclean end, three in a row, each fate of the sectors.
#[test]
fn open_after_open_keeps_what_was_acked() {
    let (disk, last) = two_segments();
    disk.rot(&segment_name(SegmentId(2)), |bytes| {
        bytes[40_000..40_600].fill(9)
    });
    let fork = disk.fork();
    drop(open(&fork, settings(SEGMENT_BYTES)));
    let calls = fork.calls();
    assert!(calls > 3);
    for call in 1..=calls {
        for seed in 0..20 {
            let mut disk = disk.fork();
            for round in 0..3 {
                disk.crash_at((call + round - 1) % calls + 1);
                let mut found = Collector::default();
                let _ = Log::open(disk.clone(), settings(SEGMENT_BYTES), &mut found);
                disk = disk.lose_power(Survival::Mixed(seed * 3 + round));
            }
            let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
            let end = found.groups[&GroupId(1)].end.as_ref().expect("told");
            assert_eq!(
                (end.last, end.damage),
                (last, None),
                "call {call} seed {seed}: {:?}",
                recovery.findings
            );
        }
    }
}

/// A copy under another number holds no block of that number; it is there and says nothing, so anything may have been.
#[test]
fn a_last_segment_that_is_a_copy_of_another_one_makes_every_group_suspect() {
    for source in 1..=2 {
        let (disk, last) = two_segments();
        let copy = disk.content(&segment_name(SegmentId(source)));
        let name = put(&disk, 3, &copy);
        for _ in 0..3 {
            let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
            assert_eq!(recovery.outcome, Outcome::Damaged);
            let hole = damage(&found, GroupId(1)).and_then(|damage| damage.hole);
            assert_eq!(hole, Some(last.next()));
            assert!(disk.names().contains(&name));
        }
    }
}

#[test]
fn a_segment_that_was_renamed_is_missed_under_its_old_number_and_kept_under_the_new_one() {
    let (disk, last) = two_segments();
    let (old, new) = (segment_name(SegmentId(2)), segment_name(SegmentId(5)));
    disk.rename(&old, &new).expect("the disk works");
    let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
    assert_eq!(recovery.outcome, Outcome::Damaged);
    let hole = damage(&found, GroupId(1)).and_then(|damage| damage.hole);
    assert!(hole.is_some_and(|hole| hole <= last));
    assert!(disk.names().contains(&new));
}

#[test]
fn two_segments_that_name_the_same_end_are_told_and_neither_is_removed() {
    let (disk, _) = two_segments();
    // The second segment taken away, another one begun behind the first, the old one put back.
    let second = disk.content(&segment_name(SegmentId(2)));
    disk.remove(&segment_name(SegmentId(2)))
        .expect("the disk works");
    // So that its number is not given again.
    disk.create("log/0000000000000003.tmp").expect("it is new");
    let (mut log, _, found) = open(&disk, settings(SEGMENT_BYTES));
    let next = found.groups[&GroupId(1)].entries().len() as u64 + 1;
    while log.active_segment() == SegmentId(1) {
        log.roll().expect("the disk works");
    }
    assert_eq!(log.active_segment(), SegmentId(4));
    log.submit(append(
        1,
        1,
        0,
        Vec::from([entry(next, 2, b"another history")]),
    ));
    log.close().expect("the disk works");
    put(&disk, 2, &second);
    let names = disk.names();
    for _ in 0..2 {
        let (_, recovery, _) = open(&disk, settings(SEGMENT_BYTES));
        assert_eq!(recovery.outcome, Outcome::Damaged);
        let told = Finding::Unlinked {
            segment: SegmentId(2),
        };
        assert!(recovery.findings.contains(&told), "{recovery:?}");
        assert!(names.iter().all(|name| disk.names().contains(name)));
    }
}

#[test]
fn a_segment_of_another_directory_is_refused_and_nothing_is_touched() {
    let other = LogSettings {
        directory_id: 99,
        ..settings(SEGMENT_BYTES)
    };
    let foreign = FaultDisk::new();
    drop(open(&foreign, other));
    let (disk, _) = two_segments();
    put(&disk, 3, &foreign.content(&segment_name(SegmentId(1))));
    let names = disk.names();
    let mut found = Collector::default();
    let error = Log::open(disk.clone(), settings(SEGMENT_BYTES), &mut found).err();
    let segment = SegmentId(3);
    assert_eq!(error, Some(LogError::ForeignSegment { segment }));
    assert_eq!(disk.names(), names);
}

#[test]
fn a_last_segment_cut_anywhere_is_damage_and_stays() {
    let (whole, _) = two_segments();
    let name = segment_name(SegmentId(2));
    for len in (0..SEGMENT_BYTES as usize)
        .step_by(1_000)
        .chain([43, 44, 4_096])
    {
        let disk = whole.fork();
        disk.rot(&name, |bytes| bytes.truncate(len));
        let mut holes = Vec::new();
        for _ in 0..3 {
            let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
            assert_eq!(recovery.outcome, Outcome::Damaged, "{len} bytes");
            holes.push(damage(&found, GroupId(1)).and_then(|damage| damage.hole));
            assert!(disk.names().contains(&name), "{len} bytes");
        }
        assert!(holes[0].is_some_and(|hole| hole > Index(0)), "{len} bytes");
        assert_eq!(holes, [holes[0]; 3], "{len} bytes");
    }
}

#[test]
fn a_segment_wiped_with_zeros_or_anything_else_is_damage_and_stays() {
    for (from, with) in [(0, 0_u8), (0, 0xff), (0, 0xa5), (44, 0xa5), (512, 0x11)] {
        for segment in 1..=2 {
            let (disk, _) = two_segments();
            let name = segment_name(SegmentId(segment));
            disk.rot(&name, |bytes| bytes[from..].fill(with));
            for _ in 0..2 {
                let (_, recovery, found) = open(&disk, settings(SEGMENT_BYTES));
                let context = alloc::format!("segment {segment}, {with} from {from}");
                assert_eq!(recovery.outcome, Outcome::Damaged, "{context}");
                let hole = damage(&found, GroupId(1)).and_then(|damage| damage.hole);
                assert!(hole.is_some(), "{context}: {recovery:?}");
                assert!(disk.names().contains(&name), "{context}");
            }
        }
    }
}
