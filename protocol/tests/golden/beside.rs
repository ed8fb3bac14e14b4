//! Positive vectors of what rides beside records: cursors, signals, metadata, and of requests that came later than version 1.

use antiphon_protocol::{
    Ack, Count, Cursor, CursorAnswer, CursorEntries, CursorEntry, CursorMoved, CursorPosition,
    CursorScope, Features, Fetch, FetchRange, HeadersBuilder, Hello, Metadata, MetadataNode,
    MetadataRequest, NodeId, Ok_, Pong, PongDigest, ProducerSeq, Publish, ReadLevel, RecordKind,
    RequestId, RoomRef, Seq, Signal, SignalContent, SignalPush, Start, Subscribe, Subscribed,
    Timestamp, Wants, position_digest,
};

use super::cases::{Case, DEVICE, TIME, case, producer, room};

const fn at(seq: u64, count: u64) -> CursorPosition {
    CursorPosition {
        seq: Seq(seq),
        count: Count(count),
    }
}

/// Frames that a client may send.
pub(crate) fn client() -> Vec<Case> {
    let mut cases = requests();
    cases.extend(references());
    cases.extend(starts());
    cases
}

fn requests() -> Vec<Case> {
    let read = Cursor {
        room: RoomRef::Name("lobby"),
        name: "read",
        position: at(3, 2),
        scope: CursorScope::PRIVATE,
        is_sync: true,
    };
    let asked = Cursor {
        room: RoomRef::Id(room()),
        name: "gelesen bis hier, auf allen Ger.",
        position: at(0, 0),
        scope: CursorScope::MEMBERS,
        is_sync: false,
    };
    let typing = Signal {
        room: RoomRef::Name("lobby"),
        name: "typing",
        key: b"ann/web",
        value: b"open",
    };
    let knock = Signal {
        room: RoomRef::Id(room()),
        name: "knock",
        key: b"",
        value: b"",
    };
    let named = Hello {
        features: Features::ALL,
        ..Hello::new("ann")
    };
    vec![
        case("cursor", |out| read.encode(RequestId(14), out)),
        case("cursor-asked", |out| asked.encode(RequestId(15), out)),
        case("signal-keyed", |out| typing.encode(RequestId(16), out)),
        case("signal-empty", |out| knock.encode(RequestId(17), out)),
        case("metadata", |out| {
            MetadataRequest { version: 0 }.encode(RequestId(15), out)
        }),
        case("metadata-known", |out| {
            MetadataRequest { version: 1 }.encode(RequestId(18), out)
        }),
        case("hello-features", |out| named.encode(RequestId(1), out)),
    ]
}

/// Records that refer to another, and one that must come first.
fn references() -> Vec<Case> {
    let headers = HeadersBuilder::new().reference(Seq(1)).unwrap().finish();
    let edit = Publish {
        room: RoomRef::Id(room()),
        producer: producer(),
        producer_seq: ProducerSeq(5),
        kind: RecordKind::EDIT,
        codec: 0,
        ack: Ack::Committed,
        expect_seq: Seq(0),
        headers: &headers,
        body: b"Hello, all!",
    };
    let other = |kind, body| Publish { kind, body, ..edit };
    let first = Publish {
        room: RoomRef::Name("new"),
        producer_seq: ProducerSeq(1),
        kind: RecordKind::MESSAGE,
        expect_seq: Seq(1),
        headers: b"",
        body: b"first",
        ..edit
    };
    vec![
        case("publish-edit", |out| edit.encode(RequestId(19), out)),
        case("publish-redact", |out| {
            other(RecordKind::REDACT, b"").encode(RequestId(20), out)
        }),
        case("publish-reaction", |out| {
            other(RecordKind::REACTION, "👍".as_bytes()).encode(RequestId(21), out)
        }),
        case("publish-pin", |out| {
            other(RecordKind::PIN, b"").encode(RequestId(22), out)
        }),
        case("publish-expect", |out| first.encode(RequestId(23), out)),
    ]
}

fn starts() -> Vec<Case> {
    let named = RoomRef::Name("lobby");
    let wants_all = Wants {
        signals: true,
        cursors: true,
    };
    let live = Subscribe {
        wants: wants_all,
        ..Subscribe::new(named, Start::Live)
    };
    let cursor = Subscribe {
        wants: Wants {
            signals: false,
            cursors: true,
        },
        ..Subscribe::new(RoomRef::Id(room()), Start::Cursor("read"))
    };
    let time = Subscribe::new(named, Start::Time(TIME));
    let fetch = Fetch {
        room: RoomRef::Id(room()),
        range: FetchRange::Around(Seq(3)),
        limit: 5,
        read: ReadLevel::Any,
        token: 0,
    };
    let by_time = Fetch {
        room: named,
        range: FetchRange::Time(Timestamp(TIME.0 + 2)),
        ..fetch
    };
    vec![
        case("subscribe-wants", |out| live.encode(RequestId(24), out)),
        case("subscribe-from-cursor", |out| {
            cursor.encode(RequestId(25), out)
        }),
        case("subscribe-from-time", |out| time.encode(RequestId(26), out)),
        case("fetch-around", |out| fetch.encode(RequestId(27), out)),
        case("fetch-by-time", |out| by_time.encode(RequestId(28), out)),
    ]
}

/// Frames that a server may send.
pub(crate) fn server() -> Vec<Case> {
    let mut cases = pushes();
    cases.extend(answers());
    cases
}

fn pushes() -> Vec<Case> {
    let moved = CursorMoved {
        room_id: room(),
        user: "ann",
        name: "read",
        position: at(4, 3),
        scope: CursorScope::MEMBERS,
    };
    let typing = SignalContent {
        sender: "ann",
        device: DEVICE,
        name: "typing",
        key: b"ann/web",
        value: b"open",
    };
    let signal = |dropped, signal| {
        move |out: &mut Vec<u8>| {
            SignalPush {
                room_id: room(),
                dropped,
                signal,
            }
            .encode(out)
        }
    };
    vec![
        case("cursor-moved", |out| moved.encode(out)),
        case("signal", signal(2, Some(typing))),
        case("signal-dropped", signal(u32::MAX, None)),
    ]
}

fn answers() -> Vec<Case> {
    let cursor = Some(CursorAnswer {
        position: at(3, 2),
        head: at(4, 3),
    });
    let nodes = [MetadataNode {
        node: NodeId(1),
        address: "",
    }];
    let two = [
        MetadataNode {
            node: NodeId(1),
            address: "a.example:7000",
        },
        MetadataNode {
            node: NodeId(9),
            address: "[::1]:7001",
        },
    ];
    let metadata = |nodes: &[MetadataNode<'_>], leaders: &[u32], version, id| {
        let leaders: Vec<NodeId> = leaders.iter().copied().map(NodeId).collect();
        let mut out = Vec::new();
        Metadata::encode(version, NodeId(1), nodes, &leaders, RequestId(id), &mut out);
        move |to: &mut Vec<u8>| to.extend_from_slice(&out)
    };
    let mut list = Vec::new();
    for (name, seq, scope) in [
        ("bot", 1, CursorScope::PRIVATE),
        ("read", 4, CursorScope::MEMBERS),
    ] {
        let position = at(seq, 1);
        CursorEntry {
            name,
            position,
            scope,
        }
        .append(&mut list);
    }
    let subscribed = Subscribed {
        room_id: room(),
        cursors: CursorEntries::new(&list).unwrap(),
        ..Subscribed::NO_ROOM
    };
    let rooms = [(room(), Seq(4)), (antiphon_protocol::RoomId(7), Seq(0))];
    let digest = rooms
        .into_iter()
        .fold(0, |sum, (room, seq)| sum ^ position_digest(room, seq));
    let pong = Pong {
        nonce: 2,
        digest: Some(PongDigest {
            digest,
            rooms: 2,
            behind: 0,
            as_of_ms: 0,
        }),
    };
    vec![
        case("ok-cursor", |out| Ok_ { cursor }.encode(RequestId(14), out)),
        case("subscribed-cursors", |out| {
            subscribed.encode(RequestId(25), out)
        }),
        case("pong-of-two-rooms", |out| pong.encode(RequestId(29), out)),
        case("metadata-one-node", metadata(&nodes, &[1, 1], 1, 15)),
        case("metadata-two-nodes", metadata(&two, &[9, 0, 1], 7, 15)),
        case("metadata-unchanged", metadata(&[], &[], 1, 18)),
    ]
}
