//! Crashes at any moment: whoever was acked or told a record finds it again, at the same place, once.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use antiphon_log::GroupId;
use antiphon_protocol::{
    Code, Link, Namespace, ProducerSeq, RequestId, RoomId, Seq, Slot, Timestamp,
};
use proptest::prelude::*;

use super::real_log::RealLog;
use super::toy_log::{TestLog, ToyLog};
use super::world::{START_MS, Say, Told, World, checked, moderate, named, producer, settings};
use crate::home::settings::HomeSettings;
use crate::lane::{Start, ToEdge};

const ROOMS: [&str; 4] = ["tea", "milk", "sugar", "a room with a longer name"];
const WRITERS: usize = 3;

/// One step of the world.
#[derive(Clone, Debug)]
enum Step {
    /// A writer publishes some new bodies to a room.
    Publish {
        writer: usize,
        room: usize,
        count: usize,
    },
    /// A writer sends all that it has no answer for again.
    Resend { writer: usize, room: usize },
    /// One turn.
    Turn,
    /// The log persists some appends, of one group or of all.
    Persist { count: usize, group: Option<u32> },
    /// A reader thread answers.
    Read,
    /// The process dies and starts anew, maybe with a clock that was set meanwhile, back or forth.
    Restart { clock_ms: Option<u64> },
    /// The wall clock is set, back or forth.
    Clock { ms: u64 },
    /// The disk's power goes some calls from now; only of a real log.
    PowerCut { calls: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..WRITERS, 0..ROOMS.len(), 1..4_usize).prop_map(|(writer, room, count)| Step::Publish { writer, room, count }),
        2 => (0..WRITERS, 0..ROOMS.len()).prop_map(|(writer, room)| Step::Resend { writer, room }),
        4 => Just(Step::Turn),
        4 => (1..4_usize, prop::option::of(1..4_u32)).prop_map(|(count, group)| Step::Persist { count, group }),
        2 => Just(Step::Read),
        2 => prop::option::of(0..20_000_u64).prop_map(|clock_ms| Step::Restart { clock_ms }),
        1 => (0..20_000_u64).prop_map(|ms| Step::Clock { ms }),
        1 => (1..12_u64).prop_map(|calls| Step::PowerCut { calls }),
    ];
    prop::collection::vec(step, 1..60)
}

/// A log whose power can go.
trait Breaks {
    fn crash_in(&self, calls: u64);
    fn is_dead(&self) -> bool;
}

impl Breaks for ToyLog {
    fn crash_in(&self, _calls: u64) {}

    fn is_dead(&self) -> bool {
        false
    }
}

impl Breaks for RealLog {
    fn crash_in(&self, calls: u64) {
        RealLog::crash_in(self, calls);
    }

    fn is_dead(&self) -> bool {
        RealLog::is_dead(self)
    }
}

/// What a writer has published to one room.
#[derive(Clone, Debug, Default)]
struct Writer {
    /// Bodies by producer_seq - 1.
    bodies: Vec<Vec<u8>>,
    /// What is acked: seq and link by producer_seq; seq 0: a duplicate that is too old.
    acked: BTreeMap<u64, (Seq, Link)>,
    /// Requests without an answer, and their producer_seq.
    asked: BTreeMap<RequestId, u64>,
}

#[derive(Debug, Default)]
struct Clients {
    writers: BTreeMap<(usize, usize), Writer>,
    rooms: BTreeMap<usize, RoomId>,
    /// Every record that was delivered, by room.
    told: BTreeMap<RoomId, BTreeMap<u64, Told>>,
}

/// The wall clock goes up to ten seconds wrong, either way.
fn wall(ms: u64) -> Timestamp {
    Timestamp(START_MS - 10_000 + ms)
}

fn sender(writer: usize) -> &'static str {
    ["ann", "bob", "eve"][writer]
}

impl Clients {
    fn publish(
        &mut self,
        world: &mut World<impl TestLog>,
        writer: usize,
        room: usize,
        from: usize,
    ) {
        let state = self.writers.entry((writer, room)).or_default();
        let number = producer(u32::try_from(writer).expect("small"));
        let says: Vec<Say<'_>> = state.bodies[from..]
            .iter()
            .enumerate()
            .map(|(at, body)| Say {
                room: ROOMS[room],
                sender: sender(writer),
                producer: number,
                seq: (from + at + 1) as u64,
                body,
            })
            .collect();
        if says.is_empty() {
            return;
        }
        let seqs: Vec<u64> = says.iter().map(|say| say.seq).collect();
        let requests = world.batch(&says);
        state.asked.extend(requests.into_iter().zip(seqs));
    }

    fn step<L: TestLog + Breaks>(&mut self, mut world: World<L>, step: &Step) -> World<L> {
        match step {
            Step::Publish {
                writer,
                room,
                count,
            } => {
                let state = self.writers.entry((*writer, *room)).or_default();
                // A client keeps no more in flight than it may.
                let unacked = state.bodies.len() - state.acked.len();
                let from = state.bodies.len();
                for at in 0..(*count).min(8_usize.saturating_sub(unacked)) {
                    state
                        .bodies
                        .push(alloc::format!("{writer} {room} {}", from + at).into_bytes());
                }
                self.publish(&mut world, *writer, *room, from);
            }
            Step::Resend { writer, room } => self.resend(&mut world, *writer, *room),
            Step::Turn => world.run(),
            Step::Persist { count, group } => world.persist(*count, group.map(GroupId)),
            Step::Read => {
                world.read_one();
            }
            Step::Restart { clock_ms } => world = self.restart(world, *clock_ms),
            Step::Clock { ms } => world.now.wall = wall(*ms),
            Step::PowerCut { calls } => world.log.crash_in(*calls),
        }
        self.hear(&mut world);
        if world.log.is_dead() {
            self.restart(world, None)
        } else {
            world
        }
    }

    fn restart<L: TestLog>(&mut self, world: World<L>, clock_ms: Option<u64>) -> World<L> {
        let mut world = world.restart();
        world.now.wall = clock_ms.map_or(world.now.wall, wall);
        world.settle();
        for room in ROOMS {
            world.subscribe(named(room), Start::Live, 1);
        }
        self.writers
            .values_mut()
            .for_each(|state| state.asked.clear());
        world
    }

    fn resend(&mut self, world: &mut World<impl TestLog>, writer: usize, room: usize) {
        let state = self.writers.entry((writer, room)).or_default();
        let from = (0..state.bodies.len())
            .find(|at| !state.acked.contains_key(&(*at as u64 + 1)))
            .unwrap_or(state.bodies.len());
        self.publish(world, writer, room, from);
    }

    /// Takes what the edges were sent.
    fn hear(&mut self, world: &mut World<impl TestLog>) {
        for message in world.taken() {
            match message {
                ToEdge::Acks(acks) => {
                    for ack in acks {
                        self.acked(&ack);
                    }
                }
                ToEdge::Reject(reject) => {
                    assert!(
                        [Code::OUT_OF_ORDER, Code::UNAVAILABLE].contains(&reject.code),
                        "{reject:?}"
                    );
                    self.writers.values_mut().for_each(|state| {
                        state.asked.remove(&reject.request);
                    });
                }
                ToEdge::Deliver(deliver) => {
                    for record in crate::home::records::records(&deliver.records) {
                        let record = record.expect("a record");
                        let told = Told {
                            seq: record.seq().0,
                            producer: record.producer(),
                            producer_seq: record.producer_seq().0,
                            body: record.body().to_vec(),
                        };
                        let known = self.told.entry(deliver.room).or_default();
                        assert!(
                            known
                                .insert(told.seq, told.clone())
                                .is_none_or(|before| before == told),
                            "a seq has one record"
                        );
                    }
                }
                _ => {}
            }
        }
    }

    fn acked(&mut self, ack: &crate::lane::Ack) {
        let (at, state) = self
            .writers
            .iter_mut()
            .find(|(_, state)| state.asked.contains_key(&ack.request))
            .expect("asked");
        let asked = state.asked.remove(&ack.request).expect("asked");
        assert_eq!(ack.producer_seq, ProducerSeq(asked));
        assert_eq!(
            *self.rooms.entry(at.1).or_insert(ack.room),
            ack.room,
            "a name has one room"
        );
        if ack.seq == Seq(0) {
            assert!(ack.duplicate);
            state.acked.entry(asked).or_insert((Seq(0), Link(0)));
            return;
        }
        let first = state.acked.insert(asked, (ack.seq, ack.link));
        assert!(
            first.is_none_or(|first| first == (ack.seq, ack.link) || first.0 == Seq(0)),
            "a retry gets the first answer"
        );
    }

    /// Everything is published to the end and read back.
    fn conclude(&mut self, mut world: World<impl TestLog>) {
        world.settle();
        self.hear(&mut world);
        for _ in 0..3 {
            let at: Vec<(usize, usize)> = self.writers.keys().copied().collect();
            for (writer, room) in at {
                self.resend(&mut world, writer, room);
                world.settle();
                self.hear(&mut world);
            }
        }
        for (room, id) in self.rooms.clone() {
            let history = world.history(id);
            self.check(room, id, &history);
        }
        assert!(world.home.is_idle());
    }

    fn check(&self, room: usize, id: RoomId, history: &[Told]) {
        for told in self
            .told
            .get(&id)
            .into_iter()
            .flatten()
            .map(|(_, told)| told)
        {
            assert_eq!(
                Some(told),
                history.get(told.seq as usize - 1),
                "what was told stays"
            );
        }
        for writer in 0..WRITERS {
            let Some(state) = self.writers.get(&(writer, room)) else {
                continue;
            };
            let number = producer(u32::try_from(writer).expect("small"));
            let mine: Vec<&Told> = history
                .iter()
                .filter(|told| told.producer == number)
                .collect();
            assert_eq!(mine.len(), state.bodies.len(), "each body once");
            for (at, told) in mine.iter().enumerate() {
                assert_eq!(
                    (told.producer_seq, &told.body),
                    (at as u64 + 1, &state.bodies[at]),
                    "in the producer's order"
                );
                let (seq, _) = state.acked[&told.producer_seq];
                assert!(seq == Seq(0) || seq.0 == told.seq, "where the ack said");
            }
        }
    }
}

fn all_is_kept<L: TestLog + Breaks>(mut world: World<L>, steps: &[Step]) {
    let mut clients = Clients::default();
    for room in ROOMS {
        world.subscribe(named(room), Start::Live, 1);
    }
    for step in steps {
        world = clients.step(world, step);
    }
    // No more power cuts. The clock is as far behind as it ever is.
    world = clients.restart(world, Some(0));
    clients.conclude(world);
}

fn small_settings(has_checkpoints: bool, is_small: bool) -> HomeSettings {
    let checkpoint_bytes_min = if has_checkpoints { 500 } else { u64::MAX };
    let hot_bytes = if is_small { 2_000 } else { 1024 * 1024 };
    HomeSettings {
        checkpoint_bytes_min,
        hot_bytes,
        ..settings(3)
    }
}

proptest! {
    #![proptest_config(moderate())]
    #[test]
    fn all_acked_is_present_exactly_once_after_any_crashes(steps in steps(), has_checkpoints: bool, is_small: bool) {
        all_is_kept(World::with(small_settings(has_checkpoints, is_small)), &steps);
    }

    #[test]
    fn all_acked_is_present_exactly_once_on_the_real_log(steps in steps(), has_checkpoints: bool, is_small: bool, losses: u32) {
        let log = RealLog::new(16 * 1024, u64::from(losses));
        all_is_kept(World::on(small_settings(has_checkpoints, is_small), log), &steps);
    }
}

/// Two rooms in the two partitions of a small world.
fn two_partitions() -> (&'static str, &'static str) {
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

#[test]
fn a_partition_that_writes_little_is_checkpointed_before_its_entries_lie_four_segments_back() {
    let mut world = World::on(settings(2), RealLog::new(8 * 1024, 1));
    let (quiet, busy) = two_partitions();
    let request = world.say(quiet, producer(1), 1, b"once");
    world.settle();
    let room = world.ack(request).room;
    let mut seq = 0;
    while world.log.segments() < 12 {
        seq += 1;
        world.say(busy, producer(2), seq, &[7; 700]);
        world.settle();
    }
    for group in ["checkpoint/g00000001", "checkpoint/g00000002"] {
        assert!(world.log.has_file(group), "{group}");
    }
    let mut world = world.restart();
    world.settle();
    assert_eq!(world.history(room).len(), 1);
}

#[test]
fn records_survive_restart_after_restart() {
    let mut world = World::new(2);
    let mut links: BTreeMap<&str, (RoomId, Link)> = BTreeMap::new();
    for round in 1..=5_u64 {
        for room in ROOMS {
            let request = world.say(room, producer(1), round, b"again");
            world.settle();
            let ack = world.ack(request);
            assert_eq!(ack.seq, Seq(round));
            links.insert(room, (ack.room, ack.link));
        }
        world = world.restart();
        world.settle();
    }
    for (room, link) in links.into_values() {
        assert_eq!(world.history(room).len(), 5);
        world.sent.clear();
        world.tail(room, Seq(1), u32::MAX);
        world.settle();
        let slices = world.taken();
        let Some(ToEdge::Slice(slice)) = slices.first() else {
            panic!("{slices:?}")
        };
        assert_eq!(checked(&slice.records, Seq(1), Link::start(room)).1, link);
    }
}

/// The last record was not known to be committed when the log was opened, as always after a kill.
fn a_clock_that_stepped_back_is_survived<L: TestLog>(mut world: World<L>) {
    let first = world.say("tea", producer(1), 1, b"1");
    world.settle();
    let first = world.ack(first);
    let mut world = world.restart();
    world.now.wall = Timestamp(START_MS - 1_000);
    world.settle();
    let second = world.say("tea", producer(1), 2, b"2");
    world.settle();
    let second = world.ack(second);
    assert_eq!((second.seq, second.time), (Seq(2), first.time));
    let mut world = world.restart();
    world.now.wall = Timestamp(START_MS + 1_000);
    world.settle();
    let third = world.say("tea", producer(1), 3, b"3");
    world.settle();
    assert_eq!(world.ack(third).time, Timestamp(START_MS + 1_000));
    assert_eq!(world.history(first.room).len(), 3);
}

#[test]
fn a_clock_that_steps_back_between_two_lives_makes_no_time_fall() {
    a_clock_that_stepped_back_is_survived(World::new(1));
    let log = RealLog::new(1 << 20, 0);
    a_clock_that_stepped_back_is_survived(World::on(settings(1), log));
}
