//! What the system answered: told to the log as a kind, kept for people with the operation and the name.

use std::io;
use std::path::{Path, PathBuf};

use antiphon_log::{DiskError, DiskErrorKind, DiskOp};
use rustix::io::Errno;

/// A failed call on a file of the data directory.
#[derive(Debug, thiserror::Error)]
#[error("{} {}: {source}", operation(*.op), path.display())]
pub struct DiskFailure {
    /// The call.
    pub op: DiskOp,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

impl DiskFailure {
    pub(crate) fn new(op: DiskOp, path: &Path, source: io::Error) -> Self {
        DiskFailure {
            op,
            path: path.to_owned(),
            source,
        }
    }

    /// As the log understands it.
    #[must_use]
    pub fn error(&self) -> DiskError {
        DiskError {
            op: self.op,
            kind: kind(&self.source),
        }
    }
}

/// The operation as a verb, for messages.
fn operation(op: DiskOp) -> &'static str {
    match op {
        DiskOp::Create => "create",
        DiskOp::Open => "open",
        DiskOp::Size => "ask the size of",
        DiskOp::Reserve => "reserve space for",
        DiskOp::Read => "read",
        DiskOp::Write => "write",
        DiskOp::Sync => "sync",
        DiskOp::Forget => "drop the cache of",
        DiskOp::Rename => "rename",
        DiskOp::Remove => "remove",
        DiskOp::SyncDirectory => "sync the folder",
        DiskOp::Free => "ask the free space of",
        DiskOp::List => "list the folder",
    }
}

/// The one place where the system's numbers become kinds.
pub(crate) fn kind(error: &io::Error) -> DiskErrorKind {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => DiskErrorKind::Full,
        Some(Errno::NOENT) => DiskErrorKind::Missing,
        Some(Errno::EXIST) => DiskErrorKind::Exists,
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => DiskErrorKind::Denied,
        Some(Errno::IO) => DiskErrorKind::Io,
        Some(other) => DiskErrorKind::Other(other.raw_os_error()),
        None => DiskErrorKind::Other(0),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use antiphon_log::DiskErrorKind;
    use rustix::io::Errno;

    use super::kind;

    #[test]
    fn each_number_of_the_system_has_its_kind() {
        let table = [
            (Errno::NOSPC, DiskErrorKind::Full),
            (Errno::DQUOT, DiskErrorKind::Full),
            (Errno::NOENT, DiskErrorKind::Missing),
            (Errno::EXIST, DiskErrorKind::Exists),
            (Errno::ACCESS, DiskErrorKind::Denied),
            (Errno::PERM, DiskErrorKind::Denied),
            (Errno::ROFS, DiskErrorKind::Denied),
            (Errno::IO, DiskErrorKind::Io),
            (
                Errno::MFILE,
                DiskErrorKind::Other(Errno::MFILE.raw_os_error()),
            ),
        ];
        for (errno, expected) in table {
            assert_eq!(kind(&io::Error::from(errno)), expected);
        }
        assert_eq!(kind(&io::Error::other("made up")), DiskErrorKind::Other(0));
    }
}
