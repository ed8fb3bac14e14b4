//! Which connection uses which producer, so that a session that comes back ends its older connection.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use antiphon_protocol::limits::PRODUCER_AGE_MS_MAX;
use antiphon_protocol::{Producer, Timestamp};

/// The producers in use on this core.
#[derive(Debug, Default)]
pub(super) struct Producers {
    /// (producer, slot of its connection). Several users may name one producer; it means something only together with its sender.
    used: BTreeSet<(Producer, u32)>,
}

impl Producers {
    pub(super) fn insert(&mut self, producer: Producer, slot: u32) {
        self.used.insert((producer, slot));
    }

    pub(super) fn remove(&mut self, producer: Producer, slot: u32) {
        self.used.remove(&(producer, slot));
    }

    /// Slots of the connections that use `producer`.
    pub(super) fn slots(&self, producer: Producer) -> Vec<u32> {
        self.used
            .range((producer, 0)..=(producer, u32::MAX))
            .map(|&(_, slot)| slot)
            .collect()
    }
}

/// Whether a session may still go on with its producer. One from the future was given by a clock that was wrong: it would never grow old.
pub(super) fn is_alive(producer: Producer, now: Timestamp) -> bool {
    producer.birth().0.abs_diff(now.0) < PRODUCER_AGE_MS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn a_producer_lives_for_seven_days() {
        let aged = |ms| Producer::new(Timestamp(NOW.0 - ms), 5);
        assert!(is_alive(aged(0), NOW));
        assert!(is_alive(aged(PRODUCER_AGE_MS_MAX - 1), NOW));
        assert!(!is_alive(aged(PRODUCER_AGE_MS_MAX), NOW));
        assert!(
            is_alive(Producer::new(Timestamp(NOW.0 + 1_000), 5), NOW),
            "clocks of two nodes differ"
        );
        assert!(!is_alive(
            Producer::new(Timestamp(NOW.0 + PRODUCER_AGE_MS_MAX), 5),
            NOW
        ));
    }
}
