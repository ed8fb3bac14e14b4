//! Worlds with one bug, until it is caught.

use std::time::Instant;

use super::asked::Asked;
use super::bug::{Bug, names};
use super::catch::{By, Catch};
use super::clean::Clean;
use super::record::{self, Line};
use super::table;
use super::worlds;

/// Once something has noticed a bug, so many more worlds are tried until a checker does.
const BETTER_SEEDS: u64 = 100;

/// The best catch of a bug, and the first one.
struct Caught {
    best: Catch,
    first: Catch,
}

/// Searches each bug, and writes down each catch at once. `true`: all were caught, and the same worlds are good without them.
pub(crate) fn search(asked: &Asked) -> Result<bool, String> {
    let began = Instant::now();
    let names = names();
    let (mut worlds, mut uncaught) = (0, 0);
    let mut clean = Clean::default();
    for bug in &asked.bugs {
        let name = bug.name();
        let (caught, tried) = search_one(*bug, asked.seeds);
        worlds += tried;
        let line = caught.as_ref().map(|caught| line(*bug, caught));
        match &line {
            Some(line) => {
                println!(
                    "{name} | {}, world {} | {} | first {} | {}",
                    line.worlds, line.seed, line.by, line.first_seed, line.first_by
                );
                clean.look(bug.stress(), line.seed);
            }
            None => {
                uncaught += 1;
                println!("{name} | NOT CAUGHT in {tried} worlds");
            }
        }
        record::note(record::FOLDER, &names, &name, line)?;
        table::write()?;
    }
    println!(
        "bugs {} | not caught {uncaught} | worlds {worlds} | {} | {:.0} s",
        asked.bugs.len(),
        clean.line(),
        began.elapsed().as_secs_f64()
    );
    Ok(uncaught == 0 && clean.is_good())
}

fn search_one(bug: Bug, seeds: u64) -> (Option<Caught>, u64) {
    let mut caught: Option<Caught> = None;
    let mut last = seeds;
    let mut seed = 0;
    while seed < last {
        seed += 1;
        let Some(catch) = Catch::of(seed, &worlds::run(bug.stress(), seed, Some(bug))) else {
            continue;
        };
        let is_checker = matches!(catch.by, By::Checker(_));
        match &mut caught {
            None => {
                last = last.min(seed + BETTER_SEEDS);
                let first = catch.clone();
                caught = Some(Caught { best: catch, first });
            }
            Some(caught) if catch.by.rank() < caught.best.by.rank() => caught.best = catch,
            Some(_) => {}
        }
        if is_checker {
            break;
        }
    }
    (caught, seed)
}

fn line(bug: Bug, Caught { best, first }: &Caught) -> Line {
    Line {
        worlds: worlds::name(bug.stress()).to_owned(),
        seed: best.seed,
        by: best.by.to_string(),
        first_seed: first.seed,
        first_by: first.by.to_string(),
    }
}
