//! Why a data directory cannot be opened, and what to do about it.

use std::io;
use std::path::PathBuf;

use antiphon_log::{ClusterFileError, DirectoryFileError};
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
        "{path} has format version {found}, this program reads versions up to {expected}: open it with the program that made it"
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
    /// It belongs to a cluster, and is to be opened by a node alone.
    #[error(
        "{path} belongs to cluster {cluster:032x}: start with that cluster's settings (cluster.id, cluster.members), or choose another directory"
    )]
    Member {
        /// The data directory.
        path: ShownPath,
        /// Its cluster.
        cluster: u128,
    },
    /// It is that of a node alone and has a log, and is to be opened by a member of a cluster.
    #[error(
        "{path} is that of a node alone and has a log, which no cluster takes over: choose an empty directory, or start without the cluster.* \
         settings (`antiphon export` and `antiphon replay` carry rooms over)"
    )]
    NotMember {
        /// The data directory.
        path: ShownPath,
    },
    /// It belongs to another cluster.
    #[error(
        "{path} belongs to cluster {found:032x}, not to {expected:032x}: correct cluster.id, or choose another directory"
    )]
    OtherCluster {
        /// The data directory.
        path: ShownPath,
        /// Its cluster.
        found: u128,
        /// The cluster that wants to open it.
        expected: u128,
    },
    /// The members are others.
    #[error(
        "{path} belongs to a cluster of the nodes {found:?}, and cluster.members has {expected:?}: members cannot be changed yet, correct the setting"
    )]
    OtherMembers {
        /// The data directory.
        path: ShownPath,
        /// The members it knows.
        found: Vec<NodeId>,
        /// Those of the configuration.
        expected: Vec<NodeId>,
    },
    /// `antiphon.cluster` is unreadable.
    #[error(
        "{path}/antiphon.cluster: {source}; without it nobody knows which disks the others had. Restore it from a backup (nothing was touched)"
    )]
    DamagedBook {
        /// The data directory.
        path: ShownPath,
        /// What is wrong with it.
        source: ClusterFileError,
    },
    /// `antiphon.cluster` is missing, or belongs to another directory.
    #[error(
        "{path}/antiphon.cluster is missing or that of another directory: restore it from a backup (nothing was touched)"
    )]
    OtherBook {
        /// The data directory.
        path: ShownPath,
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
