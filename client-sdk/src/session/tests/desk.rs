//! A session at a desk: every frame that it sends is read aloud, every answer is written by hand.

use std::time::Duration;

use antiphon_protocol::{
    ClientFrame, Code, Count, Device, ErrorFrame, FetchRange, Goaway, Link, NodeId, Producer,
    ProducerSeq, PubackBuilder, PubackEntry, RecordFields, RecordKind, RequestId, RoomId, RoomRef,
    Seq, Start as WireStart, Subscribed, Timestamp, UserName, Welcome, append_record, next_frame,
};

use crate::options::ClientOptions;
use crate::session::tests::world::{outgoing, room};
use crate::session::{Command, Event, Input, Mono, Output, Session, Ticket};
use crate::subscription::Follow;

/// Server time of every greeting, in ms.
pub(crate) const SERVER_TIME: u64 = 1_700_000_000_000;

/// The room of every test.
pub(crate) const ROOM: RoomId = RoomId(0x0010_0000_0000_0001);

/// A session whose other end is the test.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) session: Session,
    pub(crate) now: Mono,
    events: Vec<Event>,
    pub(crate) connects: Vec<String>,
    pub(crate) disconnects: u32,
    /// What was sent behind HELLO, before the greeting, and not looked at yet.
    early: Vec<String>,
}

/// The greeting of every test, but for the producer.
pub(crate) fn welcome(producer: u64) -> Welcome<'static> {
    Welcome {
        features: antiphon_protocol::Features::NONE,
        producer: Producer(producer),
        server_time: Timestamp(SERVER_TIME),
        node: NodeId(1),
        device: Device(7),
        keepalive_ms: 1_000,
        frame_bytes_max: 1024 * 1024,
        body_bytes_max: 1_000,
        headers_bytes_max: 1_000,
        in_flight_max: 4,
        subscriptions_max: 10,
        requests_max: 2,
        fetch_records_max: 10,
        version: 1,
        room_bytes_max: 255,
        user: "ann",
    }
}

/// A producer that is this many days old at the greeting.
pub(crate) fn producer_of_age(days: u64) -> u64 {
    Producer::new(Timestamp(SERVER_TIME - days * 24 * 3_600 * 1_000), 1).0
}

pub(crate) fn options() -> ClientOptions {
    let backoff = Duration::from_millis(10);
    ClientOptions::new("a:1")
        .address("b:1")
        .user("ann")
        .subscription_bounds(4, 1 << 20)
        .backoff(backoff, backoff)
}

/// The records 1..=n of the room, with their links; body n is "n".
pub(crate) fn records(count: u64) -> Vec<(Vec<u8>, Link)> {
    let mut before = Link::start(ROOM);
    let mut records = Vec::new();
    for seq in 1..=count {
        let body = seq.to_string();
        let fields = RecordFields {
            room_id: ROOM,
            seq: Seq(seq),
            count: Count(seq),
            time: Timestamp(seq),
            producer: Producer(9),
            producer_seq: ProducerSeq(seq),
            back: 0,
            device: Device(7),
            kind: RecordKind::MESSAGE,
            codec: 0,
            record_flags: 0,
            sender: b"bob",
            headers: &[],
            body: body.as_bytes(),
        };
        let mut frame = Vec::new();
        before = append_record(&mut frame, &fields, before);
        records.push((frame, before));
    }
    records
}

impl Desk {
    pub(crate) fn new(options: &ClientOptions) -> Desk {
        let user = UserName::try_from("ann").expect("a lawful name");
        let session = Session::new(options, user, 3).expect("lawful options");
        let mut desk = Desk {
            session,
            now: Mono(0),
            events: Vec::new(),
            connects: Vec::new(),
            disconnects: 0,
            early: Vec::new(),
        };
        desk.input(Input::Tick);
        desk
    }

    /// Connected and greeted with this producer.
    pub(crate) fn open(options: &ClientOptions, producer: u64) -> Desk {
        let mut desk = Desk::new(options);
        desk.greet(producer);
        desk.events();
        desk
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.session.handle(input, self.now);
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connect(address) => self.connects.push(address),
                Output::Disconnect => self.disconnects += 1,
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// The connection is up; the HELLO is read aloud, and answered.
    pub(crate) fn greet(&mut self, producer: u64) -> String {
        self.input(Input::Connected);
        self.early = self.sent();
        let hello = self.early.remove(0);
        self.receive(|out| welcome(producer).encode(RequestId(2), out));
        hello
    }

    /// The connection is lost, and another one is up and greeted after the wait.
    pub(crate) fn reconnect(&mut self, producer: u64) -> String {
        self.input(Input::Disconnected);
        self.sent();
        self.pass(10);
        self.greet(producer)
    }

    /// Time goes by.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now.plus(millis);
        self.input(Input::Tick);
    }

    /// The broker sends what `encode` writes.
    pub(crate) fn receive(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        encode(&mut bytes);
        self.input(Input::Received(&bytes));
    }

    pub(crate) fn publish(&mut self, ticket: u64, body: &str) {
        self.publish_numbered(ticket, body, None);
    }

    pub(crate) fn publish_numbered(&mut self, ticket: u64, body: &str, number: Option<u64>) {
        let (room, outgoing) = (room("lobby"), outgoing(body, number));
        self.input(Input::Command(Command::Publish {
            ticket: Ticket(ticket),
            room,
            outgoing,
        }));
    }

    pub(crate) fn subscribe(&mut self, ticket: u64, start: impl Into<Follow>) {
        self.input(Input::Command(Command::Subscribe {
            ticket: Ticket(ticket),
            room: room("lobby"),
            follow: start.into(),
        }));
    }

    /// The publish of this ticket is durable.
    pub(crate) fn ack(&mut self, ticket: u64, number: u64, seq: u64) {
        let entry = PubackEntry {
            request: RequestId(ticket * 2 + 1),
            room_id: ROOM,
            producer_seq: ProducerSeq(number),
            seq: Seq(seq),
            link: Link(seq),
            time: Timestamp(seq),
            duplicate: false,
        };
        self.receive(|out| {
            let mut builder = PubackBuilder::default();
            builder.push(&entry, out);
            builder.finish(out);
        });
    }

    /// The publish of this ticket is refused.
    pub(crate) fn refuse(&mut self, ticket: u64, code: Code, hint: u64) {
        self.refuse_request(ticket * 2 + 1, code, hint);
    }

    pub(crate) fn refuse_request(&mut self, id: u64, code: Code, hint: u64) {
        self.receive(|out| {
            ErrorFrame {
                hint,
                ..ErrorFrame::new(code)
            }
            .encode(RequestId(id), out)
        });
    }

    pub(crate) fn goaway(&mut self, goaway: &Goaway<'_>) {
        self.receive(|out| goaway.encode(RequestId::PUSH, out));
    }

    /// The room has records up to `head`, the subscription goes on at `next`.
    pub(crate) fn subscribed(&mut self, id: u64, head: u64, next: u64) {
        let links = records(head.max(next));
        let link = |seq: u64| {
            if seq == 0 {
                Link::start(ROOM)
            } else {
                links[seq as usize - 1].1
            }
        };
        let subscribed = Subscribed {
            room_id: ROOM,
            head_seq: Seq(head),
            head_count: Count(head),
            head_link: link(head),
            head_time: Timestamp(head),
            first_seq: Seq(1),
            next_seq: Seq(next),
            link: link(next - 1),
            producer_seq: ProducerSeq(0),
            role: 0,
            cursors: antiphon_protocol::CursorEntries::NONE,
        };
        self.receive(|out| subscribed.encode(RequestId(id), out));
    }

    /// Record `seq` comes.
    pub(crate) fn record(&mut self, seq: u64) {
        self.receive(|out| out.extend_from_slice(&records(seq)[seq as usize - 1].0));
    }

    /// What happened for the application since the last call.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Deliveries since the last call, as seqs; other events are dropped.
    pub(crate) fn delivered(&mut self) -> Vec<u64> {
        let deliveries = self.events().into_iter().filter_map(|event| match event {
            Event::Delivered(_, delivery) => delivery.position().map(|position| position.seq.0),
            _ => None,
        });
        deliveries.collect()
    }

    /// The frames sent since the last call, read aloud.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.early);
        loop {
            let bytes = self.session.unsent().to_vec();
            if bytes.is_empty() {
                return lines;
            }
            self.session.advance(bytes.len(), self.now);
            let mut rest = &bytes[..];
            while let Some(raw) = next_frame(rest, u32::MAX).expect("a whole stream") {
                rest = &rest[raw.whole.len()..];
                lines.push(read_aloud(
                    raw.header.id.0,
                    &ClientFrame::decode(raw).expect("a lawful frame"),
                ));
            }
        }
    }
}

fn named(room: RoomRef<'_>) -> String {
    match room {
        RoomRef::Name(name) => name.to_owned(),
        RoomRef::Id(ROOM) => "ROOM".to_owned(),
        RoomRef::Id(id) => format!("{id}"),
    }
}

fn read_aloud(id: u64, frame: &ClientFrame<'_>) -> String {
    match frame {
        ClientFrame::Hello(hello) => {
            let device = hello.device.map_or(0, |device| device.0);
            format!(
                "HELLO {} producer {} device {device}",
                hello.user,
                hello.producer.unwrap_or_default()
            )
        }
        ClientFrame::Publish(publish) => {
            let body = String::from_utf8_lossy(publish.body);
            format!(
                "PUBLISH {} {}#{} {body}",
                named(publish.room),
                publish.producer,
                publish.producer_seq
            )
        }
        ClientFrame::Subscribe(subscribe) => {
            let start = match subscribe.start {
                WireStart::Live => "live".to_owned(),
                WireStart::Last(n) => format!("last {n}"),
                WireStart::Time(time) => format!("from time {}", time.0),
                WireStart::Cursor(name) => format!("from cursor {name}"),
                WireStart::After { seq, link } => {
                    format!("after {seq} {}", if link.0 == 0 { "?" } else { "checked" })
                }
            };
            let wants = match (subscribe.wants.signals, subscribe.wants.cursors) {
                (false, false) => "",
                (true, false) => " with signals",
                (false, true) => " with cursors",
                (true, true) => " with signals and cursors",
            };
            format!("{id} SUBSCRIBE {} {start}{wants}", named(subscribe.room))
        }
        ClientFrame::Unsubscribe(unsubscribe) => {
            format!("{id} UNSUBSCRIBE {}", named(unsubscribe.room))
        }
        ClientFrame::Fetch(fetch) => {
            let range = match fetch.range {
                FetchRange::Latest => "latest".to_owned(),
                FetchRange::Before(seq) => format!("before {seq}"),
                FetchRange::After(seq) => format!("after {seq}"),
                FetchRange::Around(seq) => format!("around {seq}"),
                FetchRange::Time(time) => format!("from time {}", time.0),
            };
            format!(
                "{id} FETCH {} {range} limit {}",
                named(fetch.room),
                fetch.limit
            )
        }
        ClientFrame::Signal(signal) => {
            let [name, key, value] = [signal.name.as_bytes(), signal.key, signal.value]
                .map(|part| String::from_utf8_lossy(part).into_owned());
            let is_marked = id >> 63 == 1;
            format!(
                "{is_marked} SIGNAL {} {name} {key}={value}",
                named(signal.room)
            )
        }
        ClientFrame::Cursor(cursor) => {
            let (position, sync) = (cursor.position, cursor.is_sync);
            let (room, seq, count) = (named(cursor.room), position.seq, position.count.0);
            format!(
                "{id} CURSOR {room} {} to {seq} {count} {} sync {sync}",
                cursor.name, cursor.scope
            )
        }
        ClientFrame::Metadata(_) => format!("{id} METADATA"),
        ClientFrame::Ping(_) => format!("{id} PING"),
        ClientFrame::Pong(pong) => format!("PONG {}", pong.nonce),
        other => format!("{other:?}"),
    }
}
