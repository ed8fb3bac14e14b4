//! Checkpoint files of all groups: names, generations, writing aside.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::checkpoint::Checkpoint;
use crate::disk_trait::{Disk, DiskError, DiskErrorKind, DiskOp};
use crate::error::LogError;
use crate::ids::{GroupId, Index, Term};
use crate::limits::{CHECKPOINT_BYTES_MAX, CHECKPOINT_GENERATIONS};
use crate::log::Log;
use crate::maker::create_anew;
use crate::planted::{Bug, planted};
use crate::queue::QueuedCheckpoint;

/// Folder of the checkpoints.
pub const CHECKPOINT_FOLDER: &str = "checkpoint";

/// Name of a checkpoint file, with its folder.
#[must_use]
pub fn checkpoint_name(group: GroupId, index: Index) -> String {
    format!("{CHECKPOINT_FOLDER}/g{:08x}-{:016x}.ckpt", group.0, index.0)
}

/// Group and index in a checkpoint's file name (without its folder); `None`: it is no checkpoint's name.
#[must_use]
pub fn parse_checkpoint_name(name: &str) -> Option<(GroupId, Index)> {
    let (group, index) = name
        .strip_prefix('g')?
        .strip_suffix(".ckpt")?
        .split_once('-')?;
    let group = u32::from_str_radix(group, 16).ok()?;
    let index = u64::from_str_radix(index, 16).ok()?;
    let (group, index) = (GroupId(group), Index(index));
    // The name made anew must be the same: one file, one spelling.
    checkpoint_name(group, index)
        .strip_prefix("checkpoint/")
        .filter(|made| *made == name)
        .map(|_| (group, index))
}

fn temporary_name(group: GroupId) -> String {
    format!("{CHECKPOINT_FOLDER}/g{:08x}.tmp", group.0)
}

/// The files there are, per group.
#[derive(Debug, Default)]
pub(crate) struct CheckpointFiles(BTreeMap<GroupId, Generations>);

/// Indexes of one group's files, each list ascending.
#[derive(Debug, Default)]
struct Generations {
    /// Accepted when the log was opened, or written since and named by a durable block.
    good: Vec<Index>,
    /// Refused, or never tried: they are no generation and keep none from being kept.
    others: Vec<Index>,
}

impl CheckpointFiles {
    /// Lists the folder; temporary files are removed.
    pub(crate) fn list<D: Disk>(disk: &D) -> Result<CheckpointFiles, DiskError> {
        let mut files = CheckpointFiles::default();
        for name in disk.list(CHECKPOINT_FOLDER)? {
            if let Some((group, index)) = parse_checkpoint_name(&name) {
                files.0.entry(group).or_default().others.push(index);
            } else if name.ends_with(".tmp") {
                disk.remove(&format!("{CHECKPOINT_FOLDER}/{name}"))?;
            }
        }
        for generations in files.0.values_mut() {
            generations.others.sort_unstable();
        }
        Ok(files)
    }

    /// Counts a file as a generation from now on: it was accepted, or written and named by a durable block.
    pub(crate) fn count(&mut self, group: GroupId, index: Index) {
        let Generations { good, others } = self.0.entry(group).or_default();
        others.retain(|other| *other != index);
        if let Err(place) = good.binary_search(&index) {
            good.insert(place, index);
        }
    }

    /// The older of the group's two newest generations, if there are two.
    pub(crate) fn older(&self, group: GroupId) -> Option<Index> {
        let good = &self.0.get(&group)?.good;
        good.len()
            .checked_sub(CHECKPOINT_GENERATIONS)
            .map(|at| good[at])
    }

    /// Removes what is older than the two newest generations, if there are two. A file that cannot be removed does no
    /// harm and is tried again with the next checkpoint.
    fn remove_old<D: Disk>(&mut self, disk: &D, group: GroupId) {
        let Generations { good, others } = self.0.entry(group).or_default();
        let Some(old) = good.len().checked_sub(CHECKPOINT_GENERATIONS) else {
            return;
        };
        others.extend(good.drain(..old));
        let newest = good.last().copied().unwrap_or_default();
        others.retain(|index| {
            *index > newest || disk.remove(&checkpoint_name(group, *index)).is_err()
        });
    }

    /// Groups with files, ascending, none of them counted yet, each with the indexes of its files, newest first.
    pub(crate) fn newest_first(
        &self,
    ) -> impl Iterator<Item = (GroupId, impl Iterator<Item = Index>)> {
        self.0
            .iter()
            .map(|(group, generations)| (*group, generations.others.iter().rev().copied()))
    }
}

/// Reads one checkpoint file as a whole. `None`: longer than any may be.
pub(crate) fn read_checkpoint<D: Disk>(
    disk: &D,
    group: GroupId,
    index: Index,
) -> Result<Option<Vec<u8>>, DiskError> {
    let file = disk.open(&checkpoint_name(group, index))?;
    let Some(bytes) = usize::try_from(disk.size(&file)?)
        .ok()
        .filter(|bytes| *bytes <= CHECKPOINT_BYTES_MAX)
    else {
        return Ok(None);
    };
    let mut content = vec![0; bytes];
    let read = disk.read_at(&file, 0, &mut content)?;
    content.truncate(read);
    Ok(Some(content))
}

/// Writes one checkpoint file, on any thread. See [`Log::checkpoint_maker`].
#[derive(Debug)]
pub struct CheckpointMaker<D: Disk> {
    disk: D,
    directory_id: u128,
    group: GroupId,
    index: Index,
    term: Term,
}

/// A checkpoint file that is durable and has its name.
#[derive(Debug)]
pub struct MadeCheckpoint(QueuedCheckpoint);

impl<D: Disk> CheckpointMaker<D> {
    /// Writes the file: temporary name, content, sync, rename, directory sync.
    ///
    /// # Errors
    /// As the disk says, or `CheckpointTooLarge`. Give it to [`Log::adopt_checkpoint`], which knows whether it is final.
    pub fn make(self, body: &[u8]) -> Result<MadeCheckpoint, LogError> {
        let checkpoint = Checkpoint {
            directory_id: self.directory_id,
            group: self.group,
            index: self.index,
            term: self.term,
            body,
        };
        let file = checkpoint.encode();
        if file.len() > CHECKPOINT_BYTES_MAX {
            return Err(LogError::CheckpointTooLarge {
                group: self.group,
                bytes: file.len() as u64,
            });
        }
        self.write_aside(&file)?;
        Ok(MadeCheckpoint(QueuedCheckpoint {
            group: self.group,
            index: self.index,
            term: self.term,
            file_bytes: file.len() as u64,
            file_crc: crc32c::crc32c(&file),
        }))
    }

    fn write_aside(&self, content: &[u8]) -> Result<(), DiskError> {
        let temporary = temporary_name(self.group);
        let file = create_anew(&self.disk, &temporary)?;
        let written = self.disk.write_at(&file, 0, content).and_then(|()| {
            match planted(Bug::CheckpointUnsynced) {
                true => Ok(()),
                false => self.disk.sync(&file),
            }
        });
        if let Err(error) = written {
            // The space is wanted back; the next open removes what stays.
            let _ = self.disk.remove(&temporary);
            return Err(error);
        }
        self.disk
            .rename(&temporary, &checkpoint_name(self.group, self.index))?;
        self.disk.sync_directory(CHECKPOINT_FOLDER)
    }
}

/// Whether a checkpoint file that could not be written leaves the log whole: nothing was synced yet, and all that the file
/// would have told is in the log. Any other failure may have lost pages that a later sync calls durable.
fn is_survived(error: &LogError) -> bool {
    match error {
        LogError::CheckpointTooLarge { .. } => true,
        LogError::Disk(error) => {
            error.kind == DiskErrorKind::Full && matches!(error.op, DiskOp::Create | DiskOp::Write)
        }
        _ => false,
    }
}

/// Checkpoints.
impl<D: Disk> Log<D> {
    /// What writes a checkpoint's file on another thread, so that no flush waits for it: `None` if the log has failed.
    /// Give the result back with [`Log::adopt_checkpoint`]; one at a time per group.
    ///
    /// # Panics
    /// If `index` is not durable in this log: a checkpoint holds only what was applied.
    #[must_use]
    pub fn checkpoint_maker(
        &self,
        group: GroupId,
        index: Index,
        term: Term,
    ) -> Option<CheckpointMaker<D>>
    where
        D: Clone,
    {
        let last = self.groups.get(&group).map_or(Index(0), |state| state.last);
        assert!(
            index <= last,
            "INV-LOG-21: a checkpoint of group {group} at {index}, beyond its last entry {last}"
        );
        (!self.is_failed).then(|| CheckpointMaker {
            disk: self.disk.clone(),
            directory_id: self.settings.directory_id,
            group,
            index,
            term,
        })
    }

    /// Queues the block that names a checkpoint file; the next flush writes that, and then removes files older than the two
    /// newest. Or takes the news that the file could not be written.
    ///
    /// # Errors
    /// What `made` says. Without space before anything was synced it is not final: the log goes on with the checkpoints that
    /// it has. Anything else is.
    pub fn adopt_checkpoint(
        &mut self,
        made: Result<MadeCheckpoint, LogError>,
    ) -> Result<(), LogError> {
        if self.is_failed {
            return Err(LogError::Failed);
        }
        match made {
            Ok(MadeCheckpoint(named)) => {
                self.queue.push_checkpoint(named);
                Ok(())
            }
            Err(error) => {
                self.is_failed = !is_survived(&error);
                Err(error)
            }
        }
    }

    /// Whether an earlier error was final: every further call answers [`LogError::Failed`].
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.is_failed
    }

    /// Writes a checkpoint file and queues the block that names it, both on this thread.
    ///
    /// # Errors
    /// As [`Log::adopt_checkpoint`].
    ///
    /// # Panics
    /// As [`Log::checkpoint_maker`].
    pub fn write_checkpoint(
        &mut self,
        group: GroupId,
        index: Index,
        term: Term,
        body: &[u8],
    ) -> Result<(), LogError>
    where
        D: Clone,
    {
        let maker = self.checkpoint_maker(group, index, term);
        let made = maker.ok_or(LogError::Failed)?.make(body);
        self.adopt_checkpoint(made)
    }

    /// The block that names the file is durable: it is a generation, and older ones may go.
    pub(crate) fn keep_checkpoint(&mut self, named: &QueuedCheckpoint) {
        self.checkpoints.count(named.group, named.index);
        self.checkpoints.remove_old(&self.disk, named.group);
    }
}

#[cfg(test)]
mod tests {
    use super::{checkpoint_name, is_survived, parse_checkpoint_name};
    use crate::disk_trait::{DiskError, DiskErrorKind, DiskOp};
    use crate::error::LogError;
    use crate::ids::{GroupId, Index};

    #[test]
    fn only_a_failure_before_anything_was_synced_leaves_the_log_whole() {
        let disk = |op, kind| LogError::Disk(DiskError { op, kind });
        let too_large = LogError::CheckpointTooLarge {
            group: GroupId(1),
            bytes: 1 << 31,
        };
        assert!(is_survived(&too_large));
        assert!(is_survived(&disk(DiskOp::Create, DiskErrorKind::Full)));
        assert!(is_survived(&disk(DiskOp::Write, DiskErrorKind::Full)));
        assert!(!is_survived(&disk(DiskOp::Sync, DiskErrorKind::Full)));
        assert!(!is_survived(&disk(DiskOp::Write, DiskErrorKind::Io)));
        assert!(!is_survived(&LogError::Failed));
    }

    #[test]
    fn names_are_exact() {
        let name = checkpoint_name(GroupId(1), Index(1_000));
        assert_eq!(name, "checkpoint/g00000001-00000000000003e8.ckpt");
        assert_eq!(
            parse_checkpoint_name("g00000001-00000000000003e8.ckpt"),
            Some((GroupId(1), Index(1_000)))
        );
        for name in [
            "g1-3e8.ckpt",
            "g00000001-00000000000003E8.ckpt",
            "g00000001-00000000000003e8.tmp",
            "x",
            "g-.ckpt",
            "g+0000001-00000000000003e8.ckpt",
        ] {
            assert_eq!(parse_checkpoint_name(name), None, "{name}");
        }
    }
}
