//! Reads a room, and goes on where it was when it is started again: `cargo run -p antiphon-client --example resume -- FILE`.
//!
//! A position is a seq and a link: the link is a sum over everything up to there, so the broker and the SDK notice if the room
//! is not the one that was read before. Arguments: the file that keeps the position, then the broker's address (127.0.0.1:7411).

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_client::{Client, ClientError, ClientOptions, Delivery, Position, Start};

/// How long the room may be quiet before the program ends.
const QUIET: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = PathBuf::from(arguments.next().ok_or("usage: resume FILE [ADDRESS]")?);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7411".into());
    run(&file, &address, &mut std::io::stdout())
}

pub(crate) fn run(file: &Path, address: &str, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let client = Client::connect(ClientOptions::new(address).user("bob"))?;

    let start = match stored(file)? {
        Some(position) => Start::After(position),
        None => Start::Beginning,
    };
    let mut lobby = match client.subscribe("lobby", start) {
        // The broker's history is another one: nobody but the user can say what that means.
        Err(ClientError::Diverged { head }) => {
            return Err(format!(
                "the room is not the one that was read before; its head is {head}"
            )
            .into());
        }
        opened => opened?,
    };
    while let Some(delivery) = lobby.next_timeout(QUIET)? {
        match &delivery {
            Delivery::Record(record) => writeln!(out, "{} {}", record.seq, record.text())?,
            Delivery::Gap(gap) => {
                writeln!(out, "{} to {} are gone: {}", gap.from, gap.to, gap.reason)?
            }
            _ => {}
        }
        // Behind the work, so that what was not done is read again.
        store(file, lobby.position())?;
    }
    Ok(())
}

fn stored(file: &Path) -> Result<Option<Position>, Box<dyn Error>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().parse()?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the file as a whole: a crash leaves the old position or the new one.
fn store(file: &Path, position: Position) -> Result<(), Box<dyn Error>> {
    let new = file.with_extension("new");
    fs::write(&new, position.to_string())?;
    fs::rename(new, file)?;
    Ok(())
}
