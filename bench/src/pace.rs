//! When the next message is due.

use serde::{Deserialize, Serialize};

use crate::clock::Nanos;

/// How the generator decides when to send.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub enum Pace {
    /// Closed loop: at most so many messages are under way; the next one waits for one of them.
    InFlight(u32),
    /// Open loop: so many messages a second, whether the system keeps up or not.
    PerSecond(f64),
    /// Open loop: so many messages at once, so many times a second. As a full window looks to the system, at a rate of our choice.
    Bursts {
        /// Messages that are due at the same time.
        messages: u32,
        /// How often.
        per_second: f64,
    },
}

impl Pace {
    /// The messages that are offered a second; `None` in a closed loop.
    #[must_use]
    pub fn offered_per_s(self) -> Option<f64> {
        match self {
            Pace::InFlight(_) => None,
            Pace::PerSecond(rate) => Some(rate),
            Pace::Bursts {
                messages,
                per_second,
            } => Some(f64::from(messages) * per_second),
        }
    }
}

/// The times of an open loop: burst k is due at `start + k / rate`, exactly, so that no error adds up.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: Nanos,
    /// Bursts a second.
    per_second: f64,
    /// Messages a burst, >= 1.
    burst: u64,
    next: u64,
}

impl Schedule {
    /// `per_second` messages a second from `start` on.
    #[must_use]
    pub fn new(start: Nanos, per_second: f64) -> Self {
        Self::bursts(start, 1, per_second)
    }

    /// `messages` at once, `per_second` times a second, from `start` on.
    #[must_use]
    pub fn bursts(start: Nanos, messages: u32, per_second: f64) -> Self {
        Self {
            start,
            per_second,
            burst: u64::from(messages.max(1)),
            next: 0,
        }
    }

    /// When the next one is due.
    #[must_use]
    pub fn due(&self) -> Nanos {
        let offset = (self.next / self.burst) as f64 * 1e9 / self.per_second;
        Nanos(self.start.0.saturating_add(offset as u64))
    }

    /// The intended time of the next one if it is due by `now`; then the one after it is next.
    pub fn take(&mut self, now: Nanos) -> Option<Nanos> {
        let due = self.due();
        (due <= now).then(|| {
            self.next += 1;
            due
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_taker_gets_the_intended_times() {
        let mut schedule = Schedule::new(Nanos(100), 1e6);
        let taken: Vec<_> = std::iter::from_fn(|| schedule.take(Nanos(3_100))).collect();
        assert_eq!(taken, [100, 1_100, 2_100, 3_100].map(Nanos));
        assert_eq!(schedule.due(), Nanos(4_100));
    }

    #[test]
    fn the_messages_of_a_burst_are_due_at_once() {
        let mut schedule = Schedule::bursts(Nanos(100), 3, 1e6);
        let taken: Vec<_> = std::iter::from_fn(|| schedule.take(Nanos(1_100))).collect();
        assert_eq!(taken, [100, 100, 100, 1_100, 1_100, 1_100].map(Nanos));
        let pace = Pace::Bursts {
            messages: 3,
            per_second: 2.0,
        };
        assert_eq!(pace.offered_per_s(), Some(6.0));
    }
}
