//! Frames out of a few bytes: an engine finds them soon, and spends its time on what follows.

use antiphon_protocol::{
    Ack, Code, Count, Cursor, CursorPosition, CursorScope, Device, Features, Fetch, FetchRange,
    HeadersBuilder, Hello, Link, MetadataRequest, Ping, Pong, Producer, ProducerSeq, Publish,
    ReadLevel, RecordKind, RequestId, RoomId, RoomRef, Seq, Signal, Start, Subscribe, Timestamp,
    Unsubscribe, Wants,
};

use super::broker::{START_MS, Wire};
use crate::script::Script;

const ROOMS: [&str; 4] = ["tea", "coffee", "milk", "mate"];
const USERS: [&str; 3] = ["ann", "bob", "Ännchen"];
const BODY_BYTES: [usize; 8] = [0, 1, 5, 100, 1_000, 3_000, 4_096, 4_097];

/// What the clients of a transcript remember together.
#[derive(Debug, Default)]
pub(super) struct Memory {
    requests: u64,
    /// Last producer_seq by producer and room's number.
    numbers: std::collections::BTreeMap<(u64, usize), u64>,
    /// Producers that were told to somebody.
    producers: Vec<Producer>,
}

impl Memory {
    /// Mostly a new id, at times one that was used before, or 0.
    fn request(&mut self, choice: u8) -> RequestId {
        match choice >> 5 {
            7 => RequestId(0),
            6 => RequestId(self.requests),
            _ => {
                self.requests += 1;
                RequestId(self.requests)
            }
        }
    }
}

/// Says the next phrase of the script.
pub(super) fn phrase(script: &mut Script<'_>, wire: &mut Wire, memory: &mut Memory) {
    if let Some(producer) = wire
        .peer
        .producer
        .filter(|new| !memory.producers.contains(new))
    {
        memory.producers.push(producer);
    }
    let kind = script.byte();
    let id = memory.request(kind);
    match kind & 7 {
        0 => hello(script, wire, memory, id),
        1..=3 => publish(script, wire, memory, id),
        4 => subscribe(script, wire, id),
        5 => unsubscribe(script, wire, id),
        6 => fetch(script, wire, id),
        _ => aside(script, wire, id),
    }
}

fn room<'a>(choice: u8, wire: &Wire) -> RoomRef<'a> {
    let number = usize::from(choice & 3);
    match choice >> 4 & 3 {
        1 if !wire.peer.rooms.is_empty() => {
            RoomRef::Id(wire.peer.rooms[number % wire.peer.rooms.len()])
        }
        2 => RoomRef::Id(RoomId(1 + u64::from(choice))),
        _ => RoomRef::Name(ROOMS[number]),
    }
}

/// A time near the start of the world.
fn time(choice: u8) -> Timestamp {
    let ms = u64::from(choice >> 2 & 15);
    Timestamp(START_MS + ms * ms * 100)
}

fn hello(script: &mut Script<'_>, wire: &mut Wire, memory: &Memory, id: RequestId) {
    let (who, how) = (script.byte(), script.byte());
    let known = memory.producers.get(usize::from(who >> 4));
    let hello = Hello {
        version_max: 1 + (how >> 6),
        producer: match how & 3 {
            0 | 1 => None,
            2 => known.copied(),
            _ => Some(Producer(u64::from(who) << 22 | 1)),
        },
        device: Some(Device(u32::from(how >> 2 & 1))).filter(|device| device.0 != 0),
        frame_bytes_max: [0, 8_192, 9_000, u32::MAX][usize::from(how >> 4 & 3)],
        keepalive_ms: u32::from(how & 8) * 1_000,
        features: if who & 8 == 0 {
            Features::ALL
        } else {
            Features::NONE
        },
        ..Hello::new(USERS[usize::from(who & 15) % USERS.len()])
    };
    hello.encode(id, &mut wire.up);
}

fn publish(script: &mut Script<'_>, wire: &mut Wire, memory: &mut Memory, id: RequestId) {
    let (room_choice, number, how) = (script.byte(), script.byte(), script.byte());
    let own = wire.peer.producer.unwrap_or(Producer(1));
    let producer = match how >> 6 {
        3 => memory.producers.first().copied().unwrap_or(own),
        _ => own,
    };
    let last = memory
        .numbers
        .entry((producer.0, usize::from(room_choice & 3)))
        .or_default();
    let producer_seq = match number {
        0..=127 => *last + 1,
        128..=191 => (*last).saturating_sub(u64::from(number & 7)),
        _ => u64::from(number & 63) + 1,
    };
    *last = (*last).max(producer_seq).min(*last + 1);
    let kind = match (how & 16 == 0, number >> 5) {
        (true, _) => RecordKind::MESSAGE,
        (false, 0) => RecordKind::EDIT,
        (false, 1 | 2) => RecordKind::REDACT,
        (false, 3) => RecordKind::REACTION,
        (false, _) => RecordKind::from_wire(64),
    };
    let headers = if kind.refers() {
        let built = HeadersBuilder::new().reference(Seq(u64::from(number & 15)));
        built.expect("lawful headers").finish()
    } else if how & 8 == 0 {
        Vec::new()
    } else {
        let built = HeadersBuilder::new()
            .origin_time(Timestamp(u64::from(number)))
            .and_then(|built| built.property("mood", b"glad"));
        built.expect("lawful headers").finish()
    };
    let body = vec![number; BODY_BYTES[usize::from(how & 7)]];
    let publish = Publish {
        room: room(room_choice, wire),
        producer,
        producer_seq: ProducerSeq(producer_seq),
        expect_seq: match room_choice >> 6 {
            3 => Seq(u64::from(number & 7)),
            _ => Seq(0),
        },
        kind,
        codec: 0,
        ack: if how & 32 == 0 {
            Ack::Committed
        } else {
            Ack::None
        },
        headers: &headers,
        body: &body,
    };
    publish.encode(id, &mut wire.up);
}

fn subscribe(script: &mut Script<'_>, wire: &mut Wire, id: RequestId) {
    let (choice, how) = (script.byte(), script.byte());
    let mut room = room(choice, wire);
    let start = match how & 3 {
        0 => Start::Live,
        1 if how >> 2 == 47 => Start::Cursor("read"),
        1 if how >> 2 >= 48 => Start::Time(time(how)),
        1 => Start::Last(u64::from(how >> 2)),
        2 => match wire.peer.heard {
            Some((heard, seq, link)) => {
                room = RoomRef::Id(heard);
                Start::After { seq, link }
            }
            None => Start::After {
                seq: Seq(0),
                link: Link(0),
            },
        },
        _ => Start::After {
            seq: Seq(u64::from(how >> 3)),
            link: Link(u64::from(how >> 2 & 1)),
        },
    };
    let wants = Wants {
        signals: choice & 64 != 0,
        cursors: choice & 128 != 0,
    };
    Subscribe { room, start, wants }.encode(id, &mut wire.up);
}

fn unsubscribe(script: &mut Script<'_>, wire: &mut Wire, id: RequestId) {
    let room = room(script.byte(), wire);
    let code = Code::NONE;
    Unsubscribe { room, code }.encode(id, &mut wire.up);
}

fn fetch(script: &mut Script<'_>, wire: &mut Wire, id: RequestId) {
    let (choice, how, limit) = (script.byte(), script.byte(), script.byte());
    let position = Seq(u64::from(how >> 2));
    let range = match how & 3 {
        0 => FetchRange::Latest,
        1 => match how >> 6 {
            0 => FetchRange::Latest,
            1 => FetchRange::Around(Seq(u64::from(how >> 2 & 15))),
            _ => FetchRange::Time(time(how)),
        },
        2 => FetchRange::Before(position),
        _ => FetchRange::After(position),
    };
    let fetch = Fetch {
        room: room(choice, wire),
        range,
        limit: u32::from(limit),
        read: ReadLevel::Any,
        token: 0,
    };
    fetch.encode(id, &mut wire.up);
}

/// What is asked of a connection or a room, and leaves no record.
fn aside(script: &mut Script<'_>, wire: &mut Wire, id: RequestId) {
    let (choice, how) = (script.byte(), script.byte());
    let nonce = u64::from(how);
    let room = room(choice, wire);
    match choice >> 2 & 3 {
        0 if how & 1 == 0 => Ping { nonce }.encode(id, &mut wire.up),
        0 => {
            let digest = None;
            Pong { nonce, digest }.encode(id, &mut wire.up);
        }
        1 => {
            let version = nonce & 3;
            MetadataRequest { version }.encode(id, &mut wire.up);
        }
        2 => {
            let (seq, fewer) = (nonce & 15, nonce >> 4 & 3);
            let cursor = Cursor {
                room,
                name: ["read", "heard"][usize::from(how >> 7)],
                position: CursorPosition {
                    seq: Seq(seq),
                    count: Count(seq.saturating_sub(fewer)),
                },
                scope: CursorScope::from_wire(how >> 6 & 1),
                is_sync: choice & 64 != 0,
            };
            cursor.encode(id, &mut wire.up);
        }
        _ => {
            let signal = Signal {
                room,
                name: "typing",
                key: [b"".as_slice(), b"a", b"b", b"c"][usize::from(how & 3)],
                value: &[how; 1_024][..usize::from(how >> 2) * 16],
            };
            signal.encode(id, &mut wire.up);
        }
    }
}
