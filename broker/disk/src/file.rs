//! The log's disk over real files: positioned writes, fdatasync, rename, folder sync.
//!
//! Nothing here retries a failed write or sync: after one the kernel may answer success with the data gone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use antiphon_log::{Disk, DiskError, DiskErrorKind, DiskOp, parse_segment_name};
use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate, statvfs};
use rustix::io::Errno;

use crate::bad_pages::{BadPages, PAGE_BYTES};
use crate::failure::{DiskFailure, kind};

/// Files of one data directory. Clones share everything; another thread may make segments with one.
#[derive(Clone, Debug)]
pub struct FileDisk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    bad_pages: BadPages,
    /// The newest failure, for the message of whoever ends the process because of it.
    failure: Mutex<Option<DiskFailure>>,
}

/// An open file that knows its name.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    name: String,
}

impl FileDisk {
    /// The files below `root`. Pages of segments that cannot be read are noted in `bad_pages`.
    pub(crate) fn new(root: &Path, bad_pages: BadPages) -> Self {
        let shared = Shared {
            root: root.to_owned(),
            bad_pages,
            failure: Mutex::new(None),
        };
        FileDisk {
            shared: Arc::new(shared),
        }
    }

    /// The newest failed call, with operation, name and the system's answer. The log's own error has only the kind.
    #[must_use]
    pub fn take_failure(&self) -> Option<DiskFailure> {
        self.shared
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn path(&self, name: &str) -> PathBuf {
        debug_assert!(
            name.split('/').all(|part| part != "..") && !name.starts_with('/'),
            "INV-DISK-1: names stay inside the data directory"
        );
        self.shared.root.join(name)
    }

    /// Keeps the failure for people and tells its kind to the log.
    fn note<T>(&self, op: DiskOp, name: &str, result: io::Result<T>) -> Result<T, DiskError> {
        result.map_err(|source| {
            let failure = DiskFailure::new(op, &self.path(name), source);
            let error = failure.error();
            *self
                .shared
                .failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(failure);
            error
        })
    }

    /// A page that the device cannot read must not be touched through a map later.
    fn note_bad_page(&self, file: &DiskFile, offset: u64, into_len: usize, error: &io::Error) {
        let is_one_page = offset % PAGE_BYTES + into_len as u64 <= PAGE_BYTES;
        if !is_one_page || kind(error) != DiskErrorKind::Io {
            return;
        }
        let segment = file.name.strip_prefix("log/").and_then(parse_segment_name);
        if let (Some(segment), Ok(page)) = (segment, u32::try_from(offset / PAGE_BYTES)) {
            self.shared.bad_pages.add(segment, page);
        }
    }
}

impl Disk for FileDisk {
    type File = DiskFile;

    fn create(&self, name: &str) -> Result<DiskFile, DiskError> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path(name));
        let file = self.note(DiskOp::Create, name, opened)?;
        Ok(DiskFile {
            file,
            name: name.to_owned(),
        })
    }

    fn open(&self, name: &str) -> Result<DiskFile, DiskError> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(name));
        let file = self.note(DiskOp::Open, name, opened)?;
        Ok(DiskFile {
            file,
            name: name.to_owned(),
        })
    }

    fn size(&self, file: &DiskFile) -> Result<u64, DiskError> {
        let size = file.file.metadata().map(|metadata| metadata.len());
        self.note(DiskOp::Size, &file.name, size)
    }

    fn reserve(&self, file: &DiskFile, bytes: u64) -> Result<(), DiskError> {
        let reserved = match fallocate(&file.file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.file.set_len(bytes),
            other => other.map_err(io::Error::from),
        };
        self.note(DiskOp::Reserve, &file.name, reserved)
    }

    fn read_at(&self, file: &DiskFile, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let read = read_full(&file.file, offset, into);
        if let Err(error) = &read {
            self.note_bad_page(file, offset, into.len(), error);
        }
        self.note(DiskOp::Read, &file.name, read)
    }

    fn write_at(&self, file: &DiskFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.note(
            DiskOp::Write,
            &file.name,
            file.file.write_all_at(bytes, offset),
        )
    }

    fn sync(&self, file: &DiskFile) -> Result<(), DiskError> {
        self.note(DiskOp::Sync, &file.name, file.file.sync_data())
    }

    fn forget_cached(&self, file: &DiskFile) -> Result<(), DiskError> {
        let forgotten = fadvise(&file.file, 0, None, Advice::DontNeed);
        self.note(
            DiskOp::Forget,
            &file.name,
            forgotten.map_err(io::Error::from),
        )
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.note(
            DiskOp::Rename,
            from,
            fs::rename(self.path(from), self.path(to)),
        )
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.note(DiskOp::Remove, name, fs::remove_file(self.path(name)))
    }

    fn sync_directory(&self, folder: &str) -> Result<(), DiskError> {
        let synced = File::open(self.path(folder)).and_then(|opened| opened.sync_all());
        self.note(DiskOp::SyncDirectory, folder, synced)
    }

    fn free_bytes(&self) -> Result<Option<u64>, DiskError> {
        // What an unprivileged process may take: the rest is kept for the administrator.
        let told = statvfs(&self.shared.root)
            .map(|told| told.f_bavail.saturating_mul(told.f_frsize))
            .map_err(io::Error::from);
        self.note(DiskOp::Free, "", told).map(Some)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, DiskError> {
        self.note(DiskOp::List, folder, list(&self.path(folder)))
    }
}

/// Reads until `into` is full or the file ends.
pub(crate) fn read_full(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Names of the files in `folder`. What has no UTF-8 name is not ours.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}
