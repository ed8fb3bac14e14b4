//! When a partition is checkpointed: after so much log, or when its oldest uncovered entry stands far back.
//!
//! The state is encoded here, in one pass, because it must be that of one entry: at the limits of a partition that is 524,288 rooms, 2,097,152 producers
//! and as many cursors, 650 MB at most, and for so long the core does nothing else. The file is written by another thread.

use alloc::vec::Vec;

use antiphon_log::LogPosition;
use bytes::Bytes;

use crate::core::Output;
use crate::home::desk::Turn;
use crate::home::limits::{CHECKPOINT_FACTOR, CHECKPOINT_SEGMENTS};
use crate::home::partition::{Partition, Role};
use crate::read::CheckpointJob;

/// What the last checkpoint does not cover.
#[derive(Debug)]
pub(super) struct Uncovered {
    /// Payload bytes applied since.
    pub(super) log_bytes: u64,
    /// Where the oldest entry behind it stands.
    pub(super) from: Option<LogPosition>,
    /// Its size.
    pub(super) checkpoint_bytes: u64,
    /// Where the oldest entry stands that the checkpoint before the last one does not cover, as far as is known.
    pub(super) older_from: Option<LogPosition>,
    /// An entry is under way that is to be covered by a checkpoint: there was none.
    pub(super) is_nudged: bool,
}

impl Partition {
    /// Whether retention waits for this partition's checkpoints.
    fn is_wanted(&self, turn: &Turn<'_>) -> bool {
        let wanted = turn.exchange.wanted_from();
        // Without a checkpoint before the last one, what the last one does not cover is not covered by either.
        let older = self.uncovered.older_from.or(self.uncovered.from);
        older.is_some_and(|oldest| oldest.segment() < wanted)
    }

    /// A checkpoint is that of an entry, and two are of two: a partition in which nobody speaks makes an empty one, so that retention need not wait
    /// for it for ever.
    pub(super) fn nudge_if_wanted(&mut self, turn: &Turn<'_>) {
        if self.uncovered.from.is_some() || self.uncovered.is_nudged || !self.is_wanted(turn) {
            return;
        }
        if let Role::Running(replica) = &mut self.role
            && replica.is_serving()
        {
            self.uncovered.is_nudged = replica.propose(Vec::new()).is_ok();
        }
    }

    /// Hands a checkpoint out, if it is time.
    pub(super) fn checkpoint_if_due(&mut self, turn: &mut Turn<'_>) {
        let Uncovered {
            log_bytes,
            from: Some(oldest),
            checkpoint_bytes,
            ..
        } = self.uncovered
        else {
            return;
        };
        let due = turn
            .settings
            .checkpoint_bytes_min
            .max(CHECKPOINT_FACTOR * checkpoint_bytes);
        let newest = turn.desk.sync_end.segment().0;
        let segments = newest.saturating_sub(oldest.segment().0);
        let is_due = log_bytes >= due || segments >= CHECKPOINT_SEGMENTS || self.is_wanted(turn);
        if !is_due || self.impairment().is_some() {
            return;
        }
        let bytes = Bytes::from(self.state.encode());
        self.uncovered = Uncovered {
            log_bytes: 0,
            from: None,
            checkpoint_bytes: bytes.len() as u64,
            older_from: Some(oldest),
            is_nudged: false,
        };
        turn.desk.stats.checkpoints += 1;
        let (index, term) = (self.state.applied(), self.state.term());
        turn.desk.put(Output::Checkpoint(CheckpointJob {
            group: self.group,
            index,
            term,
            bytes,
        }));
    }
}
