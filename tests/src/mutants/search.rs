//! Worlds with one bug, until it is caught.

use std::collections::BTreeSet;
use std::time::Instant;

use super::bug::{Bug, plant};
use super::catch::{By, Catch};
use super::record::{self, Line};
use crate::sim::{self, TestWorld, Verdict};

const USAGE: &str = "\
cargo sim mutants [--seeds N] [--only NAME]   search each bug (or one), write tests/mutants.txt
cargo sim mutants --check                     each bug must be caught from its recorded seed on
cargo sim mutants --only NAME --replay SEED   one world with one bug, all findings";

/// How long the safety phase of a world takes, in virtual seconds.
const SECONDS: u64 = 30;
/// Worlds in which a recorded bug must be caught: its seed and those that follow.
const CHECK_SEEDS: u64 = 50;
/// Once something has noticed a bug, so many more worlds are tried until a checker does.
const BETTER_SEEDS: u64 = 100;

/// What was asked for.
#[derive(Debug)]
struct Asked {
    seeds: u64,
    bugs: Vec<Bug>,
    is_check: bool,
    replay: Option<u64>,
}

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Result<bool, String> {
    let asked = parse(args)?;
    if let Some(seed) = asked.replay {
        return Ok(replay(&asked.bugs, seed));
    }
    if asked.is_check {
        check(&asked.bugs)
    } else {
        search(&asked)
    }
}

fn parse(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked {
        seeds: 1_000,
        bugs: Bug::all(),
        is_check: false,
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
            "--only" => {
                let name = value()?;
                asked.bugs.retain(|bug| bug.name() == *name);
                if asked.bugs.is_empty() {
                    return Err(format!("no bug is called {name:?}"));
                }
            }
            _ => return Err(format!("{arg:?} is not known\n{USAGE}")),
        }
    }
    Ok(asked)
}

/// Runs a world with that bug.
fn run(seed: u64, bug: Option<Bug>) -> Verdict {
    plant(bug);
    let verdict = sim::run(&TestWorld::new(seed, SECONDS));
    plant(None);
    verdict
}

fn replay(bugs: &[Bug], seed: u64) -> bool {
    for bug in bugs {
        println!("{} in world {seed}:", bug.name());
        for finding in run(seed, Some(*bug)).findings {
            println!("  {:?}: {}", finding.by, finding.what);
        }
    }
    true
}

/// Worlds of the product as it is: they must be good, or what is found in them with a bug means nothing.
#[derive(Debug, Default)]
struct Clean {
    seen: BTreeSet<u64>,
    failures: u64,
}

impl Clean {
    fn look(&mut self, seed: u64) {
        if !self.seen.insert(seed) {
            return;
        }
        if let Some(failure) = run(seed, None).failure() {
            self.failures += 1;
            println!("SEED={seed} FAILS WITHOUT ANY BUG: {failure}");
        }
    }
}

fn search(asked: &Asked) -> Result<bool, String> {
    let began = Instant::now();
    let text = std::fs::read_to_string(record::FILE).unwrap_or_default();
    let mut lines = record::parse(&text)?;
    let (mut worlds, mut uncaught) = (0, 0);
    for bug in &asked.bugs {
        let name = bug.name();
        let mut best: Option<Catch> = None;
        let mut first: Option<Catch> = None;
        let mut last = asked.seeds;
        let mut seed = 0;
        while seed < last {
            seed += 1;
            worlds += 1;
            let Some(catch) = Catch::of(seed, &run(seed, Some(*bug))) else {
                continue;
            };
            if first.is_none() {
                first = Some(catch.clone());
                last = last.min(seed + BETTER_SEEDS);
            }
            if best.as_ref().is_none_or(|best| catch.by < best.by) {
                let is_best = matches!(catch.by, By::Checker(_));
                best = Some(catch);
                if is_best {
                    break;
                }
            }
        }
        match (best, first) {
            (Some(best), Some(first)) => {
                let text = format!(
                    "{} | {} | {} | {}",
                    best.seed, best.by, first.seed, first.by
                );
                println!("{name} | {text}");
                let seed = best.seed;
                lines.insert(name, Line { seed, text });
            }
            _ => {
                uncaught += 1;
                lines.remove(&name);
                println!("{name} | NOT CAUGHT in {} worlds", asked.seeds);
            }
        }
    }
    let names: Vec<String> = Bug::all().into_iter().map(Bug::name).collect();
    std::fs::write(record::FILE, record::format(&names, &lines))
        .map_err(|error| format!("{}: {error}", record::FILE))?;
    let mut clean = Clean::default();
    (1..=lines.values().map(|line| line.seed).max().unwrap_or(0)).for_each(|seed| clean.look(seed));
    println!(
        "bugs {} | not caught {uncaught} | worlds {worlds} | without a bug {}, failures {} | {:.0} s",
        asked.bugs.len(),
        clean.seen.len(),
        clean.failures,
        began.elapsed().as_secs_f64()
    );
    Ok(uncaught == 0 && clean.failures == 0)
}

fn check(bugs: &[Bug]) -> Result<bool, String> {
    let began = Instant::now();
    let text = std::fs::read_to_string(record::FILE)
        .map_err(|error| format!("{}: {error}", record::FILE))?;
    let lines = record::parse(&text)?;
    let mut clean = Clean::default();
    let (mut worlds, mut uncaught) = (0, 0);
    for bug in bugs {
        let name = bug.name();
        let Some(line) = lines.get(&name) else {
            println!(
                "{name} is not in {}: run `cargo sim mutants --only {name}`",
                record::FILE
            );
            uncaught += 1;
            continue;
        };
        let caught = (line.seed..line.seed + CHECK_SEEDS).find_map(|seed| {
            worlds += 1;
            clean.look(seed);
            Catch::of(seed, &run(seed, Some(*bug)))
        });
        match caught {
            Some(catch) => println!("{name}: world {}, {}", catch.seed, catch.by),
            None => {
                uncaught += 1;
                println!(
                    "{name}: NOT CAUGHT in worlds {} to {}",
                    line.seed,
                    line.seed + CHECK_SEEDS - 1
                );
            }
        }
    }
    println!(
        "bugs {} | not caught {uncaught} | worlds {worlds} | without a bug {}, failures {} | {:.0} s",
        bugs.len(),
        clean.seen.len(),
        clean.failures,
        began.elapsed().as_secs_f64()
    );
    Ok(uncaught == 0 && clean.failures == 0)
}
