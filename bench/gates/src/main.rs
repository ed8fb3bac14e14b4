//! `gates`: counts what messages cost, and compares it with the baseline.
//!
//! ```text
//! gates check [--broker PROGRAM]   counts everything; fails if something costs more than the baseline allows
//! gates renew [--broker PROGRAM]   counts everything and makes it the baseline
//! gates prove                      a broker made slower by a tenth is noticed (needs the feature planted-bugs)
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use antiphon_gates::baseline::{self, Count, Counts, Standing, compare};
use antiphon_gates::case::Case;
use antiphon_gates::error::GateError;
use antiphon_gates::{counting, syscalls};

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.txt");
const USAGE: &str = "usage: gates check|renew [--broker PROGRAM] | gates prove";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["check"] => check(&syscalls::usual_program()),
        ["check", "--broker", program] => check(&PathBuf::from(program)),
        ["renew"] => renew(&syscalls::usual_program()),
        ["renew", "--broker", program] => renew(&PathBuf::from(program)),
        ["prove"] => prove(),
        ["run", name, times] => return run(name, times),
        ["slow", "run", name, times] => {
            slow_down();
            return run(name, times);
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gates: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The process that is counted.
fn run(name: &str, times: &str) -> ExitCode {
    match (Case::of_name(name), times.parse()) {
        (Some(case), Ok(times @ 1..=2)) => {
            counting::run(case, times);
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(2),
    }
}

fn check(broker: &Path) -> Result<bool, GateError> {
    let text =
        std::fs::read_to_string(BASELINE).map_err(GateError::system("reading the baseline"))?;
    let before = baseline::read(&text)?;
    let counts = count_all(broker)?;
    let is_passed = show(&before, &counts);
    if !is_passed {
        eprintln!(
            "\nSomething costs more, or is not in the baseline. If that is wanted: `cargo gates renew`, and say in the commit why.\nmade now by {}; {}",
            compiler(),
            text.lines()
                .nth(1)
                .unwrap_or_default()
                .trim_start_matches("# ")
        );
    }
    Ok(is_passed)
}

fn renew(broker: &Path) -> Result<bool, GateError> {
    let counts = count_all(broker)?;
    std::fs::write(BASELINE, baseline::write(&counts, &compiler()))
        .map_err(GateError::system("writing the baseline"))?;
    println!("{BASELINE}: {} counts", counts.len());
    Ok(true)
}

fn count_all(broker: &Path) -> Result<Counts, GateError> {
    let me = me()?;
    let mut counts = Counts::new();
    for case in Case::ALL {
        counts.extend(counting::allocations(case));
        counts.extend(counting::instructions(&me, &[], case)?);
    }
    counts.extend(syscalls::count(broker)?);
    Ok(counts)
}

/// Prints how each count stands. `true`: nothing fails.
fn show(before: &Counts, now: &Counts) -> bool {
    let mut is_passed = true;
    for (name, standing) in compare(before, now) {
        let value = |counts: &Counts| counts.get(name).map_or(f64::NAN, |count| count.value);
        let (before_value, now_value) = (value(before), value(now));
        let unit = now.get(name).map_or("", |count: &Count| &count.unit);
        let word = match standing {
            Standing::Same => "",
            Standing::Better => "better: renew the baseline, so that it stays",
            Standing::Worse => "WORSE",
            Standing::New => "NOT IN THE BASELINE",
            Standing::Gone => "NOT COUNTED ANY MORE",
        };
        let change = if now_value == before_value {
            0.0
        } else {
            100.0 * (now_value / before_value - 1.0)
        };
        println!("{name:28} {now_value:>12.3} {change:>+7.2} %  {unit:45} {word}");
        is_passed &= !standing.is_failure();
    }
    is_passed
}

/// A planted slowdown of publishes fails, by a tenth, and nothing else does.
fn prove() -> Result<bool, GateError> {
    if !cfg!(feature = "planted-bugs") {
        eprintln!("gates prove: built without the feature planted-bugs");
        return Ok(false);
    }
    let me = me()?;
    let (mut before, mut now) = (Counts::new(), Counts::new());
    for case in [Case::Decode, Case::Publish] {
        before.extend(counting::instructions(&me, &[], case)?);
        now.extend(counting::instructions(&me, &["slow"], case)?);
    }
    show(&before, &now);
    let name = format!("{}/instructions", Case::Publish.name());
    let slower = now[&name].value / before[&name].value;
    let failed: Vec<&str> = compare(&before, &now)
        .into_iter()
        .filter(|(_, standing)| standing.is_failure())
        .map(|(name, _)| name)
        .collect();
    let is_proven = failed == [name.as_str()] && (1.05..1.15).contains(&slower);
    let word = if is_proven {
        "is noticed"
    } else {
        "IS NOT WHAT FAILS"
    };
    println!(
        "a planted slowdown of {:.1} % {word}",
        100.0 * (slower - 1.0)
    );
    Ok(is_proven)
}

#[cfg(feature = "planted-bugs")]
fn slow_down() {
    antiphon_core::planted::plant_slowness(true);
}

#[cfg(not(feature = "planted-bugs"))]
fn slow_down() {}

fn me() -> Result<PathBuf, GateError> {
    std::env::current_exe().map_err(GateError::system("finding this program"))
}

/// What made the code that is counted.
fn compiler() -> String {
    let rustc = std::process::Command::new("rustc")
        .arg("--version")
        .output();
    rustc.map_or_else(
        |_| "an unknown compiler".to_owned(),
        |told| String::from_utf8_lossy(&told.stdout).trim().to_owned(),
    )
}
