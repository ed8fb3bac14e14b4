//! Who is in the cluster: the voters of every group, fixed when the process starts.
//!
//! A node alone is a cluster of one. Placement per group, and changes while running, are the meta group's (group 0, reserved): not there yet.

use alloc::boxed::Box;
use alloc::vec::Vec;

use antiphon_protocol::NodeId;

use crate::limits::MEMBERS_MAX;

/// One node of the cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its id, which is its Raft id. Not 0.
    pub node: NodeId,
    /// Where clients reach it, as METADATA tells; empty: unknown, or here.
    pub address: Box<str>,
}

/// See the module. Ascending by node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Membership(Vec<Member>);

impl Membership {
    /// A node that is its own majority.
    #[must_use]
    pub fn alone(node: NodeId) -> Membership {
        let address = Box::from("");
        Membership(alloc::vec![Member { node, address }])
    }

    /// These nodes; `None` if there are none or too many, one has id 0, or one is named twice.
    #[must_use]
    pub fn new(mut members: Vec<Member>) -> Option<Membership> {
        members.sort_by_key(|member| member.node);
        let is_twice = members.windows(2).any(|pair| pair[0].node == pair[1].node);
        let is_lawful =
            (1..=MEMBERS_MAX).contains(&members.len()) && members[0].node != NodeId(0) && !is_twice;
        is_lawful.then_some(Membership(members))
    }

    /// Whether there is only one node.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether `node` is one of them.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.iter().any(|member| member.node == node)
    }

    /// All of them, ascending.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nodes: &[u32]) -> Option<Membership> {
        let member = |node: &u32| Member {
            node: NodeId(*node),
            address: Box::from(""),
        };
        Membership::new(nodes.iter().map(member).collect())
    }

    #[test]
    fn members_are_ascending_and_each_is_named_once() {
        let members = of(&[3, 1, 2]).expect("lawful");
        let nodes: Vec<u32> = members.members().iter().map(|one| one.node.0).collect();
        assert_eq!(nodes, [1, 2, 3]);
        assert!(members.contains(NodeId(2)) && !members.contains(NodeId(4)));
        assert!(!members.is_alone() && Membership::alone(NodeId(9)).is_alone());
        for unlawful in [&[][..], &[0, 1], &[1, 1], &[1, 2, 3, 4, 5, 6, 7, 8]] {
            assert_eq!(of(unlawful), None, "{unlawful:?}");
        }
    }
}
