//! The world: nodes, clients, the network between them, and what happens next.

use std::collections::BTreeMap;

use crate::history::{Client as ClientNo, Head, Node as NodeNo, Recorder, What};

use super::client::Client;
use super::link::Link;
use super::node::Node;
use super::peering::Peering;
use super::queue::{Event, MILLI, Micros, Queue, SECOND};
use super::random::Random;
use super::replicas::Replicas;
use super::swarm::{Choices, Plan};
use super::tally::Tally;
use super::trace::Trace;
use super::trouble::Trouble;

/// More events than this in one virtual second: time hardly moves, the world goes in circles. All its threads together, each busy without a pause,
/// make less than half of it. How long a world may take as a whole is no matter of events: see `settle_while_moving`.
const EVENTS_PER_SECOND_MAX: u64 = 5_000_000;

/// See the module.
pub(crate) struct World {
    pub(crate) choices: Choices,
    pub(crate) queue: Queue,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) last_link: u64,
    pub(crate) trouble: Trouble,
    pub(crate) peering: Peering,
    pub(crate) replicas: Replicas,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) tally: Tally,
    pub(crate) history: Recorder,
    /// Numbers the sessions in the history.
    pub(crate) last_client: u32,
    /// Numbers the requests in the history.
    pub(crate) last_op: u64,
    /// Bytes on their way, for its memory.
    pub(crate) scratch: Vec<u8>,
    /// No client begins anything new.
    pub(crate) is_calm: bool,
    /// The second that runs, and the events before it.
    pub(crate) this_second: (u64, u64),
    /// The first thing that was wrong.
    pub(crate) failure: Option<String>,
}

/// Streams of chance, one per concern.
#[derive(Debug)]
pub(crate) struct Dice {
    /// When threads run, and what each takes.
    pub(crate) threads: Random,
    /// How bytes travel.
    pub(crate) net: Random,
    /// How long the disk takes.
    pub(crate) disk: Random,
    /// What applications do.
    pub(crate) apps: Random,
    /// Seeds of processes and sessions.
    pub(crate) seeds: Random,
}

impl World {
    /// The world of a plan, just begun.
    pub(crate) fn new(plan: &Plan) -> World {
        let choices = Choices::new(plan);
        let root = Random::new(plan.seed);
        let dice = Dice {
            threads: root.fork(11),
            net: root.fork(12),
            disk: root.fork(13),
            apps: root.fork(14),
            seeds: root.fork(15),
        };
        let nodes: Vec<Node> = (0..choices.nodes)
            .map(|number| Node::new(number, &choices))
            .collect();
        let numbers: Vec<NodeNo> = (1..=nodes.len() as u32).map(NodeNo).collect();
        let head = Head {
            progress_ns: super::limits::PROGRESS * 1_000,
            ..Head::new(&format!("cargo sim replay {}", plan.seed), &numbers)
        };
        let mut world = World {
            trouble: Trouble::new(&choices, root.fork(16)),
            peering: Peering::new(root.fork(17)),
            replicas: Replicas::default(),
            choices,
            queue: Queue::default(),
            nodes,
            clients: Vec::new(),
            links: BTreeMap::new(),
            last_link: 0,
            dice,
            trace: Trace::new(plan.is_traced),
            tally: Tally::default(),
            history: Recorder::new(head),
            last_client: 0,
            last_op: 0,
            scratch: Vec::new(),
            is_calm: false,
            this_second: (0, 0),
            failure: None,
        };
        world.trace.line(0, || format!("{:#?}", world.choices));
        for node in 0..world.nodes.len() {
            world.start_node(node);
        }
        for role in world.choices.clients.clone() {
            world.add_client(role);
        }
        if !world.choices.faults.is_empty() {
            world.queue.after(SECOND / 2, Event::Trouble);
            if world.nodes.len() > 1 {
                world.queue.after(SECOND, Event::PeerTrouble);
            }
        }
        world
    }

    /// Lets time pass until `end`, or until something is wrong.
    pub(crate) fn run_until(&mut self, end: Micros) {
        while self.failure.is_none()
            && let Some(event) = self.queue.next(end)
        {
            self.tally.events += 1;
            self.trace.event(self.queue.now(), &event);
            self.happen(event);
            self.look_for_circles();
        }
    }

    fn look_for_circles(&mut self) {
        let second = self.queue.now() / SECOND;
        if self.this_second.0 != second {
            self.this_second = (second, self.tally.events);
        }
        if self.tally.events - self.this_second.1 > EVENTS_PER_SECOND_MAX {
            self.fail("the world goes in circles: too many events in a second".to_owned());
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Turn { node, life, core } => self.on_turn(node, life, core),
            Event::LogStart { node, life } => self.on_log_start(node, life),
            Event::LogDone { node, life } => self.on_log_done(node, life),
            Event::Made {
                node,
                life,
                is_segment,
            } => self.on_made(node, life, is_segment),
            Event::ReadDone { node, life, job } => self.on_read_done(node, life, job),
            Event::Start { node, life } => {
                if self.nodes[node].life == life && self.nodes[node].process.is_none() {
                    self.start_node(node);
                }
            }
            Event::Stop { node, life } => self.on_stop(node, life),
            Event::Arrive { link, up } => self.on_arrive(link, up),
            Event::Break { link, server } => self.on_break(link, server),
            Event::Dial { client, attempt } => self.on_dial(client, attempt),
            Event::Client { client } => self.on_client(client),
            Event::App { client, life } => self.on_app(client, life),
            Event::Reborn { client, life } => self.on_reborn(client, life),
            Event::Trouble => self.on_trouble(),
            Event::Heal { number } => self.on_heal(number),
            Event::PeerArrive { from, to, session } => self.on_peer_arrive(from, to, session),
            Event::PeerTrouble => self.on_peer_trouble(),
        }
    }

    /// Something is wrong; the first thing counts.
    pub(crate) fn fail(&mut self, what: String) {
        self.trace
            .line(self.queue.now(), || format!("FAILED {what}"));
        self.failure.get_or_insert(what);
    }

    /// The virtual time for clients, in ms.
    pub(crate) fn client_ms(&self) -> u64 {
        7_000 + self.queue.now() / MILLI
    }

    /// Writes down what a client did or saw.
    pub(crate) fn note(&mut self, client: usize, what: What) {
        let by = ClientNo(self.clients[client].no);
        self.history.client(self.queue.now() * 1_000, by, what);
    }

    /// Writes down what a node's disk was given and has confirmed.
    pub(crate) fn note_disk(&mut self, node: usize) {
        for what in self.nodes[node].watch.take_notes() {
            self.note_node(node, what);
        }
        // Rot may lie where nothing was written yet.
        if let Some(wrong) = self.nodes[node].watch.take_wrong()
            && !self.trouble.has_destroyed()
        {
            self.fail(format!("node {node}: {wrong}"));
        }
    }

    /// Writes down what a node did.
    pub(crate) fn note_node(&mut self, node: usize, what: What) {
        self.history
            .node(self.queue.now() * 1_000, node_no(node), what);
    }
}

/// A node's number in histories.
pub(crate) fn node_no(node: usize) -> NodeNo {
    NodeNo(1 + node as u32)
}
