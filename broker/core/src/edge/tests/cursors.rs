//! CURSOR at the edge: requests, answers, and who is told of a move.

use antiphon_protocol::{Cursor, CursorPosition, CursorScope, Start, UserName, Wants};

use super::*;
use crate::lane::{CursorMoves, CursorTold, MovedCursor};

const ROOM: RoomId = RoomId(0x4b10_0000_0000_0001);

fn at(seq: u64) -> CursorPosition {
    CursorPosition {
        seq: Seq(seq),
        count: Count(seq),
    }
}

fn cursor_frame(id: u64, seq: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let cursor = Cursor {
        room: RoomRef::Id(ROOM),
        name: "read",
        position: at(seq),
        scope: CursorScope::PRIVATE,
        is_sync: false,
    };
    cursor.encode(RequestId(id), &mut out);
    out
}

fn follow(bench: &mut Bench, conn: ConnId, grant: u64) {
    let mut frame = Vec::new();
    let ask = Subscribe {
        wants: Wants {
            signals: false,
            cursors: true,
        },
        ..Subscribe::new(RoomRef::Name("r"), Start::Live)
    };
    ask.encode(RequestId(2), &mut frame);
    let _ = bench.feed(conn, &frame);
    let ticket = bench.asked().into_iter().find_map(|message| match message {
        ToHome::Subscribe(ask) if ask.conn == conn => Some(ask.ticket),
        _ => None,
    });
    let mut answer = subscribed(conn, ticket.unwrap(), 2, grant, Some(ROOM), 9, 10);
    if let ToEdge::Subscribed(answer) = &mut answer {
        answer.wants = ask.wants;
    }
    bench.handle(answer);
    let _ = bench.take(conn);
}

/// The cursors that a connection is told of.
fn told(bench: &mut Bench, conn: ConnId) -> Vec<(String, u64)> {
    let bytes = bench.take(conn);
    let (mut rest, mut told) = (&bytes[..], Vec::new());
    while let Some(frame) = next_frame(rest, u32::MAX).unwrap() {
        if let Ok(ServerFrame::Cursor(moved)) = ServerFrame::decode(frame) {
            told.push((moved.user.to_string(), moved.position.seq.0));
        }
        rest = &rest[frame.whole.len()..];
    }
    told
}

#[test]
fn a_cursor_is_a_request_that_home_answers_with_where_it_stands() {
    let mut bench = Bench::new();
    let ann = bench.open(1, "ann");
    let _ = bench.feed(ann, &cursor_frame(7, 3));
    let asked = bench.asked();
    let [ToHome::Cursor(cursor)] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!(
        (cursor.user.as_str(), &*cursor.name, cursor.position),
        ("ann", "read", at(3))
    );
    assert_eq!(bench.edge.conns.open(ann).unwrap().requests().len(), 1);
    bench.handle(ToEdge::CursorTold(CursorTold {
        conn: ann,
        ticket: cursor.ticket,
        position: at(4),
        head: at(9),
    }));
    let bytes = bench.take(ann);
    let frame = next_frame(&bytes, u32::MAX).unwrap().unwrap();
    assert_eq!(frame.header.id, RequestId(7));
    let Ok(ServerFrame::Ok(answer)) = ServerFrame::decode(frame) else {
        panic!("an OK")
    };
    let answer = answer.cursor.unwrap();
    assert_eq!((answer.position, answer.unread()), (at(4), 5));
    assert!(bench.edge.conns.open(ann).unwrap().requests().is_empty());
}

#[test]
fn a_private_move_is_told_to_the_users_devices_and_a_members_one_to_all_who_asked() {
    let mut bench = Bench::new();
    let (phone, web, bob) = (
        bench.open(1, "ann"),
        bench.open(2, "ann"),
        bench.open(3, "bob"),
    );
    let eve = bench.open(4, "eve");
    for (grant, conn) in (1..).zip([phone, web, bob]) {
        follow(&mut bench, conn, grant);
    }
    bench.subscribe(eve, 2, ROOM, 9, 10);
    let _ = bench.take(eve);
    let moved = |seq, scope| MovedCursor {
        room: ROOM,
        user: UserName::try_from("ann").unwrap(),
        name: "read".into(),
        position: at(seq),
        scope,
    };
    let moves = [
        moved(3, CursorScope::PRIVATE),
        moved(5, CursorScope::MEMBERS),
    ];
    bench.handle(ToEdge::CursorsMoved(CursorMoves {
        room: ROOM,
        moves: moves.into(),
    }));
    let ann = |seq| ("ann".to_string(), seq);
    assert_eq!(told(&mut bench, phone), [ann(3), ann(5)]);
    assert_eq!(told(&mut bench, web), [ann(3), ann(5)]);
    assert_eq!(told(&mut bench, bob), [ann(5)]);
    assert_eq!(told(&mut bench, eve), [], "it did not ask");
}
