//! What the positive vectors are of: one small world, in which ann talks in the room `lobby`.

use super::beside;
use antiphon_protocol::{
    Ack, Code, Count, CursorEntries, Device, ErrorFrame, Features, Fetch, FetchRange, Gap,
    GapReason, Goaway, GoawayClass, HeadersBuilder, Hello, Link, Namespace, NodeId, Ok_, Page,
    PageHead, Ping, Pong, PongDigest, Producer, ProducerSeq, PubackBuilder, PubackEntry, Publish,
    ReadLevel, Record, RecordFields, RecordKind, RequestId, RoomId, RoomName, RoomRef, Seq, Slot,
    Start, Subscribe, Subscribed, Timestamp, Unsubscribe, Welcome, append_erased, append_record,
    records,
};

/// One frame with a name.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) frame: Vec<u8>,
}

/// When everything here happens: 2026-01-02T03:04:05.678Z.
pub(crate) const TIME: Timestamp = Timestamp(1_767_323_045_678);
/// Ann's device.
pub(crate) const DEVICE: Device = Device(0xD001);
const NO_PUSH: RequestId = RequestId::PUSH;

/// Ann's producer.
pub(crate) fn producer() -> Producer {
    Producer::new(TIME, 0x2A_BCDE)
}

/// The room `lobby` of namespace 0.
pub(crate) fn room() -> RoomId {
    let name = RoomName::try_from("lobby").unwrap();
    RoomId::new(Slot::of(Namespace(0), &name), 1).unwrap()
}

pub(crate) fn case(name: &'static str, write: impl FnOnce(&mut Vec<u8>)) -> Case {
    let mut frame = Vec::new();
    write(&mut frame);
    Case { name, frame }
}

/// Headers with every served tag, an unknown even one among them.
pub(crate) fn headers() -> Vec<u8> {
    let builder = HeadersBuilder::new()
        .origin_time(Timestamp(TIME.0 - 78))
        .unwrap();
    let builder = builder.reference(Seq(1)).unwrap().key(b"topic").unwrap();
    let builder = builder
        .content_type("text/plain")
        .unwrap()
        .put(12, b"?")
        .unwrap();
    let builder = builder.property("mood", b"glad").unwrap();
    builder.property("lang", b"").unwrap().finish()
}

/// The fields of record `seq` of the lobby: a greeting, one with headers, one of an application, an empty one.
fn record_fields<'a>(seq: u64, headers: &'a [u8]) -> RecordFields<'a> {
    let (kind, codec, body, back): (RecordKind, u8, &[u8], u32) = match seq {
        1 => (RecordKind::MESSAGE, 0, b"Hello!", 0),
        2 => (RecordKind::MESSAGE, 0, "Grüße, 世界".as_bytes(), 1),
        3 => (RecordKind::from_wire(64), 7, &[0, 255, 1], 1),
        _ => (RecordKind::MESSAGE, 0, b"", 1),
    };
    RecordFields {
        room_id: room(),
        seq: Seq(seq),
        count: Count(if seq < 3 { seq } else { seq - 1 }),
        time: Timestamp(TIME.0 + seq),
        producer: producer(),
        producer_seq: ProducerSeq(seq),
        back,
        device: DEVICE,
        kind,
        codec,
        record_flags: 0,
        sender: b"ann",
        headers: if seq == 2 { headers } else { b"" },
        body,
    }
}

/// The first `count` records of the lobby, each a frame, in order.
pub(crate) fn history(count: u64) -> Vec<Vec<u8>> {
    let headers = headers();
    let mut link = Link::start(room());
    (1..=count)
        .map(|seq| {
            let mut frame = Vec::new();
            link = append_record(&mut frame, &record_fields(seq, &headers), link);
            frame
        })
        .collect()
}

pub(crate) fn link_of(seq: usize) -> Link {
    let frame = &history(seq as u64)[seq - 1];
    records(frame).next().unwrap().unwrap().link()
}

/// Record 1 of the lobby as redaction leaves it: no headers, no body, the link of before.
fn erased() -> Vec<u8> {
    let mut frame = Vec::new();
    append_erased(&mut frame, &Record::parse(&history(1)[0]).unwrap());
    frame
}

/// Frames that a client may send.
pub(crate) fn client() -> Vec<Case> {
    let mut cases = session_requests();
    cases.extend(publishes());
    cases.extend(room_requests());
    cases.extend(beside::client());
    cases
}

fn session_requests() -> Vec<Case> {
    let resumed = Hello {
        version_max: 3,
        features: Features(0x8000_0000_0000_0001),
        producer: Some(producer()),
        namespace: Namespace(7),
        device: Some(DEVICE),
        keepalive_ms: 20_000,
        frame_bytes_max: 1_048_576,
        client: Some("golden/1.0"),
        ..Hello::new("Ännchen")
    };
    vec![
        case("hello", |out| Hello::new("ann").encode(RequestId(1), out)),
        case("hello-resumed", |out| resumed.encode(RequestId(2), out)),
        case("ping", |out| {
            Ping {
                nonce: 0x0123_4567_89AB_CDEF,
            }
            .encode(RequestId(9), out)
        }),
        case("ping-without-id", |out| {
            Ping { nonce: 0 }.encode(NO_PUSH, out)
        }),
        case("pong-from-client", |out| {
            Pong {
                nonce: 7,
                digest: None,
            }
            .encode(NO_PUSH, out)
        }),
    ]
}

fn publishes() -> Vec<Case> {
    let headers = headers();
    let publish = Publish {
        room: RoomRef::Name("lobby"),
        producer: producer(),
        producer_seq: ProducerSeq(1),
        kind: RecordKind::MESSAGE,
        codec: 0,
        ack: Ack::Committed,
        expect_seq: antiphon_protocol::Seq(0),
        headers: b"",
        body: b"Hello!",
    };
    let numbered = Publish {
        room: RoomRef::Id(room()),
        producer_seq: ProducerSeq(2),
        headers: &headers,
        body: "Grüße, 世界".as_bytes(),
        ..publish
    };
    let application = Publish {
        producer_seq: ProducerSeq(3),
        kind: RecordKind::from_wire(64),
        codec: 7,
        ack: Ack::None,
        expect_seq: antiphon_protocol::Seq(0),
        headers: b"",
        body: &[0, 255, 1],
        ..numbered
    };
    let empty = Publish {
        producer_seq: ProducerSeq(4),
        headers: b"",
        body: b"",
        ..numbered
    };
    vec![
        case("publish", |out| publish.encode(RequestId(3), out)),
        case("publish-headers", |out| numbered.encode(RequestId(4), out)),
        case("publish-application", |out| {
            application.encode(RequestId(5), out)
        }),
        case("publish-empty", |out| {
            empty.encode(RequestId(u64::MAX), out)
        }),
    ]
}

fn room_requests() -> Vec<Case> {
    let named = RoomRef::Name("lobby");
    let numbered = RoomRef::Id(room());
    let longest = "ü".repeat(127) + "x";
    let after = Start::After {
        seq: Seq(2),
        link: link_of(2),
    };
    let beginning = Start::After {
        seq: Seq(0),
        link: Link(0),
    };
    let fetch = Fetch {
        room: named,
        range: FetchRange::Latest,
        limit: 50,
        read: ReadLevel::Any,
        token: 0,
    };
    let before = Fetch {
        room: numbered,
        range: FetchRange::Before(Seq(3)),
        limit: 2,
        ..fetch
    };
    let fresh = Fetch {
        range: FetchRange::After(Seq(1)),
        limit: 10_000,
        read: ReadLevel::AtLeast,
        token: 77,
        ..before
    };
    let subscribe = |room, start, id: u64| {
        move |out: &mut Vec<u8>| Subscribe::new(room, start).encode(RequestId(id), out)
    };
    let unsubscribe = |room| {
        move |out: &mut Vec<u8>| {
            Unsubscribe {
                room,
                code: Code::NONE,
            }
            .encode(RequestId(10), out)
        }
    };
    vec![
        case("subscribe-live", subscribe(named, Start::Live, 5)),
        case("subscribe-after", subscribe(numbered, after, 6)),
        case("subscribe-beginning", subscribe(named, beginning, 7)),
        case(
            "subscribe-last",
            subscribe(RoomRef::Name(&longest), Start::Last(20), 8),
        ),
        case("unsubscribe", unsubscribe(numbered)),
        case("unsubscribe-named", unsubscribe(named)),
        case("fetch-latest", |out| fetch.encode(RequestId(11), out)),
        case("fetch-before", |out| before.encode(RequestId(12), out)),
        case("fetch-after-token", |out| fresh.encode(RequestId(13), out)),
    ]
}

/// Frames that a server may send, but for records.
pub(crate) fn server() -> Vec<Case> {
    let mut cases = session_answers();
    cases.extend(pubacks());
    cases.extend(subscription_answers());
    cases.extend(pages());
    cases.extend(beside::server());
    cases
}

fn session_answers() -> Vec<Case> {
    let welcome = Welcome {
        features: Features::NONE,
        producer: producer(),
        server_time: TIME,
        node: NodeId(1),
        device: DEVICE,
        keepalive_ms: 5_000,
        frame_bytes_max: 1_048_576,
        body_bytes_max: 262_144,
        headers_bytes_max: 4_096,
        in_flight_max: 1_024,
        subscriptions_max: 16_384,
        requests_max: 64,
        fetch_records_max: 10_000,
        version: 1,
        room_bytes_max: 255,
        user: "ann",
    };
    let digest = PongDigest {
        digest: 0xFEDC_BA98_7654_3210,
        rooms: 3,
        behind: 1,
        as_of_ms: 12,
    };
    let restart = Goaway {
        retry_after_ms: 1_250,
        endpoints: Some("a.example:7000,b.example:7000"),
        ..Goaway::new(Code::SHUTTING_DOWN, GoawayClass::Move, "restarting")
    };
    let replaced = Goaway::new(Code::REPLACED, GoawayClass::Terminal, "");
    let disorder = ErrorFrame {
        hint: 41,
        ..ErrorFrame::new(Code::OUT_OF_ORDER)
    };
    let limited = ErrorFrame {
        retry_after_ms: 250,
        text: "slow down",
        ..ErrorFrame::new(Code::LIMIT)
    };
    vec![
        case("welcome", |out| welcome.encode(RequestId(1), out)),
        case("ping-from-server", |out| {
            Ping { nonce: 8 }.encode(NO_PUSH, out)
        }),
        case("pong", |out| {
            Pong {
                nonce: 0x0123_4567_89AB_CDEF,
                digest: None,
            }
            .encode(RequestId(9), out);
        }),
        case("pong-digest", |out| {
            Pong {
                nonce: 1,
                digest: Some(digest),
            }
            .encode(RequestId(9), out)
        }),
        case("goaway-move", |out| restart.encode(NO_PUSH, out)),
        case("goaway-replaced", |out| replaced.encode(NO_PUSH, out)),
        case("ok", |out| Ok_::DONE.encode(RequestId(10), out)),
        case("error-out-of-order", |out| {
            disorder.encode(RequestId(4), out)
        }),
        case("error-limit", |out| limited.encode(RequestId(5), out)),
    ]
}

fn pubacks() -> Vec<Case> {
    let entry = |seq: usize, duplicate| PubackEntry {
        request: RequestId(2 + seq as u64),
        room_id: room(),
        producer_seq: ProducerSeq(seq as u64),
        seq: Seq(seq as u64),
        link: link_of(seq),
        time: Timestamp(TIME.0 + seq as u64),
        duplicate,
    };
    let forgotten = PubackEntry {
        seq: Seq(0),
        link: Link(0),
        time: Timestamp(0),
        ..entry(2, true)
    };
    let frame = |entries: Vec<PubackEntry>| {
        move |out: &mut Vec<u8>| {
            let mut builder = PubackBuilder::default();
            entries.iter().for_each(|entry| builder.push(entry, out));
            builder.finish(out);
        }
    };
    vec![
        case("puback", frame(vec![entry(1, false)])),
        case(
            "puback-batch",
            frame(vec![entry(1, true), forgotten, entry(3, false)]),
        ),
    ]
}

fn subscription_answers() -> Vec<Case> {
    let subscribed = Subscribed {
        room_id: room(),
        head_seq: Seq(4),
        head_count: Count(3),
        head_link: link_of(4),
        head_time: Timestamp(TIME.0 + 4),
        first_seq: Seq(1),
        next_seq: Seq(3),
        link: link_of(2),
        producer_seq: ProducerSeq(4),
        role: 0,
        cursors: CursorEntries::NONE,
    };
    let gap = Gap {
        room_id: room(),
        from: Seq(1),
        to: Seq(2),
        link: link_of(2),
        reason: GapReason::RETENTION,
    };
    let room = RoomRef::Id(room());
    let ended = Unsubscribe {
        room,
        code: Code::FORBIDDEN,
    };
    let never = Unsubscribe {
        room: RoomRef::Name("lobby"),
        code: Code::INTERNAL,
    };
    vec![
        case("subscribed", |out| subscribed.encode(RequestId(6), out)),
        case("subscribed-no-room", |out| {
            Subscribed::NO_ROOM.encode(RequestId(5), out)
        }),
        case("unsubscribe-from-server", |out| ended.encode(NO_PUSH, out)),
        case("unsubscribe-named-from-server", |out| {
            never.encode(NO_PUSH, out)
        }),
        case("gap", |out| gap.encode(NO_PUSH, out)),
    ]
}

fn pages() -> Vec<Case> {
    let head = PageHead {
        room_id: room(),
        link: Link::start(room()),
        head_seq: Seq(4),
        token: 0,
        first_seq: Seq(1),
    };
    let history = history(4);
    vec![
        case("page-first", |out| {
            let draft = Page::begin(out, RequestId(11), &head);
            history[..2]
                .iter()
                .for_each(|frame| out.extend_from_slice(frame));
            draft.finish(out, 2, false);
        }),
        case("page-last-with-gap", |out| {
            let head = PageHead {
                link: link_of(2),
                ..head
            };
            let draft = Page::begin(out, RequestId(11), &head);
            let (room_id, link) = (room(), link_of(3));
            let reason = GapReason::DAMAGED;
            Gap {
                room_id,
                from: Seq(3),
                to: Seq(3),
                link,
                reason,
            }
            .encode(NO_PUSH, out);
            out.extend_from_slice(&history[3]);
            draft.finish(out, 2, true);
        }),
        case("page-empty", |out| {
            let head = PageHead {
                link: Link(0),
                ..head
            };
            Page::begin(out, RequestId(12), &head).finish(out, 0, true);
        }),
    ]
}

/// The lobby's records: each follows the one before it, and the last is record 1 again after its redaction.
pub(crate) fn lobby() -> Vec<Case> {
    let names = [
        "record",
        "record-headers",
        "record-application",
        "record-empty",
    ];
    let mut cases: Vec<Case> = names
        .into_iter()
        .zip(history(4))
        .map(|(name, frame)| Case { name, frame })
        .collect();
    cases.push(Case {
        name: "record-erased",
        frame: erased(),
    });
    cases
}
