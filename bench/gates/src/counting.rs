//! Counting instructions, by valgrind, and allocations, by the allocator.
//!
//! A case runs in a process of its own, once for N rounds and once for 2 N, after the same preparation: the difference is what N rounds cost, and
//! whatever came before and after is in neither. valgrind shows programs a CPU of its own, whatever the real one is, so that code that looks for
//! features finds the same ones everywhere; only AVX2 is looked for on the real one, and every x86-64 server of the last ten years has it.

use std::io;
use std::path::Path;
use std::process::Command;

use allocation_counter::measure;

use crate::baseline::{Count, Counts};
use crate::case::Case;
use crate::error::GateError;
use crate::limits::WARM_UP_ROUNDS;

/// The C library copies long stretches by one instruction that counts once a byte, from a length on that depends on CPU and version: never here.
const COPYING: &str =
    "glibc.cpu.x86_rep_movsb_threshold=1073741824:glibc.cpu.x86_rep_stosb_threshold=1073741824";
/// The end of a failed run's words that is shown, in bytes.
const TOLD_BYTES_MAX: usize = 2_000;

/// Runs in the counted process: warm-up, then `times` times the rounds of the case.
pub fn run(case: Case, times: usize) {
    let mut scene = case.scene(WARM_UP_ROUNDS + 2 * case.rounds());
    scene.run(WARM_UP_ROUNDS);
    scene.run(times * case.rounds());
}

/// Allocations of a case, counted in this process.
#[must_use]
pub fn allocations(case: Case) -> Counts {
    let mut counts = Counts::new();
    let mut scene = case.scene(WARM_UP_ROUNDS + case.rounds());
    scene.run(WARM_UP_ROUNDS);
    let cost = measure(|| scene.run(case.rounds()));
    let (unit, per_round) = case.units();
    let units = (case.rounds() * per_round) as f64;
    let unit = format!("per {unit}");
    let mut put = |what, value: f64| {
        let name = format!("{}/{what}", case.name());
        counts.insert(
            name,
            Count {
                value,
                unit: unit.clone(),
            },
        );
    };
    put("allocations", cost.count_total as f64 / units);
    if case == Case::Connect {
        // What stays is what an idle connection takes.
        put("bytes", cost.bytes_current as f64 / units);
    }
    counts
}

/// Instructions of a case, counted by running `program` under valgrind.
///
/// # Errors
/// valgrind is not there, or the run fails.
pub fn instructions(program: &Path, options: &[&str], case: Case) -> Result<Counts, GateError> {
    check_cpu()?;
    let (once, twice) = (
        references(program, options, case, 1)?,
        references(program, options, case, 2)?,
    );
    let (unit, per_round) = case.units();
    let units = (case.rounds() * per_round) as f64;
    let count = Count {
        value: (twice.saturating_sub(once)) as f64 / units,
        unit: format!("per {unit}"),
    };
    let name = format!("{}/instructions", case.name());
    Ok(Counts::from([(name, count)]))
}

#[cfg(target_arch = "x86_64")]
fn check_cpu() -> Result<(), GateError> {
    let has_avx2 = std::arch::is_x86_feature_detected!("avx2");
    has_avx2.then_some(()).ok_or(GateError::OtherCpu)
}

#[cfg(not(target_arch = "x86_64"))]
fn check_cpu() -> Result<(), GateError> {
    Err(GateError::OtherCpu)
}

/// Instructions of one whole run.
fn references(
    program: &Path,
    options: &[&str],
    case: Case,
    times: usize,
) -> Result<u64, GateError> {
    let run = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(program)
        .args(options)
        .args(["run", case.name(), &times.to_string()])
        // Nothing of the caller's surroundings: their size moves the stack.
        .env_clear()
        .env("GLIBC_TUNABLES", COPYING)
        .envs(std::env::var_os("TMPDIR").map(|value| ("TMPDIR", value)))
        .output()
        .map_err(no_valgrind)?;
    let told = String::from_utf8_lossy(&run.stderr);
    let counted = run.status.success().then(|| counted(&told)).flatten();
    counted.ok_or_else(|| GateError::Run {
        what: format!("counting {}", case.name()),
        told: told[told.floor_char_boundary(told.len().saturating_sub(TOLD_BYTES_MAX))..]
            .to_owned(),
    })
}

/// Why a program that needs valgrind did not start.
pub(crate) fn no_valgrind(error: io::Error) -> GateError {
    match error.kind() {
        io::ErrorKind::NotFound => GateError::NoValgrind(error),
        _ => GateError::system("starting valgrind")(error),
    }
}

/// The number in `==17== I   refs:      1,234,567`, as `I refs:` or `I   refs:`.
fn counted(told: &str) -> Option<u64> {
    let line = told
        .lines()
        .find(|line| line.contains("refs:") && line.contains(" I "))?;
    let digits: String = line
        .rsplit(':')
        .next()?
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_instructions_is_found() {
        let told = "==17== Cachegrind\n==17== \n==17== I   refs:      1,234,567\n";
        assert_eq!(counted(told), Some(1_234_567));
        assert_eq!(counted("==17== I refs:  12\n"), Some(12));
        assert_eq!(counted("valgrind: failed\n"), None);
    }

    #[test]
    fn every_case_runs_and_can_be_found_by_its_name() {
        for case in Case::ALL {
            assert_eq!(Case::of_name(case.name()), Some(case));
            let mut scene = case.scene(3);
            scene.run(2);
            assert_eq!(scene.left(), 1);
        }
    }

    #[test]
    fn what_a_bulk_of_publishes_allocates_is_counted() {
        let counts = allocations(Case::Publish);
        let count = counts.get("publish/allocations").expect("it was counted");
        assert_eq!(count.unit, "per message");
        assert!(count.value > 0.0 && count.value < 10.0, "{count:?}");
    }
}
