//! Records copied out of blocks, against a naive list of whole frames.

use alloc::vec::Vec;

use antiphon_protocol::{Link, Record, RoomId, Seq, records};
use proptest::prelude::*;

use crate::block::{Block, BlockHead, BlockKind, BlockSeed, encode_block};
use crate::entry::EntryKind;
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::item::ItemWriter;
use crate::item::tests::write;
use crate::limits::SEGMENT_HEADER_BYTES;
use crate::read::{ReadError, RoomReader, RoomSlice, Wants, read_block, read_room};

const ROOM: RoomId = RoomId(7);
const OTHER: RoomId = RoomId(8);

fn block(payload: &[u8], offset: u32) -> Block<'_> {
    let head = BlockHead {
        kind: BlockKind::Append(EntryKind::Normal),
        group: GroupId(1),
        sync_end: LogPosition::ZERO,
        index: Index(1),
        term: Term(1),
        commit: Index(0),
        len: payload.len() as u32,
    };
    let at = LogPosition::new(SegmentId(1), offset);
    Block {
        head,
        payload,
        at,
        end: LogPosition::new(SegmentId(1), offset + 48),
    }
}

/// A payload with records of `ROOM` from `first` on, in two items with another room between; and the link after them.
fn payload(first: u64, link: Link, bodies: &[Vec<u8>]) -> (Vec<u8>, Link) {
    let mut writer = ItemWriter::default();
    let (head, tail) = bodies.split_at(bodies.len().div_ceil(2));
    let mut link = write(&mut writer, ROOM, first, link, head).link;
    write(&mut writer, OTHER, 1, Link(0), &[b"noise".to_vec()]);
    if !tail.is_empty() {
        link = write(&mut writer, ROOM, first + head.len() as u64, link, tail).link;
    }
    (writer.finish(), link)
}

/// Each record of the payload's `ROOM`: (seq, frame, link before it).
fn naive(payload: &[u8], mut link: Link) -> Vec<(Seq, Vec<u8>, Link)> {
    let mut all = Vec::new();
    for item in crate::Items::new(payload).flatten() {
        let crate::Item::Records(item) = item else {
            continue;
        };
        for record in records(item.records)
            .flatten()
            .filter(|_| item.room == ROOM)
        {
            all.push((record.seq(), record.whole().to_vec(), link));
            link = record.link();
        }
    }
    all
}

#[test]
fn a_room_or_seq_that_is_not_there_is_said_so() {
    let (payload, _) = payload(5, Link(3), &[b"a".to_vec(), b"b".to_vec()]);
    let block = block(&payload, 4096);
    let mut out = Vec::new();
    for (room, from) in [(RoomId(9), Seq(1)), (ROOM, Seq(7))] {
        let expected = ReadError::NotThere {
            at: block.at,
            room,
            from,
        };
        assert_eq!(read_room(&block, room, from, 1000, &mut out), Err(expected));
    }
    assert_eq!(out, []);
}

#[test]
fn the_first_record_is_copied_even_over_the_budget() {
    let (payload, _) = payload(5, Link(3), &[b"a".to_vec(), b"b".to_vec()]);
    let mut out = Vec::new();
    let slice = read_room(&block(&payload, 4096), ROOM, Seq(1), 1, &mut out);
    let expected = RoomSlice {
        first: Seq(5),
        next: Seq(6),
        link_before: Link(3),
    };
    assert_eq!(slice, Ok(expected));
    assert_eq!(Record::parse(&out).map(|record| record.seq()), Ok(Seq(5)));
}

#[test]
fn a_slice_ends_before_a_hole() {
    let (before, _) = payload(1, Link(3), &[b"a".to_vec()]);
    let (after, _) = payload(5, Link(4), &[b"b".to_vec()]);
    let mut out = Vec::new();
    let mut reader = RoomReader::new(ROOM, Seq(1), 10, 10_000, &mut out);
    assert_eq!(reader.take(&block(&before, 4096)), Ok(Wants::More));
    assert_eq!(reader.take(&block(&after, 8192)), Ok(Wants::Nothing));
    let expected = RoomSlice {
        first: Seq(1),
        next: Seq(2),
        link_before: Link(3),
    };
    assert_eq!(reader.finish(), Some(expected));
}

#[test]
fn records_that_are_not_those_announced_are_refused() {
    let (mut payload, _) = payload(1, Link(3), &[b"a".to_vec()]);
    payload[16] = 2; // first_seq of the first item
    let block = block(&payload, 4096);
    let expected = ReadError::Records {
        at: block.at,
        room: ROOM,
    };
    assert_eq!(
        read_room(&block, ROOM, Seq(1), 1000, &mut Vec::new()),
        Err(expected)
    );
}

/// A segment with two batches of `ROOM`, one record each.
fn segment(seed: BlockSeed) -> (Vec<u8>, [LogPosition; 2], LogPosition) {
    let mut bytes = alloc::vec![0; SEGMENT_HEADER_BYTES as usize];
    let at = |bytes: &Vec<u8>| LogPosition::new(SegmentId(1), bytes.len() as u32);
    let mut link = Link(3);
    let starts = [1, 2].map(|first| {
        let (payload, after) = payload(first, link, &[b"text".to_vec()]);
        link = after;
        let start = at(&bytes);
        let head = block(&payload, start.offset()).head;
        encode_block(&mut bytes, &head, &payload, start, seed);
        start
    });
    let end = at(&bytes);
    (bytes, starts, end)
}

#[test]
fn no_flipped_bit_of_a_segment_reaches_a_reader() {
    let seed = BlockSeed::new(7, SegmentId(1));
    let (good, starts, end) = segment(seed);
    let read = |bytes: &[u8], at, from| {
        let block = read_block(bytes, at, end, seed)?;
        let mut out = Vec::new();
        let slice = read_room(&block, ROOM, Seq(from), 10_000, &mut out)?;
        Ok::<_, ReadError>((slice, out))
    };
    for (start, from) in starts.into_iter().zip(1..) {
        let expected = read(&good, start, from).expect("it is whole");
        for at in 0..good.len() * 8 {
            let mut broken = good.clone();
            broken[at / 8] ^= 1 << (at % 8);
            match read(&broken, start, from) {
                Ok(found) => assert_eq!(found, expected, "bit {at}"),
                Err(error) => assert!(
                    matches!(error, ReadError::Block { .. }),
                    "bit {at}: {error}"
                ),
            }
        }
    }
}

#[test]
fn only_batches_wholly_below_the_synced_end_are_read() {
    let seed = BlockSeed::new(7, SegmentId(1));
    let (bytes, [first, second], end) = segment(seed);
    let before = |at: LogPosition| LogPosition::new(at.segment(), at.offset() - 1);
    assert!(read_block(&bytes, first, second, seed).is_ok());
    let not_synced = ReadError::NotSynced { at: first };
    assert_eq!(read_block(&bytes, first, first, seed), Err(not_synced));
    assert_eq!(
        read_block(&bytes, first, before(second), seed),
        Err(not_synced)
    );
    let cut = &bytes[..before(end).offset() as usize];
    assert!(matches!(
        read_block(cut, second, end, seed),
        Err(ReadError::Block { .. })
    ));
    let later = LogPosition::new(SegmentId(2), SEGMENT_HEADER_BYTES);
    assert!(read_block(&bytes, second, later, seed).is_ok());
}

#[test]
fn a_block_that_is_no_batch_is_refused() {
    let seed = BlockSeed::new(7, SegmentId(1));
    let mut bytes = alloc::vec![0; SEGMENT_HEADER_BYTES as usize];
    let at = LogPosition::new(SegmentId(1), SEGMENT_HEADER_BYTES);
    let head = BlockHead {
        kind: BlockKind::HardState,
        index: Index(0),
        ..block(&[0; 8], at.offset()).head
    };
    encode_block(&mut bytes, &head, &[0; 8], at, seed);
    let below = LogPosition::new(SegmentId(2), 0);
    assert_eq!(
        read_block(&bytes, at, below, seed),
        Err(ReadError::NotABatch { at })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_slice_is_what_a_naive_reader_would_copy(
        batches in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 1..5),
        first in 1_u64..1000,
        skip in 0_u64..20,
        records_max in 1_u32..12,
        bytes_max in 1_usize..1500,
    ) {
        let mut blocks = Vec::new();
        let mut expected = Vec::new();
        let (mut next, mut link) = (first, Link(99));
        for bodies in &batches {
            let (payload, after) = payload(next, link, bodies);
            expected.extend(naive(&payload, link));
            blocks.push(payload);
            next += bodies.len() as u64;
            link = after;
        }
        let from = Seq(first + skip);
        let mut out = b"before".to_vec();
        let mut reader = RoomReader::new(ROOM, from, records_max, bytes_max, &mut out);
        for (payload, offset) in blocks.iter().zip(1_u32..) {
            if reader.take(&block(payload, offset * 4096)) == Ok(Wants::Nothing) {
                break;
            }
        }
        let slice = reader.finish();

        let mut naive_out = b"before".to_vec();
        let mut naive_slice: Option<RoomSlice> = None;
        for (taken, (seq, frame, link_before)) in
            expected.into_iter().filter(|(seq, ..)| *seq >= from).enumerate()
        {
            let bytes = naive_out.len() - b"before".len() + frame.len();
            if taken > 0 && (taken >= records_max as usize || bytes > bytes_max) {
                break;
            }
            naive_out.extend_from_slice(&frame);
            let slice = naive_slice.get_or_insert(RoomSlice { first: seq, next: seq, link_before });
            slice.next = seq.next();
        }
        prop_assert_eq!(slice, naive_slice);
        prop_assert_eq!(out, naive_out);
    }

    #[test]
    fn a_broken_payload_is_answered(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        from in 0_u64..8,
    ) {
        let (mut payload, _) = payload(1, Link(3), &bodies);
        for (place, byte) in breaks {
            let place = place.index(payload.len());
            payload[place] = byte;
        }
        let mut out = Vec::new();
        if let Ok(slice) = read_room(&block(&payload, 4096), ROOM, Seq(from), 10_000, &mut out) {
            prop_assert!(slice.first < slice.next);
        }
    }
}
