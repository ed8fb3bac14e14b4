//! `verify`: whether everything is whole, and if not, what that means in rooms and seqs.
//!
//! Three passes: the log's own recovery, over memory instead of the disk, judges what is a tear and what is damage and
//! hands over all entries, whose rooms are checked record by record; then every block of every file, also those that
//! recovery has no use for; then every checkpoint file.

mod blocks;
mod checkpoints;
mod finding;
mod losses;
mod report;

use std::fs;
use std::time::SystemTime;

use antiphon_log::limits::{SECTOR_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use antiphon_log::{CHECKPOINT_FOLDER, LOG_FOLDER, Log, LogSettings, segment_name};

pub use finding::Finding;
pub use losses::RoomLoss;
pub use report::{GroupReport, LogOutcome, Verification};

use crate::file::list;
use crate::inspect::overlay::Overlay;
use crate::inspect::rooms::RoomCheck;
use crate::inspect::segment::segments;
use crate::inspect::verify::blocks::verify_blocks;
use crate::inspect::verify::checkpoints::verify_checkpoints;
use crate::inspect::{InspectError, Inspector, io_error};

/// How often a directory that changes meanwhile is verified again if it seems damaged.
const ATTEMPTS_MAX: u32 = 3;

/// Name, length and time of change of each file: whether a broker wrote meanwhile.
type Fingerprint = Vec<(String, u64, Option<SystemTime>)>;

impl Inspector {
    /// Verifies the whole directory. While a broker writes to it, what seems damaged is looked at again.
    ///
    /// # Errors
    /// `Io`, or `Log` if the log refuses the directory as a whole (another version, files of another directory).
    pub fn verify(&self) -> Result<Verification, InspectError> {
        let mut attempt = 1;
        loop {
            let before = self.fingerprint()?;
            let verification = self.verify_once();
            let is_settled = verification.as_ref().is_ok_and(Verification::is_whole);
            if is_settled || attempt == ATTEMPTS_MAX || before == self.fingerprint()? {
                return verification;
            }
            attempt += 1;
        }
    }

    fn fingerprint(&self) -> Result<Fingerprint, InspectError> {
        let mut all = Vec::new();
        for folder in [LOG_FOLDER, CHECKPOINT_FOLDER] {
            let path = self.path.join(folder);
            for name in list(&path).map_err(io_error("list", &path))? {
                let metadata = fs::metadata(path.join(&name)).ok();
                let len = metadata.as_ref().map_or(0, fs::Metadata::len);
                all.push((
                    name,
                    len,
                    metadata.and_then(|metadata| metadata.modified().ok()),
                ));
            }
        }
        all.sort();
        Ok(all)
    }

    fn verify_once(&self) -> Result<Verification, InspectError> {
        let mut check = RoomCheck::default();
        let (log, recovery) = Log::open(Overlay::new(&self.path), self.settings()?, &mut check)?;
        drop(log);
        let mut result = Verification::new(self.directory(), &recovery, &check);
        let behind = verify_blocks(self, &check, &mut result)?;
        verify_checkpoints(self, &mut result)?;
        losses::explain(&check, &behind, |loss| result.lose(loss));
        Ok(result)
    }

    /// The usual settings, but for new segments as long as the newest one: recovery may begin one, in memory.
    fn settings(&self) -> Result<LogSettings, InspectError> {
        let mut settings = LogSettings::new(self.directory.directory_id);
        settings.partitions = self.directory.partitions;
        let newest = segments(&self.path)?
            .pop()
            .map(|segment| self.path.join(segment_name(segment)));
        let bytes = newest
            .and_then(|path| fs::metadata(path).ok())
            .map(|metadata| metadata.len());
        let lawful = |bytes: &u32| {
            (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(bytes)
                && bytes.is_multiple_of(SECTOR_BYTES)
        };
        if let Some(bytes) = bytes
            .and_then(|bytes| u32::try_from(bytes).ok())
            .filter(lawful)
        {
            settings.segment_bytes = bytes;
        }
        Ok(settings)
    }
}
