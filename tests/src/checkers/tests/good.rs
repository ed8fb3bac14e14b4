//! Good histories, and that no checker says a word about them.

use std::collections::{HashMap, HashSet};

use crate::checkers::tests::scene::{Fate, Scene};
use crate::checkers::{Invariant, check_all};
use crate::history::{Client, History, Link, Range, Room, Seq, Start, What, read, write};

const ANN: Client = Client(1);
const BOB: Client = Client(2);
const LOBBY: Room = Room(1);

/// One node, Ann and Bob in the lobby; the history into which anomalies are planted.
///
/// Lobby: 1 Ann/1, 2 Bob/1, 3 Ann/2, 4 Bob/2, a restart, 5 Ann/3 (acked late, as a duplicate), 6 Bob/3, 7 Ann/4, and
/// after healing 8 Ann/5, 9 Bob/4.
pub(super) fn scripted() -> History {
    let mut scene = Scene::new(1, 2);
    scene.subscribe(BOB, LOBBY, Start::Live);
    scene.publish(ANN, LOBBY, Fate::Acked);
    scene.publish(BOB, LOBBY, Fate::Acked);
    scene.publish(ANN, LOBBY, Fate::Refused);
    scene.publish(ANN, LOBBY, Fate::Acked);
    scene.fetch(ANN, LOBBY, Range::Latest, 2);
    scene.publish(BOB, LOBBY, Fate::Acked);
    scene.publish(ANN, LOBBY, Fate::AckLost);
    scene.restart();
    scene.publish(ANN, LOBBY, Fate::Acked);
    scene.publish(BOB, LOBBY, Fate::RequestLost);
    scene.publish(BOB, LOBBY, Fate::Acked);
    scene.publish(ANN, LOBBY, Fate::Acked);
    scene.subscribe(ANN, LOBBY, Start::Last(3));
    scene.fetch(ANN, LOBBY, Range::After(Seq(2)), 3);
    scene.fetch(BOB, LOBBY, Range::Before(Seq(6)), 9);
    scene.fetch(BOB, Room(9), Range::Latest, 1);
    scene.beside(ANN, BOB, LOBBY);
    scene.finish()
}

/// Three nodes, each with all; two messages of Ann's.
pub(super) fn three_nodes() -> History {
    let mut scene = Scene::new(3, 1);
    scene.publish(ANN, LOBBY, Fate::Acked);
    scene.finish()
}

/// A small generator of numbers, the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn generated(seed: u64, steps: u64) -> History {
    let mut dice = Dice(seed);
    let mut scene = Scene::new(1 + 2 * (seed % 2) as u32, 4);
    for _ in 0..steps {
        let client = Client(1 + dice.below(4) as u32);
        let room = Room(1 + dice.below(3) as u32);
        let any = Seq(dice.below(12));
        match dice.below(40) {
            0 => scene.restart(),
            1..=3 => scene.unsubscribe(client, room),
            4 => scene.subscribe(client, room, Start::Last(any.0)),
            5 | 6 => scene.subscribe(client, room, Start::Live),
            7 => {
                let (seq, link) = (Seq(0), Link(0));
                scene.subscribe(client, room, Start::After { seq, link });
            }
            8 => scene.fetch(client, room, Range::Latest, 3),
            9 => scene.fetch(client, room, Range::Before(any), 3),
            10 => scene.fetch(client, room, Range::After(any), 3),
            11 | 12 => scene.publish(client, room, Fate::AckLost),
            13 => scene.publish(client, room, Fate::RequestLost),
            14 => scene.publish(client, room, Fate::Refused),
            _ => scene.publish(client, room, Fate::Acked),
        }
    }
    scene.finish()
}

#[test]
fn the_scripted_history_is_good_and_speaks_of_every_promise() {
    let report = check_all(&scripted());
    assert!(report.is_good(), "{report}");
    assert_eq!(report.silent(), []);
}

#[test]
fn generated_histories_are_good() {
    for seed in 0..200 {
        let report = check_all(&generated(seed, 300));
        assert!(report.is_good(), "seed {seed}\n{report}");
    }
}

#[test]
fn a_history_is_the_same_after_it_was_written_and_read() {
    for seed in 0..4 {
        let history = generated(seed, 100);
        let mut lines = Vec::new();
        write(&history, &mut lines).unwrap();
        assert_eq!(read(lines.as_slice()).unwrap(), history);
    }
}

#[test]
fn an_empty_history_breaks_nothing_and_shows_nothing() {
    let mut history = scripted();
    history.events.clear();
    let report = check_all(&history);
    assert!(report.is_good());
    assert_eq!(report.silent().len(), report.checks.len());
}

#[test]
fn any_acked_record_that_leaves_a_final_read_is_missed_by_i1_alone() {
    let mut planted = 0;
    for seed in 0..8 {
        let history = generated(seed, 120);
        for (event, place) in acked_places(&history).into_iter().step_by(5) {
            let mut history = history.clone();
            if let What::FinalRead { records, .. } = &mut history.events[event].what {
                records.remove(place);
            }
            let report = check_all(&history);
            assert_eq!(report.broken(), [Invariant::I1], "seed {seed}\n{report}");
            planted += 1;
        }
    }
    assert!(planted > 100, "{planted}");
}

/// The acked records of all final reads: event, and place in it.
fn acked_places(history: &History) -> Vec<(usize, usize)> {
    let mut rooms = HashMap::new();
    let mut acked = HashSet::new();
    let mut places = Vec::new();
    for (at, event) in history.events.iter().enumerate() {
        match &event.what {
            What::Publish { op, room, .. } => {
                rooms.insert(*op, *room);
            }
            What::Published { op, seq, .. } => {
                acked.insert((rooms[op], *seq));
            }
            What::FinalRead { room, records, .. } => {
                let is_acked = |place: &usize| acked.contains(&(*room, records[*place].seq));
                places.extend((0..records.len()).filter(is_acked).map(|place| (at, place)));
            }
            _ => {}
        }
    }
    places
}

#[test]
fn no_history_makes_a_checker_panic() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut history = generated(seed, 60);
        let events = &mut history.events;
        for _ in 0..20 {
            let (one, other) = (
                dice.below(events.len() as u64),
                dice.below(events.len() as u64),
            );
            let (one, other) = (one as usize, other as usize);
            match dice.below(4) {
                0 => drop(events.remove(one)),
                1 => events.swap(one, other),
                2 => events.insert(one, events[other].clone()),
                _ => wild(&mut events[one].what),
            }
        }
        let report = check_all(&history);
        assert_eq!(report.checks.len(), 13);
    }
}

/// Puts the largest numbers where there are any.
fn wild(what: &mut What) {
    let most = Seq(u64::MAX);
    match what {
        What::Subscribe { start, .. } => *start = Start::Last(u64::MAX),
        What::Subscribed { head, next, .. } => (*head, *next) = (most, most),
        What::Published { seq, .. } => *seq = most,
        What::Deliver { record, .. } => record.origin.producer_seq.0 = u64::MAX,
        What::Fetch { range, .. } => *range = Range::After(most),
        What::Fetched { records, .. } => records.iter_mut().for_each(|one| one.seq = most),
        What::FinalRead { records, .. } => records.iter_mut().for_each(|one| one.seq = Seq(0)),
        What::Written { first, next, .. } => (*first, *next) = (most, Seq(0)),
        What::Synced { from, end } => std::mem::swap(from, end),
        _ => {}
    }
}
