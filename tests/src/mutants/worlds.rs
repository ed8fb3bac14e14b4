//! The worlds in which bugs are searched.

use super::bug::{Bug, plant};
use crate::sim::{self, Stress, TestWorld, Verdict};

/// How long the safety phase of a world takes, in virtual seconds: long enough for what a minute of silence changes.
const SECONDS: u64 = 70;

/// Runs a world with that bug, or with none.
pub(crate) fn run(stress: Option<Stress>, seed: u64, bug: Option<Bug>) -> Verdict {
    let world = TestWorld::new(seed, SECONDS);
    let world = match stress {
        Some(stress) => world.under(stress),
        None => world,
    };
    plant(bug);
    let verdict = sim::run(&world);
    plant(None);
    verdict
}

/// What such worlds are called in the record.
pub(crate) fn name(stress: Option<Stress>) -> &'static str {
    stress.map_or("swarm", Stress::name)
}
