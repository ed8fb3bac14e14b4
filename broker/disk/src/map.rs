//! One segment, readable as memory.
//!
//! This file and `watch` are the only ones with unsafe code. A reader gets a slice of a mapped file that another thread
//! appends to; what makes that sound is told at [`SegmentMap::below`].
#![allow(unsafe_code)]

mod watch;

use std::fs::File;
use std::io;
use std::path::Path;

use antiphon_log::{BlockSeed, LogPosition, SegmentId, segment_name};
use memmap2::{MmapOptions, MmapRaw};

pub use watch::SIGBUS_EXIT_STATUS;

use crate::bad_pages::{BadPages, PAGE_BYTES};
use crate::file::read_full;
pub(crate) use crate::map::watch::watch_reads;
use crate::map::watch::{WATCHED_MAX, Watched};

/// A segment's bytes, mapped, or copied where a map would meet a bad page.
#[derive(Debug)]
pub struct SegmentMap {
    segment: SegmentId,
    seed: BlockSeed,
    bytes: Source,
}

#[derive(Debug)]
enum Source {
    /// `_watched` ends before `raw` is unmapped: fields drop in this order.
    Mapped {
        _watched: Watched,
        raw: MmapRaw,
    },
    Copied(Vec<u8>),
}

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// Its file is gone: retention took it, or it never was.
    #[error("segment {segment} has no file")]
    Missing {
        /// The segment.
        segment: SegmentId,
    },
    /// More segments are mapped than are watched for read errors.
    #[error("segment {segment}: more than {limit} segments are mapped")]
    TooMany {
        /// The segment.
        segment: SegmentId,
        /// How many may be.
        limit: usize,
    },
    /// The system refused.
    #[error("cannot map segment {segment}: {source}")]
    Io {
        /// The segment.
        segment: SegmentId,
        /// The system's answer.
        source: io::Error,
    },
}

impl SegmentMap {
    /// Maps `segment` of the data directory `root` for reading, or copies it if it has bad pages.
    ///
    /// # Errors
    /// See [`MapError`].
    pub(crate) fn open(
        root: &Path,
        directory_id: u128,
        segment: SegmentId,
        bad_pages: &BadPages,
    ) -> Result<Self, MapError> {
        let io_error = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => MapError::Missing { segment },
            _ => MapError::Io { segment, source },
        };
        let file = File::open(root.join(segment_name(segment))).map_err(io_error)?;
        let seed = BlockSeed::new(directory_id, segment);
        if bad_pages.concerns(segment) {
            let bytes = Source::Copied(copy(&file).map_err(io_error)?);
            return Ok(SegmentMap {
                segment,
                seed,
                bytes,
            });
        }
        let raw = MmapOptions::new()
            .map_raw_read_only(&file)
            .map_err(io_error)?;
        let watched = Watched::new(raw.as_ptr() as usize, raw.len(), segment, bad_pages.note());
        let limit = WATCHED_MAX;
        let watched = watched.ok_or(MapError::TooMany { segment, limit })?;
        Ok(SegmentMap {
            segment,
            seed,
            bytes: Source::Mapped {
                _watched: watched,
                raw,
            },
        })
    }

    /// The segment.
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        self.segment
    }

    /// Start value of its checksums.
    #[must_use]
    pub fn seed(&self) -> BlockSeed {
        self.seed
    }

    /// The file's bytes from its start up to `sync_end`, or all of them if `sync_end` lies in a later segment.
    ///
    /// `sync_end` must be a synced end that the log published: what lies below it never changes again. Blocks start
    /// after the first page; that page holds the mark slots, which do change, and nobody reads it through a map.
    #[must_use]
    pub fn below(&self, sync_end: LogPosition) -> &[u8] {
        let all = match &self.bytes {
            Source::Mapped { raw, .. } => raw.len(),
            Source::Copied(bytes) => bytes.len(),
        };
        let len = match sync_end.segment().cmp(&self.segment) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => all.min(sync_end.offset() as usize),
            std::cmp::Ordering::Greater => all,
        };
        match &self.bytes {
            Source::Copied(bytes) => &bytes[..len],
            // SAFETY: the duties of `from_raw_parts`, and who keeps them:
            // - non-null, readable for `len` bytes, one allocation: `raw` maps `raw.len() >= len` bytes and lives as
            //   long as `self`, which the slice borrows. The file never becomes shorter: the log reserves a segment
            //   at its full size before it has its name and only ever unlinks it, and the directory's lock keeps
            //   other brokers out. If the medium fails, or somebody cuts the file nevertheless, the access is a
            //   SIGBUS, which ends the process (`watch`): no wrong bytes are seen.
            // - initialised, aligned: bytes of a file.
            // - not mutated while the slice lives: bytes below a synced end are written once, before the sync; later
            //   appends touch only bytes at or above it, which are not in the slice. The exception is the page
            //   of the mark slots: nothing that takes the slice reads it.
            // - `len <= isize::MAX`: a map is never larger.
            Source::Mapped { raw, .. } => unsafe { std::slice::from_raw_parts(raw.as_ptr(), len) },
        }
    }
}

/// Reads a file page by page; what cannot be read is zeros, which no checksum of a block accepts.
fn copy(file: &File) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    for (page, piece) in bytes.chunks_mut(PAGE_BYTES as usize).enumerate() {
        if read_full(file, page as u64 * PAGE_BYTES, piece).is_err() {
            piece.fill(0);
        }
    }
    Ok(bytes)
}
