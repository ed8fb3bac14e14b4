//! Where a room lives: slot -> partition -> home core.
//!
//! The slot of a room name never changes; which partition holds a slot is data, so that a cluster can grow. Which core serves a partition on this
//! node is a matter of this process alone.

use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_log::GroupId;
use antiphon_protocol::Slot;

use crate::core::CoreId;

const SLOTS: u16 = Slot::COUNT;

/// The partition of each slot and the home core of each partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SlotMap {
    partitions: Arc<[u16]>,
    count: u16,
    cores: u16,
}

impl SlotMap {
    /// Spreads all slots evenly over `partitions`, and those over `cores`.
    ///
    /// # Panics
    /// If there is no partition or no core, or more partitions than slots.
    pub fn even(partitions: u16, cores: u16) -> SlotMap {
        assert!(
            partitions > 0 && partitions <= SLOTS,
            "INV-MAP-1: 1..=4096 partitions"
        );
        assert!(cores > 0, "INV-MAP-2: at least one core");
        let slots: Vec<u16> = (0..SLOTS).map(|slot| slot % partitions).collect();
        SlotMap {
            partitions: slots.into(),
            count: partitions,
            cores,
        }
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u16 {
        self.count
    }

    /// How many cores share the partitions.
    pub fn cores(&self) -> u16 {
        self.cores
    }

    /// The partition that holds `slot`, from 0.
    pub fn partition_of(&self, slot: Slot) -> u16 {
        self.partitions[usize::from(slot.0 % SLOTS)]
    }

    /// The Raft group of the partition that holds `slot`.
    pub fn group_of(&self, slot: Slot) -> GroupId {
        GroupId(1 + u32::from(self.partition_of(slot)))
    }

    /// The core on this node at which `partition` is at home.
    pub fn home_of_partition(&self, partition: u16) -> CoreId {
        CoreId(partition % self.cores)
    }

    /// The core on this node at which the rooms of `slot` are at home.
    pub fn home_of(&self, slot: Slot) -> CoreId {
        self.home_of_partition(self.partition_of(slot))
    }

    /// The core on this node at which `group` is at home; `None` for the meta group.
    pub fn home_of_group(&self, group: GroupId) -> Option<CoreId> {
        let partition = u16::try_from(group.0.checked_sub(1)?).ok()?;
        (partition < self.count).then(|| self.home_of_partition(partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_slots_and_every_core_partitions() {
        let map = SlotMap::even(16, 3);
        let mut seen = [0u32; 16];
        for slot in 0..SLOTS {
            seen[usize::from(map.partition_of(Slot(slot)))] += 1;
        }
        assert_eq!(seen, [256; 16]);
        assert_eq!(map.home_of_group(GroupId(0)), None);
        assert_eq!(map.home_of_group(GroupId(1)), Some(CoreId(0)));
        assert_eq!(map.home_of_group(GroupId(16)), Some(CoreId(0)));
        assert_eq!(map.home_of_group(GroupId(17)), None);
        assert_eq!(map.home_of(Slot(4_095)), CoreId(15 % 3));
    }
}
