//! Who leads each partition, as all cores of this node tell their clients.
//!
//! A number per partition and a version that rises with each change. The number is set before the version rises, and read after it: so who has the newest
//! version has everything, and who reads in between is told again next time.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use antiphon_protocol::{NodeId, Slot};

/// This node, whatever its id.
const HERE: u32 = u32::MAX;
/// Nobody that is known.
const NOBODY: u32 = 0;

/// See the module.
#[derive(Debug)]
pub(crate) struct Leading {
    version: AtomicU64,
    /// The node that leads each partition, or one of the two above. A node alone leads all.
    leaders: [AtomicU32; Slot::COUNT as usize],
}

impl Default for Leading {
    fn default() -> Leading {
        Leading {
            version: AtomicU64::new(1),
            leaders: [const { AtomicU32::new(HERE) }; Slot::COUNT as usize],
        }
    }
}

impl Leading {
    /// A partition takes no publishes any more.
    pub(crate) fn stopped(&self, partition: u16) {
        self.led_by(partition, None);
    }

    /// A partition has another leader, or none that is known.
    pub(crate) fn led_by(&self, partition: u16, leader: Option<NodeId>) {
        let leader = leader.map_or(NOBODY, |node| node.0);
        self.place(partition).store(leader, Ordering::SeqCst);
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// Of the state that [`leaders`](Self::leaders) gives when it is asked next. At least 1.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Who leads each of the first `partitions`; 0: nobody that is known.
    pub(crate) fn leaders(&self, node: NodeId, partitions: u16) -> Vec<NodeId> {
        (0..partitions)
            .map(|partition| {
                let leader = self.place(partition).load(Ordering::SeqCst);
                if leader == HERE { node } else { NodeId(leader) }
            })
            .collect()
    }

    fn place(&self, partition: u16) -> &AtomicU32 {
        &self.leaders[usize::from(partition)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_stops_is_led_by_nobody_and_the_version_rises() {
        let leading = Leading::default();
        let node = NodeId(7);
        assert_eq!(leading.version(), 1);
        assert_eq!(leading.leaders(node, 3), [node; 3]);
        leading.stopped(1);
        leading.stopped(Slot::COUNT - 1);
        assert_eq!(leading.version(), 3);
        assert_eq!(leading.leaders(node, 3), [node, NodeId(0), node]);
        assert_eq!(leading.leaders(node, Slot::COUNT).last(), Some(&NodeId(0)));
        leading.led_by(1, Some(NodeId(9)));
        leading.led_by(0, Some(node));
        assert_eq!(leading.leaders(node, 2), [node, NodeId(9)]);
    }
}
