//! Several home cores, each on a log of the real kind, with a network between them that delays, loses and tears, and power that goes.
//!
//! Every frame passes the codec. After every step: one leader a term, the same entry at the same index for ever, what is applied is never taken back
//! while a process lives.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use antiphon_log::{GroupId, Index, Term};
use antiphon_protocol::peer::{self, RaftFrames, Session, decode_raft};
use antiphon_protocol::{NodeId, next_frame};
use bytes::Bytes;

use super::real_log::RealLog;
use super::world::{World, settings};
use crate::home::replica::Standing;

/// Deterministic dice.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 33) as usize) * end) >> 31
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A node, and whether it runs.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) world: Option<World<RealLog>>,
    pub(super) is_up: bool,
    /// Rises with each start: what was asked of an earlier life has no answer.
    pub(super) life: u64,
    /// Highest index applied in this life, per partition.
    applied: Vec<Index>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) nodes: Vec<Node>,
    partitions: u16,
    /// Frames on their way, in the order of their peering.
    links: BTreeMap<(usize, usize), VecDeque<Vec<u8>>>,
    /// Directed links that carry nothing.
    cut: BTreeSet<(usize, usize)>,
    /// Who leads each term of each group.
    leaders: BTreeMap<(GroupId, Term), usize>,
    /// The entries that any replica has applied.
    committed: BTreeMap<(GroupId, Index), (Term, Bytes)>,
    pub(super) dice: Dice,
    pub(super) failovers: u64,
    pub(super) crashes: u64,
}

const SESSION: Session = Session(9);

fn node_id(number: usize) -> NodeId {
    NodeId(1 + number as u32)
}

impl Cluster {
    /// Each partition of each node has so many bytes of its newest entries in memory.
    pub(super) fn new(
        nodes: usize,
        partitions: u16,
        segment_bytes: u32,
        seed: u64,
        hot_bytes: usize,
    ) -> Cluster {
        let voters: Vec<NodeId> = (0..nodes).map(node_id).collect();
        let node = |number: usize| {
            let mut settings = settings(partitions);
            settings.node = node_id(number);
            settings.voters.clone_from(&voters);
            settings.seed = seed;
            settings.hot_bytes = hot_bytes;
            settings.checkpoint_bytes_min = 6_000;
            let log = RealLog::new(segment_bytes, seed.wrapping_mul(31) + number as u64);
            Node {
                world: Some(World::started(settings, log)),
                is_up: true,
                life: 0,
                applied: alloc::vec![Index(0); usize::from(partitions)],
            }
        };
        Cluster {
            nodes: (0..nodes).map(node).collect(),
            partitions,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            dice: Dice(seed),
            failovers: 0,
            crashes: 0,
        }
    }

    /// A node that runs.
    pub(super) fn up(&mut self, number: usize) -> Option<&mut World<RealLog>> {
        let node = &mut self.nodes[number];
        node.world.as_mut().filter(|_| node.is_up)
    }

    pub(super) fn world(&mut self, number: usize) -> &mut World<RealLog> {
        self.nodes[number].world.as_mut().expect("there")
    }

    /// A turn of one node; what it says is on its way.
    pub(super) fn turn(&mut self, number: usize) {
        let Some(world) = self.up(number) else {
            return;
        };
        world.run();
        while world.read_one().is_some() {
            world.run();
        }
        for (to, messages) in core::mem::take(&mut world.peers) {
            let to = to.0 as usize - 1;
            if self.cut.contains(&(number, to)) || !self.nodes[to].is_up {
                self.world(number).home.peer_lost(node_id(to));
                continue;
            }
            let mut bytes = Vec::new();
            let mut frames = RaftFrames::new(SESSION, &mut bytes);
            for (group, message) in &messages {
                frames.push(peer::Group(group.0), message);
            }
            frames.finish();
            self.links.entry((number, to)).or_default().push_back(bytes);
        }
        self.watch(number);
    }

    /// The oldest frame of a link arrives.
    pub(super) fn deliver(&mut self, from: usize, to: usize) {
        let Some(bytes) = self
            .links
            .get_mut(&(from, to))
            .and_then(VecDeque::pop_front)
        else {
            return;
        };
        let Some(world) = self.up(to) else {
            return;
        };
        let mut rest = bytes.as_slice();
        while let Some(frame) = next_frame(rest, 4 << 20).expect("lawful") {
            for (group, message) in decode_raft(frame, SESSION).expect("lawful") {
                world.home.peer(node_id(from), GroupId(group.0), message);
            }
            rest = &rest[frame.whole.len()..];
        }
    }

    /// A peering breaks: what is under way is gone, and its sender knows.
    pub(super) fn reset(&mut self, from: usize, to: usize) {
        self.links.remove(&(from, to));
        if let Some(world) = self.up(from) {
            world.home.peer_lost(node_id(to));
        }
    }

    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
        self.reset(from, to);
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    /// The power goes: what was not synced is lost, in any mixture of sectors.
    pub(super) fn crash(&mut self, number: usize) {
        if !self.nodes[number].is_up {
            return;
        }
        self.crashes += 1;
        self.nodes[number].is_up = false;
        for other in 0..self.nodes.len() {
            self.reset(number, other);
            self.reset(other, number);
        }
    }

    pub(super) fn restart(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if node.is_up {
            return;
        }
        let world = node.world.take().expect("there");
        node.world = Some(world.restart());
        node.is_up = true;
        node.life += 1;
        node.applied = alloc::vec![Index(0); usize::from(self.partitions)];
        self.watch(number);
    }

    pub(super) fn persist(&mut self, number: usize) {
        if let Some(world) = self.up(number) {
            world.persist(usize::MAX, None);
        }
    }

    pub(super) fn pass_time(&mut self, ms: u64) {
        for node in &mut self.nodes {
            let world = node.world.as_mut().expect("there");
            world.now.mono_ms += ms;
            world.now.wall.0 += ms;
            if node.is_up {
                world.home.tick(world.now);
            }
        }
    }

    /// Everything that is under way arrives, everything is synced, and a tick passes.
    pub(super) fn calm_step(&mut self) {
        for from in 0..self.nodes.len() {
            self.turn(from);
            self.persist(from);
            self.turn(from);
            for to in 0..self.nodes.len() {
                while self
                    .links
                    .get(&(from, to))
                    .is_some_and(|link| !link.is_empty())
                {
                    self.deliver(from, to);
                }
            }
        }
        self.pass_time(5);
    }

    /// The node that leads a partition now, in the highest term.
    pub(super) fn leader(&self, partition: usize) -> Option<usize> {
        let leads = |number| Some((self.leads_in(number, partition)?, number));
        let newest = (0..self.nodes.len()).filter_map(leads).max();
        newest.map(|(_, number)| number)
    }

    /// Whether a node believes to lead a partition.
    pub(super) fn leads(&self, number: usize, partition: usize) -> bool {
        self.leads_in(number, partition).is_some()
    }

    fn leads_in(&self, number: usize, partition: usize) -> Option<Term> {
        let node = &self.nodes[number];
        let world = node.world.as_ref().filter(|_| node.is_up)?;
        match world.home.partitions[partition].replica()?.standing() {
            Standing::Leads(term) => Some(term),
            _ => None,
        }
    }

    /// The invariants of every step.
    fn watch(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let world = node.world.as_ref().expect("there");
        for (place, partition) in world.home.partitions.iter().enumerate() {
            let group = partition.group();
            let replica = partition.replica().expect("no replica breaks");
            if let Standing::Leads(term) = replica.standing() {
                let before = self.leaders.insert((group, term), number);
                if before.is_none() && term > Term(1) {
                    self.failovers += 1;
                }
                assert!(
                    before.is_none_or(|before| before == number),
                    "{group} has two leaders in term {term}"
                );
            }
            let applied = partition.state().applied();
            assert!(applied >= node.applied[place], "{group}: applied falls");
            let hot = replica.hot().expect("it runs");
            let mut index = node.applied[place].next().max(hot.first());
            while index <= applied {
                let hot = hot.find(index).expect("hot from the first one on");
                let entry = (hot.entry.term, hot.entry.payload.clone());
                let known = self
                    .committed
                    .entry((group, index))
                    .or_insert_with(|| entry.clone());
                assert_eq!(
                    *known, entry,
                    "{group}: another entry is applied at {index}"
                );
                index = index.next();
            }
            node.applied[place] = applied;
        }
    }

    /// Whether all replicas stand at the same place, with nothing under way.
    pub(super) fn is_quiet(&self) -> bool {
        let ends = |node: &Node| -> Vec<(Index, Index)> {
            let world = node.world.as_ref().expect("there");
            let partitions = world.home.partitions.iter();
            partitions
                .map(|partition| {
                    let last = partition
                        .replica()
                        .and_then(|replica| replica.hot())
                        .map_or(Index(0), |hot| hot.last());
                    (partition.state().applied(), last)
                })
                .collect()
        };
        let first = ends(&self.nodes[0]);
        first.iter().all(|(applied, last)| applied == last)
            && self.nodes.iter().all(|node| ends(node) == first)
    }
}
