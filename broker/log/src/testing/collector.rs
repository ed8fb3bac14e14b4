//! Keeps what a log hands over when it is opened.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::checkpoint::Checkpoint;
use crate::entry::Entry;
use crate::ids::{GroupId, Index, LogPosition, Term};
use crate::recover::{GroupRecovery, Recover, RecoveredEntry};

/// All that was handed over.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    /// Per group.
    pub groups: BTreeMap<GroupId, CollectedGroup>,
    /// Checkpoints up to this index are refused, as if they could not be read.
    pub refuse_up_to: Index,
}

/// All that was handed over of one group.
#[derive(Clone, Debug, Default)]
pub struct CollectedGroup {
    /// The checkpoint that was taken.
    pub checkpoint: Option<(Index, Term, Vec<u8>)>,
    /// Committed entries, in the order they came, with their positions.
    pub committed: Vec<(Entry, LogPosition)>,
    /// The end.
    pub end: Option<GroupRecovery>,
}

impl CollectedGroup {
    /// All entries, committed or not.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let unsettled = self.end.iter().flat_map(|end| &end.unsettled);
        self.committed
            .iter()
            .chain(unsettled)
            .map(|(entry, _)| entry.clone())
            .collect()
    }
}

impl Recover for Collector {
    fn checkpoint(&mut self, group: GroupId, checkpoint: &Checkpoint<'_>) -> bool {
        if checkpoint.index <= self.refuse_up_to {
            return false;
        }
        let taken = (checkpoint.index, checkpoint.term, checkpoint.body.to_vec());
        self.groups.entry(group).or_default().checkpoint = Some(taken);
        true
    }

    fn committed(&mut self, group: GroupId, entry: RecoveredEntry<'_>) {
        let RecoveredEntry {
            index,
            term,
            kind,
            payload,
            position,
        } = entry;
        let entry = Entry {
            index,
            term,
            kind,
            payload: payload.clone(),
        };
        self.groups
            .entry(group)
            .or_default()
            .committed
            .push((entry, position));
    }

    fn group(&mut self, group: GroupId, end: GroupRecovery) {
        self.groups.entry(group).or_default().end = Some(end);
    }
}
