//! `antiphon serve`: the broker, until SIGTERM or Ctrl-C.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use antiphon_server::config::{Format, Logging};
use antiphon_server::{Loaded, exit, run_with};
use clap::Args;
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;

use crate::commands::settings::{Settings, refused};
use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    /// Signals and their exit codes are the server's.
    pub(crate) fn run(self, output: &mut Output) -> Result<ExitCode, Failure> {
        let config = Loaded::load(&self.settings.sources()?)
            .map_err(|error| refused(&error))?
            .config;
        log_to_stderr(&config.logging, output.is_json());
        let data = config.data.directory.clone();
        let mut told = Ok(());
        let ended = run_with(config, |address| told = say_ready(output, address, &data));
        match (ended, told) {
            (Ok(()), Err(failure)) if failure.exit() != Exit::Done => Err(failure),
            (Ok(()), _) => Ok(ExitCode::from(exit::DONE)),
            (Err(error), _) => {
                let exit = error.exit_code();
                Failure::failed(&error).tell_as(exit, output.is_json());
                Ok(ExitCode::from(exit))
            }
        }
    }
}

/// The one line on stdout. A broker whose stdout is closed serves all the same.
fn say_ready(output: &mut Output, address: SocketAddr, data: &Path) -> Result<(), Failure> {
    let data = data.display();
    if output.is_json() {
        output
            .object(&json!({ "event": "ready", "address": address, "data": data.to_string() }))?;
    } else {
        output.line(format_args!(
            "antiphon is ready on {address}, data in {data}"
        ))?;
    }
    output.flush()
}

/// `--json` makes all that is told machine-readable, the log too.
fn log_to_stderr(logging: &Logging, as_json: bool) {
    // The level's names are those of tracing.
    let level: LevelFilter = logging.level.as_str().parse().unwrap_or(LevelFilter::INFO);
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false);
    match logging.format {
        _ if as_json => log.json().init(),
        Format::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        Format::Json => log.json().init(),
    }
}
