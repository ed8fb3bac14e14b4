//! Why a node did not start, and why one ended.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use antiphon_disk::OpenError;

use crate::config::Conflict;
use crate::limits::DESCRIPTORS_MIN;

/// Why a node did not start. Nothing runs, nothing is locked. The display says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Settings that do not go together.
    #[error("{0}")]
    Config(#[from] Conflict),
    /// Somebody listens there already.
    #[error(
        "the address {address} is in use by another process. Stop that one (`ss -ltnp` names it), or choose another \
         address with listen.address; port 0 takes any free one"
    )]
    AddressInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on for another reason.
    #[error(
        "cannot listen on {address}: {source}. Is it an address of this machine, and may this user use the port?"
    )]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory is locked by another process, has another format, or cannot be read.
    #[error(transparent)]
    Directory(#[from] OpenError),
    /// The log cannot be opened.
    #[error(
        "the log in {} cannot be opened: {told}. Nothing was changed. `antiphon log verify {}` shows what is readable", 
        directory.display(), directory.display()
    )]
    Log {
        /// The data directory.
        directory: PathBuf,
        /// What is wrong.
        told: String,
    },
    /// The process may open hardly more files than it needs for itself.
    #[error(
        "the process may have only {descriptors} files and sockets open, and needs {DESCRIPTORS_MIN}. Raise the limit before the \
         start: `ulimit -n 65536`, or LimitNOFILE= of a systemd unit"
    )]
    Descriptors {
        /// The limit, raised as far as this user may.
        descriptors: u64,
    },
    /// The system refused a thread, a poller, or random bytes.
    #[error("the system refused {what}: {source}. Is a limit of this user reached (`ulimit -a`)?")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a node that ran ended otherwise than by being asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Writing or syncing the log failed. What was not acked may be lost; what was acked is as safe as the disk.
    #[error(
        "the log failed and this is final for the process: {told}. Nothing was acked after it. Look at the disk and its \
         space (`dmesg`, `df`), then start again: the log is verified from the disk on the next start"
    )]
    Storage {
        /// What failed.
        told: String,
    },
}

impl RunError {
    /// The exit code of a process that ends for this reason; see [`crate::exit`].
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Start(StartError::Config(_)) => crate::exit::CONFIG,
            Self::Start(_) => crate::exit::FAILED,
            Self::Storage { .. } => crate::exit::STORAGE,
        }
    }
}
