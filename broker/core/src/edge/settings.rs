//! What an edge is made with: fixed for its life.

use alloc::sync::Arc;

use antiphon_protocol::NodeId;

use crate::channel::Exchange;
use crate::core::{CoreConfig, CoreId};
use crate::limits::Limits;
use crate::map::SlotMap;
use crate::membership::Membership;

/// See the module.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) me: CoreId,
    pub(super) node: NodeId,
    pub(super) membership: Membership,
    pub(super) limits: Limits,
    pub(super) map: SlotMap,
    pub(super) exchange: Arc<Exchange>,
}

impl Settings {
    pub(super) fn new(config: &CoreConfig, exchange: Arc<Exchange>) -> Settings {
        Settings {
            me: config.core,
            node: config.node,
            membership: config.membership.clone(),
            limits: config.limits.clone(),
            map: config.map.clone(),
            exchange,
        }
    }
}
