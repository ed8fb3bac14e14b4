//! The append-only log of one data directory: segments, blocks, sync marks, recovery and the room index.
//!
//! Shared by all partitions of a node, because k files are k flushes. The log knows entries and records, not what
//! rooms mean; it is generic over a small [`Disk`], so that the same code runs on real files, in the simulator and
//! under a disk that fails at every step. docs/log-format.md tells the bytes, docs/architecture.md the map.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod active;
mod block;
mod chain;
mod checkpoint;
mod checkpoint_files;
mod cluster_file;
mod content;
mod directory;
mod disk_trait;
mod entry;
mod error;
mod group;
mod group_scan;
mod ids;
mod index;
mod item;
mod layout;
pub mod limits;
mod little_endian;
mod loaded;
mod log;
mod maker;
mod open;
#[cfg(not(feature = "planted-bugs"))]
mod planted;
#[cfg(feature = "planted-bugs")]
pub mod planted;
mod queue;
mod read;
mod recover;
mod retention;
mod scan;
mod scrub;
mod segment;
mod settings;
mod space;
mod state;
mod tally;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use block::{Block, BlockError, BlockHead, BlockKind, BlockSeed, block_bytes, decode_block};
pub use checkpoint::{
    CHECKPOINT_HEADER_BYTES, CHECKPOINT_MAGIC, CHECKPOINT_VERSION, Checkpoint, CheckpointError,
};
pub use checkpoint_files::{
    CHECKPOINT_FOLDER, CheckpointMaker, MadeCheckpoint, checkpoint_name, parse_checkpoint_name,
};
pub use cluster_file::{
    CLUSTER_FILE_NAME, CLUSTER_MEMBERS_MAX, ClusterFile, ClusterFileError, ClusterMember,
};
pub use directory::{
    DIRECTORY_FILE_BYTES, DIRECTORY_FILE_NAME, DIRECTORY_MAGIC, DIRECTORY_VERSION,
    DIRECTORY_VERSION_MEMBER, DirectoryFile, DirectoryFileError,
};
pub use disk_trait::{Disk, DiskError, DiskErrorKind, DiskOp};
pub use entry::{Append, Entry, EntryKind, Flushed, HardState, Persisted};
pub use error::LogError;
pub use ids::{GroupId, Index, LogPosition, SegmentId, Term};
pub use index::{Locate, Located, RoomIndex};
pub use item::{
    CursorMove, CursorMoves, CursorsItem, EraseItem, ExpireItem, Expired, Item, ItemError,
    ItemWriter, Items, RecordsItem, RecordsWritten, RoomItem, item_kind,
};
pub use log::Log;
pub use maker::{PreparedSegment, SegmentMaker};
pub use read::{EntryReader, ReadError, RoomReader, RoomSlice, Wants, read_block, read_room};
pub use recover::{
    Finding, GroupDamage, GroupRecovery, Outcome, Recover, RecoveredEntry, Recovery, TermRun,
};
pub use retention::Retention;
pub use scrub::{LostBlocks, LostRecords, Rot, Scrub, Scrubbed, SealedSegment};
pub use segment::{
    HeaderError, LOG_FOLDER, SEGMENT_MAGIC, SEGMENT_VERSION, SegmentHeader, parse_segment_name,
    segment_name,
};
pub use settings::LogSettings;
pub use space::Space;
