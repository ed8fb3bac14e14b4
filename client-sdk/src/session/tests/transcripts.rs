//! Connections come and go.

use std::io::ErrorKind;
use std::time::Duration;

use antiphon_protocol::{Code, Goaway, GoawayClass, Ok_, Ping, Pong, RequestId};

use crate::error::{ClientError, Violation};
use crate::session::tests::desk::{Desk, options, welcome};
use crate::session::{Command, Event, Input, Ticket};

/// Why the last connection, or attempt, came to nothing.
fn failure(desk: &mut Desk) -> Option<ClientError> {
    desk.events()
        .into_iter()
        .rev()
        .find_map(|event| match event {
            Event::ConnectionFailed(error) | Event::Closed { reason: error, .. } => Some(error),
            _ => None,
        })
}

fn protocol(violation: Violation) -> Option<ClientError> {
    Some(ClientError::Protocol(violation))
}

#[test]
fn the_first_connection_greets_without_a_producer_and_the_next_with_it() {
    let mut desk = Desk::new(&options());
    assert_eq!(desk.connects, ["a:1"]);
    assert_eq!(desk.greet(5), "HELLO ann producer 0 device 0");
    let events = desk.events();
    assert!(
        matches!(&events[..], [Event::Welcomed(welcomed)] if welcomed.producer.0 == 5),
        "{events:?}"
    );
    assert_eq!(desk.reconnect(5), "HELLO ann producer 5 device 7");
    assert_eq!(desk.connects, ["a:1", "a:1"]);
}

#[test]
fn without_patience_every_address_is_tried_once() {
    let mut desk = Desk::new(&options());
    desk.input(Input::ConnectFailed(ErrorKind::ConnectionRefused));
    assert_eq!(desk.connects, ["a:1", "b:1"]);
    desk.input(Input::ConnectFailed(ErrorKind::TimedOut));
    let expected = ClientError::Connect {
        address: "b:1".into(),
        kind: ErrorKind::TimedOut,
    };
    let events = desk.events();
    assert_eq!(
        events.last(),
        Some(&Event::Closed {
            reason: expected,
            unacked: 0
        })
    );
}

#[test]
fn with_patience_rounds_go_on_until_it_is_over() {
    let mut desk = Desk::new(&options().connect_deadline(Duration::from_millis(25)));
    for round in 1..=2 {
        desk.input(Input::ConnectFailed(ErrorKind::ConnectionRefused));
        desk.input(Input::ConnectFailed(ErrorKind::ConnectionRefused));
        assert_eq!(desk.connects.len(), 2 * round);
        desk.pass(15);
    }
    desk.input(Input::ConnectFailed(ErrorKind::ConnectionRefused));
    desk.input(Input::ConnectFailed(ErrorKind::ConnectionRefused));
    assert!(matches!(desk.events().last(), Some(Event::Closed { .. })));
}

#[test]
fn no_greeting_in_time_tries_the_next_address() {
    let mut desk = Desk::new(&options().connect_timeout(Duration::from_millis(100)));
    desk.input(Input::Connected);
    desk.pass(99);
    assert_eq!(desk.connects, ["a:1"]);
    desk.pass(1);
    assert_eq!(desk.connects, ["a:1", "b:1"]);
    assert_eq!(failure(&mut desk), protocol(Violation::NoWelcome));
    assert_eq!(desk.disconnects, 1);
}

#[test]
fn a_quiet_connection_is_pinged_and_a_silent_one_given_up() {
    let mut desk = Desk::open(&options(), 5);
    desk.pass(999);
    assert_eq!(desk.sent(), [""; 0]);
    desk.pass(1);
    assert_eq!(desk.sent(), ["4 PING"]);
    desk.receive(|out| {
        Pong {
            nonce: 4,
            digest: None,
        }
        .encode(RequestId(4), out)
    });
    desk.pass(2_999);
    assert_eq!(desk.disconnects, 0);
    desk.pass(1);
    assert_eq!(failure(&mut desk), protocol(Violation::Silent));
    assert_eq!(desk.disconnects, 1);
}

#[test]
fn a_ping_of_either_side_is_answered() {
    let mut desk = Desk::open(&options(), 5);
    desk.receive(|out| Ping { nonce: 77 }.encode(RequestId(9), out));
    assert_eq!(desk.sent(), ["PONG 77"]);
    desk.input(Input::Command(Command::Ping { ticket: Ticket(1) }));
    assert_eq!(desk.sent(), ["4 PING"]);
    desk.receive(|out| {
        Pong {
            nonce: 4,
            digest: None,
        }
        .encode(RequestId(4), out)
    });
    assert_eq!(desk.events(), [Event::Done(Ticket(1), Ok(()))]);
    desk.input(Input::Command(Command::Ping { ticket: Ticket(2) }));
    desk.input(Input::Disconnected);
    desk.input(Input::Command(Command::Ping { ticket: Ticket(3) }));
    let lost: Vec<_> = desk
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::Done(..)))
        .collect();
    let disconnected = |ticket| Event::Done(Ticket(ticket), Err(ClientError::Disconnected));
    assert_eq!(lost, [disconnected(2), disconnected(3)]);
}

#[test]
fn goaway_retry_waits_as_long_as_it_is_told() {
    let mut desk = Desk::open(&options(), 5);
    let goaway = Goaway {
        retry_after_ms: 300,
        ..Goaway::new(Code::SHUTTING_DOWN, GoawayClass::Retry, "later")
    };
    desk.goaway(&goaway);
    assert_eq!(desk.disconnects, 1);
    desk.pass(299);
    assert_eq!(desk.connects, ["a:1"]);
    desk.pass(1);
    assert_eq!(desk.connects, ["a:1", "a:1"]);
}

#[test]
fn goaway_move_goes_where_it_is_told_and_else_to_the_next_address() {
    let mut desk = Desk::open(&options(), 5);
    let goaway = Goaway {
        endpoints: Some("c:1,d:1"),
        ..Goaway::new(Code::MOVED, GoawayClass::Move, "")
    };
    desk.goaway(&goaway);
    desk.pass(10);
    desk.input(Input::ConnectFailed(ErrorKind::ConnectionRefused));
    assert_eq!(desk.connects, ["a:1", "c:1", "d:1"]);
    assert_eq!(desk.greet(5), "HELLO ann producer 5 device 7");
    desk.goaway(&Goaway::new(Code::MOVED, GoawayClass::Move, ""));
    desk.pass(10);
    assert_eq!(desk.connects[3..], ["a:1"]);
}

#[test]
fn a_move_instead_of_a_greeting_is_followed_but_not_for_ever() {
    let mut desk = Desk::new(&options());
    let elsewhere = Goaway {
        endpoints: Some("c:1,d:1"),
        ..Goaway::new(Code::MOVED, GoawayClass::Move, "")
    };
    for _ in 0..5 {
        desk.input(Input::Connected);
        desk.goaway(&elsewhere);
    }
    assert_eq!(desk.connects, ["a:1", "c:1", "c:1", "c:1", "c:1"]);
    assert!(matches!(desk.events().last(), Some(Event::Closed { .. })));
}

#[test]
fn goaway_terminal_is_the_end() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "x");
    desk.goaway(&Goaway::new(Code::REPLACED, GoawayClass::Terminal, "twin"));
    let reason = ClientError::Goaway {
        code: Code::REPLACED,
        class: GoawayClass::Terminal,
        text: "twin".into(),
    };
    assert_eq!(
        desk.events().last(),
        Some(&Event::Closed { reason, unacked: 1 })
    );
    assert_eq!(desk.session.next_deadline(), None);
}

#[test]
fn a_greeting_refused_for_the_producers_age_comes_back_without_it() {
    let mut desk = Desk::open(&options(), 5);
    desk.input(Input::Disconnected);
    desk.pass(10);
    desk.input(Input::Connected);
    desk.sent();
    desk.goaway(&Goaway::new(
        Code::PRODUCER_EXPIRED,
        GoawayClass::Terminal,
        "",
    ));
    desk.pass(20);
    assert_eq!(desk.greet(6), "HELLO ann producer 0 device 7");
}

#[test]
fn a_kept_producer_refused_is_the_end() {
    let mut desk = Desk::new(&options().producer(antiphon_protocol::Producer(5)));
    assert_eq!(desk.greet(6), "HELLO ann producer 5 device 0");
    assert_eq!(failure(&mut desk), Some(ClientError::ProducerRefused));
}

#[test]
fn what_is_no_protocol_ends_the_connection_not_the_session() {
    for (bytes, violation) in [
        (vec![0xFF; 16], Violation::BrokenStream),
        (frame(2, 3), Violation::BadFrame(2)),
        (frame(1, 40), Violation::BadFrame(1)),
    ] {
        let mut desk = Desk::open(&options(), 5);
        desk.input(Input::Received(&bytes));
        assert_eq!(failure(&mut desk), protocol(violation), "{bytes:?}");
        assert_eq!(desk.disconnects, 1);
        desk.pass(10);
        assert_eq!(desk.greet(5), "HELLO ann producer 5 device 7");
        desk.input(Input::Received(&bytes));
        let closed = desk.events().pop();
        assert!(
            matches!(closed, Some(Event::Closed { .. })),
            "twice at once: {closed:?}"
        );
    }
}

#[test]
fn a_good_connection_that_is_lost_is_made_again_at_once() {
    let mut desk = Desk::open(&options(), 5);
    desk.pass(1_000);
    desk.input(Input::Disconnected);
    assert_eq!(desk.connects, ["a:1", "a:1"]);
}

/// A frame of zeros.
fn frame(kind: u8, len: u8) -> Vec<u8> {
    let mut bytes = vec![0; 16 + usize::from(len)];
    bytes[0] = len;
    bytes[4] = kind;
    bytes
}

#[test]
fn a_frame_above_the_greetings_limit_is_refused_before_it_is_held() {
    let mut desk = Desk::new(&options());
    desk.input(Input::Connected);
    let mut head = frame(2, 0);
    head[..4].copy_from_slice(&8_193_u32.to_le_bytes());
    desk.input(Input::Received(&head));
    assert_eq!(failure(&mut desk), protocol(Violation::BrokenStream));
}

#[test]
fn kinds_of_a_newer_broker_are_passed_over() {
    let mut desk = Desk::open(&options(), 5);
    desk.input(Input::Received(&frame(99, 7)));
    desk.input(Input::Received(&frame(31, 9)));
    desk.receive(|out| Ok_::DONE.encode(RequestId(1_000), out));
    assert_eq!((desk.disconnects, desk.events()), (0, vec![]));
}

#[test]
fn anything_before_the_greeting_but_a_greeting_is_refused() {
    let mut desk = Desk::new(&options());
    desk.input(Input::Connected);
    desk.receive(|out| Ok_::DONE.encode(RequestId(1), out));
    assert_eq!(failure(&mut desk), protocol(Violation::Unexpected(7)));
    let mut desk = Desk::open(&options(), 5);
    desk.receive(|out| welcome(5).encode(RequestId(9), out));
    assert_eq!(failure(&mut desk), protocol(Violation::Unexpected(2)));
}

#[test]
fn frames_may_come_byte_by_byte() {
    let mut desk = Desk::new(&options());
    desk.input(Input::Connected);
    let mut bytes = Vec::new();
    welcome(5).encode(RequestId(2), &mut bytes);
    Ping { nonce: 1 }.encode(RequestId(2), &mut bytes);
    desk.sent();
    for byte in bytes {
        desk.input(Input::Received(&[byte]));
    }
    assert_eq!(desk.sent(), ["PONG 1"]);
}

#[test]
fn a_broker_that_asks_and_does_not_read_fills_no_memory() {
    let mut desk = Desk::open(&options(), 5);
    for nonce in 0..10_000 {
        desk.receive(|out| Ping { nonce }.encode(RequestId(9), out));
    }
    let unsent = desk.session.unsent().len();
    assert!(
        (256 * 1024..257 * 1024).contains(&unsent),
        "{unsent} bytes wait"
    );
}

#[test]
fn bytes_that_have_left_are_not_kept() {
    let mut desk = Desk::open(&options(), 5);
    for nonce in 0..100_000 {
        desk.receive(|out| Ping { nonce }.encode(RequestId(9), out));
        let all_but_one = desk.session.unsent().len() - 1;
        desk.session.advance(all_but_one, desk.now);
    }
    assert!(desk.session.unsent.capacity() <= 1024 * 1024);
}

#[test]
fn losses_count_what_was_in_flight() {
    let mut desk = Desk::open(&options(), 5);
    (1..=3).for_each(|ticket| desk.publish(ticket, "x"));
    desk.ack(1, 1, 1);
    desk.reconnect(5);
    let losses = desk.session.losses();
    assert_eq!((losses.connections, losses.unacked), (1, 2));
}

#[test]
fn close_waits_for_the_last_ack() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "x");
    desk.input(Input::Command(Command::Close));
    desk.sent();
    assert_eq!(desk.events(), []);
    desk.ack(1, 1, 1);
    let events = desk.events();
    assert_eq!(
        events.last(),
        Some(&Event::Closed {
            reason: ClientError::Closed,
            unacked: 0
        })
    );
    assert_eq!(desk.disconnects, 1);
}
