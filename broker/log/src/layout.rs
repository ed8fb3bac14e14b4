//! Where blocks stand in a segment, where they cannot be read, and where the log ends.
//!
//! A tear (a write that nobody was told about, cut short) ends the log. Damage (something that was durable and cannot be
//! read) never does. The marks tell them apart: see [`lay_out`].

use alloc::vec::Vec;

use crate::block::{
    BlockError, BlockHead, BlockKind, BlockSeed, block_bytes, decode_block, known_block,
};
use crate::error::LogError;
use crate::ids::{LogPosition, SegmentId};
use crate::limits::{BLOCK_ALIGN, BLOCK_HEAD_BYTES, SEGMENT_HEADER_BYTES};
use crate::planted::{Bug, planted};
use crate::recover::Recover;
use crate::scan::Scan;

/// The file of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentFile<'a> {
    pub(crate) segment: SegmentId,
    pub(crate) seed: BlockSeed,
    /// All of the file.
    pub(crate) bytes: &'a [u8],
    /// How long it should be.
    pub(crate) declared_bytes: u32,
    /// Highest `sync_end` in its mark slots.
    pub(crate) marked: LogPosition,
    /// Where the next segment says that it ended.
    pub(crate) recorded_end: Option<u32>,
    /// Ranges that the device could not read, ascending; filled with bytes that are no block.
    pub(crate) unreadable: &'a [(u32, u32)],
}

impl SegmentFile<'_> {
    /// Whether a durable block may stand at `from`, unseen because the device could not read a page before `end`. Where
    /// zeros stand no block starts: its kind is never 0.
    fn may_hide_a_block(&self, from: u32, end: u32) -> bool {
        let first = self
            .unreadable
            .iter()
            .find(|(start, stop)| *start < end && *stop > from);
        first.is_some_and(|(start, _)| {
            let head_end = (*start).min(from + BLOCK_HEAD_BYTES).max(from);
            let head = &self.bytes[from as usize..head_end as usize];
            head.is_empty() || !is_blank(head)
        })
    }

    /// Where only zeros follow up to `end`.
    fn content_end(&self, from: u32, end: u32) -> u32 {
        let bytes = &self.bytes[from as usize..end as usize];
        let len = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        (from + len as u32).next_multiple_of(BLOCK_ALIGN).min(end)
    }
}

/// One stretch of a segment, from one offset up to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Piece {
    /// Valid blocks, back to back.
    Blocks { from: u32, end: u32 },
    /// Was durable, cannot be read. `only`: the head of the one block that stood there.
    Damage {
        from: u32,
        end: u32,
        only: Option<BlockHead>,
    },
}

/// What is in a segment.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Layout {
    /// Ascending, back to back, from the first page on.
    pub(crate) pieces: Vec<Piece>,
    /// Where the log ends in this segment.
    pub(crate) end: u32,
    /// Everything after `end` is zero.
    pub(crate) is_tail_blank: bool,
    /// The last block is END.
    pub(crate) is_closed: bool,
}

impl Layout {
    pub(crate) fn is_damaged(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Damage { .. }))
    }

    /// Gives blocks and damaged stretches, in order, to `scan`.
    pub(crate) fn read<R: Recover>(
        &self,
        file: &SegmentFile<'_>,
        scan: &mut Scan<'_, R>,
    ) -> Result<(), LogError> {
        let position = |offset| LogPosition::new(file.segment, offset);
        for piece in &self.pieces {
            match *piece {
                Piece::Blocks { from, end } => {
                    let mut at = position(from);
                    while at.offset() < end {
                        let Some(block) = known_block(file.bytes, at) else {
                            break;
                        };
                        scan.block(&block)?;
                        at = block.end;
                    }
                }
                Piece::Damage { from, end, only } => {
                    scan.damage((position(from), position(end)), only)
                }
            }
        }
        Ok(())
    }

    /// Whether a valid block stands anywhere.
    pub(crate) fn has_blocks(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Blocks { .. }))
    }
}

/// Lays a segment out.
///
/// M is the highest `sync_end` in any valid block, those beyond an unreadable stretch too, or in a mark slot. A stretch
/// that starts at or above M is a tear, whatever follows: a block that claims more would have been written after a sync
/// that covered the stretch. One below M, or below the recorded end, is damage; so is an end below M, or a file that is
/// shorter than it should be. A page that the device cannot read proves nothing, so that it is never the start of a tear:
/// it is damage wherever a block may stand on it, and the log ends behind it.
///
/// # Errors
/// `UnknownBlock`: a newer version wrote here.
pub(crate) fn lay_out(file: &SegmentFile<'_>) -> Result<Layout, LogError> {
    let limit = file
        .recorded_end
        .unwrap_or(u32::MAX)
        .min(file.bytes.len() as u32);
    let mut walk = Walk {
        pieces: Vec::new(),
        marked: file.marked,
        closed_end: None,
    };
    walk.run(file, limit)?;
    match file.recorded_end {
        Some(recorded_end) => walk.damage_up_to(recorded_end),
        None => walk.judge(file),
    }
    let end = walk.end();
    let tail = file.bytes.get(end as usize..).unwrap_or_default();
    let is_tail_blank = is_blank(tail);
    let is_closed = walk.closed_end == Some(end);
    Ok(Layout {
        end,
        is_tail_blank,
        is_closed,
        pieces: walk.pieces,
    })
}

struct Walk {
    pieces: Vec<Piece>,
    marked: LogPosition,
    /// Where the last END ends.
    closed_end: Option<u32>,
}

impl Walk {
    /// Takes every valid block below `limit`; what is between them becomes damage for now.
    fn run(&mut self, file: &SegmentFile<'_>, limit: u32) -> Result<(), LogError> {
        let bytes = &file.bytes[..limit as usize];
        let mut at = SEGMENT_HEADER_BYTES;
        while at < limit {
            let position = LogPosition::new(file.segment, at);
            match decode_block(bytes, position, file.seed) {
                Ok(block) => {
                    self.marked = self.marked.max(block.head.sync_end);
                    at = block.end.offset();
                    if block.head.kind == BlockKind::End {
                        self.closed_end = Some(at);
                    }
                    self.blocks_up_to(at);
                }
                Err(BlockError::UnknownKind { kind, flags }) => {
                    return Err(LogError::UnknownBlock {
                        at: position,
                        kind,
                        flags,
                    });
                }
                Err(error) => {
                    let next = next_block(bytes, file, at);
                    let end = next.unwrap_or(limit);
                    self.pieces.push(Piece::Damage {
                        from: at,
                        end,
                        only: only_block(error, at, next),
                    });
                    at = end;
                }
            }
        }
        Ok(())
    }

    fn blocks_up_to(&mut self, offset: u32) {
        let from = self.end();
        match self.pieces.last_mut() {
            Some(Piece::Blocks { end, .. }) => *end = offset,
            _ => self.pieces.push(Piece::Blocks { from, end: offset }),
        }
    }

    fn end(&self) -> u32 {
        match self.pieces.last() {
            Some(Piece::Blocks { end, .. } | Piece::Damage { end, .. }) => *end,
            None => SEGMENT_HEADER_BYTES,
        }
    }

    /// What is missing up to `offset` is damage.
    fn damage_up_to(&mut self, offset: u32) {
        let from = self.end();
        if from >= offset {
            return;
        }
        match self.pieces.last_mut() {
            Some(Piece::Damage { end, only, .. }) => {
                *end = offset;
                *only = None;
            }
            _ => self.pieces.push(Piece::Damage {
                from,
                end: offset,
                only: None,
            }),
        }
    }

    /// Tells tear from damage in a segment whose end nobody recorded.
    fn judge(&mut self, file: &SegmentFile<'_>) {
        let marked = if self.marked.segment() == file.segment && !planted(Bug::CutAtDamage) {
            self.marked.offset()
        } else {
            0
        };
        let is_tear = |piece: &Piece| matches!(piece, Piece::Damage { from, end, .. } if *from >= marked && !file.may_hide_a_block(*from, *end));
        if let Some(first) = self.pieces.iter().position(is_tear) {
            self.pieces.truncate(first);
        } else if let Some(Piece::Damage { from, end, .. }) = self.pieces.last_mut() {
            // It runs to the end of the file, but only what lies below the mark is known to have been there, or may have
            // been there and cannot be read.
            let behind = marked.max(*from);
            *end = if behind < *end && file.may_hide_a_block(behind, *end) {
                file.content_end(behind, *end)
            } else {
                marked
            };
        }
        self.damage_up_to(marked);
        if (file.bytes.len() as u64) < u64::from(file.declared_bytes) {
            self.damage_up_to(file.declared_bytes);
        }
    }
}

/// The next offset behind `at` at which a valid block (or one of a newer version) stands.
fn next_block(bytes: &[u8], file: &SegmentFile<'_>, at: u32) -> Option<u32> {
    let mut start = at + BLOCK_ALIGN;
    while (start as usize) < bytes.len() {
        let ahead = &bytes[start as usize..bytes.len().min(start as usize + ZEROS.len())];
        // Most of what is tried is a blank tail, and no block starts with 8 zeros.
        if is_blank(ahead) {
            start += ahead.len().next_multiple_of(BLOCK_ALIGN as usize) as u32;
            continue;
        }
        let decoded = decode_block(bytes, LogPosition::new(file.segment, start), file.seed);
        if matches!(decoded, Ok(_) | Err(BlockError::UnknownKind { .. })) {
            return Some(start);
        }
        start += BLOCK_ALIGN;
    }
    None
}

static ZEROS: [u8; 512] = [0; 512];

/// Whether all of it is zero.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    bytes
        .chunks(ZEROS.len())
        .all(|chunk| *chunk == ZEROS[..chunk.len()])
}

/// The head of the damaged block at `from`, if it can be trusted and a valid block follows where it ends.
fn only_block(error: BlockError, from: u32, next: Option<u32>) -> Option<BlockHead> {
    match error {
        BlockError::Payload(head) if Some(from + block_bytes(head.len)) == next => Some(head),
        _ => None,
    }
}
