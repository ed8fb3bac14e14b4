//! `tests/mutants.txt`: where each planted bug was caught, so that nobody has to search again.
//!
//! ```text
//! bug | worlds | seed | by | first seed | by
//! ```
//! `worlds` is the stress they were made under, or `swarm`; then the best catch and the earliest one. Lines that start with `#` are for people.
//!
//! Every search writes down what it has found as soon as it has found it, and any number of them may do so at the same time: each reads, changes and
//! replaces the file while it holds a lock on the folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

/// The folder of the file.
pub(crate) const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
/// The file, in it.
const FILE: &str = "mutants.txt";

const HEAD: &str = "\
# Planted bugs and the worlds that catch them: written by `cargo sim mutants`, see docs/simulation.md.
# bug | worlds | seed | caught by | first seed | caught by
";

/// What is behind the name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    /// Which worlds.
    pub(crate) worlds: String,
    /// Of the best catch.
    pub(crate) seed: u64,
    /// Who made it.
    pub(crate) by: String,
    /// The first world in which anything noticed.
    pub(crate) first_seed: u64,
    /// What noticed.
    pub(crate) first_by: String,
}

/// Lines by name.
pub(crate) type Lines = BTreeMap<String, Line>;

impl Line {
    fn parse(text: &str) -> Option<Line> {
        let mut parts = text.split(" | ");
        let line = Line {
            worlds: parts.next()?.to_owned(),
            seed: parts.next()?.parse().ok()?,
            by: parts.next()?.to_owned(),
            first_seed: parts.next()?.parse().ok()?,
            first_by: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(line)
    }

    fn text(&self) -> String {
        format!(
            "{} | {} | {} | {} | {}",
            self.worlds, self.seed, self.by, self.first_seed, self.first_by
        )
    }
}

/// Reads the record in `folder`; without a file it is empty.
///
/// # Errors
/// A line that is none.
pub(crate) fn read(folder: &str) -> Result<Lines, String> {
    let text = fs::read_to_string(Path::new(folder).join(FILE)).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let parsed = line
                .split_once(" | ")
                .and_then(|(name, rest)| Some((name.to_owned(), Line::parse(rest)?)));
            parsed.ok_or_else(|| format!("{FILE}: {line:?} is no line: search anew"))
        })
        .collect()
}

/// Nobody else changes what is in `folder`, and what is made out of it, as long as this lives.
pub(crate) fn lock(folder: &str) -> Result<File, String> {
    let wrong = |error: std::io::Error| format!("{folder}: {error}");
    let lock = File::open(folder).map_err(wrong)?;
    lock.lock().map_err(wrong)?;
    Ok(lock)
}

/// Writes down what is known of one bug now; `None`: it was not caught. `names`: all bugs, in order; what is called otherwise goes.
///
/// # Errors
/// The folder cannot be locked, or the file not be replaced.
pub(crate) fn note(
    folder: &str,
    names: &[String],
    name: &str,
    line: Option<Line>,
) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("{folder}/{FILE}: {error}");
    let _lock = lock(folder)?;
    // An unreadable record is of no use to anybody: what is found now begins a new one.
    let mut lines = read(folder).unwrap_or_default();
    lines.remove(name);
    lines.extend(line.map(|line| (name.to_owned(), line)));
    let known = names.iter().filter_map(|name| {
        let line = lines.get(name)?;
        Some(format!("{name} | {}\n", line.text()))
    });
    let text = HEAD.to_owned() + &known.collect::<String>();
    let aside = Path::new(folder).join("mutants.txt.new");
    fs::write(&aside, text).map_err(wrong)?;
    fs::rename(&aside, Path::new(folder).join(FILE)).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seed: u64) -> Line {
        Line {
            worlds: "swarm".to_owned(),
            seed,
            by: "I1".to_owned(),
            first_seed: 2,
            first_by: "world: not answered".to_owned(),
        }
    }

    #[test]
    fn many_searches_write_one_record() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap();
        let names: Vec<String> = (0..20).map(|number| format!("bug-{number:02}")).collect();
        std::thread::scope(|scope| {
            for (seed, name) in (1..).zip(&names) {
                let names = &names;
                scope.spawn(move || note(folder, names, name, Some(line(seed))).unwrap());
            }
        });
        let lines = read(folder).unwrap();
        let seeds: Vec<u64> = names.iter().map(|name| lines[name].seed).collect();
        assert_eq!(seeds, (1..=20).collect::<Vec<_>>());
        note(folder, &names, &names[3], None).unwrap();
        assert_eq!(read(folder).unwrap().len(), 19);
    }

    #[test]
    fn what_is_no_line_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "bug-01 | swarm | many | I1\n").unwrap();
        let error = read(folder.path().to_str().unwrap()).unwrap_err();
        assert!(error.contains("\"bug-01 | swarm | many | I1\""), "{error}");
    }
}
