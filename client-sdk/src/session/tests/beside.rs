//! Signals, cursors, metadata and checks, answer by answer.

use antiphon_protocol::{
    Code, Count, CursorAnswer, CursorEntries, CursorEntry, CursorPosition, CursorScope, Device,
    Features, Ok_, Pong, PongDigest, RequestId, RoomId, Seq, SignalContent, SignalPush, Subscribed,
    Welcome, position_digest,
};

use crate::check::Check;
use crate::cursor::{CursorMove, CursorName};
use crate::error::{ClientError, Violation};
use crate::record::Delivery;
use crate::session::tests::desk::{Desk, ROOM, options, producer_of_age, welcome};
use crate::session::tests::world::room;
use crate::session::{Ask, Command, Event, Input, Ticket};
use crate::signal::Signal;
use crate::subscription::{Follow, Start};

/// Connected and greeted by a broker that counts.
fn counting() -> Desk {
    let mut desk = Desk::new(&options());
    greet(&mut desk);
    desk
}

fn greet(desk: &mut Desk) {
    desk.input(Input::Connected);
    desk.sent();
    let welcome = Welcome {
        features: Features::DIGESTS,
        ..welcome(5)
    };
    desk.receive(|out| welcome.encode(RequestId(2), out));
    desk.events();
}

fn pong(desk: &mut Desk, id: u64, rooms: &[(u64, u64)], behind: u32) {
    let digest = rooms.iter().fold(0, |digest, (room, seq)| {
        digest ^ position_digest(RoomId(*room), Seq(*seq))
    });
    let told = PongDigest {
        digest,
        rooms: rooms.len() as u32,
        behind,
        as_of_ms: 0,
    };
    let (nonce, digest) = (id, Some(told));
    desk.receive(|out| Pong { nonce, digest }.encode(RequestId(id), out));
}

fn check(desk: &mut Desk, ticket: u64) {
    let ticket = Ticket(ticket);
    desk.input(Input::Command(Command::Check { ticket }));
}

fn checked(rooms: u32, behind: u32) -> Event {
    let as_of = std::time::Duration::ZERO;
    let check = Check {
        rooms,
        behind,
        as_of,
    };
    Event::Checked(Ticket(9), Ok(check))
}

fn signal(desk: &mut Desk, ticket: u64, key: &str, value: &str) {
    desk.input(Input::Command(Command::Signal {
        ticket: Ticket(ticket),
        room: room("lobby"),
        signal: Signal::new("typing").key(key).value(value),
    }));
}

fn set_cursor(desk: &mut Desk, ticket: u64, seq: u64) {
    desk.input(Input::Command(Command::Ask {
        ticket: Ticket(ticket),
        ask: Ask::Cursor {
            room: room("lobby"),
            name: CursorName::new("read").expect("a lawful name"),
            to: CursorMove::to(Seq(seq), Count(seq)).sync(),
        },
    }));
}

fn position(seq: u64) -> CursorPosition {
    let (seq, count) = (Seq(seq), Count(seq));
    CursorPosition { seq, count }
}

#[test]
fn a_signal_is_sent_once_and_its_refusal_is_counted() {
    let mut desk = Desk::open(&options(), 5);
    signal(&mut desk, 1, "web", "open");
    assert_eq!(desk.sent(), ["true SIGNAL lobby typing web=open"]);
    assert_eq!(desk.events(), [Event::Done(Ticket(1), Ok(()))]);
    desk.refuse_request(4 | 1 << 63, Code::NOT_FOUND, 0);
    let events = desk.events();
    assert!(
        matches!(&events[..], [Event::SignalRefused(refusal)] if refusal.code == Code::NOT_FOUND),
        "{events:?}"
    );
    desk.reconnect(5);
    assert_eq!(desk.sent(), [""; 0], "it matters now or never");
}

#[test]
fn without_a_connection_no_signal_is_sent() {
    let mut desk = Desk::open(&options(), 5);
    desk.input(Input::Disconnected);
    desk.events();
    signal(&mut desk, 1, "", "");
    let lost = Event::Done(Ticket(1), Err(ClientError::Disconnected));
    assert_eq!(desk.events(), [lost]);
    desk.pass(10);
    desk.greet(5);
    assert_eq!(desk.sent(), [""; 0]);
}

#[test]
fn what_a_subscription_wants_is_asked_for_again_after_a_loss() {
    let mut desk = Desk::open(&options(), 5);
    desk.subscribe(1, Follow::from(Start::Last(2)).signals().cursors());
    assert_eq!(
        desk.sent(),
        ["4 SUBSCRIBE lobby last 2 with signals and cursors"]
    );
    desk.subscribed(4, 3, 4);
    desk.reconnect(5);
    assert_eq!(
        desk.sent(),
        ["8 SUBSCRIBE ROOM after 3 checked with signals and cursors"]
    );
}

#[test]
fn a_cursor_is_the_start_once_and_then_the_position_is() {
    let mut desk = Desk::open(&options(), 5);
    let read = CursorName::new("read").expect("a lawful name");
    desk.subscribe(1, Start::Cursor(read));
    assert_eq!(desk.sent(), ["4 SUBSCRIBE lobby from cursor read"]);
    desk.reconnect(5);
    assert_eq!(desk.sent(), ["8 SUBSCRIBE lobby from cursor read"]);
    desk.subscribed(8, 3, 3);
    desk.record(3);
    assert_eq!(desk.delivered(), [3]);
    desk.reconnect(5);
    assert_eq!(desk.sent(), ["12 SUBSCRIBE ROOM after 3 checked"]);
}

#[test]
fn signals_and_cursors_come_between_records_and_move_no_position() {
    let mut desk = Desk::open(&options(), 5);
    desk.subscribe(1, Follow::from(Start::Beginning).signals().cursors());
    desk.sent();
    desk.subscribed(4, 2, 1);
    desk.record(1);
    desk.events();
    let content = SignalContent {
        sender: "bob",
        device: Device(3),
        name: "typing",
        key: b"",
        value: b"x",
    };
    let push = SignalPush {
        room_id: ROOM,
        dropped: 2,
        signal: Some(content),
    };
    desk.receive(|out| push.encode(out));
    let moved = antiphon_protocol::CursorMoved {
        room_id: ROOM,
        user: "bob",
        name: "read",
        position: position(1),
        scope: CursorScope::MEMBERS,
    };
    desk.receive(|out| moved.encode(out));
    let events = desk.events();
    let [
        Event::Delivered(_, Delivery::SignalsDropped(2)),
        Event::Delivered(_, Delivery::Signal(heard)),
        Event::Delivered(_, Delivery::Cursor(moved)),
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((&*heard.sender, heard.text().as_ref()), ("bob", "x"));
    assert_eq!((&*moved.user, moved.position), ("bob", position(1)));
    desk.record(2);
    assert_eq!(desk.delivered(), [2]);
    desk.receive(|out| {
        SignalPush {
            room_id: RoomId(1),
            ..push
        }
        .encode(out)
    });
    assert!(desk.events().is_empty(), "of a room that nobody follows");
}

#[test]
fn my_own_cursors_come_with_the_subscription() {
    let mut desk = Desk::open(&options(), 5);
    desk.subscribe(1, Follow::from(Start::Beginning).cursors());
    let mut list = Vec::new();
    let entry = CursorEntry {
        name: "read",
        position: position(2),
        scope: CursorScope::PRIVATE,
    };
    entry.append(&mut list);
    let subscribed = Subscribed {
        room_id: ROOM,
        head_seq: Seq(2),
        cursors: CursorEntries::new(&list).expect("a lawful list"),
        ..Subscribed::NO_ROOM
    };
    desk.receive(|out| subscribed.encode(RequestId(4), out));
    let events = desk.events();
    assert!(
        matches!(&events[..], [Event::Subscribed(..), Event::Delivered(_, Delivery::Cursor(moved))]
            if moved.user == "ann" && moved.name == "read" && moved.position == position(2)),
        "{events:?}"
    );
}

#[test]
fn a_cursor_is_asked_for_until_the_broker_answers() {
    let producer = producer_of_age(0);
    let mut desk = Desk::open(&options(), producer);
    set_cursor(&mut desk, 1, 7);
    assert_eq!(
        desk.sent(),
        ["4 CURSOR lobby read to 7 7 PRIVATE sync true"]
    );
    desk.reconnect(producer);
    assert_eq!(
        desk.sent(),
        ["8 CURSOR lobby read to 7 7 PRIVATE sync true"]
    );
    desk.refuse_request(8, Code::UNAVAILABLE, 0);
    assert!(
        desk.events()
            .iter()
            .all(|event| !matches!(event, Event::CursorAnswered(..)))
    );
    desk.pass(10);
    assert_eq!(
        desk.sent(),
        ["10 CURSOR lobby read to 7 7 PRIVATE sync true"]
    );
    let answer = CursorAnswer {
        position: position(7),
        head: position(9),
    };
    let cursor = Some(answer);
    desk.receive(|out| Ok_ { cursor }.encode(RequestId(10), out));
    assert_eq!(
        desk.events(),
        [Event::CursorAnswered(Ticket(1), Ok(answer))]
    );
}

#[test]
fn a_cursor_above_the_head_is_refused_for_good() {
    let mut desk = Desk::open(&options(), 5);
    set_cursor(&mut desk, 1, 7);
    desk.refuse_request(4, Code::CONFLICT, 3);
    let events = desk.events();
    assert!(
        matches!(&events[..], [Event::CursorAnswered(Ticket(1), Err(ClientError::Rejected(rejection)))]
            if rejection.code == Code::CONFLICT && rejection.hint == 3),
        "{events:?}"
    );
    desk.reconnect(5);
    assert_eq!(desk.sent(), [""; 0]);
}

#[test]
fn a_check_counts_what_came_and_what_was_left() {
    let mut desk = counting();
    desk.subscribe(1, Start::Beginning);
    desk.subscribed(4, 2, 1);
    desk.record(1);
    desk.events();
    check(&mut desk, 9);
    assert_eq!(desk.sent().last().map(String::as_str), Some("6 PING"));
    desk.record(2);
    desk.events();
    pong(&mut desk, 6, &[(ROOM.0, 2)], 1);
    assert_eq!(desk.events(), [checked(1, 1)]);

    let ticket = Ticket(1);
    desk.input(Input::Command(Command::Unsubscribe { ticket }));
    check(&mut desk, 9);
    assert_eq!(desk.sent(), ["8 UNSUBSCRIBE ROOM", "10 PING"]);
    desk.record(3);
    pong(&mut desk, 10, &[(ROOM.0, 3)], 0);
    assert_eq!(desk.events(), [checked(1, 0)], "it counts until the OK");
    desk.receive(|out| Ok_::DONE.encode(RequestId(8), out));
    check(&mut desk, 9);
    desk.sent();
    pong(&mut desk, 12, &[], 0);
    assert_eq!(desk.events(), [checked(0, 0)]);
}

#[test]
fn a_room_that_was_left_before_its_answer_counts_from_the_answer_to_the_ok() {
    let mut desk = counting();
    desk.subscribe(1, Start::Live);
    let ticket = Ticket(1);
    desk.input(Input::Command(Command::Unsubscribe { ticket }));
    assert_eq!(
        desk.sent().last().map(String::as_str),
        Some("6 UNSUBSCRIBE lobby")
    );
    desk.subscribed(4, 2, 3);
    check(&mut desk, 9);
    pong(&mut desk, 8, &[(ROOM.0, 2)], 0);
    assert_eq!(desk.events(), [checked(1, 0)]);
    desk.receive(|out| Ok_::DONE.encode(RequestId(6), out));
    check(&mut desk, 9);
    pong(&mut desk, 10, &[], 0);
    assert_eq!(desk.events(), [checked(0, 0)]);
}

#[test]
fn a_room_that_is_born_while_it_is_left_counts_to_the_ok() {
    let mut desk = counting();
    desk.subscribe(1, Start::Live);
    desk.receive(|out| Subscribed::NO_ROOM.encode(RequestId(4), out));
    let ticket = Ticket(1);
    desk.input(Input::Command(Command::Unsubscribe { ticket }));
    desk.subscribed(4, 1, 1);
    desk.events();
    check(&mut desk, 9);
    pong(&mut desk, 8, &[(ROOM.0, 0)], 0);
    assert_eq!(desk.events(), [checked(1, 0)]);
    desk.receive(|out| Ok_::DONE.encode(RequestId(6), out));
    check(&mut desk, 9);
    pong(&mut desk, 10, &[], 0);
    assert_eq!(desk.events(), [checked(0, 0)]);
}

#[test]
fn an_answer_to_no_subscribe_counts_nothing() {
    let mut desk = counting();
    desk.subscribe(1, Start::Live);
    desk.subscribed(4, 2, 3);
    desk.events();
    for id in 100..200 {
        let subscribed = Subscribed {
            room_id: RoomId(id),
            ..Subscribed::NO_ROOM
        };
        desk.receive(|out| subscribed.encode(RequestId(id), out));
    }
    check(&mut desk, 9);
    pong(&mut desk, 6, &[(ROOM.0, 2)], 0);
    assert_eq!(desk.events(), [checked(1, 0)]);
}

#[test]
fn a_digest_that_differs_ends_the_connection_and_reading_goes_on() {
    let mut desk = counting();
    desk.subscribe(1, Start::Beginning);
    desk.subscribed(4, 2, 1);
    desk.record(1);
    desk.events();
    check(&mut desk, 9);
    pong(&mut desk, 6, &[(ROOM.0, 2)], 0);
    let events = desk.events();
    let differs = ClientError::Protocol(Violation::Digest);
    assert_eq!(events[0], Event::Checked(Ticket(9), Err(differs.clone())));
    assert_eq!(events[1], Event::ConnectionFailed(differs));
    desk.sent();
    desk.pass(10);
    desk.input(Input::Connected);
    assert_eq!(
        desk.sent().last().map(String::as_str),
        Some("10 SUBSCRIBE ROOM after 1 checked")
    );
}

#[test]
fn a_check_that_nobody_waits_for_any_more_is_not_asked_again() {
    let mut desk = counting();
    check(&mut desk, 8);
    check(&mut desk, 9);
    assert_eq!(desk.sent(), ["4 PING", "6 PING"]);
    let ticket = Ticket(9);
    desk.input(Input::Command(Command::Cancel { ticket }));
    for nonce in [6, 4] {
        let digest = None;
        desk.receive(|out| Pong { nonce, digest }.encode(RequestId(nonce), out));
    }
    assert_eq!(desk.sent(), ["8 PING"], "for the one that waits");
    pong(&mut desk, 8, &[], 0);
    let events = desk.events();
    assert!(
        matches!(&events[..], [Event::Checked(Ticket(8), Ok(check))] if check.is_complete()),
        "{events:?}"
    );
}

#[test]
fn a_check_behind_another_one_asks_again_and_an_old_broker_says_so() {
    let mut desk = counting();
    check(&mut desk, 9);
    let (nonce, digest) = (4, None);
    desk.sent();
    desk.receive(|out| Pong { nonce, digest }.encode(RequestId(4), out));
    assert_eq!(desk.sent(), ["6 PING"]);
    pong(&mut desk, 6, &[], 0);
    assert_eq!(desk.events(), [checked(0, 0)]);

    let mut desk = Desk::open(&options(), 5);
    check(&mut desk, 9);
    let old = Event::Checked(Ticket(9), Err(ClientError::NotServed));
    assert_eq!(desk.events(), [old]);
}
