//! Whatever has a right checksum and something that this version does not know is refused, so that a later version can
//! give it a meaning.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::{DIRECTORY, open, settings, vote};
use crate::block::{BlockError, BlockHead, BlockKind, BlockSeed, decode_block, encode_block};
use crate::error::LogError;
use crate::group::GroupState;
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::limits::SEGMENT_HEADER_BYTES;
use crate::log::Log;
use crate::segment::segment_name;
use crate::state::{decode_state, encode_state};
use crate::testing::{Collector, FaultDisk};

const SEGMENT_BYTES: u32 = 8 * 1024;

fn state_of_one_group() -> Vec<u8> {
    let groups = BTreeMap::from([(GroupId(1), GroupState::default())]);
    encode_state(LogPosition::ZERO, &groups)
}

#[test]
fn state_tells_a_group_without_entries_as_written() {
    let state = state_of_one_group();
    let field = |at: usize| u64::from_le_bytes(*state[16 + at..].first_chunk().expect("long"));
    assert_eq!(field(32), field(40) + 1, "first, last + 1");
}

#[test]
fn reserved_fields_and_unknown_flags_of_state_are_refused() {
    let state = state_of_one_group();
    assert!(decode_state(&state).is_some());
    for (what, at) in [
        ("reserved", 2),
        ("flag bit 2", 20),
        ("flag bit 26", 23),
        ("hole without its flag", 16 + 64),
        ("reserved of the group", 16 + 76),
    ] {
        let mut changed = state.clone();
        changed[at] |= 4;
        assert_eq!(decode_state(&changed), None, "{what}");
    }
    let mut changed = state;
    changed[16 + 74] = 8;
    changed.extend_from_slice(&[1; 8]);
    assert_eq!(decode_state(&changed), None, "membership");
}

/// A block as a newer version might write it.
fn written(head: BlockHead, payload: &[u8]) -> Result<BlockKind, BlockError> {
    let at = LogPosition::new(SegmentId(1), SEGMENT_HEADER_BYTES);
    let seed = BlockSeed::new(DIRECTORY, SegmentId(1));
    let mut bytes = vec![0; SEGMENT_HEADER_BYTES as usize];
    encode_block(&mut bytes, &head, payload, at, seed);
    decode_block(&bytes, at, seed).map(|block| block.head.kind)
}

#[test]
fn a_block_with_fields_that_its_kind_does_not_have_is_refused() {
    let kinds = [
        (BlockKind::State, state_of_one_group()),
        (BlockKind::HardState, vec![1; 8]),
        (BlockKind::Mark, vec![]),
        (BlockKind::End, vec![]),
        (
            BlockKind::Checkpoint,
            [[1; 12].as_slice(), &[0; 4]].concat(),
        ),
    ];
    for (kind, payload) in kinds {
        let plain = BlockHead::mark(kind, LogPosition::ZERO);
        assert_eq!(written(plain, &payload), Ok(kind));
        let is_of_a_group = matches!(kind, BlockKind::HardState | BlockKind::Checkpoint);
        let group = BlockHead {
            group: GroupId(1),
            term: Term(1),
            commit: Index(1),
            ..plain
        };
        assert_eq!(written(group, &payload).is_ok(), is_of_a_group, "{kind:?}");
        let index = BlockHead {
            index: Index(1),
            ..plain
        };
        let has_index = kind == BlockKind::Checkpoint;
        assert_eq!(written(index, &payload).is_ok(), has_index, "{kind:?}");
        if kind != BlockKind::State {
            let longer = [payload.as_slice(), &[0; 8]].concat();
            let refused = matches!(written(plain, &longer), Err(BlockError::UnknownKind { .. }));
            assert!(refused, "{kind:?}");
        }
    }
    let reserved = written(
        BlockHead::mark(BlockKind::Checkpoint, LogPosition::ZERO),
        &[1; 16],
    );
    assert!(matches!(reserved, Err(BlockError::UnknownKind { .. })));
}

/// Opens a log of one segment after `change`.
fn opened(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), LogError> {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    log.submit(vote(1, 1, 1, 1, 0));
    log.flush().expect("the disk works");
    drop(log);
    disk.rot(&segment_name(SegmentId(1)), change);
    let before = disk.names();
    let opened = Log::open(
        disk.clone(),
        settings(SEGMENT_BYTES),
        &mut Collector::default(),
    );
    assert_eq!(disk.names(), before, "nothing is touched");
    opened.map(|_| ())
}

fn unknown(what: &'static str) -> Result<(), LogError> {
    Err(LogError::UnknownFields {
        segment: SegmentId(1),
        what,
    })
}

#[test]
fn reserved_bytes_of_a_header_are_refused() {
    for at in [10, 11, 36, 39] {
        let change = |bytes: &mut Vec<u8>| {
            bytes[at] = 1;
            let crc = crc32c::crc32c(&bytes[..40]);
            bytes[40..44].copy_from_slice(&crc.to_le_bytes());
        };
        assert_eq!(opened(change), unknown("header"), "byte {at}");
    }
}

#[test]
fn reserved_bytes_of_a_mark_slot_are_refused() {
    let change = |bytes: &mut Vec<u8>| {
        bytes[1_024 + 24] = 1;
        let seed = BlockSeed::new(DIRECTORY, SegmentId(1)).start();
        let sum = crc32c::crc32c_append(seed, &bytes[1_032..1_056]);
        let at = LogPosition::new(SegmentId(1), 1_024).wire().to_le_bytes();
        let sum = crc32c::crc32c_append(sum, &at);
        bytes[1_028..1_032].copy_from_slice(&sum.to_le_bytes());
    };
    assert_eq!(opened(change), unknown("mark slot"));
}

#[test]
fn reserved_fields_of_a_state_on_disk_are_refused() {
    let change = |bytes: &mut Vec<u8>| {
        let mut state = encode_state(LogPosition::ZERO, &BTreeMap::new());
        state[2] = 1;
        let at = LogPosition::new(SegmentId(1), SEGMENT_HEADER_BYTES);
        let seed = BlockSeed::new(DIRECTORY, SegmentId(1));
        let mut block = Vec::new();
        let head = BlockHead::mark(BlockKind::State, LogPosition::ZERO);
        encode_block(&mut block, &head, &state, at, seed);
        let from = SEGMENT_HEADER_BYTES as usize;
        bytes[from..from + block.len()].copy_from_slice(&block);
    };
    assert!(matches!(
        opened(change),
        Err(LogError::UnknownBlock { kind: 1, .. })
    ));
}

#[test]
fn all_partitions_and_the_meta_group_fit() {
    let disk = FaultDisk::new();
    let large = settings(4 * 1_024 * 1_024);
    let (mut log, ..) = open(&disk, large);
    (0..=4_096).for_each(|group| log.submit(vote(group, 1, 1, 1, 0)));
    log.flush().expect("the disk works");
    log.roll().expect("STATE of all of them fits");
    log.close().expect("the disk works");
    let (.., found) = open(&disk, large);
    assert_eq!(found.groups.len(), 4_097);
}
