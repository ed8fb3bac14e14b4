//! `connect`: a storm of connections that each say hello and subscribe once; then they are idle, and what they cost is weighed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Findings, options};
use crate::clock::Nanos;
use crate::drive::Probe;
use crate::error::BenchError;
use crate::generator::{Ears, Generator};
use crate::limits::{CONNECTS_AT_ONCE, STALLED_AFTER};
use crate::meter::Meter;
use crate::progress::Phase;
use crate::result::Better;
use crate::stage::Stage;
use crate::target::{Event, Room, Since, Target};
use crate::usage;
use crate::verify::Verifier;

/// Options of `connect`.
#[derive(Clone, Debug, PartialEq)]
pub struct Connect {
    /// How many connections.
    pub connections: u32,
    /// How long they are idle before they are weighed.
    pub hold: Duration,
}

/// Longest wait of one turn.
const TURN: Duration = Duration::from_millis(50);

impl Connect {
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        options([
            ("connections", self.connections.to_string()),
            ("hold_s", self.hold.as_secs_f64().to_string()),
        ])
    }

    pub(super) fn measure<T: Target>(&self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        let rooms = stage.rooms(1)?;
        // A tenth as many come before the storm: buffers and pools that the first ones fill are not what a further one costs.
        let before_storm = (self.connections / 10).max(1);
        let mut generator = stage.connect(before_storm)?;
        let first = 0..before_storm;
        stage.subscribe(
            &mut generator,
            first.map(|connection| (connection, &rooms[0])),
        )?;
        self.idle(&mut generator, &mut Storm::new(Nanos(0), before_storm))?;
        let before = usage::memory(&stage.pids());
        stage.progress.enter(Phase::Measuring);
        let mut storm = Storm::new(generator.clock().now(), before_storm);
        let probe = Probe::start(&generator, stage.pids());
        while storm.subscribed < self.connections {
            self.step(&mut generator, &mut storm, &rooms[0])?;
            let (done, due) = (storm.subscribed.into(), self.connections.into());
            stage.progress.step(done, due);
            stage.progress.count(done);
        }
        let mut used = probe.finish(&generator);
        self.idle(&mut generator, &mut storm)?;
        used.memory = usage::memory(&stage.pids());
        let grown = used.memory.anonymous.saturating_sub(before.anonymous);
        let each = grown as f64 / f64::from(self.connections);
        let mut findings = Findings::new(used, storm.verifier.finish(&[]));
        findings.meter("connect", "connects", storm.meter);
        // Nobody's processes weigh nothing.
        if used.memory.anonymous > 0 {
            let name = "anonymous_bytes_per_connection";
            findings.metric(name, each, "bytes", Better::Lower);
        }
        Ok(findings)
    }

    fn idle<T: Target>(
        &self,
        generator: &mut Generator<'_, T>,
        storm: &mut Storm,
    ) -> Result<(), BenchError> {
        let until = generator.clock().now().plus(self.hold);
        while generator.clock().now() < until {
            generator.turn(TURN, storm)?;
        }
        Ok(())
    }

    /// Begins what may be under way, and subscribes those that have become ready.
    fn step<T: Target>(
        &self,
        generator: &mut Generator<'_, T>,
        storm: &mut Storm,
        room: &Room,
    ) -> Result<(), BenchError> {
        let begun = u32::try_from(storm.begun.len()).expect("descriptors are fewer than 2^32");
        let under_way = begun - storm.subscribed;
        let at_once = u32::try_from(CONNECTS_AT_ONCE).unwrap_or(u32::MAX);
        let more = at_once.saturating_sub(under_way);
        for _ in 0..more.min(self.connections - begun) {
            storm.begun.push(Some(generator.clock().now()));
            generator.begin_connect()?;
        }
        for connection in storm.ready.drain(..) {
            generator.subscribe(connection, room, Since::Now)?;
        }
        generator.turn(TURN, storm)?;
        let waited = generator.clock().now().since(storm.newest);
        if Duration::from_nanos(waited) > STALLED_AFTER {
            return Err(BenchError::Stalled {
                what: "connections",
                have: storm.subscribed.into(),
                want: self.connections.into(),
                seconds: STALLED_AFTER.as_secs(),
            });
        }
        Ok(())
    }
}

/// The connections of the storm.
#[derive(Debug)]
struct Storm {
    /// The number of its first one.
    first: u32,
    /// When each was begun; `None`: it has subscribed.
    begun: Vec<Option<Nanos>>,
    /// Those that have said hello and not yet subscribed.
    ready: Vec<u32>,
    subscribed: u32,
    /// When the newest became ready or subscribed.
    newest: Nanos,
    meter: Meter,
    verifier: Verifier,
}

impl Storm {
    fn new(start: Nanos, first: u32) -> Self {
        let mut meter = Meter::new();
        meter.measure(start, Nanos(u64::MAX));
        Self {
            first,
            begun: Vec::new(),
            ready: Vec::new(),
            subscribed: 0,
            newest: start,
            meter,
            verifier: Verifier::default(),
        }
    }
}

impl Ears for Storm {
    fn hear(&mut self, connection: u32, event: Event<'_>, now: Nanos) {
        match event {
            Event::Ready => self.ready.push(connection),
            Event::Subscribed => {
                let at = connection.checked_sub(self.first);
                let begun = at.and_then(|at| self.begun.get_mut(at as usize)?.take());
                match begun {
                    Some(begun) => {
                        self.subscribed += 1;
                        self.meter.arrive(begun, now);
                    }
                    // An answer to nothing.
                    None => self.verifier.count_acks(1, 0),
                }
            }
            Event::Refused => self.verifier.refuse(),
            _ => return,
        }
        self.newest = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_once_however_often_it_is_told_that_it_has_subscribed() {
        let mut storm = Storm::new(Nanos(0), 5);
        storm.begun = vec![Some(Nanos(1)), Some(Nanos(2))];
        // The first one twice, one from before the storm, one from nowhere.
        for connection in [5, 5, 4, 7] {
            storm.hear(connection, Event::Subscribed, Nanos(9));
        }
        assert_eq!((storm.subscribed, storm.meter.counted()), (1, 1));
        assert_eq!(storm.verifier.finish(&[]).acked_again, 3);
    }
}
