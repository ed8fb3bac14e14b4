//! Hostile frames: each gets a typed answer, hurts one connection at most, and costs bounded memory.

use alloc::vec::Vec;
use std::string::String;

use antiphon_protocol::{Hello, Ping, RequestId, RoomRef, Start};
use proptest::prelude::*;

use super::{Bench, subscribe_frame};
use crate::core::Flow;
use crate::limits::OUTBOX_PAUSE_BYTES;

fn header(len: u32, kind: u8, reserved: u16, id: u64) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(&reserved.to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
    out
}

fn framed(kind: u8, id: u64, body: &[u8]) -> Vec<u8> {
    let mut out = header(body.len() as u32, kind, 0, id);
    out.extend_from_slice(body);
    out
}

fn hello_with(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    Hello::new("ann").encode(RequestId(1), &mut out);
    change(&mut out);
    out
}

#[test]
fn before_welcome_every_fault_ends_with_goaway() {
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, &str)> = std::vec![
        ("longer than a stranger may send", header(8_193, 1, 0, 1), "TOO_LARGE"),
        ("the longest length there is", header(u32::MAX, 1, 0, 1), "TOO_LARGE"),
        ("reserved set", header(40, 1, 1, 1), "BAD_FRAME"),
        ("a request first", subscribe_frame(1, RoomRef::Name("r"), Start::Live), "BAD_STATE"),
        ("a server's frame first", framed(2, 1, &[]), "BAD_STATE"),
        ("an unknown kind", framed(200, 1, &[]), "UNKNOWN_KIND"),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "BAD_FRAME"),
        ("wrong magic", hello_with(|out| out[16] ^= 1), "BAD_FRAME"),
        ("versions in the wrong order", hello_with(|out| out[20] = 2), "BAD_FRAME"),
        ("a version from the future", hello_with(|out| (out[20], out[21]) = (9, 9)), "VERSION"),
        ("a token", hello_with(|out| out[22] = 1), "NOT_SUPPORTED"),
        ("no user", hello_with(|out| out[23] = 0), "BAD_FRAME"),
        ("a user longer than the frame", hello_with(|out| out[23] = 60), "BAD_FRAME"),
        ("a user that is not UTF-8", hello_with(|out| *out.last_mut().unwrap() = 0xFF), "BAD_FRAME"),
        ("a control character", hello_with(|out| *out.last_mut().unwrap() = 0x1B), "BAD_FRAME"),
        ("fixed fields cut short", framed(1, 1, &[0; 39]), "BAD_FRAME"),
        ("id 0", hello_with(|out| out[8] = 0), "BAD_FRAME"),
    ];
    for (what, bytes, code) in cases {
        let mut bench = Bench::new();
        let (bystander, conn) = (bench.open(0, "bob"), bench.connect(1));
        let _ = bench.feed(conn, &bytes);
        assert_eq!(
            bench.said(conn),
            [std::format!("GOAWAY {code} terminal")],
            "{what}"
        );
        assert_eq!(bench.closes(), [conn], "{what}");
        assert_eq!(bench.said(bystander), [""; 0], "{what}");
    }
}

#[test]
fn after_welcome_a_lawful_length_never_ends_the_connection() {
    let bad_name = {
        let mut out = subscribe_frame(9, RoomRef::Name("room"), Start::Live);
        *out.last_mut().unwrap() = 0xFF;
        out
    };
    let both = {
        let mut out = subscribe_frame(9, RoomRef::Name("room"), Start::Live);
        out[16] = 1;
        out
    };
    let odd_extension = {
        let mut out = Vec::new();
        Ping { nonce: 1 }.encode(RequestId(9), &mut out);
        out.extend_from_slice(&[7, 0, 0, 0]);
        out[0] += 4;
        out
    };
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, &str)> = std::vec![
        ("unknown kind", framed(200, 9, b"x"), "ERROR 9 UNKNOWN_KIND hint 200"),
        ("kind 0", framed(0, 9, b""), "ERROR 9 UNKNOWN_KIND hint 0"),
        ("numbered, not served", framed(18 + 1, 9, b""), "ERROR 9 NOT_SUPPORTED hint 19"),
        ("only the server sends it", framed(11, 9, &[0; 8]), "ERROR 9 BAD_STATE hint 0"),
        ("a second HELLO", hello_with(|out| out[8] = 9), "ERROR 9 BAD_STATE hint 0"),
        ("publish cut short", framed(10, 9, &[0; 47]), "ERROR 9 BAD_FRAME hint 0"),
        ("publish of zeros", framed(10, 9, &[0; 48]), "ERROR 9 BAD_FRAME hint 0"),
        ("subscribe without a body", framed(12, 9, &[]), "ERROR 9 BAD_FRAME hint 0"),
        ("fetch of zeros", framed(18, 9, &[0; 32]), "ERROR 9 BAD_FRAME hint 0"),
        ("unsubscribe of zeros", framed(14, 9, &[0; 16]), "ERROR 9 BAD_FRAME hint 0"),
        ("a name that is not UTF-8", bad_name, "ERROR 9 BAD_FRAME hint 0"),
        ("a name and a number", both, "ERROR 9 BAD_FRAME hint 0"),
        ("an odd extension", odd_extension, "ERROR 9 BAD_FRAME hint 0"),
        ("a subscribe that cannot be answered", subscribe_frame(0, RoomRef::Name("r"), Start::Live), "ERROR 0 BAD_FRAME hint 0"),
    ];
    let mut bench = Bench::new();
    let conn = bench.open(0, "ann");
    for (what, bytes, answer) in cases {
        assert_eq!(bench.feed(conn, &bytes), Flow::Continue, "{what}");
        assert_eq!(bench.said(conn), [answer], "{what}");
    }
    assert!(bench.asked().is_empty(), "no home was bothered");
    assert_eq!(bench.edge.conns.open(conn).unwrap().in_flight, 0);
}

#[test]
fn after_welcome_a_broken_length_ends_the_connection() {
    for (bytes, code) in [
        (header(1024 * 1024 + 1, 10, 0, 1), "TOO_LARGE"),
        (header(8, 3, 7, 1), "BAD_FRAME"),
    ] {
        let mut bench = Bench::new();
        let conn = bench.open(0, "ann");
        let _ = bench.feed(conn, &bytes);
        assert_eq!(bench.said(conn), [std::format!("GOAWAY {code} terminal")]);
    }
}

#[test]
fn a_flood_of_pings_that_are_never_read_stops_being_read() {
    let mut bench = Bench::new();
    let (conn, other) = (bench.open(0, "ann"), bench.open(1, "bob"));
    let mut ping = Vec::new();
    Ping { nonce: 1 }.encode(RequestId(2), &mut ping);
    let mut count = 0;
    while bench.feed(conn, &ping) == Flow::Continue {
        count += 1;
        assert!(count < 100_000);
    }
    let queued = bench.edge.outbox(conn).unwrap().len();
    assert!(queued > OUTBOX_PAUSE_BYTES as usize && queued < OUTBOX_PAUSE_BYTES as usize + 100);
    assert_eq!(bench.feed(other, &ping), Flow::Continue);
    let _ = bench.take(conn);
    bench.turn();
    assert_eq!(bench.resumes(), [conn]);
    assert_eq!(bench.feed(conn, &ping), Flow::Continue);
}

#[test]
fn bytes_dribbled_one_by_one_are_understood_and_own_nothing_here() {
    let mut bench = Bench::new();
    let conn = bench.connect(0);
    let mut bytes = hello_with(|_| {});
    Ping { nonce: 8 }.encode(RequestId(2), &mut bytes);
    let mut held: Vec<u8> = Vec::new();
    let mut said: Vec<String> = Vec::new();
    for byte in bytes {
        held.push(byte);
        let taken = match antiphon_protocol::next_frame(&held, bench.edge.len_max(conn)).unwrap() {
            Some(frame) => {
                let _ = bench.edge.frame(conn, frame);
                frame.whole.len()
            }
            None => 0,
        };
        held.drain(..taken);
        bench.edge.received(conn, 1, !held.is_empty());
        bench.pass(1);
        said.extend(bench.said(conn));
    }
    assert_eq!(said, ["WELCOME 1 ann", "PONG 2 nonce 8"]);
}

/// A client's frame with some bytes changed, or no frame at all.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let lawful = (0..6u8, any::<u8>()).prop_map(|(which, id)| {
        let id = u64::from(id);
        let mut out = Vec::new();
        match which {
            0 => out = hello_with(|_| {}),
            1 => Ping { nonce: id }.encode(RequestId(id), &mut out),
            2 => out = subscribe_frame(id, RoomRef::Name("room"), Start::Last(id)),
            3 => out = super::unsubscribe_frame(id, RoomRef::Name("room")),
            4 => out = framed(18, id, &[0; 40]),
            _ => out = framed(10, id, &[1; 60]),
        }
        out
    });
    let changed = (
        lawful.clone(),
        proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    )
        .prop_map(|(mut bytes, changes)| {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                // The length and the reserved bytes stay: what is broken there ends the connection at once.
                if !(0..4).contains(&at) && !(6..8).contains(&at) {
                    bytes[at] = byte;
                }
            }
            bytes
        });
    let random = (
        any::<u8>(),
        any::<u8>(),
        proptest::collection::vec(any::<u8>(), 0..80),
    )
        .prop_map(|(kind, id, body)| framed(kind, u64::from(id), &body));
    prop_oneof![1 => lawful, 3 => changed, 1 => random]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_state_are_answered_and_hurt_nobody_else(frames in proptest::collection::vec(noise(), 1..40), is_open in any::<bool>()) {
        let mut bench = Bench::new();
        let bystander = bench.open(0, "bob");
        let conn = if is_open { bench.open(1, "ann") } else { bench.connect(1) };
        let mut said = Vec::new();
        for bytes in &frames {
            let _ = bench.feed(conn, bytes);
            said.extend(bench.said(conn));
        }
        let is_closed = !bench.closes().is_empty();
        if is_open {
            prop_assert!(!is_closed, "a lawful length never ends a session: {said:?}");
        }
        let goaways = said.iter().filter(|line| line.starts_with("GOAWAY")).count();
        prop_assert_eq!(goaways, usize::from(is_closed), "{:?}", said);
        prop_assert_eq!(bench.said(bystander), [""; 0]);
        bench.edge.disconnected(conn);
        let stats = bench.edge.stats();
        prop_assert_eq!((stats.connections, stats.subscriptions, stats.rooms), (1, 0, 0));
    }
}
