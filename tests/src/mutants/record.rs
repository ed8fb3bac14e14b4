//! `tests/mutants.txt`: where each planted bug was caught, so that nobody has to search again.
//!
//! ```text
//! name | seed | by | first seed | by
//! ```
//! First the best catch, then the earliest one. Lines that start with `#` are for people.

use std::collections::BTreeMap;

/// The file, from the root of the repository.
pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mutants.txt");

const HEAD: &str = "\
# Planted bugs and the worlds that catch them: written by `cargo sim mutants`, see docs/simulation.md.
# bug | seed | caught by | first seed | caught by
";

/// A line: what is behind the name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    /// Of the best catch.
    pub(crate) seed: u64,
    /// All of the line behind the name, as it stands.
    pub(crate) text: String,
}

/// Lines by name.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Line>, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let wrong = || format!("{line:?} is not `bug | seed | ...`");
            let (name, rest) = line.split_once(" | ").ok_or_else(wrong)?;
            let seed = rest.split(" | ").next().and_then(|seed| seed.parse().ok());
            let line = Line {
                seed: seed.ok_or_else(wrong)?,
                text: rest.to_owned(),
            };
            Ok((name.to_owned(), line))
        })
        .collect()
}

/// The file's text; `names` is the order.
pub(crate) fn format(names: &[String], lines: &BTreeMap<String, Line>) -> String {
    let known = names.iter().filter_map(|name| {
        let line = lines.get(name)?;
        Some(format!("{name} | {}\n", line.text))
    });
    HEAD.to_owned() + &known.collect::<String>()
}
