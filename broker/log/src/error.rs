//! Why the log refuses.

use crate::disk_trait::DiskError;
use crate::ids::{GroupId, LogPosition, SegmentId};

/// Why a call on the log failed. After an error from `flush`, `idle_mark` or `close`, and after
/// [`Log::is_failed`](crate::Log::is_failed) says so, the log is closed for good: every later call answers [`LogError::Failed`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An earlier write or sync failed: nothing more may be acknowledged from this directory.
    #[error("the log has failed before and is closed for good")]
    Failed,
    /// The settings contradict each other or a limit.
    #[error("log settings: {0}")]
    Settings(&'static str),
    /// The segment's header names another data directory: files were mixed.
    #[error("segment {segment} belongs to another data directory")]
    ForeignSegment {
        /// Which.
        segment: SegmentId,
    },
    /// The segment was written by a newer version.
    #[error("segment {segment} has format version {version}, newer than this program knows")]
    Version {
        /// Which.
        segment: SegmentId,
        /// Its version.
        version: u16,
    },
    /// A segment's header or mark slot is whole and has reserved bytes set: a newer version gave them a meaning.
    #[error("segment {segment} has a {what} with fields that this program does not know")]
    UnknownFields {
        /// Which.
        segment: SegmentId,
        /// Header or mark slot.
        what: &'static str,
    },
    /// A file is longer than any segment may be.
    #[error("segment {segment} has {bytes} bytes, more than a segment may have")]
    SegmentTooLarge {
        /// Which.
        segment: SegmentId,
        /// Its size.
        bytes: u64,
    },
    /// An entry does not fit into a block of this log.
    #[error("an entry of group {group} has {bytes} bytes, more than {bytes_max}")]
    EntryTooLarge {
        /// Whose.
        group: GroupId,
        /// Its payload.
        bytes: u64,
        /// The limit.
        bytes_max: u32,
    },
    /// The state of all groups does not fit into a segment.
    #[error("the state of all groups takes {bytes} bytes and does not fit into a segment")]
    StateTooLarge {
        /// With its head.
        bytes: u64,
    },
    /// The state of a partition is larger than a checkpoint file may be.
    #[error("a checkpoint of group {group} takes {bytes} bytes")]
    CheckpointTooLarge {
        /// Whose.
        group: GroupId,
        /// The file's size.
        bytes: u64,
    },
    /// A block that only a newer version writes: its kind, its flags or a field that is reserved. It must not be skipped.
    #[error(
        "the log holds a block at {at} of kind {kind} with flags {flags} that this program does not know, or not with these fields"
    )]
    UnknownBlock {
        /// Where.
        at: LogPosition,
        /// Its kind.
        kind: u8,
        /// Its flags.
        flags: u8,
    },
    /// A segment would need a number above all that there are.
    #[error("segment numbers are used up")]
    SegmentNumbers,
    /// More entries without a known commit than may be kept in memory while opening.
    #[error(
        "group {group} has more than {bytes_max} bytes of entries that are not known to be committed"
    )]
    Unsettled {
        /// Whose.
        group: GroupId,
        /// The limit, in bytes.
        bytes_max: u64,
    },
}
