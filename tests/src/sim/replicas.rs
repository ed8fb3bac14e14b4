//! What must hold of all replicas after every turn, and when they have come to the same place.
//!
//! One leader a term; a node's term, commit and applied never fall while a process lives (power takes what was not synced); what one replica has
//! applied at an index, every other one applies there too. What an entry is comes from what the cores handed to their log threads.

use std::collections::BTreeMap;

use antiphon_core::ReplicaStatus;
use antiphon_log::{Append, GroupId, Index, Term};

use crate::history::BodyHash;

use super::world::World;

/// An entry: its term and what its payload hashes to.
type Known = (Term, BodyHash);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Replicas {
    /// Who leads a term.
    leaders: BTreeMap<(GroupId, Term), usize>,
    /// What any replica has applied.
    applied: BTreeMap<(GroupId, Index), Known>,
    /// What each node has in its log, as its cores said.
    logs: BTreeMap<(usize, GroupId), BTreeMap<Index, Known>>,
    /// How each node stood, and in which life.
    seen: BTreeMap<(usize, GroupId), (u64, ReplicaStatus)>,
}

impl World {
    /// A core hands entries to its log thread.
    pub(crate) fn watch_append(&mut self, node: usize, append: &Append) {
        if self.nodes.len() == 1 {
            return;
        }
        let log = self.replicas.logs.entry((node, append.group)).or_default();
        for entry in &append.entries {
            let _ = log.split_off(&entry.index);
            log.insert(entry.index, (entry.term, BodyHash::of(&entry.payload)));
        }
    }

    /// A core has made a turn.
    pub(crate) fn watch_replicas(&mut self, node: usize, core: usize) {
        if self.nodes.len() == 1 {
            return;
        }
        let life = self.nodes[node].life;
        let Some(seat) = self.seat(node, core) else {
            return;
        };
        let statuses: Vec<ReplicaStatus> = seat.core.replicas().collect();
        for status in statuses {
            if let Err(what) = self.replicas.look(node, life, status) {
                self.fail(format!("node {node}, {}: {what}", status.group));
            }
        }
        self.tally.elections = self.replicas.leaders.len() as u64;
    }

    /// Whether all nodes run, and all replicas of each group have applied the same and wait for nothing.
    pub(crate) fn is_agreed(&self) -> bool {
        let ends = |node: usize| -> Option<Vec<(GroupId, Index)>> {
            let process = self.nodes[node].process.as_ref()?;
            let statuses = process.seats.iter().flat_map(|seat| seat.core.replicas());
            let mut ends = Vec::new();
            for status in statuses {
                if status.applied != status.last {
                    return None;
                }
                ends.push((status.group, status.applied));
            }
            ends.sort_unstable();
            Some(ends)
        };
        let first = ends(0);
        first.is_some() && (1..self.nodes.len()).all(|node| ends(node) == first)
    }

    /// How the replicas stand, for people.
    pub(crate) fn standings(&self) -> String {
        let all: Vec<_> = self.replicas.seen.iter().collect();
        format!("{all:?}")
    }
}

impl Replicas {
    fn look(&mut self, node: usize, life: u64, now: ReplicaStatus) -> Result<(), String> {
        let group = now.group;
        let before = self.seen.insert((node, group), (life, now));
        let mut from = Index(0);
        if let Some((_, old)) = before.filter(|(old_life, _)| *old_life == life) {
            let goes_back =
                now.term < old.term || now.applied < old.applied || now.commit < old.commit;
            if goes_back {
                return Err(format!("it goes back from {old:?} to {now:?}"));
            }
            from = old.applied;
        }
        if now.leads {
            let leader = *self.leaders.entry((group, now.term)).or_insert(node);
            if leader != node {
                return Err(format!("node {leader} leads term {} too", now.term));
            }
        }
        let log = self.logs.entry((node, group)).or_default();
        let span = (
            std::ops::Bound::Excluded(from),
            std::ops::Bound::Included(now.applied),
        );
        for (index, known) in log.range(span) {
            let first = self.applied.entry((group, *index)).or_insert(*known);
            if first != known {
                return Err(format!(
                    "applies {known:?} at {index}, another one {first:?}"
                ));
            }
        }
        Ok(())
    }
}
