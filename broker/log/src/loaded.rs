//! One segment's file in memory: what its first page and first block say, and what is made of the rest.

use alloc::vec::Vec;

use crate::block::{BlockError, BlockKind, BlockSeed, block_bytes, decode_block};
use crate::content::{Content, content};
use crate::disk_trait::{Disk, DiskError, DiskErrorKind};
use crate::error::LogError;
use crate::ids::{LogPosition, SegmentId};
use crate::layout::{Layout, SegmentFile, lay_out};
use crate::limits::{BLANK_PROOF_BYTES, READ_PAGE_BYTES, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES};
use crate::planted::{Bug, planted};
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
    /// All of the file; only the first `BLANK_PROOF_BYTES` if those show that nothing was ever written.
    pub(crate) bytes: Vec<u8>,
    pub(crate) file_bytes: u32,
    state_bytes_max: u32,
    unreadable: Vec<(u32, u32)>,
    header: Option<SegmentHeader>,
    seed: BlockSeed,
    slots: MarkSlots,
    pub(crate) state: Option<SegmentState>,
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
        let end = loaded.file_bytes.max(SEGMENT_HEADER_BYTES);
        let end = LogPosition::new(loaded.segment, end);
        scan.damage(
            (LogPosition::new(loaded.segment, SEGMENT_HEADER_BYTES), end),
            None,
        );
    }
    layout.read(&file, scan)?;
    Ok(layout)
}

/// Syncs, forgets cached pages, reads the whole file; of the newest segment only the start if nothing was ever written.
pub(crate) fn load<D: Disk, R: Recover>(
    disk: &D,
    settings: &LogSettings,
    segment: SegmentId,
    is_newest: bool,
    scan: &mut Scan<'_, R>,
) -> Result<Loaded<D>, LogError> {
    let file = disk.open(&segment_name(segment))?;
    disk.sync(&file)?;
    disk.forget_cached(&file)?;
    let size = disk.size(&file)?;
    let file_bytes = u32::try_from(size)
        .ok()
        .filter(|bytes| *bytes <= SEGMENT_BYTES_MAX)
        .ok_or(LogError::SegmentTooLarge {
            segment,
            bytes: size,
        })?;
    let mut loaded = Loaded {
        segment,
        file,
        bytes: Vec::new(),
        file_bytes,
        state_bytes_max: settings.state_bytes_max(),
        unreadable: Vec::new(),
        header: None,
        seed: BlockSeed::new(settings.directory_id, segment),
        slots: MarkSlots::default(),
        state: None,
        previous_end: None,
    };
    if is_newest && file_bytes == settings.segment_bytes && file_bytes > BLANK_PROOF_BYTES {
        loaded.read_up_to(BLANK_PROOF_BYTES, disk, scan)?;
        loaded.read_header(settings)?;
        if loaded.content()? == Content::Blank {
            return Ok(loaded);
        }
    }
    loaded.read_up_to(file_bytes, disk, scan)?;
    loaded.read_header(settings)?;
    (loaded.state, loaded.previous_end) = read_state(&loaded.bytes, segment, loaded.seed);
    Ok(loaded)
}

/// STATE, and where the segment before ended: the head of STATE says it too, and can be trusted if a valid block follows.
pub(crate) fn read_state(
    bytes: &[u8],
    segment: SegmentId,
    seed: BlockSeed,
) -> (Option<SegmentState>, Option<LogPosition>) {
    let at = LogPosition::new(segment, SEGMENT_HEADER_BYTES);
    let is_earlier = |end: &LogPosition| end.segment() < segment;
    match decode_block(bytes, at, seed) {
        Ok(block) if block.head.kind == BlockKind::State => {
            let state = decode_state(block.payload).filter(|state| {
                is_earlier(&state.head.previous_end) && state.head.kept.first <= segment
            });
            let previous_end = state.as_ref().map(|state| state.head.previous_end);
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
            unreadable: &self.unreadable,
        }
    }

    /// Whether it was ever written to. What cannot be proven blank, or the rest of a STATE that was being written, is
    /// taken for written, and what cannot be read of it for damage.
    pub(crate) fn content(&self) -> Result<Content, LogError> {
        if self.state.is_some() || self.slots.newest.is_some() {
            return Ok(Content::Written);
        }
        let is_as_made = self
            .header
            .is_some_and(|header| header.segment_bytes == self.file_bytes);
        if !is_as_made || self.slots.is_damaged || !self.unreadable.is_empty() {
            return Ok(Content::Written);
        }
        content(&self.segment_file(None), self.state_bytes_max)
    }

    /// All of the file has been looked at, not only its start.
    pub(crate) fn is_read_whole(&self) -> bool {
        self.bytes.len() == self.file_bytes as usize
    }

    /// Its length is that of new segments.
    pub(crate) fn has_length(&self, segment_bytes: u32) -> bool {
        self.file_bytes == segment_bytes
    }

    /// Reads on up to `end`. What the disk cannot read becomes bytes that are no block.
    fn read_up_to<R: Recover>(
        &mut self,
        end: u32,
        disk: &D,
        scan: &mut Scan<'_, R>,
    ) -> Result<(), DiskError> {
        let from = self.bytes.len();
        self.bytes.resize(end as usize, 0);
        match disk.read_at(&self.file, from as u64, &mut self.bytes[from..]) {
            Err(DiskError {
                kind: DiskErrorKind::Io,
                ..
            }) => {}
            Err(error) => return Err(error),
            Ok(read) => {
                self.bytes.truncate(from + read);
                return Ok(());
            }
        }
        let mut at = from as u32;
        for page in self.bytes[from..].chunks_mut(READ_PAGE_BYTES) {
            let page_end = at + page.len() as u32;
            if let Err(error) = disk.read_at(&self.file, u64::from(at), page) {
                if error.kind != DiskErrorKind::Io {
                    return Err(error);
                }
                page.fill(UNREADABLE);
                self.unreadable.push((at, page_end));
                scan.findings.tell(Finding::Unreadable {
                    from: LogPosition::new(self.segment, at),
                    end: LogPosition::new(self.segment, page_end),
                });
            }
            at = page_end;
        }
        Ok(())
    }

    /// Reads header and mark slots out of the first page.
    fn read_header(&mut self, settings: &LogSettings) -> Result<(), LogError> {
        let segment = self.segment;
        let unknown = |what| LogError::UnknownFields { segment, what };
        self.header = match SegmentHeader::decode(&self.bytes) {
            Ok(header) if header.directory_id != settings.directory_id => {
                return Err(LogError::ForeignSegment { segment });
            }
            Err(HeaderError::Version(version)) => {
                return Err(LogError::Version { segment, version });
            }
            Err(HeaderError::Reserved) => return Err(unknown("header")),
            Ok(header) => Some(header).filter(|header| header.segment == segment),
            Err(HeaderError::Damaged) => None,
        };
        self.slots = MarkSlots::read(&self.bytes, segment, self.seed);
        if self.slots.is_unknown {
            return Err(unknown("mark slot"));
        }
        Ok(())
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
            unreadable,
            ..
        } = self;
        if !layout.is_tail_blank && !layout.is_damaged() {
            scan.findings.tell(Finding::Torn {
                at: LogPosition::new(segment, layout.end),
            });
        }
        let segment_bytes = bytes.len() as u32;
        let is_readable = unreadable.is_empty();
        let is_whole =
            header.is_some_and(|header| header.segment_bytes == segment_bytes) && state.is_some();
        let is_resumable = is_whole
            && is_readable
            && !slots.is_damaged
            && (layout.is_tail_blank || planted(Bug::WriteOverTear))
            && !layout.is_damaged();
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
