//! Any lawful frame, encoded: what the properties are tried on.

use antiphon_protocol::{
    Ack, Class, Code, Count, CursorEntries, Device, ErrorFrame, Features, Fetch, FetchRange, Gap,
    GapReason, Goaway, GoawayClass, HeadersBuilder, Hello, Link, Namespace, NodeId, Ok_, Page,
    PageHead, Ping, Pong, PongDigest, Producer, ProducerSeq, PubackBuilder, PubackEntry, Publish,
    ReadLevel, RecordFields, RecordKind, RequestId, RoomId, RoomRef, Seq, Start, Subscribe,
    Subscribed, Timestamp, Unsubscribe, Welcome, append_record,
};
use proptest::prelude::*;

/// What a room is referred to by, owned.
#[derive(Clone, Debug)]
pub(crate) enum Room {
    Id(u64),
    Name(String),
}

impl Room {
    fn as_ref(&self) -> RoomRef<'_> {
        match self {
            Room::Id(id) => RoomRef::Id(RoomId(*id)),
            Room::Name(name) => RoomRef::Name(name),
        }
    }
}

/// Text without control characters whose bytes number 1..=`bytes_max`.
fn name(bytes_max: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::char::any(), 1..=bytes_max).prop_filter_map(
        "at least one printable character",
        move |characters| {
            let mut name = String::new();
            for character in characters
                .into_iter()
                .filter(|character| !character.is_control())
            {
                if name.len() + character.len_utf8() <= bytes_max {
                    name.push(character);
                }
            }
            (!name.is_empty()).then_some(name)
        },
    )
}

fn room() -> impl Strategy<Value = Room> {
    prop_oneof![
        (1..=u64::MAX).prop_map(Room::Id),
        name(255).prop_map(Room::Name)
    ]
}

fn bytes(bytes_max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..=bytes_max)
}

fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex(".{0,60}").unwrap()
}

/// A lawful header list.
fn headers() -> impl Strategy<Value = Vec<u8>> {
    let key = proptest::collection::vec(any::<u8>(), 1..=64);
    let properties = proptest::collection::vec((name(20), bytes(20)), 0..4);
    let parts = (
        proptest::option::of(any::<u64>()),
        proptest::option::of(any::<u64>()),
        proptest::option::of(key),
        proptest::option::of(text()),
        proptest::option::of(bytes(9)),
        properties,
    );
    parts.prop_map(|(time, reference, key, content, unknown, properties)| {
        // The builder takes them in any order; falling is the hardest.
        let mut builder = HeadersBuilder::new();
        for (name, value) in &properties {
            builder = builder.property(name, value).unwrap();
        }
        if let Some(unknown) = unknown {
            builder = builder.put(1_000, &unknown).unwrap();
        }
        if let Some(content) = content {
            builder = builder.content_type(&content).unwrap();
        }
        if let Some(key) = key {
            builder = builder.key(&key).unwrap();
        }
        if let Some(reference) = reference {
            builder = builder.reference(Seq(reference)).unwrap();
        }
        if let Some(time) = time {
            builder = builder.origin_time(Timestamp(time)).unwrap();
        }
        builder.finish()
    })
}

/// A strategy of encoded frames.
pub(crate) type Frames = BoxedStrategy<Vec<u8>>;

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn request() -> impl Strategy<Value = RequestId> {
    (1..=u64::MAX).prop_map(RequestId)
}

/// Any frame that a client may send.
pub(crate) fn client_frame() -> Frames {
    prop_oneof![
        hello(),
        publish(),
        subscribe(),
        fetch(),
        (any::<u64>(), any::<u64>())
            .prop_map(|(nonce, id)| encoded(|out| Ping { nonce }.encode(RequestId(id), out))),
        any::<u64>().prop_map(|nonce| {
            encoded(|out| {
                Pong {
                    nonce,
                    digest: None,
                }
                .encode(RequestId::PUSH, out)
            })
        }),
        (room(), request()).prop_map(|(room, id)| {
            let unsubscribe = Unsubscribe {
                room: room.as_ref(),
                code: Code::NONE,
            };
            encoded(|out| unsubscribe.encode(id, out))
        }),
    ]
    .boxed()
}

fn hello() -> Frames {
    let numbers = (any::<u64>(), any::<u64>(), any::<[u32; 3]>());
    let rest = (
        1..=u8::MAX,
        prop_oneof![Just(0_u32), 8_192..=u32::MAX],
        name(64),
    );
    let client = proptest::option::of(name(64));
    (numbers, rest, client, request())
        .prop_map(
            |((features, producer, [namespace, device, keepalive_ms]), rest, client, id)| {
                let (version_max, frame_bytes_max, user) = rest;
                let hello = Hello {
                    version_max,
                    features: Features(features),
                    producer: (producer != 0).then_some(Producer(producer)),
                    namespace: Namespace(namespace),
                    device: (device != 0).then_some(Device(device)),
                    keepalive_ms,
                    frame_bytes_max,
                    client: client.as_deref(),
                    ..Hello::new(&user)
                };
                encoded(|out| hello.encode(id, out))
            },
        )
        .boxed()
}

fn record_kind() -> impl Strategy<Value = RecordKind> {
    prop_oneof![
        Just(RecordKind::MESSAGE),
        (64..=u8::MAX).prop_map(RecordKind::from_wire)
    ]
}

/// Any PUBLISH.
pub(crate) fn publish() -> Frames {
    let fields = (
        room(),
        1..=u64::MAX,
        1..=u64::MAX,
        record_kind(),
        any::<u8>(),
        any::<bool>(),
    );
    (fields, headers(), bytes(700), request())
        .prop_map(
            |((room, producer, producer_seq, kind, codec, is_acked), headers, body, id)| {
                let publish = Publish {
                    room: room.as_ref(),
                    producer: Producer(producer),
                    producer_seq: ProducerSeq(producer_seq),
                    kind,
                    codec,
                    ack: if is_acked { Ack::Committed } else { Ack::None },
                    expect_seq: antiphon_protocol::Seq(0),
                    headers: &headers,
                    body: &body,
                };
                encoded(|out| publish.encode(id, out))
            },
        )
        .boxed()
}

fn subscribe() -> Frames {
    let start = prop_oneof![
        Just(Start::Live),
        any::<(u64, u64)>().prop_map(|(seq, link)| Start::After {
            seq: Seq(seq),
            link: Link(link)
        }),
        any::<u64>().prop_map(Start::Last),
    ];
    (room(), start, request())
        .prop_map(|(room, start, id)| {
            encoded(|out| Subscribe::new(room.as_ref(), start).encode(id, out))
        })
        .boxed()
}

fn fetch() -> Frames {
    let range = prop_oneof![
        Just(FetchRange::Latest),
        any::<u64>().prop_map(|seq| FetchRange::Before(Seq(seq))),
        any::<u64>().prop_map(|seq| FetchRange::After(Seq(seq))),
    ];
    let read = prop_oneof![
        Just(ReadLevel::Any),
        Just(ReadLevel::AtLeast),
        Just(ReadLevel::Linearizable)
    ];
    (room(), range, 1..=u32::MAX, read, any::<u64>(), request())
        .prop_map(|(room, range, limit, read, token, id)| {
            let fetch = Fetch {
                room: room.as_ref(),
                range,
                limit,
                read,
                token,
            };
            encoded(|out| fetch.encode(id, out))
        })
        .boxed()
}

/// Any record.
pub(crate) fn record() -> Frames {
    (
        any::<[u64; 6]>(),
        any::<[u32; 2]>(),
        any::<[u8; 3]>(),
        name(64),
        headers(),
        bytes(700),
    )
        .prop_map(
            |(words, [back, device], [kind, codec, record_flags], sender, headers, body)| {
                let [seq, count, time, producer, producer_seq, before] = words;
                let fields = RecordFields {
                    room_id: RoomId(before | 1),
                    seq: Seq(seq),
                    count: Count(count),
                    time: Timestamp(time),
                    producer: Producer(producer),
                    producer_seq: ProducerSeq(producer_seq),
                    back,
                    device: Device(device),
                    kind: RecordKind::from_wire(kind),
                    codec,
                    record_flags,
                    sender: sender.as_bytes(),
                    headers: &headers,
                    body: &body,
                };
                encoded(|out| {
                    append_record(out, &fields, Link(before));
                })
            },
        )
        .boxed()
}

/// Any frame that a server may send.
pub(crate) fn server_frame() -> Frames {
    prop_oneof![
        welcome(),
        record(),
        gap(),
        page(),
        puback(),
        subscribed(),
        farewells(),
        any::<(u64, u64)>()
            .prop_map(|(nonce, id)| encoded(|out| Ping { nonce }.encode(RequestId(id), out))),
        pong(),
        request().prop_map(|id| encoded(|out| Ok_::DONE.encode(id, out))),
    ]
    .boxed()
}

fn pong() -> Frames {
    (any::<u64>(), proptest::option::of(any::<(u64, [u32; 3])>()))
        .prop_map(|(nonce, digest)| {
            let digest = digest.map(|(digest, [rooms, behind, as_of_ms])| PongDigest {
                digest,
                rooms,
                behind,
                as_of_ms,
            });
            encoded(|out| Pong { nonce, digest }.encode(RequestId(nonce), out))
        })
        .boxed()
}

fn welcome() -> Frames {
    (
        any::<[u64; 3]>(),
        any::<[u32; 10]>(),
        any::<[u8; 2]>(),
        name(64),
        request(),
    )
        .prop_map(
            |([features, producer, server_time], numbers, [version, room_bytes_max], user, id)| {
                let [
                    node,
                    device,
                    keepalive_ms,
                    frame_bytes_max,
                    body_bytes_max,
                    ..,
                ] = numbers;
                let [
                    ..,
                    headers_bytes_max,
                    in_flight_max,
                    subscriptions_max,
                    requests_max,
                    fetch,
                ] = numbers;
                let welcome = Welcome {
                    features: Features(features),
                    producer: Producer(producer),
                    server_time: Timestamp(server_time),
                    node: NodeId(node),
                    device: Device(device),
                    keepalive_ms,
                    frame_bytes_max,
                    body_bytes_max,
                    headers_bytes_max,
                    in_flight_max,
                    subscriptions_max,
                    requests_max,
                    fetch_records_max: fetch,
                    version,
                    room_bytes_max,
                    user: &user,
                };
                encoded(|out| welcome.encode(id, out))
            },
        )
        .boxed()
}

fn gap() -> Frames {
    (any::<[u64; 2]>(), 1..=u64::MAX, 0..=1_000_u64, any::<u8>())
        .prop_map(|([room_id, link], from, width, reason)| {
            let gap = Gap {
                room_id: RoomId(room_id),
                from: Seq(from),
                to: Seq(from.saturating_add(width)),
                link: Link(link),
                reason: GapReason::from_wire(reason),
            };
            encoded(|out| gap.encode(RequestId::PUSH, out))
        })
        .boxed()
}

fn page() -> Frames {
    let inner = proptest::collection::vec(prop_oneof![record(), gap()], 0..5);
    (any::<[u64; 5]>(), inner, any::<bool>(), request())
        .prop_map(
            |([room_id, link, head_seq, token, first_seq], inner, last, id)| {
                let head = PageHead {
                    room_id: RoomId(room_id),
                    link: Link(link),
                    head_seq: Seq(head_seq),
                    token,
                    first_seq: Seq(first_seq),
                };
                encoded(|out| {
                    let draft = Page::begin(out, id, &head);
                    inner.iter().for_each(|frame| out.extend_from_slice(frame));
                    draft.finish(out, inner.len() as u32, last);
                })
            },
        )
        .boxed()
}

fn puback() -> Frames {
    let entry = (any::<[u64; 6]>(), any::<bool>()).prop_map(|(words, duplicate)| {
        let [request, room_id, producer_seq, seq, link, time] = words;
        PubackEntry {
            request: RequestId(request),
            room_id: RoomId(room_id),
            producer_seq: ProducerSeq(producer_seq),
            seq: Seq(seq),
            link: Link(link),
            time: Timestamp(time),
            duplicate,
        }
    });
    proptest::collection::vec(entry, 1..20)
        .prop_map(|entries| {
            encoded(|out| {
                let mut builder = PubackBuilder::default();
                entries.iter().for_each(|entry| builder.push(entry, out));
                builder.finish(out);
            })
        })
        .boxed()
}

fn subscribed() -> Frames {
    (any::<[u64; 9]>(), any::<u8>(), request())
        .prop_map(|(words, role, id)| {
            let [room_id, head_seq, head_count, head_link, head_time, ..] = words;
            let [.., first_seq, next_seq, link, producer_seq] = words;
            let subscribed = Subscribed {
                room_id: RoomId(room_id),
                head_seq: Seq(head_seq),
                head_count: Count(head_count),
                head_link: Link(head_link),
                head_time: Timestamp(head_time),
                first_seq: Seq(first_seq),
                next_seq: Seq(next_seq),
                link: Link(link),
                producer_seq: ProducerSeq(producer_seq),
                role,
                cursors: CursorEntries::NONE,
            };
            encoded(|out| subscribed.encode(id, out))
        })
        .boxed()
}

/// GOAWAY, ERROR, UNSUBSCRIBE.
fn farewells() -> Frames {
    let fields = (any::<u16>(), 0..=7_u8, any::<u32>(), any::<u64>(), text());
    let endpoints = proptest::option::of(text());
    (fields, endpoints, room(), 0..3_u8)
        .prop_map(
            |((code, class, retry_after_ms, hint, text), endpoints, room, which)| {
                let code = Code::from_wire(code);
                let class = Class::from_wire(class).unwrap();
                let goaway_class = GoawayClass::from_wire(class.wire() % 3).unwrap();
                encoded(|out| match which {
                    0 => {
                        let endpoints = endpoints.as_deref();
                        Goaway {
                            code,
                            class: goaway_class,
                            retry_after_ms,
                            text: &text,
                            endpoints,
                        }
                        .encode(RequestId::PUSH, out);
                    }
                    1 => ErrorFrame {
                        code,
                        class,
                        retry_after_ms,
                        hint,
                        text: &text,
                    }
                    .encode(RequestId(hint), out),
                    _ => Unsubscribe {
                        room: room.as_ref(),
                        code,
                    }
                    .encode(RequestId::PUSH, out),
                })
            },
        )
        .boxed()
}
