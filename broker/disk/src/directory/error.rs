//! Why a data directory cannot be opened, and what to do about it.

use std::io;
use std::path::PathBuf;

use antiphon_log::DirectoryFileError;
use antiphon_protocol::NodeId;

/// Why a data directory cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("{path} is in use by {} (it holds {path}/LOCK): stop it first, or choose another directory",
        holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    Locked {
        /// The data directory.
        path: ShownPath,
        /// Its process id, if the lock file tells.
        holder: Option<u32>,
    },
    /// Its formats are those of another version.
    #[error(
        "{path} has format version {found}, this program reads version {expected}: open it with the program that made it"
    )]
    Version {
        /// The data directory.
        path: ShownPath,
        /// The version found.
        found: u32,
        /// The version of this program.
        expected: u32,
    },
    /// It belongs to another node.
    #[error(
        "{path} belongs to node {found}, not to node {expected}: start with that node id, or choose another directory"
    )]
    OtherNode {
        /// The data directory.
        path: ShownPath,
        /// Its node.
        found: NodeId,
        /// The node that wants to open it.
        expected: NodeId,
    },
    /// `antiphon.dir` is unreadable.
    #[error(
        "{path}/antiphon.dir: {source}; restore it from a backup (the rest of the directory was not touched)"
    )]
    Damaged {
        /// The data directory.
        path: ShownPath,
        /// What is wrong with it.
        source: DirectoryFileError,
    },
    /// There are log files but no `antiphon.dir`.
    #[error(
        "{path} has files in {folder}/ but no antiphon.dir: restore that file, or choose an empty directory (nothing was touched)"
    )]
    Orphaned {
        /// The data directory.
        path: ShownPath,
        /// The folder that is not empty.
        folder: &'static str,
    },
    /// The system refused an operation.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: ShownPath,
        /// The system's answer.
        source: io::Error,
    },
}

/// A path that shows itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownPath(pub PathBuf);

impl std::fmt::Display for ShownPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}
