//! Whether a segment was ever written to.
//!
//! Header and length are durable before a segment gets its name. So of a crash there can be, in a file of that name, only
//! zeros, or a STATE of which some sectors are missing. Anything else was written and is damaged if it cannot be read.

use crate::block::{BlockError, BlockKind, block_bytes, decode_block};
use crate::error::LogError;
use crate::ids::LogPosition;
use crate::layout::{SegmentFile, is_blank, lay_out};
use crate::limits::{SECTOR_BYTES, SEGMENT_HEADER_BYTES};

/// What is in a segment without a valid STATE or mark.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    /// As it was made: nothing but a header.
    Blank,
    /// The first write to it, STATE, was cut short.
    TornState,
    /// Something was written. Also said if the contrary cannot be proven.
    Written,
}

/// Looks at a segment whose header and length are right, of which every page can be read, and that has no mark.
///
/// `state_bytes_max`: no STATE of this directory is longer.
///
/// # Errors
/// `UnknownBlock`: a newer version wrote here.
pub(crate) fn content(file: &SegmentFile<'_>, state_bytes_max: u32) -> Result<Content, LogError> {
    let (header_page, blocks) = file
        .bytes
        .split_at_checked(SEGMENT_HEADER_BYTES as usize)
        .unwrap_or((file.bytes, &[]));
    let behind_header = header_page.get(SECTOR_BYTES as usize..).unwrap_or_default();
    if !is_blank(behind_header) {
        return Ok(Content::Written);
    }
    if is_blank(blocks) {
        return Ok(Content::Blank);
    }
    // Marked as if all of it were durable: every valid block counts, wherever it stands.
    let probe = SegmentFile {
        marked: LogPosition::new(file.segment, u32::MAX),
        ..*file
    };
    if is_torn_state(file, blocks, state_bytes_max) && !lay_out(&probe)?.has_blocks() {
        return Ok(Content::TornState);
    }
    Ok(Content::Written)
}

/// Whether `blocks` may be a STATE of which sectors are missing: each sector is there or zero, at least one is zero,
/// and nothing stands behind.
fn is_torn_state(file: &SegmentFile<'_>, blocks: &[u8], state_bytes_max: u32) -> bool {
    let sector = SECTOR_BYTES as usize;
    let Some(first) = blocks.get(..sector) else {
        return false;
    };
    let at = LogPosition::new(file.segment, SEGMENT_HEADER_BYTES);
    let is_first_missing = is_blank(first);
    let len_max = match decode_block(file.bytes, at, file.seed) {
        _ if is_first_missing => state_bytes_max,
        Err(BlockError::Payload(head)) if head.kind == BlockKind::State => head.len,
        _ => return false,
    };
    let end = (block_bytes(len_max) as usize).min(blocks.len());
    let (state, behind) = blocks.split_at(end);
    let is_one_missing = state.chunks(sector).any(is_blank);
    is_one_missing && is_blank(behind)
}
