//! Rot: each byte of a segment, tails cut and zeroed, bad sectors, files gone. Never wrong bytes, never a silent cut
//! below a mark.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{append, entry, open, settings, vote};
use crate::entry::Entry;
use crate::ids::{GroupId, Index, LogPosition, SegmentId};
use crate::layout::{SegmentFile, lay_out};
use crate::limits::SEGMENT_HEADER_BYTES;
use crate::log::Log;
use crate::recover::{Finding, Findings, GroupDamage, Outcome};
use crate::scan::{Accepted, Scan};
use crate::segment::{MarkSlots, SegmentHeader, segment_name};
use crate::settings::LogSettings;
use crate::testing::{Collector, FaultDisk, Random, Survival};
use crate::{BlockSeed, block::decode_block};

const SEGMENT_BYTES: u32 = 64 * 1024;

/// A log of one segment with some dozens of blocks, and what is in it.
struct Sample {
    bytes: Vec<u8>,
    groups: BTreeMap<GroupId, Vec<Entry>>,
    /// The end of all flushes but the last one: the newest mark tells it.
    marked: LogPosition,
    end: LogPosition,
}

fn sample_disk() -> (FaultDisk, Sample) {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    let mut random = Random::new(5);
    let mut groups: BTreeMap<GroupId, Vec<Entry>> = BTreeMap::new();
    let mut marked = LogPosition::ZERO;
    let mut ready = 0;
    while log.sync_end().offset() < SEGMENT_HEADER_BYTES + 14 * 1_024 {
        marked = log.sync_end();
        for group in 1..=3 {
            ready += 1;
            if random.one_in(20) {
                log.submit(vote(group, ready, 1, 1, 0));
                ready += 1;
            }
            let entries = groups.entry(GroupId(group)).or_default();
            let payload = vec![random.next_u64() as u8; 100 + random.below(500) as usize];
            let new = entry(entries.len() as u64 + 1, 1, &payload);
            log.submit(append(
                group,
                ready,
                entries.len() as u64,
                vec![new.clone()],
            ));
            entries.push(new);
        }
        log.flush().expect("the disk works");
    }
    let end = log.sync_end();
    let bytes = disk.content(&segment_name(SegmentId(1)));
    (
        disk,
        Sample {
            bytes,
            groups,
            marked,
            end,
        },
    )
}

/// What one segment's bytes say, without a disk.
fn read(bytes: &[u8], recorded_end: Option<u32>) -> (Collector, Findings, u32) {
    let seed = BlockSeed::new(super::DIRECTORY, SegmentId(1));
    let slots = MarkSlots::read(bytes, SegmentId(1), seed);
    let file = SegmentFile {
        segment: SegmentId(1),
        seed,
        bytes,
        declared_bytes: SEGMENT_BYTES,
        marked: slots.marked(),
        recorded_end,
    };
    let layout = lay_out(&file).expect("no newer version wrote here");
    let mut collector = Collector::default();
    let mut scan = Scan::new(
        &mut collector,
        Accepted::new(),
        Findings::default(),
        u64::MAX,
    );
    layout.read(&file, &mut scan).expect("there is memory");
    let (_, findings) = scan.finish(LogPosition::new(SegmentId(1), layout.end));
    (collector, findings, layout.end)
}

/// What is missing of the sample; panics on wrong bytes.
fn missing(sample: &Sample, found: &Collector) -> Vec<GroupId> {
    let mut missing = Vec::new();
    for (group, entries) in &sample.groups {
        let read = found
            .groups
            .get(group)
            .map(|group| group.entries())
            .unwrap_or_default();
        assert_eq!(read, entries[..read.len()], "wrong bytes in group {group}");
        if read.len() < entries.len() {
            missing.push(*group);
        }
    }
    missing
}

fn damage(found: &Collector, group: GroupId) -> Option<GroupDamage> {
    found.groups.get(&group)?.end.as_ref()?.damage
}

/// Whoever lost something says so, with the first index that is gone.
fn assert_told(sample: &Sample, found: &Collector, context: &str) {
    for group in missing(sample, found) {
        let read = found
            .groups
            .get(&group)
            .map_or(0, |group| group.entries().len() as u64);
        let hole = damage(found, group).and_then(|damage| damage.hole);
        // A group of which not even a name is left cannot say it; the range does.
        let is_known = found.groups.contains_key(&group);
        assert!(
            !is_known || hole == Some(Index(read + 1)),
            "{context}: group {group} lost {} silently",
            read + 1
        );
    }
}

/// The reading side: the block that stands at `at` is as it was, or an error.
fn assert_blocks(sample: &Sample, bytes: &[u8], flipped: usize) {
    let seed = BlockSeed::new(super::DIRECTORY, SegmentId(1));
    let mut at = LogPosition::new(SegmentId(1), SEGMENT_HEADER_BYTES);
    while at < sample.end {
        let whole = decode_block(&sample.bytes, at, seed).expect("the sample is whole");
        if (at.offset() as usize..whole.end.offset() as usize).contains(&flipped) {
            if let Ok(block) = decode_block(bytes, at, seed) {
                assert_eq!(block, whole, "byte {flipped}");
            }
            return;
        }
        at = whole.end;
    }
}

/// Flips one bit of every byte in `range`; `recorded_end`: where the next segment says that this one ended.
fn flip_every_byte(range: core::ops::Range<usize>, is_sealed: bool) {
    let (_, sample) = sample_disk();
    let mut bytes = sample.bytes.clone();
    let recorded_end = is_sealed.then_some(sample.end.offset());
    for at in range {
        let bit = 1 << (at % 8);
        bytes[at] ^= bit;
        let (found, findings, _) = read(&bytes, recorded_end);
        let context = alloc::format!("byte {at}");
        let is_in_last_sync = at >= sample.marked.offset() as usize;
        if is_sealed || !is_in_last_sync {
            assert_told(&sample, &found, &context);
            let is_lost = !missing(&sample, &found).is_empty();
            assert!(
                !is_lost || !findings.list.is_empty(),
                "{context}: nothing told"
            );
        } else {
            missing(&sample, &found);
        }
        assert_blocks(&sample, &bytes, at);
        bytes[at] ^= bit;
    }
}

#[test]
fn every_flipped_byte_of_a_segment_in_use_first_half() {
    flip_every_byte(0..SEGMENT_BYTES as usize / 2, false);
}

#[test]
fn every_flipped_byte_of_a_segment_in_use_second_half() {
    flip_every_byte(SEGMENT_BYTES as usize / 2..SEGMENT_BYTES as usize, false);
}

#[test]
fn every_flipped_byte_of_a_sealed_segment() {
    let end = sample_disk().1.end.offset() as usize;
    flip_every_byte(0..end, true);
}

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
    let whole = decode_block(
        &sample.bytes,
        hit,
        BlockSeed::new(super::DIRECTORY, SegmentId(1)),
    )
    .expect("whole");
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
    crate::disk_trait::Disk::remove(&disk, &names[1]).expect("it is there");
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
    crate::disk_trait::Disk::remove(&disk, &names[0]).expect("it is there");
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
fn a_last_segment_of_which_only_rubble_is_left_is_kept_and_told() {
    let disk = FaultDisk::new();
    let large = settings(2 * 1024 * 1024);
    let (mut log, ..) = open(&disk, large);
    log.submit(append(1, 1, 1, vec![entry(1, 1, b"one")]));
    log.close().expect("the disk works");
    let name = segment_name(SegmentId(2));
    let rubble = crate::disk_trait::Disk::create(&disk, &name).expect("it is new");
    crate::disk_trait::Disk::write_at(&disk, &rubble, 0, &vec![0x77; 2 * 1024 * 1024])
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
    log.write_checkpoint(GroupId(1), Index(8), crate::ids::Term(1), b"state")
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
        Some(crate::LogError::ForeignSegment {
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
        Some(crate::LogError::Version {
            segment: SegmentId(1),
            version: 2
        })
    );
}
