//! Readers behind full lanes: whatever is refused, each subscriber gets every record once, in order, and ends up live.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use antiphon_protocol::{Link, Namespace, Producer, RequestId, RoomId, Seq, UserName};
use proptest::prelude::*;

use super::toy_log::TestLog;
use super::world::{World, checked, conn, moderate, named, producer, settings};
use crate::core::CoreId;
use crate::home::settings::HomeSettings;
use crate::lane::{Message, Slice, Start, Subscribe, Tail, Ticket, ToEdge, ToHome};
use crate::lanes::Lanes;
use crate::map::SlotMap;
use crate::read::{ReadPurpose, SliceRoute};

const READER: CoreId = CoreId(1);
const ROOMS: [&str; 2] = ["tea", "milk"];

/// Where a subscriber stands, as the edge sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    Asked,
    Waiting,
    Behind { is_asked: bool },
    Live,
}

#[derive(Debug)]
struct Subscriber {
    room_name: usize,
    room: Option<RoomId>,
    standing: Standing,
    next: Seq,
    link: Link,
    seen: u64,
}

/// The world with one more core, whose lane is small.
#[derive(Debug)]
struct Stage {
    world: World,
    lanes: Lanes,
    lane: VecDeque<Message>,
    places: usize,
    subscribers: Vec<Subscriber>,
    published: [u64; 2],
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe {
        room: usize,
        last: u64,
    },
    Publish {
        room: usize,
        count: usize,
    },
    Turn,
    Persist {
        count: usize,
    },
    /// The edge takes some messages out of its lane.
    Drain {
        count: usize,
    },
    /// A reader thread answers the oldest read.
    Read,
    /// The lane gets another size.
    Places {
        places: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..2_usize, 0..6_u64).prop_map(|(room, last)| Step::Subscribe { room, last }),
        6 => (0..2_usize, 1..5_usize).prop_map(|(room, count)| Step::Publish { room, count }),
        6 => Just(Step::Turn),
        6 => (1..4_usize).prop_map(|count| Step::Persist { count }),
        5 => (1..5_usize).prop_map(|count| Step::Drain { count }),
        3 => Just(Step::Read),
        1 => (1..4_usize).prop_map(|places| Step::Places { places }),
    ];
    prop::collection::vec(step, 1..120)
}

impl Stage {
    fn new(hot_bytes: usize) -> Stage {
        let world = World::with(HomeSettings {
            map: SlotMap::even(2, 1),
            hot_bytes,
            ..settings(2)
        });
        Stage {
            world,
            lanes: Lanes::new(CoreId(0), 2),
            lane: VecDeque::new(),
            places: 2,
            subscribers: Vec::new(),
            published: [0; 2],
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Subscribe { room, last } => self.subscribe(*room, *last),
            Step::Publish { room, count } => {
                for _ in 0..*count {
                    self.published[*room] += 1;
                    self.world.say(
                        ROOMS[*room],
                        producer(9),
                        self.published[*room],
                        b"some body",
                    );
                }
            }
            Step::Turn => self.world.run(),
            Step::Persist { count } => self.world.persist(*count, None),
            Step::Drain { count } => self.drain(*count),
            Step::Read => self.read(),
            Step::Places { places } => self.places = *places,
        }
        self.forward();
    }

    fn subscribe(&mut self, room: usize, last: u64) {
        let ticket = Ticket(self.subscribers.len() as u64);
        self.subscribers.push(Subscriber {
            room_name: room,
            room: None,
            standing: Standing::Asked,
            next: Seq(0),
            link: Link(0),
            seen: 0,
        });
        let subscribe = Subscribe {
            wants: antiphon_protocol::Wants::RECORDS,
            cursor: "".into(),
            conn: conn(7),
            ticket,
            request: RequestId(1),
            namespace: Namespace(0),
            room: named(ROOMS[room]),
            start: if last == 0 {
                Start::Live
            } else {
                Start::Last(last)
            },
            sender: UserName::try_from("eve").expect("lawful"),
            producer: Producer(1),
        };
        self.world.home.handle(
            READER,
            ToHome::Subscribe(Box::new(subscribe)),
            self.world.now,
        );
    }

    /// What home sent goes into the lanes, and as much as fits on to the reader's core.
    fn forward(&mut self) {
        while let Some(output) = self.world.home.poll() {
            self.world.take(output);
        }
        for (to, message) in core::mem::take(&mut self.world.sent) {
            if to == READER {
                self.lanes.send(to, Message::ToEdge(message));
            }
        }
        while let Some((to, message)) = self.lanes.poll() {
            if self.lane.len() >= self.places {
                self.lanes.refused(to, message);
            } else {
                self.lane.push_back(message);
            }
        }
    }

    fn drain(&mut self, count: usize) {
        for _ in 0..count {
            let Some(message) = self.lane.pop_front() else {
                break;
            };
            let Message::ToEdge(message) = message else {
                panic!("to an edge")
            };
            self.hear(message);
        }
        if self.lane.len() < self.places {
            self.lanes.opened(READER);
        }
        self.ask();
    }

    fn read(&mut self) {
        let Some(job) = self.world.jobs.pop_front() else {
            return;
        };
        let answer = self.world.log.read(&job);
        match job.purpose {
            ReadPurpose::Home(_) => self.world.home.read_done(answer, self.world.now),
            ReadPurpose::Slice(SliceRoute { conn, ticket }) => {
                let read = answer.result.expect("readable");
                let (first, next, link_before, records) =
                    (read.first, read.next, read.link_before, read.records);
                let slice = Slice {
                    conn,
                    ticket,
                    room: job.room,
                    gap: None,
                    first,
                    next,
                    link_before,
                    records,
                    ends_at_apply: false,
                };
                self.hear(ToEdge::Slice(Box::new(slice)));
            }
            ReadPurpose::Page(_) => panic!("nobody reads pages"),
        }
        self.ask();
    }

    fn hear(&mut self, message: ToEdge) {
        match message {
            ToEdge::Subscribed(told) => {
                let subscriber = &mut self.subscribers[told.ticket.0 as usize];
                assert_eq!(subscriber.standing, Standing::Asked);
                (subscriber.room, subscriber.next, subscriber.link) =
                    (told.room, told.next, told.link);
                subscriber.standing = match (told.room, told.live) {
                    (None, _) => Standing::Waiting,
                    (Some(_), true) => Standing::Live,
                    (Some(_), false) => Standing::Behind { is_asked: false },
                };
            }
            ToEdge::Created(created) => {
                let name = ROOMS
                    .iter()
                    .position(|room| room.as_bytes() == created.name.as_bytes())
                    .expect("known");
                for subscriber in self
                    .subscribers
                    .iter_mut()
                    .filter(|one| one.room_name == name && one.standing == Standing::Waiting)
                {
                    subscriber.room = Some(created.room);
                    subscriber.link = Link::start(created.room);
                    subscriber.standing = Standing::Live;
                }
            }
            ToEdge::Deliver(deliver) => {
                for subscriber in self
                    .subscribers
                    .iter_mut()
                    .filter(|one| one.room == Some(deliver.room) && one.standing == Standing::Live)
                {
                    assert!(deliver.first >= subscriber.next, "nothing comes twice");
                    if deliver.first == subscriber.next {
                        subscriber.take(&deliver.records, deliver.next);
                    } else {
                        subscriber.standing = Standing::Behind { is_asked: false };
                    }
                }
            }
            ToEdge::Dirty { room, apply_end } => {
                for subscriber in self
                    .subscribers
                    .iter_mut()
                    .filter(|one| one.room == Some(room) && one.standing == Standing::Live)
                {
                    if subscriber.next < apply_end {
                        subscriber.standing = Standing::Behind { is_asked: false };
                    }
                }
            }
            ToEdge::Slice(slice) => {
                let subscriber = &mut self.subscribers[slice.ticket.0 as usize];
                assert_eq!(subscriber.standing, Standing::Behind { is_asked: true });
                assert_eq!(
                    (slice.first, slice.link_before),
                    (subscriber.next, subscriber.link)
                );
                subscriber.take(&slice.records, slice.next);
                subscriber.standing = if slice.ends_at_apply {
                    Standing::Live
                } else {
                    Standing::Behind { is_asked: false }
                };
            }
            other => panic!("{other:?}"),
        }
    }

    /// Subscribers that are behind ask for what follows.
    fn ask(&mut self) {
        for (at, subscriber) in self.subscribers.iter_mut().enumerate() {
            if subscriber.standing == (Standing::Behind { is_asked: false }) {
                subscriber.standing = Standing::Behind { is_asked: true };
                let room = subscriber.room.expect("granted");
                let tail = Tail {
                    conn: conn(7),
                    ticket: Ticket(at as u64),
                    room,
                    from: subscriber.next,
                    bytes_max: 300,
                };
                self.world
                    .home
                    .handle(READER, ToHome::Tail(tail), self.world.now);
            }
        }
    }

    /// Everything moves until nothing does: then everybody has everything and is live.
    fn conclude(&mut self) {
        for _ in 0..10_000 {
            self.step(&Step::Turn);
            self.step(&Step::Persist { count: usize::MAX });
            self.step(&Step::Read);
            self.step(&Step::Drain { count: 3 });
            let is_quiet = self.lane.is_empty()
                && self.lanes.waiting() == 0
                && self.world.jobs.is_empty()
                && self.world.home.is_idle();
            let is_settled = self
                .subscribers
                .iter()
                .all(|one| matches!(one.standing, Standing::Live | Standing::Waiting));
            if is_quiet && is_settled {
                break;
            }
        }
        for subscriber in &self.subscribers {
            let published = self.published[subscriber.room_name];
            if published == 0 {
                assert_eq!(subscriber.standing, Standing::Waiting);
                continue;
            }
            assert_eq!(subscriber.standing, Standing::Live, "{subscriber:?}");
            assert_eq!(subscriber.next, Seq(published + 1), "{subscriber:?}");
        }
    }
}

impl Subscriber {
    fn take(&mut self, records: &[u8], next: Seq) {
        let (told, link) = checked(records, self.next, self.link);
        assert_eq!(self.next.0 + told.len() as u64, next.0);
        self.seen += told.len() as u64;
        self.link = link;
        self.next = next;
    }
}

proptest! {
    #![proptest_config(moderate())]
    #[test]
    fn every_subscriber_gets_every_record_once_and_ends_up_live(steps in steps(), is_small: bool) {
        let mut stage = Stage::new(if is_small { 1_500 } else { 1024 * 1024 });
        for step in &steps {
            stage.step(step);
        }
        stage.conclude();
    }
}
