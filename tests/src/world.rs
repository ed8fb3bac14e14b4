//! A broker of one's own in a folder of one's own, and the command to talk to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::broker::{BrokerProcess, SMALL};
use crate::command::{Antiphon, Ran};

/// A broker on a free port; it and its folder go with the value.
///
/// Made for tests: what cannot be is a panic that says what was met.
#[derive(Debug)]
pub struct World {
    broker: BrokerProcess,
    /// The command, talking to this broker.
    pub antiphon: Antiphon,
    folder: TempDir,
}

impl World {
    /// Starts a broker of this binary.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn new(binary: impl AsRef<Path>) -> Self {
        let binary = binary.as_ref();
        let folder = tempfile::tempdir().expect("a folder for temporary files exists");
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let broker = BrokerProcess::start(binary, &folder.path().join("data"), anywhere, &SMALL);
        let broker = broker.unwrap_or_else(|error| panic!("{error}"));
        let antiphon = Antiphon::new(binary, broker.address());
        Self {
            broker,
            antiphon,
            folder,
        }
    }

    /// A file in the world's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The broker's data directory.
    pub fn data(&self) -> String {
        self.path("data").display().to_string()
    }

    /// Runs the command and expects success; gives what it printed.
    ///
    /// # Panics
    /// It ends otherwise.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.ran(args);
        assert_eq!(
            ran.code,
            Some(0),
            "{args:?}: {ran:?}\n{}",
            self.broker.log_end()
        );
        ran.stdout
    }

    /// Runs the command.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn ran(&self, args: &[&str]) -> Ran {
        self.antiphon
            .run(args)
            .unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    /// Ends the broker with SIGTERM; the folder stays until the value given back goes.
    ///
    /// # Panics
    /// It does not end with code 0.
    pub fn stop(self) -> TempDir {
        let status = self.broker.stop().unwrap_or_else(|error| panic!("{error}"));
        assert!(status.success(), "{status}");
        self.folder
    }
}
