//! `cargo run --release -p antiphon-tests --bin kill-replay -- FILE [KILLS] [KEY=VALUE...]`: replays a chat file under `kill -9`, and
//! compares what comes back.
//!
//! `connections=N` caps the replay's open connections; every other key is a setting of the broker, such as `data.segment_bytes=4MiB`.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use antiphon_tests::binary;
use antiphon_tests::kill_replay::{Plan, Report, run};
use tempfile::TempDir;

const USAGE: &str = "usage: kill-replay FILE [KILLS] [KEY=VALUE...]
  FILE is NDJSON with at, room, user, text; .gz is fine
  connections=N caps the replay's connections; other keys are settings of the broker";

fn main() -> ExitCode {
    let planned = plan(env::args_os().skip(1));
    let plan = match planned {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
        Err(error) => return failed(&error),
    };
    let home = match tempfile::tempdir() {
        Ok(home) => home,
        Err(error) => return failed(&error),
    };
    match run(&plan, home.path()) {
        Ok(report) => {
            print(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            keep(home);
            failed(&error)
        }
    }
}

fn plan(mut args: impl Iterator<Item = OsString>) -> io::Result<Option<Plan>> {
    let Some(file) = args.next() else {
        return Ok(None);
    };
    let mut plan = Plan {
        binary: binary::antiphon()?,
        file: file.into(),
        kills: 6,
        serve_args: Vec::new(),
        replay_args: Vec::new(),
    };
    for arg in args {
        let Ok(arg) = arg.into_string() else {
            return Ok(None);
        };
        match arg.split_once('=') {
            Some(("connections", number)) => {
                plan.replay_args
                    .extend(["--connections".to_owned(), number.to_owned()]);
            }
            Some(_) => plan.serve_args.extend(["--set".to_owned(), arg]),
            None => match arg.parse() {
                Ok(kills) => plan.kills = kills,
                Err(_) => return Ok(None),
            },
        }
    }
    Ok(Some(plan))
}

fn failed(error: &io::Error) -> ExitCode {
    eprintln!("FAILED: {error}");
    ExitCode::FAILURE
}

/// What a failed run leaves behind is evidence.
fn keep(home: TempDir) {
    eprintln!("kept: {}", home.keep().display());
}

fn print(report: &Report) {
    for (number, kill) in report.kills.iter().enumerate() {
        println!(
            "kill -9 no. {}: {} acked, {} unacked; log {}; ready again in {} ms",
            number + 1,
            kill.acked,
            kill.unacked,
            kill.verdict,
            kill.restart_ms
        );
    }
    let (first, again) = (&report.replay, &report.repeated);
    println!(
        "replay: {} acked, {} of them duplicates, {} reconnects",
        first.acked, first.duplicates, first.reconnects
    );
    println!(
        "replay again: {} acked, {} of them duplicates",
        again.acked, again.duplicates
    );
    println!(
        "export equals the file: {} lines in {} rooms, byte for byte, in order",
        report.lines, report.rooms
    );
}
