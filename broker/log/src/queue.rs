//! What waits for the next flush, and in which order it is written.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::entry::Append;
use crate::ids::{GroupId, Index, Term};

/// One thing to write.
#[derive(Debug)]
pub(crate) enum Queued {
    /// A ready's blocks.
    Append(Append),
    /// The block that names a checkpoint file.
    Checkpoint(QueuedCheckpoint),
}

/// A checkpoint whose file is durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueuedCheckpoint {
    pub(crate) group: GroupId,
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) file_bytes: u64,
    pub(crate) file_crc: u32,
}

impl Queued {
    fn group(&self) -> GroupId {
        match self {
            Queued::Append(append) => append.group,
            Queued::Checkpoint(checkpoint) => checkpoint.group,
        }
    }
}

/// First in, first out, but for groups with something urgent: those go to the front with everything they have queued.
/// So no group's blocks ever overtake each other.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    queued: Vec<Queued>,
    urgent: BTreeSet<GroupId>,
    /// Newest ready taken, per group.
    readies: BTreeMap<GroupId, u64>,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    pub(crate) fn push_append(&mut self, append: Append) {
        let newest = self.readies.insert(append.group, append.ready);
        assert!(
            newest.is_none_or(|newest| newest < append.ready),
            "INV-LOG-12: a group's readies come in order"
        );
        if append.urgent {
            self.urgent.insert(append.group);
        }
        self.queued.push(Queued::Append(append));
    }

    pub(crate) fn push_checkpoint(&mut self, checkpoint: QueuedCheckpoint) {
        self.queued.push(Queued::Checkpoint(checkpoint));
    }

    /// Moves everything to `batch`, which is empty, in the order to be written.
    pub(crate) fn take(&mut self, batch: &mut Vec<Queued>) {
        assert!(batch.is_empty(), "INV-LOG-13: a batch that was not written");
        core::mem::swap(&mut self.queued, batch);
        if !self.urgent.is_empty() {
            batch.sort_by_key(|queued| !self.urgent.contains(&queued.group()));
            self.urgent.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::{Queue, Queued};
    use crate::entry::Append;
    use crate::ids::{GroupId, Index};

    fn append(group: u32, ready: u64, urgent: bool) -> Append {
        Append {
            group: GroupId(group),
            ready,
            urgent,
            hard_state: None,
            commit: Index(0),
            entries: vec![],
        }
    }

    fn order(queue: &mut Queue) -> Vec<(u32, u64)> {
        let mut queued = Vec::new();
        queue.take(&mut queued);
        let of = |queued: &Queued| match queued {
            Queued::Append(append) => (append.group.0, append.ready),
            Queued::Checkpoint(_) => (0, 0),
        };
        queued.iter().map(of).collect()
    }

    #[test]
    fn an_urgent_group_goes_first_with_all_it_has_queued_in_ready_order() {
        let mut queue = Queue::default();
        for (group, ready, urgent) in [
            (1, 1, false),
            (2, 1, false),
            (3, 1, false),
            (2, 2, true),
            (1, 2, false),
            (2, 3, false),
        ] {
            queue.push_append(append(group, ready, urgent));
        }
        assert_eq!(
            order(&mut queue),
            [(2, 1), (2, 2), (2, 3), (1, 1), (3, 1), (1, 2)]
        );
        queue.push_append(append(1, 3, false));
        queue.push_append(append(2, 4, false));
        assert_eq!(order(&mut queue), [(1, 3), (2, 4)]);
        assert!(queue.is_empty());
    }

    #[test]
    #[should_panic(expected = "INV-LOG-12")]
    fn a_ready_that_comes_twice_is_a_bug() {
        let mut queue = Queue::default();
        queue.push_append(append(1, 1, false));
        queue.push_append(append(1, 1, false));
    }
}
