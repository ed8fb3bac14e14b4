//! What a tournament found: a table of ratios with intervals, and the runs behind them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::{Goal, Row};
use super::system::System;
use super::tournament::ROW;
use crate::error::BenchError;
use crate::result::{self, Better, ResultFile, Run};
use crate::statistics::{median, paired};

/// Runs with more stolen CPU time than this are left out of pairs, if enough others remain.
const STOLEN_MAX: f64 = 0.03;
/// A verdict is sure only if its interval holds the truth at least so often: five pairs do.
const COVERAGE_MIN: f64 = 0.9;
/// As many pairs are enough.
const PAIRS_MIN: usize = 3;

/// All that was measured, while it is being measured.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// In the order in which they ran.
    pub runs: Vec<(System, Run)>,
    /// One a row of the plan.
    pub rows: Vec<RowFound>,
    /// What did not come about outside of rows.
    pub notes: Vec<String>,
}

/// The file that `antiphon bench rivals` writes: a `result.json` with more fields.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TournamentFile {
    /// The runs.
    #[serde(flatten)]
    pub result: ResultFile,
    /// The programs of the rivals.
    #[serde(default)]
    pub programs: Vec<Installed>,
    /// The table.
    #[serde(default)]
    pub rows: Vec<RowFound>,
    /// What is wanted and cannot be measured yet: what, and why.
    #[serde(default)]
    pub not_yet: Vec<(String, String)>,
    /// What else a reader should know.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl TournamentFile {
    /// Reads a file that [`TournamentFile::write`] or a workload wrote, of this or an older version.
    ///
    /// # Errors
    /// As [`ResultFile::read`].
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        ResultFile::read_as(path)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`BenchError::File`].
    pub fn write(&self, path: &Path) -> Result<(), BenchError> {
        result::write(self, path)
    }
}

/// A program, and whether it is there.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// What it calls its version; `None`: it is not installed.
    pub version: Option<String>,
    /// How to get it.
    pub advice: String,
}

/// One row of the table.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RowFound {
    /// As in the plan.
    pub id: String,
    /// The row whose runs these are: this one, unless it shows a second figure of another's.
    pub runs_of: String,
    /// For people.
    pub title: String,
    /// Name of the figure that is compared.
    pub figure: String,
    /// Its unit.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// Ours; `None`: it did not come about.
    pub ours: Option<SystemFound>,
    /// The others that came about.
    pub ratios: Vec<RatioFound>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

/// One system in one row: medians.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SystemFound {
    /// Its name.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// How busy the generator was, 0..=1.
    pub busy_share: f64,
    /// CPU share of the generator, 0..=1.
    pub cpu_share: f64,
    /// When it acks, in words.
    pub acked: String,
    /// Whether what the figure counts, deliveries or acks, was synced to a disk before.
    pub is_synced: bool,
}

/// Ours by theirs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RatioFound {
    /// Theirs.
    pub theirs: SystemFound,
    /// The median of the pairs' ratios.
    pub ratio: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How often such an interval holds the truth; 0: one pair.
    pub coverage: f64,
    /// How many pairs.
    pub pairs: u32,
    /// The wanted ratio.
    pub goal: Option<f64>,
    /// Whether more than that is wanted, or less.
    pub goal_is_least: bool,
    /// Whether the ratio reaches the goal; `None`: there is none.
    pub is_met: Option<bool>,
    /// Whether the whole interval says so, and there are enough pairs for it to mean something.
    pub is_sure: bool,
}

/// Judges the runs of a row.
#[must_use]
pub(super) fn row_found(row: &Row, runs: &[(System, Run)], notes: Vec<String>) -> RowFound {
    let of = |system: System| -> Vec<&Run> {
        let own = runs.iter().filter(|(which, _)| *which == system);
        own.map(|(_, run)| run).collect()
    };
    let ours = of(row.ours);
    let metric = ours
        .iter()
        .find_map(|run| run.metrics.iter().find(|metric| metric.name == row.figure));
    let mut notes = notes;
    for against in &row.against {
        let theirs = of(against.system);
        if !theirs.is_empty() && pairs(&ours, &theirs, row.figure).is_empty() {
            let name = against.system.name();
            notes.push(format!("{name}: no pair has the figure of both sides"));
        }
    }
    let ratios = row.against.iter().filter_map(|against| {
        let theirs = of(against.system);
        ratio_found(&ours, &theirs, row.figure, against.goal)
    });
    RowFound {
        id: row.id.to_owned(),
        runs_of: runs
            .first()
            .and_then(|(_, run)| run.configuration.get(ROW).cloned())
            .unwrap_or_else(|| row.id.to_owned()),
        title: row.title.to_owned(),
        figure: row.figure.to_owned(),
        unit: metric.map(|metric| metric.unit.clone()).unwrap_or_default(),
        better: metric.map_or(Better::Neither, |metric| metric.better),
        ours: system_found(&ours, row.figure),
        ratios: ratios.collect(),
        notes,
    }
}

fn system_found(runs: &[&Run], figure: &str) -> Option<SystemFound> {
    let first = runs.first()?;
    let middle = |value: &dyn Fn(&Run) -> f64| {
        let values: Vec<_> = runs.iter().map(|run| value(run)).collect();
        median(&values)
    };
    Some(SystemFound {
        name: first.target.clone(),
        value: middle(&|run| run.metric(figure).unwrap_or_default()),
        busy_share: middle(&|run| run.generator.busy_share),
        cpu_share: middle(&|run| run.generator.cpu_share),
        acked: first.durability.acked.clone(),
        is_synced: if figure.starts_with("ack") {
            first.durability.synced_before_ack
        } else {
            first.durability.synced_before_delivery
        },
    })
}

fn ratio_found(
    ours: &[&Run],
    theirs: &[&Run],
    figure: &str,
    goal: Option<Goal>,
) -> Option<RatioFound> {
    let found = system_found(theirs, figure)?;
    let pairs = pairs(ours, theirs, figure);
    if pairs.is_empty() {
        return None;
    }
    let interval = paired(&pairs);
    let is_met = goal.map(|goal| goal.is_met_by(interval.ratio));
    let ends = [interval.low, interval.high];
    let is_sure = goal.is_some_and(|goal| {
        let agrees = |end: f64| Some(goal.is_met_by(end)) == is_met;
        interval.coverage >= COVERAGE_MIN && ends.into_iter().all(agrees)
    });
    Some(RatioFound {
        theirs: found,
        ratio: interval.ratio,
        low: interval.low,
        high: interval.high,
        coverage: interval.coverage,
        pairs: u32::try_from(pairs.len()).unwrap_or(u32::MAX),
        goal: goal.map(Goal::ratio),
        goal_is_least: matches!(goal, Some(Goal::Least(_))),
        is_met,
        is_sure,
    })
}

/// The figure of ours and of theirs by round. Rounds in which time was stolen are left out if enough others remain.
fn pairs(ours: &[&Run], theirs: &[&Run], figure: &str) -> Vec<(f64, f64)> {
    let both = ours.iter().filter_map(|ours| {
        let theirs = theirs.iter().find(|theirs| theirs.pair == ours.pair)?;
        let values = (ours.metric(figure)?, theirs.metric(figure)?);
        let stolen = ours
            .generator
            .stolen_share
            .max(theirs.generator.stolen_share);
        let is_lawful = values.0 > 0.0 && values.1 > 0.0;
        is_lawful.then_some((values, stolen <= STOLEN_MAX))
    });
    let all: Vec<_> = both.collect();
    let quiet: Vec<_> = all.iter().filter(|(_, is_quiet)| *is_quiet).collect();
    if quiet.len() >= PAIRS_MIN {
        quiet.into_iter().map(|(values, _)| *values).collect()
    } else {
        all.into_iter().map(|(values, _)| values).collect()
    }
}
