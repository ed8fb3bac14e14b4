//! The table of ratios, for people.

use antiphon_bench::result::Run;
use antiphon_bench::rivals::found::{Installed, RatioFound, RowFound, SystemFound};
use antiphon_bench::rivals::plan::{Curve, Goal, Row};
use antiphon_bench::rivals::tournament::ROW;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

use super::table::number;
use crate::failure::Failure;
use crate::output::Output;

/// What is installed, and how to get the rest.
pub(super) fn programs(programs: &[Installed], output: &mut Output) -> Result<(), Failure> {
    for program in programs {
        match &program.version {
            Some(version) => output.line(format_args!("{} {version}", program.name))?,
            None => output.line(format_args!(
                "{} is missing; {}",
                program.name, program.advice
            ))?,
        }
    }
    Ok(())
}

/// What would be measured.
pub(super) fn plan(rows: &[Row], curves: &[Curve], output: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(["row", "figure", "ours", "against (goal)"]);
    for row in rows {
        let against = row.against.iter().map(|against| match against.goal {
            None => against.system.name(),
            Some(goal) => format!("{} ({})", against.system.name(), goal_in_words(goal)),
        });
        let against: Vec<_> = against.collect();
        table.add_row([
            format!("{}\n{}", row.id, row.title),
            row.figure.to_owned(),
            row.ours.name(),
            against.join("\n"),
        ]);
    }
    output.line(table)?;
    for curve in curves {
        output.line(format_args!("{}: {}", curve.id, curve.title))?;
    }
    Ok(())
}

fn goal_in_words(goal: Goal) -> String {
    match goal {
        Goal::Least(ratio) => format!("at least {ratio}x"),
        Goal::Most(ratio) => format!("at most {ratio}x"),
    }
}

/// One row of the result.
pub(super) fn row(row: &RowFound, output: &mut Output) -> Result<(), Failure> {
    output.line(format_args!("\n{}: {}", row.id, row.title))?;
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    let figure = format!("{} [{}]", row.figure, row.unit);
    table.set_header([
        "system",
        &figure,
        "ours / theirs",
        "interval",
        "goal",
        "",
        "generator busy",
        "synced before",
    ]);
    if let Some(ours) = &row.ours {
        table.add_row(line_of(ours, ["1", "", "", ""].map(str::to_owned)));
    }
    for ratio in &row.ratios {
        table.add_row(line_of(&ratio.theirs, told_of(ratio)));
    }
    for column in table.column_iter_mut().skip(1).take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    output.line(table)?;
    if row.figure.starts_with("ack") {
        let theirs = row.ratios.iter().map(|ratio| &ratio.theirs);
        for system in row.ours.iter().chain(theirs) {
            output.line(format_args!("  {} acks {}", system.name, system.acked))?;
        }
    }
    for note in &row.notes {
        output.line(format_args!("  {note}"))?;
    }
    Ok(())
}

fn line_of(system: &SystemFound, ratio: [String; 4]) -> Vec<String> {
    let mut line = vec![system.name.clone(), number(system.value)];
    line.extend(ratio);
    let (busy, cpu) = (system.busy_share * 100.0, system.cpu_share * 100.0);
    line.push(format!("{busy:.0} % (CPU {cpu:.0} %)"));
    line.push(if system.is_synced { "yes" } else { "no" }.to_owned());
    line
}

/// Ratio, interval, goal, verdict.
fn told_of(ratio: &RatioFound) -> [String; 4] {
    let interval = if ratio.coverage > 0.0 {
        format!(
            "{:.2} .. {:.2} ({} pairs)",
            ratio.low, ratio.high, ratio.pairs
        )
    } else {
        "one pair".to_owned()
    };
    let goal = ratio.goal.map_or_else(String::new, |goal| {
        let sign = if ratio.goal_is_least { ">=" } else { "<=" };
        format!("{sign} {goal}")
    });
    let verdict = match (ratio.is_met, ratio.is_sure) {
        (None, _) => "",
        (Some(true), true) => "met",
        (Some(true), false) => "met, not surely",
        (Some(false), true) => "MISSED",
        (Some(false), false) => "missed, not surely",
    };
    [
        format!("{:.2}", ratio.ratio),
        interval,
        goal,
        verdict.to_owned(),
    ]
}

/// What something costs as something grows.
pub(super) fn curve(curve: &Curve, runs: &[Run], output: &mut Output) -> Result<(), Failure> {
    let is_own = |run: &&Run| {
        run.configuration
            .get(ROW)
            .is_some_and(|row| row == curve.id)
    };
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(["system", curve.x, curve.figure]);
    let mut runs: Vec<_> = runs.iter().filter(is_own).collect();
    runs.sort_by_key(|run| run.target.clone());
    for run in runs {
        table.add_row([
            run.target.clone(),
            run.configuration.get(curve.x).cloned().unwrap_or_default(),
            run.metric(curve.figure).map(number).unwrap_or_default(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    output.line(format_args!("\n{}: {}", curve.id, curve.title))?;
    output.line(table)
}

/// What is wanted and cannot be measured yet.
pub(super) fn not_yet(rows: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    for (what, why) in rows {
        output.line(format_args!("not yet: {what}: {why}"))?;
    }
    Ok(())
}
