//! Limits of a partition, made tiny: what they name is refused, and nothing else is.

use antiphon_protocol::{Code, Producer, RequestId, Timestamp};

use super::world::{START_MS, Say, World, producer, settings};
use crate::home::settings::HomeSettings;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn say(world: &mut World, room: &str, producer: Producer, seq: u64) -> RequestId {
    world.say(room, producer, seq, b"hello")
}

/// The answer of a publish by code.
fn code(world: &World, request: RequestId) -> Result<(), (Code, u64)> {
    world.answer(request).expect("answered").map(|_| ())
}

fn with_rooms(rooms_max: usize) -> World {
    World::with(HomeSettings {
        rooms_max,
        ..settings(1)
    })
}

fn with_producers(producers_max: usize) -> World {
    World::with(HomeSettings {
        producers_max,
        ..settings(1)
    })
}

#[test]
fn a_full_partition_creates_no_room_and_serves_those_it_has() {
    let mut world = with_rooms(2);
    let asked = ["a", "b", "c"].map(|room| say(&mut world, room, producer(1), 1));
    world.settle();
    let answers = asked.map(|request| code(&world, request));
    assert_eq!(answers, [Ok(()), Ok(()), Err((Code::LIMIT, 2))]);
    let mut world = world.restart();
    world.settle();
    let old = say(&mut world, "b", producer(1), 2);
    let new = say(&mut world, "c", producer(1), 1);
    world.settle();
    assert_eq!(code(&world, old), Ok(()));
    assert_eq!(code(&world, new), Err((Code::LIMIT, 2)));
    assert_eq!(world.home.stats().rooms, 2);
}

#[test]
fn rooms_under_way_count() {
    let mut world = with_rooms(2);
    let first = say(&mut world, "a", producer(1), 1);
    world.run();
    let second = say(&mut world, "b", producer(1), 1);
    world.run();
    let third = say(&mut world, "c", producer(1), 1);
    world.run();
    assert_eq!(world.answer(first), None);
    assert_eq!(code(&world, third), Err((Code::LIMIT, 2)));
    world.settle();
    assert_eq!(
        (code(&world, first), code(&world, second)),
        (Ok(()), Ok(()))
    );
}

#[test]
fn a_full_partition_takes_no_new_producer_and_serves_those_it_has() {
    let mut world = with_producers(2);
    let asked = [1, 2, 3].map(|number| say(&mut world, "tea", producer(number), 1));
    world.settle();
    let answers = asked.map(|request| code(&world, request));
    assert_eq!(answers, [Ok(()), Ok(()), Err((Code::LIMIT, 2))]);
    let again = say(&mut world, "tea", producer(2), 1);
    let next = say(&mut world, "tea", producer(2), 2);
    let room = say(&mut world, "milk", producer(2), 1);
    world.settle();
    assert!(world.ack(again).duplicate);
    assert_eq!(code(&world, next), Ok(()));
    assert_eq!(code(&world, room), Err((Code::LIMIT, 2)));
    assert_eq!(
        (world.home.stats().producers, world.home.stats().rooms),
        (2, 1)
    );
}

#[test]
fn producers_under_way_count_once_however_much_they_publish() {
    let mut world = with_producers(3);
    let says = |numbers: &[(u32, u64)], world: &mut World| {
        let says: alloc::vec::Vec<Say<'_>> = numbers
            .iter()
            .map(|(number, seq)| Say {
                room: "tea",
                sender: "ann",
                producer: producer(*number),
                seq: *seq,
                body: b"hello",
            })
            .collect();
        world.batch(&says)
    };
    let first = says(&[(1, 1), (1, 2), (2, 1), (1, 3)], &mut world);
    world.run();
    let second = says(&[(1, 4), (3, 1), (2, 2), (4, 1), (3, 2)], &mut world);
    world.run();
    assert_eq!(code(&world, second[3]), Err((Code::LIMIT, 3)));
    world.settle();
    let refused = |request: &&RequestId| code(&world, **request).is_err();
    assert_eq!(first.iter().chain(&second).filter(refused).count(), 1);
    assert_eq!(world.home.stats().producers, 3);
}

#[test]
fn a_proposal_that_is_dropped_gives_its_places_back() {
    let mut world = World::with(HomeSettings {
        rooms_max: 2,
        producers_max: 2,
        hot_bytes: 64 << 20,
        uncommitted_bytes_max: 1024 * 1024,
        entry_bytes_max: 256 * 1024,
        ..settings(1)
    });
    let body = alloc::vec![1; 250 * 1024];
    for seq in 1..=6 {
        world.say("tea", producer(1), seq, &body);
        world.run();
    }
    let dropped = world.say("milk", producer(2), 1, &body);
    world.run();
    assert_eq!(code(&world, dropped), Err((Code::UNAVAILABLE, 0)));
    world.settle();
    let other = say(&mut world, "sugar", producer(3), 1);
    world.settle();
    assert_eq!(code(&world, other), Ok(()));
    let full = say(&mut world, "milk", producer(2), 1);
    world.settle();
    assert_eq!(code(&world, full), Err((Code::LIMIT, 2)));
}

#[test]
fn places_of_forgotten_producers_are_given_again() {
    let mut world = with_producers(2);
    say(&mut world, "tea", producer(1), 1);
    say(&mut world, "tea", producer(2), 1);
    world.settle();
    world.now.wall = Timestamp(START_MS + 7 * DAY_MS + 1);
    world.now.mono_ms += 3_600_000;
    let on = say(&mut world, "tea", producer(2), 2);
    world.settle();
    assert_eq!(code(&world, on), Ok(()));
    let young = Producer::new(world.now.wall, 3);
    let early = say(&mut world, "tea", young, 1);
    world.settle();
    assert_eq!(code(&world, early), Err((Code::LIMIT, 2)));
    world.home.tick(world.now);
    world.settle();
    let later = say(&mut world, "tea", young, 1);
    world.settle();
    assert_eq!(code(&world, later), Ok(()));
}

#[test]
fn a_full_partition_forgets_even_if_nobody_it_knows_speaks_any_more() {
    let mut world = with_producers(2);
    say(&mut world, "tea", producer(1), 1);
    say(&mut world, "tea", producer(2), 1);
    world.settle();
    for (late_ms, expected) in [(0, Err((Code::LIMIT, 2))), (1, Ok(()))] {
        world.now.wall = Timestamp(START_MS + 7 * DAY_MS + late_ms);
        world.now.mono_ms += 3_600_000;
        world.home.tick(world.now);
        world.settle();
        let young = Producer::new(world.now.wall, 3);
        let new = say(&mut world, "tea", young, 1);
        world.settle();
        assert_eq!(code(&world, new), expected, "{late_ms} ms late");
    }
    assert_eq!(world.home.stats().producers, 1);
    // What was forgotten stays so, with a clock that is behind and after a restart.
    let mut world = world.restart();
    world.now.wall = Timestamp(START_MS);
    world.settle();
    let old = say(&mut world, "tea", producer(1), 1);
    world.settle();
    assert_eq!(code(&world, old), Err((Code::PRODUCER_EXPIRED, 0)));
}
