//! A broker of one core without sockets and threads: what a core thread and a log thread do, in one loop, on real files.

use antiphon_core::channel::Exchange;
use antiphon_core::limits::Limits;
use antiphon_core::{
    CheckpointJob, ConnId, Core, CoreConfig, CoreId, HashState, Membership, Now, Output,
    Recovering, SlotMap,
};
use antiphon_disk::{DataDirectory, FileDisk, NewDirectory};
use antiphon_log::{Log, LogSettings};
use antiphon_protocol::{
    Features, Hello, NodeId, Producer, RequestId, RoomRef, ServerFrame, Start, Subscribe,
    Timestamp, Wants, limits, next_frame,
};
use std::collections::VecDeque;
use std::sync::Arc;
use tempfile::TempDir;

use crate::limits::TURNS_MAX;

const NODE: NodeId = NodeId(1);
const PARTITIONS: u16 = 4;
const SEED: u64 = 7;
/// Enough for all rounds: no segment is changed while something is counted.
const SEGMENT_BYTES: u32 = 64 * 1024 * 1024;

/// A whole broker, driven call by call.
#[derive(Debug)]
pub struct Broker {
    core: Core,
    exchange: Arc<Exchange>,
    log: Log<FileDisk>,
    now: Now,
    flushes: VecDeque<ConnId>,
    /// What a socket would have been sent in the last flush.
    flat: Vec<u8>,
    /// Bytes that went to all clients.
    sent: u64,
    /// Sends that it would have taken.
    sends: u64,
    connections: u32,
    _directory: DataDirectory,
    _place: TempDir,
}

/// A client's end.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Its connection.
    pub conn: ConnId,
    /// With which it publishes.
    pub producer: Producer,
}

impl Broker {
    /// A broker with an empty log in a directory of its own.
    ///
    /// # Panics
    /// If the directory cannot be made.
    #[must_use]
    pub fn start() -> Broker {
        let place = tempfile::tempdir().expect("a directory for a moment");
        let new = NewDirectory {
            node: NODE,
            partitions: u32::from(PARTITIONS),
        };
        let directory = DataDirectory::open(place.path(), new).expect("an empty directory opens");
        let mut settings = LogSettings::new(directory.file().directory_id);
        settings.partitions = u32::from(PARTITIONS);
        settings.segment_bytes = SEGMENT_BYTES;
        let mut recovering = Recovering::new(PARTITIONS, SEED);
        let (log, _) =
            Log::open(directory.disk(), settings, &mut recovering).expect("an empty log opens");
        let exchange = Exchange::new(1);
        let now = Now {
            mono_ms: 1_000_000,
            wall: Timestamp(1_800_000_000_000),
        };
        let seeds = recovering.into_seeds();
        let core = Core::new(config(), Arc::clone(&exchange), seeds, now);
        let mut broker = Broker {
            core,
            exchange,
            log,
            now,
            flushes: VecDeque::new(),
            flat: Vec::with_capacity(1024 * 1024),
            sent: 0,
            sends: 0,
            connections: 0,
            _directory: directory,
            _place: place,
        };
        broker.settle();
        broker
    }

    /// A client that has said hello.
    ///
    /// # Panics
    /// If it is not welcomed.
    pub fn connect(&mut self, user: &str) -> Client {
        let conn = ConnId {
            slot: self.connections,
            generation: 1,
        };
        self.connections += 1;
        self.core.connected(conn, self.exchange.claim(), self.now);
        let mut hello = Vec::new();
        let says = Hello {
            features: Features::SIGNALS,
            ..Hello::new(user)
        };
        says.encode(RequestId(1), &mut hello);
        self.feed(conn, &hello);
        self.settle();
        let frame = next_frame(&self.flat, limits::FRAME_BYTES_MAX)
            .expect("a broker sends frames")
            .expect("a whole one");
        let Ok(ServerFrame::Welcome(welcome)) = ServerFrame::decode(frame) else {
            panic!("{user} is not welcome");
        };
        Client {
            conn,
            producer: welcome.producer,
        }
    }

    /// Has `client` hear what comes in `room`.
    pub fn subscribe(&mut self, client: Client, room: &str, wants: Wants) {
        let mut out = Vec::new();
        let subscribe = Subscribe {
            wants,
            ..Subscribe::new(RoomRef::Name(room), Start::Live)
        };
        subscribe.encode(RequestId(2), &mut out);
        self.feed(client.conn, &out);
        self.settle();
    }

    /// Bytes that one read of the client's socket gave.
    ///
    /// # Panics
    /// If they are not whole frames.
    pub fn feed(&mut self, conn: ConnId, mut bytes: &[u8]) {
        let count = bytes.len();
        while !bytes.is_empty() {
            let frame = next_frame(bytes, self.core.len_max(conn))
                .expect("lawful")
                .expect("whole");
            let _ = self.core.frame(conn, frame, self.now);
            bytes = &bytes[frame.whole.len()..];
        }
        self.core.received(conn, count, false, self.now);
    }

    /// Time passes.
    pub fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall.0 += ms;
    }

    /// Turns until nothing is left to do: all is durable, applied, answered, delivered and sent.
    ///
    /// # Panics
    /// If that does not come about.
    pub fn settle(&mut self) {
        self.pass(1);
        if self
            .core
            .next_deadline()
            .is_some_and(|at| at <= self.now.mono_ms)
        {
            self.core.tick(self.now);
        }
        for _ in 0..TURNS_MAX {
            let has_more = self.turn();
            let has_persisted = self.persist();
            if !has_more && !has_persisted && self.core.next_deadline() != Some(0) {
                return;
            }
        }
        panic!("the broker does not come to rest: {:?}", self.core.stats());
    }

    /// Bytes sent and sends so far.
    #[must_use]
    pub fn sent(&self) -> (u64, u64) {
        (self.sent, self.sends)
    }

    /// Whether nobody was refused anything, or left behind, so far.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let (edge, home) = (self.core.stats().edge, self.core.stats().home);
        edge.errors == 0
            && home.refusals == 0
            && edge.turned_behind == 0
            && edge.deliveries_dropped == 0
            && edge.signals_dropped == 0
    }

    /// What the last flush sent.
    #[must_use]
    pub fn last_sent(&self) -> &[u8] {
        &self.flat
    }

    fn turn(&mut self) -> bool {
        let has_more = self.core.turn(self.now);
        self.take_outputs();
        while let Some(conn) = self.flushes.pop_front() {
            self.flush(conn);
        }
        has_more
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Append(append) => self.log.submit(append),
                Output::Flush(conn) => self.flushes.push_back(conn),
                Output::Checkpoint(job) => self.checkpoint(&job),
                // Paused connections hand in nothing else here; events are for people.
                Output::Resume(_) | Output::Event(_) | Output::Wake(_) => {}
                Output::Close(conn) => panic!("{conn:?} is closed"),
                Output::Read(job) => panic!("nothing is read from files here: {job:?}"),
                Output::Lane { .. } | Output::Peer { .. } | Output::ReadEntries(_) => {
                    panic!("there is one core, one node")
                }
            }
        }
    }

    /// As a socket takes it: flat, all at once.
    fn flush(&mut self, conn: ConnId) {
        let Some(outbox) = self.core.outbox(conn) else {
            return;
        };
        self.flat.clear();
        for chunk in outbox.chunks() {
            self.flat.extend_from_slice(chunk);
        }
        if self.flat.is_empty() {
            return;
        }
        outbox.advance(self.flat.len());
        self.sent += self.flat.len() as u64;
        self.sends += 1;
        self.core.sent(conn, self.now);
    }

    fn checkpoint(&mut self, job: &CheckpointJob) {
        self.log
            .write_checkpoint(job.group, job.index, job.term, &job.bytes)
            .expect("the disk works");
    }

    fn persist(&mut self) -> bool {
        if !self.log.has_queued() {
            return false;
        }
        let flushed = self.log.flush().expect("the disk works");
        let sync_end = self.log.sync_end();
        self.core.persisted(&flushed.persisted, sync_end, self.now);
        true
    }
}

/// Nothing in it is drawn at random: the same calls cost the same every time.
fn config() -> CoreConfig {
    CoreConfig {
        node: NODE,
        membership: Membership::alone(NODE),
        core: CoreId(0),
        cores: 1,
        partitions: PARTITIONS,
        seed: SEED,
        limits: Limits::default(),
        map: SlotMap::even(PARTITIONS, 1),
        hash: HashState::fixed(),
    }
}
