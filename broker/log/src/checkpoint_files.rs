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

/// Checkpoints.
impl<D: Disk> Log<D> {
    /// Writes a checkpoint file and queues the block that names it; the next flush writes that, and then removes files
    /// older than the two newest.
    ///
    /// # Errors
    /// `Full` before anything was synced: not final, the log goes on with the checkpoints that it has. Anything else is.
    ///
    /// # Panics
    /// If `index` is not durable in this log: a checkpoint holds only what was applied.
    pub fn write_checkpoint(
        &mut self,
        group: GroupId,
        index: Index,
        term: Term,
        body: &[u8],
    ) -> Result<(), LogError> {
        if self.is_failed {
            return Err(LogError::Failed);
        }
        let last = self.groups.get(&group).map_or(Index(0), |state| state.last);
        assert!(
            index <= last,
            "INV-LOG-21: a checkpoint of group {group} at {index}, beyond its last entry {last}"
        );
        let checkpoint = Checkpoint {
            directory_id: self.settings.directory_id,
            group,
            index,
            term,
            body,
        };
        let file = checkpoint.encode();
        if file.len() > CHECKPOINT_BYTES_MAX {
            return Err(LogError::CheckpointTooLarge {
                group,
                bytes: file.len() as u64,
            });
        }
        if let Err(error) = self.write_aside(group, index, &file) {
            let is_full = error.kind == DiskErrorKind::Full
                && matches!(error.op, DiskOp::Create | DiskOp::Write);
            self.is_failed = !is_full;
            return Err(error.into());
        }
        let (file_bytes, file_crc) = (file.len() as u64, crc32c::crc32c(&file));
        self.queue.push_checkpoint(QueuedCheckpoint {
            group,
            index,
            term,
            file_bytes,
            file_crc,
        });
        Ok(())
    }

    fn write_aside(&self, group: GroupId, index: Index, content: &[u8]) -> Result<(), DiskError> {
        let temporary = temporary_name(group);
        let file = create_anew(&self.disk, &temporary)?;
        let written = self
            .disk
            .write_at(&file, 0, content)
            .and_then(|()| self.disk.sync(&file));
        if let Err(error) = written {
            // The space is wanted back; the next open removes what stays.
            let _ = self.disk.remove(&temporary);
            return Err(error);
        }
        self.disk
            .rename(&temporary, &checkpoint_name(group, index))?;
        self.disk.sync_directory(CHECKPOINT_FOLDER)
    }

    /// The block that names the file is durable: it is a generation, and older ones may go.
    pub(crate) fn keep_checkpoint(&mut self, named: &QueuedCheckpoint) {
        self.checkpoints.count(named.group, named.index);
        self.checkpoints.remove_old(&self.disk, named.group);
    }
}

#[cfg(test)]
mod tests {
    use super::{checkpoint_name, parse_checkpoint_name};
    use crate::ids::{GroupId, Index};

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
