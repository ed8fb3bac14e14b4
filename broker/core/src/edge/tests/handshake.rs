use alloc::vec::Vec;
use std::mem::size_of;

use antiphon_protocol::limits::PRODUCER_AGE_MS_MAX;
use antiphon_protocol::{
    Code, Hello, Namespace, Ping, Producer, RequestId, ServerFrame, Timestamp, UserName, Welcome,
    next_frame,
};

use super::{Bench, WALL, conn};
use crate::core::{CoreId, Flow, Output};
use crate::edge::conns::Conn;
use crate::edge::rooms::{Live, Sub};
use crate::edge::session::Open;
use crate::lane::{Message, Replace};

fn welcome(bytes: &[u8]) -> Welcome<'_> {
    let frame = next_frame(bytes, u32::MAX).unwrap().unwrap();
    match ServerFrame::decode(frame).unwrap() {
        ServerFrame::Welcome(welcome) => welcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn welcome_tells_every_limit_and_draws_producer_and_device() {
    let mut bench = Bench::new();
    let conn = bench.connect(3);
    assert_eq!(bench.edge.len_max(conn), 8_192);
    bench.hello(conn, &Hello::new("ann"));
    let bytes = bench.take(conn);
    let welcome = welcome(&bytes);
    assert_eq!(welcome.user, "ann");
    assert_eq!(welcome.producer.birth(), Timestamp(WALL));
    assert_ne!(welcome.device.0, 0);
    assert_eq!(welcome.server_time, Timestamp(WALL));
    assert_eq!(
        (welcome.node.0, welcome.version, welcome.features.0),
        (7, 1, 0)
    );
    assert_eq!(
        (welcome.keepalive_ms, welcome.frame_bytes_max),
        (5_000, 1024 * 1024)
    );
    assert_eq!(
        (welcome.body_bytes_max, welcome.headers_bytes_max),
        (256 * 1024, 4_096)
    );
    assert_eq!(
        (welcome.in_flight_max, welcome.subscriptions_max),
        (1_024, 16_384)
    );
    assert_eq!(
        (
            welcome.requests_max,
            welcome.fetch_records_max,
            welcome.room_bytes_max
        ),
        (64, 10_000, 255)
    );
    assert_eq!(bench.edge.len_max(conn), 1024 * 1024);
}

#[test]
fn wishes_of_a_hello_are_granted_within_limits() {
    let mut bench = Bench::new();
    let conn = bench.connect(3);
    let producer = Producer::new(Timestamp(WALL - 1_000), 77);
    let device = Some(antiphon_protocol::Device(5));
    let hello = Hello {
        producer: Some(producer),
        device,
        keepalive_ms: 1,
        frame_bytes_max: 9_000,
        ..Hello::new("ann")
    };
    bench.hello(conn, &hello);
    let bytes = bench.take(conn);
    let welcome = welcome(&bytes);
    assert_eq!((welcome.producer, welcome.device.0), (producer, 5));
    assert_eq!(
        (welcome.keepalive_ms, welcome.frame_bytes_max),
        (1_000, 9_000)
    );
    assert_eq!(bench.edge.len_max(conn), 9_000);
}

#[test]
fn requests_may_follow_hello_at_once() {
    let mut bench = Bench::new();
    let conn = bench.connect(0);
    let mut bytes = Vec::new();
    Hello::new("ann").encode(RequestId(1), &mut bytes);
    Ping { nonce: 42 }.encode(RequestId(2), &mut bytes);
    assert_eq!(bench.feed(conn, &bytes), Flow::Continue);
    assert_eq!(bench.said(conn), ["WELCOME 1 ann", "PONG 2 nonce 42"]);
}

#[test]
fn a_second_hello_is_a_bad_state() {
    let mut bench = Bench::new();
    let conn = bench.open(0, "ann");
    bench.hello(conn, &Hello::new("ann"));
    assert_eq!(bench.said(conn), ["ERROR 1 BAD_STATE hint 0"]);
}

#[test]
fn a_hello_that_cannot_be_served_ends_with_goaway() {
    let old = Some(Producer::new(Timestamp(WALL - PRODUCER_AGE_MS_MAX), 1));
    let cases = [
        (
            Hello {
                version_min: 2,
                version_max: 3,
                ..Hello::new("ann")
            },
            "GOAWAY VERSION terminal",
        ),
        (
            Hello {
                namespace: Namespace(1),
                ..Hello::new("ann")
            },
            "GOAWAY FORBIDDEN terminal",
        ),
        (
            Hello {
                producer: old,
                ..Hello::new("ann")
            },
            "GOAWAY PRODUCER_EXPIRED terminal",
        ),
        (
            Hello {
                frame_bytes_max: 100,
                ..Hello::new("ann")
            },
            "GOAWAY BAD_FRAME terminal",
        ),
        (Hello::new("an\nn"), "GOAWAY BAD_FRAME terminal"),
    ];
    for (hello, expected) in cases {
        let mut bench = Bench::new();
        let conn = bench.connect(0);
        bench.hello(conn, &hello);
        assert_eq!(bench.said(conn), [expected]);
        assert_eq!(bench.closes(), [conn]);
    }
}

#[test]
fn a_session_that_comes_back_ends_its_older_connection_here() {
    let mut bench = Bench::new();
    let old = bench.open(0, "ann");
    let producer = bench.session_producer(old);
    let stranger = bench.connect(1);
    bench.hello(
        stranger,
        &Hello {
            producer: Some(producer),
            ..Hello::new("bob")
        },
    );
    assert_eq!(
        bench.said(old),
        [""; 0],
        "another user's claim means nothing"
    );
    let new = bench.connect(2);
    bench.hello(
        new,
        &Hello {
            producer: Some(producer),
            ..Hello::new("ann")
        },
    );
    assert_eq!(bench.said(old), ["GOAWAY REPLACED terminal"]);
    assert_eq!(bench.said(new), ["WELCOME 1 ann"]);
    assert_eq!(bench.closes(), [old]);
}

#[test]
fn a_hello_that_was_kept_back_does_not_end_the_connection_that_came_after_it() {
    let mut bench = Bench::new();
    let first = bench.open(0, "ann");
    let hello = Hello {
        producer: Some(bench.session_producer(first)),
        ..Hello::new("ann")
    };
    let (kept_back, newest) = (bench.connect(1), bench.connect(2));
    bench.hello(newest, &hello);
    assert_eq!(bench.said(first), ["GOAWAY REPLACED terminal"]);
    bench.hello(kept_back, &hello);
    assert_eq!(
        bench.said(kept_back),
        ["WELCOME 1 ann", "GOAWAY REPLACED terminal"]
    );
    assert_eq!(bench.said(newest), ["WELCOME 1 ann"]);
    bench.hello(newest, &hello);
    assert_eq!(bench.said(newest), ["ERROR 1 BAD_STATE hint 0"], "open");
}

#[test]
fn a_named_producer_is_told_to_every_other_core_and_a_drawn_one_is_not() {
    let mut bench = Bench::new();
    let first = bench.open(0, "ann");
    let is_replace = |output: &Output| {
        matches!(
            output,
            Output::Lane {
                to: CoreId(1),
                message: Message::Replace(_)
            }
        )
    };
    assert!(!bench.outputs.iter().any(is_replace));
    let producer = bench.session_producer(first);
    let second = bench.connect(1);
    bench.hello(
        second,
        &Hello {
            producer: Some(producer),
            ..Hello::new("ann")
        },
    );
    bench.turn();
    assert_eq!(
        bench
            .outputs
            .iter()
            .filter(|output| is_replace(output))
            .count(),
        1
    );
}

#[test]
fn of_two_claims_the_later_one_stays() {
    let mut bench = Bench::new();
    let earlier = bench.exchange.claim();
    let mine = bench.connect(0);
    let producer = Producer::new(Timestamp(WALL), 9);
    bench.hello(
        mine,
        &Hello {
            producer: Some(producer),
            ..Hello::new("ann")
        },
    );
    let _ = bench.take(mine);
    let told = |output| match output {
        Output::Lane {
            to: CoreId(1),
            message: Message::Replace(replace),
        } => Some(replace.claim),
        _ => None,
    };
    bench.outputs.clear();
    let replace = |claim| Replace {
        namespace: Namespace(0),
        user: UserName::try_from("ann").unwrap(),
        producer,
        claim,
    };
    let held = bench.edge.conns.in_slot(0).unwrap().claim;
    bench.edge.replace(CoreId(1), &replace(earlier));
    assert_eq!(bench.said(mine), [""; 0]);
    let answers: Vec<_> = bench.outputs.drain(..).filter_map(told).collect();
    assert_eq!(
        answers,
        [held],
        "the core that asked is told of the later one"
    );
    let later = bench.exchange.claim();
    bench.edge.replace(CoreId(1), &replace(later));
    assert_eq!(bench.said(mine), ["GOAWAY REPLACED terminal"]);
}

#[test]
fn sessions_are_found_again_among_many_users_of_one_producer() {
    let mut bench = Bench::new();
    let producer = Some(Producer::new(Timestamp(WALL), 9));
    let users = 300;
    let greet = |bench: &mut Bench, slot: u32| {
        let conn = bench.connect(slot);
        let user = std::format!("user{}", slot % users);
        let hello = Hello {
            producer,
            ..Hello::new(&user)
        };
        bench.hello(conn, &hello);
        bench.outputs.clear();
        conn
    };
    for slot in 0..users {
        greet(&mut bench, slot);
    }
    for slot in (0..users).step_by(3) {
        bench.edge.disconnected(conn(slot));
    }
    for slot in 0..users {
        let new = greet(&mut bench, users + slot);
        let old = conn(slot);
        if slot % 3 == 0 {
            assert!(bench.edge.outbox(old).is_none());
        } else {
            let _ = bench.take(old);
            assert_eq!(bench.closes(), [old]);
        }
        let _ = bench.take(new);
    }
    assert_eq!(
        bench.edge.stats().sessions_replaced,
        u64::from(users) * 2 / 3
    );
}

#[test]
fn a_frame_that_makes_the_decoder_panic_ends_its_own_connection_only() {
    let mut bench = Bench::new();
    let (ann, bob) = (bench.open(0, "ann"), bench.open(1, "bob"));
    let mut frame = Vec::new();
    Ping { nonce: 42 }.encode(RequestId(2), &mut frame);
    let _ = bench.feed(bob, &frame);
    frame.clear();
    Ping { nonce: 42 }.encode(crate::edge::decoding::POISON, &mut frame);
    assert_eq!(bench.feed(ann, &frame), Flow::Pause);
    assert_eq!(bench.said(ann), ["GOAWAY INTERNAL retry"]);
    assert_eq!(bench.closes(), [ann]);
    assert_eq!(bench.said(bob), ["PONG 2 nonce 42"]);
}

#[test]
fn a_closing_connection_hears_and_says_nothing_more() {
    let mut bench = Bench::new();
    let conn = bench.connect(0);
    bench.hello(
        conn,
        &Hello {
            namespace: Namespace(1),
            ..Hello::new("ann")
        },
    );
    let mut bytes = Vec::new();
    Ping { nonce: 1 }.encode(RequestId(2), &mut bytes);
    assert_eq!(bench.feed(conn, &bytes), Flow::Pause);
    assert_eq!(bench.said(conn), ["GOAWAY FORBIDDEN terminal"]);
    bench.edge.disconnected(conn);
    assert!(bench.edge.outbox(conn).is_none());
    assert_eq!(bench.edge.stats().connections, 0);
}

#[test]
fn a_slot_given_again_is_another_connection() {
    let mut bench = Bench::new();
    let old = bench.open(0, "ann");
    bench.edge.disconnected(old);
    let new = crate::core::ConnId {
        slot: 0,
        generation: 2,
    };
    bench.edge.connected(new, bench.exchange.claim());
    assert!(bench.edge.outbox(conn(0)).is_none());
    assert!(bench.edge.outbox(new).is_some());
    bench.edge.disconnected(conn(0));
    assert_eq!(bench.edge.stats().connections, 1);
}

#[test]
fn drain_answers_publishes_first_and_spreads_the_return() {
    let mut bench = Bench::new();
    let (idle, busy) = (bench.open(0, "ann"), bench.open(1, "bob"));
    let frame = bench.publish_frame(busy, 5, antiphon_protocol::RoomRef::Name("r"), 1, b"x");
    let _ = bench.feed(busy, &frame);
    bench.turn();
    bench.edge.drain();
    assert_eq!(bench.said(idle), ["GOAWAY SHUTTING_DOWN retry"]);
    assert_eq!(bench.said(busy), [""; 0]);
    bench.handle(crate::lane::ToEdge::Acks(std::vec![super::publish::ack(
        busy, 5, 1
    )]));
    assert_eq!(
        bench.said(busy),
        ["PUBACK 5@1", "GOAWAY SHUTTING_DOWN retry"]
    );
    assert!(!bench.edge.is_drained());
    let late = bench.connect(2);
    assert_eq!(bench.said(late), ["GOAWAY SHUTTING_DOWN retry"]);
    for conn in [idle, busy, late] {
        bench.edge.disconnected(conn);
    }
    assert!(bench.edge.is_drained());
}

#[test]
fn drain_does_not_wait_for_answers_for_ever() {
    let mut bench = Bench::new();
    let busy = bench.open(1, "bob");
    let frame = bench.publish_frame(busy, 5, antiphon_protocol::RoomRef::Name("r"), 1, b"x");
    let _ = bench.feed(busy, &frame);
    bench.edge.drain();
    bench.sleep(crate::limits::DRAIN_WAIT_MS);
    assert_eq!(bench.said(busy), ["GOAWAY SHUTTING_DOWN retry"]);
}

#[test]
fn retry_after_of_a_drain_differs_per_connection() {
    let mut bench = Bench::new();
    let conns: Vec<_> = (0..32).map(|slot| bench.open(slot, "ann")).collect();
    bench.edge.drain();
    let mut delays: Vec<u32> = Vec::new();
    for conn in conns {
        let bytes = bench.take(conn);
        let frame = next_frame(&bytes, u32::MAX).unwrap().unwrap();
        match ServerFrame::decode(frame).unwrap() {
            ServerFrame::Goaway(goaway) if goaway.code == Code::SHUTTING_DOWN => {
                delays.push(goaway.retry_after_ms)
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(delays.iter().all(|&delay| delay < 5_000));
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 28, "{delays:?}");
}

#[test]
fn an_idle_connection_is_small() {
    // With the name's 16 bytes and the entries in the table of producers and in the wheel: below 300.
    assert_eq!(size_of::<Option<Conn>>(), 80);
    assert_eq!(size_of::<Open>(), 104);
    assert_eq!(size_of::<Sub>(), 48);
    assert_eq!(size_of::<Live>(), 16);
}
