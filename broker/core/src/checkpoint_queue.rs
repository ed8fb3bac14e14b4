//! Which checkpoint is written next: the rule of the log thread, below the I/O line so that a simulator shares it.
//!
//! A checkpoint's file takes several syncs and, at the limits of a partition, hundreds of megabytes. So it is written by a thread of its own, one at a
//! time, while the log thread goes on syncing appends; only the small block that names the durable file goes through the log. Of each group only the
//! newest checkpoint waits: whatever an older one holds, the newer one holds too.

use alloc::collections::VecDeque;

use crate::read::CheckpointJob;

/// See the module.
#[derive(Debug, Default)]
pub struct CheckpointQueue {
    /// At most one a group, in the order in which their groups asked first.
    waiting: VecDeque<CheckpointJob>,
    /// One was given out and is not written yet.
    is_writing: bool,
}

impl CheckpointQueue {
    /// Keeps a checkpoint; an older one of its group that still waits is not wanted any more.
    pub fn keep(&mut self, job: CheckpointJob) {
        let older = self
            .waiting
            .iter_mut()
            .find(|waiting| waiting.group == job.group);
        match older {
            Some(older) => *older = job,
            None => self.waiting.push_back(job),
        }
    }

    /// The one to be written now: none while another one is.
    pub fn take(&mut self) -> Option<CheckpointJob> {
        if self.is_writing {
            return None;
        }
        let job = self.waiting.pop_front()?;
        self.is_writing = true;
        Some(job)
    }

    /// Whether none waits and none is being written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_writing
    }

    /// The one given out is written, or could not be.
    ///
    /// # Panics
    /// If none was given out.
    pub fn done(&mut self) {
        assert!(
            self.is_writing,
            "INV-CORE-3: one checkpoint is written at a time"
        );
        self.is_writing = false;
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

    fn taken(queue: &mut CheckpointQueue) -> Option<(u32, u64)> {
        let job = queue.take()?;
        Some((job.group.0, job.index.0))
    }

    #[test]
    fn of_a_group_only_the_newest_waits_in_the_place_of_the_first() {
        let mut queue = CheckpointQueue::default();
        queue.keep(job(1, 5));
        queue.keep(job(2, 3));
        queue.keep(job(1, 9));
        assert_eq!(taken(&mut queue), Some((1, 9)));
        queue.done();
        assert_eq!(taken(&mut queue), Some((2, 3)));
        queue.done();
        assert_eq!(taken(&mut queue), None);
    }

    #[test]
    fn one_is_written_at_a_time_and_a_newer_one_of_its_group_waits_meanwhile() {
        let mut queue = CheckpointQueue::default();
        queue.keep(job(1, 5));
        assert_eq!(taken(&mut queue), Some((1, 5)));
        queue.keep(job(1, 9));
        queue.keep(job(1, 12));
        assert_eq!(taken(&mut queue), None);
        queue.done();
        assert_eq!(taken(&mut queue), Some((1, 12)));
    }
}
