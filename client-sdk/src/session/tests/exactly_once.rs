//! Every answer to a publish, and what follows from it (docs/protocol.md, section 5).

use antiphon_protocol::{Code, Producer, ProducerSeq};

use crate::error::{Doubt, Misuse, PublishError};
use crate::session::tests::desk::{Desk, options, producer_of_age};
use crate::session::{Command, Event, Input, Ticket};

/// The outcomes since the last call: ticket and "ok SEQ" or the error.
fn outcomes(desk: &mut Desk) -> Vec<(u64, Result<u64, PublishError>)> {
    let ends = desk.events().into_iter().filter_map(|event| match event {
        Event::Published(ticket, result) => Some((ticket.0, result.map(|receipt| receipt.seq.0))),
        _ => None,
    });
    ends.collect()
}

fn give_up(desk: &mut Desk, ticket: u64) {
    desk.input(Input::Command(Command::GiveUp {
        ticket: Ticket(ticket),
    }));
}

fn is_rejected(outcome: &Result<u64, PublishError>, code: Code) -> bool {
    matches!(outcome, Err(PublishError::Rejected(rejection)) if rejection.code == code)
}

#[test]
fn messages_leave_in_order_by_name_and_then_by_number() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "a");
    desk.publish(2, "b");
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#1 a", "PUBLISH lobby 5#2 b"]);
    desk.ack(1, 1, 10);
    desk.ack(2, 2, 11);
    assert_eq!(outcomes(&mut desk), [(1, Ok(10)), (2, Ok(11))]);
    desk.publish(3, "c");
    assert_eq!(desk.sent(), ["PUBLISH ROOM 5#3 c"]);
}

#[test]
fn no_more_is_in_flight_than_the_broker_told() {
    let mut desk = Desk::open(&options(), 5);
    (1..=6).for_each(|ticket| desk.publish(ticket, "x"));
    assert_eq!(desk.sent().len(), 4);
    desk.ack(1, 1, 1);
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#5 x"]);
}

#[test]
fn after_a_lost_connection_the_same_goes_again_under_the_same_producer() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "a");
    desk.publish(2, "b");
    let before = desk.sent();
    assert_eq!(desk.reconnect(5), "HELLO ann producer 5 device 7");
    desk.publish(3, "c");
    assert_eq!(desk.sent()[..2], before);
    desk.ack(1, 1, 1);
    desk.ack(2, 2, 2);
    desk.ack(3, 3, 3);
    assert_eq!(outcomes(&mut desk), [(1, Ok(1)), (2, Ok(2)), (3, Ok(3))]);
}

#[test]
fn a_refusal_for_now_holds_the_room_and_all_go_again_in_order() {
    let mut desk = Desk::open(&options(), 5);
    (1..=3).for_each(|ticket| desk.publish(ticket, "x"));
    desk.sent();
    desk.refuse(1, Code::LIMIT, 0);
    desk.refuse(2, Code::OUT_OF_ORDER, 0);
    desk.refuse(3, Code::OUT_OF_ORDER, 0);
    assert_eq!(desk.sent(), [""; 0]);
    desk.pass(10);
    assert_eq!(
        desk.sent(),
        [
            "PUBLISH lobby 5#1 x",
            "PUBLISH lobby 5#2 x",
            "PUBLISH lobby 5#3 x"
        ]
    );
    assert_eq!(outcomes(&mut desk), []);
}

#[test]
fn the_wait_that_the_broker_asks_for_is_kept() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "x");
    desk.sent();
    desk.receive(|out| {
        let error = antiphon_protocol::ErrorFrame::new(Code::STORAGE_FULL);
        antiphon_protocol::ErrorFrame {
            retry_after_ms: 500,
            ..error
        }
        .encode(antiphon_protocol::RequestId(3), out);
    });
    desk.pass(499);
    assert_eq!(desk.sent(), [""; 0]);
    desk.pass(1);
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#1 x"]);
}

#[test]
fn a_refusal_for_good_frees_its_number_for_those_behind() {
    let mut desk = Desk::open(&options(), 5);
    ["a", "b", "c"]
        .into_iter()
        .zip(1..)
        .for_each(|(body, ticket)| desk.publish(ticket, body));
    desk.sent();
    desk.refuse(1, Code::FORBIDDEN, 0);
    desk.refuse(2, Code::OUT_OF_ORDER, 0);
    desk.publish(4, "d");
    assert_eq!(desk.sent(), [""; 0], "nothing moves while c is in flight");
    desk.refuse(3, Code::OUT_OF_ORDER, 0);
    assert_eq!(
        desk.sent(),
        [
            "PUBLISH lobby 5#1 b",
            "PUBLISH lobby 5#2 c",
            "PUBLISH lobby 5#3 d"
        ]
    );
    let ends = outcomes(&mut desk);
    assert!(
        ends.len() == 1 && is_rejected(&ends[0].1, Code::FORBIDDEN),
        "{ends:?}"
    );
}

#[test]
fn a_connection_lost_behind_a_freed_number_leaves_no_doubt() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "a");
    desk.publish(2, "b");
    desk.sent();
    desk.refuse(1, Code::FORBIDDEN, 0);
    // b was never answered, but number 1 is empty for ever under this producer: b goes on under another one.
    assert_eq!(desk.reconnect(6), "HELLO ann producer 0 device 7");
    assert_eq!(desk.sent(), ["PUBLISH lobby 6#1 b"]);
    assert_eq!(outcomes(&mut desk).len(), 1);
}

#[test]
fn a_refusal_for_good_behind_a_lost_connection_is_unknown_and_brings_a_new_producer() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "a");
    desk.publish(2, "b");
    desk.sent();
    desk.reconnect(5);
    desk.publish(3, "c");
    desk.sent();
    desk.refuse(1, Code::FORBIDDEN, 0);
    desk.refuse(2, Code::OUT_OF_ORDER, 0);
    desk.refuse(3, Code::OUT_OF_ORDER, 0);
    let unknown = || Err(PublishError::Unknown(Doubt::Refused));
    assert_eq!(outcomes(&mut desk), [(1, unknown()), (2, unknown())]);
    assert_eq!(desk.greet(6), "HELLO ann producer 0 device 7");
    assert_eq!(desk.sent(), ["PUBLISH lobby 6#1 c"]);
}

#[test]
fn a_refusal_for_good_in_front_of_a_doubt_clears_the_doubt() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "a");
    desk.publish(2, "b");
    desk.sent();
    desk.refuse(1, Code::LIMIT, 0);
    desk.reconnect(5);
    desk.pass(10);
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#1 a", "PUBLISH lobby 5#2 b"]);
    // Every attempt of a was answered and none taken, so number 1 is empty, and no attempt of b can ever count.
    desk.refuse(1, Code::FORBIDDEN, 0);
    desk.refuse(2, Code::OUT_OF_ORDER, 0);
    assert_eq!(desk.greet(6), "HELLO ann producer 0 device 7");
    assert_eq!(desk.sent(), ["PUBLISH lobby 6#1 b"]);
    let ends = outcomes(&mut desk);
    assert!(
        ends.len() == 1 && is_rejected(&ends[0].1, Code::FORBIDDEN),
        "{ends:?}"
    );
}

#[test]
fn an_expired_producer_is_replaced_unseen() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "a");
    desk.sent();
    desk.refuse(1, Code::PRODUCER_EXPIRED, 0);
    assert_eq!(desk.connects.len(), 2, "at once");
    assert_eq!(desk.greet(6), "HELLO ann producer 0 device 7");
    assert_eq!(desk.sent(), ["PUBLISH lobby 6#1 a"]);
    assert_eq!(outcomes(&mut desk), []);
    // A broker whose clock refuses every producer is not asked at full speed.
    desk.refuse(1, Code::PRODUCER_EXPIRED, 0);
    assert_eq!(desk.connects.len(), 2);
    desk.pass(10);
    assert_eq!(desk.connects.len(), 3);
}

#[test]
fn another_producer_waits_for_the_doubts_of_other_rooms() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "a");
    let (room, outgoing) = (
        super::world::room("other"),
        super::world::outgoing("b", None),
    );
    desk.input(Input::Command(Command::Publish {
        ticket: Ticket(2),
        room,
        outgoing,
    }));
    desk.sent();
    desk.refuse(1, Code::PRODUCER_EXPIRED, 0);
    desk.publish(3, "c");
    assert_eq!(desk.disconnects, 0, "b is in flight");
    assert_eq!(desk.sent(), [""; 0]);
    desk.receive(|out| {
        let entry = antiphon_protocol::PubackEntry {
            request: antiphon_protocol::RequestId(5),
            room_id: antiphon_protocol::RoomId(77),
            producer_seq: ProducerSeq(1),
            seq: antiphon_protocol::Seq(1),
            link: antiphon_protocol::Link(1),
            time: antiphon_protocol::Timestamp(1),
            duplicate: false,
        };
        let mut builder = antiphon_protocol::PubackBuilder::default();
        builder.push(&entry, out);
        builder.finish(out);
    });
    assert_eq!(desk.disconnects, 1);
    desk.greet(6);
    assert_eq!(desk.sent(), ["PUBLISH lobby 6#1 a", "PUBLISH lobby 6#2 c"]);
}

#[test]
fn a_producer_of_six_days_is_replaced_when_nothing_is_in_flight() {
    let mut desk = Desk::open(&options(), producer_of_age(0));
    desk.reconnect(producer_of_age(0));
    let old = producer_of_age(6);
    let mut desk = Desk::open(&options(), old);
    desk.publish(1, "a");
    desk.sent();
    assert_eq!(desk.disconnects, 0, "a new producer counts as born now");
    desk.reconnect(old);
    desk.sent();
    desk.pass(1);
    assert_eq!(desk.disconnects, 1, "only the lost one: a is in doubt");
    desk.ack(1, 1, 1);
    assert_eq!(desk.disconnects, 2);
    assert_eq!(desk.greet(8), "HELLO ann producer 0 device 7");
}

#[test]
fn a_broker_that_forgot_what_it_acked_is_told_apart() {
    let mut desk = Desk::open(&options(), 5);
    (1..=2).for_each(|ticket| desk.publish(ticket, "x"));
    desk.sent();
    desk.ack(1, 1, 1);
    desk.reconnect(5);
    desk.publish(3, "y");
    desk.sent();
    desk.events();
    desk.refuse(2, Code::OUT_OF_ORDER, 0);
    assert_eq!(
        outcomes(&mut desk),
        [(2, Err(PublishError::Unknown(Doubt::BrokerForgot)))]
    );
    desk.refuse(3, Code::OUT_OF_ORDER, 0);
    desk.greet(6);
    assert_eq!(desk.sent(), ["PUBLISH ROOM 6#1 y"]);
}

#[test]
fn an_old_answer_that_was_overtaken_is_not_taken_for_a_broker_that_forgot() {
    let mut desk = Desk::open(&options(), 5);
    (1..=3).for_each(|ticket| desk.publish(ticket, "x"));
    desk.sent();
    desk.refuse(1, Code::LIMIT, 0);
    desk.refuse(2, Code::OUT_OF_ORDER, 0);
    desk.pass(10);
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#1 x", "PUBLISH lobby 5#2 x"]);
    desk.ack(1, 1, 1);
    // The answer to the first attempt of 3, from when number 1 was still refused.
    desk.refuse(3, Code::OUT_OF_ORDER, 0);
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#3 x"]);
    desk.reconnect(5);
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#2 x", "PUBLISH lobby 5#3 x"]);
}

#[test]
fn a_number_that_somebody_else_filled_leaves_those_in_flight_behind_it_in_doubt() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "a");
    desk.publish(2, "b");
    desk.sent();
    desk.refuse(1, Code::PRODUCER_CONFLICT, 0);
    assert_eq!(desk.reconnect(6), "HELLO ann producer 0 device 7");
    assert_eq!(desk.sent(), ["PUBLISH lobby 6#1 a"]);
    assert_eq!(
        outcomes(&mut desk),
        [(2, Err(PublishError::Unknown(Doubt::Refused)))]
    );
}

#[test]
fn a_message_given_up_before_it_was_sent_is_taken_back_and_those_behind_move_up() {
    let mut desk = Desk::open(&options(), 5);
    desk.input(Input::Disconnected);
    ["a", "b", "c"]
        .into_iter()
        .zip(1..)
        .for_each(|(body, ticket)| desk.publish(ticket, body));
    give_up(&mut desk, 2);
    assert_eq!(outcomes(&mut desk), [(2, Err(PublishError::Timeout))]);
    desk.pass(10);
    desk.greet(5);
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#1 a", "PUBLISH lobby 5#2 c"]);
}

#[test]
fn a_message_given_up_while_it_is_refused_says_what_the_broker_said() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "a");
    desk.sent();
    desk.refuse(1, Code::STORAGE_FULL, 0);
    give_up(&mut desk, 1);
    let ends = outcomes(&mut desk);
    assert!(is_rejected(&ends[0].1, Code::STORAGE_FULL), "{ends:?}");
    desk.publish(2, "b");
    desk.pass(10);
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#1 b"]);
}

#[test]
fn a_message_given_up_in_flight_is_unknown_and_goes_on() {
    let mut desk = Desk::open(&options(), 5);
    desk.publish(1, "a");
    desk.sent();
    give_up(&mut desk, 1);
    assert_eq!(
        outcomes(&mut desk),
        [(1, Err(PublishError::Unknown(Doubt::Deadline)))]
    );
    desk.reconnect(5);
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#1 a"]);
    desk.events();
    desk.ack(1, 1, 1);
    assert_eq!(
        desk.events(),
        [Event::Released {
            messages: 1,
            bytes: desk_bytes()
        }]
    );
}

/// What the message "a" costs in the outbox.
fn desk_bytes() -> u64 {
    super::world::outgoing("a", None).held_bytes(&super::world::room("lobby"))
}

#[test]
fn a_kept_producer_numbers_as_it_is_told() {
    let mut desk = Desk::open(
        &options()
            .producer(Producer(5))
            .producer_seqs([("lobby", ProducerSeq(41))]),
        5,
    );
    desk.publish(1, "a");
    desk.publish_numbered(2, "b", Some(43));
    desk.publish_numbered(3, "c", Some(45));
    assert_eq!(
        desk.sent(),
        ["PUBLISH lobby 5#42 a", "PUBLISH lobby 5#43 b"]
    );
    let misuse = Misuse::ProducerSeq {
        expected: ProducerSeq(44),
        given: ProducerSeq(45),
    };
    assert_eq!(outcomes(&mut desk), [(3, Err(misuse.into()))]);
    desk.ack(1, 42, 1);
    desk.ack(2, 43, 2);
    desk.publish_numbered(4, "a", Some(42));
    assert_eq!(
        desk.sent(),
        ["PUBLISH ROOM 5#42 a"],
        "when nothing is unacked any number may come again"
    );
}

#[test]
fn number_0_is_none_even_for_the_first_message_of_a_room() {
    let mut desk = Desk::open(&options().producer(Producer(5)), 5);
    desk.publish_numbered(1, "a", Some(0));
    assert_eq!(desk.sent(), [""; 0]);
    let misuse = Misuse::ProducerSeq {
        expected: ProducerSeq(1),
        given: ProducerSeq(0),
    };
    assert_eq!(outcomes(&mut desk), [(1, Err(misuse.into()))]);
}

#[test]
fn a_kept_producer_is_never_changed_and_those_behind_a_refusal_are_told() {
    let mut desk = Desk::open(&options().keep_producer(), 5);
    ["a", "b", "c"]
        .into_iter()
        .zip(1..)
        .for_each(|(body, ticket)| desk.publish(ticket, body));
    desk.sent();
    desk.refuse(1, Code::FORBIDDEN, 0);
    desk.refuse(2, Code::OUT_OF_ORDER, 0);
    desk.refuse(3, Code::OUT_OF_ORDER, 0);
    let ends = outcomes(&mut desk);
    let behind = || {
        Err(PublishError::OutOfOrder {
            expected: ProducerSeq(1),
        })
    };
    assert!(is_rejected(&ends[0].1, Code::FORBIDDEN));
    assert_eq!(ends[1..], [(2, behind()), (3, behind())]);
    desk.publish(4, "d");
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#1 d"]);
    desk.refuse(4, Code::PRODUCER_EXPIRED, 0);
    assert_eq!(
        outcomes(&mut desk),
        [(4, Err(PublishError::ProducerExpired))]
    );
    assert_eq!(desk.disconnects, 0);
}

#[test]
fn a_number_that_holds_another_message_is_told_and_the_next_go_on() {
    let mut desk = Desk::open(&options().producer(Producer(5)), 5);
    desk.publish(1, "a");
    desk.publish(2, "b");
    desk.sent();
    desk.refuse(1, Code::PRODUCER_CONFLICT, 0);
    desk.ack(2, 2, 9);
    assert_eq!(
        outcomes(&mut desk),
        [
            (1, Err(PublishError::ProducerConflict(ProducerSeq(1)))),
            (2, Ok(9))
        ]
    );
}

#[test]
fn a_kept_producer_whose_numbers_start_too_high_is_told_where_to_start() {
    let mut desk = Desk::open(&options().producer(Producer(5)), 5);
    desk.publish_numbered(1, "a", Some(10));
    desk.sent();
    desk.refuse(1, Code::OUT_OF_ORDER, 7);
    assert_eq!(
        outcomes(&mut desk),
        [(
            1,
            Err(PublishError::OutOfOrder {
                expected: ProducerSeq(8)
            })
        )]
    );
    desk.publish(2, "b");
    assert_eq!(desk.sent(), ["PUBLISH lobby 5#8 b"]);
}

#[test]
fn an_end_says_of_each_message_whether_it_was_sent() {
    let mut desk = Desk::open(&options(), 5);
    (1..=6).for_each(|ticket| desk.publish(ticket, "x"));
    desk.input(Input::Command(Command::Abort));
    let ends = outcomes(&mut desk);
    let unknown = ends
        .iter()
        .filter(|(_, end)| *end == Err(PublishError::Unknown(Doubt::Closed)))
        .count();
    let closed = ends
        .iter()
        .filter(|(_, end)| matches!(end, Err(PublishError::Closed(_))))
        .count();
    assert_eq!((unknown, closed), (4, 2));
}
