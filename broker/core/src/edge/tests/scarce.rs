//! All outboxes together hold too much, or too much waits for a full lane.

use antiphon_protocol::{Hello, RoomRef, Seq, Start};

use super::fanout::{ROOM, crowd, deliver, seqs, tails};
use super::{Bench, conn, subscribe_frame, subscribed};
use crate::core::Flow;
use crate::lane::{Slice, Tail, Ticket, ToEdge, ToHome};
use crate::limits::{OUTBOX_BYTES_MAX, OUTBOX_SCARCE_BYTES, PULLS_SCARCE_MAX};

const CROWD: u32 = 5;

/// Answers every Tail until nobody asks; what connection `slot` got of it.
fn catch_up(bench: &mut Bench, slot: u32, head: u64) -> std::vec::Vec<u64> {
    let mut got = std::vec::Vec::new();
    while let Some(Tail {
        conn: reader,
        ticket,
        room,
        from,
        ..
    }) = bench.pending_tail()
    {
        bench.handle(ToEdge::Slice(std::boxed::Box::new(Slice {
            conn: reader,
            ticket,
            room,
            gap: None,
            first: from,
            next: Seq(head + 1),
            link_before: antiphon_protocol::Link(0),
            records: super::run(room, from.0, head + 1, 10),
            ends_at_apply: true,
        })));
        let bytes = bench.take(reader);
        if reader.slot == slot {
            got.extend(seqs(&bytes));
        }
    }
    got
}

#[test]
fn scarce_outboxes_turn_subscribers_behind_earlier_and_nobody_is_cut_or_misses_anything() {
    let mut bench = Bench::new();
    crowd(&mut bench, CROWD);
    let third = OUTBOX_SCARCE_BYTES as usize / 3;
    bench.edge.conns.set_queued_max(2 * CROWD as usize * third);
    for seq in 1..=4 {
        bench.handle(deliver(seq, seq + 1, third));
        bench.turn();
    }
    let stats = bench.edge.stats();
    assert_eq!(
        stats.turned_behind,
        u64::from(CROWD),
        "four thirds are too much"
    );
    assert!(stats.turns_scarce > 0);
    let held: usize = (0..CROWD)
        .map(|slot| bench.edge.outbox(conn(slot)).unwrap().len())
        .sum();
    assert_eq!(stats.outbox_bytes, held as u64);
    assert!(held <= (CROWD * OUTBOX_SCARCE_BYTES) as usize);
    let mut got = std::vec::Vec::new();
    for slot in 0..CROWD {
        let bytes = bench.take(conn(slot));
        if slot == 3 {
            got = seqs(&bytes);
        }
    }
    got.extend(catch_up(&mut bench, 3, 4));
    assert_eq!(got, [1, 2, 3, 4]);
    assert_eq!(bench.edge.stats().outbox_bytes, 0);
    assert!(bench.closes().is_empty());
    // In plenty, the same is no reason.
    bench.edge.conns.set_queued_max(usize::MAX);
    for seq in 5..=8 {
        bench.handle(deliver(seq, seq + 1, third));
    }
    assert_eq!(bench.edge.stats().turned_behind, u64::from(CROWD));
    assert!(4 * third < OUTBOX_BYTES_MAX as usize);
}

#[test]
fn while_outboxes_are_scarce_few_readers_fetch_and_only_those_with_nothing_to_send() {
    let mut bench = Bench::new();
    let readers = 40;
    crowd(&mut bench, 1);
    for slot in 1..=readers {
        let reader = bench.open(slot, "bob");
        let _ = bench.feed(
            reader,
            &subscribe_frame(5, RoomRef::Name("r"), Start::Last(9)),
        );
    }
    let asked = bench.asked();
    bench.edge.conns.set_queued_max(40_000);
    bench.handle(deliver(1, 2, 50_000));
    for message in asked {
        if let ToHome::Subscribe(asked) = message {
            bench.handle(subscribed(asked.conn, asked.ticket, 5, 0, Some(ROOM), 9, 1));
        }
    }
    assert!(
        tails(&bench.asked()).is_empty(),
        "their answers are not sent yet"
    );
    for slot in 1..=readers {
        let _ = bench.take(conn(slot));
    }
    let first = tails(&bench.asked());
    assert_eq!(first.len(), PULLS_SCARCE_MAX as usize);
    let (gone, _) = first[0];
    let ticket = Ticket(u64::from(gone.slot) + 1);
    bench.handle(ToEdge::TailFailed {
        conn: gone,
        ticket,
        code: antiphon_protocol::Code::DAMAGED,
    });
    assert_eq!(tails(&bench.asked()).len(), 1, "one answered, one asked");
    let _ = bench.take(conn(0));
    let rest = readers as usize - PULLS_SCARCE_MAX as usize - 1;
    assert_eq!(tails(&bench.asked()).len(), rest, "plenty again");
    assert!(bench.closes().is_empty());
}

#[test]
fn bytes_of_connections_that_go_are_not_counted_any_more() {
    let mut bench = Bench::new();
    crowd(&mut bench, 2);
    bench.handle(deliver(1, 2, 1_000));
    bench.turn();
    let outbox = bench.edge.outbox(conn(0)).unwrap();
    outbox.advance(100);
    bench.edge.disconnected(conn(0));
    let left = bench.edge.outbox(conn(1)).unwrap().len();
    assert_eq!(bench.edge.stats().outbox_bytes, left as u64);
    bench.edge.disconnected(conn(1));
    assert_eq!(bench.edge.stats().outbox_bytes, 0);
}

#[test]
fn while_a_lane_is_overfull_no_session_is_read_and_none_begins() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let frame = subscribe_frame(5, RoomRef::Name("r"), Start::Live);
    bench.edge.hold(true);
    assert_eq!(bench.feed(ann, &frame), Flow::Pause, "taken, but none more");
    let bob = bench.connect(1);
    bench.hello(bob, &Hello::new("bob"));
    assert_eq!(bench.said(bob), ["GOAWAY UNAVAILABLE retry"]);
    assert!(bench.resumes().is_empty());
    bench.edge.hold(false);
    bench.turn();
    assert_eq!(bench.resumes(), [ann]);
    assert_eq!(bench.edge.stats().holds, 1);
}
