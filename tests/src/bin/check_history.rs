//! `cargo run -p antiphon-tests --bin check-history -- FILE`: which promises a recorded history breaks.
//!
//! Ends with 0 if none, 1 if any, 2 if the file is no history.

use std::env;
use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

use antiphon_tests::checkers::check_all;
use antiphon_tests::history::{BadHistory, read};

fn main() -> ExitCode {
    let Some(file) = env::args_os().nth(1) else {
        eprintln!("usage: check-history FILE   (lines as in docs/history.md)");
        return ExitCode::from(2);
    };
    let opened = File::open(&file).map_err(BadHistory::Io);
    let history = match opened.and_then(|file| read(BufReader::new(file))) {
        Ok(history) => history,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return ExitCode::from(2);
        }
    };
    let report = check_all(&history);
    println!(
        "{}: {} events of {}",
        file.display(),
        history.events.len(),
        history.head.origin
    );
    print!("{report}");
    if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
