//! The time, read once per turn.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use antiphon_core::Now;
use antiphon_protocol::Timestamp;

/// One clock for all threads of a node. Shared by copying: its zero is the node's start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    zero: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            zero: Instant::now(),
        }
    }

    /// The monotonic time orders and measures; the wall clock only dates records.
    pub(crate) fn now(self) -> Now {
        let mono_ms = u64::try_from(self.zero.elapsed().as_millis())
            .expect("no process lives for 500 million years");
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            mono_ms,
            wall: Timestamp(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}
