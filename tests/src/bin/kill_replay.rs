//! `cargo run --release -p antiphon-tests --bin kill-replay -- FILE [KILLS]`: replays a chat file under `kill -9` and compares.

use std::env;
use std::process::ExitCode;

use antiphon_tests::binary;
use antiphon_tests::kill_replay::{Plan, Report, run};

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let Some(file) = args.next() else {
        eprintln!(
            "usage: kill-replay FILE [KILLS]   (NDJSON with at, room, user, text; .gz is fine)"
        );
        return ExitCode::from(2);
    };
    let kills = args
        .next()
        .and_then(|kills| kills.to_str()?.parse().ok())
        .unwrap_or(6);
    let outcome = tempfile::tempdir().and_then(|home| {
        let plan = Plan {
            binary: binary::antiphon()?,
            file: file.into(),
            kills,
            serve_args: Vec::new(),
            replay_args: Vec::new(),
        };
        run(&plan, home.path())
    });
    match outcome {
        Ok(report) => {
            print(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
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
    println!(
        "replay: {} acked, {} of them duplicates, {} reconnects",
        report.replay.acked, report.replay.duplicates, report.replay.reconnects
    );
    println!(
        "replay again: {} acked, {} of them duplicates",
        report.repeated.acked, report.repeated.duplicates
    );
    println!(
        "export equals the file: {} lines in {} rooms, byte for byte, in order",
        report.lines, report.rooms
    );
}
