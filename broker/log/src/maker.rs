//! Making segments: filled with zeros before they get their name, so that a sync never waits for the file system's
//! journal, and reading ahead of the end finds zeros.

use alloc::vec;
use alloc::vec::Vec;

use crate::disk_trait::{Disk, DiskError, DiskErrorKind};
use crate::error::LogError;
use crate::ids::SegmentId;
use crate::limits::FILL_BYTES;
use crate::planted::{Bug, planted};
use crate::retention::remove_segments;
use crate::segment::{LOG_FOLDER, SegmentHeader, segment_name, temporary_name};
use crate::settings::LogSettings;

/// Makes one segment ahead, on any thread. See [`crate::Log::segment_maker`].
#[derive(Debug)]
pub struct SegmentMaker<D: Disk> {
    pub(crate) disk: D,
    pub(crate) settings: LogSettings,
    pub(crate) segment: SegmentId,
    /// Segments that are not kept: they make place.
    pub(crate) dead: Vec<SegmentId>,
}

/// A segment that is ready to be written to.
#[derive(Debug)]
pub struct PreparedSegment<D: Disk> {
    pub(crate) segment: SegmentId,
    pub(crate) file: D::File,
}

impl<D: Disk> SegmentMaker<D> {
    /// Removes the segments that are not kept any more, then makes one: temporary name, reserve, zeros, header, sync, rename, directory sync.
    ///
    /// # Errors
    /// As the disk says; at most a temporary file is left, which the next open removes.
    pub fn make(self) -> Result<PreparedSegment<D>, LogError> {
        remove_segments(&self.disk, self.dead);
        let file = make_segment(&self.disk, &self.settings, self.segment)?;
        Ok(PreparedSegment {
            segment: self.segment,
            file,
        })
    }
}

impl<D: Disk> PreparedSegment<D> {
    /// Its number.
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        self.segment
    }
}

pub(crate) fn make_segment<D: Disk>(
    disk: &D,
    settings: &LogSettings,
    segment: SegmentId,
) -> Result<D::File, DiskError> {
    let temporary = temporary_name(segment);
    let file = create_anew(disk, &temporary)?;
    if let Err(error) = fill(disk, &file, settings, segment) {
        // The space is wanted back; if this fails too, the next open does it.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, &segment_name(segment))?;
    if !planted(Bug::SegmentNameUnsynced) {
        disk.sync_directory(LOG_FOLDER)?;
    }
    Ok(file)
}

/// Makes an empty file, in place of a left-over of that name.
pub(crate) fn create_anew<D: Disk>(disk: &D, name: &str) -> Result<D::File, DiskError> {
    match disk.create(name) {
        Err(DiskError {
            kind: DiskErrorKind::Exists,
            ..
        }) => {
            disk.remove(name)?;
            disk.create(name)
        }
        made => made,
    }
}

fn fill<D: Disk>(
    disk: &D,
    file: &D::File,
    settings: &LogSettings,
    segment: SegmentId,
) -> Result<(), DiskError> {
    let bytes = settings.segment_bytes;
    disk.reserve(file, u64::from(bytes))?;
    let zeros = vec![0; FILL_BYTES.min(bytes) as usize];
    let mut at = 0;
    while at < bytes {
        let piece = FILL_BYTES.min(bytes - at);
        disk.write_at(file, u64::from(at), &zeros[..piece as usize])?;
        at += piece;
    }
    let header = SegmentHeader {
        segment,
        directory_id: settings.directory_id,
        segment_bytes: bytes,
    };
    disk.write_at(file, 0, &header.encode())?;
    disk.sync(file)
}
