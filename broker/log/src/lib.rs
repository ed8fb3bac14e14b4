//! The append-only log of one data directory: segments, blocks, sync marks, recovery and the room index.
//!
//! Shared by all partitions of a node, because k files are k flushes. The log knows entries and records, not what
//! rooms mean; it is generic over a small [`Disk`], so that the same code runs on real files, in the simulator and
//! under a disk that fails at every step. docs/log-format.md tells the bytes, docs/architecture.md the map.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod block;
mod checkpoint;
mod disk_trait;
mod entry;
mod error;
mod ids;
pub mod limits;
mod log;
mod recover;
mod settings;

pub use block::{Block, BlockError, BlockHead, BlockKind, BlockSeed, decode_block};
pub use checkpoint::Checkpoint;
pub use disk_trait::{Disk, DiskError, DiskErrorKind, DiskOp};
pub use entry::{Append, Entry, EntryKind, Flushed, HardState, Persisted};
pub use error::LogError;
pub use ids::{GroupId, Index, LogPosition, SegmentId, Term};
pub use log::{Log, PreparedSegment, SegmentMaker};
pub use recover::{
    Finding, GroupDamage, GroupRecovery, Outcome, Recover, RecoveredEntry, Recovery, TermRun,
};
pub use settings::LogSettings;
