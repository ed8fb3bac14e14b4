//! The index against a naive list, and what it costs.

use alloc::vec::Vec;
use std::collections::HashMap;

use antiphon_protocol::{RoomId, Seq};
use proptest::prelude::*;

use crate::index::{Located, RoomIndex};
use crate::{LogPosition, SegmentId};

const ROOM: RoomId = RoomId(7);

fn at(segment: u32, offset: u32) -> LogPosition {
    LogPosition::new(SegmentId(segment), offset)
}

fn batch(first: u64, next: u64, at: LogPosition) -> Located {
    Located {
        first: Seq(first),
        next: Seq(next),
        at,
    }
}

fn found(index: &RoomIndex, seq: u64) -> Vec<Located> {
    index.locate(ROOM, Seq(seq)).collect()
}

#[test]
fn an_unknown_room_has_no_batches() {
    let index = RoomIndex::new(1);
    assert_eq!(found(&index, 1), []);
    assert_eq!((index.first_seq(ROOM), index.next_seq(ROOM)), (None, None));
}

#[test]
fn runs_inside_one_block_are_one_batch() {
    let mut index = RoomIndex::new(1);
    index.insert(ROOM, Seq(1), Seq(3), at(1, 4096));
    index.insert(ROOM, Seq(3), Seq(9), at(1, 4096));
    assert_eq!(found(&index, 1), [batch(1, 9, at(1, 4096))]);
    assert_eq!(index.batches(), 1);
}

#[test]
fn a_seq_in_a_hole_gives_the_first_batch_above_it() {
    let mut index = RoomIndex::new(1);
    index.insert(ROOM, Seq(5), Seq(6), at(1, 4096));
    index.insert(ROOM, Seq(20), Seq(22), at(2, 4096));
    index.insert(ROOM, Seq(22), Seq(23), at(2, 8192));
    let tail = [batch(20, 22, at(2, 4096)), batch(22, 23, at(2, 8192))];
    assert_eq!(found(&index, 1)[0], batch(5, 6, at(1, 4096)));
    assert_eq!(found(&index, 6), tail);
    assert_eq!(found(&index, 21), tail);
    assert_eq!(found(&index, 22), tail[1..]);
    assert_eq!(found(&index, 23), []);
    assert_eq!(
        (index.first_seq(ROOM), index.next_seq(ROOM)),
        (Some(Seq(5)), Some(Seq(23)))
    );
}

#[test]
#[should_panic(expected = "INV-INDEX-3")]
fn a_batch_below_the_last_is_a_bug() {
    let mut index = RoomIndex::new(1);
    index.insert(ROOM, Seq(1), Seq(3), at(1, 4096));
    index.insert(ROOM, Seq(2), Seq(4), at(1, 8192));
}

#[test]
#[should_panic(expected = "INV-INDEX-4")]
fn a_batch_at_an_older_position_is_a_bug() {
    let mut index = RoomIndex::new(1);
    index.insert(ROOM, Seq(1), Seq(3), at(2, 4096));
    index.insert(ROOM, Seq(3), Seq(4), at(1, 8192));
}

/// One room that takes every third 4 KiB block over many segments: the worst case for steps is small too.
#[test]
fn a_batch_of_a_busy_room_costs_less_than_five_bytes() {
    let mut index = RoomIndex::new(1);
    let batches: u64 = 200_000;
    for n in 0..batches {
        let block = n * 3 * 4096;
        let position = at(
            1 + (block >> 26) as u32,
            4096 + (block & ((1 << 26) - 1)) as u32,
        );
        index.insert(ROOM, Seq(1 + n * 5), Seq(6 + n * 5), position);
    }
    let bytes = index.memory_bytes() as u64;
    assert!(bytes < 5 * batches, "{bytes} bytes for {batches} batches");
    let last = found(&index, batches * 5)[0];
    assert_eq!(
        (last.first, last.next),
        (Seq(batches * 5 - 4), Seq(batches * 5 + 1))
    );
}

/// The chat corpus: 7,000 rooms, 256,000 batches of one record, rooms interleaved at random.
#[test]
fn the_corpus_costs_less_than_five_megabytes() {
    let mut index = RoomIndex::new(1);
    let mut heads: HashMap<u64, u64> = HashMap::new();
    let mut draw: u64 = 1;
    for n in 0..256_000_u64 {
        draw = draw
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let room = (draw >> 33) % 7_000;
        let seq = heads.entry(room).and_modify(|seq| *seq += 1).or_insert(1);
        let byte = n * 360;
        let position = at(
            1 + (byte >> 26) as u32,
            4096 + (byte & ((1 << 26) - 1)) as u32,
        );
        index.insert(RoomId(room), Seq(*seq), Seq(*seq + 1), position);
    }
    assert_eq!(index.batches(), 256_000);
    let bytes = index.memory_bytes();
    assert!(bytes < 5_000_000, "{bytes} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn locate_agrees_with_a_naive_list(
        steps in prop::collection::vec((0_u64..3, 1_u64..400, 0_u32..3, 1_u32..100_000), 1..700),
        probes in prop::collection::vec(0_u64..120_000, 20),
        mut cuts in prop::collection::vec(0_u32..300, 0..4),
    ) {
        cuts.sort_unstable();
        let mut index = RoomIndex::new(3);
        let mut naive: Vec<Located> = Vec::new();
        let (mut seq, mut position) = (1, at(1, 4096));
        for (hole, records, segments, blocks) in steps {
            let first = seq + hole.saturating_sub(1) * 7;
            seq = first + records;
            position = if segments == 2 {
                at(position.segment().0 + 1, 4096)
            } else {
                at(position.segment().0, position.offset() + blocks * 8)
            };
            index.insert(ROOM, Seq(first), Seq(seq), position);
            naive.push(batch(first, seq, position));
        }
        for end in cuts {
            // Trimmed step by step, also between insertions, as a log that goes on does.
            index.trim(SegmentId(end));
            naive.retain(|batch| batch.at.segment() >= SegmentId(end));
            prop_assert_eq!(index.batches(), naive.len() as u64);
            prop_assert_eq!(index.first_seq(ROOM), naive.first().map(|batch| batch.first));
            prop_assert_eq!(index.next_seq(ROOM), naive.last().map(|batch| batch.next));
            prop_assert_eq!(index.rooms(), usize::from(!naive.is_empty()));
            seq += 1;
            position = at(position.segment().0, position.offset() + 8);
            index.insert(ROOM, Seq(seq - 1), Seq(seq), position);
            naive.push(batch(seq - 1, seq, position));
        }
        for probe in probes {
            let expected: Vec<Located> =
                naive.iter().copied().filter(|batch| batch.next > Seq(probe)).collect();
            prop_assert_eq!(found(&index, probe), expected);
        }
        prop_assert_eq!(index.batches(), naive.len() as u64);
        prop_assert_eq!(index.first_seq(ROOM), Some(naive[0].first));
    }
}
