//! Cursors through admission, the log, a restart and a checkpoint.

use alloc::boxed::Box;
use alloc::vec::Vec;

use antiphon_protocol::limits::{CURSOR_MS_MIN, ROOM_CURSORS_MAX};
use antiphon_protocol::{
    Code, Count, CursorEntries, CursorPosition, CursorScope, Namespace, RequestId, Seq, UserName,
    Wants,
};

use super::world::{EDGE, World, conn, named, producer, settings};
use crate::home::limits::CURSORS_EVERY_MS;
use crate::home::settings::HomeSettings;
use crate::lane::{
    CursorIn, CursorTold, MovedCursor, Refused, Start, Subscribe, Ticket, ToEdge, ToHome,
};

pub(super) fn at(seq: u64) -> CursorPosition {
    CursorPosition {
        seq: Seq(seq),
        count: Count(seq),
    }
}

fn user(name: &str) -> UserName {
    UserName::try_from(name).expect("lawful")
}

pub(super) fn cursor(name: &str, position: CursorPosition) -> CursorIn {
    CursorIn {
        conn: conn(2),
        ticket: Ticket(50),
        request: RequestId(50),
        namespace: Namespace(0),
        room: named("tea"),
        user: user("ann"),
        name: name.into(),
        position,
        scope: CursorScope::PRIVATE,
        is_sync: false,
    }
}

fn ask(world: &mut World, cursor: CursorIn) {
    let now = world.now;
    world
        .home
        .handle(EDGE, ToHome::Cursor(Box::new(cursor)), now);
}

/// What a request was answered with at once.
fn told(world: &mut World) -> Vec<Result<(u64, u64), (Code, u64)>> {
    while let Some(output) = world.home.poll() {
        world.take(output);
    }
    let of = |message: ToEdge| match message {
        ToEdge::CursorTold(CursorTold { position, head, .. }) => {
            Some(Ok((position.seq.0, head.seq.0)))
        }
        ToEdge::Reject(reject) => {
            assert!(matches!(reject.of, Refused::Cursor(_)));
            Some(Err((reject.code, reject.hint)))
        }
        _ => None,
    };
    world.taken().into_iter().filter_map(of).collect()
}

fn moved(world: &mut World) -> Vec<MovedCursor> {
    let of = |message: ToEdge| match message {
        ToEdge::CursorsMoved(moved) => Some(moved.moves.to_vec()),
        _ => None,
    };
    world.taken().into_iter().filter_map(of).flatten().collect()
}

/// A room of `records` messages, with an edge that wants it.
fn room_of(records: u64) -> World {
    let mut world = World::new(1);
    for seq in 1..=records {
        world.say("tea", producer(1), seq, b"x");
    }
    world.settle();
    world.subscribe(named("tea"), Start::Live, 1);
    world.settle();
    let _ = world.taken();
    world
}

fn pass(world: &mut World, ms: u64) {
    world.now.mono_ms += ms;
    world.now.wall.0 += ms;
}

fn room_id(world: &mut World) -> antiphon_protocol::RoomId {
    world.channel("tea");
    let partition = world.home.partitions.first().expect("one");
    let named = (Namespace(0), "tea".parse().expect("lawful"));
    partition.state().named(&named).expect("it exists")
}

/// Where the cursor stands by the state.
fn committed(world: &mut World, name: &str) -> u64 {
    let _ = told(world);
    ask(world, cursor(name, at(0)));
    match told(world)[..] {
        [Ok((seq, _))] => seq,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_cursor_is_accepted_at_once_written_after_and_told_when_it_is_committed() {
    let mut world = room_of(5);
    ask(&mut world, cursor("read", at(3)));
    assert_eq!(told(&mut world), [Ok((3, 5))]);
    world.run();
    assert_eq!(moved(&mut world), [], "nothing uncommitted is told");
    assert_eq!(committed(&mut world, "read"), 0);
    world.settle();
    let told_of = moved(&mut world);
    let expected = MovedCursor {
        room: room_id(&mut world),
        user: user("ann"),
        name: "read".into(),
        position: at(3),
        scope: CursorScope::PRIVATE,
    };
    assert_eq!(told_of, [expected]);
    assert_eq!(committed(&mut world, "read"), 3);
}

#[test]
fn a_cursor_never_goes_back_and_what_no_record_has_is_refused() {
    let mut world = room_of(5);
    ask(&mut world, cursor("read", at(4)));
    world.settle();
    let _ = told(&mut world);
    ask(&mut world, cursor("read", at(2)));
    assert_eq!(
        told(&mut world),
        [Ok((4, 5))],
        "no error, so a retry does no harm"
    );
    for (seq, count) in [(6, 5), (4, 3)] {
        let position = CursorPosition {
            seq: Seq(seq),
            count: Count(count),
        };
        ask(&mut world, cursor("read", position));
        assert_eq!(
            told(&mut world),
            [Err((Code::CONFLICT, 5))],
            "{seq} {count}"
        );
    }
    let nowhere = CursorIn {
        room: named("milk"),
        ..cursor("read", at(0))
    };
    ask(&mut world, nowhere);
    assert_eq!(told(&mut world), [Err((Code::NOT_FOUND, 0))]);
}

#[test]
fn another_scope_asked_for_from_a_passed_position_moves_nothing_back() {
    let mut world = room_of(5);
    ask(&mut world, cursor("read", at(4)));
    world.settle();
    let _ = (told(&mut world), moved(&mut world));
    pass(&mut world, CURSOR_MS_MIN + 1);
    world.settle();
    let shown = CursorIn {
        scope: CursorScope::MEMBERS,
        ..cursor("read", at(2))
    };
    ask(&mut world, shown);
    world.settle();
    let now: Vec<_> = moved(&mut world)
        .into_iter()
        .map(|moved| (moved.position, moved.scope))
        .collect();
    assert_eq!(now, [(at(4), CursorScope::MEMBERS)]);
    assert_eq!(committed(&mut world, "read"), 4);
}

#[test]
fn the_scope_of_the_last_request_counts_also_if_it_is_the_one_that_is_written() {
    let mut world = room_of(5);
    let scoped = |scope| CursorIn {
        scope,
        ..cursor("read", at(4))
    };
    ask(&mut world, scoped(CursorScope::PRIVATE));
    world.settle();
    let _ = moved(&mut world);
    ask(&mut world, scoped(CursorScope::MEMBERS));
    ask(&mut world, scoped(CursorScope::PRIVATE));
    pass(&mut world, CURSOR_MS_MIN + 1);
    world.settle();
    let shown: Vec<_> = moved(&mut world).iter().map(|moved| moved.scope).collect();
    assert_eq!(shown, [CursorScope::PRIVATE], "nobody else is shown it");
}

#[test]
fn while_the_disk_is_full_no_cursor_moves_and_each_tells_where_it_stands() {
    let mut world = room_of(5);
    ask(&mut world, cursor("read", at(2)));
    world.settle();
    pass(&mut world, 10_000);
    assert_eq!(told(&mut world), [Ok((2, 5))]);
    world.exchange.set_storage_full(true);
    for seq in [3, 2] {
        ask(&mut world, cursor("read", at(seq)));
    }
    pass(&mut world, 10_000);
    assert_eq!(told(&mut world), [Err((Code::STORAGE_FULL, 0)), Ok((2, 5))]);
    world.exchange.set_storage_full(false);
    ask(&mut world, cursor("read", at(3)));
    assert_eq!(told(&mut world), [Ok((3, 5))]);
}

#[test]
fn moves_are_written_together_and_each_cursor_at_most_every_two_seconds() {
    let mut world = room_of(9);
    let entries = |world: &World| world.home.stats().entries;
    ask(&mut world, cursor("read", at(1)));
    world.settle();
    let start = entries(&world);
    for seq in 2..=9 {
        ask(&mut world, cursor("read", at(seq)));
        ask(&mut world, cursor("work", at(seq)));
        pass(&mut world, CURSORS_EVERY_MS / 8 + 1);
        world.settle();
    }
    assert_eq!(
        entries(&world),
        start + 1,
        "the other cursor, once in 100 ms"
    );
    assert_eq!(committed(&mut world, "read"), 1);
    let due = world
        .home
        .next_deadline()
        .expect("something is to be written");
    assert!(due <= CURSOR_MS_MIN && due > world.now.mono_ms, "{due}");
    pass(&mut world, CURSOR_MS_MIN);
    world.settle();
    assert_eq!(entries(&world), start + 2, "both in one entry");
    assert_eq!(committed(&mut world, "read"), 9);
    assert_eq!(committed(&mut world, "work"), 9);
}

#[test]
fn sync_is_answered_when_it_is_committed_and_does_not_wait_for_its_turn() {
    let mut world = room_of(5);
    ask(&mut world, cursor("read", at(1)));
    world.settle();
    let _ = told(&mut world);
    let sync = CursorIn {
        is_sync: true,
        ..cursor("read", at(4))
    };
    ask(&mut world, sync.clone());
    world.run();
    assert_eq!(told(&mut world), [], "it is not durable");
    assert!(!world.home.is_idle());
    world.settle();
    assert_eq!(told(&mut world), [Ok((4, 5))]);
    ask(&mut world, sync);
    assert_eq!(told(&mut world), [Ok((4, 5))], "it is durable already");
    assert!(world.home.is_idle());
}

#[test]
fn a_sync_that_meets_an_accepted_position_waits_for_that_one() {
    let mut world = room_of(5);
    ask(&mut world, cursor("read", at(1)));
    world.settle();
    ask(&mut world, cursor("read", at(4)));
    let _ = told(&mut world);
    let sync = CursorIn {
        is_sync: true,
        ..cursor("read", at(3))
    };
    ask(&mut world, sync);
    assert_eq!(told(&mut world), []);
    world.settle();
    assert_eq!(told(&mut world), [Ok((4, 5))]);
}

#[test]
fn what_was_committed_survives_a_restart_and_a_checkpoint_and_what_was_not_falls_back() {
    for checkpoint_bytes_min in [u64::MAX, 1] {
        let mut world = room_of(5);
        world.settings.checkpoint_bytes_min = checkpoint_bytes_min;
        ask(&mut world, cursor("read", at(2)));
        world.settle();
        ask(&mut world, cursor("read", at(5)));
        assert_eq!(told(&mut world).last(), Some(&Ok((5, 5))));
        let mut world = world.restart();
        world.settle();
        world.say("tea", producer(1), 6, b"x");
        world.settle();
        let mut world = world.restart();
        world.settle();
        assert_eq!(committed(&mut world, "read"), 2);
        ask(&mut world, cursor("read", at(5)));
        world.settle();
        assert_eq!(committed(&mut world, "read"), 5);
    }
}

#[test]
fn a_user_has_so_many_cursors_in_a_room() {
    let mut world = room_of(3);
    for number in 0..ROOM_CURSORS_MAX {
        let name = alloc::format!("c{number}");
        ask(&mut world, cursor(&name, at(1)));
        assert_eq!(told(&mut world), [Ok((1, 3))]);
        if number % 2 == 0 {
            world.settle();
            let _ = told(&mut world);
        }
    }
    ask(&mut world, cursor("more", at(1)));
    let full = Err((Code::LIMIT, u64::from(ROOM_CURSORS_MAX)));
    assert_eq!(told(&mut world), [full]);
    ask(&mut world, cursor("c1", at(2)));
    assert_eq!(told(&mut world), [Ok((2, 3))], "one that is there moves");
    let other = CursorIn {
        user: user("bob"),
        ..cursor("more", at(1))
    };
    ask(&mut world, other);
    assert_eq!(told(&mut world), [Ok((1, 3))]);
}

#[test]
fn a_user_has_so_many_cursors_in_a_partition_from_the_moment_they_are_accepted() {
    let mut world = World::with(HomeSettings {
        user_cursors_max: 2,
        ..settings(1)
    });
    let of = |room: &str, whose: &str| CursorIn {
        room: named(room),
        user: user(whose),
        ..cursor("read", at(1))
    };
    for room in ["tea", "jazz", "pop"] {
        world.say(room, producer(1), 1, b"x");
    }
    world.settle();
    let _ = world.taken();
    for room in ["tea", "jazz"] {
        ask(&mut world, of(room, "ann"));
        assert_eq!(told(&mut world), [Ok((1, 1))]);
    }
    let full = Err((Code::LIMIT, 2));
    ask(&mut world, of("pop", "ann"));
    assert_eq!(
        told(&mut world),
        [full],
        "two are accepted, none is written"
    );
    ask(&mut world, of("pop", "bob"));
    assert_eq!(told(&mut world), [Ok((1, 1))]);
    world.settle();
    let _ = told(&mut world);
    ask(&mut world, of("pop", "ann"));
    assert_eq!(told(&mut world), [full], "two are written, and count once");
}

#[test]
fn a_node_that_stops_writes_the_cursors_that_it_has_accepted() {
    let mut world = room_of(5);
    ask(&mut world, cursor("read", at(2)));
    world.settle();
    ask(&mut world, cursor("read", at(5)));
    assert_eq!(told(&mut world).last(), Some(&Ok((5, 5))));
    world.settle();
    assert!(world.home.is_idle(), "it waits for its two seconds");
    let now = world.now;
    world.home.drain(now);
    assert!(!world.home.is_idle());
    world.settle();
    assert!(world.home.is_idle());
    let mut world = world.restart();
    world.settle();
    assert_eq!(committed(&mut world, "read"), 5);
}

#[test]
fn while_a_node_stops_a_cursor_is_accepted_when_it_is_written() {
    let mut world = room_of(5);
    let now = world.now;
    world.home.drain(now);
    for seq in [2, 5] {
        ask(&mut world, cursor("read", at(seq)));
        world.run();
        assert_eq!(told(&mut world), [], "the node may end before it is");
    }
    world.settle();
    assert_eq!(told(&mut world), [Ok((2, 5)), Ok((5, 5))]);
}

#[test]
fn a_subscription_starts_behind_a_cursor_and_is_told_of_all_its_own() {
    let mut world = room_of(5);
    ask(&mut world, cursor("read", at(2)));
    ask(&mut world, cursor("a", at(4)));
    world.settle();
    let _ = world.taken();
    for (name, next) in [("read", 3), ("none", 1)] {
        let subscribe = Subscribe {
            conn: conn(2),
            ticket: Ticket(9),
            request: RequestId(9),
            namespace: Namespace(0),
            room: named("tea"),
            start: Start::Cursor,
            cursor: name.into(),
            wants: Wants::RECORDS,
            sender: user("ann"),
            producer: producer(1),
        };
        let now = world.now;
        world
            .home
            .handle(EDGE, ToHome::Subscribe(Box::new(subscribe)), now);
        world.settle();
        let sent = world.taken();
        let Some(ToEdge::Subscribed(subscribed)) = sent.first() else {
            panic!("{sent:?}")
        };
        assert_eq!(subscribed.next, Seq(next));
        let cursors: Vec<_> = CursorEntries::new(&subscribed.cursors)
            .expect("a list")
            .map(|entry| (entry.name.as_bytes().to_vec(), entry.position.seq.0))
            .collect();
        assert_eq!(cursors, [(b"a".to_vec(), 4), (b"read".to_vec(), 2)]);
    }
}
