//! Waits that grow and are spread, from a seed.

use crate::options::Backoff;

/// A small generator (SplitMix64): good enough to spread clients, the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Jitter {
    state: u64,
    backoff: Backoff,
}

impl Jitter {
    pub(crate) fn new(seed: u64, backoff: Backoff) -> Jitter {
        Jitter {
            state: seed,
            backoff,
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Milliseconds to wait before attempt `attempt` (from 0): half of a doubling span for sure, the other half by chance.
    ///
    /// What the broker asked for wins if it is longer; it is personal already, so it is not spread again.
    pub(crate) fn wait_ms(&mut self, attempt: u32, retry_after_ms: u64) -> u64 {
        let first = millis(self.backoff.first).max(1);
        let max = millis(self.backoff.max).max(first);
        let span = first.saturating_mul(1 << attempt.min(20)).min(max);
        let half = span.div_ceil(2);
        let wait = half + self.next() % (span - half + 1);
        wait.max(retry_after_ms)
    }
}

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_stay_above_half_of_it() {
        let backoff = Backoff {
            first: Duration::from_millis(50),
            max: Duration::from_millis(1_000),
        };
        let mut jitter = Jitter::new(7, backoff);
        for (attempt, span) in [
            (0, 50),
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1_000),
            (60, 1_000),
        ] {
            for _ in 0..100 {
                let wait = jitter.wait_ms(attempt, 0);
                assert!(
                    (span / 2..=span).contains(&wait),
                    "attempt {attempt} waits {wait}"
                );
            }
        }
    }

    #[test]
    fn the_brokers_longer_wait_wins() {
        let backoff = Backoff {
            first: Duration::from_millis(50),
            max: Duration::from_millis(1_000),
        };
        assert_eq!(Jitter::new(7, backoff).wait_ms(0, 9_000), 9_000);
    }
}
