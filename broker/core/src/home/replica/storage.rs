//! The hot tail as the consensus library sees it.
//!
//! The library reads entries behind min(applied, synced) only, which the hot tail always holds; anything older comes out of a piece that was read
//! from the log, or answers "temporarily unavailable", which is lawful where it asks for a follower that lags and fatal (so: quarantined) where it would
//! be a bug of ours.

use alloc::vec::Vec;

use antiphon_log::{Entry, EntryKind, HardState, Index, LogPosition, SegmentId};
use raft::eraftpb::{
    ConfState, Entry as RaftEntry, EntryType, HardState as RaftHardState, Snapshot,
};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};

use super::lagging::Lagging;
use crate::home::entry_places::EntryPlaces;
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
    /// Where entries stand in the log; empty on a node alone.
    places: EntryPlaces,
    /// Older entries, for those that lag.
    lagging: Lagging,
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
            places: EntryPlaces::default(),
            lagging: Lagging::default(),
        }
    }

    /// With the places of the entries that were found when the log was opened.
    pub(super) fn with_places(mut self, places: EntryPlaces) -> PartitionStorage {
        self.places = places;
        self
    }

    pub(super) fn hot(&self) -> &HotTail {
        &self.hot
    }

    pub(super) fn append(&mut self, entry: Entry) {
        self.hot.append(entry);
    }

    pub(super) fn place(&mut self, index: Index, at: LogPosition) {
        self.hot.place(index, at);
        if self.voters.len() > 1 {
            self.places.set(index, at);
        }
    }

    pub(super) fn trim(&mut self, first: SegmentId) {
        self.places.trim(first);
    }

    /// Where the entries stand that are to be read next for a replica that lags, and the first one's index; no places: it cannot be fed from here.
    pub(super) fn wanted(&self) -> Option<(Index, Vec<LogPosition>)> {
        let low = self.lagging.next()?;
        Some((low, self.places.from(low, RAFT_ENTRIES_PER_MESSAGE_MAX)))
    }

    pub(super) fn lagging(&mut self) -> &mut Lagging {
        &mut self.lagging
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
        context: GetEntriesContext,
    ) -> Result<Vec<RaftEntry>> {
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        let low = Index(low);
        if let Some(range) = self.hot.range(low, Index(high)) {
            return Ok(within(range, bytes_max));
        }
        if let Some(piece) = self.lagging.from(low) {
            let count = usize::try_from(high.saturating_sub(low.0)).unwrap_or(usize::MAX);
            return Ok(within(piece.iter().take(count), bytes_max));
        }
        if context.can_async() {
            self.lagging.want(low, context);
        }
        Err(Error::Store(StorageError::LogTemporarilyUnavailable))
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

/// As many entries as a message takes, but at least one.
fn within<'a>(entries: impl Iterator<Item = &'a Entry>, bytes_max: u64) -> Vec<RaftEntry> {
    let mut bytes = 0_u64;
    let mut taken = Vec::new();
    for entry in entries.take(RAFT_ENTRIES_PER_MESSAGE_MAX) {
        bytes = bytes.saturating_add(entry.payload.len() as u64);
        if bytes > bytes_max && !taken.is_empty() {
            break;
        }
        taken.push(to_raft(entry));
    }
    taken
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
