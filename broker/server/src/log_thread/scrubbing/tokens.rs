//! A bucket of tokens, one a byte, that fills at a steady rate and never holds more than one piece is worth.
//!
//! Kept as the time at which it is full again, which is the same and needs no fractions of a token. A piece is paid for when it has been read, so the
//! debt of one piece is waited for before the next one.

use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(super) struct Tokens {
    bytes_per_second: u64,
    /// When everything that was taken is paid for; `None`: nothing was taken yet.
    paid_at: Option<Instant>,
}

impl Tokens {
    /// `bytes_per_second` > 0
    pub(super) fn new(bytes_per_second: u64) -> Self {
        assert!(
            bytes_per_second > 0,
            "INV-SRV-16: a scrub has a rate, or there is none"
        );
        Self {
            bytes_per_second,
            paid_at: None,
        }
    }

    /// Takes what was read, and tells how long to wait for it. What was not taken while nobody read is not saved up.
    pub(super) fn take(&mut self, bytes: u64, now: Instant) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let from = self.paid_at.map_or(now, |paid_at| paid_at.max(now));
        let paid_at = from.checked_add(price).unwrap_or(from);
        self.paid_at = Some(paid_at);
        paid_at.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn bytes_wait_for_their_tokens_and_a_debt_is_added_to() {
        let now = Instant::now();
        let mut tokens = Tokens::new(1_000_000);
        assert_eq!(tokens.take(250_000, now), 250 * MILLI);
        assert_eq!(tokens.take(100_000, now), 350 * MILLI);
        assert_eq!(tokens.take(0, now + 300 * MILLI), 50 * MILLI);
    }

    #[test]
    fn a_long_pause_saves_nothing_up_so_no_burst_follows_it() {
        let now = Instant::now();
        let mut tokens = Tokens::new(1_000_000);
        assert_eq!(tokens.take(1_000, now), MILLI);
        let later = now + Duration::from_secs(3_600);
        assert_eq!(tokens.take(1_000, later), MILLI);
    }

    #[test]
    fn whoever_waits_as_told_never_exceeds_the_rate_over_any_stretch() {
        let start = Instant::now();
        let mut now = start;
        let mut tokens = Tokens::new(4 << 20);
        let mut bytes = 0_u64;
        for piece in [4_096, 262_144, 1_400_000, 7, 262_144].repeat(20) {
            bytes += piece;
            // The read itself takes time, and that counts.
            now += 3 * MILLI;
            now += tokens.take(piece, now);
            let allowed = (now - start).as_secs_f64() * f64::from(4 << 20);
            assert!(bytes as f64 <= allowed + 1.0, "{bytes} > {allowed}");
        }
    }
}
