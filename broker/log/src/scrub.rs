//! Scrubbing: segments that are not written to any more are read again from the device, so that rot is found before a reader meets it.
//!
//! ```text
//!  open -> step, step, ... -> done          each step reads one piece, or the rest of one large block
//!            first page: header, slots
//!            blocks, back to back, up to where the segment ended; behind one that cannot be read: the next boundary at which one stands
//! ```
//! Nothing is written, and nothing but one block and one piece is in memory. How fast and how often is for whoever calls [`Scrub::step`].
//!
//! Opening reads everything, so what is found here rotted since; or the device has shown it to nobody yet, because the page cache had it.

mod lost;

use alloc::vec;
use alloc::vec::Vec;

use crate::block::{BlockError, BlockHead, BlockKind, BlockSeed, block_bytes, decode_block_ahead};
use crate::disk_trait::{Disk, DiskError, DiskErrorKind};
use crate::ids::{GroupId, Index, LogPosition, SegmentId};
use crate::limits::{
    BLOCK_ALIGN, BLOCK_HEAD_BYTES, BLOCK_PAYLOAD_BYTES_MAX, READ_PAGE_BYTES, SCRUB_READ_BYTES,
    SCRUB_WINDOW_BYTES_MAX, SEGMENT_HEADER_BYTES,
};
use crate::log::Log;
use crate::segment::{MarkSlots, SegmentHeader, segment_name};

use lost::Losses;
pub use lost::LostRecords;

/// No header, slot or block has only these bytes: they stand for what the device cannot read.
const UNREADABLE: u8 = 0xA5;

/// A segment that is not written to any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SealedSegment {
    /// Its number.
    pub segment: SegmentId,
    /// Length of its file.
    pub bytes: u32,
    /// Where its last block ended; `None`: the segment behind it cannot tell, so its blocks are followed until nothing was written.
    pub end: Option<u32>,
}

/// Something that cannot be read as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rot {
    /// The header. Nothing is lost by it: the file's name says the same.
    Header {
        /// Of which segment.
        segment: SegmentId,
    },
    /// A mark slot. Nothing is lost by it: the segment behind tells where this one ended.
    Slot {
        /// Of which segment.
        segment: SegmentId,
    },
    /// The device refuses to read these bytes.
    Unreadable {
        /// The first of them.
        from: LogPosition,
        /// Behind the last.
        end: LogPosition,
    },
    /// No block can be read here.
    Blocks(LostBlocks),
}

/// A stretch in which blocks stood that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LostBlocks {
    /// Where it starts.
    pub from: LogPosition,
    /// Where the next block stands, or the segment ended.
    pub end: LogPosition,
    /// Group and index of the one entry that stood there, if the head of its block is whole.
    pub entry: Option<(GroupId, Index)>,
    /// Records that readers cannot get from here any more, as far as the stretch still tells, in the order in which they stand there.
    pub records: Vec<LostRecords>,
    /// Whether those are all records that stood there.
    pub is_all_told: bool,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scrubbed {
    /// Bytes read from the disk.
    pub bytes: u32,
    /// The segment has been checked up to where it ended.
    pub is_done: bool,
}

/// One segment being read again.
#[derive(Debug)]
pub struct Scrub<D: Disk> {
    disk: D,
    directory_id: u128,
    sealed: SealedSegment,
    seed: BlockSeed,
    file: D::File,
    /// Bytes of the file from `window_at` on.
    window: Vec<u8>,
    /// `window_at <= at`
    window_at: u32,
    /// Where the next block is looked for; 0: the first page has not been looked at. `at <= end`
    at: u32,
    /// Where the last block ended.
    end: u32,
    /// A stretch of which the end has not been found.
    lost: Option<(u32, Losses)>,
    /// Read in this step.
    read: u32,
}

impl<D: Disk> Log<D> {
    /// The segments that are not written to any more, ascending.
    #[must_use]
    pub fn sealed_segments(&self) -> Vec<SealedSegment> {
        let sealed = self.retained.sealed.iter();
        sealed
            .map(|one| SealedSegment {
                segment: one.segment,
                bytes: one.bytes,
                end: one.end,
            })
            .collect()
    }
}

impl<D: Disk> Scrub<D> {
    /// Opens a segment, and has what is cached of it forgotten: what counts is what the device has. Pages that somebody has mapped may stay cached.
    ///
    /// # Errors
    /// `Missing` if it is not there: let go since it was listed, or lost.
    pub fn open(disk: D, directory_id: u128, sealed: SealedSegment) -> Result<Self, DiskError> {
        let file = disk.open(&segment_name(sealed.segment))?;
        disk.forget_cached(&file)?;
        let end = sealed.end.unwrap_or(sealed.bytes).min(sealed.bytes);
        Ok(Scrub {
            disk,
            directory_id,
            sealed,
            seed: BlockSeed::new(directory_id, sealed.segment),
            file,
            window: Vec::new(),
            window_at: 0,
            at: 0,
            end: end.max(SEGMENT_HEADER_BYTES),
            lost: None,
            read: 0,
        })
    }

    /// Goes on until one piece has been read, or to the end. What cannot be read as it was written is told, each thing once.
    ///
    /// # Errors
    /// As the disk says; but that a page cannot be read is told as rot.
    pub fn step(&mut self, tell: &mut impl FnMut(Rot)) -> Result<Scrubbed, DiskError> {
        self.read = 0;
        if self.at == 0 {
            self.look_at_first_page(tell)?;
        }
        while self.at < self.end && self.read < SCRUB_READ_BYTES {
            self.look_at_block(tell)?;
        }
        let is_done = self.at >= self.end;
        if is_done {
            self.end_of_lost(self.end, tell);
            // What nobody else reads is not to push out what others do.
            self.disk.forget_cached(&self.file)?;
        }
        Ok(Scrubbed {
            bytes: self.read,
            is_done,
        })
    }

    fn look_at_first_page(&mut self, tell: &mut impl FnMut(Rot)) -> Result<(), DiskError> {
        let segment = self.sealed.segment;
        self.have(SEGMENT_HEADER_BYTES, tell)?;
        let is_ours = |header: SegmentHeader| {
            (header.segment, header.directory_id) == (segment, self.directory_id)
        };
        if !SegmentHeader::decode(&self.window).is_ok_and(is_ours) {
            tell(Rot::Header { segment });
        }
        if MarkSlots::read(&self.window, segment, self.seed).is_damaged {
            tell(Rot::Slot { segment });
        }
        self.at = SEGMENT_HEADER_BYTES;
        Ok(())
    }

    /// Looks for a block at `at`, and goes on behind it; or, where there is none, behind what is known to have stood there, else to the next boundary.
    fn look_at_block(&mut self, tell: &mut impl FnMut(Rot)) -> Result<(), DiskError> {
        self.have(BLOCK_HEAD_BYTES, tell)?;
        let told = self
            .ahead()
            .first_chunk()
            .map_or(0, |len| u32::from_le_bytes(*len));
        if told <= BLOCK_PAYLOAD_BYTES_MAX {
            self.have(block_bytes(told), tell)?;
        }
        let at = LogPosition::new(self.sealed.segment, self.at);
        match decode_block_ahead(self.ahead(), at, self.seed).map(|block| block.end.offset()) {
            Ok(next) => {
                self.end_of_lost(self.at, tell);
                self.at = next;
            }
            Err(BlockError::Blank) if self.sealed.end.is_none() && self.lost.is_none() => {
                // Nobody tells where it ended, and nothing says that it did not end here.
                self.end = self.at;
            }
            Err(BlockError::Payload(head)) if self.lost.is_none() => self.lose_one(&head, tell),
            Err(error) => self.lose(error, tell)?,
        }
        Ok(())
    }

    /// The head says how long the block is: what follows is looked at where it ends.
    fn lose_one(&mut self, head: &BlockHead, tell: &mut impl FnMut(Rot)) {
        let mut losses = Losses::default();
        let is_entry = matches!(head.kind, BlockKind::Append(_));
        if is_entry {
            let payload = self.ahead().get(BLOCK_HEAD_BYTES as usize..);
            let payload = payload.and_then(|payload| payload.get(..head.len as usize));
            losses.add(payload.unwrap_or_default());
        }
        let end = self.at + block_bytes(head.len);
        tell(Rot::Blocks(LostBlocks {
            from: self.position(self.at),
            end: self.position(end),
            entry: is_entry.then_some((head.group, head.index)),
            is_all_told: losses.is_all_told(),
            records: losses.records,
        }));
        self.at = end;
    }

    /// Where the block ends is not known: every boundary from here on is tried.
    fn lose(&mut self, error: BlockError, tell: &mut impl FnMut(Rot)) -> Result<(), DiskError> {
        let at = self.at;
        let is_first = self.lost.is_none();
        if is_first {
            // How long it was is not known.
            self.have(block_bytes(BLOCK_PAYLOAD_BYTES_MAX), tell)?;
        }
        let payload = match error {
            // What a block's payload would be if its head were right but for some bits: the items in it tell for themselves whether they are.
            _ if is_first => self.ahead().get(BLOCK_HEAD_BYTES as usize..),
            BlockError::Payload(head) if matches!(head.kind, BlockKind::Append(_)) => {
                let payload = self.ahead().get(BLOCK_HEAD_BYTES as usize..);
                payload.and_then(|payload| payload.get(..head.len as usize))
            }
            _ => None,
        };
        let mut found = Losses::default();
        found.add(payload.unwrap_or_default());
        let (_, losses) = self.lost.get_or_insert_with(|| (at, Losses::default()));
        losses.join(found);
        self.at = (at + BLOCK_ALIGN).min(self.end);
        Ok(())
    }

    /// A block stands at `end` again, or the segment ended there.
    fn end_of_lost(&mut self, end: u32, tell: &mut impl FnMut(Rot)) {
        let Some((from, losses)) = self.lost.take() else {
            return;
        };
        tell(Rot::Blocks(LostBlocks {
            from: self.position(from),
            end: self.position(end),
            entry: None,
            records: losses.records,
            is_all_told: false,
        }));
    }

    fn position(&self, offset: u32) -> LogPosition {
        LogPosition::new(self.sealed.segment, offset)
    }

    /// What has been read from `at` on, up to where the segment ended.
    fn ahead(&self) -> &[u8] {
        let from = (self.at - self.window_at) as usize;
        self.window.get(from..).unwrap_or_default()
    }

    /// Has `bytes` from `at` on in the window, or all up to where the segment ended.
    fn have(&mut self, bytes: u32, tell: &mut impl FnMut(Rot)) -> Result<(), DiskError> {
        let wanted = self.at.saturating_add(bytes).min(self.end);
        let mut read_end = self.window_at + self.window.len() as u32;
        while read_end < wanted {
            let passed = (self.at - self.window_at) as usize;
            self.window.drain(..passed.min(self.window.len()));
            self.window_at = self.at.min(read_end);
            let piece = match read_end {
                0 => SEGMENT_HEADER_BYTES,
                _ => SCRUB_READ_BYTES.min(self.end - read_end),
            };
            self.read_piece(read_end, piece, tell)?;
            read_end += piece;
            assert!(
                self.window.len() <= SCRUB_WINDOW_BYTES_MAX as usize,
                "INV-LOG-23: a scrub holds more than a block and a piece"
            );
        }
        Ok(())
    }

    /// Reads one piece behind the window; page by page if it cannot be read at once. What the file does not have is as what the device cannot read.
    fn read_piece(
        &mut self,
        from: u32,
        bytes: u32,
        tell: &mut impl FnMut(Rot),
    ) -> Result<(), DiskError> {
        let mut piece = vec![UNREADABLE; bytes as usize];
        self.read += bytes;
        match self.disk.read_at(&self.file, u64::from(from), &mut piece) {
            Ok(_) => {}
            Err(error) if error.kind == DiskErrorKind::Io => {
                self.read_pages(from, &mut piece, tell)?;
            }
            Err(error) => return Err(error),
        }
        self.window.append(&mut piece);
        Ok(())
    }

    fn read_pages(
        &mut self,
        from: u32,
        piece: &mut [u8],
        tell: &mut impl FnMut(Rot),
    ) -> Result<(), DiskError> {
        let mut at = from;
        for page in piece.chunks_mut(READ_PAGE_BYTES) {
            let end = at + page.len() as u32;
            if let Err(error) = self.disk.read_at(&self.file, u64::from(at), page) {
                if error.kind != DiskErrorKind::Io {
                    return Err(error);
                }
                page.fill(UNREADABLE);
                tell(Rot::Unreadable {
                    from: self.position(at),
                    end: self.position(end),
                });
            }
            at = end;
        }
        Ok(())
    }
}
