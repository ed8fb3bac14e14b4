//! What a report shows, gathered from the runs: one group a load, one entry a system.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::result::{Better, ResultFile, Run};
use crate::rivals::found::{RatioFound, RowFound, SystemFound, TournamentFile};
use crate::rivals::plan::{Curve, curves};
use crate::rivals::tournament::ROW;
use crate::statistics::median;

/// A page's content.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What stands on top.
    pub title: String,
    facts: Vec<(String, String)>,
    groups: Vec<Group>,
    growth: Vec<Growth>,
    not_yet: Vec<(String, String)>,
    notes: Vec<String>,
    method: &'static str,
}

/// The runs of one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Group {
    id: String,
    title: String,
    /// The options of the load, in words.
    options: String,
    figure: String,
    unit: String,
    better: Better,
    /// `delivery`, `ack`, ...: what the latencies are of; empty: there are none.
    kind: String,
    ours: Option<SystemFound>,
    systems: Vec<SystemSeen>,
    ratios: Vec<RatioFound>,
    notes: Vec<String>,
}

/// One system in one group, over all of its runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct SystemSeen {
    name: String,
    /// The median of the figure, and its extremes.
    value: f64,
    low: f64,
    high: f64,
    runs: usize,
    /// All runs together: upper end in us, and how many.
    buckets: Vec<(f64, u64)>,
    /// The middle run: seconds, and how many a second.
    series: Vec<(f64, f64)>,
    busy: f64,
    acked: String,
    is_synced: bool,
    settings: Vec<String>,
    verdict: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Growth {
    title: &'static str,
    text: &'static str,
    /// What grows.
    x: &'static str,
    /// Of what it costs.
    unit: &'static str,
    systems: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Line {
    name: String,
    /// How much of it, and what it costs.
    points: Vec<(f64, f64)>,
}

const METHOD: &str = "System and generator are separate processes on loopback, each kept on a CPU of its own; systems take turns \
     within each round. Latencies count from the intended time of sending. Every delivery is verified. Intervals lie between order \
     statistics of the rounds' ratios. The method is described in docs/benchmarks.md.";

/// The figure that a group without a row shows first: the first of these that its runs have.
const FIRST_FIGURES: [&str; 6] = [
    "deliveries_per_s",
    "acks_per_s",
    "connects_per_s",
    "reads_per_s",
    "delivery_p50_us",
    "ack_p50_us",
];

impl Report {
    /// A report of a tournament.
    #[must_use]
    pub fn of_rivals(file: &TournamentFile) -> Self {
        let mut report = Self::of(&file.result);
        "Antiphon and its rivals".clone_into(&mut report.title);
        report.groups = file
            .rows
            .iter()
            .map(|row| group_of_row(row, &file.result.runs))
            .collect();
        let grown = curves()
            .into_iter()
            .map(|curve| growth(&curve, &file.result.runs));
        report.growth = grown.filter(|growth| !growth.systems.is_empty()).collect();
        report.not_yet.clone_from(&file.not_yet);
        report.notes.clone_from(&file.notes);
        let versions = file.programs.iter().map(|program| {
            let version = program.version.as_deref().unwrap_or("not installed");
            (program.name.clone(), version.to_owned())
        });
        report.facts.extend(versions);
        report
    }

    /// A report of any result: a group for each load.
    #[must_use]
    pub fn of(file: &ResultFile) -> Self {
        let mut loads = BTreeMap::<String, Vec<&Run>>::new();
        for run in file.runs.iter().filter(|run| row_of(run).is_none()) {
            loads.entry(run.key()).or_default().push(run);
        }
        Self {
            title: "Antiphon under load".to_owned(),
            facts: facts(file),
            groups: loads.values().map(|runs| group_of_load(runs)).collect(),
            growth: Vec::new(),
            not_yet: Vec::new(),
            notes: Vec::new(),
            method: METHOD,
        }
    }
}

fn facts(file: &ResultFile) -> Vec<(String, String)> {
    let machine = &file.machine;
    let facts = [
        ("commit", file.commit.clone()),
        ("build", file.profile.clone()),
        ("CPU", format!("{} ({} usable)", machine.cpu, machine.cpus)),
        ("kernel", machine.kernel.clone()),
        ("data on", machine.file_system.clone()),
        ("command", format!("antiphon {}", file.command.join(" "))),
        ("started", utc(file.started_at)),
    ];
    let known = facts.into_iter().filter(|(_, value)| !value.is_empty());
    known
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Seconds since the epoch as a date and a time.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = year + era * 400 + next;
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year}-{month:02}-{date:02} {hour:02}:{minute:02} UTC")
}

fn row_of(run: &Run) -> Option<&str> {
    run.configuration.get(ROW).map(String::as_str)
}

fn group_of_row(row: &RowFound, all: &[Run]) -> Group {
    let own: Vec<&Run> = all
        .iter()
        .filter(|run| row_of(run) == Some(&row.runs_of))
        .collect();
    let mut group = group(&own, &row.figure);
    group.id.clone_from(&row.id);
    group.title.clone_from(&row.title);
    group.ours.clone_from(&row.ours);
    group.ratios.clone_from(&row.ratios);
    group.notes.clone_from(&row.notes);
    group
}

fn group_of_load(runs: &[&Run]) -> Group {
    let figure = FIRST_FIGURES
        .into_iter()
        .find(|figure| runs.iter().any(|run| run.metric(figure).is_some()));
    group(runs, figure.unwrap_or_default())
}

fn group(runs: &[&Run], figure: &str) -> Group {
    let mut names: Vec<&str> = Vec::new();
    for run in runs {
        if !names.contains(&run.target.as_str()) {
            names.push(&run.target);
        }
    }
    let metric = runs
        .iter()
        .flat_map(|run| &run.metrics)
        .find(|metric| metric.name == figure);
    let kind = kind_of(figure);
    let systems = names.into_iter().map(|name| {
        let own: Vec<_> = runs
            .iter()
            .copied()
            .filter(|run| run.target == name)
            .collect();
        system(&own, figure, kind)
    });
    let first = runs.first();
    Group {
        id: first.map_or_else(String::new, |run| run.workload.clone()),
        title: first.map_or_else(String::new, |run| run.workload.clone()),
        options: first.map_or_else(String::new, |run| options(run)),
        figure: figure.to_owned(),
        unit: metric.map(|metric| metric.unit.clone()).unwrap_or_default(),
        better: metric.map_or(Better::Neither, |metric| metric.better),
        kind: kind.to_owned(),
        ours: None,
        systems: systems.collect(),
        ratios: Vec::new(),
        notes: Vec::new(),
    }
}

/// What the latencies are of that belong to a figure; empty: of nothing.
fn kind_of(figure: &str) -> &'static str {
    match figure {
        figure if figure.starts_with("ack") => "ack",
        figure if figure.starts_with("connect") => "connect",
        figure if figure.starts_with("reads") || figure.starts_with("history") => "history",
        figure if figure.ends_with("_per_connection") => "",
        _ => "delivery",
    }
}

fn options(run: &Run) -> String {
    let options = run.configuration.iter().filter(|(key, _)| *key != ROW);
    let options: Vec<_> = options
        .map(|(key, value)| format!("{} {value}", key.replace('_', " ")))
        .collect();
    options.join(", ")
}

fn system(runs: &[&Run], figure: &str, kind: &str) -> SystemSeen {
    let values: Vec<f64> = runs.iter().filter_map(|run| run.metric(figure)).collect();
    let value = median(&values);
    let middle = runs.iter().min_by(|a, b| {
        let off = |run: &Run| (run.metric(figure).unwrap_or_default() - value).abs();
        off(a).total_cmp(&off(b))
    });
    let middle = middle.copied();
    let points = middle.and_then(|run| run.series.get(kind));
    let points = points.into_iter().flatten();
    let busy: Vec<_> = runs.iter().map(|run| run.generator.busy_share).collect();
    let is_clean = runs.iter().all(|run| run.verdict.is_clean());
    let synced = |run: &Run| match kind {
        "ack" => run.durability.synced_before_ack,
        _ => run.durability.synced_before_delivery,
    };
    SystemSeen {
        name: middle.map(|run| run.target.clone()).unwrap_or_default(),
        value,
        low: values.iter().copied().fold(value, f64::min),
        high: values.iter().copied().fold(value, f64::max),
        runs: runs.len(),
        buckets: merged(runs, kind),
        series: points.map(|point| (point.at_s, point.per_s)).collect(),
        busy: median(&busy),
        acked: middle
            .map(|run| run.durability.acked.clone())
            .unwrap_or_default(),
        is_synced: middle.is_some_and(synced),
        settings: middle.map(|run| run.settings.clone()).unwrap_or_default(),
        verdict: if is_clean {
            "all as due"
        } else {
            "WRONG, see the notes"
        }
        .to_owned(),
    }
}

/// The histograms of all runs as one. Their buckets have the same ends.
fn merged(runs: &[&Run], kind: &str) -> Vec<(f64, u64)> {
    // Ends by their bits: positive numbers sort as their bits do.
    let mut sum = BTreeMap::<u64, u64>::new();
    let latencies = runs.iter().filter_map(|run| run.latency.get(kind));
    for bucket in latencies.flat_map(|latency| &latency.buckets) {
        *sum.entry(bucket.upto_us.to_bits()).or_default() += bucket.count;
    }
    sum.into_iter()
        .map(|(bits, count)| (f64::from_bits(bits), count))
        .collect()
}

fn growth(curve: &Curve, runs: &[Run]) -> Growth {
    let mut systems = BTreeMap::<&str, BTreeMap<u32, Vec<f64>>>::new();
    for run in runs.iter().filter(|run| row_of(run) == Some(curve.id)) {
        let size = run.configuration.get(curve.x);
        let size = size.and_then(|text| text.parse().ok());
        if let (Some(size), Some(cost)) = (size, run.metric(curve.figure)) {
            let line = systems.entry(&run.target).or_default();
            line.entry(size).or_default().push(cost);
        }
    }
    let lines = systems.into_iter().map(|(name, points)| Line {
        name: name.to_owned(),
        points: points
            .into_iter()
            .map(|(size, costs)| (f64::from(size), median(&costs)))
            .filter(|(_, cost)| *cost > 0.0)
            .collect(),
    });
    Growth {
        title: curve.title,
        text: curve.text,
        x: curve.x,
        unit: if curve.figure.starts_with("cpu_s") {
            "s"
        } else {
            "bytes"
        },
        systems: lines.filter(|line| !line.points.is_empty()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59 UTC");
        assert_eq!(utc(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(utc(1_798_761_599), "2026-12-31 23:59 UTC");
    }
}
