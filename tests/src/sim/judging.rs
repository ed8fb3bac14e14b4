//! What the checkers say of a world's history, and how much of that may be asked of it.
//!
//! A world in which something durable was destroyed may lose what it acked. Up to the moment of the first destruction it owes everything that any other
//! world owes, so that part is judged by itself; what is not asked of the rest is listed in docs/simulation.md.

use crate::checkers::{Anomaly, Check, Invariant, Violation, check_all};
use crate::history::{History, What};

use super::fault::Fault;
use super::run::{Finder, Finding};
use super::tally::Tally;

/// What may be asked of a history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    /// Everything.
    Whole,
    /// Nothing that is shown only by a world that came to its end.
    Broken,
    /// Something durable was destroyed: what was acked may be lost, and if that was the very end of the log (docs/log-format.md, what marks cannot
    /// show) its places are given again. Wrong is what was never said, and a stream that leaves
    /// out what it does not name.
    Destroyed,
}

impl Scope {
    /// What is wrong by this check. Where something was destroyed a resume may meet another history, but within a stream links go on.
    fn violations(self, check: &Check) -> Vec<&Violation> {
        let is_broken = |anomaly: &Anomaly| matches!(anomaly, Anomaly::BrokenLink { .. });
        let is_excused = |anomaly: &Anomaly| self == Scope::Destroyed && may_be_lost(anomaly);
        let counts = |violation: &&Violation| {
            self.holds(check.invariant) && !is_excused(&violation.anomaly)
                || check.invariant == Invariant::I8 && is_broken(&violation.anomaly)
        };
        check.violations.iter().filter(counts).collect()
    }

    fn holds(self, invariant: Invariant) -> bool {
        match self {
            Scope::Whole => true,
            Scope::Broken => !matches!(invariant, Invariant::I1 | Invariant::I12),
            Scope::Destroyed => {
                matches!(invariant, Invariant::Shape | Invariant::I2 | Invariant::I4)
            }
        }
    }
}

/// Whether lost records alone make it look so. Nothing names those that a room lost at its beginning: a page, or a start from the last so many, has fewer,
/// and one around a position begins later.
/// And the seq of an ack that was lost with its record may be another record's now, with another time.
fn may_be_lost(anomaly: &Anomaly) -> bool {
    match anomaly {
        Anomaly::WrongCount { there, got, .. } => got < there,
        Anomaly::WrongStart {
            head,
            expected,
            next,
            ..
        } => expected < next && *next <= head.next(),
        Anomaly::WrongTime { .. } | Anomaly::LatePage { .. } => true,
        _ => false,
    }
}

/// The checkers' word on the history. A world in which something was acked and that came to its end has shown something of every promise, but for
/// those that need more than that.
pub(crate) fn judge(mut history: History, scope: Scope, tally: &mut Tally) -> Vec<Finding> {
    let report = check_all(&history);
    report.checks.iter().for_each(|check| tally.checked(check));
    let needs_more = |invariant: &Invariant| {
        !matches!(
            invariant,
            Invariant::Shape
                | Invariant::I1
                | Invariant::I2
                | Invariant::I3
                | Invariant::I5
                | Invariant::I12
                | Invariant::I14
        )
    };
    let mut silent = report.silent();
    silent.retain(|invariant| !needs_more(invariant));
    if scope == Scope::Whole && tally.acked > 0 && !silent.is_empty() {
        let what = format!("the history says nothing about {silent:?}");
        let by = Finder::World;
        return vec![Finding { by, what }];
    }
    let mut findings = told(&report.checks, scope, "");
    if scope == Scope::Destroyed {
        let first = history
            .events
            .iter()
            .position(|event| destroys(&event.what));
        history.events.truncate(first.unwrap_or(usize::MAX));
        let before = check_all(&history);
        findings.extend(told(
            &before.checks,
            Scope::Broken,
            " before anything was destroyed",
        ));
    }
    findings
}

fn destroys(what: &What) -> bool {
    match what {
        What::FaultStart(fault) => Fault::named(&fault.name).is_some_and(Fault::destroys),
        _ => false,
    }
}

fn told(checks: &[Check], scope: Scope, when: &str) -> Vec<Finding> {
    let told = checks.iter().filter_map(|check| {
        let violations = scope.violations(check);
        let first = violations.iter().take(3).map(ToString::to_string);
        let first: Vec<String> = first.collect();
        let (invariant, found) = (check.invariant, check.found);
        (!first.is_empty()).then(|| Finding {
            by: Finder::Checker(invariant),
            what: format!(
                "{invariant:?} broken {found} times{when}: {}",
                first.join("; ")
            ),
        })
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Op, Seq};

    #[test]
    fn lost_records_excuse_a_late_start_and_a_short_page_and_nothing_else() {
        let start = |expected, next| Anomaly::WrongStart {
            sub: Op(1),
            head: Seq(9),
            expected: Seq(expected),
            next: Seq(next),
        };
        assert!(may_be_lost(&start(5, 7)) && may_be_lost(&start(5, 10)));
        // A live start, one that is too early, and one beyond the head.
        for (expected, next) in [(10, 9), (10, 11), (5, 4), (5, 11)] {
            assert!(!may_be_lost(&start(expected, next)));
        }
        let page = |there, got| Anomaly::WrongCount {
            op: Op(1),
            there,
            got,
        };
        assert!(may_be_lost(&page(5, 4)) && !may_be_lost(&page(4, 5)));
        let (sub, expected, got) = (Op(1), Seq(4), Seq(6));
        assert!(!may_be_lost(&Anomaly::Hole { sub, expected, got }));
    }
}
