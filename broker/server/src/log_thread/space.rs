//! How much is left of the disk: looked at by the log thread, told to the cores, which refuse publishes before it is full.

use std::time::{Duration, Instant};

use antiphon_log::{Disk, Space};

use crate::limits::SPACE_LOOK_MS;
use crate::log_thread::LogThread;

/// What the thread remembers between two looks.
#[derive(Debug, Default)]
pub(crate) struct SpaceWatch {
    next_look: Option<Instant>,
    seen: Space,
}

impl SpaceWatch {
    /// Publishes are refused.
    pub(super) fn is_full(&self) -> bool {
        self.seen.is_full
    }
}

impl<D: Disk> LogThread<D> {
    /// Weighs what the log itself takes in every turn; asks the disk what others take only now and then, for that is a system call, but in every turn
    /// while there is no segment ahead: a fast writer fills the rest of one long before the next look.
    pub(super) fn look_at_space(&mut self) {
        let now = Instant::now();
        let is_due = self.space.next_look.is_none_or(|at| at <= now);
        let seen = if is_due || !self.log.is_segment_ahead() {
            self.space.next_look = Some(now + Duration::from_millis(SPACE_LOOK_MS));
            self.log.look_at_space()
        } else {
            self.log.weigh_space()
        };
        let before = std::mem::replace(&mut self.space.seen, seen);
        let Space {
            left_bytes,
            is_full,
        } = self.space.seen;
        self.cells.left(left_bytes, is_full);
        if is_full == before.is_full {
            return;
        }
        // Only then: the cores look at it with each publish, and what is written anew, though the same, is fetched anew by all of them.
        self.exchange.set_storage_full(is_full);
        if is_full {
            tracing::error!(left_bytes, "storage_full");
        } else {
            tracing::info!(left_bytes, "storage_has_space");
        }
    }
}
