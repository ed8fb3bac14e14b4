//! SUBSCRIBE and UNSUBSCRIBE sent without waiting, answered by home in any order.

use std::vec;

use antiphon_protocol::{Code, RequestId, RoomRef, Start};

use super::subscribe::{R, ROOM, deliver, leaves, record};
use super::{Bench, subscribe_frame, subscribed, unsubscribe_frame};
use crate::core::ConnId;
use crate::lane::{Refused, Reject, RoomKey, Ticket, ToEdge, ToHome};

/// Feeds `bytes`; the tickets of the SUBSCRIBEs in them, in order.
fn tickets(bench: &mut Bench, conn: ConnId, bytes: &[u8]) -> vec::Vec<Ticket> {
    let _ = bench.feed(conn, bytes);
    let asked = bench.asked();
    asked
        .iter()
        .filter_map(|message| {
            if let ToHome::Subscribe(subscribe) = message {
                Some(subscribe.ticket)
            } else {
                None
            }
        })
        .collect()
}

/// Answers the SUBSCRIBEs of `tickets` in this order: with the room at head 3, the first one from seq 1 on, the others live.
fn answer(bench: &mut Bench, conn: ConnId, tickets: &[Ticket], order: [usize; 2]) {
    for (grant, which) in order.into_iter().enumerate() {
        let next = if which == 0 { 1 } else { 4 };
        bench.handle(subscribed(
            conn,
            tickets[which],
            0,
            1 + grant as u64,
            Some(ROOM),
            3,
            next,
        ));
    }
}

#[test]
fn of_two_pipelined_subscribes_the_later_one_counts_whichever_is_answered_first() {
    for (order, first) in [
        ([0, 1], "SUBSCRIBED 5 room 13510798882111489 head 3 next 1"),
        ([1, 0], "ERROR 5 REPLACED hint 0"),
    ] {
        let mut bench = Bench::new();
        let ann = bench.open(0, "ann");
        let mut bytes = subscribe_frame(5, R, Start::Last(3));
        bytes.extend(subscribe_frame(6, R, Start::Live));
        let tickets = tickets(&mut bench, ann, &bytes);
        answer(&mut bench, ann, &tickets, order);
        bench.handle(deliver(4, 5));
        let mut said = bench.said(ann);
        assert_eq!(said.pop(), Some(record(4)));
        said.sort_unstable();
        let second = std::format!("SUBSCRIBED 6 room {} head 3 next 4", ROOM.0);
        assert_eq!(said, [first, &second]);
        assert_eq!(bench.edge.stats().subscriptions, 1);
    }
}

#[test]
fn a_later_subscribe_that_is_refused_leaves_the_one_before_it() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let mut bytes = subscribe_frame(5, R, Start::Live);
    bytes.extend(subscribe_frame(6, R, Start::Live));
    let tickets = tickets(&mut bench, ann, &bytes);
    let of = Refused::Subscribe(tickets[1]);
    bench.handle(ToEdge::Reject(Reject {
        conn: ann,
        request: RequestId(6),
        of,
        code: Code::DIVERGED,
        class: None,
        hint: 3,
        retry_after_ms: 0,
    }));
    bench.handle(subscribed(ann, tickets[0], 5, 1, Some(ROOM), 3, 4));
    bench.handle(deliver(4, 5));
    let first = std::format!("SUBSCRIBED 5 room {} head 3 next 4", ROOM.0);
    assert_eq!(
        bench.said(ann),
        ["ERROR 6 DIVERGED hint 3", &first, &record(4)]
    );
}

#[test]
fn an_unsubscribe_between_two_subscribes_ends_the_first_one_only() {
    let second = std::format!("SUBSCRIBED 7 room {} head 3 next 4", ROOM.0);
    let first = std::format!("SUBSCRIBED 5 room {} head 3 next 1", ROOM.0);
    let cases = [
        ([0, 1], [&first[..], "OK 6", &second]),
        ([1, 0], [&second, "ERROR 5 REPLACED hint 0", "OK 6"]),
    ];
    for (order, expected) in cases {
        let mut bench = Bench::new();
        let ann = bench.open(0, "ann");
        let mut bytes = subscribe_frame(5, R, Start::Live);
        bytes.extend(unsubscribe_frame(6, R));
        bytes.extend(subscribe_frame(7, R, Start::Live));
        let tickets = tickets(&mut bench, ann, &bytes);
        answer(&mut bench, ann, &tickets, order);
        assert_eq!(bench.said(ann), expected);
        assert_eq!(bench.edge.stats().subscriptions, 1);
    }
}

#[test]
fn an_unsubscribe_behind_two_subscribes_ends_both_whichever_is_answered_first() {
    for names in [[R, R], [RoomRef::Id(ROOM), R]] {
        for order in [[0, 1], [1, 0]] {
            let mut bench = Bench::new();
            let ann = bench.open(0, "ann");
            let mut bytes = subscribe_frame(5, names[0], Start::Live);
            bytes.extend(subscribe_frame(6, names[1], Start::Live));
            bytes.extend(unsubscribe_frame(7, R));
            let tickets = tickets(&mut bench, ann, &bytes);
            answer(&mut bench, ann, &tickets, order);
            let said = bench.said(ann);
            assert!(said.contains(&"OK 7".into()), "{said:?}");
            assert_eq!(bench.edge.stats().subscriptions, 0, "{said:?}");
        }
    }
}

#[test]
fn a_late_answer_by_another_name_of_the_room_does_not_replace() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let mut bytes = subscribe_frame(5, RoomRef::Id(ROOM), Start::Last(3));
    bytes.extend(subscribe_frame(6, R, Start::Live));
    let tickets = tickets(&mut bench, ann, &bytes);
    bench.handle(subscribed(ann, tickets[1], 6, 1, Some(ROOM), 3, 4));
    bench.handle(subscribed(ann, tickets[0], 5, 2, Some(ROOM), 3, 1));
    assert_eq!(
        bench.said(ann),
        [
            &std::format!("SUBSCRIBED 6 room {} head 3 next 4", ROOM.0),
            "ERROR 5 REPLACED hint 0"
        ]
    );
    let _ = bench.feed(ann, &unsubscribe_frame(7, R));
    assert_eq!(leaves(&bench.asked()), [(RoomKey::Id(ROOM), 2)]);
}
