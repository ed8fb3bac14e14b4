//! Scrubbing: whatever rots in a sealed segment is found, with the records that it costs; nothing else is, whatever a crash has left.

use alloc::vec;
use alloc::vec::Vec;

use antiphon_protocol::{Link, RoomId, Seq};
use bytes::Bytes;

use super::script::Script;
use super::{DIRECTORY, append, entry, open, settings};
use crate::block::{BlockSeed, decode_block};
use crate::disk_trait::{DiskError, DiskErrorKind, DiskOp};
use crate::entry::Entry;
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::item::ItemWriter;
use crate::item::tests::write;
use crate::limits::{BLOCK_HEAD_BYTES, SCRUB_READ_BYTES, SEGMENT_HEADER_BYTES};
use crate::log::Log;
use crate::retention::Retention;
use crate::scrub::{LostBlocks, LostRecords, Rot, Scrub, SealedSegment};
use crate::segment::segment_name;
use crate::testing::{Collector, FaultDisk, Survival};

const SEGMENT_BYTES: u32 = 64 * 1024;
const ROOM: RoomId = RoomId(7);
const OTHER: RoomId = RoomId(8);

/// All that is found in one segment, and the bytes read for it.
fn scrub(disk: &FaultDisk, sealed: SealedSegment) -> (Vec<Rot>, u64) {
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut scrub = Scrub::open(disk.clone(), DIRECTORY, sealed).expect("it is there");
    loop {
        let step = scrub.step(&mut |rot| found.push(rot));
        let step = step.expect("the disk works");
        bytes += u64::from(step.bytes);
        if step.is_done {
            return (found, bytes);
        }
    }
}

fn scrub_all(disk: &FaultDisk, sealed: &[SealedSegment]) -> Vec<Rot> {
    let found = sealed.iter().map(|sealed| scrub(disk, *sealed).0);
    found.flatten().collect()
}

fn lost(room: RoomId, first: u64, next: u64) -> LostRecords {
    LostRecords {
        room,
        first: Seq(first),
        next: Seq(next),
    }
}

/// An entry with three records of one room around one of another.
fn batch(index: u64, body: usize) -> Entry {
    let mut writer = ItemWriter::default();
    let first = 3 * (index - 1) + 1;
    let bodies = vec![vec![index as u8; body]; 2];
    let link = write(&mut writer, ROOM, first, Link(1), &bodies).link;
    write(&mut writer, OTHER, index, Link(2), &[vec![9; 40]]);
    write(&mut writer, ROOM, first + 2, link, &[vec![3; 24]]);
    Entry {
        payload: Bytes::from(writer.finish()),
        ..entry(index, 1, b"")
    }
}

/// What batch `index` costs.
fn cost(index: u64) -> Vec<LostRecords> {
    let first = 3 * (index - 1) + 1;
    vec![
        lost(ROOM, first, first + 2),
        lost(OTHER, index, index + 1),
        lost(ROOM, first + 2, first + 3),
    ]
}

/// A log whose first segment is sealed, and where its entries stand.
struct Sealed {
    disk: FaultDisk,
    one: SealedSegment,
    places: Vec<LogPosition>,
}

impl Sealed {
    fn new(segment_bytes: u32, entries: u64, body: usize) -> Self {
        let disk = FaultDisk::new();
        let (mut log, ..) = open(&disk, settings(segment_bytes));
        let mut places = Vec::new();
        for index in 1..=entries {
            log.submit(append(1, index, index - 1, vec![batch(index, body)]));
            let flushed = log.flush().expect("the disk works");
            places.push(flushed.persisted[0].positions[0].1);
        }
        log.roll().expect("the disk works");
        assert_eq!(log.sealed_segments().len(), 1);
        let one = log.sealed_segments()[0];
        assert_eq!((one.segment, one.bytes), (SegmentId(1), segment_bytes));
        Sealed { disk, one, places }
    }

    fn name(&self) -> alloc::string::String {
        segment_name(self.one.segment)
    }

    fn end(&self) -> u32 {
        self.one.end.expect("this life ended it")
    }

    /// What is found once bytes of the first segment are changed.
    fn rotten(&self, change: impl FnOnce(&mut Vec<u8>)) -> Vec<Rot> {
        let disk = self.disk.fork();
        disk.rot(&self.name(), change);
        scrub(&disk, self.one).0
    }

    fn position(&self, offset: u32) -> LogPosition {
        LogPosition::new(self.one.segment, offset)
    }
}

#[test]
fn a_sealed_segment_that_is_whole_is_read_once_up_to_its_end_and_nothing_is_written() {
    let sealed = Sealed::new(SEGMENT_BYTES, 20, 200);
    let (calls, before) = (sealed.disk.calls(), sealed.disk.bytes_read());
    let (found, bytes) = scrub(&sealed.disk, sealed.one);
    assert_eq!((found, bytes), (Vec::new(), u64::from(sealed.end())));
    assert_eq!(sealed.disk.bytes_read() - before, bytes);
    assert_eq!(sealed.disk.calls(), calls, "calls that change something");
}

#[test]
fn a_rotten_record_costs_its_block_and_the_rooms_and_seqs_of_it_are_told() {
    let sealed = Sealed::new(SEGMENT_BYTES, 20, 200);
    // In the body of the first record: frame header, fixed fields, sender before it.
    let at = sealed.places[4].offset() + BLOCK_HEAD_BYTES + 48 + 200;
    let found = sealed.rotten(|bytes| bytes[at as usize] ^= 0x10);
    let expected = LostBlocks {
        from: sealed.places[4],
        end: sealed.places[5],
        entry: Some((GroupId(1), Index(5))),
        records: cost(5),
        is_all_told: true,
    };
    assert_eq!(found, [Rot::Blocks(expected)]);
}

#[test]
fn the_only_record_of_a_block_is_told_though_it_is_the_one_that_rots() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    let mut writer = ItemWriter::default();
    write(&mut writer, ROOM, 41, Link(1), &[vec![1; 100]]);
    let payload = writer.finish();
    let end = payload.len();
    log.submit(append(1, 1, 0, vec![entry(1, 1, &payload)]));
    let at = log.flush().expect("the disk works").persisted[0].positions[0].1;
    log.roll().expect("the disk works");
    let body = at.offset() as usize + BLOCK_HEAD_BYTES as usize + end - 20;
    disk.rot(&segment_name(SegmentId(1)), |bytes| bytes[body] ^= 1);
    let found = scrub_all(&disk, &log.sealed_segments());
    let told = |rot: &Rot| match rot {
        Rot::Blocks(blocks) => Some((blocks.records.clone(), blocks.is_all_told)),
        _ => None,
    };
    let told: Vec<_> = found.iter().map(told).collect();
    assert_eq!(told, [Some((vec![lost(ROOM, 41, 42)], true))]);
}

#[test]
fn behind_a_rotten_head_the_records_are_told_and_the_next_block_is_found() {
    let sealed = Sealed::new(SEGMENT_BYTES, 20, 200);
    for byte in [0, 3, 4, 6, 8, 17, 30] {
        let at = sealed.places[6].offset() + byte;
        let found = sealed.rotten(|bytes| bytes[at as usize] ^= 0x81);
        let [Rot::Blocks(blocks)] = &found[..] else {
            panic!("byte {byte}: {found:?}");
        };
        assert_eq!(
            (blocks.from, blocks.end),
            (sealed.places[6], sealed.places[7]),
            "byte {byte}"
        );
        assert_eq!(blocks.records, cost(7), "byte {byte}");
    }
}

#[test]
fn a_page_that_the_device_refuses_is_told_with_what_stood_on_it_and_the_rest_is_checked() {
    let sealed = Sealed::new(SEGMENT_BYTES, 20, 200);
    let disk = sealed.disk.fork();
    disk.set_bad_page(&sealed.name(), 2);
    // And behind it, so that it shows that reading went on.
    let late = sealed.places[18].offset() + BLOCK_HEAD_BYTES + 260;
    disk.rot(&sealed.name(), |bytes| bytes[late as usize] ^= 1);
    let (found, _) = scrub(&disk, sealed.one);
    let unreadable = Rot::Unreadable {
        from: sealed.position(8_192),
        end: sealed.position(12_288),
    };
    assert_eq!(found[0], unreadable);
    let Rot::Blocks(last) = found.last().expect("not empty") else {
        panic!("{found:?}");
    };
    assert_eq!(last.entry, Some((GroupId(1), Index(19))));
    let stretches = found[1..].iter().map(|rot| match rot {
        Rot::Blocks(blocks) => (blocks.from, blocks.end),
        other => panic!("{other:?}"),
    });
    let stretches: Vec<_> = stretches.collect();
    // All blocks that reach into the page, and no others.
    let touched = |at: &&LogPosition| at.offset() < 12_288;
    let behind = sealed.places[sealed.places.iter().filter(touched).count()];
    let first = sealed.places.iter().rev().find(|at| at.offset() <= 8_192);
    assert_eq!(stretches[0].0, *first.expect("a block begins before it"));
    assert_eq!(stretches[stretches.len() - 2].1, behind);
}

#[test]
fn header_slots_and_a_file_cut_short_are_told() {
    let sealed = Sealed::new(SEGMENT_BYTES, 20, 200);
    let segment = sealed.one.segment;
    let header = sealed.rotten(|bytes| bytes[13] ^= 1);
    assert_eq!(header, [Rot::Header { segment }]);
    let slot = sealed.rotten(|bytes| bytes[1_024 + 9] ^= 1);
    assert_eq!(slot, [Rot::Slot { segment }]);
    let cut = sealed.places[12].offset();
    let short = sealed.rotten(|bytes| bytes.truncate(cut as usize));
    let expected = LostBlocks {
        from: sealed.places[12],
        end: sealed.position(sealed.end()),
        entry: None,
        records: Vec::new(),
        is_all_told: false,
    };
    assert_eq!(short, [Rot::Blocks(expected)]);
}

/// The device lost writes: pages are as the segment was made.
#[test]
fn zeros_where_blocks_stood_are_found_up_to_the_recorded_end() {
    let sealed = Sealed::new(SEGMENT_BYTES, 20, 200);
    let from = sealed.places[15].offset() as usize;
    let found = sealed.rotten(|bytes| bytes[from..].fill(0));
    let [Rot::Blocks(blocks)] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (blocks.from, blocks.end),
        (sealed.places[15], sealed.position(sealed.end()))
    );
    // Nobody tells where it ended: zeros are its end then.
    let disk = sealed.disk.fork();
    disk.rot(&sealed.name(), |bytes| bytes[from..].fill(0));
    let unknown = SealedSegment {
        end: None,
        ..sealed.one
    };
    assert_eq!(scrub(&disk, unknown).0, []);
    let at = sealed.places[3].offset() as usize;
    disk.rot(&sealed.name(), |bytes| bytes[at + 70] ^= 1);
    assert_eq!(scrub(&disk, unknown).0.len(), 1);
}

/// But padding, which no checksum covers and nobody reads.
#[test]
fn every_byte_of_every_block_is_watched() {
    let sealed = Sealed::new(8 * 1024, 4, 60);
    let seed = BlockSeed::new(DIRECTORY, sealed.one.segment);
    let content = sealed.disk.content(&sealed.name());
    let mut at = sealed.position(SEGMENT_HEADER_BYTES);
    let mut tried = 0;
    while at.offset() < sealed.end() {
        let block = decode_block(&content, at, seed).expect("whole");
        for byte in at.offset()..at.offset() + BLOCK_HEAD_BYTES + block.head.len {
            let disk = sealed.disk.fork();
            disk.rot(&sealed.name(), |bytes| bytes[byte as usize] ^= 0x40);
            let (found, _) = scrub(&disk, sealed.one);
            let covers = |rot: &Rot| matches!(rot, Rot::Blocks(blocks) if (blocks.from.offset()..blocks.end.offset()).contains(&byte));
            assert!(found.iter().any(covers), "byte {byte}: {found:?}");
            tried += 1;
        }
        at = block.end;
    }
    assert!(tried > 1_000, "{tried}");
}

/// A step is what a sync may have to wait for.
#[test]
fn a_step_reads_one_piece_and_a_large_block_is_checked_though_it_spans_several() {
    let sealed = Sealed::new(4 * 1024 * 1024, 4, 400_000);
    let mut scrub = Scrub::open(sealed.disk.clone(), DIRECTORY, sealed.one).expect("there");
    let mut steps = Vec::new();
    loop {
        let step = scrub.step(&mut |rot| panic!("{rot:?}")).expect("works");
        steps.push(step.bytes);
        if step.is_done {
            break;
        }
    }
    let largest = steps.iter().max().copied().unwrap_or_default();
    assert!(largest <= 4 * SCRUB_READ_BYTES, "{steps:?}");
    assert!(steps.len() >= 4, "{steps:?}");
    assert_eq!(steps.iter().sum::<u32>(), sealed.end());
    let at = sealed.places[2].offset() as usize + 500_000;
    let found = sealed.rotten(|bytes| bytes[at] ^= 1);
    let [Rot::Blocks(blocks)] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((blocks.from, &blocks.records), (sealed.places[2], &cost(3)));
}

#[test]
fn a_segment_that_was_let_go_is_missing_and_its_list_is_kept() {
    let disk = FaultDisk::new();
    let mut with = settings(8 * 1024);
    with.retention = Retention {
        bytes: 1,
        age_ms: 0,
    };
    let (mut log, ..) = open(&disk, with);
    for index in 1..=9 {
        log.submit(append(1, index, index - 1, vec![batch(index, 600)]));
        log.flush().expect("the disk works");
    }
    let all = log.sealed_segments();
    assert!(all.len() >= 2, "{all:?}");
    assert_eq!(scrub_all(&disk, &all), []);
    for index in [8, 9] {
        log.write_checkpoint(GroupId(1), Index(index), Term(1), b"state")
            .expect("the disk works");
        log.flush().expect("the disk works");
    }
    log.retain().expect("the disk works");
    assert!(log.first_kept() > all[0].segment, "it was let go");
    log.remove_dead();
    let kept = log.sealed_segments();
    assert!(kept.iter().all(|one| one.segment >= log.first_kept()));
    assert_eq!(scrub_all(&disk, &kept), []);
    let gone = Scrub::open(disk, DIRECTORY, all[0]).err();
    let missing = DiskError {
        op: DiskOp::Open,
        kind: DiskErrorKind::Missing,
    };
    assert_eq!(gone, Some(missing));
}

/// The process ends at each call that changes the disk, the power goes or not; the next life seals what it found, and a scrub takes nothing of what the
/// crash has left for rot. Then one bit of each segment rots, and it is found; the life after that opens as it would have without a scrub.
fn crash_everywhere(seed: u64) -> (u64, u64) {
    let (mut segments, mut rotted) = (0, 0);
    let script = Script::generate(seed, 40);
    let small = settings(8 * 1024);
    let disk = FaultDisk::new();
    let (log, ..) = open(&disk, small);
    script.run(log).1.expect("nothing fails without a fault");
    for call in 1..=disk.calls() {
        let disk = FaultDisk::new();
        disk.crash_at(call);
        if let Ok((log, _)) = Log::open(disk.clone(), small, &mut Collector::default()) {
            // How far it came is of no matter here.
            let _ = script.run(log);
        }
        for survival in [Survival::Kept, Survival::Lost, Survival::Mixed(call)] {
            let disk = disk.lose_power(survival);
            let (mut log, ..) = open(&disk, small);
            log.roll().expect("the disk works");
            let sealed = log.sealed_segments();
            let calls = disk.calls();
            let context = alloc::format!("seed {seed}, call {call}, {survival:?}");
            assert_eq!(scrub_all(&disk, &sealed), [], "{context}");
            assert_eq!(disk.calls(), calls, "{context}: a scrub changes nothing");
            segments += sealed.len() as u64;
            drop(log);
            // The next life knows the same segments and ends, from the disk alone.
            let next = disk.lose_power(Survival::Lost);
            let (log, ..) = open(&next, small);
            assert_eq!(log.sealed_segments(), sealed, "{context}");
            rotted += rot_one_bit(&next, &sealed, call, &context);
        }
    }
    (segments, rotted)
}

fn rot_one_bit(disk: &FaultDisk, sealed: &[SealedSegment], draw: u64, context: &str) -> u64 {
    let mut rotted = 0;
    for one in sealed {
        let end = one.end.unwrap_or_default();
        // In the head of some block, all of which is covered: the first one's.
        let at = SEGMENT_HEADER_BYTES + (draw % u64::from(BLOCK_HEAD_BYTES)) as u32;
        if at < end {
            let disk = disk.fork();
            disk.rot(&segment_name(one.segment), |bytes| bytes[at as usize] ^= 4);
            let (found, _) = scrub(&disk, *one);
            assert_eq!(found.len(), 1, "{context}, {one:?}: {found:?}");
            rotted += 1;
        }
    }
    rotted
}

#[test]
fn what_a_crash_leaves_is_no_rot_at_any_call_and_rot_is_found_behind_every_crash() {
    let (mut segments, mut rotted) = (0, 0);
    for seed in 0..2 {
        let done = crash_everywhere(seed);
        segments += done.0;
        rotted += done.1;
    }
    assert!(segments > 500 && rotted > 500, "{segments}, {rotted}");
}
