//! Subscriptions and history, answer by answer.

use antiphon_protocol::{
    Code, ErrorFrame, Gap, GapReason, Link, Ok_, Page, PageHead, RequestId, RoomId, RoomRef, Seq,
    Subscribed, Unsubscribe,
};

use crate::error::{ClientError, SubscribeError, Violation};
use crate::history::HistoryRange;
use crate::record::{Delivery, Position};
use crate::session::tests::desk::{Desk, ROOM, options, records, welcome};
use crate::session::tests::world::room;
use crate::session::{Command, Event, Input, Ticket};
use crate::subscription::Start;

/// A subscription from the first record on, which is answered; its SUBSCRIBE had id 4.
fn reading(head: u64) -> Desk {
    let mut desk = Desk::open(&options(), 5);
    desk.subscribe(1, Start::Beginning);
    assert_eq!(desk.sent(), ["4 SUBSCRIBE lobby after 0 ?"]);
    desk.subscribed(4, head, 1);
    desk
}

fn over(desk: &mut Desk) -> Option<SubscribeError> {
    desk.events().into_iter().find_map(|event| match event {
        Event::SubscriptionOver(_, error) => Some(error),
        _ => None,
    })
}

fn consume(desk: &mut Desk, count: u32) {
    let bytes = u64::from(count) * delivery_bytes();
    desk.input(Input::Command(Command::Consumed {
        ticket: Ticket(1),
        records: count,
        bytes,
    }));
}

/// What a delivery of these tests costs: sender "bob", body of one digit.
fn delivery_bytes() -> u64 {
    std::mem::size_of::<Delivery>() as u64 + 4
}

#[test]
fn the_head_is_told_once_and_records_follow() {
    let mut desk = reading(2);
    desk.record(1);
    desk.record(2);
    let events = desk.events();
    let Event::Subscribed(Ticket(1), head, position) = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (head.room_id, head.head.seq, head.count.0),
        (Some(ROOM), Seq(2), 2)
    );
    assert_eq!(position.seq, Seq(0));
    let seqs: Vec<_> = events[1..]
        .iter()
        .map(|event| matches!(event, Event::Delivered(Ticket(1), _)))
        .collect();
    assert_eq!(seqs, [true, true]);
}

#[test]
fn a_lost_connection_resumes_behind_the_last_record_and_tells_nobody() {
    let mut desk = reading(2);
    desk.record(1);
    desk.events();
    desk.reconnect(5);
    assert_eq!(desk.sent(), ["8 SUBSCRIBE ROOM after 1 checked"]);
    desk.subscribed(8, 2, 2);
    desk.record(2);
    assert_eq!(desk.delivered(), [2]);
}

#[test]
fn subscriptions_go_on_behind_hello_before_the_broker_has_greeted() {
    let mut desk = reading(2);
    desk.record(1);
    desk.input(Input::Disconnected);
    desk.sent();
    desk.pass(10);
    desk.input(Input::Connected);
    assert_eq!(
        desk.sent(),
        [
            "HELLO ann producer 5 device 7",
            "8 SUBSCRIBE ROOM after 1 checked"
        ]
    );
    // What is left while the answer is on its way is taken back, in order.
    let ticket = Ticket(1);
    desk.input(Input::Command(Command::Unsubscribe { ticket }));
    assert_eq!(desk.sent(), ["10 UNSUBSCRIBE ROOM"]);
    desk.subscribe(2, Start::Last(1));
    assert_eq!(desk.sent(), ["12 SUBSCRIBE lobby last 1"]);
    desk.receive(|out| welcome(5).encode(RequestId(6), out));
    desk.subscribed(8, 2, 2);
    desk.record(2);
    desk.events();
    desk.receive(|out| Ok_::DONE.encode(RequestId(10), out));
    desk.subscribed(12, 2, 2);
    desk.record(2);
    assert_eq!(desk.delivered(), [2]);
}

#[test]
fn before_the_greeting_only_a_few_are_asked_and_no_history() {
    let mut desk = Desk::new(&options());
    for ticket in 1..=20 {
        let room = room(&ticket.to_string());
        desk.input(Input::Command(Command::Subscribe {
            ticket: Ticket(ticket),
            room,
            follow: Start::Live.into(),
        }));
    }
    desk.input(Input::Command(Command::Fetch {
        ticket: Ticket(21),
        room: room("lobby"),
        range: HistoryRange::Latest,
        limit: 1,
    }));
    desk.input(Input::Connected);
    let sent = desk.sent();
    assert_eq!(sent.len(), 17, "{sent:?}");
    assert!(sent[1..].iter().all(|line| line.contains("SUBSCRIBE")));
    desk.receive(|out| welcome(5).encode(RequestId(2), out));
    assert_eq!(desk.sent(), [""; 0], "it takes two at a time");
    for id in (4..36).step_by(2) {
        desk.receive(|out| Subscribed::NO_ROOM.encode(RequestId(id), out));
    }
    assert_eq!(desk.sent().len(), 2);
}

#[test]
fn a_live_subscription_that_saw_nothing_resumes_where_it_began() {
    let mut desk = Desk::open(&options(), 5);
    desk.subscribe(1, Start::Live);
    assert_eq!(desk.sent(), ["4 SUBSCRIBE lobby live"]);
    desk.subscribed(4, 3, 4);
    desk.reconnect(5);
    assert_eq!(desk.sent(), ["8 SUBSCRIBE ROOM after 3 checked"]);
}

#[test]
fn the_last_n_become_an_ordinary_position() {
    let mut desk = Desk::open(&options(), 5);
    desk.subscribe(1, Start::Last(2));
    assert_eq!(desk.sent(), ["4 SUBSCRIBE lobby last 2"]);
    desk.subscribed(4, 3, 2);
    desk.record(2);
    assert_eq!(desk.delivered(), [2]);
    desk.reconnect(5);
    assert_eq!(desk.sent(), ["8 SUBSCRIBE ROOM after 2 checked"]);
}

#[test]
fn a_room_that_comes_to_be_later_is_read_from_its_first_record() {
    let mut desk = Desk::open(&options(), 5);
    desk.subscribe(1, Start::Live);
    desk.sent();
    desk.receive(|out| Subscribed::NO_ROOM.encode(RequestId(4), out));
    assert!(
        matches!(desk.events()[..], [Event::Subscribed(Ticket(1), head, Position::BEGINNING)] if head.room_id.is_none())
    );
    desk.reconnect(5);
    assert_eq!(
        desk.sent(),
        ["8 SUBSCRIBE lobby after 0 ?"],
        "created meanwhile, its first record would be missed live"
    );
    desk.receive(|out| Subscribed::NO_ROOM.encode(RequestId(8), out));
    desk.subscribed(8, 1, 1);
    desk.record(1);
    assert_eq!(desk.delivered(), [1]);
}

#[test]
fn a_record_that_does_not_follow_ends_the_subscription() {
    let mut desk = reading(3);
    desk.record(1);
    desk.record(3);
    let order = Violation::Order {
        expected: Seq(2),
        got: Seq(3),
    };
    assert_eq!(over(&mut desk), Some(SubscribeError::Protocol(order)));
    assert_eq!(desk.sent(), ["6 UNSUBSCRIBE ROOM"]);
    desk.record(2);
    assert_eq!(desk.delivered(), [0_u64; 0]);
}

#[test]
fn a_record_twice_ends_the_subscription() {
    let mut desk = reading(3);
    desk.record(1);
    desk.record(1);
    let order = Violation::Order {
        expected: Seq(2),
        got: Seq(1),
    };
    assert_eq!(over(&mut desk), Some(SubscribeError::Protocol(order)));
}

#[test]
fn a_record_of_another_history_ends_the_subscription() {
    let mut desk = reading(2);
    // The second record of a room whose first one was different: checksum right, link wrong.
    let mut other = Vec::new();
    let fields = antiphon_protocol::RecordFields {
        room_id: ROOM,
        seq: Seq(2),
        count: antiphon_protocol::Count(2),
        time: antiphon_protocol::Timestamp(2),
        producer: antiphon_protocol::Producer(9),
        producer_seq: antiphon_protocol::ProducerSeq(2),
        back: 0,
        device: antiphon_protocol::Device(7),
        kind: antiphon_protocol::RecordKind::MESSAGE,
        codec: 0,
        record_flags: 0,
        sender: b"bob",
        headers: &[],
        body: b"2",
    };
    antiphon_protocol::append_record(&mut other, &fields, Link(1));
    desk.record(1);
    desk.receive(|out| out.extend_from_slice(&other));
    assert_eq!(
        over(&mut desk),
        Some(SubscribeError::Protocol(Violation::Link(Seq(2))))
    );
}

#[test]
fn a_damaged_record_ends_its_subscription_only() {
    let mut desk = reading(2);
    desk.record(1);
    let mut damaged = records(2)[1].0.clone();
    let body = damaged
        .iter()
        .rposition(|byte| *byte == b'2')
        .expect("the body");
    damaged[body] ^= 1;
    desk.receive(|out| out.extend_from_slice(&damaged));
    assert_eq!(
        over(&mut desk),
        Some(SubscribeError::Protocol(Violation::Checksum(Seq(2))))
    );
    assert_eq!(desk.disconnects, 0);
}

#[test]
fn a_gap_is_delivered_and_reading_goes_on_behind_it_checked() {
    let mut desk = reading(4);
    let link = records(3)[2].1;
    let gap = Gap {
        room_id: ROOM,
        from: Seq(1),
        to: Seq(3),
        link,
        reason: GapReason::RETENTION,
    };
    desk.receive(|out| gap.encode(RequestId::PUSH, out));
    desk.record(4);
    assert_eq!(desk.delivered(), [3, 4]);
    desk.reconnect(5);
    assert_eq!(desk.sent(), ["8 SUBSCRIBE ROOM after 4 checked"]);
}

#[test]
fn another_history_is_told_by_the_broker_or_by_its_answer() {
    let diverged = |head| Some(SubscribeError::Diverged { head: Seq(head) });
    let mut desk = reading(2);
    desk.record(1);
    desk.reconnect(5);
    desk.sent();
    desk.refuse_request(8, Code::DIVERGED, 7);
    assert_eq!(over(&mut desk), diverged(7));

    let mut desk = Desk::open(&options(), 5);
    desk.subscribe(
        1,
        Start::After(Position {
            seq: Seq(1),
            link: Link(1),
        }),
    );
    desk.sent();
    desk.subscribed(4, 2, 2);
    assert_eq!(
        over(&mut desk),
        diverged(2),
        "the broker did not look at the link"
    );

    let mut desk = reading(1);
    desk.reconnect(5);
    desk.sent();
    desk.receive(|out| {
        let room_id = RoomId(ROOM.0 + 1);
        let link = Link::start(room_id);
        Subscribed {
            room_id,
            next_seq: Seq(1),
            link,
            ..Subscribed::NO_ROOM
        }
        .encode(RequestId(8), out);
    });
    assert_eq!(
        over(&mut desk),
        diverged(0),
        "another room of the same name"
    );
}

#[test]
fn a_full_buffer_unsubscribes_acks_go_on_and_half_a_buffer_subscribes_again() {
    let mut desk = reading(9);
    (1..=5).for_each(|seq| desk.record(seq));
    assert_eq!(desk.delivered(), [1, 2, 3, 4], "the bound is 4");
    assert_eq!(desk.sent(), ["6 UNSUBSCRIBE ROOM"]);
    desk.publish(2, "x");
    desk.sent();
    desk.ack(2, 1, 10);
    assert!(matches!(
        desk.events()[0],
        Event::Published(Ticket(2), Ok(_))
    ));
    consume(&mut desk, 1);
    assert_eq!(desk.sent(), [""; 0]);
    consume(&mut desk, 1);
    assert_eq!(desk.sent(), ["8 SUBSCRIBE ROOM after 4 checked"]);
    desk.record(6);
    assert_eq!(desk.delivered(), [0_u64; 0], "of the old subscription");
    desk.subscribed(8, 9, 5);
    desk.record(5);
    assert_eq!(desk.delivered(), [5]);
}

#[test]
fn a_paused_subscription_stays_paused_over_a_lost_connection() {
    let mut desk = reading(9);
    (1..=4).for_each(|seq| desk.record(seq));
    desk.reconnect(5);
    assert_eq!(desk.sent(), [""; 0]);
    consume(&mut desk, 4);
    assert_eq!(desk.sent(), ["10 SUBSCRIBE ROOM after 4 checked"]);
}

#[test]
fn an_end_by_the_broker_is_final_or_not_by_its_code() {
    let mut desk = reading(1);
    let end = |code| Unsubscribe {
        room: RoomRef::Id(ROOM),
        code,
    };
    desk.receive(|out| end(Code::UNAVAILABLE).encode(RequestId::PUSH, out));
    assert_eq!(desk.sent(), [""; 0]);
    desk.pass(10);
    assert_eq!(desk.sent(), ["6 SUBSCRIBE ROOM after 0 checked"]);
    desk.subscribed(6, 1, 1);
    desk.receive(|out| end(Code::FORBIDDEN).encode(RequestId::PUSH, out));
    assert_eq!(
        over(&mut desk),
        Some(SubscribeError::Ended(Code::FORBIDDEN))
    );
    assert_eq!(desk.sent(), ["8 UNSUBSCRIBE lobby"; 0]);
}

#[test]
fn an_application_that_leaves_says_so_and_may_come_back() {
    let mut desk = reading(1);
    desk.input(Input::Command(Command::Unsubscribe { ticket: Ticket(1) }));
    desk.subscribe(2, Start::Live);
    assert_eq!(
        desk.sent(),
        ["6 UNSUBSCRIBE ROOM", "8 SUBSCRIBE lobby live"]
    );
    desk.record(1);
    assert_eq!(desk.delivered(), [0_u64; 0]);
    desk.input(Input::Command(Command::Cancel { ticket: Ticket(2) }));
    assert_eq!(desk.sent(), ["10 UNSUBSCRIBE lobby"]);
}

#[test]
fn no_more_requests_are_unanswered_than_the_broker_told() {
    let mut desk = Desk::open(&options(), 5);
    for ticket in 1..=4 {
        let range = HistoryRange::Latest;
        let fetch = Command::Fetch {
            ticket: Ticket(ticket),
            room: room("lobby"),
            range,
            limit: 99,
        };
        desk.input(Input::Command(fetch));
    }
    assert_eq!(
        desk.sent(),
        [
            "4 FETCH lobby latest limit 10",
            "6 FETCH lobby latest limit 10"
        ]
    );
    desk.refuse_request(4, Code::NOT_FOUND, 0);
    assert_eq!(desk.sent(), ["8 FETCH lobby latest limit 10"]);
    let events = desk.events();
    assert!(
        matches!(
            &events[..],
            [Event::Fetched(Ticket(1), Err(ClientError::Rejected(_)))]
        ),
        "{events:?}"
    );
    desk.refuse_request(6, Code::UNAVAILABLE, 0);
    assert_eq!(desk.sent(), ["10 FETCH lobby latest limit 10"]);
    desk.pass(10);
    assert_eq!(desk.sent(), [""; 0], "two are unanswered");
    desk.refuse_request(8, Code::NOT_FOUND, 0);
    assert_eq!(
        desk.sent(),
        ["12 FETCH lobby latest limit 10"],
        "the one refused for now"
    );
}

/// One page with records `from..=to`.
fn page(desk: &mut Desk, id: u64, from: u64, to: u64, is_last: bool) {
    page_at(desk, id, from, to, is_last, 9);
}

/// As [`page`], of a room with this head.
fn page_at(desk: &mut Desk, id: u64, from: u64, to: u64, is_last: bool, head_seq: u64) {
    let records = records(to.max(from));
    let link = if from == 1 {
        Link::start(ROOM)
    } else {
        records[from as usize - 2].1
    };
    let head = PageHead {
        room_id: ROOM,
        link,
        head_seq: Seq(head_seq),
        token: 0,
        first_seq: Seq(1),
    };
    desk.receive(|out| {
        let draft = Page::begin(out, RequestId(id), &head);
        (from..=to).for_each(|seq| out.extend_from_slice(&records[seq as usize - 1].0));
        draft.finish(out, (to + 1 - from) as u32, is_last);
    });
}

fn fetched(desk: &mut Desk) -> Result<Vec<u64>, ClientError> {
    let history = desk.events().into_iter().find_map(|event| match event {
        Event::Fetched(_, result) => Some(result),
        _ => None,
    });
    Ok(history
        .expect("an answer")?
        .records
        .iter()
        .map(|record| record.seq.0)
        .collect())
}

fn fetching(range: HistoryRange) -> Desk {
    let mut desk = Desk::open(&options(), 5);
    desk.input(Input::Command(Command::Fetch {
        ticket: Ticket(1),
        room: room("lobby"),
        range,
        limit: 5,
    }));
    desk.sent();
    desk
}

#[test]
fn pages_make_one_history() {
    let mut desk = fetching(HistoryRange::After(Seq(2)));
    page(&mut desk, 4, 3, 4, false);
    page(&mut desk, 4, 5, 7, true);
    assert_eq!(fetched(&mut desk), Ok(vec![3, 4, 5, 6, 7]));
}

#[test]
fn a_history_has_the_head_of_its_first_page() {
    let mut desk = fetching(HistoryRange::Latest);
    page_at(&mut desk, 4, 3, 4, false, 7);
    page_at(&mut desk, 4, 5, 7, true, 9);
    let events = desk.events();
    let [Event::Fetched(_, Ok(history))] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(history.head_seq, Seq(7));
    assert_eq!(history.last_seq(), Some(Seq(7)));
}

#[test]
fn a_lost_connection_asks_for_the_history_anew() {
    let mut desk = fetching(HistoryRange::After(Seq(2)));
    page(&mut desk, 4, 3, 4, false);
    desk.reconnect(5);
    assert_eq!(desk.sent(), ["8 FETCH lobby after 2 limit 5"]);
    page(&mut desk, 8, 3, 7, true);
    assert_eq!(fetched(&mut desk), Ok(vec![3, 4, 5, 6, 7]));
}

#[test]
fn an_empty_page_is_an_empty_history() {
    let mut desk = fetching(HistoryRange::After(Seq(9)));
    page(&mut desk, 4, 10, 9, true);
    assert_eq!(fetched(&mut desk), Ok(vec![]));
}

#[test]
fn a_history_with_a_hole_is_refused() {
    let mut desk = fetching(HistoryRange::After(Seq(2)));
    page(&mut desk, 4, 3, 4, false);
    page(&mut desk, 4, 6, 7, true);
    let order = Violation::Order {
        expected: Seq(5),
        got: Seq(6),
    };
    assert_eq!(fetched(&mut desk), Err(ClientError::Protocol(order)));

    let mut desk = fetching(HistoryRange::After(Seq(2)));
    page(&mut desk, 4, 4, 4, true);
    let order = Violation::Order {
        expected: Seq(3),
        got: Seq(4),
    };
    assert_eq!(fetched(&mut desk), Err(ClientError::Protocol(order)));
}

#[test]
fn one_subscription_too_many_is_told_at_once() {
    let mut desk = Desk::open(&options(), 5);
    desk.subscribe(1, Start::Live);
    desk.sent();
    desk.refuse_request(4, Code::LIMIT, 10);
    assert!(
        matches!(over(&mut desk), Some(SubscribeError::Rejected(rejection)) if rejection.hint == 10)
    );
}

#[test]
fn a_subscription_refused_for_good_is_told() {
    let mut desk = Desk::open(&options(), 5);
    desk.subscribe(1, Start::Live);
    desk.sent();
    desk.receive(|out| ErrorFrame::new(Code::FORBIDDEN).encode(RequestId(4), out));
    assert!(
        matches!(over(&mut desk), Some(SubscribeError::Rejected(rejection)) if rejection.code == Code::FORBIDDEN)
    );
    assert_eq!(desk.sent(), [""; 0]);
}
