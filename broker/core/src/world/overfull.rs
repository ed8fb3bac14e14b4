//! A lane that is not emptied: what waits for it is bounded, and everything goes on once it is.

use alloc::vec::Vec;
use std::string::String;

use antiphon_protocol::{
    Code, Hello, Namespace, RequestId, RoomName, RoomRef, ServerFrame, Slot, Start, Subscribe,
    next_frame,
};

use super::{Terrain, World};
use crate::core::{ConnId, CoreId, Flow};
use crate::limits::LANE_WAITING_MAX;
use crate::map::SlotMap;

/// Requests of one connection, one below its limit.
const REQUESTS: usize = 63;

fn say(world: &mut World, conn: ConnId, bytes: &[u8]) -> Flow {
    let frame = next_frame(bytes, 8_192).unwrap().unwrap();
    world.cores[0].frame(conn, frame, world.now)
}

/// A connection of core 0 that has said HELLO.
fn greet(world: &mut World, slot: u32) -> (ConnId, Flow) {
    let conn = ConnId {
        slot,
        generation: 1,
    };
    let claim = world.exchange.claim();
    world.cores[0].connected(conn, claim, world.now);
    let mut hello = Vec::new();
    Hello::new("ann").encode(RequestId(1), &mut hello);
    let flow = say(world, conn, &hello);
    (conn, flow)
}

fn subscribe(world: &mut World, conn: ConnId, room: &str) -> Flow {
    let mut frame = Vec::new();
    let room = RoomRef::Name(room);
    let start = Start::Live;
    Subscribe::new(room, start).encode(RequestId(2), &mut frame);
    say(world, conn, &frame)
}

#[test]
fn what_waits_for_a_full_lane_is_bounded_and_goes_on_when_it_opens() {
    let terrain = Terrain {
        clients: 0,
        lane_places: 1,
        ..Terrain::default()
    };
    let mut world = World::new(1, terrain);
    let map = SlotMap::even(8, 2);
    let is_there = |name: &String| {
        let room = RoomName::try_from(&name[..]).unwrap();
        map.home_of(Slot::of(Namespace(0), &room)) == CoreId(1)
    };
    let rooms: Vec<String> = (0..)
        .map(|number| std::format!("room {number}"))
        .filter(is_there)
        .take(REQUESTS)
        .collect();
    let mut slot = 0;
    let held = loop {
        let (conn, flow) = greet(&mut world, slot);
        if flow == Flow::Pause {
            break conn;
        }
        for room in &rooms {
            let _ = subscribe(&mut world, conn, room);
        }
        world.turn(0);
        slot += 1;
        let waiting = world.cores[0].stats().lane_waiting as usize;
        assert!(waiting <= LANE_WAITING_MAX + 2 * REQUESTS, "{waiting}");
    };
    assert!(slot as usize >= LANE_WAITING_MAX / REQUESTS, "{slot}");
    assert_eq!(world.cores[0].stats().edge.holds, 1);
    world.turn(0);
    let said: Vec<u8> = world.cores[0]
        .outbox(held)
        .unwrap()
        .chunks()
        .flatten()
        .copied()
        .collect();
    let frame = next_frame(&said, 8_192).unwrap().unwrap();
    match ServerFrame::decode(frame).unwrap() {
        ServerFrame::Goaway(goaway) => assert_eq!(goaway.code, Code::UNAVAILABLE),
        other => panic!("{other:?}"),
    }
    for _ in 0..3 * LANE_WAITING_MAX {
        world.receive(0, 1, 1);
        world.receive(1, 0, 1);
        if world.cores[0].stats().lane_waiting == 0 {
            break;
        }
    }
    world.turn(0);
    let (late, flow) = greet(&mut world, slot + 1);
    assert_eq!(flow, Flow::Continue);
    assert_eq!(subscribe(&mut world, late, &rooms[0]), Flow::Continue);
}
