//! docs/protocol.md, section 5: a publish takes effect exactly once.

use alloc::vec::Vec;

use antiphon_protocol::{Code, Link, Producer, ProducerSeq, RequestId, Seq, Timestamp};

use super::world::{START_MS, Say, World, producer, settings};
use crate::home::settings::HomeSettings;
use crate::lane::Ack;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Publishes `count` bodies "1", "2", ... of producer 1 to "tea", all acked.
fn published(world: &mut World, count: u64) -> Vec<Ack> {
    (1..=count)
        .map(|seq| {
            let request = world.say("tea", producer(1), seq, alloc::format!("{seq}").as_bytes());
            world.settle();
            world.ack(request)
        })
        .collect()
}

/// Publishes again and tells the answer.
fn again(world: &mut World, seq: u64, body: &[u8]) -> Result<Ack, (Code, u64)> {
    let request = world.say("tea", producer(1), seq, body);
    world.settle();
    world.answer(request).expect("answered")
}

fn same(ack: Ack, first: Ack) {
    assert!(ack.duplicate);
    assert_eq!(
        (ack.room, ack.producer_seq, ack.seq, ack.link, ack.time),
        (
            first.room,
            first.producer_seq,
            first.seq,
            first.link,
            first.time
        )
    );
}

#[test]
fn a_retry_gets_the_first_answer_from_memory() {
    let mut world = World::new(1);
    let acks = published(&mut world, 8);
    for first in acks.iter().rev() {
        let body = alloc::format!("{}", first.seq);
        same(
            again(&mut world, first.producer_seq.0, body.as_bytes()).expect("acked"),
            *first,
        );
    }
    assert_eq!(world.home.stats().records, 8);
    assert_eq!(world.home.stats().reads_cold, 0);
}

#[test]
fn another_message_under_the_same_number_is_a_conflict() {
    let mut world = World::new(1);
    published(&mut world, 3);
    for seq in 1..=3 {
        assert_eq!(
            again(&mut world, seq, b"other"),
            Err((Code::PRODUCER_CONFLICT, 0))
        );
    }
    assert_eq!(again(&mut world, 5, b"5"), Err((Code::OUT_OF_ORDER, 3)));
    assert_eq!(world.home.stats().records, 3);
}

#[test]
fn a_retry_older_than_the_window_is_a_duplicate_of_nothing_known() {
    let mut world = World::new(1);
    let acks = published(&mut world, 10);
    for seq in 1..=2 {
        let ack = again(&mut world, seq, b"even another body").expect("acked");
        assert_eq!(
            (ack.seq, ack.link, ack.time, ack.duplicate),
            (Seq(0), Link(0), Timestamp(0), true)
        );
        assert_eq!(
            (ack.room, ack.producer_seq),
            (acks[0].room, ProducerSeq(seq))
        );
    }
    same(again(&mut world, 3, b"3").expect("acked"), acks[2]);
}

#[test]
fn what_depends_on_the_overlay_waits_for_it() {
    let mut world = World::new(1);
    published(&mut world, 1);
    let first = world.say("tea", producer(1), 2, b"2");
    world.run();
    let retry = world.say("tea", producer(1), 2, b"2");
    let conflict = world.say("tea", producer(1), 2, b"other");
    let ahead = world.say("tea", producer(1), 4, b"4");
    let next = world.say("tea", producer(1), 3, b"3");
    world.run();
    for request in [first, retry, conflict, ahead, next] {
        assert_eq!(
            world.answer(request),
            None,
            "nothing depends on what may still be lost"
        );
    }
    assert_eq!(
        world.log.queued.len(),
        2,
        "the next number is under way behind the first"
    );
    world.persist(1, None);
    world.run();
    same(world.ack(retry), world.ack(first));
    assert_eq!(
        world.answer(conflict),
        Some(Err((Code::PRODUCER_CONFLICT, 0)))
    );
    world.settle();
    assert_eq!(world.ack(next).seq, Seq(3));
    // It waited for number 2 and then for 3, which was under way when 2 was applied; then it was next.
    assert_eq!(world.ack(ahead).seq, Seq(4));
}

#[test]
fn two_attempts_in_one_turn_take_effect_once() {
    let mut world = World::new(1);
    let one = world.say("tea", producer(1), 1, b"1");
    let two = world.say("tea", producer(1), 1, b"1");
    let other = world.say("tea", producer(1), 1, b"other");
    world.settle();
    assert_eq!(world.ack(one).seq, Seq(1));
    same(world.ack(two), world.ack(one));
    assert_eq!(world.answer(other), Some(Err((Code::PRODUCER_CONFLICT, 0))));
    assert_eq!(world.home.stats().records, 1);
}

#[test]
fn a_producer_is_another_one_for_each_sender_and_room() {
    let mut world = World::new(1);
    published(&mut world, 2);
    let say = |room, sender| Say {
        room,
        sender,
        producer: producer(1),
        seq: 1,
        body: b"1",
    };
    let bob = world.batch(&[say("tea", "bob")])[0];
    let milk = world.batch(&[say("milk", "ann")])[0];
    world.settle();
    assert_eq!(
        (world.ack(bob).seq, world.ack(bob).duplicate),
        (Seq(3), false)
    );
    assert_eq!(
        (world.ack(milk).seq, world.ack(milk).duplicate),
        (Seq(1), false)
    );
}

#[test]
fn after_a_restart_a_retry_gets_the_first_answer_from_the_log() {
    let mut world = World::new(1);
    let acks = published(&mut world, 12);
    let mut world = world.restart();
    world.settle();
    for first in &acks[4..] {
        same(
            again(
                &mut world,
                first.producer_seq.0,
                alloc::format!("{}", first.seq).as_bytes(),
            )
            .expect("acked"),
            *first,
        );
    }
    assert!(world.home.stats().reads_cold > 0);
    assert_eq!(
        again(&mut world, 12, b"other"),
        Err((Code::PRODUCER_CONFLICT, 0))
    );
    assert_eq!(again(&mut world, 14, b"14"), Err((Code::OUT_OF_ORDER, 12)));
    assert_eq!(again(&mut world, 13, b"13").expect("acked").seq, Seq(13));
}

#[test]
fn a_retry_across_a_crash_takes_effect_once_whether_or_not_the_first_was_persisted() {
    for is_persisted in [false, true] {
        let mut world = World::new(1);
        published(&mut world, 2);
        let lost = world.say("tea", producer(1), 3, b"3");
        world.run();
        if is_persisted {
            // Durable, but nobody was told.
            world.persist(usize::MAX, None);
        }
        assert_eq!(world.answer(lost), None);
        let mut world = world.restart();
        world.settle();
        let ack = again(&mut world, 3, b"3").expect("acked");
        assert_eq!((ack.seq, ack.duplicate), (Seq(3), is_persisted));
        let history = world.history(ack.room);
        assert_eq!(
            history
                .iter()
                .map(|told| told.producer_seq)
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }
}

#[test]
fn a_checkpoint_keeps_what_is_needed_to_answer_retries() {
    let mut world = World::with(HomeSettings {
        checkpoint_bytes_min: 600,
        ..settings(1)
    });
    let acks = published(&mut world, 12);
    assert!(world.log.has_checkpoint());
    let mut world = world.restart();
    world.settle();
    for first in &acks[4..] {
        same(
            again(
                &mut world,
                first.producer_seq.0,
                alloc::format!("{}", first.seq).as_bytes(),
            )
            .expect("acked"),
            *first,
        );
    }
    assert_eq!(world.history(acks[0].room).len(), 12);
}

#[test]
fn a_damaged_record_is_a_duplicate_of_nothing_known() {
    let mut world = World::new(1);
    published(&mut world, 6);
    let positions = world.log.positions();
    let mut world = world.restart();
    world.settle();
    world.log.rot(positions[3]);
    let ack = again(&mut world, 3, b"3").expect("acked");
    assert_eq!((ack.duplicate, ack.seq), (true, Seq(0)));
}

#[test]
fn a_silent_producer_is_forgotten_through_the_log_and_never_starts_again() {
    let mut world = World::new(1);
    let acks = published(&mut world, 2);
    world.now.wall = Timestamp(START_MS + 7 * DAY_MS + 1);
    world.now.mono_ms += 3_600_000;
    let later = Producer::new(world.now.wall, 2);
    world.say("tea", later, 1, b"later");
    world.settle();
    // Still remembered: nobody looked yet.
    same(again(&mut world, 2, b"2").expect("acked"), acks[1]);
    world.home.tick(world.now);
    world.settle();
    assert_eq!(world.home.stats().producers, 1);
    assert_eq!(again(&mut world, 3, b"3"), Err((Code::PRODUCER_EXPIRED, 0)));
    assert_eq!(again(&mut world, 2, b"2"), Err((Code::PRODUCER_EXPIRED, 0)));
    let mut world = world.restart();
    world.settle();
    assert_eq!(world.home.stats().producers, 1);
    assert_eq!(again(&mut world, 1, b"1"), Err((Code::PRODUCER_EXPIRED, 0)));
}

#[test]
fn a_publish_while_its_producer_is_being_forgotten_waits_for_that() {
    let mut world = World::new(1);
    published(&mut world, 1);
    world.now.wall = Timestamp(START_MS + 7 * DAY_MS + 1);
    world.now.mono_ms += 3_600_000;
    world.say("tea", Producer::new(world.now.wall, 2), 1, b"later");
    world.settle();
    world.home.tick(world.now);
    world.run();
    let request = world.say("tea", producer(1), 2, b"2");
    world.run();
    assert_eq!(world.answer(request), None);
    world.settle();
    assert_eq!(
        world.answer(request),
        Some(Err((Code::PRODUCER_EXPIRED, 0)))
    );
}

#[test]
fn many_retries_of_one_producer_share_one_window() {
    let mut world = World::with(HomeSettings { ..settings(1) });
    let acks = published(&mut world, 8);
    let mut world = world.restart();
    world.settle();
    let bodies: Vec<_> = (1..=8).map(|seq| alloc::format!("{seq}")).collect();
    let says: Vec<Say<'_>> = (1..=8_u64)
        .map(|seq| Say {
            room: "tea",
            sender: "ann",
            producer: producer(1),
            seq,
            body: bodies[seq as usize - 1].as_bytes(),
        })
        .collect();
    let requests = world.batch(&says);
    world.settle();
    for (request, first) in requests.iter().zip(&acks) {
        same(world.ack(*request), *first);
    }
    assert_eq!(world.home.stats().reads_cold, 1);
}

/// Eight records of producer 1 in each of `rooms` rooms; gives the ack of the first one in each.
fn rooms_of_eight(world: &mut World, rooms: usize) -> Vec<Ack> {
    let mut firsts = Vec::new();
    for seq in 1..=8 {
        for room in 0..rooms {
            let request = world.say(&alloc::format!("{room}"), producer(1), seq, b"hello");
            world.settle();
            if seq == 1 {
                firsts.push(world.ack(request));
            }
        }
    }
    world.sent.clear();
    firsts
}

/// The first message is sent again to each room.
fn first_again(world: &mut World, rooms: usize) -> Vec<RequestId> {
    (0..rooms)
        .map(|room| world.say(&alloc::format!("{room}"), producer(1), 1, b"hello"))
        .collect()
}

#[test]
fn look_ups_beyond_the_limit_wait_and_all_are_answered() {
    let mut world = World::new(1);
    let firsts = rooms_of_eight(&mut world, 12);
    let mut world = world.restart();
    world.settle();
    let requests = first_again(&mut world, 12);
    world.run();
    assert_eq!(world.jobs.len(), world.settings.look_ups_max);
    assert!(!world.home.is_idle());
    while world.read_one().is_some() {
        world.run();
        assert!(world.jobs.len() <= world.settings.look_ups_max);
    }
    for (request, first) in requests.into_iter().zip(firsts) {
        same(world.ack(request), first);
    }
    assert!(world.home.is_idle());
}

#[test]
fn a_turn_walks_over_so_many_records_for_retries_and_the_next_ones_go_on() {
    let mut world = World::with(HomeSettings {
        look_up_records_max: 10,
        ..settings(1)
    });
    let firsts = rooms_of_eight(&mut world, 6);
    let requests = first_again(&mut world, 6);
    let mut answered = Vec::new();
    loop {
        let has_more = world.home.turn(world.now);
        while let Some(output) = world.home.poll() {
            world.take(output);
        }
        let is_answered = |request: &&RequestId| world.answer(**request).is_some();
        answered.push(requests.iter().filter(is_answered).count());
        if !has_more {
            break;
        }
    }
    // Ten records a turn, of eight in each room; whoever is cut off goes to the end of the row.
    assert_eq!(answered, [1, 2, 3, 4, 6]);
    for (request, first) in requests.into_iter().zip(firsts) {
        same(world.ack(request), first);
    }
    assert_eq!(world.home.stats().reads_cold, 0);
}
