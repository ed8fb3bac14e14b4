//! Which partitions of this node take publishes, as all its cores tell their clients.
//!
//! A bit per partition and a version that rises with each change. The bit is set before the version rises, and read after it: so who has the newest
//! version has everything, and who reads in between is told again next time.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use antiphon_protocol::{NodeId, Slot};

const WORDS: usize = Slot::COUNT as usize / u64::BITS as usize;

/// See the module.
#[derive(Debug)]
pub(crate) struct Leading {
    version: AtomicU64,
    /// Partitions that take no publishes, one bit each.
    impaired: [AtomicU64; WORDS],
}

impl Default for Leading {
    fn default() -> Leading {
        Leading {
            version: AtomicU64::new(1),
            impaired: [const { AtomicU64::new(0) }; WORDS],
        }
    }
}

impl Leading {
    /// A partition takes no publishes any more.
    pub(crate) fn stopped(&self, partition: u16) {
        let bit = 1 << (u32::from(partition) % u64::BITS);
        self.word(partition).fetch_or(bit, Ordering::SeqCst);
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// Of the state that [`leaders`](Self::leaders) gives when it is asked next. At least 1.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Who leads each of the first `partitions`: this node, or 0.
    pub(crate) fn leaders(&self, node: NodeId, partitions: u16) -> Vec<NodeId> {
        (0..partitions)
            .map(|partition| {
                let word = self.word(partition).load(Ordering::SeqCst);
                let is_impaired = word >> (u32::from(partition) % u64::BITS) & 1 == 1;
                if is_impaired { NodeId(0) } else { node }
            })
            .collect()
    }

    fn word(&self, partition: u16) -> &AtomicU64 {
        &self.impaired[usize::from(partition) / u64::BITS as usize]
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
    }
}
