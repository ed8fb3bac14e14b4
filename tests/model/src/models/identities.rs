//! Three cores claim and draw at once, with clocks that disagree.

use std::collections::BTreeSet;
use std::sync::Arc;

use antiphon_protocol::{NodeId, Timestamp};
use loom::thread;

use super::production::identity::Identities;
use crate::{Model, every_interleaving};

pub(crate) const MODEL: Model = Model {
    name: "identities",
    run,
};

const CORES: u64 = 3;
const WALL_MS: u64 = 1_800_000_000_000;

/// No claim and no producer is given twice.
fn run() -> u64 {
    every_interleaving(|| {
        let identities = Arc::new(Identities::default());
        let cores: Vec<_> = (0..CORES)
            .map(|core| {
                let identities = Arc::clone(&identities);
                thread::spawn(move || {
                    let wall = Timestamp(WALL_MS - core % 2);
                    let producer = identities.draw(NodeId(1), wall, 7);
                    (identities.claim(), producer)
                })
            })
            .collect();
        let mut claims = BTreeSet::new();
        let mut producers = BTreeSet::new();
        for core in cores {
            let (claim, producer) = core.join().expect("a core ends");
            assert!(claims.insert(claim), "a claim was given twice");
            assert!(producers.insert(producer), "a producer was drawn twice");
        }
    })
}
