//! The baseline: what each count was when it was last accepted, in a text file of the repository.
//!
//! ```text
//! # comment
//! publish/instructions 3120.5 per message
//! ```
//! A name, a count, and words for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::error::GateError;
use crate::limits::{ALLOCATIONS_SLACK, SYSCALLS_SLACK, TOLERANCE};

/// Counts by name.
pub type Counts = BTreeMap<String, Count>;

/// How much of something one unit takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// How much.
    pub value: f64,
    /// The unit, for people: `per message`.
    pub unit: String,
}

/// How a count stands to its baseline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// As before, within the tolerance.
    Same,
    /// Less than before by more than the tolerance: the baseline is to be renewed, so that it is not lost again.
    Better,
    /// More than before by more than the tolerance.
    Worse,
    /// The baseline does not know it.
    New,
    /// The baseline has it, and nothing counts it.
    Gone,
}

impl Standing {
    /// Whether a change with it may not land.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Standing::Worse | Standing::New | Standing::Gone)
    }
}

/// Compares what was counted with the baseline: every name of both, in order.
#[must_use]
pub fn compare<'a>(baseline: &'a Counts, counts: &'a Counts) -> Vec<(&'a str, Standing)> {
    let mut names: Vec<&str> = baseline
        .keys()
        .chain(counts.keys())
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    let standing = |name| match (baseline.get(name), counts.get(name)) {
        (Some(before), Some(now)) => stand(before.value, now.value, slack(name)),
        (None, _) => Standing::New,
        (Some(_), None) => Standing::Gone,
    };
    names
        .into_iter()
        .map(|name| (name, standing(name)))
        .collect()
}

/// What a count may be higher besides the tolerance. Instructions and bytes are large numbers, and have the tolerance alone.
fn slack(name: &str) -> f64 {
    match name.rsplit('/').next() {
        Some("instructions" | "bytes") => 0.0,
        Some("allocations") => ALLOCATIONS_SLACK,
        _ => SYSCALLS_SLACK,
    }
}

fn stand(before: f64, now: f64, slack: f64) -> Standing {
    let allowed = before * TOLERANCE + slack;
    if now > before + allowed {
        Standing::Worse
    } else if now < before - allowed {
        Standing::Better
    } else {
        Standing::Same
    }
}

/// Reads a baseline.
///
/// # Errors
/// [`GateError::Baseline`] names the line.
pub fn read(text: &str) -> Result<Counts, GateError> {
    let mut counts = Counts::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = GateError::Baseline { line: number + 1 };
        let mut words = line.splitn(3, ' ');
        let (Some(name), Some(value)) = (words.next(), words.next()) else {
            return Err(wrong);
        };
        let value: f64 = value.parse().map_err(|_| wrong)?;
        let unit = words.next().unwrap_or_default().to_owned();
        counts.insert(name.to_owned(), Count { value, unit });
    }
    Ok(counts)
}

/// Writes a baseline; `made_by` says with what it was made.
#[must_use]
pub fn write(counts: &Counts, made_by: &str) -> String {
    let mut text = format!(
        "# What a message costs, counted: see docs/benchmarks.md. Renewed by `cargo gates renew`, never by hand.\n# Made by {made_by}.\n"
    );
    for (name, Count { value, unit }) in counts {
        let _ = writeln!(text, "{name} {value:.3} {unit}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, f64)]) -> Counts {
        let unit = "per message".to_owned();
        of.iter()
            .map(|&(name, value)| {
                (
                    name.to_owned(),
                    Count {
                        value,
                        unit: unit.clone(),
                    },
                )
            })
            .collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let some = counts(&[
            ("publish/allocations", 0.016),
            ("publish/instructions", 3_120.5),
        ]);
        assert_eq!(read(&write(&some, "a compiler")).unwrap(), some);
    }

    #[test]
    fn a_line_without_a_count_is_named() {
        let text = "# comment\n\npublish/instructions many\n";
        assert!(matches!(read(text), Err(GateError::Baseline { line: 3 })));
    }

    #[test]
    fn a_count_may_move_within_the_tolerance_only() {
        let before = counts(&[("a/instructions", 1_000.0)]);
        for (now, standing) in [
            (1_000.0, Standing::Same),
            (1_029.9, Standing::Same),
            (1_030.1, Standing::Worse),
            (970.1, Standing::Same),
            (969.9, Standing::Better),
        ] {
            let now = counts(&[("a/instructions", now)]);
            assert_eq!(compare(&before, &now), [("a/instructions", standing)]);
        }
    }

    #[test]
    fn nothing_may_become_something() {
        let before = counts(&[("a/allocations", 0.0)]);
        let now = counts(&[("a/allocations", 0.03)]);
        assert_eq!(compare(&before, &now), [("a/allocations", Standing::Worse)]);
        let now = counts(&[("a/allocations", 0.01)]);
        assert_eq!(compare(&before, &now), [("a/allocations", Standing::Same)]);
        let before = counts(&[("a/sendto", 5.0)]);
        let now = counts(&[("a/sendto", 5.3)]);
        assert_eq!(compare(&before, &now), [("a/sendto", Standing::Worse)]);
    }

    #[test]
    fn what_only_one_side_knows_is_a_failure() {
        let (old, new) = (counts(&[("a/bytes", 1.0)]), counts(&[("b/bytes", 1.0)]));
        let compared = compare(&old, &new);
        assert_eq!(
            compared,
            [("a/bytes", Standing::Gone), ("b/bytes", Standing::New)]
        );
        assert!(compared.iter().all(|(_, standing)| standing.is_failure()));
        assert!(!Standing::Better.is_failure() && !Standing::Same.is_failure());
    }
}
