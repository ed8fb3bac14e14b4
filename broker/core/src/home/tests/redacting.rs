//! Edits and redacts: who may, what waits, what readers get afterwards, and that it survives.

use alloc::vec::Vec;

use antiphon_protocol::{Code, Link, Record, RequestId, RoomId, Seq};

use super::toy_log::TestLog;
use super::world::{Say, World, checked, producer, settings};
use crate::home::records::records;
use crate::home::settings::HomeSettings;
use crate::lane::{Ack, FetchRange, ToEdge};
use crate::read::ReadFailure;

const EDIT: u8 = 1;
const REDACT: u8 = 2;
const REACTION: u8 = 3;

type Answer = Option<Result<Ack, (Code, u64)>>;

fn refused(code: Code, hint: u64) -> Answer {
    Some(Err((code, hint)))
}

/// `user`'s record about another, from a session of its own.
fn refer(world: &mut World, kind: u8, target: u64, (user, seq): (&str, u64)) -> RequestId {
    world.refers = Some((kind, target));
    let number = if user == "ann" { 1 } else { 2 };
    let request = world.batch(&[Say {
        room: "tea",
        sender: user,
        producer: producer(number),
        seq,
        body: b"about it",
    }])[0];
    world.refers = None;
    request
}

/// A room in which ann said `count` things, each once it was committed.
fn room_of(count: u64, settings: HomeSettings) -> (World, RoomId) {
    let mut world = World::with(settings);
    let mut room = RoomId(0);
    for seq in 1..=count {
        let said = world.say("tea", producer(1), seq, b"a secret");
        world.settle();
        room = world.ack(said).room;
    }
    (world, room)
}

/// What readers get as (seq, kind, erased, body), by subscription and by page; both must agree.
fn read(world: &mut World, room: RoomId) -> Vec<(u64, u8, bool, Vec<u8>)> {
    let told = world.history(room);
    world.sent.clear();
    world.fetch("tea", FetchRange::After(Seq(0)), 1_000, 1_000_000);
    world.settle();
    let pages = world
        .taken()
        .into_iter()
        .filter_map(|message| match message {
            ToEdge::Page(page) => Some(page.records),
            _ => None,
        });
    let bytes: Vec<u8> = pages.flat_map(|page| page.to_vec()).collect();
    let (paged, _) = checked(&bytes, Seq(1), Link::start(room));
    assert_eq!(paged, told, "pages and subscriptions tell the same");
    records(&bytes)
        .map(|record| {
            let record: Record<'_> = record.expect("a record");
            let body = record.body().to_vec();
            (
                record.seq().0,
                record.kind().wire(),
                record.is_erased(),
                body,
            )
        })
        .collect()
}

fn hot_and_cold() -> [HomeSettings; 2] {
    let small = HomeSettings {
        hot_bytes: 0,
        ..settings(1)
    };
    [settings(1), small]
}

#[test]
fn a_redact_takes_body_and_headers_from_its_target_alone_and_keeps_its_place() {
    for settings in hot_and_cold() {
        let (mut world, room) = room_of(3, settings);
        let redact = refer(&mut world, REDACT, 2, ("ann", 4));
        world.settle();
        assert_eq!(world.ack(redact).seq, Seq(4));
        // `checked` verifies that links go on over the erased record.
        let secret = b"a secret".to_vec();
        assert_eq!(
            read(&mut world, room),
            [
                (1, 0, false, secret.clone()),
                (2, 0, true, Vec::new()),
                (3, 0, false, secret),
                (4, REDACT, false, b"about it".to_vec()),
            ]
        );
    }
}

#[test]
fn nothing_is_erased_before_the_redact_is_committed() {
    let (mut world, room) = room_of(1, settings(1));
    let redact = refer(&mut world, REDACT, 1, ("ann", 2));
    world.run();
    assert_eq!(world.answer(redact), None);
    world.tail(room, Seq(1), 4_096);
    world.run();
    let slices = world
        .taken()
        .into_iter()
        .filter_map(|message| match message {
            ToEdge::Slice(slice) => Some(checked(&slice.records, Seq(1), slice.link_before).0),
            _ => None,
        });
    let bodies: Vec<_> = slices.flatten().map(|told| told.body).collect();
    assert_eq!(bodies, [b"a secret"]);
    // The process dies before the redact is on disk: the body is there, and the redact takes effect when it is sent again.
    let mut world = world.restart();
    world.settle();
    assert!(!read(&mut world, room)[0].2);
    let again = refer(&mut world, REDACT, 1, ("ann", 2));
    world.settle();
    assert!(!world.ack(again).duplicate);
    assert!(read(&mut world, room)[0].2);
}

#[test]
fn only_the_sender_redacts_or_edits_and_only_an_original_is_edited() {
    for settings in hot_and_cold() {
        let (mut world, _) = room_of(1, settings);
        let mut ask = |kind, target, who| {
            let request = refer(&mut world, kind, target, who);
            world.settle();
            world
                .answer(request)
                .map(|answer| answer.map(|ack| ack.seq))
        };
        let forbidden = Some(Err((Code::FORBIDDEN, 0)));
        assert_eq!(ask(REDACT, 1, ("bob", 1)), forbidden);
        assert_eq!(ask(EDIT, 1, ("bob", 1)), forbidden);
        assert_eq!(ask(REACTION, 1, ("bob", 1)), Some(Ok(Seq(2))));
        assert_eq!(ask(EDIT, 1, ("ann", 2)), Some(Ok(Seq(3))));
        assert_eq!(ask(EDIT, 1, ("ann", 3)), Some(Ok(Seq(4))), "a second edit");
        assert_eq!(
            ask(EDIT, 3, ("ann", 4)),
            forbidden,
            "an edit is no original"
        );
        assert_eq!(ask(EDIT, 2, ("bob", 2)), forbidden, "nor is a reaction");
        assert_eq!(ask(REDACT, 2, ("bob", 2)), Some(Ok(Seq(5))));
        assert_eq!(ask(REDACT, 5, ("bob", 3)), Some(Ok(Seq(6))));
        for target in [0, 7, u64::MAX] {
            let not_found = Some(Err((Code::NOT_FOUND, target)));
            assert_eq!(ask(REDACT, target, ("ann", 4)), not_found);
        }
    }
}

#[test]
fn whoever_refers_to_an_erased_record_is_told_so_once_that_is_committed() {
    let (mut world, room) = room_of(2, settings(1));
    let first = refer(&mut world, REDACT, 1, ("ann", 3));
    let second = refer(&mut world, REDACT, 1, ("ann", 4));
    let reaction = refer(&mut world, REACTION, 1, ("bob", 1));
    let edit = refer(&mut world, EDIT, 1, ("ann", 4));
    world.run();
    for early in [first, second, reaction, edit] {
        assert_eq!(world.answer(early), None, "nothing is committed");
    }
    world.settle();
    assert_eq!(world.ack(first).seq, Seq(3));
    for late in [second, reaction, edit] {
        assert_eq!(world.answer(late), refused(Code::NOT_FOUND, 1));
    }
    // A refusal consumed no number, and the other record is untouched.
    let redact = refer(&mut world, REDACT, 2, ("ann", 4));
    world.settle();
    assert_eq!(world.ack(redact).seq, Seq(4));
    let erased: Vec<bool> = read(&mut world, room).iter().map(|told| told.2).collect();
    assert_eq!(erased, [true, true, false, false]);
}

#[test]
fn a_retry_of_a_redact_or_of_what_it_erased_is_a_duplicate() {
    for settings in hot_and_cold() {
        let (mut world, room) = room_of(1, settings);
        for attempt in 0..3 {
            let redact = refer(&mut world, REDACT, 1, ("ann", 2));
            world.settle();
            let ack = world.ack(redact);
            assert_eq!((ack.seq, ack.duplicate), (Seq(2), attempt > 0));
            if attempt == 1 {
                world = world.restart();
                world.settle();
            }
        }
        let other = world.say(
            "tea",
            producer(1),
            1,
            b"other bytes than those that were erased",
        );
        world.settle();
        let ack = world.ack(other);
        assert_eq!((ack.seq, ack.duplicate), (Seq(1), true));
        assert_eq!(read(&mut world, room).len(), 2, "nothing took effect twice");
    }
}

#[test]
fn what_is_erased_stays_so_over_restarts_with_and_without_checkpoints() {
    for checkpoint_bytes_min in [u64::MAX, 1] {
        let (mut world, room) = room_of(
            3,
            HomeSettings {
                checkpoint_bytes_min,
                ..settings(1)
            },
        );
        let redact = refer(&mut world, REDACT, 2, ("ann", 4));
        world.settle();
        let before = read(&mut world, room);
        assert!(before[1].2 && world.answer(redact).is_none());
        for _ in 0..2 {
            world = world.restart();
            world.settle();
            assert_eq!(read(&mut world, room), before);
        }
        let again = refer(&mut world, REACTION, 2, ("bob", 1));
        world.settle();
        assert_eq!(world.answer(again), refused(Code::NOT_FOUND, 2));
    }
}

#[test]
fn what_follows_a_redact_whose_target_is_cold_waits_for_it_in_order() {
    let (mut world, room) = room_of(
        2,
        HomeSettings {
            hot_bytes: 0,
            ..settings(1)
        },
    );
    let redact = refer(&mut world, REDACT, 1, ("ann", 3));
    world.run();
    let behind: Vec<_> = (4..=6)
        .map(|seq| {
            let request = world.say("tea", producer(1), seq, b"behind");
            world.run();
            request
        })
        .collect();
    assert_eq!(world.jobs.len(), 1, "asked once");
    assert_eq!(world.answer(redact), None);
    assert!(behind.iter().all(|late| world.answer(*late).is_none()));
    world.settle();
    let seqs: Vec<u64> = core::iter::once(&redact)
        .chain(&behind)
        .map(|request| world.ack(*request).seq.0)
        .collect();
    assert_eq!(seqs, [3, 4, 5, 6]);
    assert!(read(&mut world, room)[0].2);
}

#[test]
fn a_target_that_cannot_be_read_is_told_and_one_that_readers_have_no_time_for_is_asked_for_again() {
    let cold = HomeSettings {
        hot_bytes: 0,
        ..settings(1)
    };
    for (failure, code) in [
        (ReadFailure::Busy, Code::UNAVAILABLE),
        (ReadFailure::Gone, Code::UNAVAILABLE),
        (ReadFailure::Damaged, Code::DAMAGED),
    ] {
        let (mut world, _) = room_of(2, cold.clone());
        let redact = refer(&mut world, REDACT, 1, ("ann", 3));
        world.run();
        let job = world.jobs.pop_front().expect("the target is looked for");
        let now = world.now;
        world.home.read_done(job.answer(Err(failure)), now);
        world.settle();
        assert_eq!(world.answer(redact), refused(code, 0));
        // The number is free, or bound to this very message: either way it goes on.
        let again = refer(&mut world, REDACT, 2, ("ann", 3));
        world.settle();
        assert_eq!(world.ack(again).seq, Seq(3));
        assert!(world.home.is_idle());
    }
}

#[test]
fn a_partition_takes_so_many_redacts_and_no_more() {
    let (mut world, _) = room_of(
        3,
        HomeSettings {
            erased_max: 2,
            ..settings(1)
        },
    );
    let all: Vec<_> = (1..=3)
        .map(|target| refer(&mut world, REDACT, target, ("ann", 3 + target)))
        .collect();
    world.settle();
    assert_eq!(world.ack(all[0]).seq, Seq(4));
    assert_eq!(world.ack(all[1]).seq, Seq(5));
    assert_eq!(world.answer(all[2]), refused(Code::LIMIT, 2));
    // The number stays bound; whatever is no redact under it would be another message, so another session goes on.
    let reaction = refer(&mut world, REACTION, 3, ("bob", 1));
    world.settle();
    assert_eq!(world.ack(reaction).seq, Seq(6));
}

#[test]
fn a_cold_read_of_many_records_hides_each_that_was_erased() {
    let (mut world, room) = room_of(
        30,
        HomeSettings {
            hot_bytes: 0,
            ..settings(1)
        },
    );
    for (number, target) in (3..=30).step_by(3).enumerate() {
        refer(&mut world, REDACT, target, ("ann", 31 + number as u64));
        world.settle();
    }
    let told = read(&mut world, room);
    assert!(
        told[..30]
            .iter()
            .all(|told| told.2 == told.0.is_multiple_of(3))
    );
    assert!(told[..30].iter().all(|told| told.3.is_empty() == told.2));
    let stats = world.home.stats();
    assert!(stats.reads_cold > 0, "{stats:?}");
    assert!(!world.log.has_queued());
}
