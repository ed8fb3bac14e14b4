//! Worlds of the product as it is: they must be good, or what is found in them with a bug means nothing.

use std::collections::BTreeSet;

use super::worlds;
use crate::sim::Stress;

/// Which were looked at.
#[derive(Debug, Default)]
pub(crate) struct Clean {
    seen: BTreeSet<(Option<Stress>, u64)>,
    failures: u64,
}

impl Clean {
    /// Runs this world without a bug, once.
    pub(crate) fn look(&mut self, stress: Option<Stress>, seed: u64) {
        if !self.seen.insert((stress, seed)) {
            return;
        }
        if let Some(failure) = worlds::run(stress, seed, None).failure() {
            self.failures += 1;
            let worlds = worlds::name(stress);
            println!("{worlds}: SEED={seed} FAILS WITHOUT ANY BUG: {failure}");
        }
    }

    /// Whether all were good.
    pub(crate) fn is_good(&self) -> bool {
        self.failures == 0
    }

    /// The figure.
    pub(crate) fn line(&self) -> String {
        let worlds = self.seen.len();
        format!("without a bug {worlds}, failures {}", self.failures)
    }
}
