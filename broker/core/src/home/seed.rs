//! What recovery hands to a partition.

use alloc::vec::Vec;

use antiphon_log::{
    Entry, GroupDamage, GroupId, HardState, Index, LogPosition, RoomIndex, TermRun,
};
use antiphon_protocol::Timestamp;

use crate::home::entry_places::EntryPlaces;
use crate::home::recent::Recent;
use crate::home::state::{ApplyFault, State};

/// One partition as recovered from the log, ready to run. Made by [`Recovering`](crate::Recovering).
#[derive(Debug)]
pub struct PartitionSeed {
    /// Its number, from 0.
    pub(crate) partition: u16,
    /// Everything known to be committed, applied.
    pub(crate) state: State,
    /// Where its records are.
    pub(crate) index: RoomIndex,
    /// Term and vote as persisted.
    pub(crate) hard_state: HardState,
    /// Oldest entry of the log.
    pub(crate) log_first: Index,
    /// Terms of the entries of the log.
    pub(crate) terms: Vec<TermRun>,
    /// Entries behind the state, synced, not known to be committed.
    pub(crate) unsettled: Vec<(Entry, LogPosition)>,
    /// The newest entries that the state covers.
    pub(crate) recent: Recent,
    /// Where its entries stand in the log; only of a member's.
    pub(crate) places: EntryPlaces,
    /// It is one of several voters: it serves nothing that is not committed, and does not vote if its vote may be lost.
    pub(crate) is_member: bool,
    /// Payload bytes of the entries behind the last checkpoint.
    pub(crate) log_bytes: u64,
    /// Where the oldest entry behind the last checkpoint stands.
    pub(crate) uncovered_from: Option<LogPosition>,
    /// Behind the newest block found: everything below is on disk.
    pub(crate) read_end: LogPosition,
    /// Size of the last checkpoint, in bytes.
    pub(crate) checkpoint_bytes: u64,
    /// Whether it may run.
    pub(crate) condition: Condition,
}

/// Whether a recovered partition may run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// Yes.
    Whole,
    /// Part of its log is lost: it is read only.
    Damaged(GroupDamage),
    /// Entries that are not lost are missing or out of order: read only, as if damaged.
    Hole {
        /// The entry that should have come.
        missing: Index,
    },
    /// An entry was readable and made no sense: nothing is served.
    Unsound {
        /// The entry, or the one before the checkpoint's end.
        at: Index,
        /// Told for people: a static description of what is wrong.
        why: Unsound,
    },
}

/// What made no sense; printed, never matched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unsound(pub(crate) ApplyFault);

impl core::fmt::Display for Unsound {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl PartitionSeed {
    /// The newest time of its records.
    pub(crate) fn time(&self) -> Timestamp {
        self.state.time()
    }

    /// The partition's number, from 0.
    #[must_use]
    pub fn partition(&self) -> u16 {
        self.partition
    }

    /// Its Raft group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        GroupId(1 + u32::from(self.partition))
    }

    /// Whether it may run.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// How many rooms it has.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.state.room_count()
    }

    /// Last entry applied.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.state.applied()
    }
}
