//! The log thread over a real directory, and over a disk that fails when told to.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use antiphon_core::Recovering;
use antiphon_disk::{DataDirectory, DiskFile, FileDisk, NewDirectory};
use antiphon_log::{
    DiskError, DiskOp, Entry, EntryKind, GroupId, HardState, Index, LogSettings, Outcome, Term,
};
use antiphon_protocol::NodeId;
use bytes::Bytes;
use mio::{Poll, Token};
use tempfile::TempDir;

use super::*;
use crate::limits::CHECKPOINT_FLUSHES_MAX;

/// Appends of group 1 that come while a sync runs, as from cores that never rest.
#[derive(Debug)]
struct Feed {
    jobs: Sender<LogJob<MoodyDisk>>,
    next: u64,
    /// Exclusive.
    end: u64,
    /// A checkpoint comes with this one.
    checkpoint_at: u64,
    /// What was next when a checkpoint was tried first.
    tried_at: Option<u64>,
}

impl Feed {
    fn give(&mut self) {
        if self.next == self.end {
            return;
        }
        let checkpoint =
            (self.next == self.checkpoint_at).then(|| LogJob::Checkpoint(checkpoint(1, 1)));
        for job in checkpoint
            .into_iter()
            .chain([LogJob::Append(append(1, self.next))])
        {
            self.jobs.try_send(job).expect("the log takes all there is");
        }
        self.next += 1;
    }
}

/// A disk whose syncs fail while the flag is up, and that never has space for a checkpoint.
#[derive(Clone, Debug)]
struct MoodyDisk {
    feed: Arc<Mutex<Feed>>,
    files: FileDisk,
    fails: Arc<AtomicBool>,
    /// How many checkpoints found no space.
    refused: Arc<AtomicUsize>,
}

impl Disk for MoodyDisk {
    type File = DiskFile;

    fn create(&self, name: &str) -> Result<DiskFile, DiskError> {
        if name.starts_with("checkpoint/") {
            self.refused.fetch_add(1, Ordering::SeqCst);
            let mut feed = self.feed.lock().expect("no panic");
            feed.tried_at = feed.tried_at.or(Some(feed.next));
            return Err(DiskError {
                op: DiskOp::Create,
                kind: DiskErrorKind::Full,
            });
        }
        self.files.create(name)
    }
    fn open(&self, name: &str) -> Result<DiskFile, DiskError> {
        self.files.open(name)
    }
    fn size(&self, file: &DiskFile) -> Result<u64, DiskError> {
        self.files.size(file)
    }
    fn reserve(&self, file: &DiskFile, bytes: u64) -> Result<(), DiskError> {
        self.files.reserve(file, bytes)
    }
    fn read_at(&self, file: &DiskFile, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.files.read_at(file, offset, into)
    }
    fn write_at(&self, file: &DiskFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.files.write_at(file, offset, bytes)
    }
    fn sync(&self, file: &DiskFile) -> Result<(), DiskError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(DiskError {
                op: DiskOp::Sync,
                kind: DiskErrorKind::Io,
            });
        }
        self.feed.lock().expect("no panic").give();
        self.files.sync(file)
    }
    fn forget_cached(&self, file: &DiskFile) -> Result<(), DiskError> {
        self.files.forget_cached(file)
    }
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.files.rename(from, to)
    }
    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.files.remove(name)
    }
    fn sync_directory(&self, folder: &str) -> Result<(), DiskError> {
        self.files.sync_directory(folder)
    }
    fn list(&self, folder: &str) -> Result<Vec<String>, DiskError> {
        self.files.list(folder)
    }
}

/// A log thread with two cores that listen: group 1 is at home on core 0, group 2 on core 1.
struct World {
    jobs: Sender<LogJob<MoodyDisk>>,
    heard: Vec<Receiver<Persistence>>,
    reports: Receiver<Report>,
    fails: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    feed: Arc<Mutex<Feed>>,
    phase: Arc<PhaseCell>,
    thread: JoinHandle<()>,
    directory: TempDir,
}

fn settings(directory: &DataDirectory) -> LogSettings {
    let mut settings = LogSettings::new(directory.file().directory_id);
    settings.segment_bytes = 1 << 20;
    settings
}

fn open(directory: &TempDir) -> DataDirectory {
    let new = NewDirectory {
        node: NodeId(1),
        partitions: 2,
    };
    DataDirectory::open(directory.path(), new).expect("nobody holds it")
}

impl World {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let opened = open(&directory);
        let fails = Arc::new(AtomicBool::new(false));
        let refused = Arc::new(AtomicUsize::new(0));
        let (jobs, receiver) = bounded(64);
        let feed = Arc::new(Mutex::new(Feed {
            jobs: jobs.clone(),
            next: 0,
            end: 0,
            checkpoint_at: 0,
            tried_at: None,
        }));
        let disk = MoodyDisk {
            feed: Arc::clone(&feed),
            files: opened.disk(),
            fails: Arc::clone(&fails),
            refused: Arc::clone(&refused),
        };
        let (log, _) = Log::open(disk.clone(), settings(&opened), &mut Recovering::new(2, 1))
            .expect("a new log");
        let phase = Arc::new(PhaseCell::default());
        let (sender, reports) = bounded(4);
        let mut heard = Vec::new();
        let listeners = (0..2)
            .map(|_| {
                let (persisted, listener) = bounded(64);
                heard.push(listener);
                // The poller may go: a wake of nobody is no error that matters here.
                let poll = Poll::new().expect("a poller");
                let sleeper = Arc::new(Sleeper::new(poll.registry(), Token(0)).expect("a waker"));
                LogListener { persisted, sleeper }
            })
            .collect();
        let thread = LogThread {
            log,
            jobs: receiver,
            listeners,
            map: SlotMap::even(2, 2),
            maker: SegmentThread::start(jobs.clone()).expect("a thread"),
            reports: sender,
            phase: Arc::clone(&phase),
            explain: |_| None,
            disk,
            no_segment_before: None,
        };
        let thread = guard::spawn("log".to_owned(), move || {
            let _locked = opened;
            thread.run();
        });
        Self {
            jobs,
            heard,
            reports,
            fails,
            refused,
            feed,
            phase,
            thread: thread.expect("a thread"),
            directory,
        }
    }

    fn append(&self, group: u32, ready: u64) {
        self.jobs
            .send(LogJob::Append(append(group, ready)))
            .expect("the thread listens");
    }

    fn checkpoint(&self, group: u32, index: u64) {
        self.jobs
            .send(LogJob::Checkpoint(checkpoint(group, index)))
            .expect("the thread listens");
    }

    /// Ends the thread and says how the log looks to the next start.
    fn close(self) -> (Vec<Report>, Outcome) {
        // A log that has failed does not listen any more.
        let _ = self.jobs.send(LogJob::Close);
        self.thread.join().expect("no panic");
        let opened = open(&self.directory);
        let (_log, recovery) =
            Log::open(opened.disk(), settings(&opened), &mut Recovering::new(2, 1)).expect("a log");
        (self.reports.try_iter().collect(), recovery.outcome)
    }
}

fn checkpoint(group: u32, index: u64) -> CheckpointJob {
    CheckpointJob {
        group: GroupId(group),
        index: Index(index),
        term: Term(1),
        bytes: Bytes::from_static(b"a state"),
    }
}

/// The `ready`th ready of a group: one entry.
fn append(group: u32, ready: u64) -> Append {
    let entry = Entry {
        index: Index(ready),
        term: Term(1),
        kind: EntryKind::Normal,
        payload: Bytes::new(),
    };
    Append {
        group: GroupId(group),
        ready,
        urgent: false,
        hard_state: (ready == 1).then_some(HardState {
            term: Term(1),
            vote: 1,
            commit: Index(0),
        }),
        commit: Index(ready - 1),
        entries: vec![entry],
    }
}

#[test]
fn each_core_hears_of_its_own_groups_in_order_and_closing_writes_the_end_mark() {
    let world = World::start();
    for ready in 1..=20 {
        world.append(1, ready);
        world.append(2, ready);
    }
    for (heard, group) in world.heard.iter().zip(1..) {
        let (mut last, mut sync_end) = (0, antiphon_log::LogPosition::ZERO);
        while last < 20 {
            let report = heard.recv().expect("the thread lives");
            assert!(report.sync_end > sync_end);
            sync_end = report.sync_end;
            for persisted in report.persisted {
                assert_eq!(persisted.group, GroupId(group));
                assert!(persisted.ready > last);
                let released: Vec<u64> = persisted
                    .positions
                    .iter()
                    .map(|(index, _)| index.0)
                    .collect();
                assert!(released.into_iter().eq(last + 1..=persisted.ready));
                last = persisted.ready;
            }
        }
    }
    let (reports, outcome) = world.close();
    assert!(reports.is_empty());
    assert_eq!(outcome, Outcome::Clean);
}

#[test]
fn a_failed_sync_is_final_nothing_is_released_and_there_is_no_end_mark() {
    let world = World::start();
    world.append(1, 1);
    assert_eq!(world.heard[0].recv().expect("synced").persisted[0].ready, 1);
    world.fails.store(true, Ordering::SeqCst);
    world.append(1, 2);
    assert!(matches!(world.reports.recv(), Ok(Report::LogFailed { told }) if !told.is_empty()));
    let _ = world.heard[0].recv();
    assert_eq!(
        world.phase.now(),
        Phase::Stopping,
        "cores end, so that no client waits for an ack"
    );
    // A disk that works again makes no difference.
    world.fails.store(false, Ordering::SeqCst);
    assert!(
        world.heard[0].recv().is_err(),
        "the thread has ended without another word"
    );
    let (_, outcome) = world.close();
    assert_eq!(outcome, Outcome::Unclean);
}

#[test]
fn a_port_keeps_what_the_channel_refuses_and_offers_it_in_order() {
    let (jobs, receiver) = bounded::<LogJob<MoodyDisk>>(2);
    let mut port = LogPort::new(jobs);
    for ready in 1..=5 {
        port.append(append(1, ready));
    }
    let mut taken = Vec::new();
    while taken.len() < 5 {
        while let Ok(LogJob::Append(append)) = receiver.try_recv() {
            taken.push(append.ready);
        }
        port.offer_again();
    }
    assert_eq!(taken, [1, 2, 3, 4, 5]);
    assert!(port.waiting.is_empty());
}

#[test]
fn a_checkpoint_without_space_is_told_and_dropped_and_the_log_goes_on() {
    let world = World::start();
    world.append(1, 1);
    assert_eq!(world.heard[0].recv().expect("synced").persisted[0].ready, 1);
    world.checkpoint(1, 1);
    while world.refused.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    for ready in 2..=3 {
        world.append(1, ready);
        assert_eq!(
            world.heard[0].recv().expect("the log lives").persisted[0].ready,
            ready
        );
    }
    let (reports, outcome) = world.close();
    assert!(reports.is_empty());
    assert_eq!(outcome, Outcome::Clean);
}

#[test]
fn a_checkpoint_is_written_though_the_log_always_has_appends() {
    const ASKED_AT: u64 = 10;
    const READIES: u64 = 3 * CHECKPOINT_FLUSHES_MAX as u64;
    let world = World::start();
    world.append(1, 1);
    assert_eq!(world.heard[0].recv().expect("synced").persisted[0].ready, 1);
    {
        let mut feed = world.feed.lock().expect("no panic");
        (feed.next, feed.end, feed.checkpoint_at) = (2, READIES + 1, ASKED_AT);
        feed.give();
    }
    let mut last = 1;
    while last < READIES {
        last = world.heard[0].recv().expect("the log lives").persisted[0].ready;
    }
    let waited = world.feed.lock().expect("no panic").tried_at;
    let waited = waited.map(|at| at - ASKED_AT);
    // Other files may be synced in between, each with one append more.
    let bound = 2 * u64::from(CHECKPOINT_FLUSHES_MAX);
    assert!(
        waited.is_some_and(|flushes| (1..bound).contains(&flushes)),
        "{waited:?}"
    );
    assert!(world.close().0.is_empty());
}

#[test]
fn only_what_leaves_the_log_whole_is_survived() {
    let disk = |kind| {
        LogError::Disk(DiskError {
            op: DiskOp::Write,
            kind,
        })
    };
    let too_large = LogError::CheckpointTooLarge {
        group: GroupId(1),
        bytes: 1 << 31,
    };
    assert!(is_survived(&too_large) && is_survived(&disk(DiskErrorKind::Full)));
    assert!(!is_survived(&disk(DiskErrorKind::Io)) && !is_survived(&LogError::Failed));
}
