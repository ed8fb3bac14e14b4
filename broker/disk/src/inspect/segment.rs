//! A segment read as a whole, so that what is seen is consistent even while a broker appends to it.

use std::fs::File;
use std::io;
use std::path::Path;

use antiphon_log::limits::{BLOCK_HEAD_BYTES, BLOCK_PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES};
use antiphon_log::{
    Block, BlockKind, BlockSeed, DirectoryFile, LOG_FOLDER, LogPosition, SegmentHeader, SegmentId,
    decode_block, parse_segment_name, segment_name,
};
use rustix::fs::{Advice, fadvise};

use crate::bad_pages::PAGE_BYTES;
use crate::file::{list, read_full};
use crate::inspect::{InspectError, io_error};

/// Where the first block of a segment stands, in bytes.
pub(super) const FIRST_BLOCK_AT: u32 = SEGMENT_HEADER_BYTES;
/// How far STATE may reach.
const START_BYTES: usize = (FIRST_BLOCK_AT + BLOCK_HEAD_BYTES + BLOCK_PAYLOAD_BYTES_MAX) as usize;
/// Stands for bytes that the device cannot read: neither blank nor a block.
const UNREADABLE: u8 = 0xA5;
/// Size of one read, in bytes; a multiple of the page.
const READ_BYTES: usize = 64 * 1024;

/// One segment's file in memory.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) segment: SegmentId,
    pub(super) seed: BlockSeed,
    pub(super) bytes: Vec<u8>,
    /// Pages that the device could not read; `UNREADABLE` in `bytes`.
    pub(super) unreadable_pages: Vec<u32>,
}

impl SegmentFile {
    /// Reads the segment from the device.
    pub(super) fn read(
        root: &Path,
        directory: &DirectoryFile,
        segment: SegmentId,
    ) -> Result<Self, InspectError> {
        let path = root.join(segment_name(segment));
        let file = File::open(&path).map_err(io_error("open", &path))?;
        let (bytes, unreadable_pages) = read_whole(&file).map_err(io_error("read", &path))?;
        let seed = BlockSeed::new(directory.directory_id, segment);
        Ok(SegmentFile {
            segment,
            seed,
            bytes,
            unreadable_pages,
        })
    }

    /// Reads only as far as STATE may reach.
    fn read_start(
        root: &Path,
        directory: &DirectoryFile,
        segment: SegmentId,
    ) -> Result<Self, InspectError> {
        let path = root.join(segment_name(segment));
        let file = File::open(&path).map_err(io_error("open", &path))?;
        let mut bytes = vec![0; START_BYTES];
        // What cannot be read holds no STATE, which is what the caller wants to know.
        let read = read_full(&file, 0, &mut bytes).unwrap_or_default();
        bytes.truncate(read);
        let seed = BlockSeed::new(directory.directory_id, segment);
        Ok(SegmentFile {
            segment,
            seed,
            bytes,
            unreadable_pages: Vec::new(),
        })
    }

    /// What is wrong with the header; `None` if nothing is.
    pub(super) fn header_fault(&self, directory: &DirectoryFile) -> Option<String> {
        let header = match SegmentHeader::decode(&self.bytes) {
            Ok(header) => header,
            Err(error) => return Some(error.to_string()),
        };
        if header.segment != self.segment {
            return Some(format!("its header says segment {}", header.segment));
        }
        if header.directory_id != directory.directory_id {
            return Some("it belongs to another data directory".to_owned());
        }
        if u64::from(header.segment_bytes) != self.bytes.len() as u64 {
            return Some(format!(
                "it is {} bytes long, its header says {}",
                self.bytes.len(),
                header.segment_bytes
            ));
        }
        None
    }

    /// The position of a byte of this segment.
    pub(super) fn at(&self, offset: u32) -> LogPosition {
        LogPosition::new(self.segment, offset)
    }

    /// Its STATE, if the first block is one.
    pub(super) fn state(&self) -> Option<Block<'_>> {
        let block = decode_block(&self.bytes, self.at(FIRST_BLOCK_AT), self.seed).ok()?;
        (block.head.kind == BlockKind::State).then_some(block)
    }

    /// Where STATE says that the log ended before this segment; `None` without a valid STATE.
    pub(super) fn previous_end(&self) -> Option<LogPosition> {
        previous_end(&self.state()?)
    }

    /// The first segment kept, as STATE says; `None` without a valid STATE.
    pub(super) fn first_kept(&self) -> Option<SegmentId> {
        let state = self.state()?;
        let number = |at: usize| state.payload.get(at..)?.first_chunk().copied();
        match state
            .payload
            .first_chunk()
            .map(|bytes| u16::from_le_bytes(*bytes))
        {
            Some(2) => number(16).map(|bytes| SegmentId(u32::from_le_bytes(bytes))),
            _ => Some(SegmentId(0)),
        }
    }
}

/// The field `previous_end` of a STATE block.
pub(super) fn previous_end(state: &Block<'_>) -> Option<LogPosition> {
    let bytes = state.payload.get(8..)?.first_chunk()?;
    Some(LogPosition::from_wire(u64::from_le_bytes(*bytes)))
}

/// The segments in the directory, ascending, each with its recorded end: where it ended, if a later segment tells.
pub(super) fn segments_with_ends(
    root: &Path,
    directory: &DirectoryFile,
) -> Result<Vec<(SegmentId, Option<LogPosition>)>, InspectError> {
    let mut all = Vec::new();
    let mut recorded = None;
    // From the last to the first: a segment's end stands in the one after it.
    for segment in segments(root)?.into_iter().rev() {
        all.push((segment, recorded.map(|recorded| end_of(segment, recorded))));
        recorded = SegmentFile::read_start(root, directory, segment)?
            .previous_end()
            .or(recorded);
    }
    all.reverse();
    Ok(all)
}

/// Where `segment` ended if the next segment with a STATE says that the log had ended at `recorded`: a segment between
/// the two that nobody names holds nothing.
fn end_of(segment: SegmentId, recorded: LogPosition) -> LogPosition {
    if recorded.segment() == segment {
        recorded
    } else {
        LogPosition::new(segment, FIRST_BLOCK_AT)
    }
}

/// Ids of the segments in the directory, ascending.
pub(super) fn segments(root: &Path) -> Result<Vec<SegmentId>, InspectError> {
    let folder = root.join(LOG_FOLDER);
    let names = list(&folder).map_err(io_error("list", &folder))?;
    let mut segments: Vec<SegmentId> = names
        .iter()
        .filter_map(|name| parse_segment_name(name))
        .collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Reads a file that may be appended to meanwhile: the first page, which tells what is synced, then everything else
/// from the end to the start. So whatever a block or mark vouches for is read after it, when it is there already.
///
/// Cached pages are dropped before: after a failed sync they may show what the device never got.
pub(super) fn read_whole(file: &File) -> io::Result<(Vec<u8>, Vec<u32>)> {
    let _ = fadvise(file, 0, None, Advice::DontNeed);
    let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    let mut unreadable = Vec::new();
    let first_page = len.min(PAGE_BYTES as usize);
    let (first, rest) = bytes.split_at_mut(first_page);
    read_piece(file, 0, first, &mut unreadable);
    let mut end = rest.len();
    while end > 0 {
        let start = (end - 1) / READ_BYTES * READ_BYTES;
        read_piece(
            file,
            first_page + start,
            &mut rest[start..end],
            &mut unreadable,
        );
        end = start;
    }
    unreadable.sort_unstable();
    Ok((bytes, unreadable))
}

/// Reads a piece that starts at a page; page by page if it cannot be read at once. What cannot be read is filled with `UNREADABLE`.
fn read_piece(file: &File, at: usize, into: &mut [u8], unreadable: &mut Vec<u32>) {
    if read_full(file, at as u64, into).is_ok() {
        return;
    }
    for (number, page) in into.chunks_mut(PAGE_BYTES as usize).enumerate() {
        let page_at = at as u64 + number as u64 * PAGE_BYTES;
        if read_full(file, page_at, page).is_err() {
            page.fill(UNREADABLE);
            unreadable.push(u32::try_from(page_at / PAGE_BYTES).unwrap_or(u32::MAX));
        }
    }
}
