//! I5: a publish takes effect once, over retries, reconnects and restarts, and its acks agree.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkers::view::{Ack, FinalRead, Map, Message, Set, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::{Op, Producer, ProducerSeq, Record, Room, Seq, User, What};

/// Compares places per message, acks per message, and numbers per producer.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::I5);
    places(view, &mut check);
    acks(view, &mut check);
    expected(view, &mut check);
    let mut told = BTreeSet::new();
    for read in &view.final_reads {
        for run in runs(read.records) {
            holes(read, &run, &mut told, &mut check);
        }
    }
    check
}

fn places(view: &View<'_>, check: &mut Check) {
    let mut first: Map<Message, (Seq, EventNo)> = Map::default();
    let mut told = Set::default();
    for sighting in &view.sightings {
        check.compare();
        let (room, origin) = (sighting.room, sighting.record.origin);
        let second = sighting.record.seq;
        let (seq, event) = *first
            .entry((room, origin))
            .or_insert((second, sighting.event));
        if seq != second && told.insert((room, origin, second)) {
            let anomaly = Anomaly::TwoSeqs {
                room,
                origin,
                first: seq,
                second,
            };
            check.violated(anomaly, &[event, sighting.event]);
        }
    }
}

fn acks(view: &View<'_>, check: &mut Check) {
    let mut timed: Map<Message, Ack> = Map::default();
    let mut original: Map<Message, Ack> = Map::default();
    for ack in &view.acks {
        let (room, origin) = ack.message;
        if ack.time != 0 {
            let first = timed.entry(ack.message).or_insert(*ack);
            if first.time != ack.time {
                check.violated(
                    Anomaly::TwoTimes { room, origin },
                    &[first.event, ack.event],
                );
            }
        }
        if !ack.duplicate {
            let first = original.entry(ack.message).or_insert(*ack);
            if first.event != ack.event {
                check.violated(
                    Anomaly::FirstTwice { room, origin },
                    &[first.event, ack.event],
                );
            }
        }
    }
}

/// A publish that named its place is there or nowhere. A duplicate tells of an older attempt.
fn expected(view: &View<'_>, check: &mut Check) {
    let mut wanted: Map<Op, (Seq, EventNo)> = Map::default();
    for (event, happened) in view.events() {
        match happened.what {
            What::Expect { op, seq } => {
                wanted.insert(op, (seq, event));
            }
            What::Published {
                op,
                seq: got,
                duplicate: false,
                ..
            } => {
                let Some((expected, asked)) = wanted.remove(&op) else {
                    continue;
                };
                check.compare();
                if got != expected {
                    let anomaly = Anomaly::NotExpected { op, expected, got };
                    check.violated(anomaly, &[asked, event]);
                }
            }
            _ => {}
        }
    }
}

/// The parts of a read in which no seq is missing, in order of seqs.
fn runs(records: &[Record]) -> Vec<Vec<Record>> {
    let mut sorted = records.to_vec();
    sorted.sort_by_key(|record| record.seq);
    let mut runs: Vec<Vec<Record>> = Vec::new();
    for record in sorted {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| record.seq <= last.seq.next()) => {
                run.push(record);
            }
            _ => runs.push(vec![record]),
        }
    }
    runs
}

/// A run that begins the room has each producer's numbers from 1, any other from the lowest that it has.
fn holes(
    read: &FinalRead<'_>,
    run: &[Record],
    told: &mut BTreeSet<(Room, User, Producer, ProducerSeq)>,
    check: &mut Check,
) {
    let from_start = run.first().is_some_and(|record| record.seq == Seq(1));
    let mut numbers: BTreeMap<(User, Producer), BTreeSet<ProducerSeq>> = BTreeMap::new();
    for Record { origin, .. } in run {
        let producer = numbers.entry((origin.user, origin.producer)).or_default();
        producer.insert(origin.producer_seq);
    }
    for ((user, producer), numbers) in numbers {
        let lowest = numbers.first().map_or(1, |number| number.0);
        let mut expected = if from_start { 1 } else { lowest };
        for number in numbers {
            check.compare();
            let missing = ProducerSeq(expected);
            let room = read.room;
            if number > missing && told.insert((room, user, producer, missing)) {
                let anomaly = Anomaly::ProducerHole {
                    room,
                    user,
                    producer,
                    missing,
                };
                check.violated(anomaly, &[read.event]);
            }
            expected = number.0.saturating_add(1);
        }
    }
}
