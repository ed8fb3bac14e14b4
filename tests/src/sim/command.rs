//! `cargo sim`: the command line.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use super::fault::Fault;
use super::queue::SECOND;
use super::run::{Verdict, run};
use super::stress::Stress;
use super::swarm::Plan;
use super::tally::Tally;

const USAGE: &str = "\
cargo sim swarm --seeds N [--from S] [options]   run N worlds
cargo sim replay SEED [--trace] [options]        run one world again
cargo sim meta [--seeds N] [--from S] [options]  run each world twice: both must be equal
cargo sim shrink SEED [options]                  find the least world that still fails
cargo sim mutants [--check]                      are bugs noticed that are planted?

options: --nodes N     so many nodes, 1 to 7 (1)
         --seconds N   how long the safety phase takes, in virtual seconds (60)
         --clients N   at most so many clients
         --without A,B leave these faults out
         --stress NAME worlds that stress one thing: tails, rot, lanes, behind, narrow, churn,
                       idle, swell
         --busy        five busy clients and many faults: how speed is measured
         --history F   write the history to a file (of the last world), for `check-history`
         --all-faults  a swarm that does not meet every fault fails
         --verbose     all counts";

/// A swarm of so many worlds fails if it has not met everything that worlds can meet.
const ALL_MET_SEEDS: u64 = 2_000;

/// What was asked for.
#[derive(Debug)]
struct Asked {
    seeds: u64,
    from: u64,
    is_verbose: bool,
    /// A fault that was never met fails the swarm, whatever its size.
    wants_all_faults: bool,
    plan: Plan,
}

/// Runs the command. The last line printed is the figure.
pub fn main(args: &[String]) -> ExitCode {
    super::panics::remember();
    let outcome = match args.split_first() {
        Some((command, rest)) => dispatch(command, rest),
        None => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: &str, rest: &[String]) -> Result<bool, String> {
    match command {
        "swarm" => Ok(swarm(&parse(rest, 100)?)),
        "mutants" => crate::mutants::main(rest),
        "meta" => Ok(meta(&parse(rest, 20)?)),
        "replay" | "shrink" => {
            let (seed, rest) = rest.split_first().ok_or(USAGE)?;
            let mut asked = parse(rest, 1)?;
            asked.plan.seed = number(seed)?;
            if command == "replay" {
                Ok(replay(&asked))
            } else {
                Ok(shrink(&asked.plan))
            }
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn nodes(text: &str) -> Result<usize, String> {
    let nodes = number(text)? as usize;
    match (1..=7).contains(&nodes) {
        true => Ok(nodes),
        false => Err(format!("{nodes} nodes are not 1 to 7")),
    }
}

fn parse(args: &[String], seeds: u64) -> Result<Asked, String> {
    let mut asked = Asked {
        seeds,
        from: 1,
        is_verbose: false,
        wants_all_faults: false,
        plan: Plan::new(1),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} wants a value"));
        match arg.as_str() {
            "--seeds" => asked.seeds = number(value()?)?,
            "--from" => asked.from = number(value()?)?,
            "--nodes" => asked.plan.nodes = nodes(value()?)?,
            "--seconds" => asked.plan.seconds = number(value()?)?,
            "--clients" => asked.plan.clients_max = number(value()?)? as usize,
            "--without" => asked.plan.without = faults(value()?)?,
            "--stress" => asked.plan.stress = Some(stress(value()?)?),
            "--busy" => asked.plan.is_busy = true,
            "--trace" => asked.plan.is_traced = true,
            "--history" => asked.plan.history = Some(value()?.into()),
            "--all-faults" => asked.wants_all_faults = true,
            "--verbose" => asked.is_verbose = true,
            _ => return Err(format!("{arg:?} is not known\n{USAGE}")),
        }
    }
    Ok(asked)
}

fn stress(name: &str) -> Result<Stress, String> {
    let named = Stress::ALL.into_iter().find(|stress| stress.name() == name);
    named.ok_or_else(|| format!("no stress is called {name:?}"))
}

fn faults(names: &str) -> Result<BTreeSet<Fault>, String> {
    names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| Fault::named(name).ok_or(format!("no fault is called {name:?}")))
        .collect()
}

/// Sums of many worlds.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    failures: u64,
    micros: u64,
    tally: Tally,
}

impl Sum {
    fn add(&mut self, verdict: &Verdict) {
        self.seeds += 1;
        self.failures += u64::from(!verdict.is_good());
        self.micros += verdict.micros;
        self.tally.add(&verdict.tally);
    }

    /// The figure. Speed is by this process's CPU time, not by the clock on the wall: a machine that others use as well says nothing by that one.
    fn line(&self, began: Duration) -> String {
        let real = (cpu_time() - began).as_secs_f64().max(1e-9);
        let virtual_seconds = self.micros as f64 / SECOND as f64;
        format!(
            "seeds {} | simulated {:.2} h | {:.0} times real time a core | publishes {} ({:.1}/s) | faults {} ({:.2}/s) | {:.2} M events per CPU second | failures {}",
            self.seeds,
            virtual_seconds / 3_600.0,
            virtual_seconds / real,
            self.tally.publishes,
            self.tally.publishes as f64 / virtual_seconds,
            self.tally.faults(),
            self.tally.faults() as f64 / virtual_seconds,
            self.tally.events as f64 / real / 1e6,
            self.failures
        )
    }
}

/// What this process has used of its core.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

fn swarm(asked: &Asked) -> bool {
    let began = cpu_time();
    let mut sum = Sum::default();
    for seed in asked.from..asked.from + asked.seeds {
        let plan = Plan {
            seed,
            ..asked.plan.clone()
        };
        let verdict = run(&plan);
        sum.add(&verdict);
        if let Some(failure) = verdict.failure() {
            println!("SEED={seed} FAILED: {failure}");
        }
    }
    print_tally(&sum.tally, asked.is_verbose);
    println!("{}", sum.line(began));
    let missed = if asked.seeds >= ALL_MET_SEEDS {
        sum.tally.missed()
    } else if asked.wants_all_faults {
        sum.tally.missed_faults()
    } else {
        Vec::new()
    };
    sum.failures == 0 && missed.is_empty()
}

fn print_tally(tally: &Tally, is_verbose: bool) {
    if is_verbose {
        println!("{tally:#?}");
    }
    let missed = tally.missed();
    if !missed.is_empty() {
        println!("never met: {}", missed.join(", "));
    }
}

fn replay(asked: &Asked) -> bool {
    let began = cpu_time();
    let verdict = run(&asked.plan);
    let mut sum = Sum::default();
    sum.add(&verdict);
    if asked.is_verbose || asked.plan.is_traced {
        println!("{:#?}", verdict.tally);
    }
    println!("trace {:016x}", verdict.trace);
    if let Some(failure) = verdict.failure() {
        println!("SEED={} FAILED: {failure}", asked.plan.seed);
    }
    println!("{}", sum.line(began));
    verdict.is_good()
}

fn meta(asked: &Asked) -> bool {
    let began = cpu_time();
    let mut sum = Sum::default();
    let mut differences = 0;
    for seed in asked.from..asked.from + asked.seeds {
        let plan = Plan {
            seed,
            ..asked.plan.clone()
        };
        let (one, two) = (run(&plan), run(&plan));
        sum.add(&one);
        sum.add(&two);
        if (one.trace, &one.findings) != (two.trace, &two.findings) {
            differences += 1;
            println!(
                "SEED={seed} DIFFERS: {:016x} and {:016x}",
                one.trace, two.trace
            );
        }
    }
    println!("{} | differences {differences}", sum.line(began));
    differences == 0
}

/// Leaves out what is not needed for the failure: faults one by one, clients, time.
fn shrink(plan: &Plan) -> bool {
    let fails = |plan: &Plan| run(plan).failure();
    let mut least = plan.clone();
    let Some(mut failure) = fails(&least) else {
        println!("SEED={} does not fail", plan.seed);
        return true;
    };
    let mut tries = 1;
    let mut attempt = |least: &mut Plan, failure: &mut String, change: &dyn Fn(&mut Plan)| {
        let mut candidate = least.clone();
        change(&mut candidate);
        tries += 1;
        let outcome = fails(&candidate);
        let is_smaller = outcome.is_some();
        if let Some(other) = outcome {
            *failure = other;
            *least = candidate;
        }
        is_smaller
    };
    for fault in Fault::ALL {
        attempt(&mut least, &mut failure, &|plan| {
            plan.without.insert(fault);
        });
    }
    for clients in 1..7 {
        if attempt(&mut least, &mut failure, &|plan| plan.clients_max = clients) {
            break;
        }
    }
    while least.seconds > 1 {
        let seconds = least.seconds * 3 / 4;
        if !attempt(&mut least, &mut failure, &|plan| plan.seconds = seconds) {
            break;
        }
    }
    println!("{failure}");
    let without: Vec<&str> = least.without.iter().map(|fault| fault.name()).collect();
    let clients = if least.clients_max < 100 {
        format!(" --clients {}", least.clients_max)
    } else {
        String::new()
    };
    println!("{tries} worlds tried");
    println!(
        "cargo sim replay {} --nodes {} --trace --seconds {}{clients} --without {}",
        least.seed,
        least.nodes,
        least.seconds,
        without.join(",")
    );
    false
}
