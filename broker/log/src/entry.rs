//! What goes into the log and what comes out of a flush.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::ids::{GroupId, Index, LogPosition, Term};

/// What Raft must remember over a restart besides its entries.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HardState {
    /// Newest term seen.
    pub term: Term,
    /// Node voted for in `term`; 0: none.
    pub vote: u64,
    /// Last index known to be committed.
    pub commit: Index,
}

/// What an entry is to Raft. The payload of `Normal` is a list of items; that of the others is the library's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EntryKind {
    /// A batch of items, or empty: a new leader's first entry.
    Normal,
    /// A change of one voter.
    ConfChange,
    /// A joint change.
    ConfChangeV2,
}

/// One entry of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Dense within the group.
    pub index: Index,
    /// Term of the leader that made it.
    pub term: Term,
    /// What it is to Raft.
    pub kind: EntryKind,
    /// Shared, not copied, up to the write buffer.
    pub payload: Bytes,
}

/// All that one ready of one group asks the log to keep.
#[derive(Clone, Debug)]
pub struct Append {
    /// Whose.
    pub group: GroupId,
    /// Number of the ready, rising within the group.
    pub ready: u64,
    /// A vote or an empty entry: the group moves to the front with everything it has queued.
    pub urgent: bool,
    /// New hard state, if it changed; written only if term or vote changed.
    pub hard_state: Option<HardState>,
    /// Commit known now; every block carries it.
    pub commit: Index,
    /// Consecutive. The first may lie at or below the group's last: it cuts the suffix from there, never at or below
    /// the commit.
    pub entries: Vec<Entry>,
}

/// What one flush made durable.
#[derive(Clone, Debug, Default)]
pub struct Flushed {
    /// Everything below is on disk.
    pub sync_end: LogPosition,
    /// One per group that had something queued.
    pub persisted: Vec<Persisted>,
    /// Written, with block heads, marks and padding.
    pub bytes: u64,
    /// Blocks written.
    pub blocks: u32,
}

/// Newest ready of a group that is durable with all its predecessors.
#[derive(Clone, Debug)]
pub struct Persisted {
    /// Whose.
    pub group: GroupId,
    /// All of this ready and of those before it lies below `sync_end`.
    pub ready: u64,
    /// Every entry that this flush released for the group, in the order written, with the position of its block.
    pub positions: Vec<(Index, LogPosition)>,
}
