//! The segments of a directory, read one after the other, each once.
//!
//! Where a segment ends is told by the one that follows, so two are held in memory: the one to be read and the next.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::block::{BlockSeed, decode_block};
use crate::disk_trait::{Disk, DiskError, DiskErrorKind};
use crate::error::LogError;
use crate::ids::{LogPosition, SegmentId};
use crate::layout::{Layout, SegmentFile, is_blank, lay_out};
use crate::limits::{READ_PAGE_BYTES, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES};
use crate::recover::{Finding, Recover};
use crate::scan::Scan;
use crate::segment::{
    HeaderError, LOG_FOLDER, MarkSlots, SegmentHeader, parse_segment_name, parse_temporary_name,
    segment_name,
};
use crate::settings::LogSettings;
use crate::state::{SegmentState, decode_state};

/// What is found besides blocks.
pub(crate) struct Chain<D: Disk> {
    /// The last segment that exists.
    pub(crate) last: Option<LastSegment<D>>,
    /// A segment made ahead and never written to.
    pub(crate) ahead: Option<(SegmentId, D::File)>,
    /// Files to be removed: nothing valid is in them.
    pub(crate) to_remove: Vec<String>,
    /// Above every number seen.
    pub(crate) next_segment: SegmentId,
    pub(crate) segments: u32,
    pub(crate) bytes_read: u64,
}

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
struct Loaded<D: Disk> {
    segment: SegmentId,
    file: D::File,
    bytes: Vec<u8>,
    header: Option<SegmentHeader>,
    seed: BlockSeed,
    slots: MarkSlots,
    state: Option<SegmentState>,
}

/// Reads all segments into `scan`.
pub(crate) fn read_chain<D: Disk, R: Recover>(
    disk: &D,
    settings: &LogSettings,
    scan: &mut Scan<'_, R>,
) -> Result<Chain<D>, LogError> {
    let (numbers, temporary) = list(disk)?;
    let newest = numbers
        .iter()
        .chain(&temporary)
        .max()
        .copied()
        .unwrap_or_default();
    let to_remove = temporary
        .iter()
        .map(|segment| crate::segment::temporary_name(*segment))
        .collect();
    let mut chain = Chain {
        last: None,
        ahead: None,
        to_remove,
        next_segment: newest.next(),
        segments: 0,
        bytes_read: 0,
    };
    let mut before: Option<Loaded<D>> = None;
    let mut absent: Vec<(SegmentId, Option<D::File>)> = Vec::new();
    for segment in numbers {
        let loaded = load(disk, settings, segment, scan)?;
        chain.bytes_read += loaded.bytes.len() as u64;
        if !loaded.exists()? {
            let is_blank = loaded.is_blank(settings);
            absent.push((segment, is_blank.then_some(loaded.file)));
            continue;
        }
        chain.segments += 1;
        read_before(before.as_ref(), loaded.state.as_ref(), &absent, scan)?;
        let named = loaded
            .state
            .as_ref()
            .map(|state| state.previous_end.segment());
        absent.retain(|(absent, _)| named != Some(*absent));
        chain
            .to_remove
            .extend(absent.drain(..).map(|(absent, _)| segment_name(absent)));
        before = Some(loaded);
    }
    if let Some(last) = before {
        let layout = read_segment(&last, None, scan)?;
        chain.last = Some(last.into_last(&layout, scan));
    }
    for (segment, file) in absent {
        match file {
            Some(file) if chain.ahead.is_none() => chain.ahead = Some((segment, file)),
            _ => chain.to_remove.push(segment_name(segment)),
        }
    }
    Ok(chain)
}

/// Numbers of the segments, ascending, and of those that were being made.
fn list<D: Disk>(disk: &D) -> Result<(Vec<SegmentId>, Vec<SegmentId>), LogError> {
    let names = disk.list(LOG_FOLDER)?;
    let mut numbers: Vec<SegmentId> = names
        .iter()
        .filter_map(|name| parse_segment_name(name))
        .collect();
    numbers.sort_unstable();
    let temporary = names
        .iter()
        .filter_map(|name| parse_temporary_name(name))
        .collect();
    Ok((numbers, temporary))
}

/// Reads the segment before one whose STATE is `state`, and what that STATE says was in between.
fn read_before<D: Disk, R: Recover>(
    before: Option<&Loaded<D>>,
    state: Option<&SegmentState>,
    absent: &[(SegmentId, Option<D::File>)],
    scan: &mut Scan<'_, R>,
) -> Result<(), LogError> {
    let Some(before) = before else {
        // Nothing was before, or it was removed as a whole: STATE says what is to be known of it.
        return Ok(());
    };
    let Some(previous_end) = state.map(|state| state.previous_end) else {
        read_segment(before, None, scan)?;
        return Ok(());
    };
    let previous = previous_end.segment();
    if previous == before.segment {
        read_segment(before, Some(previous_end.offset()), scan)?;
    } else if previous < before.segment {
        scan.findings.tell(Finding::Unlinked {
            segment: before.segment,
        });
    } else {
        read_segment(before, None, scan)?;
        if !absent.iter().any(|(segment, _)| *segment == previous) {
            scan.findings.tell(Finding::Missing { segment: previous });
        }
        scan.damage(
            (
                LogPosition::new(previous, SEGMENT_HEADER_BYTES),
                previous_end,
            ),
            None,
        );
    }
    Ok(())
}

/// Gives the blocks and damaged stretches of one segment to `scan`.
fn read_segment<D: Disk, R: Recover>(
    loaded: &Loaded<D>,
    recorded_end: Option<u32>,
    scan: &mut Scan<'_, R>,
) -> Result<Layout, LogError> {
    loaded.tell_findings(scan);
    let file = loaded.segment_file(recorded_end);
    let layout = lay_out(&file)?;
    layout.read(&file, scan)?;
    Ok(layout)
}

/// Syncs, forgets cached pages, reads the whole file.
fn load<D: Disk, R: Recover>(
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
    let first = decode_block(
        &bytes,
        LogPosition::new(segment, SEGMENT_HEADER_BYTES),
        seed,
    )
    .ok();
    let state = first.filter(|block| block.head.kind == crate::block::BlockKind::State);
    let state = state
        .and_then(|block| decode_state(block.payload))
        .filter(|state| state.previous_end.segment() < segment);
    Ok(Loaded {
        segment,
        file,
        bytes,
        header,
        seed,
        slots,
        state,
    })
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
    /// read, any block or mark proves that it was.
    fn exists(&self) -> Result<bool, LogError> {
        if self.state.is_some() || self.slots.newest.is_some() {
            return Ok(true);
        }
        let probe = SegmentFile {
            marked: LogPosition::ZERO,
            declared_bytes: 0,
            ..self.segment_file(None)
        };
        // Marked as if all of it were durable: every valid block counts, wherever it stands.
        let probe = SegmentFile {
            marked: LogPosition::new(self.segment, u32::MAX),
            ..probe
        };
        Ok(lay_out(&probe)?.has_blocks())
    }

    /// As it was made: nothing was ever written to it.
    fn is_blank(&self, settings: &LogSettings) -> bool {
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

    fn into_last<R: Recover>(self, layout: &Layout, scan: &mut Scan<'_, R>) -> LastSegment<D> {
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
