//! When a partition is checkpointed: after so much log, or when its oldest uncovered entry stands far back.
//!
//! The state is encoded here, in one pass, because it must be that of one entry: at the limits of a partition that is 524,288 rooms, 2,097,152 producers
//! and as many cursors, 650 MB at most, and for so long the core does nothing else. The file is written by another thread.

use antiphon_log::LogPosition;
use bytes::Bytes;

use crate::core::Output;
use crate::home::desk::Turn;
use crate::home::limits::{CHECKPOINT_FACTOR, CHECKPOINT_SEGMENTS};
use crate::home::partition::Partition;
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
}

impl Partition {
    /// Hands a checkpoint out, if it is time.
    pub(super) fn checkpoint_if_due(&mut self, turn: &mut Turn<'_>) {
        let Uncovered {
            log_bytes,
            from: Some(oldest),
            checkpoint_bytes,
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
        let is_due = log_bytes >= due || segments >= CHECKPOINT_SEGMENTS;
        if !is_due || self.impairment().is_some() {
            return;
        }
        let bytes = Bytes::from(self.state.encode());
        self.uncovered = Uncovered {
            log_bytes: 0,
            from: None,
            checkpoint_bytes: bytes.len() as u64,
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
