//! METADATA: which nodes there are and who leads what.

use antiphon_protocol::{Code, ErrorFrame, Metadata, MetadataNode, MetadataRequest, RequestId};

use super::Edge;
use crate::core::ConnId;

impl Edge {
    /// A METADATA came: answered from what all cores of the node share.
    pub(super) fn metadata(&mut self, conn: ConnId, id: RequestId, request: MetadataRequest) {
        let Some(open) = self.conns.open(conn) else {
            return;
        };
        let frame_bytes_max = open.frame_bytes_max;
        let (node, partitions) = (self.settings.node, self.settings.map.partitions());
        let leading = self.settings.exchange.leading();
        let version = leading.version();
        let mut answer = alloc::vec::Vec::new();
        if request.version == version {
            Metadata::encode(version, node, &[], &[], id, &mut answer);
        } else {
            let leaders = leading.leaders(node, partitions);
            // Whoever asks has an address of this node that works.
            let members = self.settings.membership.members().iter();
            let nodes: alloc::vec::Vec<MetadataNode<'_>> = members
                .map(|member| MetadataNode {
                    node: member.node,
                    address: match member.node == node {
                        true => "",
                        false => &member.address,
                    },
                })
                .collect();
            Metadata::encode(version, node, &nodes, &leaders, id, &mut answer);
        }
        let length = answer.len() as u64 - antiphon_protocol::FRAME_HEADER_BYTES as u64;
        if length > u64::from(frame_bytes_max) {
            let error = ErrorFrame {
                hint: length,
                ..ErrorFrame::new(Code::TOO_LARGE)
            };
            return self.answer_error(conn, id, &error);
        }
        self.conns.write(conn, |out| out.extend_from_slice(&answer));
    }
}
