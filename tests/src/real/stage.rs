//! How far a run is, as all its threads see it, and how they rest.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Parts of a run. Only rises.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Part {
    /// Clients work; faults may happen.
    Work,
    /// Publishers wait for what they published, and end. Readers take all there is.
    Finish,
    /// Readers end.
    Over,
}

/// The part of the run, shared.
#[derive(Debug)]
pub(crate) struct Stage {
    part: Mutex<Part>,
    changed: Condvar,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            part: Mutex::new(Part::Work),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn part(&self) -> Part {
        *self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn raise(&self, to: Part) {
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        *part = to.max(*part);
        self.changed.notify_all();
    }

    /// Does nothing for a while, or until the run is no longer at `part`.
    pub(crate) fn rest(&self, pause: Duration, part: Part) {
        let deadline = Instant::now() + pause;
        let mut now = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        while *now == part {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(now, left);
            now = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
