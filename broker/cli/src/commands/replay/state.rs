//! `FILE.replay-state`: which producer id the broker issued to each user of the file.
//!
//! Message k of user u in room r is always published as (producer of u, room r, producer_seq k). So a second run, or a run that goes on
//! after an interruption, says the same things under the same numbers, and the broker answers "duplicate" to what it has already.
//! That holds only if the id is on disk *before* the first publish that carries it: [`ReplayState::issue`] syncs.
//!
//! The file is NDJSON and only ever grows, by three kinds of lines:
//!
//! ```text
//! {"replay_state":1}                            first line: the version of this format
//! {"file":{"bytes":46567091,"crc32":305419896}} how far FILE reached when it was replayed; the last one counts
//! {"user":"ann","producer":6473924464345088}    issued by the broker
//! ```
//!
//! A last line without its newline was never synced, hence never used: it is cut off.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use antiphon_protocol::{Producer, Timestamp};
use serde::{Deserialize, Serialize};

use crate::commands::replay::source::Extent;
use crate::failure::Failure;
use crate::limits::PRODUCER_AGE_MAX;

const VERSION: u32 = 1;

/// One line of the file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged, deny_unknown_fields)]
enum Entry {
    Version { replay_state: u32 },
    File { file: Extent },
    Issued { user: String, producer: u64 },
}

/// The open file, locked for this process, and what it says.
#[derive(Debug)]
pub(crate) struct ReplayState {
    path: PathBuf,
    file: File,
    extent: Option<Extent>,
    producers: HashMap<String, Producer>,
}

impl ReplayState {
    /// Opens or creates `FILE.replay-state` beside `replayed`.
    pub(crate) fn open(replayed: &Path) -> Result<Self, Failure> {
        let path = beside(replayed);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path);
        let file = file.map_err(|error| unusable(&path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(
                    Failure::failed(format_args!("{} is in use", path.display()))
                        .next("another replay of this file is running: wait for it, or stop it"),
                );
            }
            Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
        }
        let mut state = Self {
            path,
            file,
            extent: None,
            producers: HashMap::new(),
        };
        state.read()?;
        Ok(state)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How far the replayed file reached at the last run; `None` before the first.
    pub(crate) fn extent(&self) -> Option<Extent> {
        self.extent
    }

    pub(crate) fn producer(&self, user: &str) -> Option<Producer> {
        self.producers.get(user).copied()
    }

    /// Keeps the extent of the replayed file, on disk when this returns.
    pub(crate) fn set_extent(&mut self, extent: Extent) -> Result<(), Failure> {
        if self.extent != Some(extent) {
            self.append(&Entry::File { file: extent })?;
            self.extent = Some(extent);
        }
        Ok(())
    }

    /// Keeps the producer that the broker issued to `user`, on disk when this returns. Only then may anything be published with it.
    pub(crate) fn issue(&mut self, user: &str, producer: Producer) -> Result<(), Failure> {
        assert!(
            !self.producers.contains_key(user),
            "INV-CLI-1: a user of a replayed file has one producer for good"
        );
        self.append(&Entry::Issued {
            user: user.to_owned(),
            producer: producer.0,
        })?;
        self.producers.insert(user.to_owned(), producer);
        Ok(())
    }

    /// Refuses when a producer is so old that the broker may have forgotten what it published: a repetition would not be recognised.
    pub(crate) fn check_age(&self, now: Timestamp) -> Result<(), Failure> {
        let Some(oldest) = self
            .producers
            .values()
            .map(|producer| producer.birth().0)
            .min()
        else {
            return Ok(());
        };
        let age_ms = now.0.saturating_sub(oldest);
        if u128::from(age_ms) < PRODUCER_AGE_MAX.as_millis() {
            return Ok(());
        }
        Err(self.too_old())
    }

    /// Why a replay is not gone on with after 7 days.
    pub(crate) fn too_old(&self) -> Failure {
        Failure::failed(
            "this replay began more than 7 days ago, and the broker recognises a repeated message for 7 days: \
             going on could publish some twice",
        )
        .next(format_args!(
            "see with `antiphon export` what has arrived; to publish the whole file again, as new messages, remove {}",
            self.path.display()
        ))
    }

    fn append(&mut self, entry: &Entry) -> Result<(), Failure> {
        let mut line =
            serde_json::to_vec(entry).map_err(|error| unusable(&self.path, &error.into()))?;
        line.push(b'\n');
        let kept = self
            .file
            .write_all(&line)
            .and_then(|()| self.file.sync_data());
        kept.map_err(|error| unusable(&self.path, &error))
    }

    /// Reads all whole lines, cuts a torn last one, and begins an empty file.
    fn read(&mut self) -> Result<(), Failure> {
        let mut text = Vec::new();
        self.file
            .read_to_end(&mut text)
            .map_err(|error| unusable(&self.path, &error))?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        for (number, line) in text[..whole]
            .split_inclusive(|byte| *byte == b'\n')
            .enumerate()
        {
            self.take(number + 1, line)?;
        }
        if whole < text.len() {
            let cut = self
                .file
                .set_len(whole as u64)
                .and_then(|()| self.file.seek(SeekFrom::End(0)));
            cut.map_err(|error| unusable(&self.path, &error))?;
        }
        if whole == 0 {
            self.append(&Entry::Version {
                replay_state: VERSION,
            })?;
            sync_folder(&self.path).map_err(|error| unusable(&self.path, &error))?;
        }
        Ok(())
    }

    fn take(&mut self, number: usize, line: &[u8]) -> Result<(), Failure> {
        let entry = serde_json::from_slice(line).ok();
        let is_lawful = match entry {
            Some(Entry::Version { replay_state }) => number == 1 && replay_state == VERSION,
            Some(Entry::File { file }) => {
                self.extent = Some(file);
                number > 1
            }
            Some(Entry::Issued { user, producer }) => {
                number > 1 && self.producers.insert(user, Producer(producer)).is_none()
            }
            None => false,
        };
        if is_lawful {
            return Ok(());
        }
        Err(Failure::failed(format_args!("{} line {number} is not what this version of replay writes", self.path.display()))
            .next("restore the file from a copy; without it a repeated replay would publish everything twice"))
    }
}

fn beside(replayed: &Path) -> PathBuf {
    let mut name = OsString::from(replayed);
    name.push(".replay-state");
    PathBuf::from(name)
}

/// A new file's name is durable only once its folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format_args!(
        "cannot keep the replay's state in {}: {error}",
        path.display()
    ))
    .next("replay a copy of the file in a folder that you can write to")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    fn world() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let replayed = folder.path().join("chat.ndjson");
        (folder, replayed)
    }

    #[test]
    fn what_was_issued_is_there_at_the_next_run() {
        let (_folder, replayed) = world();
        let extent = Extent { bytes: 7, crc32: 9 };
        let mut state = ReplayState::open(&replayed).unwrap();
        assert_eq!((state.extent(), state.producer("ann")), (None, None));
        state.set_extent(extent).unwrap();
        state.issue("ann", Producer(u64::MAX)).unwrap();
        state.issue("bob \"\u{1f600}", Producer(2)).unwrap();
        drop(state);
        let state = ReplayState::open(&replayed).unwrap();
        assert_eq!(state.extent(), Some(extent));
        assert_eq!(state.producer("ann"), Some(Producer(u64::MAX)));
        assert_eq!(state.producer("bob \"\u{1f600}"), Some(Producer(2)));
    }

    #[test]
    fn a_torn_last_line_is_cut_at_whatever_byte_it_ends() {
        let (_folder, replayed) = world();
        let mut state = ReplayState::open(&replayed).unwrap();
        state.issue("ann", Producer(1)).unwrap();
        let whole = fs::read(state.path()).unwrap();
        let path = state.path().to_owned();
        drop(state);
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let mut state = ReplayState::open(&replayed).unwrap();
            assert_eq!(state.producer("ann"), None, "{end}");
            state.issue("ann", Producer(3)).unwrap();
            drop(state);
            assert_eq!(
                ReplayState::open(&replayed).unwrap().producer("ann"),
                Some(Producer(3)),
                "{end}"
            );
        }
    }

    #[test]
    fn a_line_that_replay_does_not_write_is_refused_and_left_as_it_is() {
        let (_folder, replayed) = world();
        let path = beside(&replayed);
        let first = "{\"replay_state\":1}\n";
        for bad in [
            "{\"replay_state\":2}\n".to_owned(),
            "{\"user\":\"ann\",\"producer\":1}\n".to_owned(),
            format!("{first}{first}"),
            format!("{first}nonsense\n"),
            format!(
                "{first}{{\"user\":\"a\",\"producer\":1}}\n{{\"user\":\"a\",\"producer\":2}}\n"
            ),
        ] {
            fs::write(&path, &bad).unwrap();
            assert!(ReplayState::open(&replayed).is_err(), "{bad}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    fn two_runs_at_once_are_refused() {
        let (_folder, replayed) = world();
        let first = ReplayState::open(&replayed).unwrap();
        let failure = ReplayState::open(&replayed).unwrap_err();
        assert!(failure.to_string().contains("is in use"), "{failure}");
        drop(first);
        assert!(ReplayState::open(&replayed).is_ok());
    }

    #[test]
    fn after_seven_days_the_oldest_producer_refuses_the_whole_file() {
        let (_folder, replayed) = world();
        let mut state = ReplayState::open(&replayed).unwrap();
        assert!(
            state.check_age(Timestamp(u64::MAX)).is_ok(),
            "nothing issued yet"
        );
        state
            .issue("ann", Producer::new(Timestamp(1_000), 5))
            .unwrap();
        state
            .issue("bob", Producer::new(Timestamp(6 * DAY_MS), 5))
            .unwrap();
        assert!(state.check_age(Timestamp(1_000 + 7 * DAY_MS - 1)).is_ok());
        let failure = state.check_age(Timestamp(1_000 + 7 * DAY_MS)).unwrap_err();
        assert!(failure.to_string().contains("7 days"), "{failure}");
        assert!(failure.to_string().contains(".replay-state"), "{failure}");
    }
}
