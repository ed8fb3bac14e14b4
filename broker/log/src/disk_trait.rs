//! The disk as the log sees it: named files in one directory.
//!
//! Names are relative, with at most one slash (`log/0000000000000001.seg`). Methods take `&self`, so that a clone can
//! make segments on another thread. Nothing here is retried by the log: a failed write or sync is final.

use alloc::string::String;
use alloc::vec::Vec;

/// Files of one data directory.
///
/// # What the log relies on
/// - After `sync` returned, all bytes written to the file before, and the size needed to read them, survive power loss.
/// - After `sync_directory` returned, all creates, renames and removes done in that folder before survive power loss.
/// - A sector of 512 bytes is written whole or not at all; sectors between two syncs persist in any order.
pub trait Disk {
    /// An open file. Dropping it closes it.
    type File: core::fmt::Debug;

    /// Makes a new empty file, readable and writable.
    ///
    /// # Errors
    /// `Exists` if there is one of that name.
    fn create(&self, name: &str) -> Result<Self::File, DiskError>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// `Missing` if there is none.
    fn open(&self, name: &str) -> Result<Self::File, DiskError>;

    /// Bytes in the file.
    ///
    /// # Errors
    /// As the system says.
    fn size(&self, file: &Self::File) -> Result<u64, DiskError>;

    /// Reserves `bytes` of space from the start and makes the file that long. The content may be anything until it is
    /// written. A disk that cannot reserve only sets the length.
    ///
    /// # Errors
    /// `Full` if there is not enough space.
    fn reserve(&self, file: &Self::File, bytes: u64) -> Result<(), DiskError>;

    /// Reads up to the end of `into` or of the file, whichever is first; returns how many bytes were read.
    ///
    /// # Errors
    /// As the system says; a bad sector is an error, never wrong bytes that the disk knows to be wrong.
    fn read_at(&self, file: &Self::File, offset: u64, into: &mut [u8]) -> Result<usize, DiskError>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// As the system says. How much was written is unknown then.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes what was written durable (fdatasync).
    ///
    /// # Errors
    /// As the system says. What was written since the last sync is unknown then, for ever.
    fn sync(&self, file: &Self::File) -> Result<(), DiskError>;

    /// Forgets what is cached of the file, so that the next read comes from the device. Called after `sync`, when a
    /// directory is opened: a sync that failed in an earlier life may have left pages that look right and are not on
    /// the device. A disk without a cache does nothing.
    ///
    /// # Errors
    /// As the system says.
    fn forget_cached(&self, file: &Self::File) -> Result<(), DiskError>;

    /// Gives a file another name in the same folder, replacing what has it.
    ///
    /// # Errors
    /// `Missing` if there is no `from`.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a name. Open files and maps of it stay readable.
    ///
    /// # Errors
    /// `Missing` if there is none.
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// Makes creates, renames and removes in a folder durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_directory(&self, folder: &str) -> Result<(), DiskError>;

    /// Bytes that may still be written to new files; `None`: there is no such bound, or nobody knows it.
    ///
    /// # Errors
    /// As the system says.
    fn free_bytes(&self) -> Result<Option<u64>, DiskError>;

    /// Names of the files in a folder, without the folder, in any order; empty if there is no such folder.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self, folder: &str) -> Result<Vec<String>, DiskError>;
}

/// Which call failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DiskOp {
    /// `create`
    Create,
    /// `open`
    Open,
    /// `size`
    Size,
    /// `reserve`
    Reserve,
    /// `read_at`
    Read,
    /// `write_at`
    Write,
    /// `sync`
    Sync,
    /// `forget_cached`
    Forget,
    /// `rename`
    Rename,
    /// `remove`
    Remove,
    /// `sync_directory`
    SyncDirectory,
    /// `free_bytes`
    Free,
    /// `list`
    List,
}

/// Why it failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DiskErrorKind {
    /// No space left (ENOSPC, EDQUOT).
    Full,
    /// No file of that name.
    Missing,
    /// A file of that name exists.
    Exists,
    /// Not permitted, or a read-only file system.
    Denied,
    /// The device failed (EIO).
    Io,
    /// Anything else, by the system's number.
    Other(i32),
}

/// A failed call on the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("disk: {op:?} failed: {kind:?}")]
pub struct DiskError {
    /// The call.
    pub op: DiskOp,
    /// The cause.
    pub kind: DiskErrorKind,
}
