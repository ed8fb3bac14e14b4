//! What must never repeat on a node: the producers that it draws, and the claims of its sessions.
//!
//! Both come from one word each that all cores of the node share, so that uniqueness needs no agreement between cores and no trust in a clock.
//!
//! ```text
//!  63                      22        10    8        0
//!  +------------------------+---------+-----+--------+
//!  | birth, ms since epoch  | counter | era | node   |   a producer
//!  +------------------------+---------+-----+--------+
//! ```
//! # Why no producer is drawn twice
//! 1. Within an era, birth and counter together are one number that only grows: it follows the wall clock while that goes forward, and is the last one
//!    plus one where the clock stands, steps back, or gives fewer milliseconds than producers. A counter that runs over makes a birth one ms later.
//! 2. A clock that steps back by more than [`BIRTH_AHEAD_MS_MAX`] was wrong before: births must follow it, or no partition would take their producers.
//!    So a new era begins, and what it draws differs in the era's bits. The last era follows no clock back any more, so that eras do not repeat.
//! 3. Nodes whose ids differ in their lowest 8 bits differ in the lowest 8 bits of what they draw.
//! 4. After a restart the number starts behind the newest time that recovery found in a record, so whatever was drawn before and used since is below,
//!    even if the clock was set back in between. That time is believed up to [`BIRTH_AHEAD_MS_MAX`] ahead of the clock. While the clock is behind it,
//!    record times stand still, and several lives would find the same one: so the number starts at random within [`BIRTH_SPREAD_MS`] of it.
//!
//! What is left: the clock was set back around a restart, by less than the log shows, and a session that was drawn in between and never published comes
//! back at the same user's. The counter of each new millisecond starts at random, so even then both would have to meet by chance.

use core::sync::atomic::{AtomicU64, Ordering};

use antiphon_protocol::{NodeId, Producer, Timestamp};

use crate::limits::{BIRTH_AHEAD_MS_MAX, BIRTH_SPREAD_MS};

/// Bits of a producer that are its node's.
const NODE_BITS: u32 = 8;
/// Bits of a producer that tell eras apart.
const ERA_BITS: u32 = 2;
/// The last era.
const ERA_MAX: u64 = (1 << ERA_BITS) - 1;
/// Bits of a producer that count within a millisecond.
const COUNTER_BITS: u32 = Producer::RANDOM_BITS - NODE_BITS - ERA_BITS;
/// The counter of a millisecond starts below this, so that at least as many numbers are left in it.
const COUNTER_START_END: u64 = 1 << (COUNTER_BITS - 1);
/// No clock is believed beyond this, in the year 2109: what is drawn then counts on in the 2^30 ms that are left.
const BIRTH_MAX: u64 = (1 << (u64::BITS - Producer::RANDOM_BITS)) - (1 << 30);
/// The era stands above birth and counter in the shared word.
const ERA_SHIFT: u32 = u64::BITS - ERA_BITS;

/// When a connection was accepted: of two, the greater one came later.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Claim(pub u64);

/// The shared words. See the module.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    claims: AtomicU64,
    /// Era, birth and counter of the newest producer drawn.
    born: AtomicU64,
}

impl Identities {
    /// The greatest claim so far.
    ///
    /// It is drawn when a connection is accepted, not when its HELLO is read. A HELLO may be read long after it was sent, and after the one that the same
    /// client sent over its next connection: on another core, or because the network kept the first one back. Ordered by reading, the connection that the
    /// client gave up would end the one that it uses.
    ///
    /// # Why exactly one connection of a session stays
    /// A core that reads a HELLO enters the connection into its table, then tells every other core the claim. Who is told of a claim ends its connections
    /// with a lesser one, and answers with a greater one if it holds one. Take two connections of one session on two cores, and look at the one that is
    /// entered first.
    /// 1. When the message of the second one arrives at the first one's core, the first one is in the table. If its claim is the lesser one, it ends.
    /// 2. Else the answer goes back to the second one, which was entered before it asked, and ends.
    ///
    /// So each connection but the one with the greatest claim ends, and nobody ever tells that one of a greater claim.
    pub(crate) fn claim(&self) -> Claim {
        Claim(self.claims.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// A producer that no core of this node ever drew or will draw.
    pub(crate) fn draw(&self, node: NodeId, wall: Timestamp, random: u32) -> Producer {
        let wall = Timestamp(wall.0.min(BIRTH_MAX));
        let fresh = (wall.0 << COUNTER_BITS) | (u64::from(random) % COUNTER_START_END);
        let next = |last| after(last, fresh, wall);
        let last = self
            .born
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)))
            .unwrap_or_else(|last| last);
        let (era, born) = parts(next(last));
        let node = u64::from(node.0) & ((1 << NODE_BITS) - 1);
        let low = (born << (ERA_BITS + NODE_BITS)) | (era << NODE_BITS) | node;
        Producer::new(Timestamp(born >> COUNTER_BITS), low as u32)
    }

    /// Recovery found a record of this time: producers are born later, unless that time is no clock's that could be right.
    pub(crate) fn recovered(&self, time: Timestamp, wall: Timestamp, random: u64) {
        if time.0 > wall.0.min(BIRTH_MAX) + BIRTH_AHEAD_MS_MAX {
            return;
        }
        let is_behind = wall <= time;
        let start = (time.0 + 1) << COUNTER_BITS;
        let spread = if is_behind {
            random % (BIRTH_SPREAD_MS << COUNTER_BITS)
        } else {
            0
        };
        self.born.fetch_max(start + spread, Ordering::SeqCst);
    }
}

/// Era, and birth with counter.
const fn parts(word: u64) -> (u64, u64) {
    (word >> ERA_SHIFT, word & ((1 << ERA_SHIFT) - 1))
}

/// The word after `last`, where the clock would have `fresh`.
fn after(last: u64, fresh: u64, wall: Timestamp) -> u64 {
    let (era, born) = parts(last);
    let birth = born >> COUNTER_BITS;
    let (era, born) = if birth > wall.0 + BIRTH_AHEAD_MS_MAX && era < ERA_MAX {
        (era + 1, fresh)
    } else {
        (era, fresh.max(born + 1))
    };
    (era << ERA_SHIFT) | born
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const WALL: u64 = 1_800_000_000_000;
    const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1_000;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_producer_is_drawn_twice_whatever_the_clock_does(
            draws in prop::collection::vec((0_u64..20, any::<u32>(), 0_u16..300), 1..60)
        ) {
            let (one, two) = (Identities::default(), Identities::default());
            let mut seen = BTreeSet::new();
            let mut last = Timestamp(0);
            for (ms, random, count) in draws {
                for _ in 0..count {
                    let wall = Timestamp(WALL + ms);
                    let producer = one.draw(NodeId(1), wall, random);
                    prop_assert!(seen.insert(producer), "{producer} again");
                    prop_assert!(producer.birth() >= last.max(wall), "births follow the clock, and never fall");
                    last = producer.birth();
                    prop_assert!(seen.insert(two.draw(NodeId(2), wall, random)), "two nodes drew the same");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_producer_is_drawn_twice_by_a_clock_that_is_years_ahead_now_and_then(
            draws in prop::collection::vec((0_u64..3, 0_u64..3, any::<u32>(), 0_u16..300), 1..60)
        ) {
            let identities = Identities::default();
            let mut seen = BTreeSet::new();
            for (years, ms, random, count) in draws {
                for _ in 0..count {
                    let wall = Timestamp(WALL + years * YEAR_MS + ms);
                    let producer = identities.draw(NodeId(1), wall, random);
                    prop_assert!(seen.insert(producer), "{producer} again");
                }
            }
        }
    }

    #[test]
    fn births_follow_a_clock_back_that_was_years_ahead() {
        let identities = Identities::default();
        let birth = |wall| identities.draw(NodeId(1), Timestamp(wall), 7).birth().0;
        for era in 0..ERA_MAX {
            assert_eq!(birth(WALL + era), WALL + era);
            assert_eq!(birth(WALL + YEAR_MS), WALL + YEAR_MS);
        }
        assert_eq!(birth(WALL + 9), WALL + 9, "the last era");
        assert_eq!(birth(WALL + YEAR_MS), WALL + YEAR_MS);
        assert_eq!(birth(WALL), WALL + YEAR_MS, "no era is left");
        assert_eq!(birth(u64::MAX), BIRTH_MAX);
        assert_eq!(birth(u64::MAX), BIRTH_MAX);
    }

    #[test]
    fn a_clock_that_stands_moves_births_on_only_when_the_counter_is_used_up() {
        let identities = Identities::default();
        let births: Vec<u64> = (0..3 * COUNTER_START_END)
            .map(|_| {
                let producer = identities.draw(NodeId(3), Timestamp(WALL), u32::MAX);
                assert_eq!(producer.0 & 0xFF, 3);
                producer.birth().0 - WALL
            })
            .collect();
        assert!(
            births[..COUNTER_START_END as usize]
                .iter()
                .all(|&birth| birth == 0)
        );
        assert_eq!(births.last(), Some(&1));
    }

    #[test]
    fn a_restart_with_a_clock_set_back_draws_behind_what_the_log_shows() {
        let identities = Identities::default();
        identities.recovered(Timestamp(WALL + 5_000), Timestamp(WALL), 0);
        identities.recovered(Timestamp(WALL - 5_000), Timestamp(WALL), u64::MAX);
        let producer = identities.draw(NodeId(1), Timestamp(WALL), 7);
        assert_eq!(producer.birth(), Timestamp(WALL + 5_001));
    }

    #[test]
    fn lives_that_find_the_same_time_ahead_of_their_clock_draw_different_producers() {
        let mut seen = BTreeSet::new();
        for life in 0..16_u64 {
            let identities = Identities::default();
            let random = life.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            identities.recovered(Timestamp(WALL + 5_000), Timestamp(WALL), random);
            for _ in 0..100 {
                let producer = identities.draw(NodeId(1), Timestamp(WALL), 7);
                assert!(seen.insert(producer), "life {life} drew {producer} again");
                assert!(producer.birth().0 <= WALL + 5_001 + BIRTH_SPREAD_MS);
            }
        }
    }

    #[test]
    fn a_time_far_ahead_in_the_log_is_not_believed() {
        let identities = Identities::default();
        identities.recovered(Timestamp(WALL + BIRTH_AHEAD_MS_MAX + 1), Timestamp(WALL), 1);
        identities.recovered(Timestamp(u64::MAX), Timestamp(WALL), 1);
        let producer = identities.draw(NodeId(1), Timestamp(WALL), 7);
        assert_eq!(
            producer.birth(),
            Timestamp(WALL),
            "else it would be too young to publish anywhere else"
        );
    }

    #[test]
    fn claims_ascend() {
        let identities = Identities::default();
        assert!(identities.claim() < identities.claim());
    }
}
