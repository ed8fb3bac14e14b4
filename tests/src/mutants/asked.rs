//! The command line.

use super::bug::Bug;
use super::check::check;
use super::search::search;
use super::table;
use super::worlds;

const USAGE: &str = "\
cargo sim mutants [--seeds N] [--only A,B]    search each bug (or these), write tests/mutants.txt and the table in docs/simulation.md
cargo sim mutants --check                     each bug must be caught from its recorded seed on
cargo sim mutants --table                     write the table in docs/simulation.md only
cargo sim mutants --only NAME --replay SEED   one world with one bug, all findings";

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// At most so many worlds per bug.
    pub(crate) seeds: u64,
    /// These bugs.
    pub(crate) bugs: Vec<Bug>,
    is_check: bool,
    is_table: bool,
    replay: Option<u64>,
}

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Result<bool, String> {
    let asked = parse(args)?;
    if let Some(seed) = asked.replay {
        replay(&asked.bugs, seed);
        return Ok(true);
    }
    if asked.is_table {
        table::write()?;
        return Ok(true);
    }
    if asked.is_check {
        check(&asked)
    } else {
        search(&asked)
    }
}

fn parse(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked {
        seeds: 1_000,
        bugs: Bug::all(),
        is_check: false,
        is_table: false,
        replay: None,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} wants a value\n{USAGE}"));
        let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
        match arg.as_str() {
            "--seeds" => asked.seeds = number(value()?)?,
            "--replay" => asked.replay = Some(number(value()?)?),
            "--check" => asked.is_check = true,
            "--table" => asked.is_table = true,
            "--only" => asked.bugs = named(value()?)?,
            _ => return Err(format!("{arg:?} is not known\n{USAGE}")),
        }
    }
    Ok(asked)
}

fn named(names: &str) -> Result<Vec<Bug>, String> {
    let find = |name: &str| {
        let bug = Bug::all().into_iter().find(|bug| bug.name() == name);
        bug.ok_or_else(|| format!("no bug is called {name:?}"))
    };
    names.split(',').map(find).collect()
}

fn replay(bugs: &[Bug], seed: u64) {
    for bug in bugs {
        println!("{} in world {seed}:", bug.name());
        for finding in worlds::run(bug.stress(), seed, Some(*bug)).findings {
            println!("  {:?}: {}", finding.by, finding.what);
        }
    }
}
