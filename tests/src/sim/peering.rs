//! The network between nodes: one way per pair, first in first out, with sessions, as docs/peer-protocol.md has it.
//!
//! What a node says passes the codec. A peering that breaks loses what is under way; its sender hears of it, or, if the way is cut in silence, does not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use antiphon_log::GroupId;
use antiphon_protocol::peer::{Group, Message, RaftFrames, Session, decode_raft};
use antiphon_protocol::{NodeId, limits, next_frame};

use super::network::delay;
use super::queue::{Event, Micros};
use super::random::Random;
use super::world::World;

/// From a node to a node.
type Way = (usize, usize);

/// See the module.
#[derive(Debug)]
pub(crate) struct Peering {
    pub(crate) net: Random,
    ways: BTreeMap<Way, Flight>,
    /// Ways that carry nothing; true: in silence.
    cut: BTreeMap<Way, bool>,
    last_session: u64,
}

/// What is under way.
#[derive(Debug)]
struct Flight {
    session: u64,
    frames: VecDeque<Vec<u8>>,
    /// When the newest of them arrives.
    last: Micros,
}

impl Peering {
    pub(crate) fn new(net: Random) -> Peering {
        Peering {
            net,
            ways: BTreeMap::new(),
            cut: BTreeMap::new(),
            last_session: 0,
        }
    }

    pub(crate) fn is_cut(&self, way: Way) -> bool {
        self.cut.contains_key(&way)
    }

    /// Everything carries again.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// The session of a way: that at hand, or a new one.
    fn flight(&mut self, way: Way) -> &mut Flight {
        let last_session = &mut self.last_session;
        self.ways.entry(way).or_insert_with(|| {
            *last_session += 1;
            Flight {
                session: *last_session,
                frames: VecDeque::new(),
                last: 0,
            }
        })
    }
}

/// A node's id in the cluster.
pub(crate) fn node_id(node: usize) -> NodeId {
    NodeId(1 + node as u32)
}

impl World {
    /// A core of `node` has something for the replicas on another one.
    pub(crate) fn send_peer(&mut self, node: usize, to: NodeId, messages: &[(GroupId, Message)]) {
        let now = self.queue.now();
        let to = to.0 as usize - 1;
        let is_down = self.nodes[to].process.is_none() || self.nodes[node].process.is_none();
        if is_down || self.peering.is_cut((node, to)) {
            self.tally.peer_frames_lost += 1;
            if is_down || self.peering.cut.get(&(node, to)) == Some(&false) {
                self.lose_peer(node, to);
            }
            return;
        }
        let wait = delay(&self.choices.net_delay, &mut self.peering.net);
        let flight = self.peering.flight((node, to));
        let mut bytes = Vec::new();
        let mut frames = RaftFrames::new(Session(flight.session), &mut bytes);
        for (group, message) in messages {
            frames.push(Group(group.0), message);
        }
        frames.finish();
        flight.frames.push_back(bytes);
        flight.last = flight.last.max(now + wait);
        let (at, session) = (flight.last, flight.session);
        self.tally.peer_frames += 1;
        let event = Event::PeerArrive {
            from: node,
            to,
            session,
        };
        self.queue.at(at, event);
    }

    pub(crate) fn on_peer_arrive(&mut self, from: usize, to: usize, session: u64) {
        let flight = self.peering.ways.get_mut(&(from, to));
        let Some(flight) = flight.filter(|flight| flight.session == session) else {
            return;
        };
        let Some(bytes) = flight.frames.pop_front() else {
            return;
        };
        let mut woken = BTreeSet::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let frame = match next_frame(rest, limits::PEER_FRAME_BYTES_MAX) {
                Ok(Some(frame)) => frame,
                other => {
                    return self.fail(format!("node {from} sends what is no frame: {other:?}"));
                }
            };
            rest = &rest[frame.whole.len()..];
            let messages = match decode_raft(frame, Session(session)) {
                Ok(messages) => messages,
                Err(error) => {
                    return self.fail(format!("node {from} sends what is no frame: {error}"));
                }
            };
            let Some(process) = self.nodes[to].process.as_mut() else {
                return;
            };
            for (group, message) in messages {
                let group = GroupId(group.0);
                let Some(home) = process.map.home_of_group(group) else {
                    continue;
                };
                let core = usize::from(home.0);
                process.seats[core]
                    .peers
                    .push_back((node_id(from), group, message));
                woken.insert(core);
            }
        }
        for core in woken {
            self.wake(to, core);
        }
    }

    /// A peering breaks, and its sender hears of it.
    pub(crate) fn reset_peer(&mut self, from: usize, to: usize) {
        self.peering.ways.remove(&(from, to));
        self.lose_peer(from, to);
    }

    /// Nothing goes from one node to the other until [`Peering::heal`].
    pub(crate) fn cut_peer(&mut self, from: usize, to: usize, is_silent: bool) {
        self.peering.cut.insert((from, to), is_silent);
        self.peering.ways.remove(&(from, to));
        if !is_silent {
            self.lose_peer(from, to);
        }
    }

    /// A node is gone, and all its peerings with it.
    pub(crate) fn reset_peers_of(&mut self, node: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.reset_peer(node, other);
            self.reset_peer(other, node);
        }
    }

    fn lose_peer(&mut self, node: usize, to: usize) {
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let cores = process.seats.len();
        for seat in &mut process.seats {
            seat.peers_lost.insert(node_id(to));
        }
        for core in 0..cores {
            self.wake(node, core);
        }
    }
}
