//! Checkpoints that wait for the log thread.
//!
//! Their syncs would keep waiting whoever waits for an ack, so appends go first. But a busy log has appends in every turn: so after
//! [`CHECKPOINT_FLUSHES_MAX`] flushes a checkpoint goes all the same, and of each group only the newest waits.

use std::collections::VecDeque;

use antiphon_core::CheckpointJob;

use crate::limits::CHECKPOINT_FLUSHES_MAX;

/// See the module. At most one a group.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// In the order in which their groups asked first.
    waiting: VecDeque<CheckpointJob>,
    /// Flushes since the first of them waits, or since the last one was taken.
    flushes: u32,
}

impl Checkpoints {
    /// Keeps a checkpoint; an older one of its group is not wanted any more.
    pub(super) fn keep(&mut self, job: CheckpointJob) {
        let older = self
            .waiting
            .iter_mut()
            .find(|waiting| waiting.group == job.group);
        match older {
            Some(older) => *older = job,
            None => self.waiting.push_back(job),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The one whose turn it is; `has_flushed`: this turn of the log thread had appends.
    pub(super) fn next(&mut self, has_flushed: bool) -> Option<CheckpointJob> {
        if self.waiting.is_empty() {
            return None;
        }
        self.flushes += u32::from(has_flushed);
        if has_flushed && self.flushes < CHECKPOINT_FLUSHES_MAX {
            return None;
        }
        self.flushes = 0;
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use antiphon_log::{GroupId, Index, Term};
    use bytes::Bytes;

    use super::*;

    fn job(group: u32, index: u64) -> CheckpointJob {
        CheckpointJob {
            group: GroupId(group),
            index: Index(index),
            term: Term(1),
            bytes: Bytes::new(),
        }
    }

    fn taken(checkpoints: &mut Checkpoints, has_flushed: bool) -> Option<(u32, u64)> {
        let job = checkpoints.next(has_flushed)?;
        Some((job.group.0, job.index.0))
    }

    #[test]
    fn of_a_group_only_the_newest_waits_in_the_place_of_the_first() {
        let mut checkpoints = Checkpoints::default();
        checkpoints.keep(job(1, 5));
        checkpoints.keep(job(2, 3));
        checkpoints.keep(job(1, 9));
        assert_eq!(taken(&mut checkpoints, false), Some((1, 9)));
        assert_eq!(taken(&mut checkpoints, false), Some((2, 3)));
        assert_eq!(taken(&mut checkpoints, false), None);
        assert!(checkpoints.is_empty());
    }

    #[test]
    fn appends_go_first_but_not_for_ever() {
        let mut checkpoints = Checkpoints::default();
        assert_eq!(taken(&mut checkpoints, true), None);
        checkpoints.keep(job(1, 1));
        checkpoints.keep(job(2, 1));
        for group in 1..=2 {
            for _ in 1..CHECKPOINT_FLUSHES_MAX {
                assert_eq!(taken(&mut checkpoints, true), None);
            }
            assert_eq!(taken(&mut checkpoints, true), Some((group, 1)));
        }
    }
}
