//! Why a run did not come about, or ended early.

use std::io;
use std::path::PathBuf;

/// A system under test did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its program is not there.
    #[error("{program} is not installed; {advice}")]
    Missing {
        /** What was looked for on PATH. */
        program: String,
        /** How to get it. */
        advice: String,
    },
    /// It ended, or did not take connections in time.
    #[error("{program} did not become ready: {reason}; its log: {log}")]
    NotReady {
        /** Which. */
        program: String,
        /** What happened instead. */
        reason: String,
        /** The end of what it said. */
        log: String,
    },
    /// It refused a room, a stream or a queue.
    #[error("{program} refused to prepare: {reason}")]
    Refused {
        /** Which. */
        program: String,
        /** What it said. */
        reason: String,
    },
    /// The machine said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The system under test has no such thing; the workload does not apply to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it has no {0}")]
pub struct Unsupported(pub &'static str);

/// A connection said something that ends the run.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WireError {
    /// Bytes that are no frame.
    #[error("unlawful bytes: {0}")]
    Malformed(String),
    /// The system closes the connection, and says why.
    #[error("the server ended the connection: {0}")]
    Closed(String),
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The system under test did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The workload does not apply to it.
    #[error("{target}: {what}")]
    Unsupported {
        /** Which system. */
        target: String,
        /** What it lacks. */
        what: Unsupported,
    },
    /// A connection broke.
    #[error("connection {connection}: {error}")]
    Wire {
        /** Its number. */
        connection: u32,
        /** What it said. */
        error: WireError,
    },
    /// A connection was closed, or a socket call failed.
    #[error("connection {connection}: {error}")]
    Socket {
        /** Its number. */
        connection: u32,
        /** What the kernel said. */
        error: io::Error,
    },
    /// Something that was waited for did not come.
    #[error("waited {seconds} s for {what}: {have} of {want}")]
    Stalled {
        /** What. */
        what: &'static str,
        /** How many came. */
        have: u64,
        /** How many were due. */
        want: u64,
        /** How long. */
        seconds: u64,
    },
    /// Somebody pressed Ctrl-C.
    #[error("cancelled")]
    Cancelled,
    /// The options contradict each other, or ask for more than there is.
    #[error("{0}")]
    Usage(String),
    /// A file of ours cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /** Which. */
        path: PathBuf,
        /** Why. */
        error: io::Error,
    },
    /// The machine said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}
