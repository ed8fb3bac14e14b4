//! Time of a run: nanoseconds since its origin, from the monotonic clock.

use std::time::{Duration, Instant};

/// Nanoseconds since the origin of the run.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The time between `earlier` and this; zero if this is the earlier one.
    #[must_use]
    pub const fn since(self, earlier: Nanos) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This much later.
    #[must_use]
    pub const fn plus(self, later: Duration) -> Nanos {
        Nanos(self.0.saturating_add(nanos(later)))
    }
}

/// A duration in whole nanoseconds; more than 584 years are cut.
#[must_use]
pub const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        nanos as u64
    }
}

/// The clock of one run.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A run that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// How far the run is.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Nanos {
        Nanos(nanos(self.origin.elapsed()))
    }
}
