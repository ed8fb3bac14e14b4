//! METADATA: which nodes there are, and who leads what.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::{NodeId, RequestId, Slot};
use crate::wire::{Fields, FrameWriter, length_u8, length_u32};

const REQUEST_BYTES: usize = 16;
const FIXED_BYTES: usize = 32;
/// Bytes of a slot table: one u16 per slot.
const SLOTS_BYTES: usize = Slot::COUNT as usize * 2;

/// Asks which nodes there are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MetadataRequest {
    /// Version of the answer that the client has; 0: none.
    pub version: u64,
}

impl MetadataRequest {
    /// Reads a METADATA from a client.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'_>) -> Result<Self, DecodeError> {
        frame.expect_request(Kind::Metadata)?;
        let (mut fixed, parts) = Fields::fixed::<REQUEST_BYTES>(frame.body())?;
        let version = fixed.u64()?;
        fixed.zeros::<8>()?;
        Extensions::check_unknown(parts.rest())?;
        Ok(MetadataRequest { version })
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let mut writer = FrameWriter::new(out, Kind::Metadata, 0, id, REQUEST_BYTES);
        writer.u64(self.version).zeros::<8>().finish();
    }
}

/// The nodes of a cluster and their leaderships. Lists are views over the frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metadata<'a> {
    /// Rises with each change.
    pub version: u64,
    /// Who answers.
    pub node: NodeId,
    /// How many partitions there are; 0: nothing has changed since the version of the request.
    pub partitions: u16,
    nodes: u16,
    node_bytes: &'a [u8],
    leader_bytes: &'a [u8],
    slot_bytes: &'a [u8],
}

/// One node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MetadataNode<'a> {
    /// Which.
    pub node: NodeId,
    /// `host:port` for clients; empty: the one that was used.
    pub address: &'a str,
}

impl<'a> Metadata<'a> {
    /// Reads a METADATA from a server.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Metadata)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let (version, node) = (fixed.u64()?, NodeId(fixed.u32()?));
        let (partitions, nodes) = (fixed.u16()?, fixed.u16()?);
        let node_bytes = parts.bytes(fixed.u32()? as usize)?;
        let leader_bytes = parts.bytes(fixed.u32()? as usize)?;
        let slot_bytes = parts.bytes(fixed.u32()? as usize)?;
        Extensions::check_unknown(parts.rest())?;
        check_nodes(node_bytes, nodes)?;
        if leader_bytes.len() != usize::from(partitions).saturating_mul(4) {
            return Err(DecodeError::BadValue("leaders_len"));
        }
        if !slot_bytes.is_empty() && slot_bytes.len() != SLOTS_BYTES {
            return Err(DecodeError::BadValue("slots_len"));
        }
        Ok(Metadata {
            version,
            node,
            partitions,
            nodes,
            node_bytes,
            leader_bytes,
            slot_bytes,
        })
    }

    /// Appends the answer of a cluster whose partitions follow from their rooms' slots; `leaders` by partition.
    pub fn encode(
        version: u64,
        node: NodeId,
        nodes: &[MetadataNode<'_>],
        leaders: &[NodeId],
        id: RequestId,
        out: &mut Vec<u8>,
    ) {
        let mut node_bytes = Vec::new();
        for node in nodes {
            let address = node.address.as_bytes();
            node_bytes.extend_from_slice(&node.node.0.to_le_bytes());
            node_bytes.extend_from_slice(&[0, length_u8(address), 0, 0]);
            node_bytes.extend_from_slice(address);
        }
        let mut leader_bytes = Vec::new();
        for leader in leaders {
            leader_bytes.extend_from_slice(&leader.0.to_le_bytes());
        }
        let metadata = Metadata {
            version,
            node,
            partitions: count_u16(leaders.len()),
            nodes: count_u16(nodes.len()),
            node_bytes: &node_bytes,
            leader_bytes: &leader_bytes,
            slot_bytes: &[],
        };
        metadata.encode_again(id, out);
    }

    /// Appends the frame that this was read from.
    pub fn encode_again(&self, id: RequestId, out: &mut Vec<u8>) {
        let parts = self
            .node_bytes
            .len()
            .saturating_add(self.leader_bytes.len());
        let parts = parts.saturating_add(self.slot_bytes.len());
        let bytes = FIXED_BYTES.saturating_add(parts);
        let mut writer = FrameWriter::new(out, Kind::Metadata, 0, id, bytes);
        writer.u64(self.version).u32(self.node.0);
        writer.u16(self.partitions).u16(self.nodes);
        writer.u32(length_u32(self.node_bytes));
        writer.u32(length_u32(self.leader_bytes));
        writer.u32(length_u32(self.slot_bytes)).zeros::<4>();
        writer.bytes(self.node_bytes).bytes(self.leader_bytes);
        writer.bytes(self.slot_bytes).finish();
    }

    /// The nodes, ascending.
    pub fn nodes(&self) -> impl Iterator<Item = MetadataNode<'a>> + use<'a> {
        let mut rest = Fields::new(self.node_bytes);
        core::iter::from_fn(move || read_node(&mut rest).ok())
    }

    /// The leader of each partition, in order; [`None`]: not known.
    pub fn leaders(&self) -> impl Iterator<Item = Option<NodeId>> + use<'a> {
        let (leaders, _) = self.leader_bytes.as_chunks::<4>();
        leaders.iter().map(|bytes| {
            let node = NodeId(u32::from_le_bytes(*bytes));
            (node.0 != 0).then_some(node)
        })
    }

    /// The partition of a slot; [`None`] if the answer has no partitions.
    #[must_use]
    pub fn partition_of(&self, slot: Slot) -> Option<u16> {
        if self.slot_bytes.is_empty() {
            return slot.0.checked_rem(self.partitions);
        }
        let (slots, _) = self.slot_bytes.as_chunks::<2>();
        slots
            .get(usize::from(slot.0))
            .copied()
            .map(u16::from_le_bytes)
    }
}

/// Whether `bytes` are `count` nodes and nothing else.
fn check_nodes(bytes: &[u8], count: u16) -> Result<(), DecodeError> {
    let mut rest = Fields::new(bytes);
    for _ in 0..count {
        read_node(&mut rest)?;
    }
    if rest.rest().is_empty() {
        Ok(())
    } else {
        Err(DecodeError::BadValue("nodes_len"))
    }
}

fn read_node<'a>(fields: &mut Fields<'a>) -> Result<MetadataNode<'a>, DecodeError> {
    let node = NodeId(fields.u32()?);
    fields.skip::<1>()?;
    let length = usize::from(fields.u8()?);
    fields.skip::<2>()?;
    let address = core::str::from_utf8(fields.bytes(length)?);
    Ok(MetadataNode {
        node,
        address: address.map_err(|_| DecodeError::BadValue("address"))?,
    })
}

/// A count as a field.
fn count_u16(count: usize) -> u16 {
    let count = u16::try_from(count);
    assert!(
        count.is_ok(),
        "INV-PROTO-13: more nodes or partitions than their count can tell"
    );
    count.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::next_frame;

    fn frame(slots: &[u8], leaders: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let leader_bytes: Vec<u8> = (0..leaders).flat_map(u32::to_le_bytes).collect();
        let metadata = Metadata {
            version: 1,
            node: NodeId(1),
            partitions: 3,
            nodes: 0,
            node_bytes: &[],
            leader_bytes: &leader_bytes,
            slot_bytes: slots,
        };
        metadata.encode_again(RequestId(1), &mut out);
        out
    }

    fn read(frame: &[u8]) -> Result<Metadata<'_>, DecodeError> {
        Metadata::decode(next_frame(frame, u32::MAX).unwrap().unwrap())
    }

    #[test]
    fn a_partition_follows_from_the_slot_unless_a_table_says_otherwise() {
        let (modulo, table) = (frame(&[], 3), [2, 0].repeat(4_096));
        assert_eq!(read(&modulo).unwrap().partition_of(Slot(7)), Some(1));
        let listed = frame(&table, 3);
        assert_eq!(read(&listed).unwrap().partition_of(Slot(7)), Some(2));
        let leaders: Vec<_> = read(&modulo).unwrap().leaders().collect();
        assert_eq!(leaders, [None, Some(NodeId(1)), Some(NodeId(2))]);
    }

    #[test]
    fn lists_whose_lengths_do_not_fit_their_counts_are_refused() {
        let wrong = DecodeError::BadValue("slots_len");
        assert_eq!(read(&frame(&[0; 8_190], 3)), Err(wrong));
        let wrong = DecodeError::BadValue("leaders_len");
        assert_eq!(read(&frame(&[], 4)), Err(wrong));
    }
}
