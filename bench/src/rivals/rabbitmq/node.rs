//! The processes of RabbitMQ: its own epmd, and the node. Both go by their numbers.

use std::fs;
use std::process::Command;

use super::super::install::Program;
use crate::error::StartError;
use crate::port::Ports;
use crate::server::{Place, Process, Server, find};

/// As in rabbitmq.conf, see <https://www.rabbitmq.com/docs/configure>.
const SETTINGS: [(&str, &str); 6] = [
    ("tcp_listen_options.nodelay", "true"),
    ("tcp_listen_options.backlog", "4096"),
    // "for maximum throughput": statistics seldom, and no management plugin.
    ("collect_statistics_interval", "60000"),
    ("vm_memory_high_watermark.relative", "0.8"),
    ("disk_free_limit.absolute", "50MB"),
    ("log.file.level", "error"),
];

/// Settings in words, for the result.
pub(super) fn in_words() -> Vec<String> {
    let settings = SETTINGS.iter();
    settings
        .map(|(key, value)| format!("{key} = {value}"))
        .collect()
}

/// Whether classic queues of the installed server sync before they confirm. Their version 1, which is the default before 3.12, does
/// (seen in system calls); version 2 writes only.
pub(super) fn classic_syncs() -> bool {
    let version = Program::RabbitMq.version();
    version.is_some_and(|version| is_before_3_12(&version))
}

fn is_before_3_12(version: &str) -> bool {
    let mut numbers = version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) < (3, 12),
        _ => false,
    }
}

/// Starts one node on loopback, with everything that it writes in a private directory.
pub(super) fn start(place: &Place) -> Result<Server, StartError> {
    let directory = tempfile::Builder::new()
        .prefix("rabbitmq-bench-")
        .tempdir_in(&place.parent)?;
    let home = directory.path();
    let mut ports = Ports::default();
    let (clients, distribution, names) = (ports.take()?, ports.take()?, ports.take()?);
    let program = Program::RabbitMq.path();
    if find(&program).is_none() {
        return Err(StartError::Missing {
            program: Program::RabbitMq.name().to_owned(),
            advice: Program::RabbitMq.advice().to_owned(),
        });
    }
    // Left to itself it starts one that outlives it.
    let mut epmd = Command::new("epmd");
    epmd.args(["-address", "127.0.0.1", "-port"])
        .arg(names.port().to_string());
    let mut epmd = Process::spawn(&epmd, "epmd", Program::RabbitMq.advice(), home, place)?;
    epmd.wait_listening(names)?;

    fs::write(home.join("empty"), "")?;
    fs::write(home.join("plugins"), "[].\n")?;
    let text: String = in_words().iter().map(|line| format!("{line}\n")).collect();
    fs::write(home.join("rabbitmq.conf"), text)?;
    let mut command = Command::new(program);
    command
        .env("HOME", home)
        // Otherwise where we are.
        .env("ERL_CRASH_DUMP", home.join("erl_crash.dump"))
        .env("ERL_EPMD_PORT", names.port().to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env(
            "RABBITMQ_NODENAME",
            format!("bench-{}@localhost", clients.port()),
        )
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", clients.port().to_string())
        .env("RABBITMQ_DIST_PORT", distribution.port().to_string())
        .env("RABBITMQ_CONF_ENV_FILE", home.join("empty"))
        .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
        .env("RABBITMQ_MNESIA_BASE", home.join("data"))
        .env("RABBITMQ_LOG_BASE", home.join("log"))
        .env("RABBITMQ_PID_FILE", home.join("pid"))
        // With this the script becomes the node instead of watching over it, and the process number is the node's.
        .env("RABBITMQ_ALLOW_INPUT", "true")
        .env("RABBITMQ_SERVER_START_ARGS", "-noinput")
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1}",
        );
    let mut node = Process::spawn(
        &command,
        "rabbitmq",
        Program::RabbitMq.advice(),
        home,
        place,
    )?;
    node.wait_listening(clients)?;
    Ok(Server {
        addresses: vec![clients],
        processes: vec![node, epmd],
        ports,
        directory,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_numbers() {
        let told = ["3.10.8", "3.9.27", "3.12.0", "4.0.5", "of unknown version"];
        let before = told.map(is_before_3_12);
        assert_eq!(before, [true, true, false, false, false]);
    }
}
