//! Each bug from its recorded world on: what CI runs.

use std::time::Instant;

use super::asked::Asked;
use super::bug::Bug;
use super::catch::Catch;
use super::clean::Clean;
use super::record;
use super::worlds;

/// Worlds in which a recorded bug must be caught: its seed and those that follow.
const CHECK_SEEDS: u64 = 50;

/// `true`: every bug was caught, and the same worlds are good without it.
pub(crate) fn check(asked: &Asked) -> Result<bool, String> {
    let began = Instant::now();
    let lines = record::read(record::FOLDER)?;
    let mut clean = Clean::default();
    let (mut worlds, mut uncaught) = (0, 0);
    for bug in &asked.bugs {
        let name = bug.name();
        let Some(line) = lines.get(&name) else {
            println!("{name}: not in the record: run `cargo sim mutants --only {name}`");
            uncaught += 1;
            continue;
        };
        let seeds = line.seed..line.seed + CHECK_SEEDS;
        match catch_in(*bug, seeds.clone(), &mut clean, &mut worlds) {
            Some(catch) => println!("{name}: world {}, {}", catch.seed, catch.by),
            None => {
                uncaught += 1;
                println!("{name}: NOT CAUGHT in the worlds {seeds:?}");
            }
        }
    }
    println!(
        "bugs {} | not caught {uncaught} | worlds {worlds} | {} | {:.0} s",
        asked.bugs.len(),
        clean.line(),
        began.elapsed().as_secs_f64()
    );
    Ok(uncaught == 0 && clean.is_good())
}

fn catch_in(
    bug: Bug,
    seeds: std::ops::Range<u64>,
    clean: &mut Clean,
    worlds: &mut u64,
) -> Option<Catch> {
    let stress = bug.stress();
    seeds.into_iter().find_map(|seed| {
        *worlds += 1;
        clean.look(stress, seed);
        Catch::of(seed, &worlds::run(stress, seed, Some(bug)))
    })
}
