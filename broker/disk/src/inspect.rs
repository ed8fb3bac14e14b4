//! Offline tools: what is in a data directory, without changing it.
//!
//! Nothing here writes or takes the lock, so it works while a broker runs, too. Results are plain values that
//! serialize; printing them is the caller's.
//!
//! | call | gives |
//! |---|---|
//! | [`Inspector::ls`] | one line per segment |
//! | [`Inspector::dump`] | every block and item, in the order of the files |
//! | [`Inspector::verify`] | whether everything is whole, and if not, what that means in rooms and seqs |

mod dump;
mod ls;
mod overlay;
mod place;
mod records;
mod rooms;
mod scan;
mod segment;
mod verify;

use std::io;
use std::path::{Path, PathBuf};

use antiphon_log::DirectoryFile;
use serde::Serialize;

pub use dump::{
    BlockDump, CursorDump, Dump, DumpOptions, Dumped, ErasedDump, ExpiredDump, ItemDump, RecordDump,
};
pub use ls::{SegmentInfo, SegmentState};
pub use place::Place;
pub use verify::{Finding, GroupReport, LogOutcome, RoomLoss, Verification};

use crate::directory::{OpenError, ShownPath, read_directory_file};

/// Reads one data directory.
#[derive(Debug)]
pub struct Inspector {
    path: PathBuf,
    directory: DirectoryFile,
}

/// What `antiphon.dir` says.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DirectoryInfo {
    /// Where it is.
    pub path: String,
    /// Drawn at random when it was made, in hex.
    pub directory_id: String,
    /// The node it belongs to.
    pub node: u32,
    /// Number of partitions.
    pub partitions: u32,
}

/// Why a directory cannot be inspected at all. Damage is no error: it is what the reports tell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// `antiphon.dir` is there but cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no `antiphon.dir`.
    #[error(
        "{path} is no data directory: it has no antiphon.dir; name the directory that `serve` was given"
    )]
    NotADirectory {
        /// The path given.
        path: ShownPath,
    },
    /// The system refused.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: ShownPath,
        /// The system's answer.
        source: io::Error,
    },
    /// The log refuses the directory as a whole.
    #[error("the log cannot be opened: {0}")]
    Log(#[from] antiphon_log::LogError),
}

impl Inspector {
    /// Reads `antiphon.dir` of the directory at `path`.
    ///
    /// # Errors
    /// `NotADirectory`, `Open` (another version, damage), `Io`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, InspectError> {
        let path = path.as_ref();
        let no_directory = || InspectError::NotADirectory {
            path: ShownPath(path.to_owned()),
        };
        let directory = read_directory_file(path)?.ok_or_else(no_directory)?;
        Ok(Inspector {
            path: path.to_owned(),
            directory,
        })
    }

    /// What `antiphon.dir` says.
    #[must_use]
    pub fn directory(&self) -> DirectoryInfo {
        DirectoryInfo {
            path: self.path.display().to_string(),
            directory_id: format!("{:032x}", self.directory.directory_id),
            node: self.directory.node.0,
            partitions: self.directory.partitions,
        }
    }
}

fn io_error(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> InspectError + use<> {
    let path = ShownPath(path.to_owned());
    move |source| InspectError::Io {
        operation,
        path,
        source,
    }
}
