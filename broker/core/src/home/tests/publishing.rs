//! From a publish to its ack and its delivery.

use alloc::vec;
use alloc::vec::Vec;

use antiphon_protocol::{Code, Link, Namespace, RoomId, RoomName, Seq, Slot, Timestamp};

use super::world::{EDGE, START_MS, Say, Told, World, checked, named, producer, settings};
use crate::lane::{Deliver, Start, ToEdge};

fn deliveries(messages: Vec<ToEdge>) -> Vec<Deliver> {
    messages
        .into_iter()
        .filter_map(|message| {
            if let ToEdge::Deliver(deliver) = message {
                Some(deliver)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn nothing_is_told_before_it_is_persisted() {
    let mut world = World::new(1);
    world.subscribe(named("tea"), Start::Live, 1);
    world.settle();
    world.sent.clear();
    let request = world.say("tea", producer(1), 1, b"hello");
    world.run();
    assert!(world.sent.is_empty(), "{:?}", world.sent);
    assert_eq!(world.log.queued.len(), 1);
    world.persist(1, None);
    assert!(
        world.sent.is_empty(),
        "told in the turn, not while reporting"
    );
    world.run();
    let ack = world.ack(request);
    assert_eq!(
        (ack.seq, ack.time, ack.duplicate),
        (Seq(1), Timestamp(START_MS), false)
    );
    let told: Vec<&ToEdge> = world
        .sent
        .iter()
        .map(|(edge, message)| (*edge == EDGE).then_some(message).expect("to the edge"))
        .collect();
    assert!(
        matches!(told[0], ToEdge::Created(created) if created.room == ack.room),
        "the room is told before its records"
    );
    assert!(matches!(told[1], ToEdge::Deliver(_)));
    assert!(matches!(told[2], ToEdge::Acks(_)));
}

#[test]
fn a_delivery_that_is_a_small_part_of_its_entry_does_not_keep_the_entry_in_memory() {
    let mut world = World::new(1);
    for (room, ticket) in [("tea", 1), ("milk", 2)] {
        world.subscribe(named(room), Start::Live, ticket);
    }
    world.settle();
    world.sent.clear();
    let _ = world.say("tea", producer(1), 1, b"small");
    let _ = world.say("milk", producer(1), 1, &[7; 10_000]);
    world.settle();
    assert_eq!(world.home.stats().proposals, 1, "both are in one entry");
    let mut delivered = deliveries(world.taken());
    delivered.sort_by_key(|deliver| deliver.records.len());
    let shares: Vec<bool> = delivered
        .iter()
        .map(|deliver| !deliver.records.is_unique())
        .collect();
    assert_eq!(shares, [false, true], "the large one is not copied");
    // Nor does what a reader behind gets out of memory.
    for (deliver, is_shared) in delivered.iter().zip(shares) {
        world.tail(deliver.room, Seq(1), 32 * 1024);
        world.run();
        let [ToEdge::Slice(slice)] = &world.taken()[..] else {
            panic!("one answer");
        };
        assert_eq!(slice.records, deliver.records);
        assert_eq!(!slice.records.is_unique(), is_shared);
    }
}

#[test]
fn records_are_dense_and_linked_and_delivered_once_per_room_and_entry() {
    let mut world = World::new(4);
    for room in ["tea", "milk"] {
        world.subscribe(named(room), Start::Live, 1);
    }
    world.settle();
    world.sent.clear();
    let mut requests = Vec::new();
    for round in 0..3_u64 {
        for room in ["tea", "milk"] {
            let say = |seq| Say {
                room,
                sender: "ann",
                producer: producer(1),
                seq,
                body: b"body",
            };
            requests.extend(world.batch(&[say(2 * round + 1), say(2 * round + 2)]));
        }
        world.settle();
    }
    let ids: Vec<RoomId> = requests
        .iter()
        .map(|request| world.ack(*request).room)
        .collect();
    let delivered = deliveries(world.taken());
    assert_eq!(delivered.len(), 6);
    for room in [ids[0], ids[2]] {
        let mut next = Seq(1);
        let mut link = Link::start(room);
        for deliver in delivered.iter().filter(|deliver| deliver.room == room) {
            assert_eq!(deliver.first, next);
            link = checked(&deliver.records, next, link).1;
            next = deliver.next;
        }
        assert_eq!(next, Seq(7));
    }
}

#[test]
fn room_ids_are_dense_per_slot_from_one() {
    let mut world = World::new(1);
    let request = world.say("tea", producer(1), 1, b"");
    world.settle();
    let slot = Slot::of(Namespace(0), &RoomName::try_from("tea").expect("lawful"));
    assert_eq!(Some(world.ack(request).room), RoomId::new(slot, 1));
}

#[test]
fn a_refused_publish_creates_no_room() {
    let mut world = World::new(1);
    let request = world.say("tea", producer(1), 2, b"");
    world.settle();
    assert_eq!(world.answer(request), Some(Err((Code::OUT_OF_ORDER, 0))));
    assert_eq!(world.home.stats().rooms, 0);
    assert_eq!(world.home.stats().proposals, 0);
}

#[test]
fn times_never_fall_even_if_the_clock_does() {
    let mut world = World::new(1);
    let first = world.say("tea", producer(1), 1, b"");
    world.settle();
    world.now.wall = Timestamp(START_MS - 5_000);
    let second = world.say("tea", producer(1), 2, b"");
    world.settle();
    assert_eq!(
        (world.ack(first).time, world.ack(second).time),
        (Timestamp(START_MS), Timestamp(START_MS))
    );
}

#[test]
fn times_do_not_fall_over_a_restart_with_a_clock_that_was_set_back() {
    let mut world = World::new(1);
    let first = world.say("tea", producer(1), 1, b"");
    world.run();
    // Synced, but nobody knows that it is committed: the next start applies it.
    world.persist(usize::MAX, None);
    let mut world = world.restart();
    world.now.wall = Timestamp(START_MS - 5_000);
    world.settle();
    assert_eq!(world.answer(first), None);
    let second = world.say("tea", producer(1), 2, b"");
    world.settle();
    let ack = world.ack(second);
    assert_eq!((ack.seq, ack.time), (Seq(2), Timestamp(START_MS)));
}

#[test]
fn a_hot_room_leaves_its_share_to_a_quiet_one() {
    let mut world = World::new(1);
    let body = vec![7; 8 * 1024];
    for seq in 1..=32 {
        world.batch(&[Say {
            room: "hot",
            sender: "ann",
            producer: producer(1),
            seq,
            body: &body,
        }]);
    }
    let quiet = world.say("quiet", producer(2), 1, b"hello");
    world.home.turn(world.now);
    world.persist(usize::MAX, None);
    // The first entry holds the quiet room's publish although the hot one could fill four.
    while let Some(output) = world.home.poll() {
        if let crate::core::Output::Append(append) = output {
            world.log.queued.push_back(append);
        }
    }
    world.persist(1, None);
    world.run();
    assert_eq!(world.ack(quiet).seq, Seq(1));
    world.settle();
    assert_eq!(world.home.stats().records, 33);
}

#[test]
fn a_batch_that_does_not_fit_is_held_and_goes_first() {
    let mut world = World::new(1);
    let big = vec![1; 60 * 1024];
    for seq in 1..=4 {
        world.batch(&[Say {
            room: "tea",
            sender: "ann",
            producer: producer(1),
            seq,
            body: &big,
        }]);
    }
    world.settle();
    assert_eq!(world.home.stats().records, 4);
    assert_eq!(world.home.stats().proposals, 4, "one record fills an entry");
    let room = world.taken().iter().find_map(|message| {
        if let ToEdge::Acks(acks) = message {
            Some(acks[0].room)
        } else {
            None
        }
    });
    let seqs: Vec<u64> = world
        .history(room.expect("acked"))
        .iter()
        .map(|told| told.producer_seq)
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
}

#[test]
fn a_full_hot_tail_stops_admission_until_it_is_applied() {
    let mut world = World::with(crate::home::settings::HomeSettings {
        hot_bytes: 100_000,
        ..settings(1)
    });
    let body = vec![1; 30_000];
    let mut requests = Vec::new();
    for seq in 1..=10 {
        requests.extend(world.batch(&[Say {
            room: "tea",
            sender: "ann",
            producer: producer(1),
            seq,
            body: &body,
        }]));
    }
    world.run();
    let proposed = world.home.stats().proposals;
    assert!(
        proposed < 5 && world.home.stats().stalls > 0,
        "{proposed} proposed"
    );
    assert!(!world.home.is_idle());
    world.settle();
    for (at, request) in requests.iter().enumerate() {
        assert_eq!(world.ack(*request).seq, Seq(at as u64 + 1));
    }
    assert!(world.home.is_idle());
}

#[test]
fn a_dropped_proposal_is_taken_back_as_if_it_had_never_been() {
    let mut world = World::with(crate::home::settings::HomeSettings {
        hot_bytes: 64 << 20,
        uncommitted_bytes_max: 1024 * 1024,
        entry_bytes_max: 256 * 1024,
        ..settings(1)
    });
    let body = vec![1; 250 * 1024];
    let mut requests = Vec::new();
    for seq in 1..=6 {
        requests.extend(world.batch(&[Say {
            room: "tea",
            sender: "ann",
            producer: producer(1),
            seq,
            body: &body,
        }]));
        world.run();
    }
    let other = world.say("milk", producer(2), 1, &body);
    world.run();
    let dropped = world.home.stats().proposals_dropped;
    assert!(dropped >= 2, "{dropped} dropped");
    assert_eq!(world.answer(other), Some(Err((Code::UNAVAILABLE, 0))));
    world.settle();
    // What was refused can be sent again, in order, and nothing of the first attempt is left.
    let refused: Vec<usize> = (0..6)
        .filter(|at| matches!(world.answer(requests[*at]), Some(Err(_))))
        .collect();
    assert!(!refused.is_empty());
    for at in refused {
        let code = if at as u64 == world.home.stats().records {
            Code::UNAVAILABLE
        } else {
            Code::OUT_OF_ORDER
        };
        let _ = code;
        let again = world.batch(&[Say {
            room: "tea",
            sender: "ann",
            producer: producer(1),
            seq: at as u64 + 1,
            body: &body,
        }])[0];
        world.settle();
        let ack = world.ack(again);
        assert_eq!((ack.seq, ack.duplicate), (Seq(at as u64 + 1), false));
    }
    let again = world.say("milk", producer(2), 1, b"");
    world.settle();
    let ack = world.ack(again);
    assert_eq!((ack.seq, ack.room.counter()), (Seq(1), 1));
}

#[test]
fn what_is_delivered_is_what_was_published() {
    let mut world = World::new(1);
    let request = world.say("tea", producer(1), 1, b"hello");
    world.settle();
    let room = world.ack(request).room;
    assert_eq!(
        world.history(room),
        [Told {
            seq: 1,
            producer: producer(1),
            producer_seq: 1,
            body: b"hello".to_vec()
        }]
    );
}

#[test]
fn partitions_do_not_wait_for_each_other() {
    let mut world = World::new(8);
    let rooms: Vec<String> = (0..8)
        .map(|number| alloc::format!("room {number}"))
        .collect();
    let requests: Vec<_> = rooms
        .iter()
        .map(|room| world.say(room, producer(1), 1, b"x"))
        .collect();
    world.run();
    let newest = world.log.queued.back().expect("queued").group;
    world.persist(usize::MAX, Some(newest));
    world.run();
    let answered = requests
        .iter()
        .filter(|request| world.answer(**request).is_some())
        .count();
    assert!((1..8).contains(&answered), "{answered} answered");
    world.settle();
    assert!(
        requests
            .iter()
            .all(|request| world.answer(*request).is_some())
    );
}

use alloc::string::String;

#[test]
fn who_expects_a_seq_gets_it_or_a_conflict_that_rests_on_committed_state() {
    let mut world = World::new(1);
    world.expect = Seq(2);
    let early = world.say("tea", producer(1), 1, b"x");
    world.settle();
    assert_eq!(
        world.answer(early),
        Some(Err((Code::CONFLICT, 0))),
        "the room does not exist"
    );
    world.expect = Seq(1);
    let first = world.say("tea", producer(1), 1, b"x");
    let second = world.say("tea", producer(2), 1, b"x");
    world.run();
    assert_eq!(
        world.answer(second),
        None,
        "the first one is not committed yet"
    );
    world.settle();
    assert_eq!(world.ack(first).seq, Seq(1));
    assert_eq!(world.answer(second), Some(Err((Code::CONFLICT, 1))));
    let again = world.say("tea", producer(1), 1, b"x");
    world.settle();
    assert!(
        world.ack(again).duplicate,
        "a retry of what was stored is no conflict"
    );
    world.expect = Seq(2);
    let third = world.say("tea", producer(2), 1, b"x");
    world.settle();
    assert_eq!(world.ack(third).seq, Seq(2), "the number was not used up");
}

#[test]
fn a_library_that_panics_amid_committed_entries_costs_its_group_and_no_more() {
    let mut world = World::new(2);
    let rooms = ["tea", "milk", "sugar", "jazz"];
    for room in rooms {
        world.say(room, producer(1), 1, b"x");
    }
    world.settle();
    for partition in world.home.partitions.iter_mut().take(1) {
        partition.break_at_next();
    }
    // Two entries of each group are committed by one report.
    let mut asked = Vec::new();
    for seq in 2..=3 {
        for room in rooms {
            asked.push(world.say(room, producer(1), seq, b"x"));
        }
        world.run();
    }
    world.settle();
    let answers: Vec<_> = asked.iter().map(|request| world.answer(*request)).collect();
    let is_lost =
        |answer: &Option<Result<_, (Code, u64)>>| matches!(answer, Some(Err((Code::INTERNAL, _))));
    let is_acked = |answer: &Option<Result<crate::lane::Ack, _>>| matches!(answer, Some(Ok(_)));
    assert!(answers.iter().any(is_lost), "the group is quarantined");
    assert!(answers.iter().any(is_acked), "the other one goes on");
    assert_eq!(world.home.stats().partitions_impaired, 1);
}

#[test]
fn a_reaction_needs_a_committed_target_and_waits_for_one_on_its_way() {
    const REACTION: u8 = 3;
    let mut world = World::new(1);
    world.refers = Some((REACTION, 1));
    let nowhere = world.say("tea", producer(2), 1, b"+1");
    world.settle();
    assert_eq!(
        world.answer(nowhere),
        Some(Err((Code::NOT_FOUND, 0))),
        "no room is made"
    );
    world.refers = None;
    let message = world.say("tea", producer(1), 1, b"x");
    world.run();
    world.refers = Some((REACTION, 1));
    let early = world.say("tea", producer(2), 1, b"+1");
    world.run();
    assert_eq!(world.answer(early), None, "its target is not committed");
    world.settle();
    assert_eq!(
        (world.ack(message).seq, world.ack(early).seq),
        (Seq(1), Seq(2))
    );
    for target in [0, 3, u64::MAX] {
        world.refers = Some((REACTION, target));
        let beyond = world.say("tea", producer(2), 2, b"+1");
        world.settle();
        assert_eq!(world.answer(beyond), Some(Err((Code::NOT_FOUND, target))));
    }
    let count = world.home.partitions[0]
        .state()
        .room(world.ack(message).room)
        .map(|room| room.head.count.0);
    assert_eq!(count, Some(1), "only the message counts as unread");
}
