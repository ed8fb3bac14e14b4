//! A transcript: a broker fed with whatever several clients send, split anywhere, while time passes, lanes fill and processes die.
//!
//! Input: `limits u8`, then steps; see [`step`]. Promised of any transcript:
//! - no panic, no quarantined group, and everything comes to rest;
//! - each request gets its answers, no more, and on a connection that lives no fewer; nothing follows GOAWAY;
//! - no PUBACK, RECORD or PAGE tells what is not durable at that moment, byte for byte, and no seq is given twice;
//! - a subscription has each seq once, in order, and its links go on;
//! - no frame exceeds the limit of its connection, no outbox its bound;
//! - a log that is opened again has every record that was durable.

mod broker;
mod peer;
mod phrases;
mod truth;

use antiphon_log::testing::Collector;
use antiphon_log::{Item, Items, Log};
use antiphon_protocol::records;

use crate::script::Script;
use broker::{Broker, CORES, Stage};
use phrases::{Memory, phrase};

/// Connections of one transcript; then the oldest that lives is used.
const WIRES_MAX: usize = 12;
/// Each costs an open.
const RESTARTS_MAX: usize = 2;
/// Steps of one transcript.
const STEPS_MAX: usize = 600;

pub(super) fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let mut broker = Broker::new(script.below(4));
    let mut memory = Memory::default();
    let mut restarts = 0;
    broker.connect(0);
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        step(&mut script, &mut broker, &mut memory, &mut restarts);
    }
    broker.settle();
    check_reopened(&broker);
}

/// `what u8`, then what it needs. A connection is a byte, modulo those that there are.
fn step(script: &mut Script<'_>, broker: &mut Broker, memory: &mut Memory, restarts: &mut usize) {
    let what = script.byte();
    let wires = broker.wires.len();
    match what % 20 {
        0 if wires < WIRES_MAX => broker.connect(script.below(CORES)),
        1..=6 => {
            let wire = script.below(wires);
            phrase(script, &mut broker.wires[wire], memory);
        }
        7 => {
            let (wire, count) = (script.below(wires), script.below(64));
            let bytes = script.bytes(count).to_vec();
            broker.wires[wire].up.extend(bytes);
        }
        8 => {
            // Something on the way is changed: mostly near the front of the newest frame.
            let (wire, back, mask) = (script.below(wires), script.byte(), script.byte());
            let up = &mut broker.wires[wire].up;
            if let Some(at) = up.len().checked_sub(1 + usize::from(back)) {
                up[at] ^= mask;
            }
        }
        9 => {
            let (wire, count) = (script.below(wires), script.byte());
            broker.read(wire, usize::from(count));
        }
        10 => broker.turn(script.below(CORES)),
        11 => broker.flush(1 + script.below(8)),
        12 => broker.answer_read(script.below(4) == 3),
        13 => {
            let (wire, count) = (script.below(wires), usize::from(script.byte()));
            broker.send(wire, count * count);
        }
        14 => {
            let (from, count) = (script.below(CORES), script.below(5));
            broker.pass(from, count);
        }
        15 => {
            let ms = u64::from(script.byte());
            broker.pass_time(ms * ms);
        }
        16 => {
            let wire = script.below(wires);
            broker.hang_up(wire);
        }
        17 if *restarts < RESTARTS_MAX => {
            *restarts += 1;
            broker.restart();
            broker.connect(script.below(CORES));
        }
        _ => broker.round(),
    }
    if broker.wires.iter().all(|wire| wire.stage == Stage::Gone) {
        broker.connect(0);
    }
}

/// What was durable is there after a kill.
fn check_reopened(broker: &Broker) {
    let (disk, settings) = broker.remains();
    let mut collector = Collector::default();
    let (_, recovery) =
        Log::open(disk, settings, &mut collector).expect("a disk without faults opens");
    assert!(recovery.findings.is_empty(), "{:?}", recovery.findings);
    let mut found = std::collections::BTreeMap::new();
    for entry in collector.groups.values().flat_map(|group| group.entries()) {
        for item in Items::new(&entry.payload) {
            let Item::Records(item) = item.expect("what was written can be read") else {
                continue;
            };
            for record in records(item.records) {
                let record = record.expect("what was written can be read");
                found.insert(
                    (record.room_id().0, record.seq().0),
                    record.whole().to_vec(),
                );
            }
        }
    }
    assert_eq!(
        &found,
        broker.truth.durable(),
        "a reopened log has what was durable, and no more"
    );
}
