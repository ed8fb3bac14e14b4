//! `history`: readers that ask for the last messages of a full room, each as soon as it has its answer.

use std::collections::BTreeMap;

use super::prefill::prefill;
use super::{Findings, options};
use crate::clock::Nanos;
use crate::drive::{Load, drive};
use crate::error::BenchError;
use crate::generator::{Ears, Generator};
use crate::meter::Meter;
use crate::stage::Stage;
use crate::stamp::Stamp;
use crate::target::{Event, Room, Target};
use crate::verify::Verdict;

/// Options of `history`.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Messages in the room.
    pub records: u64,
    /// How many of them are asked for.
    pub limit: u32,
    /// Connections that ask.
    pub readers: u32,
}

impl History {
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        options([
            ("records", self.records.to_string()),
            ("limit", self.limit.to_string()),
            ("readers", self.readers.to_string()),
        ])
    }

    pub(super) fn measure<T: Target>(&self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        if self.limit == 0 || self.records < self.limit.into() {
            let told = "at least one message is asked for, and at most as many as there are";
            return Err(BenchError::Usage(told.to_owned()));
        }
        let rooms = stage.rooms(1)?;
        let mut generator = stage.connect(self.readers)?;
        prefill(stage, &mut generator, 0, &rooms[0], self.records)?;
        let mut reading = Reading::new(self, rooms[0].clone());
        let (phases, pids) = (stage.options.phases, stage.pids());
        let used = drive(&mut generator, &mut reading, phases, pids, stage.progress)?;
        let mut findings = Findings::new(used, reading.verdict);
        findings.meter("history", "reads", reading.meter);
        Ok(findings)
    }
}

/// The readers and their answers.
#[derive(Debug)]
struct Reading {
    room: Room,
    limit: u32,
    /// The oldest number that belongs to an answer, and the newest.
    first: u64,
    last: u64,
    /// By connection.
    readers: Vec<Reader>,
    /// Connections that may ask.
    free: Vec<u32>,
    is_stopped: bool,
    meter: Meter,
    verdict: Verdict,
}

/// What one reader has of its answer.
#[derive(Clone, Debug, Default)]
struct Reader {
    asked: Nanos,
    is_waiting: bool,
    /// Lawful numbers in the order in which they came, at most twice as many as are due.
    numbers: Vec<u64>,
}

impl Reading {
    fn new(history: &History, room: Room) -> Self {
        Self {
            room,
            limit: history.limit,
            first: history.records + 1 - u64::from(history.limit),
            last: history.records,
            readers: vec![Reader::default(); history.readers as usize],
            free: (0..history.readers).collect(),
            is_stopped: false,
            meter: Meter::new(),
            verdict: Verdict::default(),
        }
    }

    fn on_item(&mut self, connection: u32, body: &[u8]) {
        self.verdict.delivered += 1;
        match Stamp::read(body) {
            Some(stamp) if (self.first..=self.last).contains(&stamp.number) => {
                let numbers = &mut self.readers[connection as usize].numbers;
                if numbers.len() < 2 * self.limit as usize {
                    numbers.push(stamp.number);
                } else {
                    self.verdict.duplicated += 1;
                }
            }
            Some(_) => self.verdict.stray += 1,
            None => self.verdict.corrupted += 1,
        }
    }

    fn on_end(&mut self, connection: u32, now: Nanos) {
        let reader = &mut self.readers[connection as usize];
        if !reader.is_waiting {
            self.verdict.acked_again += 1;
            return;
        }
        self.meter.arrive(reader.asked, now);
        compare(&mut reader.numbers, self.limit, &mut self.verdict);
        reader.numbers.clear();
        reader.is_waiting = false;
        self.free.push(connection);
    }
}

/// Looks whether `numbers`, all lawful, are `due` different ones, oldest or newest first.
fn compare(numbers: &mut Vec<u64>, due: u32, verdict: &mut Verdict) {
    if numbers.first() > numbers.last() {
        numbers.reverse();
    }
    let count = |is_so: fn(&[u64]) -> bool, numbers: &[u64]| {
        numbers.windows(2).filter(|pair| is_so(pair)).count() as u64
    };
    verdict.reordered += count(|pair| pair[1] < pair[0], numbers);
    numbers.sort_unstable();
    verdict.duplicated += count(|pair| pair[1] == pair[0], numbers);
    numbers.dedup();
    verdict.lost += u64::from(due) - numbers.len() as u64;
}

impl Ears for Reading {
    #[inline]
    fn hear(&mut self, connection: u32, event: Event<'_>, now: Nanos) {
        match event {
            Event::HistoryItem { body } => self.on_item(connection, body),
            Event::History { .. } => self.on_end(connection, now),
            Event::Refused => self.verdict.refused += 1,
            _ => {}
        }
    }
}

impl<T: Target> Load<T> for Reading {
    fn begin(&mut self, _start: Nanos, from: Nanos, until: Nanos) {
        self.meter.measure(from, until);
    }

    fn feed(
        &mut self,
        generator: &mut Generator<'_, T>,
        now: Nanos,
    ) -> Result<Option<Nanos>, BenchError> {
        if !self.is_stopped {
            for connection in self.free.drain(..) {
                generator.history(connection, &self.room, self.limit)?;
                let reader = &mut self.readers[connection as usize];
                reader.asked = now;
                reader.is_waiting = true;
            }
        }
        Ok(None)
    }

    fn stop(&mut self) {
        self.is_stopped = true;
    }

    fn outstanding(&self) -> u64 {
        let waiting = self.readers.iter().filter(|reader| reader.is_waiting);
        waiting.count() as u64
    }

    fn events(&self) -> u64 {
        self.meter.counted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stream;

    /// The verdict on one answer with these numbers, to a request for the last 3 of 10.
    fn answered(numbers: &[u64]) -> Verdict {
        answered_of(3, numbers)
    }

    fn answered_of(limit: u32, numbers: &[u64]) -> Verdict {
        let history = History {
            records: 10,
            limit,
            readers: 1,
        };
        let room = Room {
            number: 0,
            name: "r".to_owned(),
        };
        let mut reading = Reading::new(&history, room);
        reading.readers[0].is_waiting = true;
        for &number in numbers {
            let mut body = [0; 64];
            let stamp = Stamp {
                stream: Stream(0),
                number,
                intended: Nanos(0),
            };
            stamp.write(&mut body);
            reading.hear(0, Event::HistoryItem { body: &body }, Nanos(1));
        }
        reading.hear(0, Event::History { request: 1 }, Nanos(2));
        reading.verdict
    }

    #[test]
    fn an_answer_has_the_last_messages_once_each_in_either_order() {
        assert!(answered(&[8, 9, 10]).is_clean());
        assert!(answered(&[10, 9, 8]).is_clean());
        assert_eq!(answered(&[9, 10]).lost, 1);
        assert_eq!(answered(&[9, 9, 10]).duplicated, 1);
        assert_eq!(answered(&[8, 9, 10, 10]).duplicated, 1);
        let old = answered(&[7, 9, 10]);
        assert_eq!((old.stray, old.lost), (1, 1));
    }

    #[test]
    fn an_answer_whose_faults_make_up_for_each_other_is_found() {
        // As many as are due, with the sum that is due.
        let doubled = answered_of(4, &[7, 7, 10, 10]);
        assert_eq!((doubled.duplicated, doubled.lost), (2, 2));
        assert_eq!(answered(&[8, 10, 9]).reordered, 1);
        assert_eq!(answered(&[10, 8, 9]).reordered, 1);
    }
}
