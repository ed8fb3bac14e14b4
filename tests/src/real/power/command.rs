//! The command line of `cargo real power-loss`.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::process::ExitCode;
use std::time::Instant;

use super::disk::{Count, Life, live};
use super::needs::Trouble;
use super::{guest, needs};
use crate::binary;
use crate::checkers::{Invariant, Report, check_all};
use crate::history::{self, History};
use crate::real::command::MISSING;
use crate::sim::random::Random;

pub(crate) const USAGE: &str = "       cargo real power-loss [--cuts N] [--seed S] [--with lie|errors]
  the broker on a kernel of its own, whose power is cut N times; with a lie, syncs are claimed and not done, and the run fails
  if no checker notices; with errors, the disk fails for a moment, and the power is cut when the broker has ended for it";

/// Cuts of one disk; then another one is made, so that reading it all does not take longer and longer.
const CUTS_A_DISK: u64 = 8;

/// What a disk's history has to show something of.
const SHOWN: [Invariant; 7] = [
    Invariant::Shape,
    Invariant::I1,
    Invariant::I2,
    Invariant::I3,
    Invariant::I5,
    Invariant::I6,
    Invariant::I7,
];

/// The command line, after `power-loss`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Wish {
    cuts: u64,
    seed: u64,
    trouble: Trouble,
}

/// What came of it, for the last line.
#[derive(Debug, Default)]
struct Figure {
    seconds: f64,
    disks: u64,
    count: Count,
    /// Disks that lost something that was acked, or that would not start any more.
    broken: u64,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count {
            cuts,
            early,
            failed,
            acks,
            unacked,
        } = self.count;
        write!(
            f,
            "{:.1} s, {cuts} cuts ({early} before anything was published, {failed} behind a failed disk), {} disks, {acks} acks, {unacked} records unacked and \
             there, {} disks with a broken promise",
            self.seconds, self.disks, self.broken
        )
    }
}

/// Does what the command line says.
pub(crate) fn main(words: impl Iterator<Item = String>) -> ExitCode {
    let Some(wish) = parse(words) else {
        eprintln!("usage:\n{USAGE}");
        return ExitCode::from(2);
    };
    let missing = needs::missing(wish.trouble);
    for line in &missing {
        eprintln!("skipped: power-loss: {line}");
    }
    if !missing.is_empty() {
        return ExitCode::from(MISSING);
    }
    match go(wish) {
        Ok(figure) => {
            println!("figure: {figure}");
            let lies = wish.trouble == Trouble::Lie;
            let is_right = (figure.broken > 0) == lies;
            if !is_right && lies {
                eprintln!("FAILED: syncs were not done, and nobody noticed");
            }
            ExitCode::from(u8::from(!is_right))
        }
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Wish> {
    let mut wish = Wish {
        cuts: 20,
        seed: 1,
        trouble: Trouble::Cuts,
    };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--cuts" => wish.cuts = value.parse().ok().filter(|cuts| *cuts > 0)?,
            "--seed" => wish.seed = value.parse().ok()?,
            "--with" => {
                wish.trouble = match value.as_str() {
                    "lie" => Trouble::Lie,
                    "errors" => Trouble::Errors,
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    Some(wish)
}

fn go(wish: Wish) -> io::Result<Figure> {
    let began = Instant::now();
    let home = tempfile::tempdir()?;
    let initrd = home.path().join("initrd");
    fs::write(
        &initrd,
        guest::root(&binary::antiphon()?, home.path(), wish.trouble)?,
    )?;
    let mut figure = Figure::default();
    let mut dice = Random::new(wish.seed);
    while figure.count.cuts < wish.cuts {
        figure.disks += 1;
        let life = Life {
            home: home.path(),
            initrd: &initrd,
            origin: format!("power-loss SEED={} disk {}", wish.seed, figure.disks),
            cuts: CUTS_A_DISK.min(wish.cuts - figure.count.cuts),
            trouble: wish.trouble,
        };
        let cuts = life.cuts;
        match live(&life, &mut dice) {
            Ok((history, count)) => {
                figure.count.add(&count);
                figure.broken += u64::from(!judge(&life, &history, &count)?);
            }
            // A broker that refuses what is left of its directory has noticed, too.
            Err(error) if wish.trouble == Trouble::Lie => {
                println!("{}: {error}", life.origin);
                figure.count.cuts += cuts;
                figure.broken += 1;
            }
            Err(error) => return Err(io::Error::other(format!("{}: {error}", life.origin))),
        }
    }
    figure.seconds = began.elapsed().as_secs_f64();
    Ok(figure)
}

/// Whether all promises hold. What breaks one is printed, and its history kept.
fn judge(life: &Life<'_>, history: &History, count: &Count) -> io::Result<bool> {
    let report = check_all(history);
    let silent = unshown(&report);
    println!(
        "{}: {} cuts, {} acks, {} records unacked and there, {} events",
        life.origin,
        count.cuts,
        count.acks,
        count.unacked,
        history.events.len()
    );
    if !silent.is_empty() {
        return Err(io::Error::other(format!(
            "nothing is shown of {silent:?}\n{report}"
        )));
    }
    if report.is_good() {
        return Ok(true);
    }
    let name = life.origin.replace([' ', '='], "-");
    let path = std::env::temp_dir().join(format!("antiphon-{name}.ndjson"));
    history::write(history, &mut BufWriter::new(File::create(&path)?))?;
    println!("{report}history: {}", path.display());
    Ok(false)
}

fn unshown(report: &Report) -> Vec<Invariant> {
    let silent = report.silent();
    SHOWN
        .into_iter()
        .filter(|promise| silent.contains(promise))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_cuts_seed_and_lie() {
        let wish = |line: &str| parse(line.split_whitespace().map(str::to_owned));
        let plain = Wish {
            cuts: 20,
            seed: 1,
            trouble: Trouble::Cuts,
        };
        assert_eq!(wish(""), Some(plain));
        let lies = Wish {
            cuts: 3,
            seed: 9,
            trouble: Trouble::Lie,
        };
        assert_eq!(wish("--cuts 3 --seed 9 --with lie"), Some(lies));
        assert_eq!(wish("--cuts 0"), None);
        assert_eq!(wish("--with luck"), None);
        assert_eq!(wish("--cuts"), None);
        assert_eq!(wish("--volts 3"), None);
    }
}
