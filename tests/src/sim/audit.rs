//! What the disk of a node holds of every room when all is over.

pub(crate) use crate::audit::Rooms;

use super::node::Node;

/// Reads a copy of the disk, as another process would find it.
pub(crate) fn rooms(node: &Node) -> Result<Rooms, String> {
    crate::audit::rooms(node.disk.kill(), node.settings)
}
