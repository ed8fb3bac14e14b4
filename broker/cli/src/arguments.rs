//! The command line: what may be said, and what it means.

use clap::{Parser, Subcommand};

use crate::commands;

/// What `--help` ends with. The numbers are those of [`crate::failure::Exit`] and of `antiphon_server::exit`.
const EXIT_CODES: &str = "\
Data goes to stdout, everything else to stderr.

Exit codes:
    0  done (also: the reader of our output closed the pipe)
    1  failed
    2  wrong usage or configuration; nothing was done
    3  no broker answered
    4  the broker refused
    5  log verify found damage
   70  serve: a bug ended the broker        74  serve: writing the log failed
  130  ended by Ctrl-C";

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
    /// Publish a message, or each line of stdin as one.
    Pub(commands::publish::Publish),
    /// Follow a room: print each record as it comes.
    Sub(commands::subscribe::Subscribe),
    /// Print a room's last records.
    History(commands::history::History),
    /// See whether a broker answers, and how fast.
    Ping(commands::ping::Ping),
    /// Publish a chat file (NDJSON: at, room, user, text), exactly once however often it is interrupted or repeated.
    Replay(commands::replay::Replay),
    /// Print rooms as a chat file that `replay` reads.
    Export(commands::export::Export),
    /// Look into a data directory without a broker; nothing is changed.
    Log(commands::log::Log),
    /// Print a completion script for a shell.
    Completions(commands::completions::Completions),
}
