//! One partition gets another leader and one stops, while another core tells its clients who leads them.

use std::sync::Arc;

use antiphon_protocol::NodeId;
use loom::thread;

use super::production::leading::Leading;
use crate::{Model, every_interleaving};

pub(crate) const MODEL: Model = Model {
    name: "leading",
    run,
};

const NODE: NodeId = NodeId(7);
const OTHER: NodeId = NodeId(9);
const PARTITIONS: u16 = 2;

/// Who is told a version is told all that it stands for: whatever is not in the answer has a newer one.
fn run() -> u64 {
    every_interleaving(|| {
        let leading = Arc::new(Leading::default());
        let elsewhere = [Some(OTHER), None];
        let changing: Vec<_> = (0..PARTITIONS)
            .zip(elsewhere)
            .map(|(partition, leader)| {
                let leading = Arc::clone(&leading);
                thread::spawn(move || leading.led_by(partition, leader))
            })
            .collect();
        let version = leading.version();
        let leaders = leading.leaders(NODE, PARTITIONS);
        let changed = leaders.iter().filter(|&&leader| leader != NODE).count() as u64;
        assert!(
            version - 1 <= changed,
            "version {version} tells of {changed} only"
        );
        for thread in changing {
            thread.join().expect("a core ends");
        }
        assert_eq!(leading.version(), 1 + u64::from(PARTITIONS));
        let leaders = leading.leaders(NODE, PARTITIONS);
        assert_eq!(leaders, [OTHER, NodeId(0)]);
    })
}
