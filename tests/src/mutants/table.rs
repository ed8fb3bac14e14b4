//! The table of planted bugs in docs/simulation.md, made out of the record and the sources.

use std::fs;
use std::path::{Path, PathBuf};

use super::record::{self, Line};

/// From the folder of the record.
const DOCUMENT: &str = "../docs/simulation.md";
/// The table stands between these lines.
const BEGIN: &str = "<!-- planted bugs: written by `cargo sim mutants` -->\n";
const END: &str = "<!-- end of planted bugs -->\n";
/// Where the bugs of each crate are planted, from the folder of the record.
const CRATES: [(&str, &str); 3] = [
    ("log", "broker/log/src"),
    ("core", "broker/core/src"),
    ("sdk", "client-sdk/src"),
];

/// Writes the table anew.
///
/// # Errors
/// The document cannot be read, written, or has no place for it; a bug is planted nowhere.
#[cfg(feature = "planted-bugs")]
pub(crate) fn write() -> Result<(), String> {
    let _lock = record::lock(record::FOLDER)?;
    let path = Path::new(record::FOLDER).join(DOCUMENT);
    let wrong = |error: std::io::Error| format!("{DOCUMENT}: {error}");
    let text = fs::read_to_string(&path).map_err(wrong)?;
    let text = with_table(&text, &table()?)?;
    fs::write(&path, text).map_err(wrong)
}

/// The document with this table.
fn with_table(text: &str, table: &str) -> Result<String, String> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| format!("{DOCUMENT} has no place for the table"))?;
    Ok(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn table() -> Result<String, String> {
    let mut table =
        "| bug | planted in | found by | in worlds | after |\n|---|---|---|---|---|\n".to_owned();
    for (name, line) in record::read(record::FOLDER)? {
        table += &row(&name, &line)?;
    }
    Ok(table)
}

fn row(name: &str, line: &Line) -> Result<String, String> {
    let earlier = match line.first_seed < line.seed {
        true => format!(" (first {}: {})", line.first_seed, line.first_by),
        false => String::new(),
    };
    let (by, worlds, seed) = (&line.by, &line.worlds, line.seed);
    let places = places(name)?.join(", ");
    Ok(format!(
        "| `{name}` | {places} | {by}{earlier} | {worlds} | {seed} |\n"
    ))
}

/// The files that have the bug in them.
fn places(name: &str) -> Result<Vec<String>, String> {
    let missing = || format!("{name} is planted nowhere");
    let (owner, bug) = name.split_once('-').ok_or_else(missing)?;
    let folder = CRATES.iter().find(|(crate_name, _)| *crate_name == owner);
    let (_, folder) = folder.ok_or_else(missing)?;
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    let site = format!(
        "planted(Bug::{})",
        bug.split('-').map(capital).collect::<String>()
    );
    let root = Path::new(record::FOLDER).join("..").join(folder);
    let mut files = Vec::new();
    collect(&root, &mut files).map_err(|error| format!("{folder}: {error}"))?;
    files.retain(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(&site)));
    files.sort();
    let short = |path: &PathBuf| {
        let path = path.strip_prefix(&root).unwrap_or(path);
        format!("`{owner}: {}`", path.display())
    };
    let places: Vec<String> = files.iter().map(short).collect();
    if places.is_empty() {
        Err(missing())
    } else {
        Ok(places)
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_tells_what_the_record_holds() {
        let path = Path::new(record::FOLDER).join(DOCUMENT);
        let text = fs::read_to_string(path).unwrap();
        let anew = with_table(&text, &table().unwrap()).unwrap();
        assert!(
            text == anew,
            "docs/simulation.md is behind tests/mutants.txt: `cargo sim mutants --table` writes it anew"
        );
    }

    #[test]
    fn a_bug_without_a_place_is_told() {
        let error = places("log-never-planted").unwrap_err();
        assert_eq!(error, "log-never-planted is planted nowhere");
    }
}
