use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{
    Block, BlockError, BlockHead, BlockKind, BlockSeed, block_bytes, decode_block, encode_block,
};
use crate::entry::EntryKind;
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::limits::{BLOCK_PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES};

const AT: LogPosition = LogPosition::new(SegmentId(3), SEGMENT_HEADER_BYTES);

fn seed() -> BlockSeed {
    BlockSeed::new(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100, SegmentId(3))
}

fn head(kind: BlockKind) -> BlockHead {
    BlockHead {
        kind,
        group: GroupId(2),
        sync_end: LogPosition::new(SegmentId(2), 0x1234),
        index: Index(0x55),
        term: Term(6),
        commit: Index(0x54),
        len: 0,
    }
}

/// A segment that holds one block behind an empty first page.
fn segment(head: &BlockHead, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; SEGMENT_HEADER_BYTES as usize];
    encode_block(&mut segment, head, payload, AT, seed());
    segment
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| alloc::format!("{byte:02x}"))
        .collect()
}

fn golden(kind: BlockKind, payload: &[u8]) -> String {
    let mut out = Vec::new();
    let head = match kind {
        BlockKind::Append(_) | BlockKind::HardState | BlockKind::Checkpoint => head(kind),
        _ => BlockHead::mark(kind, LogPosition::new(SegmentId(2), 0x1234)),
    };
    encode_block(&mut out, &head, payload, AT, seed());
    hex(&out)
}

#[test]
fn blocks_have_these_bytes() {
    let kinds = [
        (BlockKind::Append(EntryKind::Normal), &b"hello"[..]),
        (BlockKind::Append(EntryKind::ConfChange), &[]),
        (BlockKind::Append(EntryKind::ConfChangeV2), &[]),
        (BlockKind::HardState, &[9, 0, 0, 0, 0, 0, 0, 0]),
        (BlockKind::Mark, &[]),
        (BlockKind::End, &[]),
        (BlockKind::Checkpoint, &[1; 16]),
    ];
    let found: Vec<String> = kinds
        .iter()
        .map(|(kind, payload)| golden(*kind, payload))
        .collect();
    assert_eq!(found, GOLDEN);
}

/// Made by an independent program from docs/log-format.md.
const GOLDEN: [&str; 7] = [
    "050000000200e0c2e188f0ef02000000341200000200000055000000000000000600000000000000540000000000000068656c6c6f000000",
    "00000000020123b2e783c431020000003412000002000000550000000000000006000000000000005400000000000000",
    "000000000202875213709422020000003412000002000000550000000000000006000000000000005400000000000000",
    "080000000400af83d4888ff00200000034120000020000005500000000000000060000000000000054000000000000000900000000000000",
    "0000000005001609e235f43c000000003412000002000000000000000000000000000000000000000000000000000000",
    "00000000060068957b9d1308000000003412000002000000000000000000000000000000000000000000000000000000",
    "100000000700fa970b30f5de02000000341200000200000055000000000000000600000000000000540000000000000001010101010101010101010101010101",
];

#[test]
fn every_flipped_bit_of_head_and_payload_is_found() {
    let good = segment(&head(BlockKind::Append(EntryKind::Normal)), b"12345678");
    for at in SEGMENT_HEADER_BYTES as usize..good.len() {
        for bit in 0..8 {
            let mut broken = good.clone();
            broken[at] ^= 1 << bit;
            let error = decode_block(&broken, AT, seed()).err();
            let in_head = at < SEGMENT_HEADER_BYTES as usize + 48;
            let crc = (SEGMENT_HEADER_BYTES as usize + 8..SEGMENT_HEADER_BYTES as usize + 12)
                .contains(&at);
            if in_head && !crc {
                assert_eq!(error, Some(BlockError::Head), "bit {bit} of byte {at}");
            } else {
                assert!(
                    matches!(error, Some(BlockError::Payload(_))),
                    "bit {bit} of byte {at}: {error:?}"
                );
            }
        }
    }
}

#[test]
fn a_block_is_bound_to_its_place_and_directory() {
    let bytes = segment(&head(BlockKind::Append(EntryKind::Normal)), b"x");
    assert!(decode_block(&bytes, AT, seed()).is_ok());
    let elsewhere = LogPosition::new(SegmentId(4), AT.offset());
    assert_eq!(
        decode_block(&bytes, elsewhere, seed()),
        Err(BlockError::Head)
    );
    assert_eq!(
        decode_block(&bytes, AT, BlockSeed::new(1, SegmentId(3))),
        Err(BlockError::Head)
    );
    let mut moved = bytes.clone();
    moved.splice(
        SEGMENT_HEADER_BYTES as usize..SEGMENT_HEADER_BYTES as usize,
        [0; 8],
    );
    assert_eq!(
        decode_block(
            &moved,
            LogPosition::new(SegmentId(3), AT.offset() + 8),
            seed()
        ),
        Err(BlockError::Head)
    );
}

#[test]
fn a_length_is_bounded_before_use() {
    let mut bytes = segment(&head(BlockKind::Append(EntryKind::Normal)), b"x");
    let at = SEGMENT_HEADER_BYTES as usize;
    for len in [
        BLOCK_PAYLOAD_BYTES_MAX,
        BLOCK_PAYLOAD_BYTES_MAX + 1,
        u32::MAX,
    ] {
        bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
        assert_eq!(decode_block(&bytes, AT, seed()), Err(BlockError::Head));
    }
}

#[test]
fn zeros_are_blank_and_odd_places_are_refused() {
    let blank = vec![0; SEGMENT_HEADER_BYTES as usize + 48];
    assert_eq!(decode_block(&blank, AT, seed()), Err(BlockError::Blank));
    for offset in [
        0,
        SEGMENT_HEADER_BYTES - 8,
        SEGMENT_HEADER_BYTES + 4,
        SEGMENT_HEADER_BYTES + 8,
    ] {
        let at = LogPosition::new(SegmentId(3), offset);
        assert_eq!(
            decode_block(&blank, at, seed()),
            Err(BlockError::OutOfBounds)
        );
    }
}

#[test]
fn a_block_of_a_newer_version_is_told_apart_from_damage() {
    let mut bytes = segment(&head(BlockKind::Append(EntryKind::Normal)), b"x");
    let at = SEGMENT_HEADER_BYTES as usize;
    bytes[at + 4] = 3;
    let mut head = [0; 48];
    head.copy_from_slice(&bytes[at..at + 48]);
    let sum = super::head_sum(&head, AT, seed());
    bytes[at + 6..at + 8].copy_from_slice(&super::fold(sum).to_le_bytes());
    assert_eq!(
        decode_block(&bytes, AT, seed()),
        Err(BlockError::Head),
        "the rest of it is not known to be right"
    );
    bytes[at + 8..at + 12].copy_from_slice(&crc32c::crc32c_append(sum, b"x").to_le_bytes());
    assert_eq!(
        decode_block(&bytes, AT, seed()),
        Err(BlockError::UnknownKind { kind: 3, flags: 0 })
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        group: u32, index: u64, term: u64, commit: u64, payload in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let head = BlockHead {
            kind: BlockKind::Append(EntryKind::Normal),
            group: GroupId(group),
            sync_end: AT,
            index: Index(index),
            term: Term(term),
            commit: Index(commit),
            len: payload.len() as u32,
        };
        let bytes = segment(&head, &payload);
        let end = LogPosition::new(SegmentId(3), AT.offset() + block_bytes(head.len));
        prop_assert_eq!(decode_block(&bytes, AT, seed()), Ok(Block { head, payload: &payload, at: AT, end }));
        prop_assert_eq!(bytes.len(), end.offset() as usize);
        for cut in AT.offset() as usize..bytes.len() {
            prop_assert!(decode_block(&bytes[..cut], AT, seed()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), offset in 0_u32..5_000) {
        let mut segment = vec![0; SEGMENT_HEADER_BYTES as usize];
        segment.extend_from_slice(&bytes);
        prop_assert!(decode_block(&segment, LogPosition::new(SegmentId(3), offset), seed()).is_err());
    }
}
