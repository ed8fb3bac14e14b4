//! Runs and comparisons as tables for people.

use antiphon_bench::compare::Comparison;
use antiphon_bench::result::Run;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

use crate::failure::Failure;
use crate::output::Output;

/// One table a system, one row a figure, one column a run; and what a reader needs to believe them.
pub(super) fn runs(runs: &[Run], output: &mut Output) -> Result<(), Failure> {
    let mut targets: Vec<&str> = runs.iter().map(|run| run.target.as_str()).collect();
    targets.dedup();
    for target in targets {
        let runs: Vec<_> = runs.iter().filter(|run| run.target == target).collect();
        output.line(format_args!("{} on {target}", runs[0].key()))?;
        output.line(format_args!("  acked {}", runs[0].durability.acked))?;
        output.line(table_of(&runs))?;
        for run in &runs {
            output.line(format_args!("  {}", circumstances(run)))?;
        }
    }
    Ok(())
}

fn table_of(runs: &[&Run]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    let heads = (1..=runs.len()).map(|run| format!("run {run}"));
    table.set_header(
        ["figure".to_owned(), "unit".to_owned()]
            .into_iter()
            .chain(heads),
    );
    for metric in &runs[0].metrics {
        let values = runs.iter().map(|run| match run.metric(&metric.name) {
            Some(value) => number(value),
            None => String::new(),
        });
        table.add_row(
            [metric.name.clone(), metric.unit.clone()]
                .into_iter()
                .chain(values),
        );
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// How the figures came about: verdict, what the generator had to spare, memory, stolen time.
fn circumstances(run: &Run) -> String {
    let verdict = if run.verdict.is_clean() {
        format!("all {} deliveries as due", run.verdict.delivered)
    } else {
        format!("WRONG: {:?}", run.verdict)
    };
    let mut told = format!(
        "{verdict}; generator busy {:.0} % (CPU {:.0} %), stolen {:.1} %; broker anonymous {:.1} MiB, resident {:.1} MiB",
        run.generator.busy_share * 100.0,
        run.generator.cpu_share * 100.0,
        run.generator.stolen_share * 100.0,
        run.memory.anonymous as f64 / f64::from(1 << 20),
        run.memory.rss as f64 / f64::from(1 << 20),
    );
    for note in &run.notes {
        told.push_str("; ");
        told.push_str(note);
    }
    told
}

/// Ratios with their intervals.
pub(super) fn comparisons(
    found: &[Comparison],
    threshold: f64,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(["figure", "now", "then", "ratio", "interval", ""]);
    for comparison in found {
        let interval = comparison.interval;
        let range = if interval.coverage > 0.0 {
            let coverage = interval.coverage * 100.0;
            format!(
                "{:.3} .. {:.3} ({coverage:.0} %)",
                interval.low, interval.high
            )
        } else {
            "one run: none".to_owned()
        };
        let verdict = if comparison.is_regression(threshold) {
            "WORSE"
        } else if comparison.is_better() {
            "better"
        } else {
            ""
        };
        table.add_row([
            comparison.metric.clone(),
            number(comparison.a),
            number(comparison.b),
            format!("{:.3}", interval.ratio),
            range,
            verdict.to_owned(),
        ]);
    }
    output.line(table)
}

/// Four digits that matter, thousands apart.
pub(super) fn number(value: f64) -> String {
    if value.abs() < 1_000.0 {
        let digits = if value.abs() < 10.0 { 3 } else { 1 };
        return format!("{value:.digits$}");
    }
    let whole = format!("{value:.0}");
    let (sign, digits) = match whole.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", whole.as_str()),
    };
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    if first > 0 {
        groups.push(&digits[..first]);
    }
    groups.extend(
        (first..digits.len())
            .step_by(3)
            .map(|at| &digits[at..at + 3]),
    );
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let told: Vec<_> = [0.5, 12.34, 999.96, 1_000.0, 1_234_567.8, -4_321.0]
            .map(number)
            .into();
        assert_eq!(
            told,
            ["0.500", "12.3", "1000.0", "1,000", "1,234,568", "-4,321"]
        );
    }
}
