//! What opening a log of a given size reads, counted below the log, at the real files.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use antiphon_disk::{DataDirectory, DiskFile, FileDisk, NewDirectory};
use antiphon_log::limits::BLANK_PROOF_BYTES;
use antiphon_log::{
    Append, Checkpoint, Disk, DiskError, Entry, EntryKind, GroupId, GroupRecovery, HardState,
    Index, Log, LogSettings, Recover, RecoveredEntry, Term,
};
use antiphon_protocol::NodeId;
use bytes::Bytes;

const GROUP: GroupId = GroupId(1);
const ENTRY_BYTES: usize = 256 * 1024;
/// Of one checkpoint.
const STATE_BYTES: usize = 1024 * 1024;

/// Bytes, all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// In the folder of segments.
    pub(crate) log: u64,
    /// In the folder of checkpoints: two generations.
    pub(crate) checkpoints: u64,
    /// Read by one open.
    pub(crate) read: u64,
    /// As the log counts them.
    pub(crate) told: u64,
    /// The newest checkpoint, the segments that were written to, the start of the one made ahead.
    pub(crate) bound: u64,
}

/// Passes everything on and counts what is read.
#[derive(Clone, Debug)]
struct Counting(FileDisk, Rc<Cell<u64>>);

impl Disk for Counting {
    type File = DiskFile;

    fn create(&self, name: &str) -> Result<DiskFile, DiskError> {
        self.0.create(name)
    }
    fn open(&self, name: &str) -> Result<DiskFile, DiskError> {
        self.0.open(name)
    }
    fn size(&self, file: &DiskFile) -> Result<u64, DiskError> {
        self.0.size(file)
    }
    fn reserve(&self, file: &DiskFile, bytes: u64) -> Result<(), DiskError> {
        self.0.reserve(file, bytes)
    }
    fn read_at(&self, file: &DiskFile, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let read = self.0.read_at(file, offset, into)?;
        self.1.set(self.1.get() + read as u64);
        Ok(read)
    }
    fn write_at(&self, file: &DiskFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write_at(file, offset, bytes)
    }
    fn sync(&self, file: &DiskFile) -> Result<(), DiskError> {
        self.0.sync(file)
    }
    fn free_bytes(&self) -> Result<Option<u64>, DiskError> {
        self.0.free_bytes()
    }
    fn forget_cached(&self, file: &DiskFile) -> Result<(), DiskError> {
        self.0.forget_cached(file)
    }
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.0.remove(name)
    }
    fn sync_directory(&self, folder: &str) -> Result<(), DiskError> {
        self.0.sync_directory(folder)
    }
    fn list(&self, folder: &str) -> Result<Vec<String>, DiskError> {
        self.0.list(folder)
    }
}

/// Keeps nothing.
#[derive(Default)]
struct Last(Index);

impl Recover for Last {
    fn checkpoint(&mut self, _: GroupId, _: &Checkpoint<'_>) -> bool {
        true
    }
    fn committed(&mut self, _: GroupId, _: RecoveredEntry<'_>) {}
    fn group(&mut self, _: GroupId, end: GroupRecovery) {
        self.0 = end.last;
    }
}

/// Fills a log with `bytes` of entries in segments of the usual size, with two checkpoints and one segment made ahead,
/// ends as a killed process does, and opens it.
pub(crate) fn measure(path: &Path, bytes: u64) -> Cost {
    let new = NewDirectory {
        node: NodeId(1),
        partitions: 1,
    };
    let directory = DataDirectory::open(path, new).expect("the directory opens");
    let settings = LogSettings::new(directory.file().directory_id);
    let last = fill(&directory, settings, bytes);
    let counting = Counting(directory.disk(), Rc::default());
    let mut found = Last::default();
    let (log, recovery) = Log::open(counting.clone(), settings, &mut found).expect("the log opens");
    drop(log);
    assert_eq!(found.0, last, "everything is there");
    let log = folder_bytes(&path.join("log"));
    let ahead = u64::from(settings.segment_bytes);
    Cost {
        log,
        checkpoints: folder_bytes(&path.join("checkpoint")),
        read: counting.1.get(),
        told: recovery.bytes_read,
        // The last term: heads of both first blocks and STATE of no group, looked at before for what is kept.
        bound: log - ahead + u64::from(BLANK_PROOF_BYTES) + 64 + STATE_BYTES as u64 + 160,
    }
}

fn fill(directory: &DataDirectory, settings: LogSettings, bytes: u64) -> Index {
    let (mut log, _) =
        Log::open(directory.disk(), settings, &mut Last::default()).expect("the log opens");
    let payload = Bytes::from(vec![7; ENTRY_BYTES]);
    let count = bytes / ENTRY_BYTES as u64;
    for index in 1..=count {
        log.submit(append(index, payload.clone()));
        if index % 32 == 0 || index == count {
            log.flush().expect("flushed");
        }
    }
    for index in [count - 1, count] {
        log.write_checkpoint(GROUP, Index(index), Term(1), &vec![1; STATE_BYTES])
            .expect("written");
        log.flush().expect("flushed");
    }
    log.prepare_segment().expect("made ahead");
    Index(count)
}

fn append(index: u64, payload: Bytes) -> Append {
    let commit = Index(index - 1);
    let hard_state = HardState {
        term: Term(1),
        vote: 1,
        commit,
    };
    let entry = Entry {
        index: Index(index),
        term: Term(1),
        kind: EntryKind::Normal,
        payload,
    };
    Append {
        group: GROUP,
        ready: index,
        urgent: false,
        hard_state: (index == 1).then_some(hard_state),
        commit,
        entries: vec![entry],
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("listable");
    entries
        .map(|entry| {
            entry
                .and_then(|entry| entry.metadata())
                .expect("there")
                .len()
        })
        .sum()
}
