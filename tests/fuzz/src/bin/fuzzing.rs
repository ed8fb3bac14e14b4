//! `cargo fuzzing`: the engine with the flags that it needs, and the corpus that it fills.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use antiphon_fuzz::{TARGETS, corpus_folder, seeds, target};
use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};

/// What makes the compiler tell the engine which edges ran and what was compared. All of it is understood by a stable compiler.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];
/// An input that takes longer than this is a finding, in seconds.
const SLOW_SECONDS: u32 = 10;
/// Memory of one run, in MiB; more is a finding.
const MEMORY_MIB: u32 = 1_024;
/// How many inputs the engine gets to see through the guarded comparisons of `probe`; it needs about a tenth.
const PROBE_INPUTS: u64 = 5_000_000;

/// Fuzzing with coverage, over the kept corpus.
#[derive(Debug, Parser)]
#[command(name = "cargo fuzzing")]
struct Arguments {
    #[command(subcommand)]
    command: Order,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// All targets, and what is kept of each.
    List,
    /// Looks for inputs that break a promise, from the kept corpus, the seeds and what earlier runs found.
    Run {
        /// Which target.
        target: String,
        /// How long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Runs single inputs, without the engine.
    Replay {
        /// Which target.
        target: String,
        /// The inputs.
        files: Vec<PathBuf>,
    },
    /// Makes an input that breaks a promise as small as it can.
    Shrink {
        /// Which target.
        target: String,
        /// The input.
        file: PathBuf,
    },
    /// Puts the smallest set of inputs that covers all that is known into the kept corpus.
    Keep {
        /// Which target.
        target: String,
    },
    /// Shows that coverage feedback works: the engine must get through comparisons that chance does not get through.
    Probe,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Order::List => list(),
        Order::Run { target, seconds } => hunt(&target, seconds),
        Order::Replay { target, files } => replay(&target, &files),
        Order::Shrink { target, file } => shrink(&target, &file),
        Order::Keep { target } => keep(&target),
        Order::Probe => probe(),
    }
}

fn list() -> Result<()> {
    for target in TARGETS {
        let kept = antiphon_fuzz::kept(target.name);
        let bytes: usize = kept.iter().map(|kept| kept.bytes.len()).sum();
        println!("{:<12} {} inputs, {bytes} bytes", target.name, kept.len());
    }
    Ok(())
}

fn hunt(name: &str, seconds: u64) -> Result<()> {
    let work = prepared(name)?;
    let mut engine = engine(name)?;
    engine
        .arg(format!("-max_total_time={seconds}"))
        .args([&work, &corpus_folder(name)]);
    let status = engine.status()?;
    ensure!(
        status.success(),
        "a promise is broken: the input is in {}; see docs/fuzzing.md, \"When it finds something\"",
        found(name)?.display()
    );
    Ok(())
}

fn replay(name: &str, files: &[PathBuf]) -> Result<()> {
    let target = target(name).with_context(|| format!("no target is called {name}"))?;
    for file in files {
        println!("{}", file.display());
        (target.run)(&fs::read(file)?);
    }
    Ok(())
}

fn shrink(name: &str, file: &Path) -> Result<()> {
    let smaller = area("found")?.join(format!("{name}-shrunk"));
    let mut engine = engine(name)?;
    engine
        .args(["-minimize_crash=1", "-max_total_time=60"])
        .arg(format!("-exact_artifact_path={}", smaller.display()))
        .arg(file);
    let _ = engine.status()?;
    println!("{}", smaller.display());
    Ok(())
}

fn keep(name: &str) -> Result<()> {
    let work = prepared(name)?;
    let merged = area("merged")?.join(name);
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    let kept = corpus_folder(name);
    let status = engine(name)?
        // Edges, and not how often each ran: a third of the inputs, and no fewer edges.
        .args(["-set_cover_merge=1", "-use_counters=0"])
        .args([&merged, &kept, &work])
        .status()?;
    ensure!(status.success(), "the engine could not merge");
    for entry in fs::read_dir(&kept)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with("fix-") {
            fs::remove_file(entry.path())?;
        }
    }
    for entry in fs::read_dir(&merged)? {
        let entry = entry?;
        fs::copy(entry.path(), kept.join(entry.file_name()))?;
    }
    list()
}

fn probe() -> Result<()> {
    let output = engine("probe")?
        .arg(format!("-runs={PROBE_INPUTS}"))
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(
        told.contains(antiphon_fuzz::PROBE_FOUND),
        "{PROBE_INPUTS} inputs did not get through the comparisons: there is no coverage feedback"
    );
    println!("the engine got through: coverage feedback works");
    Ok(())
}

/// The folder that the engine fills, with the seeds in it.
fn prepared(name: &str) -> Result<PathBuf> {
    ensure!(
        target(name).is_some(),
        "no target is called {name}: `cargo fuzzing list`"
    );
    fs::create_dir_all(corpus_folder(name))?;
    let work = area("work")?.join(name);
    fs::create_dir_all(&work)?;
    for (label, bytes) in seeds(name) {
        fs::write(work.join(format!("seed-{label}")), bytes)?;
    }
    Ok(work)
}

/// The folder of the inputs that broke a promise of a target.
fn found(name: &str) -> Result<PathBuf> {
    let folder = area("found")?.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A folder of the build directory.
fn area(name: &str) -> Result<PathBuf> {
    let folder = root().join("target/fuzz").join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2);
    root.unwrap_or(manifest).to_path_buf()
}

/// Builds the engine, and gives the command that runs it for a target.
fn engine(name: &str) -> Result<Command> {
    let host = host()?;
    let build = root().join("target/fuzz/build");
    // With --target the flags reach what is built for the host's use at run time, not build scripts, which no engine is linked into.
    let status = Command::new("cargo")
        .current_dir(root())
        .env("RUSTFLAGS", FLAGS.join(" "))
        .args([
            "build",
            "--quiet",
            "--profile",
            "fuzz",
            "-p",
            "antiphon-fuzz",
        ])
        .args(["--bin", "engine", "--features", "engine", "--target", &host])
        .arg("--target-dir")
        .arg(&build)
        .status()?;
    if !status.success() {
        bail!("the engine cannot be built");
    }
    let bytes_max = target(name).map_or(64, |target| target.bytes_max);
    let mut command = Command::new(build.join(host).join("fuzz/engine"));
    command
        .env("ANTIPHON_FUZZ_TARGET", name)
        // Whatever it is asked to do: left alone, it writes what it finds into the folder that it is called in.
        .arg(format!("-artifact_prefix={}/", found(name)?.display()))
        .arg(format!("-max_len={bytes_max}"))
        .arg(format!("-timeout={SLOW_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .args(["-print_final_stats=1", "-verbosity=1"]);
    Ok(command)
}

/// The machine that the compiler at hand builds for.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let told = String::from_utf8(output.stdout)?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .context("rustc does not name its host")
}
