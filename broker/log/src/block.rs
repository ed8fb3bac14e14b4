//! Blocks: the checksummed units of a segment.

use crate::entry::EntryKind;
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};

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
    /// A kind of a newer version.
    #[error("block kind {kind} with flags {flags} is not known")]
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
}

/// Decodes the block at `at` of the segment whose whole file is `segment`.
///
/// # Errors
/// See [`BlockError`].
pub fn decode_block(
    segment: &[u8],
    at: LogPosition,
    seed: BlockSeed,
) -> Result<Block<'_>, BlockError> {
    let _ = (segment, at, seed);
    Err(BlockError::Blank)
}
