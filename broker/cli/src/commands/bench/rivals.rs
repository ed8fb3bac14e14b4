//! `antiphon bench rivals`: our broker and its rivals in turn, and the table of ratios.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, mem};

use antiphon_bench::affinity::Cpu;
use antiphon_bench::error::BenchError;
use antiphon_bench::report::Report;
use antiphon_bench::result::Run;
use antiphon_bench::rivals::found::{Installed, TournamentFile};
use antiphon_bench::rivals::install::Program;
use antiphon_bench::rivals::plan::{Curve, NOT_YET, Row, curves, rows};
use antiphon_bench::rivals::tournament::{Rounds, Step, Tournament};
use antiphon_bench::stage::Options;
use clap::Args;

use super::common::{begin, cpus, seconds};
use super::{failure, rivals_table, watching};
use crate::failure::Failure;
use crate::output::{Output, note};

#[derive(Args, Debug)]
pub(super) struct Rivals {
    /// The whole table within about 12 minutes: shorter runs, and one round of what no goal names.
    #[arg(long)]
    quick: bool,

    /// Rounds of what a goal names.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Length of a measurement [default: 5, and 1 with --quick].
    #[arg(long, value_parser = seconds)]
    seconds: Option<f64>,

    /// Only rows and growth curves whose name begins with this; may be repeated.
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,

    /// Say what would be measured and what is missing, and measure nothing.
    #[arg(long)]
    list: bool,

    /// Where the result goes; `-`: nowhere.
    #[arg(long, default_value = "rivals.json", value_name = "FILE")]
    out: PathBuf,

    /// Where the page with the plots goes; `-`: nowhere.
    #[arg(long, default_value = "report.html", value_name = "FILE")]
    report: PathBuf,

    /// Under which the systems' private directories are made [default: the folder for temporary files].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// CPUs of the system and of the generator [default: the first two].
    #[arg(long, value_name = "SYSTEM,GENERATOR", value_parser = cpus)]
    cpus: Option<(Cpu, Cpu)>,

    /// The `antiphon` program to measure [default: this one].
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
}

impl Rivals {
    pub(super) fn run(self, output: &mut Output) -> Result<(), Failure> {
        let programs = installed();
        let rows = self.rows()?;
        if !output.is_json() {
            rivals_table::programs(&programs, output)?;
            if self.list {
                rivals_table::plan(&rows, &self.curves(), output)?;
            }
            output.flush()?;
        }
        if self.list {
            return Ok(());
        }
        let options = self.options()?;
        let mut file = TournamentFile {
            result: begin(&options),
            programs,
            rows: Vec::new(),
            not_yet: NOT_YET
                .map(|(what, why)| (what.to_owned(), why.to_owned()))
                .into(),
            notes: Vec::new(),
        };
        let broken = self.measure(&rows, &options, &mut file, output)?;
        if output.is_json() {
            output.object(&file)?;
        } else {
            rivals_table::not_yet(&file.not_yet, output)?;
        }
        judge(&file.result.runs, &broken)
    }

    /// Measures all of it; runs of ours that did not come about, in words.
    fn measure(
        &self,
        rows: &[Row],
        options: &Options,
        file: &mut TournamentFile,
        output: &mut Output,
    ) -> Result<Vec<String>, Failure> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => env::current_exe().map_err(Failure::failed)?,
        };
        let is_quiet = output.is_json();
        let mut run = |step: &Step<'_>| {
            let measured = watching::watch(is_quiet, &step.label, |progress| {
                let (workload, pair) = (step.workload, step.pair);
                let run = step.system.run(&program, workload, options, pair, progress);
                Ok(run)
            })?;
            match measured {
                Err(BenchError::Cancelled) => Err(Failure::interrupted()),
                measured => Ok(measured),
            }
        };
        let mut tournament = Tournament::new(self.rounds(), &mut run);
        for row in rows {
            let found = tournament.row(row)?;
            if !is_quiet {
                for row in found {
                    rivals_table::row(row, output)?;
                }
                output.flush()?;
            }
            // What is measured is kept, whatever happens to the rest.
            file.rows.extend(found.iter().cloned());
            file.result.runs.extend(taken(&mut tournament));
            self.write(file)?;
        }
        for curve in self.curves() {
            tournament.curve(&curve)?;
            file.result.runs.extend(taken(&mut tournament));
            file.notes.append(&mut tournament.found.notes);
            if !is_quiet {
                rivals_table::curve(&curve, &file.result.runs, output)?;
                output.flush()?;
            }
            self.write(file)?;
        }
        let (out, report) = (self.out.display(), self.report.display());
        note(format_args!("result in {out}, plots in {report}"));
        Ok(tournament.broken)
    }

    fn rounds(&self) -> Rounds {
        let told = if self.quick { 1 } else { self.rounds };
        Rounds {
            judged: self.rounds,
            told,
            growth: if self.quick { 1 } else { 3 },
        }
    }

    fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| id.starts_with(only.as_str()))
    }

    fn rows(&self) -> Result<Vec<Row>, Failure> {
        let mut rows = rows();
        rows.retain(|row| self.wants(row.id));
        if rows.is_empty() && self.curves().is_empty() {
            let told = "no row has such a name";
            return Err(Failure::usage(told).next("see `antiphon bench rivals --list`"));
        }
        Ok(rows)
    }

    fn curves(&self) -> Vec<Curve> {
        let mut curves = curves();
        let is_named = |curve: &Curve| !self.only.is_empty() && self.wants(curve.id);
        curves.retain(|curve| {
            if self.quick {
                is_named(curve) || self.only.is_empty() && curve.is_quick
            } else {
                self.wants(curve.id)
            }
        });
        curves
    }

    fn options(&self) -> Result<Options, Failure> {
        let parent = self.dir.clone().unwrap_or_else(env::temp_dir);
        let mut options = Options::new(parent).map_err(Failure::failed)?;
        options.cpus = self.cpus.or(options.cpus);
        if options.cpus.is_none() {
            note(format_args!(
                "there is one CPU: systems and generator share it, and the figures say little"
            ));
        }
        let (warm_up, measure) = if self.quick { (0.3, 1.0) } else { (1.0, 5.0) };
        options.phases.warm_up = Duration::from_secs_f64(warm_up);
        // RabbitMQ takes seconds to deliver what is under way.
        options.phases.drain = Duration::from_secs(30);
        options.phases.measure = Duration::from_secs_f64(self.seconds.unwrap_or(measure));
        Ok(options)
    }

    fn write(&self, file: &TournamentFile) -> Result<(), Failure> {
        if self.out == Path::new("-") {
            return Ok(());
        }
        file.write(&self.out).map_err(|error| failure(&error))?;
        if self.report == Path::new("-") {
            return Ok(());
        }
        let page = Report::of_rivals(file);
        page.write(&self.report).map_err(|error| failure(&error))
    }
}

fn installed() -> Vec<Installed> {
    let programs = Program::ALL.into_iter();
    programs
        .map(|program| Installed {
            name: program.name().to_owned(),
            version: program.version(),
            advice: program.advice().to_owned(),
        })
        .collect()
}

fn taken<E>(tournament: &mut Tournament<'_, E>) -> impl Iterator<Item = Run> {
    let runs = mem::take(&mut tournament.found.runs);
    runs.into_iter().map(|(_, run)| run)
}

/// What a rival gets wrong stands in the notes of its row; what we get wrong, or do not get done, makes the command fail.
fn judge(runs: &[Run], broken: &[String]) -> Result<(), Failure> {
    if !broken.is_empty() {
        let next = "what the program said last stands above; the result has what was measured";
        return Err(Failure::failed(broken.join("; ")).next(next));
    }
    let wrong = runs
        .iter()
        .find(|run| run.target.starts_with("antiphon") && !run.verdict.is_clean());
    match wrong {
        None => Ok(()),
        Some(run) => Err(Failure::failed(format_args!(
            "{} did not do what it must in {}: {:?}",
            run.target,
            run.key(),
            run.verdict
        ))),
    }
}
