//! `--speed N`: lines go out at the pace at which they were written, N times as fast.

use std::time::{Duration, Instant};

use crate::chat_line::At;

pub(crate) struct Pace {
    /// `None`: as fast as the broker acks.
    speed: Option<f64>,
    began: Instant,
    first: Option<At>,
}

impl Pace {
    pub(crate) fn new(speed: Option<f64>, began: Instant) -> Self {
        Self {
            speed,
            began,
            first: None,
        }
    }

    /// Whether a line written at `at` may go by `now`. The first line asked about sets the origin; a line from before it may go.
    pub(crate) fn is_due(&mut self, at: At, now: Instant) -> bool {
        let Some(speed) = self.speed else { return true };
        let first = *self.first.get_or_insert(at);
        let after = Duration::from_millis(at.0.saturating_sub(first.0));
        now.saturating_duration_since(self.began).as_secs_f64() * speed >= after.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_due_at_their_distance_divided_by_the_speed() {
        let began = Instant::now();
        let mut pace = Pace::new(Some(60.0), began);
        assert!(pace.is_due(At(1_000), began));
        assert!(!pace.is_due(At(61_000), began + Duration::from_millis(999)));
        assert!(pace.is_due(At(61_000), began + Duration::from_millis(1_001)));
        assert!(pace.is_due(At(500), began), "older than the first line");
    }

    #[test]
    fn without_a_speed_every_line_is_due() {
        let began = Instant::now();
        let mut pace = Pace::new(None, began);
        assert!(pace.is_due(At(0), began) && pace.is_due(At(u64::MAX), began));
    }
}
