//! What all workloads have in common: options, runs in turn, the result.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use antiphon_bench::affinity::Cpu;
use antiphon_bench::antiphon::Antiphon;
use antiphon_bench::compare::compare;
use antiphon_bench::error::BenchError;
use antiphon_bench::machine::{Machine, commit};
use antiphon_bench::progress::Progress;
use antiphon_bench::result::{FORMAT, ResultFile, Run, VERSION};
use antiphon_bench::rivals::signals::Signals;
use antiphon_bench::run::run;
use antiphon_bench::stage::Options;
use antiphon_bench::workload::Workload;
use clap::Args;

use super::{failure, table, watching};
use crate::failure::Failure;
use crate::limits::RESULTS_MAX;
use crate::output::{Output, note};

#[derive(Args, Debug)]
pub(super) struct Common {
    /// Length of the measurement.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,

    /// Load before anything counts, in seconds.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    warm_up: f64,

    /// Bytes of a message.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(32..=262_144))]
    body: u32,

    /// Runs, or pairs of runs with --against.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,

    /// Another `antiphon` program to run in turn with this one (A B A B); the table compares them.
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,

    /// An earlier result to compare with.
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,

    /// What is worse than this in a comparison, in percent, and surely worse, makes the command fail.
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT")]
    threshold: f64,

    /// Where the result goes; `-`: nowhere [default: result.json, or result-2.json and so on if there is one].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Under which the broker's private directory is made [default: the folder for temporary files].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// CPUs of the broker and of the generator [default: the first two].
    #[arg(long, value_name = "BROKER,GENERATOR", value_parser = cpus, conflicts_with = "no_pin")]
    cpus: Option<(Cpu, Cpu)>,

    /// Leave it to the kernel what runs where.
    #[arg(long)]
    no_pin: bool,

    /// The `antiphon` program to measure [default: this one].
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,

    /// A setting of the broker; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Signals without keys instead of records: kept nowhere, never acked. A connection may send 64 a second, a room takes 1,024.
    #[arg(long)]
    signals: bool,

    /// Measure a broker that runs already instead of starting one; its CPU time and memory are then unknown.
    #[arg(long, value_name = "IP:PORT", conflicts_with_all = ["against", "program", "set"])]
    running: Option<SocketAddr>,
}

impl Common {
    /// Runs the workload as often as asked, shows the table, writes the result, compares.
    pub(super) fn run(self, workload: &Workload, output: &mut Output) -> Result<(), Failure> {
        if self.signals && !matches!(workload, Workload::Fanout(_) | Workload::Rooms(_)) {
            let told = "signals are neither acked nor kept, and few per connection";
            return Err(Failure::usage(told).next("use --signals with fanout or rooms"));
        }
        let options = self.options()?;
        let mut ours = self.target(self.program.clone(), "")?;
        ours.signals = matches!(workload, Workload::Mixed(_));
        let theirs = match &self.against {
            Some(program) => Some(Antiphon {
                signals: ours.signals,
                ..self.target(Some(program.clone()), "(against)")?
            }),
            None => None,
        };
        let old = self.compare.as_deref().map(read).transpose()?;
        let mut file = begin(&options);
        let mut others = Vec::new();
        for pair in 0..self.runs {
            let what = format!("{} {}/{}", workload.name(), pair + 1, self.runs);
            let measured = watching::watch(output.is_json(), &what, |progress| {
                self.run_once(&ours, workload, &options, pair, progress)
            })?;
            file.runs.push(measured);
            if let Some(theirs) = &theirs {
                let measured = watching::watch(output.is_json(), &what, |progress| {
                    self.run_once(theirs, workload, &options, pair, progress)
                })?;
                others.push(measured);
            }
        }
        let ours = file.runs.clone();
        file.runs.extend(others.iter().cloned());
        self.write(&file)?;
        if output.is_json() {
            output.object(&file)?;
        } else {
            table::runs(&file.runs, output)?;
        }
        judge(&file.runs)?;
        if theirs.is_some() {
            self.compared(&ours, &others, true, output)?;
        }
        match old {
            Some(old) => self.compared(&ours, &old.runs, false, output),
            None => Ok(()),
        }
    }

    fn run_once(
        &self,
        broker: &Antiphon,
        workload: &Workload,
        options: &Options,
        pair: u32,
        progress: &Progress,
    ) -> Result<Run, BenchError> {
        if self.signals {
            let signals = Signals {
                broker: broker.clone(),
            };
            return run(&signals, workload, options, pair, progress);
        }
        run(broker, workload, options, pair, progress)
    }

    fn compared(
        &self,
        a: &[Run],
        b: &[Run],
        are_pairs: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let found = compare(a, b, are_pairs);
        if found.is_empty() {
            let told = "the two results have no workload with the same options in common";
            return Err(Failure::usage(told).next("compare results of the same command line"));
        }
        let threshold = self.threshold / 100.0;
        if !output.is_json() {
            table::comparisons(&found, threshold, output)?;
        }
        let worse: Vec<_> = found
            .iter()
            .filter(|comparison| comparison.is_regression(threshold))
            .map(|worse| format!("{} x{:.3}", worse.metric, worse.interval.ratio))
            .collect();
        if worse.is_empty() {
            return Ok(());
        }
        let told = format!(
            "worse by more than {} %: {}",
            self.threshold,
            worse.join(", ")
        );
        Err(Failure::failed(told).next("more --runs narrow the intervals"))
    }

    fn options(&self) -> Result<Options, Failure> {
        let parent = self.dir.clone().unwrap_or_else(env::temp_dir);
        let mut options = Options::new(parent).map_err(Failure::failed)?;
        if self.no_pin {
            options.cpus = None;
        }
        options.cpus = self.cpus.or(options.cpus);
        if options.cpus.is_none() && !self.no_pin {
            note(format_args!(
                "there is one CPU: broker and generator share it, and the figures say little"
            ));
        }
        options.phases.measure = Duration::from_secs_f64(self.seconds);
        options.phases.warm_up = Duration::from_secs_f64(self.warm_up);
        options.body_bytes = self.body as usize;
        Ok(options)
    }

    fn target(&self, program: Option<PathBuf>, label: &str) -> Result<Antiphon, Failure> {
        let program = match program {
            Some(program) => program,
            None => env::current_exe().map_err(Failure::failed)?,
        };
        let mut target = Antiphon::new(program);
        target.label = label.to_owned();
        target.settings.clone_from(&self.set);
        target.running = self.running;
        Ok(target)
    }

    fn write(&self, file: &ResultFile) -> Result<(), Failure> {
        let out = match &self.out {
            Some(out) if out == Path::new("-") => return Ok(()),
            Some(out) => out.clone(),
            None => free_name(Path::new("")),
        };
        file.write(&out).map_err(|error| failure(&error))?;
        note(format_args!("result in {}", out.display()));
        Ok(())
    }
}

/// A name for a result that no other one has: what was measured before is for comparing.
fn free_name(folder: &Path) -> PathBuf {
    let numbered = (2..=RESULTS_MAX).map(|number| folder.join(format!("result-{number}.json")));
    std::iter::once(folder.join("result.json"))
        .chain(numbered)
        .find(|path| !path.exists())
        .unwrap_or_else(|| folder.join("result.json"))
}

fn read(path: &Path) -> Result<ResultFile, Failure> {
    ResultFile::read(path).map_err(|error| failure(&error))
}

/// A result without runs.
pub(super) fn begin(options: &Options) -> ResultFile {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    ResultFile {
        format: FORMAT.to_owned(),
        version: VERSION,
        started_at: since_epoch.map_or(0, |since| since.as_secs()),
        command: env::args().skip(1).collect(),
        commit: commit(),
        profile: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        }
        .to_owned(),
        machine: Machine::this(&options.parent),
        runs: Vec::new(),
    }
}

/// A system that loses, repeats or reorders has no figures.
fn judge(runs: &[Run]) -> Result<(), Failure> {
    match runs.iter().find(|run| !run.verdict.is_clean()) {
        None => Ok(()),
        Some(run) => Err(Failure::failed(format_args!(
            "{} did not do what it must in {}: {:?}",
            run.target, run.workload, run.verdict
        ))),
    }
}

pub(super) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds is expected, such as 2.5".to_owned()),
    }
}

pub(super) fn cpus(text: &str) -> Result<(Cpu, Cpu), String> {
    let told = || "two numbers are expected, such as 0,1".to_owned();
    let (server, generator) = text.split_once(',').ok_or_else(told)?;
    let cpu = |text: &str| text.trim().parse().map(Cpu).map_err(|_| told());
    Ok((cpu(server)?, cpu(generator)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_gets_a_name_that_no_older_one_has() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["result.json", "result-2.json", "result-3.json"] {
            let free = free_name(folder.path());
            assert_eq!(free, folder.path().join(name));
            std::fs::write(free, "{}").unwrap();
        }
    }
}
