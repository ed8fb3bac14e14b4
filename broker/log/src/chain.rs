//! The segments of a directory, read one after the other, each once.
//!
//! Where a segment ends is told by the one that follows, so two are held in memory: the one to be read and the next.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::block::{BlockSeed, block_bytes};
use crate::content::Content;
use crate::disk_trait::{Disk, DiskErrorKind};
use crate::error::LogError;
use crate::ids::{LogPosition, SegmentId};
use crate::limits::{BLOCK_HEAD_BYTES, SEGMENT_HEADER_BYTES};
use crate::loaded::{LastSegment, Loaded, load, read_segment, read_state};
use crate::recover::{Finding, Recover};
use crate::retention::{Retained, Sealed};
use crate::scan::Scan;
use crate::segment::{
    LOG_FOLDER, parse_segment_name, parse_temporary_name, segment_name, temporary_name,
};
use crate::settings::LogSettings;

/// What is found besides blocks.
pub(crate) struct Chain<D: Disk> {
    /// The last segment that exists.
    pub(crate) last: Option<LastSegment<D>>,
    /// A segment made ahead and never written to.
    pub(crate) ahead: Option<(SegmentId, D::File)>,
    /// Files to be removed: segments that were being made, and those proven blank or a STATE that was being written.
    pub(crate) to_remove: Vec<String>,
    /// Above every number seen.
    pub(crate) next_segment: SegmentId,
    pub(crate) segments: u32,
    pub(crate) bytes_read: u64,
    /// What is known of those before the last.
    pub(crate) retained: Retained,
}

/// A segment that was never written to, or had its first write cut short.
struct Absent<D: Disk> {
    segment: SegmentId,
    file: D::File,
    /// It is as new ones are made.
    is_usable: bool,
    /// Every byte of it has been read.
    is_removable: bool,
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
        .map(|segment| temporary_name(*segment))
        .collect();
    let mut chain = Chain {
        last: None,
        ahead: None,
        to_remove,
        next_segment: newest.next(),
        segments: 0,
        bytes_read: 0,
        retained: Retained::default(),
    };
    let mut before: Option<Loaded<D>> = None;
    let mut absent: Vec<Absent<D>> = Vec::new();
    let last_number = numbers.last().copied();
    let first_kept = first_kept(disk, settings, &numbers, &mut chain.bytes_read)?;
    chain.retained.first_kept = first_kept;
    if first_kept > SegmentId(0) {
        scan.begin_trimmed();
    }
    for segment in numbers {
        if segment < first_kept {
            // Its removal was cut short: it does not exist.
            chain.to_remove.push(segment_name(segment));
            continue;
        }
        let loaded = load(disk, settings, segment, Some(segment) == last_number, scan)?;
        chain.bytes_read += loaded.bytes.len() as u64;
        let content = loaded.content()?;
        if content != Content::Written {
            absent.push(Absent {
                segment,
                is_usable: content == Content::Blank && loaded.has_length(settings.segment_bytes),
                is_removable: loaded.is_read_whole(),
                file: loaded.file,
            });
            continue;
        }
        chain.segments += 1;
        chain.seal(before.as_ref(), &loaded);
        if before.is_none() {
            tell_lost_beginning(&loaded, first_kept, scan);
        }
        read_before(before.as_ref(), loaded.previous_end, &absent, scan)?;
        // Nothing is removed because metadata is missing: not if it is named, nor if it is not known what is named.
        let unnamed = absent.drain(..).filter(|absent| {
            loaded
                .previous_end
                .is_some_and(|end| end.segment() != absent.segment)
        });
        chain.remove(unnamed);
        before = Some(loaded);
    }
    if let Some(last) = before {
        let layout = read_segment(&last, None, scan)?;
        chain.last = Some(last.into_last(&layout, scan));
    }
    let usable = absent.iter().position(|absent| absent.is_usable);
    chain.ahead = usable.map(|place| {
        let Absent { segment, file, .. } = absent.remove(place);
        (segment, file)
    });
    chain.remove(absent);
    Ok(chain)
}

impl<D: Disk> Chain<D> {
    /// What the next segment says of the one before it, for retention.
    fn seal(&mut self, before: Option<&Loaded<D>>, next: &Loaded<D>) {
        let Some(before) = before else { return };
        let state = next.state.as_ref();
        self.retained.sealed.push_back(Sealed {
            segment: before.segment,
            bytes: before.file_bytes,
            end: next
                .previous_end
                .filter(|end| end.segment() == before.segment)
                .map(LogPosition::offset),
            lasts: state.map(|state| {
                let groups = state.groups.iter();
                groups.map(|(group, state)| (*group, state.last)).collect()
            }),
            ended_ms: state.map_or(0, |state| state.head.kept.begun_ms),
        });
    }

    /// Only what has been read as a whole; the next open reads the others.
    fn remove(&mut self, absent: impl IntoIterator<Item = Absent<D>>) {
        let removable = absent.into_iter().filter(|absent| absent.is_removable);
        self.to_remove
            .extend(removable.map(|absent| segment_name(absent.segment)));
    }
}

/// The first segment that is kept, by the newest STATE that can be read; 0: none was ever removed. Nothing is written, and if something was removed,
/// that STATE is made durable and read from the device before it is believed: what it says is not kept is removed.
fn first_kept<D: Disk>(
    disk: &D,
    settings: &LogSettings,
    numbers: &[SegmentId],
    bytes_read: &mut u64,
) -> Result<SegmentId, LogError> {
    for segment in numbers.iter().rev() {
        let file = disk.open(&segment_name(*segment))?;
        let mut kept = peek_state(disk, &file, (settings, *segment), bytes_read)?;
        if kept.is_some_and(|kept| kept > SegmentId(0)) {
            disk.sync(&file)?;
            disk.forget_cached(&file)?;
            kept = peek_state(disk, &file, (settings, *segment), bytes_read)?;
        }
        if let Some(kept) = kept {
            return Ok(kept);
        }
    }
    Ok(SegmentId(0))
}

/// What the STATE of a segment says is the first one kept; `None`: it cannot be read.
fn peek_state<D: Disk>(
    disk: &D,
    file: &D::File,
    (settings, segment): (&LogSettings, SegmentId),
    bytes_read: &mut u64,
) -> Result<Option<SegmentId>, LogError> {
    const AT: usize = SEGMENT_HEADER_BYTES as usize;
    let mut bytes = vec![0; AT + BLOCK_HEAD_BYTES as usize];
    for _ in 0..2 {
        match disk.read_at(file, AT as u64, &mut bytes[AT..]) {
            Ok(read) => *bytes_read += read as u64,
            // Reading it as a whole tells what is to be made of that.
            Err(error) if error.kind == DiskErrorKind::Io => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let len = bytes[AT..]
            .first_chunk()
            .map_or(0, |len| u32::from_le_bytes(*len));
        if len == 0 || len > settings.state_bytes_max() {
            return Ok(None);
        }
        bytes.resize(AT + block_bytes(len) as usize, 0);
    }
    let seed = BlockSeed::new(settings.directory_id, segment);
    let (state, _) = read_state(&bytes, segment, seed);
    Ok(state.map(|state| state.head.kept.first))
}

/// The segments that were removed are known: one before the first that is there, and not among them, was lost.
fn tell_lost_beginning<D: Disk, R: Recover>(
    first: &Loaded<D>,
    first_kept: SegmentId,
    scan: &mut Scan<'_, R>,
) {
    let lost = first
        .previous_end
        .filter(|end| first_kept > SegmentId(0) && end.segment() >= first_kept);
    if let Some(end) = lost {
        // What it held is behind the checkpoints, or the first STATE that is there shows whose is not.
        scan.findings.tell(Finding::Missing {
            segment: end.segment(),
        });
    }
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

/// Reads the segment before one that says `previous_end`, and what that says was in between.
fn read_before<D: Disk, R: Recover>(
    before: Option<&Loaded<D>>,
    previous_end: Option<LogPosition>,
    absent: &[Absent<D>],
    scan: &mut Scan<'_, R>,
) -> Result<(), LogError> {
    let Some(before) = before else {
        // Nothing was before, or it was removed as a whole: STATE and checkpoints say what is to be known of it. A file
        // that is there and has nothing in it was not removed.
        let is_absent =
            |end: &LogPosition| absent.iter().any(|absent| absent.segment == end.segment());
        if let Some(previous_end) = previous_end.filter(is_absent) {
            scan.damage(
                (
                    LogPosition::new(previous_end.segment(), SEGMENT_HEADER_BYTES),
                    previous_end,
                ),
                None,
            );
        }
        return Ok(());
    };
    let Some(previous_end) = previous_end else {
        // The first block of what follows is a range then in which anything may have stood: every group is suspect.
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
        if !absent.iter().any(|absent| absent.segment == previous) {
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
