//! Which brokers there are.

use antiphon_protocol::{Metadata, Namespace, NodeId, RoomName, Slot};

/// The nodes of a cluster and who leads what, as one broker knew it when it was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Cluster {
    /// Rises with each change.
    pub version: u64,
    /// The broker that answered.
    pub node: NodeId,
    /// All of them, ascending.
    pub nodes: Vec<ClusterNode>,
    /// The leader of each partition; `None`: not known.
    pub leaders: Vec<Option<NodeId>>,
    /// The partition of each slot.
    slots: Vec<u16>,
}

/// One broker of a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ClusterNode {
    /// Its number.
    pub node: NodeId,
    /// `host:port` for clients; empty: the address that this client used.
    pub address: String,
}

impl Cluster {
    pub(crate) fn new(metadata: &Metadata<'_>) -> Cluster {
        let nodes = metadata.nodes().map(|node| ClusterNode {
            node: node.node,
            address: node.address.to_owned(),
        });
        let slots = (0..Slot::COUNT).map(|slot| metadata.partition_of(Slot(slot)).unwrap_or(0));
        Cluster {
            version: metadata.version,
            node: metadata.node,
            nodes: nodes.collect(),
            leaders: metadata.leaders().collect(),
            slots: slots.collect(),
        }
    }

    /// The node that leads a room's partition, also of a room that does not exist yet; `None`: nobody knows, or the name is none.
    #[must_use]
    pub fn leader_of(&self, namespace: Namespace, room: &str) -> Option<NodeId> {
        let room = RoomName::try_from(room).ok()?;
        let slot = Slot::of(namespace, &room);
        let partition = *self.slots.get(usize::from(slot.0))?;
        *self.leaders.get(usize::from(partition))?
    }
}
