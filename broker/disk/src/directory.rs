//! Data directory: opened by one process at a time, and only if this program understands it.
//!
//! ```text
//!  antiphon.dir    what the directory is, written once          LOCK         held while a broker runs
//!  log/            segments                                     checkpoint/  two generations per partition
//!  bad-pages       read errors under a map, if there were any
//!  antiphon.cluster    only of a member of a cluster: who the others are
//! ```

mod error;
mod lock;
mod member;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use antiphon_log::{
    CHECKPOINT_FOLDER, DIRECTORY_FILE_NAME, DirectoryFile, DirectoryFileError, LOG_FOLDER,
};
use antiphon_protocol::NodeId;

pub use error::{OpenError, ShownPath};
pub use member::{ClusterBook, Meeting, NewCluster};

use crate::bad_pages::{BAD_PAGES_NAME, BadPages};
use crate::directory::lock::lock;
use crate::directory::member::{create_book, open_book};
use crate::file::FileDisk;
use crate::map::watch_reads;
use crate::maps::SegmentMaps;

/// Folders of a data directory.
const FOLDERS: [&str; 2] = [LOG_FOLDER, CHECKPOINT_FOLDER];

/// What a directory becomes if it is new. An existing one keeps what its `antiphon.dir` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NewDirectory {
    /// The node it belongs to; an existing directory of another node is refused.
    pub node: NodeId,
    /// Number of partitions, >= 1, for ever.
    pub partitions: u32,
}

/// An open, locked data directory. The lock goes with the value, or with the process, however it ends.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    file: DirectoryFile,
    was_created: bool,
    bad_pages: BadPages,
    book: Option<ClusterBook>,
    /// Held, never read.
    _lock: File,
}

impl DataDirectory {
    /// Opens the directory of a node alone at `path` and locks it; makes it if it is missing or holds no data yet.
    ///
    /// # Errors
    /// See [`OpenError`]. Whatever the error, an existing directory is left as it was.
    pub fn open(path: impl AsRef<Path>, new: NewDirectory) -> Result<Self, OpenError> {
        Self::open_as(path.as_ref(), new, None)
    }

    /// The same for a member of a cluster. One that a node alone made is taken as new as long as nothing was ever logged in it.
    ///
    /// # Errors
    /// As [`DataDirectory::open`].
    pub fn open_member(
        path: impl AsRef<Path>,
        new: NewDirectory,
        cluster: &NewCluster,
    ) -> Result<Self, OpenError> {
        Self::open_as(path.as_ref(), new, Some(cluster))
    }

    fn open_as(
        path: &Path,
        new: NewDirectory,
        cluster: Option<&NewCluster>,
    ) -> Result<Self, OpenError> {
        make_folder(path)?;
        let lock = lock(path)?;
        let existing = match read_directory_file(path)? {
            Some(file) if file.cluster.is_none() && cluster.is_some() && is_unused(path)? => None,
            existing => existing,
        };
        let was_created = existing.is_none();
        let file = match existing {
            Some(file) => file,
            None => create(path, new, cluster)?,
        };
        if file.node != new.node {
            return Err(OpenError::OtherNode {
                path: shown(path),
                found: file.node,
                expected: new.node,
            });
        }
        let book = open_book(path, &file, cluster)?;
        for folder in FOLDERS {
            make_folder(&path.join(folder))?;
        }
        let bad_pages = BadPages::open(path).map_err(|source| {
            let path = shown(&path.join(BAD_PAGES_NAME));
            OpenError::Io {
                operation: "open",
                path,
                source,
            }
        })?;
        watch_reads().map_err(|source| {
            let operation = "install the handler of read errors for";
            OpenError::Io {
                operation,
                path: shown(path),
                source,
            }
        })?;
        Ok(DataDirectory {
            path: path.to_owned(),
            file,
            was_created,
            bad_pages,
            book,
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    #[must_use]
    pub fn file(&self) -> DirectoryFile {
        self.file
    }

    /// What a member knows of its cluster, once; nobody else may write it.
    pub fn take_book(&mut self) -> Option<ClusterBook> {
        self.book.take()
    }

    /// Its files, for the log. The directory must stay open as long as they are used.
    #[must_use]
    pub fn disk(&self) -> FileDisk {
        FileDisk::new(&self.path, self.bad_pages.clone())
    }

    /// Its segments, for reader threads: at most `maps_max` mapped ones are kept.
    #[must_use]
    pub fn maps(&self, maps_max: usize) -> SegmentMaps {
        let directory_id = self.file.directory_id;
        SegmentMaps::new(
            self.path.clone(),
            directory_id,
            self.bad_pages.clone(),
            maps_max,
        )
    }

    /// Pages that the device could not read, in this life or an earlier one. Worth a warning at each start.
    #[must_use]
    pub fn bad_pages(&self) -> &BadPages {
        &self.bad_pages
    }

    /// Whether [`open`](DataDirectory::open) made it.
    #[must_use]
    pub fn was_created(&self) -> bool {
        self.was_created
    }
}

/// Reads `antiphon.dir`; `None` if the directory is new.
pub(crate) fn read_directory_file(path: &Path) -> Result<Option<DirectoryFile>, OpenError> {
    let name = path.join(DIRECTORY_FILE_NAME);
    let bytes = match fs::read(&name) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(OpenError::Io {
                operation: "read",
                path: shown(&name),
                source,
            });
        }
    };
    match DirectoryFile::decode(&bytes) {
        Ok(file) => Ok(Some(file)),
        Err(DirectoryFileError::Version { found }) => Err(OpenError::Version {
            path: shown(path),
            found,
            expected: antiphon_log::DIRECTORY_VERSION_MEMBER,
        }),
        Err(source) => Err(OpenError::Damaged {
            path: shown(path),
            source,
        }),
    }
}

fn create(
    path: &Path,
    new: NewDirectory,
    cluster: Option<&NewCluster>,
) -> Result<DirectoryFile, OpenError> {
    for folder in FOLDERS {
        refuse_orphans(path, folder)?;
    }
    let directory_id = random_id(path)?;
    let file = DirectoryFile {
        directory_id,
        node: new.node,
        partitions: new.partitions,
        cluster: cluster.map(|cluster| cluster.cluster),
    };
    if let Some(cluster) = cluster {
        create_book(path, directory_id, new, cluster)?;
    }
    write_aside(path, DIRECTORY_FILE_NAME, &file.encode())?;
    Ok(file)
}

/// Whether nothing was ever logged here.
fn is_unused(path: &Path) -> Result<bool, OpenError> {
    let orphans = FOLDERS.map(|folder| refuse_orphans(path, folder));
    for found in orphans {
        match found {
            Ok(()) => {}
            Err(OpenError::Orphaned { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// A directory whose `antiphon.dir` was lost is not a new one: its data must not be mixed with a new log.
fn refuse_orphans(path: &Path, folder: &'static str) -> Result<(), OpenError> {
    let inside = path.join(folder);
    match fs::read_dir(&inside) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(OpenError::Orphaned {
                path: shown(path),
                folder,
            }),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(OpenError::Io {
            operation: "list",
            path: shown(&inside),
            source,
        }),
    }
}

fn random_id(path: &Path) -> Result<u128, OpenError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| OpenError::Io {
        operation: "draw a random id for",
        path: shown(path),
        source: io::Error::other(error),
    })?;
    Ok(u128::from_le_bytes(bytes))
}

/// Writes a file aside, syncs it, renames it and syncs the directory: it exists whole, as before, or not at all.
fn write_aside(path: &Path, name: &str, bytes: &[u8]) -> Result<(), OpenError> {
    let aside = path.join(format!("{name}.tmp"));
    let name = path.join(name);
    let io_error = |operation, path: &Path| {
        let path = shown(path);
        move |source| OpenError::Io {
            operation,
            path,
            source,
        }
    };
    let mut file = File::create(&aside).map_err(io_error("create", &aside))?;
    file.write_all(bytes).map_err(io_error("write", &aside))?;
    file.sync_all().map_err(io_error("sync", &aside))?;
    fs::rename(&aside, &name).map_err(io_error("rename", &aside))?;
    sync_folder(path)
}

/// Makes `path` a folder, and its name durable, if it is not there.
fn make_folder(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Ok(());
    }
    let io_error = |source| OpenError::Io {
        operation: "create",
        path: shown(path),
        source,
    };
    fs::create_dir_all(path).map_err(io_error)?;
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|source| OpenError::Io {
        operation: "sync",
        path: shown(path),
        source,
    })
}

fn shown(path: &Path) -> ShownPath {
    ShownPath(path.to_owned())
}
