//! `catchup`: a room is full, and a reader that has nothing of it reads all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::prefill::prefill;
use super::{Findings, options};
use crate::clock::Nanos;
use crate::drive::Probe;
use crate::error::BenchError;
use crate::generator::Ears;
use crate::limits::STALLED_AFTER;
use crate::meter::Meter;
use crate::progress::Phase;
use crate::stage::Stage;
use crate::stamp::Stream;
use crate::target::{Event, Since, Target};
use crate::verify::Verifier;

/// Options of `catchup`.
#[derive(Clone, Debug, PartialEq)]
pub struct Catchup {
    /// Messages in the room.
    pub records: u64,
}

/// Longest wait of one turn.
const TURN: Duration = Duration::from_millis(50);
/// The connection that writes, and the one that reads.
const WRITER: u32 = 0;
const READER: u32 = 1;

impl Catchup {
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        options([("records", self.records.to_string())])
    }

    pub(super) fn measure<T: Target>(&self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        let rooms = stage.rooms(1)?;
        let mut generator = stage.connect(2)?;
        prefill(stage, &mut generator, WRITER, &rooms[0], self.records)?;
        stage.progress.enter(Phase::Measuring);
        let mut reader = Reader::new(generator.clock().now());
        let probe = Probe::start(&generator, stage.pids());
        generator.subscribe(READER, &rooms[0], Since::Beginning)?;
        while reader.come < self.records {
            generator.turn(TURN, &mut reader)?;
            stage.progress.step(reader.come, self.records);
            stage.progress.count(reader.come);
            let waited = generator.clock().now().since(reader.newest);
            if Duration::from_nanos(waited) > STALLED_AFTER {
                return Err(BenchError::Stalled {
                    what: "records",
                    have: reader.come,
                    want: self.records,
                    seconds: STALLED_AFTER.as_secs(),
                });
            }
        }
        let used = probe.finish(&generator);
        // A duplicate of the last one comes right behind it.
        generator.turn(TURN, &mut reader)?;
        let verdict = reader.verifier.finish(&[self.records]);
        let mut findings = Findings::new(used, verdict);
        findings.meter("delivery", "deliveries", reader.meter);
        Ok(findings)
    }
}

/// What has come.
#[derive(Debug)]
struct Reader {
    start: Nanos,
    come: u64,
    newest: Nanos,
    verifier: Verifier,
    /// Latencies count from the request.
    meter: Meter,
}

impl Reader {
    fn new(start: Nanos) -> Self {
        let mut meter = Meter::new();
        meter.measure(start, Nanos(u64::MAX));
        let mut verifier = Verifier::default();
        verifier.expect(READER, Stream(0));
        Self {
            start,
            come: 0,
            newest: start,
            verifier,
            meter,
        }
    }
}

impl Ears for Reader {
    #[inline]
    fn hear(&mut self, connection: u32, event: Event<'_>, now: Nanos) {
        match event {
            Event::Delivered { body } => {
                if self.verifier.deliver(connection, body).is_none() {
                    return;
                }
                self.newest = now;
                self.come += 1;
                self.meter.arrive(self.start, now);
            }
            Event::Refused => self.verifier.refuse(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_room_does_not_keep_a_reader_waiting() {
        let mut reader = Reader::new(Nanos(1));
        reader.hear(READER, Event::Delivered { body: b"noise" }, Nanos(9));
        assert_eq!((reader.come, reader.newest), (0, Nanos(1)));
        assert_eq!(reader.verifier.finish(&[0]).corrupted, 1);
    }
}
