//! How a log is to be kept.

use crate::error::LogError;
use crate::limits::{
    BLOCK_PAYLOAD_BYTES_MAX, GROUPS_MAX, RESERVE_BYTES_DEFAULT, RESUME_BYTES_DEFAULT, SECTOR_BYTES,
    SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, UNSETTLED_BYTES_MAX,
};
use crate::retention::Retention;
use crate::state::state_bytes_max;

/// Settings of one log. `directory_id` binds segments and blocks to their data directory.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// Size of new segments; a multiple of 512 between `SEGMENT_BYTES_MIN` and `SEGMENT_BYTES_MAX`.
    pub segment_bytes: u32,
    /// Drawn at random once for the data directory; never 0.
    pub directory_id: u128,
    /// Repeats `sync_end` in the first page with each sync: a zeroed or truncated tail is seen. Costs one more page a sync.
    pub mark_slots: bool,
    /// Partitions of the data directory, 0: not known. If it cannot be read which groups the log has, all of 1..=partitions
    /// are told as damaged; without it, a group of which nothing is left looks like a new one.
    pub partitions: u32,
    /// Memory for entries without a known commit while opening.
    pub unsettled_bytes_max: u64,
    /// Publishes are refused while less than one segment and this is left on the disk; 0: never. See [`Space`](crate::Space).
    pub reserve_bytes: u64,
    /// Once refused, they are taken again when one segment and this is left. `reserve_bytes <= resume_bytes`
    pub resume_bytes: u64,
    /// How much of the log is kept.
    pub retention: Retention,
}

impl LogSettings {
    /// The usual settings.
    #[must_use]
    pub fn new(directory_id: u128) -> LogSettings {
        LogSettings {
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            directory_id,
            mark_slots: true,
            partitions: 0,
            unsettled_bytes_max: UNSETTLED_BYTES_MAX,
            reserve_bytes: RESERVE_BYTES_DEFAULT,
            resume_bytes: RESUME_BYTES_DEFAULT,
            retention: Retention::default(),
        }
    }

    /// Payload of the longest STATE that the groups of this directory can have.
    pub(crate) fn state_bytes_max(&self) -> u32 {
        match self.partitions {
            0 => BLOCK_PAYLOAD_BYTES_MAX,
            partitions => state_bytes_max(partitions as usize + 1) as u32,
        }
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return Err(LogError::Settings("segment_bytes is out of range"));
        }
        if !self.segment_bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(LogError::Settings("segment_bytes is not a multiple of 512"));
        }
        if self.partitions as usize >= GROUPS_MAX {
            return Err(LogError::Settings("partitions is out of range"));
        }
        if self.resume_bytes < self.reserve_bytes {
            return Err(LogError::Settings("resume_bytes is below reserve_bytes"));
        }
        if self.directory_id == 0 {
            return Err(LogError::Settings("directory_id is 0"));
        }
        Ok(())
    }
}
