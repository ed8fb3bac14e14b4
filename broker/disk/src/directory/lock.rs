//! The lock of a data directory: held while a broker runs, gone with its process however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::directory::{OpenError, shown};

/// Name of the file whose lock says that the directory is in use.
const LOCK_NAME: &str = "LOCK";
/// Longest content of the lock file that is shown, in bytes: a process id.
const HOLDER_BYTES_MAX: u64 = 20;

/// Takes the lock without waiting and leaves the process id in the file, for the message of the next one who tries.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let name = path.join(LOCK_NAME);
    let io_error = |operation| {
        let path = shown(&name);
        move |source| OpenError::Io {
            operation,
            path,
            source,
        }
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(io_error("open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::Locked {
                path: shown(path),
                holder: read_holder(&mut file),
            });
        }
        Err(TryLockError::Error(source)) => return Err(io_error("lock")(source)),
    }
    let noted = file
        .set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()));
    noted.map_err(io_error("write"))?;
    Ok(file)
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
