//! One segment's file in memory: what its first page and first block say, and what is made of the rest.

use alloc::vec;
use alloc::vec::Vec;

use crate::block::{BlockError, BlockKind, BlockSeed, block_bytes, decode_block};
use crate::disk_trait::{Disk, DiskError, DiskErrorKind};
use crate::error::LogError;
use crate::ids::{LogPosition, SegmentId};
use crate::layout::{Layout, SegmentFile, is_blank, lay_out};
use crate::limits::{
    BLOCK_PAYLOAD_BYTES_MAX, READ_PAGE_BYTES, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES,
};
use crate::recover::{Finding, Recover};
use crate::scan::Scan;
use crate::segment::{HeaderError, MarkSlots, SegmentHeader, segment_name};
use crate::settings::LogSettings;
use crate::state::{SegmentState, decode_state};

/// The last segment that exists.
pub(crate) struct LastSegment<D: Disk> {
    pub(crate) segment: SegmentId,
    pub(crate) file: D::File,
    pub(crate) segment_bytes: u32,
    pub(crate) slots: MarkSlots,
    pub(crate) end: u32,
    pub(crate) is_closed: bool,
    /// Nothing stands behind the end, nothing is damaged: writing may go on here.
    pub(crate) is_resumable: bool,
    pub(crate) state: Option<SegmentState>,
}

/// A segment's file in memory.
pub(crate) struct Loaded<D: Disk> {
    pub(crate) segment: SegmentId,
    pub(crate) file: D::File,
    pub(crate) bytes: Vec<u8>,
    header: Option<SegmentHeader>,
    seed: BlockSeed,
    slots: MarkSlots,
    state: Option<SegmentState>,
    /// Where the segment before it ended, if its first block or at least the head of that can be read.
    pub(crate) previous_end: Option<LogPosition>,
}

/// Gives the blocks and damaged stretches of one segment to `scan`.
pub(crate) fn read_segment<D: Disk, R: Recover>(
    loaded: &Loaded<D>,
    recorded_end: Option<u32>,
    scan: &mut Scan<'_, R>,
) -> Result<Layout, LogError> {
    loaded.tell_findings(scan);
    let file = loaded.segment_file(recorded_end);
    let layout = lay_out(&file)?;
    if loaded.previous_end.is_none() && !layout.is_damaged() {
        // Its first block is gone, and nothing says how much else is.
        let end = LogPosition::new(loaded.segment, loaded.bytes.len() as u32);
        scan.damage(
            (LogPosition::new(loaded.segment, SEGMENT_HEADER_BYTES), end),
            None,
        );
    }
    layout.read(&file, scan)?;
    Ok(layout)
}

/// Syncs, forgets cached pages, reads the whole file.
pub(crate) fn load<D: Disk, R: Recover>(
    disk: &D,
    settings: &LogSettings,
    segment: SegmentId,
    scan: &mut Scan<'_, R>,
) -> Result<Loaded<D>, LogError> {
    let file = disk.open(&segment_name(segment))?;
    disk.sync(&file)?;
    disk.forget_cached(&file)?;
    let size = disk.size(&file)?;
    if size > u64::from(SEGMENT_BYTES_MAX) {
        return Err(LogError::SegmentTooLarge {
            segment,
            bytes: size,
        });
    }
    let bytes = read_file(disk, &file, size as usize, segment, scan)?;
    let header = match SegmentHeader::decode(&bytes) {
        Ok(header) if header.directory_id != settings.directory_id => {
            return Err(LogError::ForeignSegment { segment });
        }
        Err(HeaderError::Version(version)) => return Err(LogError::Version { segment, version }),
        Ok(header) => Some(header).filter(|header| header.segment == segment),
        Err(HeaderError::Damaged) => None,
    };
    let seed = BlockSeed::new(settings.directory_id, segment);
    let slots = MarkSlots::read(&bytes, segment, seed);
    let (state, previous_end) = read_state(&bytes, segment, seed);
    Ok(Loaded {
        segment,
        file,
        bytes,
        header,
        seed,
        slots,
        state,
        previous_end,
    })
}

/// STATE, and where the segment before ended: the head of STATE says it too, and can be trusted if a valid block follows.
fn read_state(
    bytes: &[u8],
    segment: SegmentId,
    seed: BlockSeed,
) -> (Option<SegmentState>, Option<LogPosition>) {
    let at = LogPosition::new(segment, SEGMENT_HEADER_BYTES);
    let is_earlier = |end: &LogPosition| end.segment() < segment;
    match decode_block(bytes, at, seed) {
        Ok(block) if block.head.kind == BlockKind::State => {
            let state = decode_state(block.payload).filter(|state| is_earlier(&state.previous_end));
            let previous_end = state.as_ref().map(|state| state.previous_end);
            (state, previous_end)
        }
        Err(BlockError::Payload(head)) if head.kind == BlockKind::State => {
            let next = LogPosition::new(segment, SEGMENT_HEADER_BYTES + block_bytes(head.len));
            let is_followed = decode_block(bytes, next, seed).is_ok();
            (
                None,
                Some(head.sync_end).filter(|end| is_followed && is_earlier(end)),
            )
        }
        _ => (None, None),
    }
}

/// What the disk cannot read becomes bytes that are no block.
fn read_file<D: Disk, R: Recover>(
    disk: &D,
    file: &D::File,
    size: usize,
    segment: SegmentId,
    scan: &mut Scan<'_, R>,
) -> Result<Vec<u8>, DiskError> {
    let mut bytes = vec![0; size];
    match disk.read_at(file, 0, &mut bytes) {
        Err(DiskError {
            kind: DiskErrorKind::Io,
            ..
        }) => {}
        Err(error) => return Err(error),
        Ok(read) => {
            bytes.truncate(read);
            return Ok(bytes);
        }
    }
    let mut at = 0;
    for page in bytes.chunks_mut(READ_PAGE_BYTES) {
        if let Err(error) = disk.read_at(file, at, page) {
            if error.kind != DiskErrorKind::Io {
                return Err(error);
            }
            page.fill(UNREADABLE);
            let position = |offset: u64| LogPosition::new(segment, offset as u32);
            scan.findings.tell(Finding::Unreadable {
                from: position(at),
                end: position(at + page.len() as u64),
            });
        }
        at += page.len() as u64;
    }
    Ok(bytes)
}

/// No header, slot or block has only these bytes.
const UNREADABLE: u8 = 0xA5;

impl<D: Disk> Loaded<D> {
    fn segment_file(&self, recorded_end: Option<u32>) -> SegmentFile<'_> {
        SegmentFile {
            segment: self.segment,
            seed: self.seed,
            bytes: &self.bytes,
            declared_bytes: self
                .header
                .map_or(self.bytes.len() as u32, |header| header.segment_bytes),
            marked: self.slots.marked(),
            recorded_end,
        }
    }

    /// A segment begins to exist when its STATE is durable, before anything else is written to it. If STATE cannot be
    /// read, any block, mark or byte behind where STATE can stand proves that it was.
    pub(crate) fn exists(&self) -> Result<bool, LogError> {
        if self.state.is_some() || self.slots.newest.is_some() {
            return Ok(true);
        }
        // Marked as if all of it were durable: every valid block counts, wherever it stands.
        let probe = SegmentFile {
            marked: LogPosition::new(self.segment, u32::MAX),
            ..self.segment_file(None)
        };
        // More than a STATE that was cut short was written here.
        let behind_state = (SEGMENT_HEADER_BYTES + block_bytes(BLOCK_PAYLOAD_BYTES_MAX)) as usize;
        let rest = self.bytes.get(behind_state..).unwrap_or_default();
        Ok(lay_out(&probe)?.has_blocks() || !is_blank(rest))
    }

    /// As it was made: nothing was ever written to it.
    pub(crate) fn is_blank(&self, settings: &LogSettings) -> bool {
        let is_whole = self.header.is_some_and(|header| {
            header.segment_bytes == settings.segment_bytes
                && self.bytes.len() == header.segment_bytes as usize
        });
        let blocks = self
            .bytes
            .get(SEGMENT_HEADER_BYTES as usize..)
            .unwrap_or_default();
        is_whole && !self.slots.is_damaged && is_blank(blocks)
    }

    fn is_short(&self) -> bool {
        self.header
            .is_some_and(|header| self.bytes.len() < header.segment_bytes as usize)
    }

    fn tell_findings<R: Recover>(&self, scan: &mut Scan<'_, R>) {
        let segment = self.segment;
        if self.header.is_none() {
            scan.findings.tell(Finding::Header { segment });
        }
        if self.is_short() {
            let declared = self.header.map_or(0, |header| header.segment_bytes);
            scan.findings.tell(Finding::Short {
                segment,
                bytes: self.bytes.len() as u64,
                declared,
            });
        }
        if self.slots.is_damaged {
            scan.findings.tell(Finding::Slot { segment });
        }
        if self.state.is_none() {
            scan.findings.tell(Finding::State { segment });
        }
    }

    pub(crate) fn into_last<R: Recover>(
        self,
        layout: &Layout,
        scan: &mut Scan<'_, R>,
    ) -> LastSegment<D> {
        let Loaded {
            segment,
            file,
            bytes,
            header,
            slots,
            state,
            ..
        } = self;
        if !layout.is_tail_blank && !layout.is_damaged() {
            scan.findings.tell(Finding::Torn {
                at: LogPosition::new(segment, layout.end),
            });
        }
        let segment_bytes = bytes.len() as u32;
        let is_whole =
            header.is_some_and(|header| header.segment_bytes == segment_bytes) && state.is_some();
        let is_resumable =
            is_whole && !slots.is_damaged && layout.is_tail_blank && !layout.is_damaged();
        let is_closed = layout.is_closed;
        LastSegment {
            segment,
            file,
            segment_bytes,
            slots,
            end: layout.end,
            is_closed,
            is_resumable,
            state,
        }
    }
}
