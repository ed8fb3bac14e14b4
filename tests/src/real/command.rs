//! `cargo real`: long runs.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use super::fault::{Family, Fault};
use super::power;
use super::run::{Figure, Names, Plan, check};
use crate::binary;

const USAGE: &str = "usage: cargo real [--seed S] [--seconds N] [--runs N] [--family F | --faults A,B] [--without A,B]
  F is network, processes, calls, disk or all; N runs take the seeds S, S+1, ...
  exit code 0: no promise is broken; 1: one is, or a process failed; 2: no such command; 3: what it needs is missing";

/// What is missing for what was asked.
pub(super) const MISSING: u8 = 3;

/// The command line, after the program's name.
#[derive(Clone, Debug)]
struct Wish {
    seed: u64,
    seconds: u64,
    runs: u64,
    faults: Vec<Fault>,
}

/// Does what the command line says.
pub fn main(words: impl Iterator<Item = String>) -> ExitCode {
    let mut words = words.peekable();
    if words.next_if(|word| word == "power-loss").is_some() {
        return power::main(words);
    }
    let Some(wish) = parse(words) else {
        eprintln!("{USAGE}\n{}", power::USAGE);
        return ExitCode::from(2);
    };
    let faults = available(wish.faults.clone());
    if faults.is_empty() && !wish.faults.is_empty() {
        return ExitCode::from(MISSING);
    }
    match go(&wish, &faults) {
        Ok(figure) => {
            println!("figure: {figure}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn go(wish: &Wish, faults: &[Fault]) -> io::Result<Figure> {
    let binary = binary::antiphon()?;
    let mut sum = Figure::default();
    for seed in wish.seed..wish.seed + wish.runs {
        sum.add(&check(&Plan {
            binary: binary.clone(),
            seed,
            time: Duration::from_secs(wish.seconds),
            faults: faults.to_vec(),
        })?);
    }
    Ok(sum)
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Wish> {
    let mut wish = Wish {
        seed: 1,
        seconds: 20,
        runs: 1,
        faults: Family::All.faults(),
    };
    let mut without = Vec::new();
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--seed" => wish.seed = value.parse().ok()?,
            "--seconds" => wish.seconds = value.parse().ok()?,
            "--runs" => wish.runs = value.parse().ok()?,
            "--family" => wish.faults = Family::named(&value)?.faults(),
            "--faults" => wish.faults = listed(&value)?,
            "--without" => without = listed(&value)?,
            _ => return None,
        }
    }
    wish.faults.retain(|fault| !without.contains(fault));
    Some(wish)
}

fn listed(names: &str) -> Option<Vec<Fault>> {
    names.split(',').map(Fault::named).collect()
}

/// Takes out what cannot be had here, and says so.
pub fn available(faults: Vec<Fault>) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut means: Vec<_> = faults.iter().filter_map(|fault| fault.needs()).collect();
    means.sort_unstable();
    means.dedup();
    let missing: Vec<_> = means
        .into_iter()
        .filter_map(|means| Some((means, means.missing()?)))
        .collect();
    for (means, why) in &missing {
        let lost: Vec<Fault> = faults
            .iter()
            .copied()
            .filter(|fault| fault.needs() == Some(*means))
            .collect();
        eprintln!("skipped: {}: {why}", Names(&lost));
    }
    found.extend(faults.into_iter().filter(|fault| {
        let needs = fault.needs();
        missing.iter().all(|(means, _)| needs != Some(*means))
    }));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: &str) -> Option<Wish> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_line_names_seed_time_and_faults() {
        let all = wish("").unwrap();
        assert_eq!((all.seed, all.seconds, all.runs), (1, 20, 1));
        assert_eq!(all.faults, Fault::ALL);
        let some = wish("--seed 9 --seconds 3 --family processes --without pause").unwrap();
        assert_eq!((some.seed, some.seconds), (9, 3));
        assert_eq!(
            some.faults,
            [Fault::ClientCrash, Fault::Kill, Fault::Restart]
        );
        assert!(wish("--faults kill,flood").is_none());
        assert!(wish("--seed").is_none());
    }
}
