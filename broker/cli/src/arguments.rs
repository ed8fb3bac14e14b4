//! The command line: what may be said, and what it means.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, Error, FromArgMatches, Parser, Subcommand};

use crate::commands;
use crate::failure::{Exit, Failure};

/// What `--help` ends with. The numbers are those of [`crate::failure::Exit`] and of `antiphon_server::exit`.
const EXIT_CODES: &str = "\
Data goes to stdout, everything else to stderr.

Exit codes:
    0  done (also: the reader of our output closed the pipe)
    1  failed
    2  wrong usage or configuration; nothing was done
    3  no broker answered
    4  the broker refused
    5  damage: found by log verify, or met in a room
   70  serve: a bug ended the broker        74  serve: writing the log failed
  130  ended by Ctrl-C; serve: stopped at once by a second signal";

/// Antiphon: a chat broker. Rooms are durable, ordered, and every message in them counts once.
#[derive(Debug, Parser)]
#[command(name = "antiphon", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The broker to talk to, as HOST:PORT.
    #[arg(
        long,
        global = true,
        env = "ANTIPHON_ADDR",
        default_value = "127.0.0.1:7411",
        value_name = "HOST:PORT"
    )]
    pub(crate) addr: String,

    /// Print JSON, one object a line, instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a broker: ./antiphon-data, 127.0.0.1:7411, unless told otherwise.
    Serve(commands::serve::Serve),
    /// Check a configuration, or show it with the origin of each value.
    Config(commands::config::Config),
    /// Make a cluster of several nodes.
    Cluster(commands::cluster::Cluster),
    /// Publish a message, or each line of stdin as one.
    Pub(commands::publish::Publish),
    /// Follow a room: print each record as it comes.
    Sub(commands::subscribe::Subscribe),
    /// Talk in a room: what is said there is printed, each line typed is said.
    Chat(commands::chat::Chat),
    /// Take a record back that you sent: its body is shown to nobody any more.
    Redact(commands::redact::Redact),
    /// Print a room's last records.
    History(commands::history::History),
    /// See how far somebody has read in a room and how much is unread; or move their cursor.
    Cursor(commands::cursor::Cursor),
    /// See whether a broker answers, and how fast.
    Ping(commands::ping::Ping),
    /// See what a node does: connections, rooms, rates, readers behind, sync times.
    Status(commands::status::Status),
    /// Publish a chat file (NDJSON: at, room, user, text), exactly once however often it is interrupted or repeated.
    Replay(commands::replay::Replay),
    /// Print rooms as a chat file that `replay` reads.
    Export(commands::export::Export),
    /// Look into a data directory without a broker; nothing is changed.
    Log(commands::log::Log),
    /// Measure a broker under load: connections, latencies, rates; every delivery is verified.
    Bench(commands::bench::Bench),
    /// Print a completion script for a shell.
    Completions(commands::completions::Completions),
}

impl Arguments {
    /// What this process was started with; or the end, when help was asked for or the words are wrong.
    pub(crate) fn of_this_process() -> Result<Self, ExitCode> {
        parse(env::args_os()).map_err(|error| {
            if error.use_stderr() && env::args_os().any(|word| word == "--json") {
                let text = error.render().to_string();
                let text = text.trim_start_matches("error: ").trim_end();
                Failure::usage(text).next("see `antiphon help`").tell(true);
                return ExitCode::from(Exit::Usage.number());
            }
            // Nobody is left to tell when stdout and stderr are closed.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.number()))
        })
    }
}

fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Arguments, Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    refuse_addr_of_a_broker(&mut command, &matches)?;
    Arguments::from_arg_matches(&matches)
}

/// The command line. `bench` talks to no broker that `--addr` could name: its help does not show it.
fn command() -> clap::Command {
    let hidden = clap::Arg::new("addr").long("addr").global(true).hide(true);
    Arguments::command().mut_subcommand("bench", |bench| bench.arg(hidden))
}

/// `--addr` names the broker that a client talks to. Somebody who gives it to `serve` means `--listen`; to ignore it would start
/// a broker elsewhere than they think. The variable `ANTIPHON_ADDR` may stay set.
fn refuse_addr_of_a_broker(command: &mut clap::Command, matches: &ArgMatches) -> Result<(), Error> {
    match matches.subcommand() {
        Some(("serve", serve)) if serve.value_source("addr") == Some(ValueSource::CommandLine) => {
            Err(command.error(
                ErrorKind::ArgumentConflict,
                "--addr names the broker to talk to; `antiphon serve` listens on --listen IP:PORT",
            ))
        }
        Some(("bench", bench)) if is_addr_typed(bench) => Err(command.error(
            ErrorKind::ArgumentConflict,
            "--addr names the broker that a client talks to; `antiphon bench` starts one of its own, or measures the one at \
             --running IP:PORT",
        )),
        _ => Ok(()),
    }
}

/// Whether it stands on the command line: before `bench`, or behind its workload.
fn is_addr_typed(bench: &ArgMatches) -> bool {
    let workload = bench.subcommand().map(|(_, workload)| workload);
    [Some(bench), workload]
        .into_iter()
        .flatten()
        .any(|matches| matches.value_source("addr") == Some(ValueSource::CommandLine))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, Error> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn serve_and_bench_refuse_the_address_of_another_broker_instead_of_ignoring_it() {
        for line in [
            "antiphon serve --addr 127.0.0.1:1",
            "antiphon --addr 127.0.0.1:1 serve",
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains("--listen"), "{error}");
        }
        for line in [
            "antiphon bench pingpong --addr 127.0.0.1:1",
            "antiphon --addr 127.0.0.1:1 bench pingpong",
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains("--running"), "{error}");
        }
        assert!(parsed("antiphon bench pingpong --running 127.0.0.1:1").is_ok());
        let help = parsed("antiphon bench pingpong --help")
            .unwrap_err()
            .to_string();
        assert!(
            help.contains("--running") && !help.contains("--addr"),
            "{help}"
        );
        assert!(parsed("antiphon serve --listen 127.0.0.1:1").is_ok());
        assert!(parsed("antiphon ping --addr 127.0.0.1:1").is_ok());
    }
}
