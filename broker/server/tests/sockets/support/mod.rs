//! A broker in this process, and a client that speaks the protocol over a plain socket.

mod client;

use std::net::SocketAddr;
use std::path::Path;

use antiphon_server::{Config, Node};
use tempfile::TempDir;

pub(crate) use client::{BEGINNING, Client, Frame, PATIENCE};

/// A node on a free port with a data directory of its own.
pub(crate) struct Broker {
    node: Node,
    directory: TempDir,
}

/// The settings of tests: a free port, small segments, two cores whatever the machine has.
pub(crate) fn config(directory: &Path, more: &[(&str, &str)]) -> Config {
    let path = directory.display().to_string();
    let base = [
        ("listen.address", "127.0.0.1:0"),
        ("data.directory", path.as_str()),
        ("data.segment_bytes", "4MiB"),
        ("data.partitions", "4"),
        ("threads.cores", "2"),
        ("shutdown.drain", "5s"),
    ];
    let settings: Vec<(String, String)> = base
        .iter()
        .chain(more)
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    Config::load(&settings, [], None).expect("settings of a test are valid")
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(more: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary directory"), more)
    }

    pub(crate) fn start_in(directory: TempDir, more: &[(&str, &str)]) -> Self {
        let node = Node::start(config(directory.path(), more)).expect("a node starts");
        Self { node, directory }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.node.address()
    }

    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.node.admin_address()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        Client::welcomed(self.address(), user)
    }

    /// Ends as a killed process does; the data stays.
    pub(crate) fn kill(self) -> TempDir {
        let Self { node, directory } = self;
        node.kill();
        directory
    }

    /// Stops gracefully; the data stays.
    pub(crate) fn stop(self) -> TempDir {
        let Self { node, directory } = self;
        node.stop().expect("a graceful stop");
        directory
    }
}

/// Raises the descriptor limit as far as allowed and says what it is.
pub(crate) fn raise_descriptors() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).expect("a limit")
}
