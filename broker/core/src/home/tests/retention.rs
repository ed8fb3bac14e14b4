//! Segments that were let go: readers are told, writers go on, and no quiet partition keeps them for ever.

use alloc::vec::Vec;

use antiphon_log::SegmentId;
use antiphon_protocol::{GapReason, Link, Namespace, RoomId, Seq, Slot};

use super::real_log::RealLog;
use super::world::{World, named, producer, settings};
use crate::lane::{FetchRange, Gap, Start, ToEdge};

const SEGMENT: u32 = 8 * 1024;

type Retaining = World<RealLog>;

/// As the log thread: lets go, tells, and lets the partitions do what is wanted of them.
fn retain(world: &mut Retaining) -> SegmentId {
    let (kept, holding) = world.log.retain();
    world.exchange.set_kept_from(kept);
    for group in holding {
        world.exchange.want_checkpoint(group);
    }
    world.settle();
    kept
}

/// Two rooms in two partitions.
fn two_rooms() -> (&'static str, &'static str) {
    let find = |partition| {
        let is_there =
            |name: &&str| Slot::of_bytes(Namespace(0), name.as_bytes()).0 % 2 == partition;
        ["a", "b", "c", "d", "e", "f", "g", "h"]
            .into_iter()
            .find(is_there)
            .expect("the rooms spread")
    };
    (find(0), find(1))
}

struct Scene {
    world: Retaining,
    quiet: (&'static str, RoomId, Link),
    busy: (&'static str, RoomId),
    /// Records of the busy room.
    records: u64,
}

/// One record in a room of a partition that falls quiet, and many in a busy one, until nothing is left of the first segments.
fn scene() -> Scene {
    let mut log = RealLog::new(SEGMENT, 1);
    log.set_retention(4 * u64::from(SEGMENT));
    let mut world = World::on(settings(2), log);
    let (quiet, busy) = two_rooms();
    let request = world.say(quiet, producer(1), 1, b"once");
    world.settle();
    let first = world.ack(request);
    let mut records = 0;
    let mut room = None;
    while retain(&mut world) < SegmentId(6) {
        assert!(records < 1_000, "a quiet partition keeps everything");
        records += 1;
        let request = world.say(busy, producer(2), records, &[7; 700]);
        world.settle();
        room = Some(world.ack(request).room);
    }
    assert!(world.log.segments() < 9, "the files went");
    world.taken();
    Scene {
        world,
        quiet: (quiet, first.room, first.link),
        busy: (busy, room.expect("it spoke")),
        records,
    }
}

fn gaps(messages: Vec<ToEdge>) -> Vec<(Gap, Seq)> {
    let of = |message: ToEdge| match message {
        ToEdge::Slice(slice) => Some((slice.gap?, slice.next)),
        ToEdge::Page(page) => Some((page.gap?, page.next)),
        _ => None,
    };
    messages.into_iter().filter_map(of).collect()
}

/// What is told of a scene is the same before and after a restart.
fn check(scene: &mut Scene) {
    let Scene {
        world,
        quiet: (quiet, quiet_room, quiet_link),
        busy: (busy, busy_room),
        records,
    } = scene;
    // All of the quiet room is gone; its head is known.
    let all = Gap {
        from: Seq(1),
        to: Seq(1),
        link: *quiet_link,
        reason: GapReason::RETENTION,
    };
    world.fetch(quiet, FetchRange::After(Seq(0)), 10, 64 * 1024);
    world.settle();
    assert_eq!(gaps(world.taken()), [(all, Seq(2))]);
    world.tail(*quiet_room, Seq(1), 64 * 1024);
    world.settle();
    assert_eq!(gaps(world.taken()), [(all, Seq(2))]);
    // Of the busy room the newest records are kept; the gap ends with the link that the first of them continues.
    world.tail(*busy_room, Seq(1), 64 * 1024);
    world.settle();
    let told = gaps(world.taken());
    let [(gap, next)] = told.as_slice() else {
        panic!("one gap: {told:?}")
    };
    assert_eq!((gap.from, gap.reason), (Seq(1), GapReason::RETENTION));
    assert!(*next > Seq(20) && *next <= Seq(*records), "{gap:?}");
    world.fetch(busy, FetchRange::After(Seq(0)), 10, 64 * 1024);
    world.settle();
    assert_eq!(
        gaps(world.taken()),
        [(*gap, *next)],
        "however few were asked for"
    );
    let (read, _) = super::world::checked(&tail_of(world, *busy_room, *next), *next, gap.link);
    assert!(!read.is_empty());
    // A reader that was in the middle of what went is let in, and meets the gap.
    let start = Start::After {
        seq: Seq(5),
        link: Some(Link(99)),
    };
    world.subscribe(named(busy), start, 1);
    world.settle();
    let subscribed = world.taken().into_iter().find_map(|message| match message {
        ToEdge::Subscribed(subscribed) => Some((subscribed.next, subscribed.first_kept)),
        _ => None,
    });
    assert_eq!(subscribed, Some((Seq(6), *next)));
    world.tail(*busy_room, Seq(6), 64 * 1024);
    world.settle();
    let expected = Gap {
        from: Seq(6),
        ..*gap
    };
    assert_eq!(gaps(world.taken()), [(expected, *next)]);
}

/// The records of the next slice.
fn tail_of(world: &mut Retaining, room: RoomId, from: Seq) -> Vec<u8> {
    world.tail(room, from, 64 * 1024);
    world.settle();
    let slices = world
        .taken()
        .into_iter()
        .filter_map(|message| match message {
            ToEdge::Slice(slice) => Some(slice.records.to_vec()),
            _ => None,
        });
    slices.flatten().collect()
}

#[test]
fn readers_behind_what_was_let_go_are_told_and_go_on_checked_also_after_a_restart() {
    let mut scene = scene();
    check(&mut scene);
    let Scene {
        world,
        quiet,
        busy,
        records,
    } = scene;
    let mut world = world.restart();
    world.settle();
    retain(&mut world);
    world.taken();
    check(&mut Scene {
        world,
        quiet,
        busy,
        records,
    });
}

#[test]
fn a_room_of_which_nothing_is_kept_goes_on_with_its_next_seq_and_knows_its_producers() {
    let Scene {
        mut world, quiet, ..
    } = scene();
    let again = world.say(quiet.0, producer(1), 1, b"once");
    let next = world.say(quiet.0, producer(1), 2, b"twice");
    world.settle();
    assert!(world.ack(again).duplicate);
    let ack = world.ack(next);
    assert_eq!((ack.room, ack.seq), (quiet.1, Seq(2)));
    let records = tail_of(&mut world, quiet.1, Seq(2));
    let (read, _) = super::world::checked(&records, Seq(2), quiet.2);
    assert_eq!(read.len(), 1);
}
