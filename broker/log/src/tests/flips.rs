//! Every byte of a segment of 64 KiB, flipped once: never wrong bytes, never a silent cut below a mark.

use super::sample::{SEGMENT_BYTES, Sample, assert_told, missing, sample_disk};
use super::{DIRECTORY, settings};
use crate::block::{BlockSeed, decode_block};
use crate::ids::{LogPosition, SegmentId};
use crate::layout::{SegmentFile, lay_out};
use crate::limits::SEGMENT_HEADER_BYTES;
use crate::recover::Findings;
use crate::scan::{Accepted, Scan};
use crate::segment::MarkSlots;
use crate::testing::Collector;

/// What one segment's bytes say, without a disk.
fn read(bytes: &[u8], recorded_end: Option<u32>) -> (Collector, Findings) {
    let seed = BlockSeed::new(DIRECTORY, SegmentId(1));
    let slots = MarkSlots::read(bytes, SegmentId(1), seed);
    let file = SegmentFile {
        segment: SegmentId(1),
        seed,
        bytes,
        declared_bytes: SEGMENT_BYTES,
        marked: slots.marked(),
        recorded_end,
        unreadable: &[],
    };
    let layout = lay_out(&file).expect("no newer version wrote here");
    let mut collector = Collector::default();
    let mut scan = Scan::new(
        &mut collector,
        Accepted::new(),
        Findings::default(),
        &settings(SEGMENT_BYTES),
    );
    layout.read(&file, &mut scan).expect("there is memory");
    let (_, findings) = scan.finish(LogPosition::new(SegmentId(1), layout.end));
    (collector, findings)
}

/// The reading side: the block that stands at `at` is as it was, or an error.
fn assert_blocks(sample: &Sample, bytes: &[u8], flipped: usize) {
    let seed = BlockSeed::new(DIRECTORY, SegmentId(1));
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
        let (found, findings) = read(&bytes, recorded_end);
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
