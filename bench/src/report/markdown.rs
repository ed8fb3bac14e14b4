//! The table of a tournament as Markdown, for docs/benchmarks.md.

use std::fmt::Write;

use crate::rivals::found::{RatioFound, RowFound, SystemFound, TournamentFile};

/// The whole table, with what a reader needs to believe it.
#[must_use]
pub fn table(file: &TournamentFile) -> String {
    let mut out = circumstances(file);
    out.push_str(
        "\n| load and figure | system | value | ours / theirs | goal | | generator busy |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in &file.rows {
        append_row(row, &mut out);
    }
    let notes = file.rows.iter().flat_map(|row| {
        let notes = row.notes.iter();
        notes.map(|note| format!("- {}: {note}\n", row.id))
    });
    let notes: String = notes.collect();
    if !notes.is_empty() {
        // Writing to a String does not fail.
        let _ = write!(out, "\n{notes}");
    }
    for (what, why) in &file.not_yet {
        let _ = write!(out, "\nNot measured yet: {what}: {why}.\n");
    }
    out
}

fn circumstances(file: &TournamentFile) -> String {
    let result = &file.result;
    let machine = &result.machine;
    let programs = file.programs.iter().filter_map(|program| {
        let version = program.version.as_ref()?;
        Some(format!("{} {version}", program.name))
    });
    let programs: Vec<_> = programs.collect();
    format!(
        "`antiphon {}`, commit {}, {} build, {} ({} CPUs), Linux {}, data on {}; {}.\n",
        result.command.join(" "),
        result.commit,
        result.profile,
        machine.cpu,
        machine.cpus,
        machine.kernel,
        machine.file_system,
        programs.join(", "),
    )
}

fn append_row(row: &RowFound, out: &mut String) {
    let mut head = format!("**{}**: {}, {}", row.id, row.title, in_words(&row.figure));
    let mut line = |system: &SystemFound, ratio: [String; 3]| {
        let value = value(system.value, &row.unit);
        let synced = if system.is_synced { " (synced)" } else { "" };
        let busy = system.busy_share * 100.0;
        let [ratio, goal, verdict] = ratio;
        let name = &system.name;
        let _ = writeln!(
            out,
            "| {head} | {name}{synced} | {value} | {ratio} | {goal} | {verdict} | {busy:.0} % |"
        );
        head.clear();
    };
    if let Some(ours) = &row.ours {
        line(ours, Default::default());
    }
    for ratio in &row.ratios {
        line(&ratio.theirs, told(ratio));
    }
}

/// Ratio with interval, goal, verdict.
fn told(ratio: &RatioFound) -> [String; 3] {
    let interval = if ratio.coverage > 0.0 {
        format!("{:.2} [{:.2}, {:.2}]", ratio.ratio, ratio.low, ratio.high)
    } else {
        format!("{:.2} (one pair)", ratio.ratio)
    };
    let goal = ratio.goal.map_or_else(String::new, |goal| {
        let sign = if ratio.goal_is_least { "≥" } else { "≤" };
        format!("{sign} {goal}")
    });
    let verdict = match (ratio.is_met, ratio.is_sure) {
        (None, _) => "",
        (Some(true), true) => "met",
        (Some(true), false) => "met, not surely",
        (Some(false), true) => "**missed**",
        (Some(false), false) => "missed, not surely",
    };
    [interval, goal, verdict.to_owned()]
}

fn in_words(figure: &str) -> &str {
    match figure {
        "deliveries_per_cpu_s" => "deliveries per CPU-second",
        "deliveries_per_s" => "deliveries a second",
        "acks_per_s" => "acks a second",
        "delivery_p50_us" => "p50",
        "delivery_p99_us" => "p99",
        "ack_p50_us" => "p50 of the ack",
        "connects_per_s" => "connections a second",
        "reads_per_s" => "reads a second",
        "anonymous_bytes_per_connection" => "bytes",
        other => other,
    }
}

/// Three digits with a unit.
fn value(value: f64, unit: &str) -> String {
    let (scaled, unit) = match unit {
        "us" if value >= 1e6 => (value / 1e6, " s"),
        "us" if value >= 1e3 => (value / 1e3, " ms"),
        "us" => (value, " us"),
        _ if value >= 1e6 => (value / 1e6, " M"),
        _ if value >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled {
        scaled if scaled < 10.0 => 2,
        scaled if scaled < 100.0 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Better;

    fn system(name: &str, value: f64) -> SystemFound {
        SystemFound {
            name: name.to_owned(),
            value,
            busy_share: 0.254,
            cpu_share: 0.3,
            acked: String::new(),
            is_synced: name == "ours",
        }
    }

    #[test]
    fn a_row_names_its_load_once_and_each_system_with_its_ratio() {
        let ratio = RatioFound {
            theirs: system("theirs", 12_340.0),
            ratio: 1.5,
            low: 1.25,
            high: 1.75,
            coverage: 0.9375,
            pairs: 5,
            goal: Some(3.0),
            goal_is_least: true,
            is_met: Some(false),
            is_sure: true,
        };
        let row = RowFound {
            id: "x".to_owned(),
            runs_of: "x".to_owned(),
            title: "a load".to_owned(),
            figure: "acks_per_s".to_owned(),
            unit: "1/s".to_owned(),
            better: Better::Higher,
            ours: Some(system("ours", 1_850_000.0)),
            ratios: vec![ratio],
            notes: Vec::new(),
        };
        let mut out = String::new();
        append_row(&row, &mut out);
        let expected = "| **x**: a load, acks a second | ours (synced) | 1.85 M |  |  |  | 25 % |\n\
            |  | theirs | 12.3 k | 1.50 [1.25, 1.75] | ≥ 3 | **missed** | 25 % |\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn values_have_three_digits_and_a_unit() {
        let told = [(950.0, "us"), (1_500.0, "us"), (2_345_678.0, "us")];
        let told = told.map(|(number, unit)| value(number, unit));
        assert_eq!(told, ["950 us", "1.50 ms", "2.35 s"]);
        assert_eq!(value(123_456.0, "1/s"), "123 k");
    }
}
