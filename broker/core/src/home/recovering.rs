//! Recovery: what the log tells at start becomes the state of each partition.
//!
//! Entries known to be committed are applied here, before any thread runs; those above are handed to Raft, which commits them anew. Entries below
//! the checkpoint only feed the room index. Nothing is repaired: a hole makes a partition read only, an entry that contradicts the state stops it.

use alloc::vec::Vec;

use antiphon_log::limits::{BLOCK_ALIGN, BLOCK_HEAD_BYTES};
use antiphon_log::{
    Checkpoint, Entry, EntryKind, GroupId, GroupRecovery, HardState, Index, Item, Items,
    LogPosition, Recover, RecoveredEntry, RoomIndex, TermRun,
};

use antiphon_protocol::{RoomId, Seq};

use crate::home::entry_places::EntryPlaces;
use crate::home::recent::Recent;
use crate::home::records::records;
use crate::home::seed::{Condition, PartitionSeed, Unsound};
use crate::home::state::{ApplyFault, Effects, Part, State};

/// Takes what [`antiphon_log::Log::open`] finds and makes the seeds of all partitions of the data directory.
#[derive(Debug)]
pub struct Recovering {
    seed: u64,
    partitions: Vec<PartitionSeed>,
    effects: Effects,
    /// Groups that are no partition of this directory.
    strangers: Vec<GroupId>,
}

impl Recovering {
    /// For a data directory with `partitions` partitions. `seed` makes the places of clients' names in hash tables unguessable.
    #[must_use]
    pub fn new(partitions: u16, seed: u64) -> Recovering {
        let partitions = (0..partitions)
            .map(|partition| empty(partition, seed))
            .collect();
        Recovering {
            seed,
            partitions,
            effects: Effects::default(),
            strangers: Vec::new(),
        }
    }

    /// For a node that is one of several: what is not committed is not served, a replica whose vote may be lost does not run, and the newest entries of
    /// each partition, up to `hot_bytes`, stay in memory for those that lag.
    #[must_use]
    pub fn of_member(mut self, hot_bytes: usize) -> Recovering {
        for partition in &mut self.partitions {
            partition.is_member = true;
            partition.recent = Recent::new(hot_bytes);
        }
        self
    }

    /// The partitions, ascending, all of them.
    #[must_use]
    pub fn into_seeds(self) -> Vec<PartitionSeed> {
        self.partitions
    }

    /// Groups found in the log that are no partition of this directory; the meta group is not served yet and counts as one.
    #[must_use]
    pub fn strangers(&self) -> &[GroupId] {
        &self.strangers
    }

    fn find(&mut self, group: GroupId) -> Option<(&mut PartitionSeed, &mut Effects)> {
        let place = usize::try_from(group.0.checked_sub(1)?).ok()?;
        Some((self.partitions.get_mut(place)?, &mut self.effects))
    }
}

fn empty(partition: u16, seed: u64) -> PartitionSeed {
    PartitionSeed {
        partition,
        state: State::new(seed),
        index: RoomIndex::new(seed),
        hard_state: HardState::default(),
        log_first: Index(1),
        terms: Vec::new(),
        unsettled: Vec::new(),
        recent: Recent::default(),
        places: EntryPlaces::default(),
        is_member: false,
        log_bytes: 0,
        uncovered_from: None,
        read_end: LogPosition::ZERO,
        checkpoint_bytes: 0,
        condition: Condition::Whole,
    }
}

impl Recover for Recovering {
    fn checkpoint(&mut self, group: GroupId, checkpoint: &Checkpoint<'_>) -> bool {
        let seed = self.seed;
        let Some((partition, _)) = self.find(group) else {
            return false;
        };
        match State::decode(checkpoint.body, checkpoint.index, checkpoint.term, seed) {
            Ok(state) => {
                partition.state = state;
                partition.checkpoint_bytes = checkpoint.body.len() as u64;
                true
            }
            Err(_) => false,
        }
    }

    fn committed(&mut self, group: GroupId, entry: RecoveredEntry<'_>) {
        let Some((partition, effects)) = self.find(group) else {
            return;
        };
        partition.take(&entry, effects);
    }

    fn group(&mut self, group: GroupId, end: GroupRecovery) {
        match self.find(group) {
            Some((partition, effects)) => partition.finish(end, effects),
            None => self.strangers.push(group),
        }
    }
}

/// An entry that the log gave back without a commit, as one that it gave back with it.
fn recovered(entry: &Entry, position: LogPosition) -> RecoveredEntry<'_> {
    RecoveredEntry {
        index: entry.index,
        term: entry.term,
        kind: entry.kind,
        payload: &entry.payload,
        position,
    }
}

/// Where the block of an entry ends.
fn end_of(payload: &[u8], at: LogPosition) -> LogPosition {
    let bytes = BLOCK_HEAD_BYTES.saturating_add(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    let padded = bytes
        .checked_next_multiple_of(BLOCK_ALIGN)
        .unwrap_or(u32::MAX);
    LogPosition::new(at.segment(), at.offset().saturating_add(padded))
}

impl PartitionSeed {
    /// Takes one committed entry.
    fn take(&mut self, entry: &RecoveredEntry<'_>, effects: &mut Effects) {
        let RecoveredEntry {
            index,
            term,
            kind,
            payload,
            position: at,
        } = *entry;
        if self.condition != Condition::Whole {
            return;
        }
        self.read_end = self.read_end.max(end_of(payload, at));
        if self.is_member {
            self.places.set(index, at);
        }
        if index > self.state.applied().next() {
            self.condition = Condition::Hole {
                missing: self.state.applied().next(),
            };
            return;
        }
        let taken = if kind != EntryKind::Normal {
            Err(ApplyFault::Kind)
        } else if index <= self.state.applied() {
            self.index_only(entry)
        } else {
            self.log_bytes += payload.len() as u64;
            self.uncovered_from = self.uncovered_from.or(Some(at));
            self.state
                .apply(index, term, payload, effects)
                .and_then(|()| self.index_parts(entry, effects))
        };
        if let Err(fault) = taken {
            self.condition = Condition::Unsound {
                at: index,
                why: Unsound(fault),
            };
        }
    }

    fn index_parts(
        &mut self,
        entry: &RecoveredEntry<'_>,
        effects: &Effects,
    ) -> Result<(), ApplyFault> {
        for part in &effects.parts {
            self.insert(part.room, part.first, part.next, entry.position)?;
        }
        self.recent.push(entry, &effects.parts);
        Ok(())
    }

    /// An entry that the checkpoint covers: its records are found again, nothing else changes.
    fn index_only(&mut self, entry: &RecoveredEntry<'_>) -> Result<(), ApplyFault> {
        let mut parts = Vec::new();
        for item in Items::new(entry.payload) {
            if let Item::Records(item) = item? {
                let next = records(item.records)
                    .try_fold(item.first, |seq, record| record.map(|_| seq.next()))?;
                self.insert(item.room, item.first, next, entry.position)?;
                parts.push(Part::of(&item, next)?);
            }
        }
        parts.sort_by_key(|part| part.room);
        self.recent.push(entry, &parts);
        Ok(())
    }

    fn insert(
        &mut self,
        room: RoomId,
        first: Seq,
        next: Seq,
        at: LogPosition,
    ) -> Result<(), ApplyFault> {
        if self.index.next_seq(room).is_some_and(|known| known > first) {
            return Err(ApplyFault::Head);
        }
        self.index.insert(room, first, next, at);
        Ok(())
    }

    /// Takes the end of the group's recovery.
    fn finish(&mut self, end: GroupRecovery, effects: &mut Effects) {
        self.hard_state = end.hard_state;
        self.terms = end.terms;
        // A lost term or vote alone does not matter to a group whose only voter is here.
        let is_member = self.is_member;
        let damage = end
            .damage
            .filter(|damage| is_member || damage.hole.is_some());
        if let (Some(damage), Condition::Whole) = (damage, self.condition) {
            self.condition = Condition::Damaged(damage);
        }
        let is_behind = self.state.applied() < end.hard_state.commit;
        if is_behind && self.condition == Condition::Whole {
            self.condition = Condition::Hole {
                missing: self.state.applied().next(),
            };
        }
        self.settle(end.unsettled, effects);
        // Raft asks for the term of the last applied entry even if the log starts behind it.
        let applied = self.state.applied();
        self.log_first = if end.first == Index(0) {
            Index(1)
        } else {
            end.first.min(applied.next())
        };
        let is_known = self.terms.first().is_some_and(|run| run.first <= applied);
        if applied > Index(0) && !is_known {
            self.terms.insert(
                0,
                TermRun {
                    first: applied,
                    term: self.state.term(),
                },
            );
        }
    }

    /// Entries without a known commit: those below the checkpoint are committed all the same; a damaged group, which has no Raft, takes them as its
    /// one voter's word; else they wait for Raft.
    fn settle(&mut self, unsettled: Vec<(Entry, LogPosition)>, effects: &mut Effects) {
        let read_only = self.condition != Condition::Whole;
        for (entry, at) in unsettled {
            if entry.index <= self.state.applied() {
                self.take(&recovered(&entry, at), effects);
            } else if read_only && self.is_member {
                return;
            } else if read_only {
                self.take_unvoted(&entry, at, effects);
            } else {
                self.unsettled.push((entry, at));
            }
        }
    }

    fn take_unvoted(&mut self, entry: &Entry, at: LogPosition, effects: &mut Effects) {
        let is_next = entry.index == self.state.applied().next();
        if is_next && !matches!(self.condition, Condition::Unsound { .. }) {
            let kept = core::mem::replace(&mut self.condition, Condition::Whole);
            self.take(&recovered(entry, at), effects);
            if self.condition == Condition::Whole {
                self.condition = kept;
            }
        }
    }
}
