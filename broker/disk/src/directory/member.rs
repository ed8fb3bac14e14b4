//! The directory of a member of a cluster: `antiphon.cluster`, and what keeps a node from being mistaken for another one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use antiphon_log::{CLUSTER_FILE_NAME, ClusterFile, ClusterMember, DirectoryFile};
use antiphon_protocol::NodeId;

use crate::directory::{NewDirectory, OpenError, shown, write_aside};

/// The cluster that a directory is to belong to, as the configuration has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewCluster {
    /// Drawn when the cluster was made; not 0.
    pub cluster: u128,
    /// All its nodes, this one among them, ascending.
    pub nodes: Vec<NodeId>,
}

/// What a member's directory turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meeting {
    /// That which it was met with before, or the first one: written down and synced.
    Known,
    /// Another one: what that node had acked and voted may be gone.
    Other {
        /// The directory that it was met with before.
        before: u128,
    },
    /// It is no member.
    Stranger,
}

/// The open `antiphon.cluster` of a data directory.
#[derive(Debug)]
pub struct ClusterBook {
    path: PathBuf,
    file: ClusterFile,
}

impl ClusterBook {
    /// What is in it.
    #[must_use]
    pub fn file(&self) -> &ClusterFile {
        &self.file
    }

    /// Member `node` says that its directory is `directory`. When this returns [`Meeting::Known`] it is durable.
    ///
    /// # Errors
    /// [`OpenError::Io`]: the first meeting could not be written down, so nothing may be taken from that node.
    pub fn meet(&mut self, node: NodeId, directory: u128) -> Result<Meeting, OpenError> {
        let members = &self.file.members;
        let Some(place) = members.iter().position(|member| member.node == node) else {
            return Ok(Meeting::Stranger);
        };
        match members[place].directory {
            before if before == directory => Ok(Meeting::Known),
            0 => {
                let mut file = self.file.clone();
                file.members[place].directory = directory;
                write_aside(&self.path, CLUSTER_FILE_NAME, &file.encode())?;
                self.file = file;
                Ok(Meeting::Known)
            }
            before => Ok(Meeting::Other { before }),
        }
    }
}

/// Writes the first `antiphon.cluster`, before there is an `antiphon.dir` that asks for it.
pub(super) fn create_book(
    path: &Path,
    directory_id: u128,
    new: NewDirectory,
    cluster: &NewCluster,
) -> Result<(), OpenError> {
    let members = cluster.nodes.iter().map(|node| ClusterMember {
        node: *node,
        directory: if *node == new.node { directory_id } else { 0 },
    });
    let file = ClusterFile {
        directory_id,
        cluster: cluster.cluster,
        members: members.collect(),
    };
    write_aside(path, CLUSTER_FILE_NAME, &file.encode())
}

/// Reads `antiphon.cluster`, and refuses what is not the directory of a member of `wanted`. `None`: a node alone, on its own directory.
pub(super) fn open_book(
    path: &Path,
    directory: &DirectoryFile,
    wanted: Option<&NewCluster>,
) -> Result<Option<ClusterBook>, OpenError> {
    let (found, wanted) = match (directory.cluster, wanted) {
        (None, None) => return Ok(None),
        (Some(cluster), None) => {
            return Err(OpenError::Member {
                path: shown(path),
                cluster,
            });
        }
        (None, Some(_)) => return Err(OpenError::NotMember { path: shown(path) }),
        (Some(found), Some(wanted)) => (found, wanted),
    };
    if found != wanted.cluster {
        return Err(OpenError::OtherCluster {
            path: shown(path),
            found,
            expected: wanted.cluster,
        });
    }
    let file = read_book(path)?;
    if file.directory_id != directory.directory_id || file.cluster != found {
        return Err(OpenError::OtherBook { path: shown(path) });
    }
    let nodes: Vec<NodeId> = file.members.iter().map(|member| member.node).collect();
    if nodes != wanted.nodes {
        return Err(OpenError::OtherMembers {
            path: shown(path),
            found: nodes,
            expected: wanted.nodes.clone(),
        });
    }
    Ok(Some(ClusterBook {
        path: path.to_owned(),
        file,
    }))
}

fn read_book(path: &Path) -> Result<ClusterFile, OpenError> {
    let name = path.join(CLUSTER_FILE_NAME);
    let bytes = fs::read(&name).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => OpenError::OtherBook { path: shown(path) },
        _ => OpenError::Io {
            operation: "read",
            path: shown(&name),
            source,
        },
    })?;
    ClusterFile::decode(&bytes).map_err(|source| OpenError::DamagedBook {
        path: shown(path),
        source,
    })
}
