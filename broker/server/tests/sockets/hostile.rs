//! Hostile bytes over a real socket: a typed answer or GOAWAY, nobody else notices, memory stays bounded.

use antiphon_protocol::{Code, Kind, RequestId, ServerFrame};

use crate::child::BrokerProcess;
use crate::support::{Broker, Client, raise_descriptors};

/// A frame by hand: whatever `len` says, `body` follows.
fn frame(len: u32, kind: u8, reserved: u16, id: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = len.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[kind, 0]);
    bytes.extend_from_slice(&reserved.to_le_bytes());
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn whole(kind: u8, id: u64, body: &[u8]) -> Vec<u8> {
    frame(body.len() as u32, kind, 0, id, body)
}

/// A PUBLISH with this room name, whose fixed fields say what `patch` makes of them.
fn publish(room: &[u8], patch: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = vec![0; 48];
    body[30] = room.len() as u8;
    body[16] = 1;
    body.extend_from_slice(room);
    patch(&mut body);
    whole(Kind::Publish.wire(), 77, &body)
}

fn subscribe(start: u8) -> Vec<u8> {
    let mut body = vec![0; 32];
    body[28] = start;
    body[30] = 5;
    body.extend_from_slice(b"lobby");
    whole(Kind::Subscribe.wire(), 77, &body)
}

fn hello(patch: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = b"ANTP".to_vec();
    body.extend_from_slice(&[1, 1, 0, 3]);
    body.resize(40, 0);
    body.extend_from_slice(b"ann");
    patch(&mut body);
    whole(Kind::Hello.wire(), 1, &body)
}

/// What a stranger may send, and the code of the GOAWAY if the specification names one.
fn from_strangers() -> Vec<(&'static str, Vec<u8>, Option<Code>)> {
    vec![
        (
            "a length above 8,192",
            frame(8_193, 1, 0, 1, b""),
            Some(Code::TOO_LARGE),
        ),
        (
            "the largest length",
            frame(u32::MAX, 1, 0, 1, b""),
            Some(Code::TOO_LARGE),
        ),
        (
            "a reserved field",
            frame(40, 1, 1, 1, &[0; 40]),
            Some(Code::BAD_FRAME),
        ),
        (
            "an unknown kind",
            whole(200, 1, b""),
            Some(Code::UNKNOWN_KIND),
        ),
        (
            "another protocol",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            None,
        ),
        ("a PING first", whole(Kind::Ping.wire(), 1, &[0; 8]), None),
        ("a SUBSCRIBE first", subscribe(0), None),
        ("a wrong magic", hello(|body| body[0] = b'B'), None),
        (
            "a user that is no UTF-8",
            hello(|body| body[40] = 0xff),
            Some(Code::BAD_FRAME),
        ),
        (
            "a user with a control character",
            hello(|body| body[40] = 7),
            Some(Code::BAD_FRAME),
        ),
        (
            "a user longer than the frame",
            hello(|body| body[7] = 64),
            Some(Code::BAD_FRAME),
        ),
        (
            "a HELLO cut short",
            whole(1, 1, b"ANTP"),
            Some(Code::BAD_FRAME),
        ),
        (
            "a version from the future",
            hello(|body| (body[4], body[5]) = (9, 9)),
            Some(Code::VERSION),
        ),
        ("a token", hello(|body| body[6] = 1), None),
    ]
}

/// What a user may send in frames of lawful length, and the code and hint (0: any) of the ERROR.
fn from_users() -> Vec<(&'static str, Vec<u8>, Code, u64)> {
    vec![
        (
            "an unknown kind",
            whole(200, 77, b""),
            Code::UNKNOWN_KIND,
            200,
        ),
        (
            "a numbered kind",
            whole(Kind::Consume.wire(), 77, &[0; 64]),
            Code::NOT_SUPPORTED,
            21,
        ),
        (
            "a frame that only a server sends",
            whole(Kind::Welcome.wire(), 77, &[0; 72]),
            Code::BAD_STATE,
            0,
        ),
        (
            "a second HELLO",
            {
                let mut second = hello(|_| {});
                second[8] = 77;
                second
            },
            Code::BAD_STATE,
            0,
        ),
        (
            "a PUBLISH cut short",
            whole(Kind::Publish.wire(), 77, &[0; 47]),
            Code::BAD_FRAME,
            0,
        ),
        (
            "a room name that is no UTF-8",
            publish(b"\xff\xfe", |_| {}),
            Code::BAD_FRAME,
            0,
        ),
        (
            "a body longer than its frame",
            publish(b"lobby", |body| body[24] = 200),
            Code::BAD_FRAME,
            0,
        ),
        (
            "an empty room name",
            publish(b"", |_| {}),
            Code::BAD_FRAME,
            0,
        ),
        (
            "a SUBSCRIBE of no known start",
            subscribe(9),
            Code::BAD_FRAME,
            0,
        ),
        (
            "a SUBSCRIBE from a cursor without a name",
            subscribe(4),
            Code::BAD_FRAME,
            0,
        ),
        (
            "an empty SUBSCRIBE",
            whole(Kind::Subscribe.wire(), 77, b""),
            Code::BAD_FRAME,
            0,
        ),
    ]
}

#[test]
fn before_welcome_anything_unlawful_ends_the_connection_with_goaway() {
    let broker = Broker::start();
    let mut witness = broker.client("witness");
    for (what, bytes, code) in from_strangers() {
        let mut client = Client::connect(broker.address());
        client.send(&bytes);
        let frames = client.until_end();
        let last = frames
            .last()
            .unwrap_or_else(|| panic!("{what}: closed without a word"));
        let ServerFrame::Goaway(goaway) = last.decode() else {
            panic!("{what}: {last:?} is no GOAWAY")
        };
        assert!(
            code.is_none_or(|code| goaway.code == code),
            "{what}: {}",
            goaway.code
        );
        witness.round_trip();
    }
    drop(witness);
    broker.stop();
}

#[test]
fn after_welcome_a_lawful_length_never_ends_the_connection() {
    let broker = Broker::start();
    let mut witness = broker.client("witness");
    let mut client = broker.client("ann");
    for (what, bytes, code, hint) in from_users() {
        client.send(&bytes);
        let answers = client.round_trip();
        let [answer] = answers.as_slice() else {
            panic!("{what}: {answers:?}")
        };
        let ServerFrame::Error(error) = answer.decode() else {
            panic!("{what}: {answer:?} is no ERROR")
        };
        assert_eq!(
            (error.code, answer.raw().header.id),
            (code, RequestId(77)),
            "{what}"
        );
        assert!(
            hint == 0 || error.hint == hint,
            "{what}: hint {}",
            error.hint
        );
        witness.round_trip();
    }
    assert_eq!(client.publish_acked("lobby", 1, b"alive"), 1);
    drop((witness, client));
    broker.stop();
}

#[test]
fn after_welcome_a_broken_stream_ends_with_goaway_and_its_answers_come_first() {
    let broker = Broker::start();
    let table = [
        (
            "above the agreed length",
            frame((1 << 20) + 1, 10, 0, 5, b""),
            Code::TOO_LARGE,
        ),
        (
            "a reserved field",
            frame(8, 3, 7, 5, &[0; 8]),
            Code::BAD_FRAME,
        ),
    ];
    for (what, bytes, code) in table {
        let mut client = broker.client("ann");
        // A long tail of garbage behind it: it must not make the kernel destroy the GOAWAY.
        client.send(
            &[
                whole(Kind::Ping.wire(), 3, &[9; 8]),
                bytes,
                vec![0xee; 20_000],
            ]
            .concat(),
        );
        let frames = client.until_end();
        let kinds: Vec<u8> = frames.iter().map(|frame| frame.raw().header.kind).collect();
        assert_eq!(kinds, [Kind::Pong.wire(), Kind::Goaway.wire()], "{what}");
        let ServerFrame::Goaway(goaway) = frames[1].decode() else {
            panic!("{what}: checked above")
        };
        assert_eq!(goaway.code, code, "{what}");
    }
    broker.stop();
}

#[test]
fn a_client_that_dribbles_single_bytes_is_understood() {
    let broker = Broker::start();
    let mut client = Client::connect(broker.address());
    for byte in hello(|_| {}) {
        client.send(&[byte]);
    }
    let frame = client.expect("WELCOME");
    let ServerFrame::Welcome(welcome) = frame.decode() else {
        panic!("{frame:?} is no WELCOME")
    };
    client.producer = welcome.producer;
    let mut bytes = Vec::new();
    client.encode_publish("lobby", 1, b"drop by drop", &mut bytes);
    for byte in bytes {
        client.send(&[byte]);
    }
    assert_eq!(client.acks(1), [(1, 1)]);
    drop(client);
    broker.stop();
}

#[test]
fn announced_lengths_cost_no_memory_until_the_bytes_come() {
    const STRANGERS: usize = 1_000;
    const USERS: usize = 100;
    raise_descriptors();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = BrokerProcess::start(directory.path());
    let mut witness = Client::welcomed(broker.address(), "witness");
    let mut users: Vec<Client> = (0..USERS)
        .map(|number| Client::welcomed(broker.address(), &format!("u{number}")))
        .collect();
    witness.publish_acked("lobby", 1, b"warm");
    let before = broker.resident_bytes();
    // 100 MiB announced by users, 8 MB by strangers; 100 KB and 20 KB sent.
    let started = frame(1 << 20, Kind::Publish.wire(), 0, 5, &[0; 1_000]);
    users.iter_mut().for_each(|user| user.send(&started));
    let mut strangers: Vec<Client> = (0..STRANGERS)
        .map(|_| Client::connect(broker.address()))
        .collect();
    let started = frame(8_192, Kind::Hello.wire(), 0, 1, b"ANTP");
    strangers
        .iter_mut()
        .for_each(|stranger| stranger.send(&started));
    // Connections come to their cores in order, and are dealt evenly: once these late ones are served, one on each core, so
    // are all before them.
    let mut late: Vec<Client> = (0..2)
        .map(|_| Client::welcomed(broker.address(), "late"))
        .collect();
    late.iter_mut()
        .for_each(|client| assert!(client.round_trip().is_empty()));
    assert_eq!(witness.publish_acked("lobby", 2, b"still here"), 2);
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(
        grown < 8 << 20,
        "{grown} bytes for {} started frames",
        STRANGERS + USERS
    );
}

#[test]
fn who_hoards_started_frames_starves_alone_and_gets_on_when_there_is_room() {
    let broker = Broker::start_with(&[
        ("threads.cores", "1"),
        ("connections.input_bytes_max", "1MiB"),
    ]);
    let mut witness = broker.client("witness");
    let mut hoarders: Vec<Client> = (0..6)
        .map(|number| broker.client(&format!("h{number}")))
        .collect();
    let body = vec![4; 200 * 1024];
    let publishes: Vec<Vec<u8>> = hoarders
        .iter_mut()
        .map(|hoarder| {
            let mut bytes = Vec::new();
            hoarder.encode_publish("lobby", 1, &body, &mut bytes);
            bytes
        })
        .collect();
    // 1.2 MB of started frames: the last ones are not read to their end.
    for (hoarder, bytes) in hoarders.iter_mut().zip(&publishes) {
        hoarder.send(&bytes[..bytes.len() - 1]);
    }
    for number in 1..=20 {
        assert_eq!(
            witness.publish_acked("other", number, b"small frames pass"),
            number
        );
    }
    for (hoarder, bytes) in hoarders.iter_mut().zip(&publishes) {
        hoarder.send(&bytes[bytes.len() - 1..]);
    }
    let seqs: std::collections::BTreeSet<u64> = hoarders
        .iter_mut()
        .map(|hoarder| hoarder.acks(1)[0].1)
        .collect();
    assert!(seqs.into_iter().eq(1..=6));
    drop((witness, hoarders));
    broker.stop();
}

#[test]
fn streams_with_flipped_bytes_hurt_nobody_else() {
    const STREAMS: u64 = 400;
    let broker = Broker::start();
    let mut witness = broker.client("witness");
    let mut good = [
        hello(|_| {}),
        subscribe(0),
        whole(Kind::Ping.wire(), 3, &[1; 8]),
    ]
    .concat();
    let mut author = broker.client("ann");
    for number in 1..=3 {
        author.encode_publish("mutants", number, b"a body of some length", &mut good);
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for stream in 1..=STREAMS {
        let mut bytes = good.clone();
        for _ in 0..=next() % 4 {
            let at = next() as usize % bytes.len();
            bytes[at] = next() as u8;
        }
        bytes.truncate(bytes.len() - next() as usize % 40);
        let mut client = Client::connect(broker.address());
        client.try_send(&bytes);
        client.finish_sending();
        // Whatever it answers, it is lawful and it ends.
        client.until_end();
        if stream % 20 == 0 {
            assert_eq!(
                witness.publish_acked("lobby", stream / 20, b"fine"),
                stream / 20
            );
        }
    }
    drop((witness, author));
    broker.stop();
}
