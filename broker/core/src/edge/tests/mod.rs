//! Transcripts: frames in, frames and outputs out, one rule at a time.

mod cursors;
mod digests;
mod fanout;
mod handshake;
mod history;
mod hostile;
mod liveness;
mod metadata;
mod pipelined;
mod publish;
mod replacing;
mod scarce;
mod signals;
mod subscribe;

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::boxed::Box;
use std::string::{String, ToString};

use antiphon_protocol::{
    Code, Count, Device, GoawayClass, Hello, Link, Namespace, NodeId, Producer, ProducerSeq,
    Publish, RecordFields, RecordKind, RequestId, RoomId, RoomName, RoomRef, Seq, ServerFrame,
    Subscribe, Timestamp, append_record, next_frame,
};
use bytes::Bytes;

use super::Edge;
use crate::channel::{Exchange, PublishBatch, RoomChannel};
use crate::core::{ConnId, CoreConfig, CoreId, Flow, HashState, Now, Output};
use crate::lane::{ChannelOpened, Grant, Head, Message, RoomKey, Subscribed, ToEdge, ToHome};
use crate::limits::Limits;
use crate::map::SlotMap;
use crate::membership::Membership;

pub(super) const WALL: u64 = 1_800_000_000_000;

/// Configuration of core `core` of `cores`.
pub(super) fn config(core: u16, cores: u16) -> CoreConfig {
    CoreConfig {
        node: NodeId(7),
        membership: Membership::alone(NodeId(7)),
        core: CoreId(core),
        cores,
        partitions: 16,
        seed: 1 + u64::from(core),
        limits: Limits::default(),
        map: SlotMap::even(16, cores),
        hash: HashState::fixed(),
    }
}

/// One edge on core 0 of 2, driven by hand.
pub(super) struct Bench {
    pub(super) edge: Edge,
    pub(super) exchange: Arc<Exchange>,
    pub(super) now: Now,
    pub(super) outputs: Vec<Output>,
    producer: Producer,
}

pub(super) fn conn(slot: u32) -> ConnId {
    ConnId {
        slot,
        generation: 1,
    }
}

pub(super) fn name(text: &str) -> RoomName {
    RoomName::try_from(text).unwrap()
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut CoreConfig)) -> Bench {
        let mut config = config(0, 2);
        change(&mut config);
        let exchange = Exchange::new(2);
        let now = Now {
            mono_ms: 1_000_000,
            wall: Timestamp(WALL),
        };
        let edge = Edge::new(&config, Arc::clone(&exchange), now);
        Bench {
            edge,
            exchange,
            now,
            outputs: Vec::new(),
            producer: Producer(0),
        }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall.0 += ms;
        self.edge.set_now(self.now);
    }

    /// Lets time pass as a driver would: tick at each deadline.
    pub(super) fn sleep(&mut self, ms: u64) {
        let end = self.now.mono_ms + ms;
        while let Some(at) = self.edge.next_deadline().filter(|&at| at <= end) {
            self.pass(at.saturating_sub(self.now.mono_ms));
            self.edge.tick();
            self.turn();
        }
        self.pass(end - self.now.mono_ms);
    }

    pub(super) fn connect(&mut self, slot: u32) -> ConnId {
        self.edge.connected(conn(slot), self.exchange.claim());
        conn(slot)
    }

    /// Connects and says HELLO.
    pub(super) fn open(&mut self, slot: u32, user: &str) -> ConnId {
        let conn = self.connect(slot);
        self.hello(conn, &Hello::new(user));
        let _ = self.take(conn);
        conn
    }

    pub(super) fn hello(&mut self, conn: ConnId, hello: &Hello<'_>) {
        let mut out = Vec::new();
        hello.encode(RequestId(1), &mut out);
        let _ = self.feed(conn, &out);
    }

    /// Feeds whole frames as one read; the last one's flow.
    pub(super) fn feed(&mut self, conn: ConnId, mut bytes: &[u8]) -> Flow {
        let mut flow = Flow::Continue;
        let count = bytes.len();
        while !bytes.is_empty() {
            match next_frame(bytes, self.edge.len_max(conn)) {
                Ok(Some(frame)) => {
                    flow = self.edge.frame(conn, frame);
                    bytes = &bytes[frame.whole.len()..];
                }
                Ok(None) => break,
                Err(broken) => {
                    self.edge.broken(conn, broken);
                    break;
                }
            }
        }
        self.edge.received(conn, count, !bytes.is_empty());
        flow
    }

    pub(super) fn turn(&mut self) -> bool {
        self.edge.begin_turn();
        let more = self.edge.end_turn();
        while let Some(output) = self.edge.poll() {
            self.outputs.push(output);
        }
        more
    }

    /// Ends the turn; takes and sends all that is queued for the connection.
    pub(super) fn take(&mut self, conn: ConnId) -> Vec<u8> {
        self.turn();
        let Some(outbox) = self.edge.outbox(conn) else {
            return Vec::new();
        };
        let bytes: Vec<u8> = outbox.chunks().flatten().copied().collect();
        outbox.advance(bytes.len());
        if !bytes.is_empty() {
            self.edge.sent(conn);
        }
        bytes
    }

    /// As [`Bench::take`], described one frame a line.
    pub(super) fn said(&mut self, conn: ConnId) -> Vec<String> {
        describe(&self.take(conn))
    }

    pub(super) fn handle(&mut self, message: ToEdge) {
        self.edge.handle(message);
    }

    /// Ends the turn and takes the messages for homes.
    pub(super) fn asked(&mut self) -> Vec<ToHome> {
        self.turn();
        let mut asked = Vec::new();
        self.outputs.retain(|output| match output {
            Output::Lane {
                message: Message::ToHome(message),
                ..
            } => {
                asked.push(message.clone());
                false
            }
            _ => true,
        });
        asked
    }

    /// Takes the oldest Tail that was asked for and not taken yet.
    pub(super) fn pending_tail(&mut self) -> Option<crate::lane::Tail> {
        self.turn();
        let is_tail = |output: &Output| {
            matches!(
                output,
                Output::Lane {
                    message: Message::ToHome(ToHome::Tail(_)),
                    ..
                }
            )
        };
        let at = self.outputs.iter().position(is_tail)?;
        match self.outputs.remove(at) {
            Output::Lane {
                message: Message::ToHome(ToHome::Tail(tail)),
                ..
            } => Some(tail),
            _ => None,
        }
    }

    pub(super) fn closes(&self) -> Vec<ConnId> {
        self.outputs
            .iter()
            .filter_map(|output| {
                if let Output::Close(conn) = output {
                    Some(*conn)
                } else {
                    None
                }
            })
            .collect()
    }

    pub(super) fn resumes(&self) -> Vec<ConnId> {
        self.outputs
            .iter()
            .filter_map(|output| {
                if let Output::Resume(conn) = output {
                    Some(*conn)
                } else {
                    None
                }
            })
            .collect()
    }

    /// Opens the channel of `room`, at home on core 1, as if home had answered.
    pub(super) fn open_channel(&mut self, room: &str) -> Arc<RoomChannel> {
        let channel = RoomChannel::new(Namespace(0), name(room), CoreId(1));
        let opened = ChannelOpened {
            namespace: Namespace(0),
            room: RoomKey::Name(name(room)),
            channel: Arc::clone(&channel),
        };
        self.handle(ToEdge::ChannelOpened(opened));
        channel
    }

    /// Subscribes and has home answer: records exist up to `head`, the first one to come is `next`, live if that is behind the head.
    pub(super) fn subscribe(
        &mut self,
        conn: ConnId,
        id: u64,
        room: RoomId,
        head: u64,
        next: u64,
    ) -> crate::lane::Ticket {
        let _ = self.feed(
            conn,
            &subscribe_frame(id, RoomRef::Name("r"), antiphon_protocol::Start::Live),
        );
        let asked = self.asked();
        let ticket = asked
            .iter()
            .find_map(|message| match message {
                ToHome::Subscribe(subscribe) if subscribe.conn == conn => Some(subscribe.ticket),
                _ => None,
            })
            .unwrap();
        self.handle(subscribed(conn, ticket, id, 0, Some(room), head, next));
        ticket
    }

    pub(super) fn session_producer(&self, conn: ConnId) -> Producer {
        self.edge
            .conns
            .open(conn)
            .map_or(self.producer, |open| open.producer)
    }

    pub(super) fn publish_frame(
        &self,
        conn: ConnId,
        id: u64,
        room: RoomRef<'_>,
        producer_seq: u64,
        body: &[u8],
    ) -> Vec<u8> {
        let publish = Publish {
            room,
            producer: self.session_producer(conn),
            producer_seq: ProducerSeq(producer_seq),
            kind: RecordKind::MESSAGE,
            codec: 0,
            ack: antiphon_protocol::Ack::Committed,
            expect_seq: antiphon_protocol::Seq(0),
            headers: &[],
            body,
        };
        let mut out = Vec::new();
        publish.encode(RequestId(id), &mut out);
        out
    }
}

/// An answer to a subscribe to room "r"; grants ascend with `grant`, 0: the ticket's number.
pub(super) fn subscribed(
    conn: ConnId,
    ticket: crate::lane::Ticket,
    id: u64,
    grant: u64,
    room: Option<RoomId>,
    head: u64,
    next: u64,
) -> ToEdge {
    ToEdge::Subscribed(Box::new(Subscribed {
        wants: antiphon_protocol::Wants::RECORDS,
        cursors: Vec::new(),
        conn,
        ticket,
        request: RequestId(id),
        grant: Grant(if grant == 0 { ticket.0 } else { grant }),
        namespace: Namespace(0),
        name: name("r"),
        room,
        head: Head {
            seq: Seq(head),
            count: Count(head),
            link: Link(9),
            time: Timestamp(WALL),
        },
        first_kept: Seq(head.min(1)),
        next: Seq(next),
        link: Link(8),
        producer_seq: ProducerSeq(0),
        live: room.is_some() && next == head + 1,
    }))
}

pub(super) fn subscribe_frame(
    id: u64,
    room: RoomRef<'_>,
    start: antiphon_protocol::Start,
) -> Vec<u8> {
    let mut out = Vec::new();
    Subscribe::new(room, start).encode(RequestId(id), &mut out);
    out
}

pub(super) fn unsubscribe_frame(id: u64, room: RoomRef<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    antiphon_protocol::Unsubscribe {
        room,
        code: Code::NONE,
    }
    .encode(RequestId(id), &mut out);
    out
}

/// A run of records `first..next` of a room with bodies of `bytes`; links are not those of the room's history.
pub(super) fn run(room: RoomId, first: u64, next: u64, bytes: usize) -> Bytes {
    let mut out = Vec::new();
    for seq in first..next {
        let body = std::vec![b'x'; bytes];
        let fields = RecordFields {
            room_id: room,
            seq: Seq(seq),
            count: Count(seq),
            time: Timestamp(WALL),
            producer: Producer(5),
            producer_seq: ProducerSeq(seq),
            back: 0,
            device: Device(1),
            kind: RecordKind::MESSAGE,
            codec: 0,
            record_flags: 0,
            sender: b"ann",
            headers: &[],
            body: &body,
        };
        let _ = append_record(&mut out, &fields, Link(0));
    }
    Bytes::from(out)
}

/// Takes all batches out of a channel.
pub(super) fn drained(channel: &RoomChannel) -> Vec<PublishBatch> {
    core::iter::from_fn(|| channel.take()).collect()
}

/// One line a frame.
pub(super) fn describe(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(frame) = next_frame(bytes, u32::MAX).unwrap() {
        bytes = &bytes[frame.whole.len()..];
        lines.push(describe_frame(
            frame.header.id.0,
            &ServerFrame::decode(frame).unwrap(),
        ));
    }
    assert!(bytes.is_empty(), "a frame is cut");
    lines
}

fn describe_frame(id: u64, frame: &ServerFrame<'_>) -> String {
    use std::format;
    match frame {
        ServerFrame::Welcome(welcome) => format!("WELCOME {id} {}", welcome.user),
        ServerFrame::Ping(_) => "PING".to_string(),
        ServerFrame::Pong(pong) => format!("PONG {id} nonce {}", pong.nonce),
        ServerFrame::Goaway(goaway) => {
            let class = match goaway.class {
                GoawayClass::Retry => "retry",
                GoawayClass::Move => "move",
                GoawayClass::Terminal => "terminal",
            };
            format!("GOAWAY {} {class}", goaway.code)
        }
        ServerFrame::Ok(_) => format!("OK {id}"),
        ServerFrame::Error(error) => format!("ERROR {id} {} hint {}", error.code, error.hint),
        ServerFrame::Puback(puback) => {
            let entries: Vec<String> = puback
                .entries()
                .map(|entry| format!("{}@{}", entry.request.0, entry.seq.0))
                .collect();
            format!("PUBACK {}", entries.join(" "))
        }
        ServerFrame::Subscribed(subscribed) => {
            format!(
                "SUBSCRIBED {id} room {} head {} next {}",
                subscribed.room_id.0, subscribed.head_seq.0, subscribed.next_seq.0
            )
        }
        ServerFrame::Unsubscribe(unsubscribe) => match unsubscribe.room {
            RoomRef::Id(room) => format!("UNSUBSCRIBE {id} room {} {}", room.0, unsubscribe.code),
            RoomRef::Name(name) => format!("UNSUBSCRIBE {id} name {name} {}", unsubscribe.code),
        },
        ServerFrame::Record(record) => {
            format!("RECORD room {} seq {}", record.room_id().0, record.seq().0)
        }
        ServerFrame::Gap(gap) => format!(
            "GAP room {} {}..={} {}",
            gap.room_id.0, gap.from.0, gap.to.0, gap.reason
        ),
        ServerFrame::Page(page) => format!(
            "PAGE {id} count {} last {} head {}",
            page.count, page.last, page.head.head_seq.0
        ),
        _ => "?".to_string(),
    }
}
