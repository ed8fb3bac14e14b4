//! Subscribing, catching up, history: what readers are told, from memory and from the log.

use alloc::vec::Vec;

use antiphon_protocol::{
    Code, Count, Link, Namespace, Producer, ProducerSeq, RoomId, Seq, Timestamp,
};

use super::world::{EDGE, START_MS, World, checked, named, producer, settings};
use crate::core::CoreId;
use crate::home::settings::HomeSettings;
use crate::lane::{
    FetchRange, Grant, Head, Page, Refused, Reject, RoomKey, Slice, Start, Subscribed, ToEdge,
    ToHome, Unsubscribe,
};

/// A world whose room "tea" has `count` records; its id and its links from link(0) on.
fn with_tea(count: u64, settings: HomeSettings) -> (World, RoomId, Vec<Link>) {
    let mut world = World::with(settings);
    let mut links = Vec::new();
    let mut room = RoomId(0);
    for seq in 1..=count {
        let request = world.say("tea", producer(1), seq, alloc::format!("{seq}").as_bytes());
        world.settle();
        let ack = world.ack(request);
        room = ack.room;
        if seq == 1 {
            links.push(Link::start(room));
        }
        links.push(ack.link);
    }
    world.sent.clear();
    (world, room, links)
}

fn subscribed(world: &mut World) -> Subscribed {
    world.settle();
    let messages = world.taken();
    assert_eq!(messages.len(), 1, "{messages:?}");
    match messages.into_iter().next() {
        Some(ToEdge::Subscribed(subscribed)) => *subscribed,
        other => panic!("{other:?}"),
    }
}

fn refused(world: &mut World) -> (Code, u64) {
    world.settle();
    match world.taken().as_slice() {
        [
            ToEdge::Reject(Reject {
                of: Refused::Subscribe(_) | Refused::Fetch(_),
                code,
                hint,
                ..
            }),
        ] => (*code, *hint),
        other => panic!("{other:?}"),
    }
}

fn slice(world: &mut World) -> Slice {
    world.settle();
    match world.taken().into_iter().next() {
        Some(ToEdge::Slice(slice)) => *slice,
        other => panic!("{other:?}"),
    }
}

fn page(world: &mut World) -> Page {
    world.settle();
    match world.taken().into_iter().next() {
        Some(ToEdge::Page(page)) => *page,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_room_that_does_not_exist_is_not_created_and_its_creation_is_told() {
    let mut world = World::new(1);
    world.subscribe(named("tea"), Start::Live, 1);
    let answer = subscribed(&mut world);
    assert_eq!(
        (answer.room, answer.next, answer.link, answer.head),
        (None, Seq(1), Link(0), Head::default())
    );
    assert_eq!(world.home.stats().rooms, 0);
    world.say("tea", producer(1), 1, b"1");
    world.settle();
    let messages = world.taken();
    let (ToEdge::Created(created), ToEdge::Deliver(deliver)) = (&messages[0], &messages[1]) else {
        panic!("{messages:?}")
    };
    assert!(created.grant > answer.grant);
    assert_eq!(
        (created.room, deliver.first, deliver.next),
        (deliver.room, Seq(1), Seq(2))
    );
}

#[test]
fn an_unknown_id_is_not_found_and_a_position_in_no_room_has_diverged() {
    let mut world = World::new(1);
    world.subscribe(RoomKey::Id(RoomId(77)), Start::Live, 1);
    assert_eq!(refused(&mut world), (Code::NOT_FOUND, 0));
    world.subscribe(
        named("tea"),
        Start::After {
            seq: Seq(3),
            link: None,
        },
        1,
    );
    assert_eq!(refused(&mut world), (Code::DIVERGED, 0));
    world.fetch("tea", FetchRange::Latest, 10, 1_000);
    assert_eq!(refused(&mut world), (Code::NOT_FOUND, 0));
}

#[test]
fn a_subscription_tells_head_position_and_the_link_before_it() {
    for is_cold in [false, true] {
        let (mut world, room, links) = with_tea(6, settings(1));
        if is_cold {
            world = world.restart();
            world.settle();
        }
        let ask = |world: &mut World, start| {
            world.subscribe(named("tea"), start, 1);
            let answer = subscribed(world);
            let head = Head {
                seq: Seq(6),
                count: Count(6),
                link: links[6],
                time: Timestamp(START_MS),
            };
            assert_eq!(
                (
                    answer.room,
                    answer.head,
                    answer.first_kept,
                    answer.producer_seq
                ),
                (Some(room), head, Seq(1), ProducerSeq(6))
            );
            assert_eq!(answer.link, links[answer.next.0 as usize - 1]);
            (answer.next.0, answer.live)
        };
        assert_eq!(ask(&mut world, Start::Live), (7, true));
        assert_eq!(ask(&mut world, Start::Last(0)), (7, true));
        assert_eq!(ask(&mut world, Start::Last(2)), (5, false));
        assert_eq!(ask(&mut world, Start::Last(99)), (1, false));
        assert_eq!(
            ask(
                &mut world,
                Start::After {
                    seq: Seq(0),
                    link: None
                }
            ),
            (1, false)
        );
        assert_eq!(
            ask(
                &mut world,
                Start::After {
                    seq: Seq(6),
                    link: Some(links[6])
                }
            ),
            (7, true)
        );
        assert_eq!(
            ask(
                &mut world,
                Start::After {
                    seq: Seq(4),
                    link: Some(links[4])
                }
            ),
            (5, false)
        );
        assert_eq!(
            ask(
                &mut world,
                Start::After {
                    seq: Seq(4),
                    link: None
                }
            ),
            (5, false)
        );
        for (seq, link) in [(4, links[5]), (6, links[5]), (7, links[6])] {
            world.subscribe(
                named("tea"),
                Start::After {
                    seq: Seq(seq),
                    link: Some(link),
                },
                1,
            );
            assert_eq!(refused(&mut world), (Code::DIVERGED, 6));
        }
        assert_eq!(world.home.stats().reads_cold > 0, is_cold);
    }
}

#[test]
fn a_room_is_found_by_id_in_its_namespace_only() {
    let (mut world, room, _) = with_tea(1, settings(1));
    world.subscribe(RoomKey::Id(room), Start::Live, 1);
    assert_eq!(subscribed(&mut world).name.as_bytes(), b"tea");
    let ask = ToHome::OpenChannel {
        namespace: Namespace(1),
        room: RoomKey::Id(room),
    };
    world.home.handle(EDGE, ask, world.now);
    world.settle();
    assert!(matches!(
        world.taken().as_slice(),
        [ToEdge::ChannelRefused {
            code: Code::NOT_FOUND,
            ..
        }]
    ));
}

#[test]
fn an_edge_that_left_is_not_told_any_more_unless_it_was_granted_anew() {
    let (mut world, room, _) = with_tea(1, settings(1));
    world.subscribe(named("tea"), Start::Live, 1);
    let first = subscribed(&mut world).grant;
    world.subscribe(named("tea"), Start::Live, 2);
    let second = subscribed(&mut world).grant;
    let delivered = |world: &mut World, seq| {
        world.say("tea", producer(1), seq, b"x");
        world.settle();
        world
            .taken()
            .iter()
            .any(|message| matches!(message, ToEdge::Deliver(_)))
    };
    let leave = |world: &mut World, room: RoomKey, grant: Grant| {
        world.home.handle(
            EDGE,
            ToHome::Unsubscribe(Unsubscribe {
                namespace: Namespace(0),
                room,
                grant,
            }),
            world.now,
        );
    };
    leave(&mut world, RoomKey::Id(room), first);
    assert!(delivered(&mut world, 2));
    leave(&mut world, named("tea"), second);
    assert!(!delivered(&mut world, 3));
}

#[test]
fn only_a_hot_slice_that_reaches_the_end_makes_live() {
    let (mut world, room, links) = with_tea(6, settings(1));
    world.tail(room, Seq(3), 100_000);
    let all = slice(&mut world);
    assert_eq!(
        (all.first, all.next, all.link_before, all.ends_at_apply),
        (Seq(3), Seq(7), links[2], true)
    );
    assert_eq!(checked(&all.records, Seq(3), links[2]).1, links[6]);
    world.tail(room, Seq(3), 1);
    let one = slice(&mut world);
    assert_eq!(
        (one.first, one.next, one.ends_at_apply),
        (Seq(3), Seq(4), false)
    );
    world.tail(room, Seq(7), 1);
    let none = slice(&mut world);
    assert_eq!(
        (none.first, none.next, none.link_before, none.ends_at_apply),
        (Seq(7), Seq(7), links[6], true)
    );
    assert!(none.records.is_empty());
    let mut world = world.restart();
    world.settle();
    world.tail(room, Seq(3), 100_000);
    world.run();
    let job = world.read_one().expect("asked of a reader thread");
    assert_eq!((job.reply_to, job.from, job.until), (EDGE, Seq(3), Seq(7)));
    assert!(!slice(&mut world).ends_at_apply);
}

#[test]
fn what_left_memory_is_read_from_the_log_and_what_is_hot_from_memory() {
    let (mut world, room, links) = with_tea(
        60,
        HomeSettings {
            hot_bytes: 4_000,
            ..settings(1)
        },
    );
    world.tail(room, Seq(1), 1_000);
    world.run();
    assert!(world.read_one().is_some());
    assert_eq!(slice(&mut world).first, Seq(1));
    world.tail(room, Seq(60), 1_000);
    let hot = slice(&mut world);
    assert!(hot.ends_at_apply);
    assert_eq!(checked(&hot.records, Seq(60), links[59]).1, links[60]);
    assert_eq!(world.history(room).len(), 60);
}

#[test]
fn history_comes_in_pages_without_holes() {
    for is_cold in [false, true] {
        let (mut world, _, links) = with_tea(20, settings(1));
        if is_cold {
            world = world.restart();
            world.settle();
        }
        for (range, limit, first, until) in [
            (FetchRange::Latest, 5, 16, 21),
            (FetchRange::Latest, 99, 1, 21),
            (FetchRange::Before(Seq(10)), 4, 6, 10),
            (FetchRange::After(Seq(3)), 99, 4, 21),
            (FetchRange::After(Seq(20)), 5, 21, 21),
            (FetchRange::Before(Seq(1)), 5, 1, 1),
        ] {
            let (mut range, mut limit, mut next) = (range, limit, Seq(first));
            loop {
                world.fetch("tea", range, limit, 400);
                let page = page(&mut world);
                assert_eq!(
                    (page.first, page.until, page.head, page.first_kept),
                    (next, Seq(until), Seq(20), Seq(1))
                );
                assert_eq!(page.link_before, links[next.0 as usize - 1]);
                let (told, _) = checked(&page.records, next, page.link_before);
                assert_eq!(next.0 + told.len() as u64, page.next.0);
                next = page.next;
                if next == page.until {
                    break;
                }
                assert!(!told.is_empty(), "each page moves on");
                (range, limit) = (
                    FetchRange::After(next.previous()),
                    u32::try_from(until - next.0).expect("small"),
                );
            }
        }
    }
}

#[test]
fn questions_before_the_partition_serves_wait_for_what_was_synced_before_the_stop() {
    let (mut world, room, links) = with_tea(1, settings(1));
    world.say("tea", producer(1), 2, b"2");
    world.run();
    world.persist(usize::MAX, None);
    let mut world = world.restart();
    // Synced, maybe acked, not applied yet: a reader that saw it must not be told that it diverged.
    world.subscribe(
        RoomKey::Id(room),
        Start::After {
            seq: Seq(2),
            link: None,
        },
        1,
    );
    world.run();
    assert!(world.sent.is_empty());
    let answer = subscribed(&mut world);
    assert_eq!((answer.next, answer.head.seq), (Seq(3), Seq(2)));
    assert_ne!(answer.link, links[1]);
}

#[test]
fn every_edge_gets_each_batch_once() {
    let settings = HomeSettings {
        map: crate::map::SlotMap::even(1, 3),
        ..settings(1)
    };
    let (mut world, _, _) = with_tea(1, settings);
    for edge in [2, 1, 2, 1] {
        let ask = crate::lane::Subscribe {
            wants: antiphon_protocol::Wants::RECORDS,
            cursor: "".into(),
            conn: super::world::conn(edge),
            ticket: crate::lane::Ticket(1),
            request: antiphon_protocol::RequestId(1),
            namespace: Namespace(0),
            room: named("tea"),
            start: Start::Live,
            sender: antiphon_protocol::UserName::try_from("eve").expect("lawful"),
            producer: Producer(1),
        };
        world.home.handle(
            CoreId(u16::try_from(edge).expect("small")),
            ToHome::Subscribe(alloc::boxed::Box::new(ask)),
            world.now,
        );
    }
    world.settle();
    world.sent.clear();
    world.say("tea", producer(1), 2, b"2");
    world.settle();
    let edges: Vec<u16> = world
        .sent
        .iter()
        .filter(|(_, message)| matches!(message, ToEdge::Deliver(_)))
        .map(|(edge, _)| edge.0)
        .collect();
    assert_eq!(edges, [1, 2]);
}

#[test]
fn a_position_by_time_is_the_first_record_at_or_above_it_hot_and_cold() {
    for hot_bytes in [1024 * 1024, 256] {
        let mut world = World::with(crate::home::settings::HomeSettings {
            hot_bytes,
            ..settings(1)
        });
        // Two records at each of 20 times, 10 ms apart.
        for step in 0..20_u64 {
            world.now.wall.0 = START_MS + 10 * step;
            world.say("tea", producer(1), 2 * step + 1, b"one");
            world.say("tea", producer(1), 2 * step + 2, b"two");
            world.settle();
        }
        let _ = world.taken();
        for (ms, expected) in [(0, 1), (1, 3), (10, 3), (185, 39), (190, 39), (191, 41)] {
            let time = antiphon_protocol::Timestamp(START_MS + ms);
            world.subscribe(named("tea"), Start::Time(time), 3);
            world.settle();
            let next = world.taken().into_iter().find_map(|message| match message {
                ToEdge::Subscribed(subscribed) => Some((subscribed.next, subscribed.live)),
                _ => None,
            });
            assert_eq!(next, Some((Seq(expected), expected == 41)), "{ms} ms");
            world.fetch("tea", FetchRange::Time(time), 2, 4_096);
            world.settle();
            let page = world.taken().into_iter().find_map(|message| match message {
                ToEdge::Page(page) => Some((page.first, page.until)),
                _ => None,
            });
            let end = (expected + 2).min(41);
            assert_eq!(page, Some((Seq(expected), Seq(end))), "{ms} ms");
        }
    }
}
