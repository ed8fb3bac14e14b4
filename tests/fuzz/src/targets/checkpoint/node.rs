//! A node of one core and one partition, whose log takes everything at once.

use std::collections::VecDeque;

use antiphon_core::channel::Exchange;
use antiphon_core::limits::{Budgets, Limits};
use antiphon_core::{
    CheckpointJob, ConnId, Core, CoreConfig, CoreId, Flow, HashState, Membership, Now, Output,
    Recovering, SlotMap,
};
use antiphon_log::{Append, Index, LogPosition, Persisted, SegmentId};
use antiphon_protocol::{
    Ack, Count, Cursor, CursorPosition, CursorScope, Features, HeadersBuilder, Hello, NodeId,
    Producer, ProducerSeq, Publish, RecordKind, RequestId, RoomRef, Seq, ServerFrame, Start,
    Subscribe, Timestamp, Wants, next_frame,
};

const CONN: ConnId = ConnId {
    slot: 0,
    generation: 1,
};
/// Turns after which everything must have been answered.
const TURNS_MAX: usize = 400;
const BODY_BYTES: usize = 4 * 1024;
/// More log than this many checkpoints makes the next one due.
const CHECKPOINTS: usize = 6;

pub(super) struct Node {
    core: Core,
    now: Now,
    /// Where the next block would stand.
    log_end: u32,
    appends: VecDeque<Append>,
    checkpoints: Vec<CheckpointJob>,
    received: Vec<u8>,
    producer: Producer,
    /// Of the record acked last.
    acked: Seq,
    /// Requests without an answer.
    open: usize,
    requests: u64,
}

impl Node {
    pub(super) fn start(recovering: Recovering, index: Index) -> Node {
        let now = Now {
            mono_ms: 5_000,
            wall: Timestamp(1_800_000_000_000),
        };
        let config = CoreConfig {
            node: NodeId(1),
            membership: Membership::alone(NodeId(1)),
            core: CoreId(0),
            cores: 1,
            partitions: 1,
            seed: index.0,
            limits: Limits {
                budgets: Budgets {
                    checkpoint_bytes_min: 1,
                    ..Budgets::default()
                },
                ..Limits::default()
            },
            map: SlotMap::even(1, 1),
            hash: HashState::fixed(),
        };
        let exchange = Exchange::new(1);
        let claim = exchange.claim();
        let mut core = Core::new(config, exchange, recovering.into_seeds(), now);
        core.connected(CONN, claim, now);
        Node {
            core,
            now,
            log_end: 8 * 1024,
            appends: VecDeque::new(),
            checkpoints: Vec::new(),
            received: Vec::new(),
            producer: Producer(0),
            acked: Seq(0),
            open: 0,
            requests: 0,
        }
    }

    /// Talks until a checkpoint is due: gives those that were made.
    pub(super) fn converse(mut self, checkpoint_bytes: usize) -> Vec<CheckpointJob> {
        let hello = Hello {
            features: Features::ALL,
            ..Hello::new("ann")
        };
        self.ask(|id, out| hello.encode(id, out));
        self.rest();
        for number in 1..=1 + checkpoint_bytes * CHECKPOINTS / BODY_BYTES {
            self.publish("tea", number as u64, (RecordKind::MESSAGE, &[]));
            self.rest();
        }
        self.publish("coffee", 1, (RecordKind::MESSAGE, &[]));
        self.rest();
        let headers = HeadersBuilder::new().reference(self.acked);
        let headers = headers.expect("lawful headers").finish();
        self.publish("coffee", 2, (RecordKind::REDACT, &headers));
        let room = RoomRef::Name("tea");
        let wants = Wants::RECORDS;
        let start = Start::Live;
        self.ask(|id, out| Subscribe { room, start, wants }.encode(id, out));
        let cursor = Cursor {
            room,
            name: "read",
            position: CursorPosition {
                seq: Seq(1),
                count: Count(1),
            },
            scope: CursorScope::MEMBERS,
            is_sync: true,
        };
        self.ask(|id, out| cursor.encode(id, out));
        self.rest();
        self.checkpoints
    }

    fn publish(&mut self, room: &str, number: u64, (kind, headers): (RecordKind, &[u8])) {
        let publish = Publish {
            room: RoomRef::Name(room),
            producer: self.producer,
            producer_seq: ProducerSeq(number),
            kind,
            codec: 0,
            ack: Ack::Committed,
            expect_seq: Seq(0),
            headers,
            body: &[7; BODY_BYTES],
        };
        self.ask(|id, out| publish.encode(id, out));
    }

    fn ask(&mut self, encode: impl FnOnce(RequestId, &mut Vec<u8>)) {
        self.requests += 2;
        self.open += 1;
        let mut bytes = Vec::new();
        encode(RequestId(self.requests), &mut bytes);
        let frame = next_frame(&bytes, u32::MAX).ok().flatten();
        let frame = frame.expect("a whole frame");
        let flow = self.core.frame(CONN, frame, self.now);
        assert_eq!(
            flow,
            Flow::Continue,
            "one client that waits is never too much"
        );
        self.core.received(CONN, bytes.len(), false, self.now);
    }

    /// Turns until every request has its answer.
    fn rest(&mut self) {
        for _ in 0..TURNS_MAX {
            self.core.turn(self.now);
            while let Some(output) = self.core.poll() {
                match output {
                    Output::Append(append) => self.appends.push_back(append),
                    Output::Checkpoint(job) => self.checkpoints.push(job),
                    Output::Close(_) => panic!("a client that keeps the rules is sent away"),
                    Output::Read(job) => panic!("nothing stands in the log: {job:?}"),
                    Output::Lane { .. } | Output::Peer { .. } | Output::ReadEntries(_) => {
                        panic!("nobody else is there")
                    }
                    Output::Flush(_) | Output::Resume(_) | Output::Wake(_) | Output::Event(_) => {}
                }
            }
            self.persist();
            self.receive();
            if self.open == 0 {
                return;
            }
            self.now.mono_ms += 1;
            if self
                .core
                .next_deadline()
                .is_some_and(|at| at <= self.now.mono_ms)
            {
                self.core.tick(self.now);
            }
        }
        panic!("{} requests are not answered", self.open);
    }

    fn persist(&mut self) {
        while let Some(append) = self.appends.pop_front() {
            let mut positions = Vec::new();
            for entry in &append.entries {
                positions.push((entry.index, LogPosition::new(SegmentId(1), self.log_end)));
                self.log_end += 64 + (entry.payload.len() as u32).next_multiple_of(8);
            }
            let persisted = Persisted {
                group: append.group,
                ready: append.ready,
                positions,
            };
            let sync_end = LogPosition::new(SegmentId(1), self.log_end);
            self.core.persisted(&[persisted], sync_end, self.now);
        }
    }

    fn receive(&mut self) {
        let outbox = self.core.outbox(CONN).expect("a connection has an outbox");
        let bytes: Vec<u8> = outbox.chunks().flatten().copied().collect();
        outbox.advance(bytes.len());
        self.received.extend_from_slice(&bytes);
        if !bytes.is_empty() {
            self.core.sent(CONN, self.now);
        }
        let received = std::mem::take(&mut self.received);
        let mut rest = received.as_slice();
        while let Some(raw) = next_frame(rest, u32::MAX).expect("the server says frames") {
            rest = &rest[raw.whole.len()..];
            match ServerFrame::decode(raw).expect("the server says frames that can be read") {
                ServerFrame::Puback(puback) => {
                    for entry in puback.entries() {
                        self.acked = entry.seq;
                        self.open -= 1;
                    }
                }
                ServerFrame::Welcome(welcome) => {
                    self.producer = welcome.producer;
                    self.open -= 1;
                }
                ServerFrame::Record(_) | ServerFrame::Cursor(_) | ServerFrame::Ping(_) => {}
                _ => self.open -= 1,
            }
        }
        self.received = rest.to_vec();
    }
}
