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
    /// Retention waits for a checkpoint of what there is, or of an entry that is under way.
    pub(super) is_wanted: bool,
}

impl Partition {
    /// Retention may wait for this partition. A checkpoint is that of an entry, and two are of two: a partition in which nobody speaks makes an empty
    /// one. If that cannot be now, the log asks again.
    pub(super) fn note_if_wanted(&mut self, turn: &Turn<'_>) {
        if turn.exchange.take_wanted(self.number) {
            self.uncovered.is_wanted = self.uncovered.from.is_some() || self.nudge();
        }
    }

    /// Proposes an empty entry.
    fn nudge(&mut self) -> bool {
        match &mut self.role {
            Role::Running(replica) => replica.is_serving() && replica.propose(Vec::new()).is_ok(),
            Role::Impaired(_) => false,
        }
    }

    /// Hands a checkpoint out, if it is time.
    pub(super) fn checkpoint_if_due(&mut self, turn: &mut Turn<'_>) {
        let Uncovered {
            log_bytes,
            from: Some(oldest),
            checkpoint_bytes,
            is_wanted,
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
        let is_due = log_bytes >= due || segments >= CHECKPOINT_SEGMENTS || is_wanted;
        if !is_due || self.impairment().is_some() {
            return;
        }
        let bytes = Bytes::from(self.state.encode());
        self.uncovered = Uncovered {
            log_bytes: 0,
            from: None,
            checkpoint_bytes: bytes.len() as u64,
            is_wanted: false,
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
