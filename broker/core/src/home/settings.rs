//! What a home core is made with, apart from its partitions.

use alloc::vec::Vec;

use antiphon_protocol::NodeId;
use antiphon_protocol::limits::USER_CURSORS_MAX;

use crate::core::{CoreConfig, CoreId};
use crate::home::limits::{
    ERASED_MAX, LOOK_UP_RECORDS_MAX, LOOK_UPS_MAX, PRODUCERS_MAX, ROOMS_MAX,
};
use crate::limits::{Budgets, Limits};
use crate::map::SlotMap;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct HomeSettings {
    /// This node.
    pub(crate) node: NodeId,
    /// All voters of every group.
    pub(crate) voters: Vec<NodeId>,
    /// This core.
    pub(crate) core: CoreId,
    /// Which partition a slot belongs to.
    pub(crate) map: SlotMap,
    /// What clients are told.
    pub(crate) limits: Limits,
    /// Seed of hash tables and election timeouts.
    pub(crate) seed: u64,
    /// Budget of a partition's hot tail, in bytes.
    pub(crate) hot_bytes: usize,
    /// Most bytes of one entry, unless a single publish is larger.
    pub(crate) entry_bytes_max: usize,
    /// Least bytes that a ready room may stamp per turn.
    pub(crate) room_visit_bytes_min: usize,
    /// Log bytes between two checkpoints, at least.
    pub(crate) checkpoint_bytes_min: u64,
    /// Raft drops proposals beyond this many uncommitted bytes.
    pub(crate) uncommitted_bytes_max: u64,
    /// Most rooms of a partition.
    pub(crate) rooms_max: usize,
    /// Most producers that a partition remembers.
    pub(crate) producers_max: usize,
    /// Most erased records of a partition.
    pub(crate) erased_max: usize,
    /// Most cursors of one user.
    pub(crate) user_cursors_max: u32,
    /// Cold look-ups of a partition under way at a time.
    pub(crate) look_ups_max: usize,
    /// Records that a partition walks over per turn to answer retries.
    pub(crate) look_up_records_max: usize,
}

impl HomeSettings {
    /// The usual settings.
    pub(crate) fn new(config: CoreConfig) -> HomeSettings {
        let Budgets {
            hot_bytes,
            entry_bytes_max,
            room_visit_bytes_min,
            uncommitted_bytes_max,
            checkpoint_bytes_min,
            ..
        } = config.limits.budgets;
        assert!(
            hot_bytes >= 4 * entry_bytes_max && room_visit_bytes_min <= entry_bytes_max,
            "INV-HOME-40: a full entry is on its way while others are stamped"
        );
        HomeSettings {
            node: config.node,
            voters: config
                .membership
                .members()
                .iter()
                .map(|member| member.node)
                .collect(),
            core: config.core,
            map: config.map,
            limits: config.limits,
            seed: config.seed,
            hot_bytes,
            entry_bytes_max,
            room_visit_bytes_min,
            checkpoint_bytes_min,
            uncommitted_bytes_max,
            rooms_max: ROOMS_MAX,
            producers_max: PRODUCERS_MAX,
            erased_max: ERASED_MAX,
            user_cursors_max: USER_CURSORS_MAX,
            look_ups_max: LOOK_UPS_MAX,
            look_up_records_max: LOOK_UP_RECORDS_MAX,
        }
    }
}
