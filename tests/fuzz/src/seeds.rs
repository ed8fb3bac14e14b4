//! First inputs, made by the code that writes what the targets read.

mod checkpoint;
mod config;
mod frames;
mod segments;
mod session;
mod transcript;

/// The seeds of a target: a name and an input.
#[must_use]
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "checkpoint" => checkpoint::seeds(),
        "config" => config::seeds(),
        "frames" => frames::seeds(),
        "segments" => segments::seeds(),
        "session" => session::seeds(),
        "transcript" => transcript::seeds(),
        _ => Vec::new(),
    }
}
