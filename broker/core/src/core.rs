//! The facade: everything that the server, or a simulator in its place, calls.
//!
//! One [`Core`] per core thread. The driver hands in what happened (bytes, lane messages, disk reports, time), then calls [`Core::turn`] once, then
//! drains [`Core::poll`] to `None`. Nothing here blocks, reads a clock or draws a random number.
//!
//! ```text
//!            frame ──▶ ┌──────┐ ──room channel──▶ ┌──────┐ ──Append──▶ log thread
//! socket               │ edge │   ──ToHome──▶     │ home │ ──Read────▶ reader threads
//!           outbox ◀── └──────┘   ◀──ToEdge──     └──────┘ ◀──persisted, read_done
//! ```

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_log::{Append, GroupId, LogPosition, Persisted};
use antiphon_protocol::peer;
use antiphon_protocol::{BrokenStream, Code, NodeId, RawFrame, Timestamp};

use crate::channel::Exchange;
use crate::edge::Edge;
use crate::edge::outbox::Outbox;
use crate::home::{Home, PartitionSeed, ReplicaStatus};
use crate::lane::{Claim, Message};
use crate::lanes::Lanes;
use crate::limits::{LOCAL_MESSAGES_PER_TURN, Limits};
use crate::map::SlotMap;
use crate::membership::Membership;
use crate::read::{CheckpointJob, EntryAnswer, EntryJob, ReadAnswer, ReadJob, ReadPurpose};

/// How keys that clients choose are hashed: the server seeds it at random, a simulation fixes it.
pub type HashState = foldhash::fast::SeedableRandomState;

/// One core of a node, from 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CoreId(pub u16);

/// One connection of a core: a place in the server's table and how often that place was given before.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnId {
    /// The place; small, reused.
    pub slot: u32,
    /// Tells successive connections in one place apart.
    pub generation: u32,
}

/// The time, as the driver read it once for this input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    /// Monotonic, in ms, of one clock for all cores of the node.
    pub mono_ms: u64,
    /// Wall clock.
    pub wall: Timestamp,
}

/// What a core is made with.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// This node.
    pub node: NodeId,
    /// The nodes of the cluster, this one among them.
    pub membership: Membership,
    /// This core.
    pub core: CoreId,
    /// How many cores the node has.
    pub cores: u16,
    /// How many partitions the data directory has.
    pub partitions: u16,
    /// Start of this core's pseudo-random numbers; differs per core and start of the process.
    pub seed: u64,
    /// Limits, told to clients.
    pub limits: Limits,
    /// Which partition a slot belongs to and which core serves it.
    pub map: SlotMap,
    /// Hashing of keys that clients choose.
    pub hash: HashState,
}

/// Whether to go on reading a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Flow {
    /// Go on.
    Continue,
    /// The frame was taken, but parse and read no more of this connection until [`Output::Resume`].
    Pause,
}

/// What the driver has to do.
#[derive(Debug)]
pub enum Output {
    /// The outbox has new bytes. Once per turn and connection.
    Flush(ConnId),
    /// Close the connection once its outbox is sent. No further call names it but `outbox`, `sent` and `disconnected`.
    Close(ConnId),
    /// Go on reading: first the bytes that were read already.
    Resume(ConnId),
    /// Put this into the lane; if that is full, give it back by [`Core::lane_refused`] before the next poll.
    Lane {
        /// Another core.
        to: CoreId,
        /// The message.
        message: Message,
    },
    /// A room channel became ready there: wake it if it sleeps.
    Wake(CoreId),
    /// For the log thread.
    Append(Append),
    /// For the log thread.
    Checkpoint(CheckpointJob),
    /// For the reader threads.
    Read(ReadJob),
    /// For the reader threads; only of a node with peers.
    ReadEntries(EntryJob),
    /// For another node, in this order; once per turn and node. Whatever does not get there, or gets there late, only costs time.
    Peer {
        /// The node.
        to: NodeId,
        /// What its replicas are told.
        messages: Vec<(GroupId, peer::Message)>,
    },
    /// For the operator's log.
    Event(CoreEvent),
}

/// What an operator should know; never one per message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CoreEvent {
    /// A session was opened.
    SessionOpened {
        /// Its connection.
        conn: ConnId,
    },
    /// The server ends a connection.
    GoawaySent {
        /// The connection.
        conn: ConnId,
        /// Why.
        code: Code,
    },
    /// A group is no longer served on this node.
    GroupQuarantined {
        /// The group.
        group: GroupId,
        /// What subscribers are told.
        code: Code,
    },
}

/// Counters and sizes of one core, for metrics. Counters only grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CoreStats {
    /// What the edge counts.
    pub edge: crate::edge::EdgeStats,
    /// What home counts.
    pub home: crate::home::HomeStats,
    /// Messages that wait for full lanes, now.
    pub lane_waiting: u64,
    /// Deliveries that a full lane turned into dirty entries.
    pub deliveries_dirtied: u64,
}

/// One core: its connections and the partitions at home on it.
#[derive(Debug)]
pub struct Core {
    me: CoreId,
    edge: Edge,
    home: Home,
    lanes: Lanes,
    outputs: VecDeque<Output>,
}

impl Core {
    /// A core without connections. `partitions` are those that `SlotMap` gives a home here, as recovered from the log.
    pub fn new(
        config: CoreConfig,
        exchange: Arc<Exchange>,
        partitions: Vec<PartitionSeed>,
        now: Now,
    ) -> Core {
        assert!(
            config.core.0 < config.cores,
            "INV-CORE-1: a core is one of its node's cores"
        );
        assert!(
            config.membership.contains(config.node),
            "INV-CORE-4: a node is one of its cluster's"
        );
        assert_eq!(
            config.cores,
            config.map.cores(),
            "INV-CORE-2: the map spreads over this node's cores"
        );
        let lanes = Lanes::new(config.core, config.cores);
        let newest = partitions.iter().map(PartitionSeed::time).max();
        if let Some(time) = newest {
            exchange.identities().recovered(time, now.wall, config.seed);
        }
        let edge = Edge::new(&config, Arc::clone(&exchange), now);
        let me = config.core;
        let home = Home::new(config, exchange, partitions, now);
        let mut core = Core {
            me,
            edge,
            home,
            lanes,
            outputs: VecDeque::new(),
        };
        core.collect();
        core
    }

    /// A socket was accepted; `claim` was drawn then, by [`Exchange::claim`].
    pub fn connected(&mut self, conn: ConnId, claim: Claim, now: Now) {
        self.edge.set_now(now);
        self.edge.connected(conn, claim);
    }

    /// A whole frame arrived.
    pub fn frame(&mut self, conn: ConnId, frame: RawFrame<'_>, now: Now) -> Flow {
        self.edge.set_now(now);
        self.edge.frame(conn, frame)
    }

    /// The bytes of the connection are no frames: it ends with GOAWAY.
    pub fn broken(&mut self, conn: ConnId, why: BrokenStream, now: Now) {
        self.edge.set_now(now);
        self.edge.broken(conn, why);
    }

    /// The largest lawful `len` of the connection's next frame.
    pub fn len_max(&self, conn: ConnId) -> u32 {
        self.edge.len_max(conn)
    }

    /// Bytes were read and parsed; `partial`: a started frame is not whole yet. After the frames of this read.
    pub fn received(&mut self, conn: ConnId, bytes: usize, partial: bool, now: Now) {
        self.edge.set_now(now);
        self.edge.received(conn, bytes, partial);
    }

    /// The socket is gone.
    pub fn disconnected(&mut self, conn: ConnId) {
        self.edge.disconnected(conn);
    }

    /// What is to be sent. `None` if there is no such connection.
    pub fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.edge.outbox(conn)
    }

    /// The outbox was advanced: readers that are behind are refilled. Like every input this may put out something and may leave work for the next
    /// [`Core::turn`]; then [`Core::next_deadline`] is 0, so a driver that flushes after the turn does not sleep over it.
    pub fn sent(&mut self, conn: ConnId, now: Now) {
        self.edge.set_now(now);
        self.edge.sent(conn);
    }

    /// A message came out of the lane from core `from`.
    pub fn lane(&mut self, from: CoreId, message: Message, now: Now) {
        self.handle(from, message, now);
    }

    /// The lane to core `to` was full. Nothing more is handed out for it until [`Core::lane_open`].
    pub fn lane_refused(&mut self, to: CoreId, message: Message) {
        self.lanes.refused(to, message);
    }

    /// A lane that refused has room again.
    pub fn lane_open(&mut self, to: CoreId, _now: Now) {
        self.lanes.opened(to);
    }

    /// The log thread has synced readies of groups at home here.
    pub fn persisted(&mut self, persisted: &[Persisted], sync_end: LogPosition, now: Now) {
        self.home.persisted(persisted, sync_end, now);
    }

    /// A replica of a group at home here, on node `from`, says something. Messages of one peering come in its order.
    pub fn peer(&mut self, from: NodeId, group: GroupId, message: peer::Message) {
        self.home.peer(from, group, message);
    }

    /// What was sent to `node` may be lost: its peering broke, or took no more.
    pub fn peer_lost(&mut self, node: NodeId) {
        self.home.peer_lost(node);
    }

    /// A reader thread has answered.
    pub fn read_done(&mut self, answer: ReadAnswer, now: Now) {
        match answer.purpose {
            ReadPurpose::Home(_) => self.home.read_done(answer, now),
            ReadPurpose::Slice(_) | ReadPurpose::Page(_) => {
                self.edge.set_now(now);
                self.edge.read_done(answer);
            }
        }
    }

    /// A reader thread has read entries for a replica that lags, or could not.
    pub fn entries_read(&mut self, answer: EntryAnswer) {
        self.home.entries_read(answer);
    }

    /// Once per loop turn, after all inputs. `true`: there is more to do, do not sleep.
    ///
    /// Order: collected publishes into channels; channels into entries, entries applied; what both halves say to each other; fan-out; flushes.
    pub fn turn(&mut self, now: Now) -> bool {
        self.edge.set_now(now);
        self.edge.hold(self.lanes.look_overfull());
        self.edge.begin_turn();
        self.collect();
        let budget = self.deliver_local(LOCAL_MESSAGES_PER_TURN, now);
        let home_has_more = self.home.turn(now);
        self.collect();
        let _ = self.deliver_local(budget, now);
        let edge_has_more = self.edge.end_turn();
        self.collect();
        home_has_more || edge_has_more || self.lanes.has_local()
    }

    /// When [`Core::tick`] wants to be called next, on the monotonic clock. 0: there is work for another [`Core::turn`] now.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.lanes.has_local() {
            return Some(0);
        }
        match (self.edge.next_deadline(), self.home.next_deadline()) {
            (Some(edge), Some(home)) => Some(edge.min(home)),
            (edge, home) => edge.or(home),
        }
    }

    /// Time has passed. Call it when [`Core::next_deadline`] is due, before [`Core::turn`].
    pub fn tick(&mut self, now: Now) {
        self.edge.set_now(now);
        self.edge.tick();
        self.home.tick(now);
    }

    /// The next thing to do. Drain it to `None` after [`Core::turn`], and again if something was called since.
    pub fn poll(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.collect();
        }
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        let (to, message) = self.lanes.poll()?;
        Some(Output::Lane { to, message })
    }

    /// Ends all connections: publishes under way are answered, then each gets GOAWAY. New ones get it at once. Cursors that were accepted and are not
    /// written yet are written now.
    pub fn drain(&mut self, now: Now) {
        self.edge.set_now(now);
        self.edge.drain();
        self.home.drain(now);
    }

    /// The next turn is the last one: ends all connections, whatever they wait for.
    pub fn end(&mut self, now: Now) {
        self.edge.set_now(now);
        self.edge.end();
    }

    /// Whether all connections have gone since [`Core::drain`] and home has nothing under way.
    pub fn is_drained(&self) -> bool {
        self.edge.is_drained() && self.home.is_idle() && !self.lanes.has_work()
    }

    /// How the replicas at home here stand; those that are impaired or quarantined are left out.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaStatus> {
        self.home.replicas()
    }

    /// Counters and sizes now.
    pub fn stats(&self) -> CoreStats {
        CoreStats {
            edge: self.edge.stats(),
            home: self.home.stats(),
            lane_waiting: self.lanes.waiting() as u64,
            deliveries_dirtied: self.lanes.dirtied(),
        }
    }

    fn handle(&mut self, from: CoreId, message: Message, now: Now) {
        match message {
            Message::ToHome(message) => self.home.handle(from, message, now),
            Message::ToEdge(message) => {
                self.edge.set_now(now);
                self.edge.handle(message);
            }
            Message::Replace(replace) => {
                self.edge.set_now(now);
                self.edge.replace(from, &replace);
            }
        }
    }

    /// Messages of this core to itself, at most `budget`; gives back what is left of it.
    fn deliver_local(&mut self, budget: usize, now: Now) -> usize {
        for left in (0..budget).rev() {
            let Some(message) = self.lanes.next_local() else {
                return left + 1;
            };
            self.handle(self.me, message, now);
            self.collect();
        }
        0
    }

    /// Moves what both halves put out to its place.
    fn collect(&mut self) {
        while let Some(output) = self.edge.poll() {
            self.put(output);
        }
        while let Some(output) = self.home.poll() {
            self.put(output);
        }
    }

    fn put(&mut self, output: Output) {
        match output {
            Output::Lane { to, message } => self.lanes.send(to, message),
            output => self.outputs.push_back(output),
        }
    }
}
