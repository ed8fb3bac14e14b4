//! The log: queue, flush, roll.

use crate::disk_trait::Disk;
use crate::entry::{Append, Flushed};
use crate::error::LogError;
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::recover::{Outcome, Recover, Recovery};
use crate::settings::LogSettings;

/// The log of one data directory, owned by one thread.
#[derive(Debug)]
pub struct Log<D: Disk> {
    disk: D,
    settings: LogSettings,
}

/// Makes one segment ahead, step by step, on any thread.
#[derive(Debug)]
pub struct SegmentMaker<D: Disk> {
    disk: D,
    settings: LogSettings,
    segment: SegmentId,
}

/// A segment that is ready to be written to.
#[derive(Debug)]
pub struct PreparedSegment<D: Disk> {
    segment: SegmentId,
    file: D::File,
}

impl<D: Disk> Log<D> {
    /// Opens the log, or starts one if there is none.
    ///
    /// # Errors
    /// See [`LogError`]. Damage is no error: see [`Recovery`].
    pub fn open(
        disk: D,
        settings: LogSettings,
        recover: &mut impl Recover,
    ) -> Result<(Log<D>, Recovery), LogError> {
        settings.check()?;
        let _ = recover;
        let recovery = Recovery {
            outcome: Outcome::Fresh,
            bytes_read: 0,
            sync_end: LogPosition::ZERO,
            segments: 0,
            findings: alloc::vec::Vec::new(),
            findings_dropped: 0,
        };
        Ok((Log { disk, settings }, recovery))
    }

    /// Queues; nothing is written.
    ///
    /// # Panics
    /// If the core breaks the order of its own readies or entries, or appends to a damaged group.
    pub fn submit(&mut self, append: Append) {
        let _ = append;
    }

    /// Whether something is queued.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        false
    }

    /// Everything below is durable.
    #[must_use]
    pub fn sync_end(&self) -> LogPosition {
        LogPosition::ZERO
    }

    /// Writes everything queued (a group with an urgent append first, with all it has queued), rolls if needed, syncs.
    ///
    /// # Errors
    /// Final: see [`LogError`].
    pub fn flush(&mut self) -> Result<Flushed, LogError> {
        Ok(Flushed::default())
    }

    /// Writes a checkpoint file and queues the block that names it; the next flush writes that.
    ///
    /// # Errors
    /// Final, but for a full disk.
    pub fn write_checkpoint(
        &mut self,
        group: GroupId,
        index: Index,
        term: Term,
        bytes: &[u8],
    ) -> Result<(), LogError> {
        let _ = (group, index, term, bytes);
        Ok(())
    }

    /// Makes one segment ahead if there is none; false: there was one.
    ///
    /// # Errors
    /// Not final: the log goes on in the segment that it has.
    pub fn prepare_segment(&mut self) -> Result<bool, LogError> {
        Ok(false)
    }

    /// As [`Log::prepare_segment`], for another thread: `None` while a segment is ready or being made.
    /// Give the result back with [`Log::adopt`].
    #[must_use]
    pub fn segment_maker(&mut self) -> Option<SegmentMaker<D>>
    where
        D: Clone,
    {
        let _ = self.settings;
        None
    }

    /// Takes a segment that was made elsewhere, or the news that making it failed (the maker is asked for anew then).
    pub fn adopt(&mut self, made: Result<PreparedSegment<D>, LogError>) {
        let _ = made;
    }

    /// Tells `sync_end` in the log, unsynced, if nothing has told it yet. For a log that has fallen idle.
    ///
    /// # Errors
    /// Final.
    pub fn idle_mark(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    /// Flushes what is queued, writes the END mark, syncs.
    ///
    /// # Errors
    /// Final; the next open finds an unclean log.
    pub fn close(self) -> Result<D, LogError> {
        Ok(self.disk)
    }
}

impl<D: Disk> SegmentMaker<D> {
    /// Makes the segment: temporary name, reserve, zeros, header, sync, rename, directory sync.
    ///
    /// # Errors
    /// As the disk says; nothing is left but a temporary file, which the next open removes.
    pub fn make(self) -> Result<PreparedSegment<D>, LogError> {
        let _ = (&self.disk, self.settings);
        let file = self.disk.create("log/0000000000000000.tmp")?;
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
        let _ = &self.file;
        self.segment
    }
}
