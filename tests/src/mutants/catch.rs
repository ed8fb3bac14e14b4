//! How a planted bug was caught: in which seed, and by whom.

use std::fmt;

use crate::sim::{Finder, Finding, Verdict};

/// The best of a verdict's findings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Catch {
    /// In this world.
    pub(crate) seed: u64,
    /// By whom; see [`By`].
    pub(crate) by: By,
}

/// Who caught it, from the best to the least: what a user would see is worth more than what the product says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum By {
    /// A checker: its promise.
    Checker(String),
    /// The simulator: what it said, in short.
    World(String),
    /// An assertion of the product: its invariant.
    Assertion(String),
}

impl Catch {
    /// `None`: nothing was found.
    pub(crate) fn of(seed: u64, verdict: &Verdict) -> Option<Catch> {
        let by = verdict.findings.iter().map(by).min_by_key(By::rank)?;
        Some(Catch { seed, by })
    }
}

impl By {
    /// Of two, the lower one is worth more; of two checkers the first one that spoke.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            By::Checker(_) => 0,
            By::World(_) => 1,
            By::Assertion(_) => 2,
        }
    }
}

fn by(finding: &Finding) -> By {
    match finding.by {
        Finder::Checker(invariant) => By::Checker(format!("{invariant:?}")),
        Finder::World => By::World(in_short(&finding.what)),
        Finder::Panic => By::Assertion(invariant_in(&finding.what)),
    }
}

/// The id of the invariant that a panic names, or where it was.
fn invariant_in(what: &str) -> String {
    let named = what.find("INV-").map(|at| &what[at..]);
    let id = named.and_then(|rest| rest.split([':', ' ']).next());
    id.map_or_else(|| in_short(what), str::to_owned)
}

/// What the world said, without who and with what: `node 0: damage out of nothing: ...` is `damage out of nothing`.
fn in_short(what: &str) -> String {
    let parts = what.split(": ");
    let is_who = |part: &&str| part.starts_with("node ") || part.starts_with("client ");
    let said = parts
        .filter(|part| !is_who(part))
        .take(1)
        .collect::<String>();
    let said = if said.is_empty() { what } else { &said };
    let words = said.split_whitespace();
    let words: Vec<&str> = words
        .filter(|word| word.parse::<u64>().is_err())
        .take(8)
        .collect();
    words.join(" ")
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Checker(promise) => write!(f, "{promise}"),
            By::World(said) => write!(f, "world: {said}"),
            By::Assertion(id) => write!(f, "assertion: {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checker_is_worth_more_than_an_assertion() {
        let found = |by, what: &str| Finding {
            by,
            what: what.to_owned(),
        };
        let panic = found(Finder::Panic, "panic at x.rs:3: INV-LOG-4: index 3 leaves");
        let checker = found(
            Finder::Checker(crate::checkers::Invariant::I5),
            "I5 broken 1 times",
        );
        let world = found(Finder::World, "node 0: damage out of nothing: Recovery {}");
        assert_eq!(by(&panic).to_string(), "assertion: INV-LOG-4");
        assert_eq!(by(&world).to_string(), "world: damage out of nothing");
        let later = found(
            Finder::Checker(crate::checkers::Invariant::I1),
            "I1 broken 1 times",
        );
        let verdict = [&panic, &checker, &world, &later].map(by);
        assert_eq!(
            verdict.iter().min_by_key(|by| by.rank()),
            Some(&By::Checker("I5".to_owned())),
            "by kind, not by text"
        );
    }
}
