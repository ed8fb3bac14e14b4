//! The settings of a cluster, as one thing that can only be right.

use std::net::SocketAddr;

use antiphon_protocol::NodeId;

use crate::config::Cluster;
use crate::config::settings::{DEFAULT_PEER_PORT, DEFAULT_PORT};
use crate::error::StartError;
use crate::limits::CLUSTER_MEMBERS_MAX;
use crate::start::random;

/// A cluster, as its settings have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ClusterPlan {
    /// Not 0.
    pub(crate) id: u128,
    /// All nodes, this one among them, ascending.
    pub(crate) members: Vec<PlannedMember>,
}

/// One node of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PlannedMember {
    pub(crate) node: NodeId,
    /// Where it listens for the other nodes.
    pub(crate) peers: SocketAddr,
    /// Where clients reach it.
    pub(crate) clients: SocketAddr,
}

/// Why `cluster.*` makes no cluster.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClusterFault {
    /// One without the other.
    #[error(
        "cluster.id and cluster.members are given together, or neither: `antiphon cluster init` prints both"
    )]
    Half,
    /// Not an id.
    #[error(
        "cluster.id = {id:?} is not 32 hexadecimal digits, or all of them are 0: take what `antiphon cluster init` printed"
    )]
    Id {
        /// What was given.
        id: String,
    },
    /// Not a member.
    #[error(
        "cluster.members: {member:?} is not NODE=PEER-ADDRESS/CLIENT-ADDRESS, such as 1=127.0.0.1:7421/127.0.0.1:7411, with real ports"
    )]
    Member {
        /// What was given.
        member: String,
    },
    /// One node, or one address, is there twice.
    #[error("cluster.members: {member:?} has a node id or an address that another one has, too")]
    Twice {
        /// The second one.
        member: String,
    },
    /// Too few or too many.
    #[error(
        "cluster.members: {count} members; a cluster has 2 to {CLUSTER_MEMBERS_MAX}, best 3 or 5"
    )]
    Count {
        /// How many.
        count: usize,
    },
    /// This node is not there.
    #[error(
        "data.node = {node} is not among cluster.members: each node is started with its own, such as --set data.node=2"
    )]
    NotMember {
        /// This node.
        node: u32,
    },
    /// Entries that a node still needs could go.
    #[error(
        "data.retention_bytes and data.retention_age must be 0 in a cluster: a node that lags could find its next entries gone, and there is no \
         other way yet to give it what it misses"
    )]
    Retention,
    /// Others could read and write.
    #[error(
        "cluster.members: {address} can be reached from other machines, and between nodes there is neither encryption nor proof of who speaks \
         yet: anybody could write as anybody. Use addresses of loopback"
    )]
    Reachable {
        /// The peer address.
        address: SocketAddr,
    },
}

impl ClusterPlan {
    /// What is planned for `node`, which is a member.
    pub(crate) fn of(&self, node: NodeId) -> &PlannedMember {
        let mut members = self.members.iter();
        members
            .find(|member| member.node == node)
            .expect("INV-SRV-15: a node is a member of its plan")
    }
}

/// The cluster of node `me`; `None`: it is alone.
pub(crate) fn plan(settings: &Cluster, me: u32) -> Result<Option<ClusterPlan>, ClusterFault> {
    let (id, members) = (settings.id.trim(), settings.members.trim());
    match (id.is_empty(), members.is_empty()) {
        (true, true) => return Ok(None),
        (false, false) => {}
        _ => return Err(ClusterFault::Half),
    }
    let is_hex = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(id, 16).ok();
    let Some(number) = number.filter(|number| is_hex && *number != 0) else {
        return Err(ClusterFault::Id { id: id.to_owned() });
    };
    let mut planned: Vec<PlannedMember> = Vec::new();
    for text in members.split(',').map(str::trim) {
        let member = text.to_owned();
        let Some(one) = parse(text) else {
            return Err(ClusterFault::Member { member });
        };
        let addresses = [one.peers, one.clients];
        let is_taken = |known: &PlannedMember| {
            known.node == one.node
                || addresses.contains(&known.peers)
                || addresses.contains(&known.clients)
        };
        if one.peers == one.clients || planned.iter().any(is_taken) {
            return Err(ClusterFault::Twice { member });
        }
        if !one.peers.ip().is_loopback() {
            return Err(ClusterFault::Reachable { address: one.peers });
        }
        planned.push(one);
    }
    planned.sort_by_key(|member| member.node);
    if !(2..=CLUSTER_MEMBERS_MAX).contains(&planned.len()) {
        return Err(ClusterFault::Count {
            count: planned.len(),
        });
    }
    if planned.iter().all(|member| member.node.0 != me) {
        return Err(ClusterFault::NotMember { node: me });
    }
    Ok(Some(ClusterPlan {
        id: number,
        members: planned,
    }))
}

fn parse(text: &str) -> Option<PlannedMember> {
    let (node, addresses) = text.split_once('=')?;
    let (peers, clients) = addresses.split_once('/')?;
    let member = PlannedMember {
        node: NodeId(node.trim().parse().ok()?),
        peers: peers.trim().parse().ok()?,
        clients: clients.trim().parse().ok()?,
    };
    let has_ports = member.peers.port() != 0 && member.clients.port() != 0;
    (member.node != NodeId(0) && has_ports).then_some(member)
}

/// The settings of a new cluster on this machine, as a configuration file that all its nodes share: node n listens on 127.0.0.n, so that the ports
/// are the same everywhere.
///
/// # Errors
/// [`StartError::System`]: there are no random bits for the id.
pub fn new_cluster(nodes: u8) -> Result<String, StartError> {
    let id = (u128::from(random()?) << 64) | u128::from(random()?.max(1));
    let members: Vec<String> = (1..=nodes)
        .map(|node| {
            format!("{node}=127.0.0.{node}:{DEFAULT_PEER_PORT}/127.0.0.{node}:{DEFAULT_PORT}")
        })
        .collect();
    let members = members.join(", ");
    Ok(format!(
        "[cluster]\nid = \"{id:032x}\"\nmembers = \"{members}\"\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "000102030405060708090a0b0c0d0e0f";

    fn of(id: &str, members: &str) -> Result<Option<ClusterPlan>, ClusterFault> {
        let settings = Cluster {
            id: id.to_owned(),
            members: members.to_owned(),
            ..Cluster::default()
        };
        plan(&settings, 1)
    }

    #[test]
    fn nothing_said_is_a_node_alone_and_a_list_is_sorted() {
        assert_eq!(of("", " "), Ok(None));
        let plan = of(ID, "2=127.0.0.1:2/127.0.0.1:4, 1=127.0.0.1:1/127.0.0.1:3");
        let plan = plan.expect("lawful").expect("a cluster");
        let nodes: Vec<u32> = plan.members.iter().map(|member| member.node.0).collect();
        assert_eq!(
            (plan.id, nodes),
            (0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f, vec![1, 2])
        );
    }

    #[test]
    fn what_init_prints_is_a_cluster_and_each_has_its_own_id() {
        let made = || {
            let text = new_cluster(3).expect("random bits");
            let config: crate::Config = toml::from_str(&text).expect("a configuration");
            plan(&config.cluster, 3)
                .expect("lawful")
                .expect("a cluster")
        };
        let (one, two) = (made(), made());
        assert_eq!((one.members.len(), &one.members), (3, &two.members));
        assert_ne!(one.id, two.id);
    }

    #[test]
    fn what_cannot_work_is_refused_for_its_reason() {
        let one = "1=127.0.0.1:1/127.0.0.1:3";
        let both = "1=127.0.0.1:1/127.0.0.1:3,2=127.0.0.1:2/127.0.0.1:4";
        let is = |found: Result<_, ClusterFault>, wanted: fn(&ClusterFault) -> bool| {
            let fault = found.expect_err("refused");
            assert!(wanted(&fault), "{fault}");
        };
        is(of(ID, ""), |fault| *fault == ClusterFault::Half);
        is(of("", both), |fault| *fault == ClusterFault::Half);
        for id in [
            "1",
            &"0".repeat(32),
            &"g".repeat(32),
            &format!("+{}", &ID[1..]),
        ] {
            is(of(id, both), |fault| {
                matches!(fault, ClusterFault::Id { .. })
            });
        }
        for member in [
            "x",
            "0=127.0.0.1:1/127.0.0.1:3",
            "1=127.0.0.1:0/127.0.0.1:3",
            "1=host:1/2",
        ] {
            is(of(ID, member), |fault| {
                matches!(fault, ClusterFault::Member { .. })
            });
        }
        for other in [
            one,
            "2=127.0.0.1:1/127.0.0.1:4",
            "2=127.0.0.1:2/127.0.0.1:2",
        ] {
            let members = format!("{one},{other}");
            is(of(ID, &members), |fault| {
                matches!(fault, ClusterFault::Twice { .. })
            });
        }
        is(of(ID, one), |fault| {
            *fault == ClusterFault::Count { count: 1 }
        });
        let strangers = "3=127.0.0.1:1/127.0.0.1:3,2=127.0.0.1:2/127.0.0.1:4";
        is(of(ID, strangers), |fault| {
            *fault == ClusterFault::NotMember { node: 1 }
        });
        let far = "1=10.0.0.1:1/127.0.0.1:3,2=127.0.0.1:2/127.0.0.1:4";
        is(of(ID, far), |fault| {
            matches!(fault, ClusterFault::Reachable { .. })
        });
    }
}
