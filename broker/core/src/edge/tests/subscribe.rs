use std::vec;

use antiphon_protocol::{Code, Namespace, RequestId, RoomId, RoomRef, Seq, Start};

use super::{Bench, name, run, subscribe_frame, subscribed, unsubscribe_frame};
use crate::core::{ConnId, Flow};
use crate::lane::{
    self, Created, Deliver, Grant, Refused, Reject, RoomKey, Slice, Tail, Ticket, ToEdge, ToHome,
    Unsubscribe,
};

pub(super) const ROOM: RoomId = RoomId(3 << 52 | 1);
pub(super) const R: RoomRef<'static> = RoomRef::Name("r");

pub(super) fn deliver(first: u64, next: u64) -> ToEdge {
    ToEdge::Deliver(Deliver {
        room: ROOM,
        first: Seq(first),
        next: Seq(next),
        records: run(ROOM, first, next, 3),
    })
}

fn created(grant: u64) -> ToEdge {
    ToEdge::Created(Created {
        grant: Grant(grant),
        namespace: Namespace(0),
        name: name("r"),
        room: ROOM,
    })
}

fn slice(conn: ConnId, ticket: Ticket, first: u64, next: u64, ends_at_apply: bool) -> ToEdge {
    ToEdge::Slice(std::boxed::Box::new(Slice {
        conn,
        ticket,
        room: ROOM,
        gap: None,
        first: Seq(first),
        next: Seq(next),
        link_before: antiphon_protocol::Link(0),
        records: run(ROOM, first, next, 3),
        ends_at_apply,
    }))
}

fn tails(asked: &[ToHome]) -> vec::Vec<(Ticket, u64)> {
    asked
        .iter()
        .filter_map(|message| {
            if let ToHome::Tail(Tail { ticket, from, .. }) = message {
                Some((*ticket, from.0))
            } else {
                None
            }
        })
        .collect()
}

pub(super) fn leaves(asked: &[ToHome]) -> vec::Vec<(RoomKey, u64)> {
    asked
        .iter()
        .filter_map(|message| {
            if let ToHome::Unsubscribe(Unsubscribe { room, grant, .. }) = message {
                Some((room.clone(), grant.0))
            } else {
                None
            }
        })
        .collect()
}

pub(super) fn record(seq: u64) -> std::string::String {
    std::format!("RECORD room {} seq {seq}", ROOM.0)
}

#[test]
fn a_connection_finds_its_subscriptions_whether_they_are_few_or_many() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let room_of = |number: u64| RoomId(3 << 52 | (number + 1));
    let mut current = std::collections::BTreeSet::new();
    let mut grant = 0;
    // Up to 20, down to 2, up again: each bound is crossed both ways, and some are replaced.
    let steps = (0..20).chain((2..20).rev()).chain(1..15);
    for (step, number) in steps.enumerate() {
        let room = room_of(number);
        if (20..38).contains(&step) {
            let _ = bench.feed(ann, &unsubscribe_frame(9, RoomRef::Id(room)));
            assert_eq!(bench.said(ann), ["OK 9"]);
            current.remove(&room);
        } else {
            let _ = bench.feed(ann, &subscribe_frame(5, RoomRef::Id(room), Start::Live));
            let ticket = Ticket(bench.edge.tickets);
            grant += 1;
            let mut answer = subscribed(ann, ticket, 5, grant, Some(room), 0, 1);
            if let ToEdge::Subscribed(answer) = &mut answer {
                answer.name = super::name(&std::format!("room{number}"));
            }
            bench.handle(answer);
            let _ = bench.take(ann);
            current.insert(room);
            let entry = bench.edge.rooms.find_id(room).unwrap();
            let sub = bench.edge.sub_of(ann, entry).unwrap();
            assert_eq!(bench.edge.sub_with(ann, ticket), Some(sub));
        }
        assert_eq!(bench.edge.stats().subscriptions, current.len() as u64);
        for &room in &current {
            let entry = bench.edge.rooms.find_id(room).unwrap();
            let sub = bench.edge.sub_of(ann, entry).unwrap();
            assert_eq!(bench.edge.rooms.sub(sub).room, entry);
        }
    }
    bench.edge.disconnected(ann);
    assert_eq!(bench.edge.stats().subscriptions, 0);
    assert_eq!(bench.edge.stats().rooms, 0);
}

#[test]
fn a_live_subscriber_gets_what_is_applied_from_then_on() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    bench.subscribe(ann, 5, ROOM, 7, 8);
    bench.handle(deliver(8, 10));
    bench.handle(deliver(10, 11));
    let head = std::format!("SUBSCRIBED 5 room {} head 7 next 8", ROOM.0);
    assert_eq!(bench.said(ann), [head, record(8), record(9), record(10)]);
    assert!(bench.asked().is_empty());
}

#[test]
fn a_subscriber_behind_becomes_live_only_by_a_slice_that_ends_at_apply() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let ticket = bench.subscribe(ann, 5, ROOM, 5, 2);
    assert_eq!(tails(&bench.asked()), [(ticket, 2)]);
    bench.handle(deliver(6, 7));
    let _ = bench.take(ann);
    bench.handle(slice(ann, ticket, 2, 4, false));
    assert_eq!(bench.said(ann), [record(2), record(3)]);
    assert_eq!(tails(&bench.asked()), [(ticket, 4)]);
    bench.handle(slice(ann, ticket, 4, 7, true));
    bench.handle(deliver(7, 8));
    assert_eq!(bench.said(ann), [4, 5, 6, 7].map(record));
    assert!(bench.asked().is_empty());
}

#[test]
fn a_slice_that_is_older_than_what_was_delivered_since_does_not_make_live() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let ticket = bench.subscribe(ann, 5, ROOM, 5, 2);
    let _ = bench.asked();
    bench.handle(ToEdge::Dirty {
        room: ROOM,
        apply_end: Seq(9),
    });
    bench.handle(slice(ann, ticket, 2, 6, true));
    assert_eq!(tails(&bench.asked()), [(ticket, 6)]);
}

#[test]
fn a_jump_in_seq_turns_behind_and_an_overlap_is_trimmed() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let ticket = bench.subscribe(ann, 5, ROOM, 0, 1);
    let _ = bench.take(ann);
    bench.handle(deliver(1, 3));
    bench.handle(deliver(1, 3));
    bench.handle(deliver(2, 5));
    assert_eq!(bench.said(ann), [1, 2, 3, 4].map(record));
    bench.handle(deliver(7, 9));
    assert_eq!(bench.said(ann), [""; 0]);
    assert_eq!(tails(&bench.asked()), [(ticket, 5)]);
}

#[test]
fn a_dropped_delivery_turns_behind() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let ticket = bench.subscribe(ann, 5, ROOM, 0, 1);
    let _ = bench.take(ann);
    bench.handle(ToEdge::Dirty {
        room: ROOM,
        apply_end: Seq(1),
    });
    assert!(bench.asked().is_empty(), "nothing was missed");
    bench.handle(ToEdge::Dirty {
        room: ROOM,
        apply_end: Seq(4),
    });
    assert_eq!(tails(&bench.asked()), [(ticket, 1)]);
    bench.handle(slice(ann, ticket, 1, 4, true));
    bench.handle(deliver(4, 5));
    assert_eq!(bench.said(ann), [1, 2, 3, 4].map(record));
}

#[test]
fn a_room_created_later_is_announced_before_its_first_record() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let _ = bench.feed(ann, &subscribe_frame(5, R, Start::Last(10)));
    let Some(ToHome::Subscribe(subscribe)) = bench.asked().pop() else {
        panic!()
    };
    bench.handle(subscribed(ann, subscribe.ticket, 5, 1, None, 0, 1));
    assert_eq!(bench.said(ann), ["SUBSCRIBED 5 room 0 head 0 next 1"]);
    bench.handle(created(2));
    bench.handle(deliver(1, 2));
    assert_eq!(
        bench.said(ann),
        [
            std::format!("SUBSCRIBED 5 room {} head 0 next 1", ROOM.0),
            record(1)
        ]
    );
    let _ = bench.feed(ann, &unsubscribe_frame(6, RoomRef::Id(ROOM)));
    assert_eq!(bench.said(ann), ["OK 6"]);
    assert_eq!(leaves(&bench.asked()), [(RoomKey::Id(ROOM), 2)]);
}

#[test]
fn the_last_subscriber_that_leaves_tells_home_the_newest_grant() {
    let mut bench = Bench::new();
    let (ann, bob) = (bench.open(0, "ann"), bench.open(1, "bob"));
    bench.subscribe(ann, 5, ROOM, 3, 4);
    bench.subscribe(bob, 5, ROOM, 3, 4);
    let _ = bench.feed(ann, &unsubscribe_frame(6, R));
    assert_eq!(leaves(&bench.asked()), []);
    bench.edge.disconnected(bob);
    assert_eq!(leaves(&bench.asked()), [(RoomKey::Id(ROOM), 2)]);
    assert_eq!(
        (bench.edge.stats().rooms, bench.edge.stats().subscriptions),
        (0, 0)
    );
    bench.handle(deliver(4, 5));
    bench.handle(ToEdge::Ended {
        room: ROOM,
        code: Code::INTERNAL,
    });
}

#[test]
fn an_answer_to_a_connection_that_is_gone_is_given_back() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let _ = bench.feed(ann, &subscribe_frame(5, R, Start::Live));
    let Some(ToHome::Subscribe(subscribe)) = bench.asked().pop() else {
        panic!()
    };
    bench.edge.disconnected(ann);
    bench.handle(subscribed(ann, subscribe.ticket, 5, 77, Some(ROOM), 3, 4));
    assert_eq!(leaves(&bench.asked()), [(RoomKey::Id(ROOM), 77)]);
}

#[test]
fn a_created_room_that_nobody_waits_for_any_more_is_given_back() {
    let mut bench = Bench::new();
    bench.handle(created(9));
    assert_eq!(leaves(&bench.asked()), [(RoomKey::Id(ROOM), 9)]);
}

#[test]
fn a_new_subscribe_replaces_the_old_one_with_its_answer() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let old = bench.subscribe(ann, 5, ROOM, 3, 1);
    assert_eq!(tails(&bench.asked()), [(old, 1)]);
    let _ = bench.take(ann);
    let _ = bench.feed(ann, &subscribe_frame(6, RoomRef::Id(ROOM), Start::Live));
    let Some(ToHome::Subscribe(subscribe)) = bench.asked().pop() else {
        panic!()
    };
    bench.handle(subscribed(ann, subscribe.ticket, 6, 0, Some(ROOM), 3, 4));
    bench.handle(slice(ann, old, 1, 4, true));
    bench.handle(deliver(4, 5));
    assert_eq!(
        bench.said(ann),
        [
            std::format!("SUBSCRIBED 6 room {} head 3 next 4", ROOM.0),
            record(4)
        ]
    );
    assert_eq!(bench.edge.stats().subscriptions, 1);
    assert_eq!(bench.edge.stats().pulls_in_flight, 0);
}

#[test]
fn a_subscribe_that_is_refused_leaves_the_old_one() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    bench.subscribe(ann, 5, ROOM, 3, 4);
    let _ = bench.take(ann);
    let after = Start::After {
        seq: Seq(9),
        link: antiphon_protocol::Link(1),
    };
    let _ = bench.feed(ann, &subscribe_frame(6, R, after));
    let Some(ToHome::Subscribe(subscribe)) = bench.asked().pop() else {
        panic!()
    };
    assert_eq!(
        subscribe.start,
        lane::Start::After {
            seq: Seq(9),
            link: Some(antiphon_protocol::Link(1))
        }
    );
    let of = Refused::Subscribe(subscribe.ticket);
    bench.handle(ToEdge::Reject(Reject {
        conn: ann,
        request: RequestId(6),
        of,
        code: Code::DIVERGED,
        class: None,
        hint: 3,
        retry_after_ms: 0,
    }));
    bench.handle(deliver(4, 5));
    assert_eq!(bench.said(ann), ["ERROR 6 DIVERGED hint 3", &record(4)]);
}

#[test]
fn an_unsubscribe_waits_for_the_subscribe_before_it() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let mut bytes = subscribe_frame(5, R, Start::Live);
    bytes.extend(unsubscribe_frame(6, R));
    bytes.extend(unsubscribe_frame(7, R));
    let _ = bench.feed(ann, &bytes);
    assert_eq!(bench.said(ann), ["ERROR 7 NOT_FOUND hint 0"]);
    let Some(ToHome::Subscribe(subscribe)) = bench.asked().pop() else {
        panic!()
    };
    bench.handle(subscribed(ann, subscribe.ticket, 5, 3, Some(ROOM), 3, 4));
    bench.handle(deliver(4, 5));
    assert_eq!(
        bench.said(ann),
        [
            &std::format!("SUBSCRIBED 5 room {} head 3 next 4", ROOM.0),
            "OK 6"
        ]
    );
    assert_eq!(leaves(&bench.asked()), [(RoomKey::Id(ROOM), 3)]);
}

#[test]
fn an_unsubscribe_ends_a_subscription_that_overtook_an_unanswered_subscribe() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let mut bytes = subscribe_frame(5, R, Start::Live);
    bytes.extend(subscribe_frame(6, R, Start::Live));
    let _ = bench.feed(ann, &bytes);
    let tickets: vec::Vec<Ticket> = bench
        .asked()
        .iter()
        .filter_map(|message| match message {
            ToHome::Subscribe(subscribe) => Some(subscribe.ticket),
            _ => None,
        })
        .collect();
    let [older, newer] = tickets[..] else {
        panic!()
    };
    bench.handle(subscribed(ann, newer, 6, 3, Some(ROOM), 3, 4));
    let _ = bench.take(ann);
    let _ = bench.feed(ann, &unsubscribe_frame(7, R));
    bench.handle(subscribed(ann, older, 5, 4, Some(ROOM), 3, 4));
    bench.handle(deliver(4, 5));
    assert_eq!(bench.said(ann), ["OK 7", "ERROR 5 REPLACED hint 0"]);
    assert_eq!(bench.edge.stats().subscriptions, 0);
}

#[test]
fn an_unsubscribe_behind_a_refused_subscribe_is_answered() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let mut bytes = subscribe_frame(5, R, Start::Live);
    bytes.extend(unsubscribe_frame(6, R));
    let _ = bench.feed(ann, &bytes);
    let Some(ToHome::Subscribe(subscribe)) = bench.asked().pop() else {
        panic!()
    };
    let of = Refused::Subscribe(subscribe.ticket);
    bench.handle(ToEdge::Reject(Reject {
        conn: ann,
        request: RequestId(5),
        of,
        code: Code::UNAVAILABLE,
        class: None,
        hint: 0,
        retry_after_ms: 20,
    }));
    assert_eq!(
        bench.said(ann),
        ["ERROR 5 UNAVAILABLE hint 0", "ERROR 6 NOT_FOUND hint 0"]
    );
}

#[test]
fn a_room_that_ends_unsubscribes_everybody() {
    let mut bench = Bench::new();
    let (ann, bob) = (bench.open(0, "ann"), bench.open(1, "bob"));
    bench.subscribe(ann, 5, ROOM, 3, 4);
    bench.subscribe(bob, 5, ROOM, 3, 1);
    let _ = (bench.take(ann), bench.take(bob));
    bench.handle(ToEdge::Ended {
        room: ROOM,
        code: Code::INTERNAL,
    });
    let told = std::format!("UNSUBSCRIBE 0 room {} INTERNAL", ROOM.0);
    assert_eq!(bench.said(ann), core::slice::from_ref(&told));
    assert_eq!(bench.said(bob), [told]);
    assert_eq!(leaves(&bench.asked()), []);
    assert_eq!(bench.edge.stats().rooms, 0);
}

#[test]
fn records_that_cannot_be_read_end_one_subscription() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let ticket = bench.subscribe(ann, 5, ROOM, 3, 1);
    let _ = bench.take(ann);
    bench.handle(ToEdge::TailFailed {
        conn: ann,
        ticket,
        code: Code::DAMAGED,
    });
    assert_eq!(
        bench.said(ann),
        [std::format!("UNSUBSCRIBE 0 room {} DAMAGED", ROOM.0)]
    );
    assert_eq!(leaves(&bench.asked()).len(), 1);
}

#[test]
fn unanswered_requests_and_subscriptions_are_limited() {
    let mut bench = Bench::with(|config| {
        config.limits.requests_max = 2;
        config.limits.subscriptions_max = 2;
    });
    let ann = bench.open(0, "ann");
    assert_eq!(
        bench.feed(ann, &subscribe_frame(1, R, Start::Live)),
        Flow::Continue
    );
    assert_eq!(
        bench.feed(ann, &subscribe_frame(2, RoomRef::Name("s"), Start::Live)),
        Flow::Pause
    );
    let asked = bench.asked();
    let Some(ToHome::Subscribe(subscribe)) = asked.first() else {
        panic!()
    };
    bench.handle(subscribed(ann, subscribe.ticket, 1, 0, Some(ROOM), 0, 1));
    bench.turn();
    assert_eq!(bench.resumes(), [ann]);
    let _ = bench.take(ann);
    let _ = bench.feed(ann, &subscribe_frame(3, RoomRef::Name("t"), Start::Live));
    assert_eq!(bench.said(ann), ["ERROR 3 LIMIT hint 2"]);
}

#[test]
fn whoever_waits_for_a_room_that_will_not_come_is_told() {
    let mut bench = Bench::new();
    let (ann, bob) = (bench.open(0, "ann"), bench.open(1, "bob"));
    for (conn, grant) in [(ann, 1), (bob, 2)] {
        let _ = bench.feed(conn, &subscribe_frame(5, R, Start::Live));
        let Some(ToHome::Subscribe(subscribe)) = bench.asked().pop() else {
            panic!()
        };
        bench.handle(subscribed(conn, subscribe.ticket, 5, grant, None, 0, 1));
        let _ = bench.said(conn);
    }
    let RoomRef::Name(name) = R else { panic!() };
    let ended = |name: &str| ToEdge::NameEnded {
        namespace: antiphon_protocol::Namespace(0),
        name: antiphon_protocol::RoomName::try_from(name).expect("lawful"),
        code: Code::INTERNAL,
    };
    bench.handle(ended("a room that nobody waits for"));
    bench.handle(ended(name));
    for conn in [ann, bob] {
        assert_eq!(
            bench.said(conn),
            [std::format!("UNSUBSCRIBE 0 name {name} INTERNAL")]
        );
    }
    assert_eq!(leaves(&bench.asked()), []);
    assert_eq!(
        (bench.edge.stats().rooms, bench.edge.stats().subscriptions),
        (0, 0)
    );
}
