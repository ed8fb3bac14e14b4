//! Redis: pub/sub for what is not kept, streams for what is.

mod pubsub;
mod resp;
mod streams;

use std::process::Command;

pub use self::pubsub::{PubSub, PubSubWire};
pub use self::streams::{AppendFsync, Streams, StreamsWire};
use super::install::Program;
use crate::error::StartError;
use crate::port::Ports;
use crate::server::{Place, Process, Server};

/// Settings that all of our uses share, as they stand in redis.conf 7.0
/// (<https://raw.githubusercontent.com/redis/redis/7.0/redis.conf>).
const SETTINGS: [(&str, &str); 8] = [
    ("bind", "127.0.0.1"),
    // The generator also comes from other addresses of 127.0.0.0/8, which this mode takes for strangers.
    ("protected-mode", "no"),
    // No snapshots in the background: they would fork in the middle of a run.
    ("save", ""),
    // "force the clients to disconnect" is switched off, so that a burst to many subscribers is not cut.
    ("client-output-buffer-limit", "pubsub 0 0 0"),
    ("maxclients", "20000"),
    ("tcp-backlog", "511"),
    // "I/O threads are disabled by default ... at least 4 cores": it has one here.
    ("io-threads", "1"),
    // One thing less to do per command.
    ("latency-tracking", "no"),
];

/// Settings in words, for the result.
fn in_words(own: &[(&str, &str)]) -> Vec<String> {
    SETTINGS
        .iter()
        .chain(own)
        .map(|(key, value)| format!("{key} = {value}"))
        .collect()
}

fn start(own: &[(&str, &str)], place: &Place) -> Result<Server, StartError> {
    let directory = tempfile::Builder::new()
        .prefix("redis-bench-")
        .tempdir_in(&place.parent)?;
    let mut ports = Ports::default();
    let address = ports.take()?;
    let mut command = Command::new(Program::Redis.path());
    command
        .arg("--port")
        .arg(address.port().to_string())
        .arg("--dir")
        .arg(directory.path());
    for (key, value) in SETTINGS.iter().chain(own) {
        command.arg(format!("--{key}"));
        if value.is_empty() {
            command.arg("");
        }
        command.args(value.split_whitespace());
    }
    let mut process = Process::spawn(
        &command,
        "redis",
        Program::Redis.advice(),
        directory.path(),
        place,
    )?;
    process.wait_listening(address)?;
    Ok(Server {
        addresses: vec![address],
        processes: vec![process],
        ports,
        directory,
    })
}
