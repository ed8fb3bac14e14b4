use alloc::vec::Vec;

use bytes::Bytes;

use antiphon_protocol::{Hello, RoomId, RoomRef, Seq, Start};

use super::{Bench, conn, describe, run, subscribe_frame, subscribed, unsubscribe_frame};
use crate::core::ConnId;
use crate::edge::rooms::SubState;
use crate::lane::{Deliver, Tail, ToEdge, ToHome};
use crate::limits::{FANOUT_BACKLOG_MAX, FANOUT_PER_TURN, OUTBOX_BYTES_MAX};

pub(super) const ROOM: RoomId = RoomId(3 << 52 | 1);

pub(super) fn deliver(first: u64, next: u64, bytes: usize) -> ToEdge {
    ToEdge::Deliver(Deliver {
        room: ROOM,
        first: Seq(first),
        next: Seq(next),
        records: run(ROOM, first, next, bytes),
    })
}

/// Subscribes `count` connections, slots from 0, live at seq 1.
pub(super) fn crowd(bench: &mut Bench, count: u32) {
    for slot in 0..count {
        let conn = bench.open(slot, "ann");
        bench.subscribe(conn, 5, ROOM, 0, 1);
        let _ = bench.take(conn);
        bench.outputs.clear();
    }
}

pub(super) fn seqs(bytes: &[u8]) -> Vec<u64> {
    let records = describe(bytes);
    let prefix = std::format!("RECORD room {} seq ", ROOM.0);
    records
        .iter()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(|seq| seq.parse().unwrap())
        .collect()
}

pub(super) fn tails(asked: &[ToHome]) -> Vec<(ConnId, u64)> {
    asked
        .iter()
        .filter_map(|message| {
            if let ToHome::Tail(Tail { conn, from, .. }) = message {
                Some((*conn, from.0))
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn a_thousand_subscribers_share_the_same_bytes() {
    let mut bench = Bench::new();
    crowd(&mut bench, 1_000);
    let records = run(ROOM, 1, 3, 100);
    bench.handle(ToEdge::Deliver(Deliver {
        room: ROOM,
        first: Seq(1),
        next: Seq(3),
        records: records.clone(),
    }));
    bench.turn();
    for slot in 0..1_000 {
        let outbox = bench.edge.outbox(conn(slot)).unwrap();
        let chunk = outbox.chunks().next().unwrap();
        assert_eq!(chunk.as_ptr(), records.as_ptr(), "not copied");
        assert_eq!(outbox.len(), records.len());
    }
    let flushes = bench
        .outputs
        .iter()
        .filter(|output| matches!(output, crate::core::Output::Flush(_)))
        .count();
    assert_eq!(flushes, 1_000);
}

#[test]
fn a_delivery_that_does_not_fit_makes_a_reader_behind_and_nobody_else() {
    let mut bench = Bench::new();
    crowd(&mut bench, 2);
    let (slow, fast) = (conn(0), conn(1));
    let bytes = OUTBOX_BYTES_MAX as usize / 2 - 200;
    bench.handle(deliver(1, 2, bytes));
    bench.handle(deliver(2, 3, bytes));
    assert_eq!(seqs(&bench.take(fast)), [1, 2]);
    bench.handle(deliver(3, 4, bytes));
    assert_eq!(seqs(&bench.take(fast)), [3]);
    assert!(
        tails(&bench.asked()).is_empty(),
        "its outbox is full: no refill yet"
    );
    assert_eq!(bench.edge.stats().turned_behind, 1);
    assert_eq!(seqs(&bench.take(slow)), [1, 2]);
    assert_eq!(tails(&bench.asked()), [(slow, 3)]);
}

#[test]
fn a_huge_fan_out_is_cut_into_turns_and_keeps_its_order() {
    let mut bench = Bench::new();
    let crowd_size = 3_000;
    crowd(&mut bench, crowd_size);
    let mut next = 1;
    for _ in 0..FANOUT_BACKLOG_MAX {
        bench.handle(deliver(next, next + 1, 3));
        next += 1;
    }
    let mut turns = 0;
    while bench.turn() {
        turns += 1;
        if turns == 3 {
            // While it is under way: some leave, one comes back.
            for slot in (0..crowd_size).step_by(7) {
                bench.edge.disconnected(conn(slot));
            }
            let _ = bench.feed(conn(1), &unsubscribe_frame(6, RoomRef::Id(ROOM)));
            bench.handle(deliver(next, next + 2, 3));
            next += 2;
        }
    }
    assert!(
        turns >= crowd_size as usize * FANOUT_BACKLOG_MAX / FANOUT_PER_TURN - 3,
        "{turns}"
    );
    for slot in (0..crowd_size).filter(|slot| slot % 7 != 0 && *slot != 1) {
        assert_eq!(
            seqs(&bench.take(conn(slot))),
            (1..next).collect::<Vec<_>>(),
            "slot {slot}"
        );
    }
}

#[test]
fn too_many_waiting_deliveries_are_dropped_and_everybody_reads_behind() {
    let mut bench = Bench::new();
    crowd(&mut bench, 200);
    // Nobody takes the budget of the turn but this room.
    let deliveries = 2 * FANOUT_BACKLOG_MAX as u64 + FANOUT_PER_TURN as u64 / 200 + 10;
    for seq in 1..=deliveries {
        bench.handle(deliver(seq, seq + 1, 3));
    }
    while bench.turn() {}
    assert!(bench.edge.stats().deliveries_dropped > 0);
    assert_eq!(bench.edge.stats().turned_behind, 200);
    let got = seqs(&bench.take(conn(7)));
    assert_eq!(got, (1..=got.len() as u64).collect::<Vec<_>>());
    let sub = bench
        .edge
        .sub_with(conn(7), crate::lane::Ticket(8))
        .unwrap();
    match bench.edge.rooms.sub(sub).state {
        SubState::Behind { next, .. } => assert_eq!(next, Seq(got.len() as u64 + 1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_subscriber_in_a_sliced_fan_out_gets_each_record_once() {
    let mut bench = Bench::new();
    crowd(&mut bench, 3_000);
    for seq in 1..=10 {
        bench.handle(deliver(seq, seq + 1, 3));
    }
    let late = bench.open(5_000, "late");
    let _ = bench.feed(late, &subscribe_frame(5, RoomRef::Name("r"), Start::Live));
    let ticket = crate::lane::Ticket(3_001);
    bench.handle(subscribed(late, ticket, 5, 0, Some(ROOM), 10, 11));
    bench.handle(deliver(11, 12, 3));
    while bench.turn() {}
    assert_eq!(seqs(&bench.take(late)), [11]);
    assert_eq!(seqs(&bench.take(conn(0))), (1..=11).collect::<Vec<_>>());
}

#[test]
fn a_room_that_is_left_takes_its_waiting_deliveries_along() {
    let mut bench = Bench::new();
    crowd(&mut bench, 3_000);
    for seq in 1..=10 {
        bench.handle(deliver(seq, seq + 1, 3));
    }
    for slot in 0..3_000 {
        bench.edge.disconnected(conn(slot));
    }
    assert!(bench.edge.fanouts.is_empty());
    crowd(&mut bench, 1);
    bench.handle(deliver(1, 2, 3));
    assert_eq!(seqs(&bench.take(conn(0))), [1]);
}

#[test]
fn a_client_that_takes_small_frames_gets_a_gap_for_a_record_that_does_not_fit() {
    let mut bench = Bench::new();
    let small = bench.connect(0);
    bench.hello(
        small,
        &Hello {
            frame_bytes_max: 8_192,
            ..Hello::new("ann")
        },
    );
    bench.subscribe(small, 5, ROOM, 0, 1);
    let _ = bench.take(small);
    let mut records = run(ROOM, 1, 3, 5_000).to_vec();
    records.extend_from_slice(&run(ROOM, 3, 4, 8_500));
    records.extend_from_slice(&run(ROOM, 4, 5, 10));
    bench.handle(ToEdge::Deliver(Deliver {
        room: ROOM,
        first: Seq(1),
        next: Seq(5),
        records: records.into(),
    }));
    let room = ROOM.0;
    let expected = [
        std::format!("RECORD room {room} seq 1"),
        std::format!("RECORD room {room} seq 2"),
        std::format!("GAP room {room} 3..=3 SKIPPED"),
        std::format!("RECORD room {room} seq 4"),
    ];
    assert_eq!(bench.said(small), expected);
}

#[test]
fn readers_behind_share_a_bounded_number_of_requests() {
    let mut bench = Bench::new();
    for slot in 0..400 {
        let conn = bench.open(slot, "ann");
        let _ = bench.feed(
            conn,
            &subscribe_frame(5, RoomRef::Name("r"), Start::Last(9)),
        );
    }
    let tickets: Vec<_> = bench
        .asked()
        .into_iter()
        .filter_map(|message| {
            if let ToHome::Subscribe(subscribe) = message {
                Some((subscribe.conn, subscribe.ticket))
            } else {
                None
            }
        })
        .collect();
    for (conn, ticket) in tickets {
        bench.handle(subscribed(conn, ticket, 5, 0, Some(ROOM), 9, 1));
    }
    let first = tails(&bench.asked());
    assert_eq!(first.len(), crate::limits::PULLS_PER_CORE_MAX as usize);
    // A connection that goes away gives its place to another once its answer came.
    let (gone, _) = first[0];
    bench.edge.disconnected(gone);
    assert!(tails(&bench.asked()).is_empty());
    bench.handle(ToEdge::TailFailed {
        conn: gone,
        ticket: crate::lane::Ticket(1),
        code: antiphon_protocol::Code::INTERNAL,
    });
    let second = tails(&bench.asked());
    assert_eq!(second.len(), 1);
    assert!(!first.contains(&second[0]));
}

#[test]
fn the_rooms_of_one_connection_take_turns_to_be_fetched() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let rooms: Vec<RoomId> = (1..=10).map(|counter| RoomId(3 << 52 | counter)).collect();
    for (id, room) in rooms.iter().enumerate() {
        let _ = bench.feed(ann, &subscribe_frame(5, RoomRef::Id(*room), Start::Last(9)));
        // Tickets count the SUBSCRIBEs.
        let ticket = crate::lane::Ticket(id as u64 + 1);
        let mut answer = subscribed(ann, ticket, 5, 0, Some(*room), 9, 1);
        if let ToEdge::Subscribed(answer) = &mut answer {
            answer.name = super::name(&std::format!("room{id}"));
        }
        bench.handle(answer);
    }
    let _ = bench.take(ann);
    let asked_in_all = bench.edge.stats().pulls_in_flight;
    assert_eq!(
        asked_in_all,
        u64::from(crate::limits::PULLS_PER_CONNECTION_MAX)
    );
    let mut order = Vec::new();
    for _ in 0..20 {
        let Some(next) = bench.pending_tail() else {
            break;
        };
        order.push(next.room);
        let (room, first) = (next.room, next.from.0);
        bench.handle(ToEdge::Slice(std::boxed::Box::new(crate::lane::Slice {
            conn: ann,
            ticket: next.ticket,
            room,
            gap: None,
            first: Seq(first),
            next: Seq(first + 1),
            link_before: antiphon_protocol::Link(0),
            records: run(room, first, first + 1, 10),
            ends_at_apply: false,
        })));
        let _ = bench.take(ann);
    }
    assert_eq!(order.len(), 20);
    assert_eq!(order[..10], rooms[..], "each once before any twice");
    assert_eq!(order[10..], rooms[..]);
}

#[test]
fn a_delivery_allocates_nothing_per_subscriber_once_it_runs() {
    const SUBSCRIBERS: u32 = 1_000;
    const ROOM_OF_MANY: RoomId = RoomId(0x4b10_0000_0000_0009);
    let mut bench = Bench::new();
    for slot in 0..SUBSCRIBERS {
        let conn = bench.open(slot, "ann");
        bench.subscribe(conn, 2, ROOM_OF_MANY, 0, 1);
        let _ = bench.take(conn);
    }
    let round = |bench: &mut Bench, seq: u64| {
        bench.outputs.clear();
        bench.handle(ToEdge::Deliver(Deliver {
            room: ROOM_OF_MANY,
            first: Seq(seq),
            next: Seq(seq + 1),
            records: Bytes::from_static(&[0; 96]),
        }));
        bench.turn();
        for slot in 0..SUBSCRIBERS {
            let outbox = bench.edge.outbox(conn(slot)).unwrap();
            let bytes = outbox.len();
            assert_eq!(bytes, 96);
            outbox.advance(bytes);
            bench.edge.sent(conn(slot));
        }
    };
    for seq in 1..=4 {
        round(&mut bench, seq);
    }
    let cost = allocation_counter::measure(|| round(&mut bench, 5));
    // The count of sharers that this core has of its own.
    assert!(cost.count_total <= 2, "{} allocations", cost.count_total);
    assert_eq!(bench.edge.stats().deliveries, 5 * u64::from(SUBSCRIBERS));
}
