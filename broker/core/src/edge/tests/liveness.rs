use alloc::vec::Vec;

use antiphon_protocol::{Hello, Ping, RequestId, RoomRef};

use super::Bench;
use crate::limits::{CLOSING_MS, STALLED_MS};

fn ping() -> Vec<u8> {
    let mut out = Vec::new();
    Ping { nonce: 1 }.encode(RequestId(2), &mut out);
    out
}

/// Checks come at most so late.
const LATE_MS: u64 = 256;

#[test]
fn a_stranger_has_five_seconds() {
    let mut bench = Bench::new();
    let conn = bench.connect(0);
    bench.edge.received(conn, 1, true);
    bench.sleep(4_999);
    assert_eq!(bench.said(conn), [""; 0]);
    bench.sleep(LATE_MS);
    assert_eq!(bench.said(conn), ["GOAWAY TIMEOUT retry"]);
    assert_eq!(bench.closes(), [conn]);
}

#[test]
fn a_quiet_connection_is_pinged_each_keepalive_and_closed_after_three_silent_ones() {
    let mut bench = Bench::new();
    let conn = bench.open(0, "ann");
    for _ in 0..2 {
        bench.sleep(5_000 + LATE_MS);
        assert_eq!(bench.said(conn), ["PING"]);
    }
    bench.sleep(5_000);
    assert_eq!(bench.said(conn), ["GOAWAY TIMEOUT retry"]);
}

#[test]
fn bytes_keep_a_connection_alive_and_answers_save_the_pings() {
    let mut bench = Bench::new();
    let conn = bench.open(0, "ann");
    for _ in 0..20 {
        bench.sleep(4_000);
        let _ = bench.feed(conn, &ping());
        assert_eq!(bench.said(conn), ["PONG 2 nonce 1"]);
    }
}

#[test]
fn a_started_frame_must_be_whole_in_time() {
    let mut bench = Bench::new();
    let conn = bench.open(0, "ann");
    let mut said = Vec::new();
    for _ in 0..1_000 {
        bench.edge.received(conn, 1, true);
        bench.sleep(100);
        said.extend(bench.said(conn));
        if !bench.closes().is_empty() {
            break;
        }
    }
    said.retain(|line| line != "PING");
    assert_eq!(said, ["GOAWAY TIMEOUT retry"]);
    let lasted = bench.now.mono_ms - 1_000_000;
    assert!((10_000..10_000 + 2 * LATE_MS).contains(&lasted), "{lasted}");
}

#[test]
fn a_big_frame_may_take_longer_at_a_kilobyte_a_second() {
    let mut bench = Bench::new();
    let conn = bench.open(0, "ann");
    for _ in 0..60 {
        bench.edge.received(conn, 1_100, true);
        bench.sleep(1_000);
        let _ = bench.take(conn);
    }
    assert!(bench.closes().is_empty());
    bench.sleep(8_000);
    assert_eq!(bench.closes(), [conn], "it stopped");
}

#[test]
fn every_frame_that_is_begun_has_its_own_time() {
    let mut bench = Bench::new();
    let conn = bench.open(0, "ann");
    for _ in 0..5 {
        bench.edge.received(conn, 1, true);
        bench.sleep(9_000);
        let _ = bench.feed(conn, &ping());
        let _ = bench.take(conn);
    }
    assert!(bench.closes().is_empty());
}

#[test]
fn who_is_not_read_is_not_blamed_for_silence() {
    let mut bench = Bench::with(|config| config.limits.in_flight_max = 1);
    let conn = bench.open(0, "ann");
    let frame = bench.publish_frame(conn, 1, RoomRef::Name("r"), 1, b"x");
    let _ = bench.feed(conn, &frame);
    for _ in 0..5 {
        bench.sleep(10_000);
        let _ = bench.take(conn);
    }
    assert!(bench.closes().is_empty());
    bench.handle(crate::lane::ToEdge::Acks(std::vec![super::publish::ack(
        conn, 1, 1
    )]));
    bench.sleep(14_000);
    let _ = bench.take(conn);
    assert!(bench.closes().is_empty(), "its time starts with the resume");
    bench.sleep(2_000);
    assert_eq!(bench.closes(), [conn]);
}

#[test]
fn who_is_not_read_for_too_long_may_be_dead_and_is_closed_though_it_takes_pings() {
    let mut bench = Bench::with(|config| config.limits.in_flight_max = 1);
    let conn = bench.open(0, "ann");
    let frame = bench.publish_frame(conn, 1, RoomRef::Name("r"), 1, b"x");
    assert_eq!(bench.feed(conn, &frame), crate::core::Flow::Pause);
    let paused_ms = bench.now.mono_ms;
    while bench.closes().is_empty() {
        bench.sleep(1_000);
        let _ = bench.take(conn);
    }
    let lasted = bench.now.mono_ms - paused_ms;
    assert!(
        (STALLED_MS..STALLED_MS + 1_000 + LATE_MS).contains(&lasted),
        "{lasted}"
    );
}

#[test]
fn who_is_not_read_and_takes_its_answers_slowly_lives() {
    let mut bench = Bench::with(|config| config.limits.requests_max = 1);
    let conn = bench.open(0, "ann");
    let mut fetch = Vec::new();
    antiphon_protocol::Fetch {
        room: RoomRef::Name("r"),
        range: antiphon_protocol::FetchRange::Latest,
        limit: 10_000,
        read: antiphon_protocol::ReadLevel::Any,
        token: 0,
    }
    .encode(RequestId(3), &mut fetch);
    assert_eq!(bench.feed(conn, &fetch), crate::core::Flow::Pause);
    bench.turn();
    for _ in 0..100 {
        bench
            .edge
            .conns
            .push(conn, bytes::Bytes::from_static(&[0; 25]));
        bench.turn();
        bench.sleep(10_000);
        let outbox = bench.edge.outbox(conn).unwrap();
        let count = outbox.len();
        outbox.advance(count);
        bench.edge.sent(conn);
    }
    assert!(bench.closes().is_empty(), "1,000 s of one answer");
}

#[test]
fn who_makes_us_answer_and_takes_no_byte_is_closed_in_the_end() {
    let mut bench = Bench::new();
    let conn = bench.open(0, "ann");
    while bench.feed(conn, &ping()) == crate::core::Flow::Continue {}
    bench.sleep(STALLED_MS - 1_000);
    assert!(bench.closes().is_empty());
    bench.sleep(2_000);
    assert_eq!(bench.closes(), [conn]);
    bench.outputs.clear();
    bench.sleep(CLOSING_MS + LATE_MS);
    assert_eq!(bench.closes(), [conn], "GOAWAY cannot be sent");
    assert!(bench.edge.outbox(conn).unwrap().is_empty());
}

#[test]
fn a_slow_reader_is_not_cut_for_slowness() {
    let mut bench = Bench::new();
    let conn = bench.open(0, "ann");
    let room = antiphon_protocol::RoomId(3 << 52 | 1);
    bench.subscribe(conn, 5, room, 0, 1);
    bench.handle(crate::lane::ToEdge::Deliver(crate::lane::Deliver {
        room,
        first: antiphon_protocol::Seq(1),
        next: antiphon_protocol::Seq(4),
        records: super::run(room, 1, 4, 80_000),
    }));
    bench.turn();
    for _ in 0..100 {
        bench.sleep(4_000);
        let _ = bench.feed(conn, &ping());
    }
    assert!(
        bench.closes().is_empty(),
        "it took nothing for 400 s, but it lives"
    );
}

#[test]
fn a_client_names_its_keepalive() {
    let mut bench = Bench::new();
    let conn = bench.connect(0);
    bench.hello(
        conn,
        &Hello {
            keepalive_ms: 60_000,
            ..Hello::new("ann")
        },
    );
    let _ = bench.take(conn);
    bench.sleep(59_000);
    assert_eq!(bench.said(conn), [""; 0]);
    bench.sleep(1_000 + LATE_MS);
    assert_eq!(bench.said(conn), ["PING"]);
}

#[test]
fn a_frame_taken_later_than_its_bytes_came_is_whole() {
    let mut bench = Bench::new();
    let conn = bench.connect(0);
    bench.hello(
        conn,
        &Hello {
            keepalive_ms: 60_000,
            ..Hello::new("ann")
        },
    );
    let _ = bench.take(conn);
    // The driver's budget ended in the middle of a read: it held frames back and takes them in the next turn without reading.
    bench.edge.received(conn, 100, true);
    let bytes = ping();
    let frame = antiphon_protocol::next_frame(&bytes, 8_192)
        .unwrap()
        .unwrap();
    let _ = bench.edge.frame(conn, frame);
    bench.sleep(30_000);
    assert!(bench.closes().is_empty());
}
