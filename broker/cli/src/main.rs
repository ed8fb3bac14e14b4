//! The `antiphon` command: parses, dispatches, and ends with a code that scripts can rely on.
//!
//! One file a command in `commands`; what several of them need lies beside this file.

mod arguments;
mod chat_line;
mod commands;
mod connection;
mod failure;
mod interrupt;
mod limits;
mod offline;
mod output;
mod record_line;

use std::process::ExitCode;

use crate::arguments::{Arguments, Command};
use crate::connection::Target;
use crate::failure::{Exit, Failure};
use crate::output::Output;

// The allocator is the choice of the program, never of a library; without the feature it is the system's.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::of_this_process() {
        Ok(arguments) => arguments,
        Err(told) => return told,
    };
    let as_json = arguments.json;
    match run(arguments) {
        Ok(exit) => exit,
        Err(failure) => {
            failure.tell(as_json);
            ExitCode::from(failure.exit().number())
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let target = Target::new(arguments.addr);
    let mut output = Output::new(arguments.json);
    match arguments.command {
        // A broker ends for reasons of its own, with codes of its own.
        Command::Serve(serve) => return serve.run(&mut output),
        Command::Config(config) => config.run(&mut output)?,
        Command::Cluster(cluster) => cluster.run(&mut output)?,
        Command::Pub(publish) => publish.run(&target, &mut output)?,
        Command::Chat(chat) => chat.run(&target, &mut output)?,
        Command::Sub(subscribe) => subscribe.run(&target, &mut output)?,
        Command::Redact(redact) => redact.run(&target, &mut output)?,
        Command::History(history) => history.run(&target, &mut output)?,
        Command::Cursor(cursor) => cursor.run(&target, &mut output)?,
        Command::Ping(ping) => ping.run(&target, &mut output)?,
        Command::Status(status) => status.run(&mut output)?,
        Command::Replay(replay) => replay.run(&target, &mut output)?,
        Command::Export(export) => export.run(&target, &mut output)?,
        Command::Log(log) => log.run(&mut output)?,
        Command::Bench(bench) => bench.run(&mut output)?,
        Command::Completions(completions) => completions.run(&mut output)?,
    }
    output.flush()?;
    Ok(ExitCode::from(Exit::Done.number()))
}
