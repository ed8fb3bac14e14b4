//! Blocks: the checksummed units of a segment.
//!
//! ```text
//!  0        4    5     6          8        12      16        24      32     40       48
//!  +--------+----+-----+----------+--------+-------+---------+-------+------+--------+-----------+-------+
//!  | len    |kind|flags|head_check| crc    | group | sync_end| index | term | commit | len bytes | zeros |
//!  +--------+----+-----+----------+--------+-------+---------+-------+------+--------+-----------+-------+
//! ```
//!
//! The head has a check of its own, so that a payload that rots can still be laid at the door of one group. All
//! checksums start from the segment's seed and include the block's position.

use alloc::vec::Vec;

use crate::entry::EntryKind;
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::limits::{BLOCK_ALIGN, BLOCK_HEAD_BYTES, BLOCK_PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES};

/// Payload of HARD_STATE: vote u64.
const HARD_STATE_BYTES: u32 = 8;
/// Payload of CHECKPOINT: file length u64, crc32c u32, reserved u32.
const CHECKPOINT_BYTES: u32 = 16;

/// What a block is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BlockKind {
    /// First block of a segment: all groups' synced facts.
    State,
    /// One entry.
    Append(EntryKind),
    /// Term and vote.
    HardState,
    /// Only tells `sync_end`.
    Mark,
    /// The log was closed in order.
    End,
    /// A checkpoint file was written.
    Checkpoint,
}

/// The fields at the start of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BlockHead {
    /// What it is.
    pub kind: BlockKind,
    /// Whose; 0 where it means nothing.
    pub group: GroupId,
    /// Everything below was durable when the block was written.
    pub sync_end: LogPosition,
    /// Entry's index, or the checkpoint's.
    pub index: Index,
    /// Entry's term, or the hard state's, or the checkpoint's.
    pub term: Term,
    /// The group's commit known then.
    pub commit: Index,
    /// Length of the payload in bytes.
    pub len: u32,
}

/// A block whose checksum is right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Block<'a> {
    /// Its fields.
    pub head: BlockHead,
    /// Its payload.
    pub payload: &'a [u8],
    /// Where it starts.
    pub at: LogPosition,
    /// Where the next one starts.
    pub end: LogPosition,
}

/// Why there is no block.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The position is not one where a block can start, or the block does not fit into the segment.
    #[error("no block can stand there")]
    OutOfBounds,
    /// Only zeros: nothing was written there.
    #[error("nothing was written there")]
    Blank,
    /// The head is damaged.
    #[error("the head of the block is damaged")]
    Head,
    /// The head is right, the rest is not.
    #[error("the payload of the block is damaged")]
    Payload(BlockHead),
    /// Of a newer version: its kind or flags are not known, or a field is set that its kind does not have.
    #[error("block kind {kind} with flags {flags} is not known, or not with these fields")]
    UnknownKind {
        /// Number.
        kind: u8,
        /// Flags.
        flags: u8,
    },
}

/// Start value of all checksums of one segment: binds its blocks to the data directory, so that bytes which a client
/// published can never pass for a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BlockSeed(u32);

impl BlockSeed {
    /// The seed of `segment` in the directory.
    #[must_use]
    pub fn new(directory_id: u128, segment: SegmentId) -> BlockSeed {
        let directory = crc32c::crc32c(&directory_id.to_le_bytes());
        BlockSeed(crc32c::crc32c_append(directory, &segment.0.to_le_bytes()))
    }

    /// What a checksum starts from.
    pub(crate) const fn start(self) -> u32 {
        self.0
    }
}

impl BlockKind {
    const fn wire(self) -> (u8, u8) {
        match self {
            BlockKind::State => (1, 0),
            BlockKind::Append(EntryKind::Normal) => (2, 0),
            BlockKind::Append(EntryKind::ConfChange) => (2, 1),
            BlockKind::Append(EntryKind::ConfChangeV2) => (2, 2),
            BlockKind::HardState => (4, 0),
            BlockKind::Mark => (5, 0),
            BlockKind::End => (6, 0),
            BlockKind::Checkpoint => (7, 0),
        }
    }

    const fn from_wire(kind: u8, flags: u8) -> Option<BlockKind> {
        match (kind, flags) {
            (1, 0) => Some(BlockKind::State),
            (2, 0) => Some(BlockKind::Append(EntryKind::Normal)),
            (2, 1) => Some(BlockKind::Append(EntryKind::ConfChange)),
            (2, 2) => Some(BlockKind::Append(EntryKind::ConfChangeV2)),
            (4, 0) => Some(BlockKind::HardState),
            (5, 0) => Some(BlockKind::Mark),
            (6, 0) => Some(BlockKind::End),
            (7, 0) => Some(BlockKind::Checkpoint),
            _ => None,
        }
    }
}

impl BlockHead {
    /// Whether only those fields are set that the kind names.
    const fn has_known_fields(&self) -> bool {
        let (group, index, len) = (self.group.0, self.index.0, self.len);
        let (term, commit) = (self.term.0, self.commit.0);
        match self.kind {
            BlockKind::State => group == 0 && index == 0 && term == 0 && commit == 0,
            BlockKind::Mark | BlockKind::End => {
                group == 0 && index == 0 && term == 0 && commit == 0 && len == 0
            }
            BlockKind::HardState => index == 0 && len == HARD_STATE_BYTES,
            BlockKind::Checkpoint => len == CHECKPOINT_BYTES,
            BlockKind::Append(_) => true,
        }
    }

    /// A head that only tells `sync_end`.
    pub(crate) const fn mark(kind: BlockKind, sync_end: LogPosition) -> BlockHead {
        BlockHead {
            kind,
            group: GroupId(0),
            sync_end,
            index: Index(0),
            term: Term(0),
            commit: Index(0),
            len: 0,
        }
    }
}

/// Bytes that a block with this payload takes, padding included.
#[must_use]
pub const fn block_bytes(payload_len: u32) -> u32 {
    BLOCK_HEAD_BYTES + payload_len.next_multiple_of(BLOCK_ALIGN)
}

/// Appends a block to `out`, as it stands at `at`; `head.len` is set from `payload`.
///
/// # Panics
/// If the payload is longer than a block's may be, or the position is none for a block (bugs of the writer).
pub(crate) fn encode_block(
    out: &mut Vec<u8>,
    head: &BlockHead,
    payload: &[u8],
    at: LogPosition,
    seed: BlockSeed,
) {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    assert!(
        len <= BLOCK_PAYLOAD_BYTES_MAX,
        "INV-LOG-1: block payload over its limit"
    );
    assert!(
        at.offset().is_multiple_of(BLOCK_ALIGN),
        "INV-LOG-2: block off its alignment"
    );
    assert!(
        head.sync_end <= at,
        "INV-LOG-3: block claims that itself was durable"
    );
    let (kind, flags) = head.kind.wire();
    let mut bytes = [0; BLOCK_HEAD_BYTES as usize];
    bytes[0..4].copy_from_slice(&len.to_le_bytes());
    bytes[4] = kind;
    bytes[5] = flags;
    bytes[12..16].copy_from_slice(&head.group.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&head.sync_end.wire().to_le_bytes());
    bytes[24..32].copy_from_slice(&head.index.0.to_le_bytes());
    bytes[32..40].copy_from_slice(&head.term.0.to_le_bytes());
    bytes[40..48].copy_from_slice(&head.commit.0.to_le_bytes());
    let sum = head_sum(&bytes, at, seed);
    bytes[6..8].copy_from_slice(&fold(sum).to_le_bytes());
    bytes[8..12].copy_from_slice(&crc32c::crc32c_append(sum, payload).to_le_bytes());
    out.extend_from_slice(&bytes);
    out.extend_from_slice(payload);
    out.resize(out.len().next_multiple_of(BLOCK_ALIGN as usize), 0);
}

/// Decodes the block at `at`, given the bytes of its segment's file from the start (all of them, or as many as are to
/// be trusted: a block must end inside).
///
/// # Errors
/// See [`BlockError`]. Any bytes are answered, none panic.
pub fn decode_block(
    segment: &[u8],
    at: LogPosition,
    seed: BlockSeed,
) -> Result<Block<'_>, BlockError> {
    let offset = at.offset();
    if offset < SEGMENT_HEADER_BYTES || !offset.is_multiple_of(BLOCK_ALIGN) {
        return Err(BlockError::OutOfBounds);
    }
    let ahead = segment.get(offset as usize..);
    decode_block_ahead(ahead.ok_or(BlockError::OutOfBounds)?, at, seed)
}

/// As [`decode_block`], given the bytes from `at` on, which is a position where a block can start.
pub(crate) fn decode_block_ahead(
    ahead: &[u8],
    at: LogPosition,
    seed: BlockSeed,
) -> Result<Block<'_>, BlockError> {
    let bytes = head_bytes(ahead, 0).ok_or(BlockError::OutOfBounds)?;
    if bytes[4] == 0 {
        return Err(if bytes.iter().all(|byte| *byte == 0) {
            BlockError::Blank
        } else {
            BlockError::Head
        });
    }
    let len = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let start = BLOCK_HEAD_BYTES as usize;
    if len > BLOCK_PAYLOAD_BYTES_MAX || block_bytes(len) as usize > ahead.len() {
        return Err(BlockError::Head);
    }
    let payload = &ahead[start..start + len as usize];
    let sum = head_sum(bytes, at, seed);
    let kind = BlockKind::from_wire(bytes[4], bytes[5]);
    let sync_end = LogPosition::from_wire(u64_of(bytes, 16));
    if fold(sum).to_le_bytes() != bytes[6..8] || sync_end > at {
        return Err(BlockError::Head);
    }
    let is_whole = crc32c::crc32c_append(sum, payload).to_le_bytes() == bytes[8..12];
    let known = kind
        .map(|kind| decode_fields(bytes, kind, len))
        .filter(|head| head.has_known_fields() && (!is_whole || has_known_payload(head, payload)));
    let head = match known {
        Some(head) => head,
        None if is_whole => {
            return Err(BlockError::UnknownKind {
                kind: bytes[4],
                flags: bytes[5],
            });
        }
        None => return Err(BlockError::Head),
    };
    let end = LogPosition::new(at.segment(), at.offset() + block_bytes(len));
    if is_whole {
        Ok(Block {
            head,
            payload,
            at,
            end,
        })
    } else {
        Err(BlockError::Payload(head))
    }
}

/// The block at `at`, which [`decode_block`] has found valid before; `None` if it does not even have a block's shape.
pub(crate) fn known_block(segment: &[u8], at: LogPosition) -> Option<Block<'_>> {
    let bytes = head_bytes(segment, at.offset())?;
    let kind = BlockKind::from_wire(bytes[4], bytes[5])?;
    let len = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let start = at.offset() as usize + BLOCK_HEAD_BYTES as usize;
    let payload = segment.get(start..)?.get(..len as usize)?;
    let end = LogPosition::new(at.segment(), at.offset() + block_bytes(len));
    Some(Block {
        head: decode_fields(bytes, kind, len),
        payload,
        at,
        end,
    })
}

/// CHECKPOINT ends with a reserved u32. STATE is looked at where it is decoded.
fn has_known_payload(head: &BlockHead, payload: &[u8]) -> bool {
    head.kind != BlockKind::Checkpoint || payload.ends_with(&[0; 4])
}

fn decode_fields(bytes: &[u8; BLOCK_HEAD_BYTES as usize], kind: BlockKind, len: u32) -> BlockHead {
    BlockHead {
        kind,
        group: GroupId(u32::from_le_bytes([
            bytes[12], bytes[13], bytes[14], bytes[15],
        ])),
        sync_end: LogPosition::from_wire(u64_of(bytes, 16)),
        index: Index(u64_of(bytes, 24)),
        term: Term(u64_of(bytes, 32)),
        commit: Index(u64_of(bytes, 40)),
        len,
    }
}

fn head_bytes(segment: &[u8], offset: u32) -> Option<&[u8; BLOCK_HEAD_BYTES as usize]> {
    segment.get(offset as usize..)?.first_chunk()
}

fn u64_of(bytes: &[u8; BLOCK_HEAD_BYTES as usize], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

/// Checksum of all that is known before the payload: group up to commit, position, then len, kind and flags.
fn head_sum(bytes: &[u8; BLOCK_HEAD_BYTES as usize], at: LogPosition, seed: BlockSeed) -> u32 {
    let mut rest = [0; 14];
    rest[..8].copy_from_slice(&at.wire().to_le_bytes());
    rest[8..].copy_from_slice(&bytes[..6]);
    crc32c::crc32c_append(crc32c::crc32c_append(seed.0, &bytes[12..]), &rest)
}

const fn fold(sum: u32) -> u16 {
    (sum >> 16) as u16 ^ sum as u16
}

#[cfg(test)]
mod tests;
