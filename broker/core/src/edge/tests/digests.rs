//! PONG with a digest: behind every home's lane, over what was queued.

use antiphon_protocol::{Features, Ping, PongDigest, position_digest};

use super::*;
use crate::lane::{Barrier, Deliver};

const ROOM: RoomId = RoomId(0x4b10_0000_0000_0001);

fn open_with_digests(bench: &mut Bench) -> ConnId {
    let ann = bench.connect(1);
    let hello = Hello {
        features: Features::DIGESTS,
        ..Hello::new("ann")
    };
    bench.hello(ann, &hello);
    let _ = bench.take(ann);
    ann
}

fn ping(bench: &mut Bench, conn: ConnId, nonce: u64) -> Vec<Barrier> {
    let mut out = Vec::new();
    Ping { nonce }.encode(RequestId(nonce), &mut out);
    let _ = bench.feed(conn, &out);
    let barrier = |message: ToHome| match message {
        ToHome::Barrier(barrier) => Some(barrier),
        _ => None,
    };
    bench.asked().into_iter().filter_map(barrier).collect()
}

/// The PONGs that a connection gets.
fn pongs(bench: &mut Bench, conn: ConnId) -> Vec<(u64, Option<PongDigest>)> {
    let bytes = bench.take(conn);
    let (mut rest, mut pongs) = (&bytes[..], Vec::new());
    while let Some(frame) = next_frame(rest, u32::MAX).unwrap() {
        if let Ok(ServerFrame::Pong(pong)) = ServerFrame::decode(frame) {
            pongs.push((pong.nonce, pong.digest));
        }
        rest = &rest[frame.whole.len()..];
    }
    pongs
}

fn digest(seq: u64, behind: u32) -> Option<PongDigest> {
    Some(PongDigest {
        digest: position_digest(ROOM, Seq(seq)),
        rooms: 1,
        behind,
        as_of_ms: 0,
    })
}

#[test]
fn the_digest_waits_for_every_home_and_counts_what_came_before() {
    let mut bench = Bench::new();
    let ann = open_with_digests(&mut bench);
    bench.subscribe(ann, 2, ROOM, 3, 4);
    let _ = bench.take(ann);
    let barriers = ping(&mut bench, ann, 7);
    assert_eq!(barriers.len(), 2, "one per core");
    assert_eq!(ping(&mut bench, ann, 8), []);
    assert_eq!(pongs(&mut bench, ann), [(8, None)], "one digest at a time");
    bench.handle(ToEdge::BarrierPassed(barriers[0]));
    assert_eq!(pongs(&mut bench, ann), []);
    // Committed before the PING, and so before the barrier of its home.
    let records = Bytes::from(std::vec![0; 8]);
    bench.handle(ToEdge::Deliver(Deliver {
        room: ROOM,
        first: Seq(4),
        next: Seq(6),
        records,
    }));
    bench.handle(ToEdge::BarrierPassed(barriers[1]));
    let bytes = bench.take(ann);
    assert!(bytes.starts_with(&[0; 8]), "behind what it counts");
    let frame = next_frame(&bytes[8..], u32::MAX).unwrap().unwrap();
    let Ok(ServerFrame::Pong(pong)) = ServerFrame::decode(frame) else {
        panic!("a pong")
    };
    assert_eq!((pong.nonce, pong.digest), (7, digest(5, 0)));
}

#[test]
fn a_room_that_misses_something_is_behind() {
    let mut bench = Bench::new();
    let ann = open_with_digests(&mut bench);
    bench.subscribe(ann, 2, ROOM, 3, 4);
    let _ = bench.take(ann);
    let barriers = ping(&mut bench, ann, 7);
    // A full lane dropped what was committed; it tells so before the barrier.
    bench.handle(ToEdge::Dirty {
        room: ROOM,
        apply_end: Seq(9),
    });
    for barrier in barriers {
        bench.handle(ToEdge::BarrierPassed(barrier));
    }
    assert_eq!(pongs(&mut bench, ann), [(7, digest(3, 1))]);
}

#[test]
fn without_the_feature_or_a_room_there_is_little_to_tell() {
    let mut bench = Bench::new();
    let bob = bench.open(2, "bob");
    assert_eq!(ping(&mut bench, bob, 1), []);
    assert_eq!(pongs(&mut bench, bob), [(1, None)]);
    let ann = open_with_digests(&mut bench);
    for barrier in ping(&mut bench, ann, 2) {
        bench.handle(ToEdge::BarrierPassed(barrier));
    }
    let nothing = PongDigest {
        digest: 0,
        rooms: 0,
        behind: 0,
        as_of_ms: 0,
    };
    assert_eq!(pongs(&mut bench, ann), [(2, Some(nothing))]);
    let barriers = ping(&mut bench, ann, 3);
    bench.edge.disconnected(ann);
    let ann = open_with_digests(&mut bench);
    for barrier in barriers {
        bench.handle(ToEdge::BarrierPassed(barrier));
    }
    assert_eq!(pongs(&mut bench, ann), [], "it was another connection's");
}
