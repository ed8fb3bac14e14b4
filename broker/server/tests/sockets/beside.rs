//! What rides beside records, over real sockets and two cores: signals, cursors, the digest, metadata.

use antiphon_protocol::{
    Count, Cursor, CursorPosition, CursorScope, Features, Hello, MetadataRequest, Ping, RoomRef,
    Seq, ServerFrame, Signal, Start, Subscribe, Wants, position_digest,
};

use crate::support::{Broker, Client};

const ROOMS: u64 = 6;

/// A client that asks for everything; what it is granted.
fn eager(broker: &Broker, user: &str) -> (Client, Features) {
    let mut client = Client::connect(broker.address());
    let hello = Hello {
        features: Features::ALL,
        ..Hello::new(user)
    };
    client.request(|id, out| hello.encode(id, out));
    let frame = client.expect("WELCOME");
    let ServerFrame::Welcome(welcome) = frame.decode() else {
        panic!("{frame:?} is no WELCOME")
    };
    let granted = welcome.features;
    (client, granted)
}

fn follow(client: &mut Client, room: &str, start: Start<'_>) {
    let ask = Subscribe {
        wants: Wants {
            signals: true,
            cursors: true,
        },
        ..Subscribe::new(RoomRef::Name(room), start)
    };
    client.request(|id, out| ask.encode(id, out));
    let frame = client.expect("SUBSCRIBED");
    assert!(
        matches!(frame.decode(), ServerFrame::Subscribed(_)),
        "{frame:?}"
    );
}

fn cursor(room: &str, seq: u64, is_sync: bool) -> Cursor<'_> {
    Cursor {
        room: RoomRef::Name(room),
        name: "read",
        position: CursorPosition {
            seq: Seq(seq),
            count: Count(seq),
        },
        scope: CursorScope::PRIVATE,
        is_sync,
    }
}

#[test]
fn signals_cross_cores_to_those_who_asked() {
    let broker = Broker::start();
    let mut talker = broker.client("bob");
    let (mut ann, granted) = eager(&broker, "ann");
    assert!(granted.has(Features::SIGNALS | Features::CURSORS | Features::DIGESTS));
    for room in 0..ROOMS {
        let room = format!("room {room}");
        talker.publish_acked(&room, 1, b"hello");
        follow(&mut ann, &room, Start::Live);
    }
    for number in 0..ROOMS {
        let room = format!("room {number}");
        let signal = Signal {
            room: RoomRef::Name(&room),
            name: "typing",
            key: b"",
            value: &[number as u8],
        };
        talker.request(|id, out| signal.encode(id, out));
        let frame = ann.expect("SIGNAL");
        let ServerFrame::Signal(push) = frame.decode() else {
            panic!("{frame:?} is no SIGNAL")
        };
        let signal = push.signal.expect("a signal");
        assert_eq!(
            (signal.sender, signal.value, push.dropped),
            ("bob", &[number as u8][..], 0)
        );
    }
    assert!(talker.round_trip().is_empty(), "success is not answered");
    drop((talker, ann));
    broker.stop();
}

#[test]
fn a_synced_cursor_survives_a_killed_node_and_starts_a_subscription() {
    let broker = Broker::start();
    let mut talker = broker.client("bob");
    for number in 1..=5 {
        talker.publish_acked("room", number, b"hello");
    }
    let (mut ann, _) = eager(&broker, "ann");
    follow(&mut ann, "room", Start::Live);
    ann.request(|id, out| cursor("room", 3, true).encode(id, out));
    let (mut is_answered, mut is_told) = (false, false);
    while !(is_answered && is_told) {
        match ann.expect("OK and CURSOR").decode() {
            ServerFrame::Ok(answer) => {
                let answer = answer.cursor.expect("where it stands");
                assert_eq!((answer.position.seq, answer.unread()), (Seq(3), 2));
                is_answered = true;
            }
            ServerFrame::Cursor(moved) => {
                assert_eq!((moved.user, moved.position.seq), ("ann", Seq(3)));
                is_told = true;
            }
            other => panic!("{other:?}"),
        }
    }
    let broker = Broker::start_in(broker.kill(), &[]);
    let (mut ann, _) = eager(&broker, "ann");
    let ask = Subscribe::new(RoomRef::Name("room"), Start::Cursor("read"));
    ann.request(|id, out| ask.encode(id, out));
    let frame = ann.expect("SUBSCRIBED");
    let ServerFrame::Subscribed(subscribed) = frame.decode() else {
        panic!("{frame:?} is no SUBSCRIBED")
    };
    assert_eq!(subscribed.next_seq, Seq(4));
    assert_eq!(subscribed.cursors.count(), 1);
    assert_eq!(ann.records(2, None).len(), 2);
    drop(ann);
    broker.stop();
}

#[test]
fn the_digest_tells_that_nothing_is_missing() {
    let broker = Broker::start();
    let mut talker = broker.client("bob");
    let (mut ann, _) = eager(&broker, "ann");
    let mut expected = 0;
    for number in 0..ROOMS {
        let room = format!("room {number}");
        talker.publish_acked(&room, 1, b"hello");
        follow(&mut ann, &room, Start::Live);
    }
    // Acked, so committed before the PING is read.
    for number in 0..ROOMS {
        talker.publish_acked(&format!("room {number}"), 2, b"again");
    }
    ann.request(|id, out| Ping { nonce: 9 }.encode(id, out));
    let told = loop {
        match ann.expect("PONG").decode() {
            ServerFrame::Record(record) => {
                expected ^= position_digest(record.room_id(), record.seq())
            }
            ServerFrame::Pong(pong) => break pong.digest.expect("it was granted"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((u64::from(told.rooms), told.behind), (ROOMS, 0));
    assert_eq!(
        told.digest, expected,
        "all that was committed stands before the PONG"
    );
    let id = ann.request(|id, out| MetadataRequest { version: 0 }.encode(id, out));
    let frame = ann.expect("METADATA");
    let ServerFrame::Metadata(metadata) = frame.decode() else {
        panic!("{frame:?} is no METADATA")
    };
    assert_eq!((frame.raw().header.id, metadata.partitions), (id, 4));
    assert!(
        metadata
            .leaders()
            .all(|leader| leader == Some(metadata.node))
    );
    drop((talker, ann));
    broker.stop();
}
