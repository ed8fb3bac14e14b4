//! The rows of the plan, run in rounds: in each ours and then each of theirs, so that what troubles the machine troubles all alike.

use std::collections::HashSet;

use super::found::{Found, RowFound, row_found};
use super::plan::{Against, Curve, Load, Row, SIGNALS_PER_ROOM_AND_SECOND};
use super::system::System;
use crate::error::{BenchError, StartError};
use crate::pace::Pace;
use crate::result::Run;
use crate::verify::Verdict;
use crate::workload::Workload;

/// How often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rounds {
    /// Of ours and of those that a goal names.
    pub judged: u32,
    /// Of those that are only told.
    pub told: u32,
    /// Of each point of a growth curve.
    pub growth: u32,
}

/// One run that is due.
#[derive(Debug)]
pub struct Step<'a> {
    /// What it is for, for a progress bar.
    pub label: String,
    /// Which system.
    pub system: System,
    /// What with.
    pub workload: &'a Workload,
    /// Which round.
    pub pair: u32,
}

/// Carries out a step. An error of type `E` ends the tournament; a [`BenchError`] ends only this system's part in the row.
pub type Runner<'r, E> = dyn FnMut(&Step<'_>) -> Result<Result<Run, BenchError>, E> + 'r;

/// Runs steps and keeps what came of them.
pub struct Tournament<'r, E> {
    rounds: Rounds,
    run: &'r mut Runner<'r, E>,
    /// Programs that turned out to be missing.
    missing: HashSet<&'static str>,
    /// Most deliveries a second, as far as they were searched for.
    maxima: Vec<(System, &'static str, f64)>,
    /// All that was measured.
    pub found: Found,
    /// Runs of programs of ours that did not come about, in words: no figures is what a broken system must not get away with.
    pub broken: Vec<String>,
}

/// Configuration key of a run that belongs to a row.
pub const ROW: &str = "row";
/// The row of the runs that look for a maximum.
pub const SEARCH: &str = "search";

impl<'r, E> Tournament<'r, E> {
    /// One that has run nothing.
    pub fn new(rounds: Rounds, run: &'r mut Runner<'r, E>) -> Self {
        Self {
            rounds,
            run,
            missing: HashSet::new(),
            maxima: Vec::new(),
            found: Found::default(),
            broken: Vec::new(),
        }
    }

    /// Runs a row and judges it: one row of the table for each of its figures.
    ///
    /// # Errors
    /// Those of the runner.
    pub fn row(&mut self, row: &Row) -> Result<&[RowFound], E> {
        let mut notes = Vec::new();
        let runs = match self.workload(&row.load, &mut notes)? {
            Some(workload) => self.rounds(row, &workload, &mut notes)?,
            None => Vec::new(),
        };
        let before = self.found.rows.len();
        self.found.rows.push(row_found(row, &runs, notes));
        if let Some(also) = &row.also {
            let second = Row {
                id: also.id,
                title: also.title,
                figure: also.figure,
                against: also.against.clone(),
                also: None,
                ..row.clone()
            };
            self.found.rows.push(row_found(&second, &runs, Vec::new()));
        }
        self.found.runs.extend(runs);
        Ok(&self.found.rows[before..])
    }

    /// Runs the points of a growth curve.
    ///
    /// # Errors
    /// Those of the runner.
    pub fn curve(&mut self, curve: &Curve) -> Result<(), E> {
        for round in 0..self.rounds.growth {
            for size in &curve.sizes {
                let workload = (curve.workload)(*size);
                for &system in &curve.systems {
                    let mut notes = Vec::new();
                    let run = self.step(curve.id, system, &workload, round, &mut notes)?;
                    self.found.runs.extend(run.map(|run| (system, run)));
                    self.found.notes.extend(notes);
                }
            }
        }
        Ok(())
    }

    fn rounds(
        &mut self,
        row: &Row,
        workload: &Workload,
        notes: &mut Vec<String>,
    ) -> Result<Vec<(System, Run)>, E> {
        let mut runs = Vec::new();
        let mut failed: Vec<System> = Vec::new();
        for round in 0..self.rounds.judged.max(self.rounds.told) {
            let others = row
                .against
                .iter()
                .filter(|against| self.is_due(against, round));
            let others: Vec<_> = others.map(|against| against.system).collect();
            if others.is_empty() {
                break;
            }
            for system in std::iter::once(row.ours).chain(others) {
                if failed.contains(&system) {
                    continue;
                }
                match self.step(row.id, system, workload, round, notes)? {
                    Some(run) => runs.push((system, run)),
                    None => failed.push(system),
                }
            }
        }
        Ok(runs)
    }

    fn is_due(&self, against: &Against, round: u32) -> bool {
        let rounds = match against.goal {
            Some(_) => self.rounds.judged,
            None => self.rounds.told,
        };
        round < rounds
    }

    /// One run; `None`, and a note, if it did not come about.
    fn step(
        &mut self,
        row: &str,
        system: System,
        workload: &Workload,
        pair: u32,
        notes: &mut Vec<String>,
    ) -> Result<Option<Run>, E> {
        let program = system.program().map(|program| program.name());
        if program.is_some_and(|program| self.missing.contains(program)) {
            return Ok(None);
        }
        let step = Step {
            label: format!("{row}, round {}: {}", pair + 1, system.name()),
            system,
            workload,
            pair,
        };
        match (self.run)(&step)? {
            Ok(mut run) => {
                notes.extend(trouble(&run));
                run.configuration.insert(ROW.to_owned(), row.to_owned());
                Ok(Some(run))
            }
            Err(BenchError::Start(StartError::Missing { advice, .. })) => {
                notes.push(format!("{} is not installed; {advice}", system.name()));
                self.missing.extend(program);
                Ok(None)
            }
            Err(error) => {
                let told = format!("{} failed: {error}", system.name());
                if program.is_none() {
                    self.broken.push(format!("{row}: {told}"));
                }
                notes.push(told);
                Ok(None)
            }
        }
    }

    /// The load of a row; `None`, and a note, if the maximum that it is half of cannot be found.
    fn workload(&mut self, load: &Load, notes: &mut Vec<String>) -> Result<Option<Workload>, E> {
        match load {
            Load::Fixed(workload) => Ok(Some(workload.clone())),
            Load::HalfOf {
                rival,
                closed,
                publishers,
            } => {
                let Some(maximum) = self.maximum(*rival, closed, notes)? else {
                    return Ok(None);
                };
                let (workload, rate, is_capped) = half_of(&closed[0], maximum, *publishers);
                let name = rival.name();
                let mut note = format!(
                    "{name} delivers at most {maximum:.0}/s; offered: {rate:.0} messages/s"
                );
                if is_capped {
                    note.push_str(", all that a room takes of signals");
                }
                notes.push(note);
                Ok(Some(workload))
            }
        }
    }

    /// Most deliveries a second: windows grow until that helps no more.
    fn maximum(
        &mut self,
        rival: System,
        closed: &[Workload],
        notes: &mut Vec<String>,
    ) -> Result<Option<f64>, E> {
        let kind = closed[0].name();
        let known = self
            .maxima
            .iter()
            .find(|(of, with, _)| (*of, *with) == (rival, kind));
        if let Some((_, _, maximum)) = known {
            return Ok(Some(*maximum));
        }
        let mut maximum: Option<f64> = None;
        for workload in closed {
            let Some(run) = self.step(SEARCH, rival, workload, 0, notes)? else {
                break;
            };
            let reached = run.metric("deliveries_per_s").unwrap_or_default();
            self.found.runs.push((rival, run));
            let has_grown = maximum.is_none_or(|before| reached > before * GROWN);
            maximum = Some(maximum.unwrap_or_default().max(reached));
            if !has_grown {
                break;
            }
        }
        if let Some(maximum) = maximum {
            self.maxima.push((rival, kind, maximum));
        }
        Ok(maximum)
    }
}

/// What a reader must know about a run that did not deliver or ack everything as it must.
fn trouble(run: &Run) -> Option<String> {
    let verdict = run.verdict;
    if verdict.is_clean() {
        return None;
    }
    let slow = Verdict {
        delivered: verdict.delivered,
        lost: verdict.lost,
        unacked: verdict.unacked,
        ..Verdict::default()
    };
    if verdict == slow {
        let (lost, unacked) = (verdict.lost, verdict.unacked);
        return Some(format!(
            "{}: {lost} deliveries and {unacked} acks had not come when the run was given up",
            run.target
        ));
    }
    Some(format!("{} was WRONG: {verdict:?}", run.target))
}

/// A wider window has helped if it brought more than this.
const GROWN: f64 = 1.05;
/// Signals a second that a connection may send, with some room below its limit of 64.
const SIGNALS_PER_CONNECTION_AND_SECOND: f64 = 60.0;

/// An open loop with half of `maximum` deliveries a second; its messages a second; whether the limits of signals cut that.
fn half_of(closed: &Workload, maximum: f64, publishers: u32) -> (Workload, f64, bool) {
    let mut workload = closed.clone();
    let (subscribers, limit) = match &mut workload {
        Workload::Fanout(fanout) => {
            fanout.publishers = publishers;
            (fanout.subscribers, SIGNALS_PER_ROOM_AND_SECOND)
        }
        Workload::Rooms(rooms) => {
            let senders = f64::from(rooms.rooms.min(rooms.connections));
            (rooms.members, senders * SIGNALS_PER_CONNECTION_AND_SECOND)
        }
        _ => (1, f64::INFINITY),
    };
    let wanted = maximum / 2.0 / f64::from(subscribers);
    let rate = wanted.min(limit);
    if let Some(pace) = workload.pace_mut() {
        *pace = Pace::PerSecond(rate);
    }
    (workload, rate, wanted > limit)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;

    use super::super::plan::Goal;
    use super::*;
    use crate::result::{Better, Metric};
    use crate::target::Durability;
    use crate::workload::Fanout;

    fn run(system: System, figure: &str, value: f64, pair: u32) -> Run {
        Run {
            workload: "fanout".to_owned(),
            target: system.name(),
            pair,
            configuration: Default::default(),
            settings: Vec::new(),
            durability: Durability {
                acked: String::new(),
                synced_before_ack: false,
                synced_before_delivery: false,
            },
            seconds: 1.0,
            metrics: vec![
                Metric::new(figure, value, "1/s", Better::Higher),
                Metric::new("deliveries_per_s", 8_000.0, "1/s", Better::Higher),
            ],
            latency: Default::default(),
            series: Default::default(),
            verdict: Default::default(),
            memory: Default::default(),
            generator: Default::default(),
            notes: Vec::new(),
        }
    }

    fn fanout(pace: Pace) -> Workload {
        Workload::Fanout(Fanout {
            subscribers: 10,
            publishers: 1,
            pace,
        })
    }

    fn row(load: Load) -> Row {
        let against = |system, goal| Against { system, goal };
        Row {
            id: "x",
            title: "x",
            load,
            figure: "deliveries_per_cpu_s",
            ours: System::Signals,
            against: vec![
                against(System::RedisPubSub, Some(Goal::Least(1.5))),
                against(System::NatsCore, None),
                against(System::Mosquitto, Some(Goal::Least(3.0))),
            ],
            also: None,
        }
    }

    const ROUNDS: Rounds = Rounds {
        judged: 3,
        told: 1,
        growth: 1,
    };

    #[test]
    fn systems_take_turns_and_a_missing_one_is_told_and_not_asked_again() {
        let ran = RefCell::new(Vec::new());
        let mut runner = |step: &Step<'_>| -> Result<Result<Run, BenchError>, Infallible> {
            ran.borrow_mut().push((step.system, step.pair));
            let value = match step.system {
                System::Signals => 20.0,
                System::RedisPubSub => 10.0,
                System::NatsCore => 5.0,
                _ => {
                    let (program, advice) = ("mosquitto".to_owned(), "get it".to_owned());
                    let missing = StartError::Missing { program, advice };
                    return Ok(Err(missing.into()));
                }
            };
            let figure = "deliveries_per_cpu_s";
            Ok(Ok(run(step.system, figure, value, step.pair)))
        };
        let mut tournament = Tournament::new(ROUNDS, &mut runner);
        let row = row(Load::Fixed(fanout(Pace::InFlight(1))));
        let Ok(found) = tournament.row(&row);
        let found = &found[0];
        let ratios: Vec<_> = found
            .ratios
            .iter()
            .map(|ratio| (ratio.ratio, ratio.pairs, ratio.is_met))
            .collect();
        assert_eq!(ratios, [(2.0, 3, Some(true)), (4.0, 1, None)]);
        assert_eq!(found.notes, ["mosquitto, qos 0 is not installed; get it"]);
        let (ours, redis) = (System::Signals, System::RedisPubSub);
        let expected = [
            (ours, 0),
            (redis, 0),
            (System::NatsCore, 0),
            (System::Mosquitto, 0),
            (ours, 1),
            (redis, 1),
            (ours, 2),
            (redis, 2),
        ];
        assert_eq!(*ran.borrow(), expected);
    }

    #[test]
    fn a_failure_of_ours_is_kept_apart_and_one_of_theirs_is_a_note() {
        let mut runner = |step: &Step<'_>| -> Result<Result<Run, BenchError>, Infallible> {
            Ok(match step.system {
                System::Signals | System::NatsCore => Err(BenchError::Usage("no".to_owned())),
                _ => Ok(run(step.system, "deliveries_per_cpu_s", 1.0, step.pair)),
            })
        };
        let mut tournament = Tournament::new(ROUNDS, &mut runner);
        let Ok(found) = tournament.row(&row(Load::Fixed(fanout(Pace::InFlight(1)))));
        let notes = ["antiphon, signals failed: no", "nats core failed: no"];
        assert_eq!(found[0].notes[..2], notes);
        assert!(found[0].ours.is_none() && found[0].ratios.is_empty());
        assert_eq!(tournament.broken, ["x: antiphon, signals failed: no"]);
    }

    #[test]
    fn half_of_a_maximum_is_searched_for_once_and_offered_within_the_limits_of_signals() {
        let paces = RefCell::new(Vec::new());
        let mut runner = |step: &Step<'_>| -> Result<Result<Run, BenchError>, Infallible> {
            let mut workload = step.workload.clone();
            paces.borrow_mut().push(workload.pace_mut().copied());
            Ok(Ok(run(step.system, "deliveries_per_cpu_s", 1.0, step.pair)))
        };
        let mut rounds = ROUNDS;
        rounds.judged = 1;
        let mut tournament = Tournament::new(rounds, &mut runner);
        let row = row(Load::HalfOf {
            rival: System::RedisPubSub,
            closed: [64, 512]
                .map(|window| fanout(Pace::InFlight(window)))
                .into(),
            publishers: 16,
        });
        let Ok(_) = tournament.row(&row);
        let Ok(_) = tournament.row(&row);
        let paces = paces.borrow();
        let closed = [64, 512].map(|window| Some(Pace::InFlight(window)));
        assert_eq!(paces[..2], closed);
        // 8,000 deliveries a second to 10 subscribers, by half.
        assert!(
            paces[2..]
                .iter()
                .all(|pace| *pace == Some(Pace::PerSecond(400.0)))
        );
        assert_eq!(paces.len(), 2 + 2 * 4);
        let (_, rate, is_capped) = half_of(&fanout(Pace::InFlight(1)), 1e6, 16);
        assert_eq!((rate, is_capped), (SIGNALS_PER_ROOM_AND_SECOND, true));
    }
}
