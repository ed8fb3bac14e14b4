//! The hot tail as the consensus library sees it.
//!
//! The library reads entries behind min(applied, synced) only, which the hot tail always holds; anything older answers "temporarily unavailable",
//! which is lawful where it asks for a follower that lags and fatal (so: quarantined) where it would be a bug of ours.

use alloc::vec::Vec;

use antiphon_log::{Entry, EntryKind, HardState, Index, LogPosition};
use raft::eraftpb::{
    ConfState, Entry as RaftEntry, EntryType, HardState as RaftHardState, Snapshot,
};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};

use crate::home::hot_tail::HotTail;
use crate::home::limits::RAFT_ENTRIES_PER_MESSAGE_MAX;
use crate::home::state::Part;

/// See the module.
#[derive(Debug)]
pub(crate) struct PartitionStorage {
    hot: HotTail,
    /// As recovered; the library asks once.
    hard_state: HardState,
    /// The group's voters.
    voters: Vec<u64>,
}

impl PartitionStorage {
    pub(super) fn new(hot: HotTail, hard_state: HardState, voters: Vec<u64>) -> PartitionStorage {
        assert!(
            hard_state.commit <= hot.last(),
            "INV-HOME-15: nothing is committed that the log does not hold"
        );
        PartitionStorage {
            hot,
            hard_state,
            voters,
        }
    }

    pub(super) fn hot(&self) -> &HotTail {
        &self.hot
    }

    pub(super) fn append(&mut self, entry: Entry) {
        self.hot.append(entry);
    }

    pub(super) fn place(&mut self, index: Index, at: LogPosition) {
        self.hot.place(index, at);
    }

    pub(super) fn applied(&mut self, index: Index, parts: &[Part]) {
        self.hot.set_parts(index, parts);
        self.hot.raise_floor(index);
    }
}

impl Storage for PartitionStorage {
    fn initial_state(&self) -> Result<RaftState> {
        let hard_state = RaftHardState {
            term: self.hard_state.term.0,
            vote: self.hard_state.vote,
            commit: self.hard_state.commit.0,
            ..RaftHardState::default()
        };
        let mut conf_state = ConfState::default();
        conf_state.voters.clone_from(&self.voters);
        Ok(RaftState {
            hard_state,
            conf_state,
        })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> Result<Vec<RaftEntry>> {
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        let Some(range) = self.hot.range(Index(low), Index(high)) else {
            return Err(Error::Store(StorageError::LogTemporarilyUnavailable));
        };
        let mut bytes = 0_u64;
        let mut entries = Vec::new();
        for entry in range.take(RAFT_ENTRIES_PER_MESSAGE_MAX) {
            bytes = bytes.saturating_add(entry.payload.len() as u64);
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(to_raft(entry));
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        self.hot
            .term(Index(index))
            .map(|term| term.0)
            .ok_or(Error::Store(StorageError::Compacted))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.hot.log_first().0)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.hot.last().0)
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> Result<Snapshot> {
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

/// An entry for the library; the payload is shared.
fn to_raft(entry: &Entry) -> RaftEntry {
    let entry_type = match entry.kind {
        EntryKind::Normal => EntryType::EntryNormal,
        EntryKind::ConfChange => EntryType::EntryConfChange,
        EntryKind::ConfChangeV2 => EntryType::EntryConfChangeV2,
    };
    RaftEntry {
        index: entry.index.0,
        term: entry.term.0,
        entry_type,
        data: entry.payload.clone(),
        ..RaftEntry::default()
    }
}

/// An entry of the library; the payload is shared.
pub(super) fn from_raft(raft: RaftEntry) -> Entry {
    let kind = match raft.entry_type {
        EntryType::EntryNormal => EntryKind::Normal,
        EntryType::EntryConfChange => EntryKind::ConfChange,
        EntryType::EntryConfChangeV2 => EntryKind::ConfChangeV2,
    };
    Entry {
        index: Index(raft.index),
        term: antiphon_log::Term(raft.term),
        kind,
        payload: raft.data,
    }
}
