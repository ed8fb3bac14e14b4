//! Clocks that are wrong for a while: they close no partition to new sessions, and nothing takes effect twice.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use antiphon_protocol::{Code, Producer, RequestId, RoomId, Seq, Timestamp};
use proptest::prelude::*;

use super::world::{START_MS, World, moderate, producer, settings};
use crate::home::settings::HomeSettings;

const DAY_MS: u64 = 24 * 3_600 * 1_000;
const SWEEP_MS: u64 = 3_600_000;

/// Publishes and tells whether that was acked.
fn says(world: &mut World, producer: Producer, seq: u64) -> Result<Seq, Code> {
    let request = world.say("tea", producer, seq, b"hello");
    world.settle();
    let answer = world.answer(request).expect("answered");
    answer.map(|ack| ack.seq).map_err(|(code, _)| code)
}

fn sweep(world: &mut World) {
    world.now.mono_ms += SWEEP_MS;
    world.home.tick(world.now);
    world.settle();
}

/// A world whose clock was ten years ahead for one publish of `producer(1)` and is right again.
fn once_ahead() -> World {
    let mut world = World::new(1);
    assert_eq!(says(&mut world, producer(1), 1), Ok(Seq(1)));
    world.now.wall = Timestamp(START_MS + 3_650 * DAY_MS);
    assert_eq!(says(&mut world, producer(1), 2), Ok(Seq(2)));
    world.now.wall = Timestamp(START_MS + 60_000);
    world
}

#[test]
fn a_clock_that_was_years_ahead_once_closes_the_partition_to_nobody() {
    let mut world = once_ahead();
    let new = Producer::new(world.now.wall, 2);
    assert_eq!(says(&mut world, new, 1), Ok(Seq(3)));
    sweep(&mut world);
    let mut world = world.restart();
    world.now.wall = Timestamp(START_MS + 7 * DAY_MS);
    world.settle();
    let newer = Producer::new(world.now.wall, 3);
    assert_eq!(says(&mut world, newer, 1), Ok(Seq(4)));
    assert_eq!(
        says(&mut world, new, 2),
        Ok(Seq(5)),
        "a running session goes on"
    );
}

#[test]
fn what_such_a_clock_made_the_partition_forget_never_starts_again_and_all_younger_may() {
    let mut world = World::new(1);
    let (old, idle) = (producer(1), Producer::new(Timestamp(START_MS - DAY_MS), 7));
    assert_eq!(says(&mut world, old, 1), Ok(Seq(1)));
    world.now.wall = Timestamp(START_MS + 3_650 * DAY_MS);
    let ahead = Producer::new(world.now.wall, 2);
    assert_eq!(says(&mut world, ahead, 1), Ok(Seq(2)));
    sweep(&mut world);
    assert_eq!(world.home.stats().producers, 1);
    let mut world = world.restart();
    world.now.wall = Timestamp(START_MS + 1);
    world.settle();
    assert_eq!(says(&mut world, old, 1), Err(Code::PRODUCER_EXPIRED));
    assert_eq!(says(&mut world, old, 2), Err(Code::PRODUCER_EXPIRED));
    assert_eq!(says(&mut world, idle, 1), Err(Code::PRODUCER_EXPIRED));
    let young = Producer::new(world.now.wall, 3);
    assert_eq!(says(&mut world, young, 1), Ok(Seq(3)));
}

#[test]
fn a_producer_of_a_far_future_does_not_start() {
    let mut world = World::new(1);
    let ahead = |ms| Producer::new(Timestamp(START_MS + ms), 1);
    assert_eq!(
        says(&mut world, ahead(7 * DAY_MS + 1), 1),
        Err(Code::PRODUCER_EXPIRED)
    );
    assert_eq!(says(&mut world, ahead(7 * DAY_MS), 1), Ok(Seq(1)));
}

/// One step of a world whose clock goes anywhere.
#[derive(Clone, Debug)]
enum Step {
    /// The clock is set, in days from two years before the start.
    Clock(u64),
    /// A session is born by the clock.
    Birth,
    /// A session publishes its next number, or an old one again.
    Publish {
        session: usize,
        back: u64,
    },
    /// The same, and the entry is under way when the next step comes.
    Pipeline {
        session: usize,
        back: u64,
    },
    /// Silent producers are looked for; the entry is under way when the next step comes.
    Sweep,
    Persist,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || (0..6_usize, 0..3_u64);
    let step = prop_oneof![
        // Mostly by days, sometimes by years.
        3 => prop_oneof![3 => 725..745_u64, 1 => 0..4_000_u64].prop_map(Step::Clock),
        3 => Just(Step::Birth),
        6 => at().prop_map(|(session, back)| Step::Publish { session, back }),
        3 => at().prop_map(|(session, back)| Step::Pipeline { session, back }),
        4 => Just(Step::Sweep),
        2 => Just(Step::Persist),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..80)
}

/// Sessions, as careless as clients can be: they try any number at any time.
#[derive(Debug, Default)]
struct Sessions {
    all: Vec<(Producer, u64)>,
    asked: BTreeMap<RequestId, (usize, u64)>,
}

impl Sessions {
    fn publish(&mut self, world: &mut World, session: usize, back: u64) {
        let count = self.all.len();
        let Some((producer, last)) = self.all.get(session % count.max(1)).copied() else {
            return;
        };
        let seq = (last + 1).saturating_sub(back).max(1);
        let request = world.say("tea", producer, seq, &seq.to_le_bytes());
        self.asked.insert(request, (session % count, seq));
    }

    fn hear(&mut self, world: &World) {
        for (request, (session, seq)) in &self.asked {
            if let Some(Ok(ack)) = world.answer(*request) {
                assert_eq!(ack.producer_seq.0, *seq);
                let last = &mut self.all[*session].1;
                *last = (*last).max(*seq);
            }
        }
    }
}

proptest! {
    #![proptest_config(moderate())]
    #[test]
    fn no_number_of_a_producer_takes_effect_twice_whatever_the_clock_does(steps in steps(), has_checkpoints: bool) {
        let checkpoint_bytes_min = if has_checkpoints { 400 } else { u64::MAX };
        let mut world = World::with(HomeSettings { checkpoint_bytes_min, ..settings(1) });
        let mut sessions = Sessions::default();
        for step in steps {
            match step {
                Step::Clock(days) => world.now.wall = Timestamp(START_MS - 730 * DAY_MS + days * DAY_MS),
                Step::Birth => {
                    let random = u32::try_from(sessions.all.len()).expect("few");
                    sessions.all.push((Producer::new(world.now.wall, random), 0));
                }
                Step::Publish { session, back } => {
                    sessions.publish(&mut world, session, back);
                    world.settle();
                }
                Step::Pipeline { session, back } => {
                    sessions.publish(&mut world, session, back);
                    world.run();
                }
                Step::Sweep => {
                    world.now.mono_ms += SWEEP_MS;
                    world.home.tick(world.now);
                    world.run();
                }
                Step::Persist => world.persist(1, None),
                Step::Restart => {
                    sessions.hear(&world);
                    sessions.asked.clear();
                    world = world.restart();
                    world.settle();
                }
            }
            sessions.hear(&world);
        }
        world.settle();
        let room = world.channel("tea").name().clone();
        let room = RoomId::new(antiphon_protocol::Slot::of(antiphon_protocol::Namespace(0), &room), 1).expect("lawful");
        if world.home.stats().rooms == 0 {
            return Ok(());
        }
        let mut seen = BTreeSet::new();
        for told in world.history(room) {
            prop_assert!(seen.insert((told.producer, told.producer_seq)), "twice: {told:?}");
        }
        for (producer, last) in sessions.all {
            for seq in 1..=last {
                prop_assert!(seen.contains(&(producer, seq)), "acked and gone: {producer} {seq}");
            }
        }
    }
}
