//! Groups that are not whole: what is left is served, nothing is made up, and others go on.

use alloc::vec::Vec;

use antiphon_log::{GroupId, Index};
use antiphon_protocol::{Code, GapReason, Link, Namespace, RoomId, RoomName, Seq, Slot};

use super::world::{EDGE, World, checked, named, producer, settings};
use crate::core::CoreEvent;
use crate::home::settings::HomeSettings;
use crate::lane::{Ack, FetchRange, Reject, Start, ToEdge, ToHome};

fn group_of(room: &str, partitions: u16) -> GroupId {
    let slot = Slot::of(Namespace(0), &RoomName::try_from(room).expect("lawful"));
    GroupId(1 + u32::from(slot.0 % partitions))
}

/// Two rooms in different partitions of eight.
fn apart() -> (&'static str, &'static str) {
    let other = ["b", "c", "d", "e", "f", "g"]
        .into_iter()
        .find(|room| group_of(room, 8) != group_of("a", 8));
    ("a", other.expect("they spread"))
}

fn say(world: &mut World, room: &str, seq: u64) -> Ack {
    let request = world.say(room, producer(1), seq, b"body");
    world.settle();
    world.ack(request)
}

fn refusals(world: &mut World) -> Vec<Code> {
    let code = |message: &ToEdge| match message {
        ToEdge::Reject(Reject { code, .. })
        | ToEdge::TailFailed { code, .. }
        | ToEdge::ChannelRefused { code, .. }
        | ToEdge::Ended { code, .. }
        | ToEdge::NameEnded { code, .. } => Some(*code),
        _ => None,
    };
    world.settle();
    world.taken().iter().filter_map(code).collect()
}

/// Room "a" with four records of which the last two are lost; room id, links.
fn damaged() -> (World, RoomId, Vec<Link>) {
    let mut world = World::new(8);
    let (lost, whole) = apart();
    let acks: Vec<Ack> = (1..=4).map(|seq| say(&mut world, lost, seq)).collect();
    say(&mut world, whole, 1);
    let mut links = alloc::vec![Link::start(acks[0].room)];
    links.extend(acks.iter().map(|ack| ack.link));
    // Index 1 is the first leader's empty entry.
    world.log.damage(group_of(lost, 8), Index(4));
    let mut world = world.restart();
    world.settle();
    (world, acks[0].room, links)
}

#[test]
fn a_damaged_group_takes_no_publishes_and_says_why() {
    let (mut world, _, _) = damaged();
    let (lost, whole) = apart();
    assert_eq!(
        world.events,
        [CoreEvent::GroupQuarantined {
            group: group_of(lost, 8),
            code: Code::DAMAGED
        }]
    );
    let ask = ToHome::OpenChannel {
        namespace: Namespace(0),
        room: named(lost),
    };
    world.home.handle(EDGE, ask, world.now);
    assert_eq!(refusals(&mut world), [Code::DAMAGED]);
    assert!(
        world
            .log
            .queued
            .iter()
            .all(|append| append.group != group_of(lost, 8)),
        "nothing is appended"
    );
    assert_eq!(say(&mut world, whole, 2).seq, Seq(2), "other groups go on");
    assert_eq!(world.home.stats().partitions_impaired, 1);
}

#[test]
fn a_damaged_group_is_read_up_to_the_hole_and_readers_are_told_that_it_ends_there() {
    let (mut world, room, links) = damaged();
    let (lost, _) = apart();
    world.subscribe(
        named(lost),
        Start::After {
            seq: Seq(0),
            link: None,
        },
        1,
    );
    world.settle();
    let messages = world.taken();
    let [ToEdge::Subscribed(subscribed)] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(
        (subscribed.head.seq, subscribed.next, subscribed.live),
        (Seq(2), Seq(1), false)
    );
    world.tail(room, Seq(1), 10_000);
    world.settle();
    let messages = world.taken();
    let [ToEdge::Slice(slice)] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!((slice.next, slice.ends_at_apply), (Seq(3), false));
    assert_eq!(checked(&slice.records, Seq(1), links[0]).1, links[2]);
    world.tail(room, Seq(3), 10_000);
    assert_eq!(refusals(&mut world), [Code::DAMAGED]);
    world.subscribe(named(lost), Start::Live, 2);
    world.settle();
    assert!(
        matches!(world.taken().as_slice(), [ToEdge::Subscribed(subscribed)] if !subscribed.live)
    );
    for start in [
        Start::After {
            seq: Seq(4),
            link: Some(links[4]),
        },
        Start::After {
            seq: Seq(3),
            link: None,
        },
    ] {
        world.subscribe(named(lost), start, 3);
        assert_eq!(
            refusals(&mut world),
            [Code::DAMAGED],
            "not DIVERGED: it may have been there"
        );
    }
}

/// All pages of an answer, each asked for as the edge does: records by seq, then the gap that ended it.
fn read_history(
    world: &mut World,
    room: &str,
    range: FetchRange,
    limit: u32,
) -> (Vec<u64>, Option<(Seq, Seq)>) {
    let (mut seqs, mut range, mut limit) = (Vec::new(), range, limit);
    loop {
        world.fetch(room, range, limit, 1);
        world.settle();
        let messages = world.taken();
        let [ToEdge::Page(page)] = messages.as_slice() else {
            panic!("{messages:?}")
        };
        seqs.extend(page.first.0..page.next.0);
        let gap = page.gap.map(|gap| {
            assert_eq!((gap.reason, gap.link), (GapReason::DAMAGED, Link(0)));
            (gap.from, gap.to)
        });
        if page.next >= page.until {
            return (seqs, gap);
        }
        assert_eq!(gap, None, "only the end is lost");
        range = FetchRange::After(page.next.previous());
        limit = u32::try_from(page.until.0 - page.next.0).unwrap_or(limit);
    }
}

#[test]
fn history_that_asks_beyond_the_hole_ends_with_a_gap_that_has_no_end() {
    let (mut world, _, _) = damaged();
    let (lost, whole) = apart();
    let cut = Some((Seq(3), Seq::LAST));
    for (range, limit, seqs, end) in [
        (FetchRange::Latest, 10, &[1, 2][..], cut),
        (FetchRange::Latest, 1, &[2], cut),
        (FetchRange::After(Seq(0)), 3, &[1, 2], cut),
        (FetchRange::After(Seq(0)), 2, &[1, 2], None),
        (FetchRange::After(Seq(2)), 1, &[], cut),
        (FetchRange::After(Seq(7)), 1, &[], Some((Seq(8), Seq::LAST))),
        (FetchRange::After(Seq::LAST), 1, &[], None),
        (FetchRange::Before(Seq(3)), 9, &[1, 2], None),
        (FetchRange::Before(Seq(9)), 9, &[1, 2], cut),
    ] {
        let read = read_history(&mut world, lost, range, limit);
        assert_eq!(read, (seqs.to_vec(), end), "{range:?}, {limit}");
    }
    let read = read_history(&mut world, whole, FetchRange::Latest, 9);
    assert_eq!(read, (alloc::vec![1], None), "a whole room has an end");
}

#[test]
fn an_entry_that_contradicts_the_state_stops_its_group() {
    let mut world = World::new(8);
    let (lost, whole) = apart();
    let room = say(&mut world, lost, 1).room;
    say(&mut world, lost, 2);
    say(&mut world, whole, 1);
    let positions = world.log.positions();
    let first = positions[positions.len() - 3];
    world.log.replace(first, b"no items at all!");
    let mut world = world.restart();
    world.settle();
    assert_eq!(
        world.events,
        [CoreEvent::GroupQuarantined {
            group: group_of(lost, 8),
            code: Code::INTERNAL
        }]
    );
    world.subscribe(named(lost), Start::Live, 1);
    world.tail(room, Seq(1), 1);
    world.fetch(lost, FetchRange::Latest, 1, 1);
    assert_eq!(refusals(&mut world), [Code::INTERNAL; 3]);
    assert_eq!(say(&mut world, whole, 2).seq, Seq(2));
}

/// Room "tea" with records 1..=6, a checkpoint over all of them, and the entries of 3 and 4 gone.
fn holed() -> (World, RoomId, Vec<Link>) {
    let mut world = World::with(HomeSettings {
        checkpoint_bytes_min: 800,
        ..settings(1)
    });
    let acks: Vec<Ack> = (1..=6).map(|seq| say(&mut world, "tea", seq)).collect();
    assert!(world.log.has_checkpoint());
    let positions = world.log.positions();
    let records = &positions[positions.len() - 6..];
    world.log.hide(records[2]);
    world.log.hide(records[3]);
    let mut links = alloc::vec![Link::start(acks[0].room)];
    links.extend(acks.iter().map(|ack| ack.link));
    let mut world = world.restart();
    world.settle();
    world.sent.clear();
    (world, acks[0].room, links)
}

#[test]
fn records_that_are_missing_below_the_checkpoint_are_a_gap_with_the_link_at_its_end() {
    let (mut world, room, links) = holed();
    let mut seen = Vec::new();
    let mut next = Seq(1);
    while next <= Seq(6) {
        world.tail(room, next, 10_000);
        world.settle();
        for message in world.taken() {
            let ToEdge::Slice(slice) = message else {
                panic!("{message:?}")
            };
            if let Some(gap) = slice.gap {
                assert_eq!(
                    (gap.from, gap.to, gap.reason),
                    (Seq(3), Seq(4), GapReason::DAMAGED)
                );
                assert_eq!(
                    (gap.link, slice.first, slice.next),
                    (links[4], Seq(5), Seq(5))
                );
            }
            seen.extend(
                checked(&slice.records, slice.first, slice.link_before)
                    .0
                    .iter()
                    .map(|told| told.seq),
            );
            next = slice.next;
        }
    }
    assert_eq!(seen, [1, 2, 5, 6]);
}

#[test]
fn history_and_positions_know_the_gap() {
    let (mut world, _, links) = holed();
    world.fetch("tea", FetchRange::After(Seq(2)), 10, 10_000);
    world.settle();
    let messages = world.taken();
    let [ToEdge::Page(page)] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    let gap = page.gap.expect("a gap");
    assert_eq!((gap.from, gap.to, gap.link), (Seq(3), Seq(4), links[4]));
    assert_eq!(
        (page.first, page.next, page.until),
        (Seq(5), Seq(5), Seq(7))
    );
    // At the edges of the hole the link is known from one side; inside it is not.
    for (seq, expected) in [(2, Some(links[2])), (4, Some(links[4])), (3, None)] {
        world.subscribe(
            named("tea"),
            Start::After {
                seq: Seq(seq),
                link: None,
            },
            1,
        );
        world.settle();
        match (world.taken().as_slice(), expected) {
            ([ToEdge::Subscribed(subscribed)], Some(link)) => assert_eq!(subscribed.link, link),
            ([ToEdge::Reject(reject)], None) => {
                assert_eq!((reject.code, reject.hint), (Code::DAMAGED, 5))
            }
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_panic_of_the_library_quarantines_its_group_only() {
    let mut world = World::new(8);
    let (lost, whole) = apart();
    let room = say(&mut world, lost, 1).room;
    say(&mut world, whole, 1);
    world.subscribe(named(lost), Start::Live, 1);
    world.settle();
    world.sent.clear();
    let pending = world.say(lost, producer(1), 2, b"body");
    world.run();
    world.home.break_library(group_of(lost, 8));
    let later = world.say(lost, producer(1), 3, b"3");
    world.run();
    let code = Code::INTERNAL;
    assert_eq!(
        world.answer(pending),
        Some(Err((code, 0))),
        "its number stays bound: a retry finds out"
    );
    assert_eq!(world.answer(later), Some(Err((code, 0))));
    assert!(world.sent.iter().any(|(_, message)| matches!(message, ToEdge::Ended { room: ended, code: Code::INTERNAL } if *ended == room)));
    assert_eq!(
        world.events,
        [CoreEvent::GroupQuarantined {
            group: group_of(lost, 8),
            code
        }]
    );
    assert_eq!(say(&mut world, whole, 2).seq, Seq(2));
    assert!(world.home.is_idle());
    // The log had it all the time.
    let mut world = world.restart();
    world.settle();
    let ack = say(&mut world, lost, 2);
    assert_eq!(ack.seq, Seq(2));
}

#[test]
fn a_core_that_persists_nothing_can_still_read_what_was_recovered() {
    let mut world = World::new(1);
    let acks: Vec<Ack> = (1..=3).map(|seq| say(&mut world, "tea", seq)).collect();
    world.log.damage(GroupId(1), Index(4));
    let positions = world.log.positions();
    let mut world = world.restart();
    world.run();
    assert!(world.log.queued.is_empty());
    world.tail(acks[0].room, Seq(1), 10_000);
    world.run();
    let job = world.read_one().expect("asked of a reader thread");
    assert!(
        positions[1] < job.below && job.below <= positions[positions.len() - 1],
        "the blocks read lie below, what is lost does not"
    );
    assert!(matches!(world.taken().last(), Some(ToEdge::Slice(slice)) if slice.next == Seq(3)));
}

#[test]
fn whoever_waits_for_a_room_of_a_quarantined_group_is_told() {
    let mut world = World::new(8);
    let (lost, whole) = apart();
    say(&mut world, lost, 1);
    let (mut waiting, mut others) = (Vec::new(), 0);
    for number in 0..40 {
        let name = alloc::format!("not yet {number}");
        world.subscribe(named(&name), Start::Live, number);
        if group_of(&name, 8) == group_of(lost, 8) {
            waiting.push(name);
        } else {
            others += 1;
        }
    }
    assert!(!waiting.is_empty() && others > 0);
    world.settle();
    world.sent.clear();
    world.home.break_library(group_of(lost, 8));
    world.say(lost, producer(1), 2, b"2");
    world.run();
    let told: Vec<alloc::string::String> = world
        .taken()
        .into_iter()
        .filter_map(|message| match message {
            ToEdge::NameEnded {
                name,
                code: Code::INTERNAL,
                ..
            } => Some(name.as_str().into()),
            _ => None,
        })
        .collect();
    waiting.sort();
    assert_eq!(told, waiting);
    say(&mut world, whole, 1);
}
