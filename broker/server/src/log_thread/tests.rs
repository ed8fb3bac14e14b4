//! The log thread over a real directory, and over a disk that fails when told to.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use antiphon_core::Recovering;
use antiphon_disk::{DataDirectory, DiskFile, FileDisk, NewDirectory};
use antiphon_log::{
    DiskError, DiskErrorKind, DiskOp, Entry, EntryKind, GroupId, HardState, Index, LogSettings,
    Outcome, Term,
};
use antiphon_protocol::NodeId;
use bytes::Bytes;
use crossbeam_channel::bounded;
use mio::{Poll, Token};
use tempfile::TempDir;

use super::*;
use crate::guard;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

/// A disk whose syncs fail while the flag is up, and that never has space for a checkpoint, which it says when the gate opens.
#[derive(Clone, Debug)]
struct MoodyDisk {
    /// Open once its sender is gone.
    gate: Receiver<()>,
    files: FileDisk,
    fails: Arc<AtomicBool>,
    /// Bytes that are free; `u64::MAX`: as on the real disk.
    left: Arc<AtomicU64>,
    /// How many checkpoints found no space.
    refused: Arc<AtomicUsize>,
}

impl Disk for MoodyDisk {
    type File = DiskFile;

    fn create(&self, name: &str) -> Result<DiskFile, DiskError> {
        if name.starts_with("checkpoint/") {
            self.refused.fetch_add(1, Ordering::SeqCst);
            let _ = self.gate.recv();
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
        self.files.sync(file)
    }
    fn free_bytes(&self) -> Result<Option<u64>, DiskError> {
        match self.left.load(Ordering::SeqCst) {
            u64::MAX => self.files.free_bytes(),
            left => Ok(Some(left)),
        }
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
    left: Arc<AtomicU64>,
    cells: Arc<LogCells>,
    refused: Arc<AtomicUsize>,
    /// Checkpoints wait until this is gone.
    gate: Option<Sender<()>>,
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
        Self::start_with(None)
    }

    fn start_with(pace: Option<ScrubPace>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let opened = open(&directory);
        let fails = Arc::new(AtomicBool::new(false));
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let cells = Arc::<LogCells>::default();
        let refused = Arc::new(AtomicUsize::new(0));
        let (jobs, receiver) = bounded(64);
        let (gate, closed) = bounded(0);
        let disk = MoodyDisk {
            gate: closed,
            files: opened.disk(),
            fails: Arc::clone(&fails),
            left: Arc::clone(&left),
            refused: Arc::clone(&refused),
        };
        let (log, _) = Log::open(disk.clone(), settings(&opened), &mut Recovering::new(2, 1))
            .expect("a new log");
        let directory_id = opened.file().directory_id;
        let scrubbing = Scrubbing::start(pace, disk.clone(), directory_id, Arc::clone(&cells));
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
            makers: Makers::start(&jobs).expect("a thread"),
            checkpoints: CheckpointQueue::default(),
            reports: sender,
            phase: Arc::clone(&phase),
            cells: Arc::clone(&cells),
            explain: |_| None,
            disk,
            no_segment_before: None,
            exchange: Exchange::new(2),
            space: SpaceWatch::default(),
            retaining: Retaining::new(false, Box::new(|_| {})),
            scrubbing: scrubbing.expect("a thread"),
            clock: Clock::start(),
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
            left,
            cells,
            refused,
            gate: Some(gate),
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
    fn close(mut self) -> (Vec<Report>, Outcome) {
        self.gate = None;
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

/// Waits for another thread.
fn wait_until(is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "it is never so");
        std::thread::yield_now();
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
fn no_append_waits_for_a_checkpoint_that_is_being_written() {
    const READIES: u64 = 200;
    let world = World::start();
    world.append(1, 1);
    assert_eq!(world.heard[0].recv().expect("synced").persisted[0].ready, 1);
    world.checkpoint(1, 1);
    wait_until(|| world.refused.load(Ordering::SeqCst) > 0);
    // The gate is closed: the file is not written before all of these are durable.
    for ready in 2..=READIES {
        world.append(1, ready);
        let report = world.heard[0].recv().expect("the log lives");
        assert_eq!(report.persisted[0].ready, ready);
    }
    assert_eq!(world.refused.load(Ordering::SeqCst), 1);
    assert!(world.close().0.is_empty());
}

#[test]
fn a_checkpoint_without_space_is_told_and_dropped_and_the_next_one_is_tried() {
    let mut world = World::start();
    world.gate = None;
    world.append(1, 1);
    assert_eq!(world.heard[0].recv().expect("synced").persisted[0].ready, 1);
    for ready in 2..=3 {
        world.checkpoint(1, 1);
        wait_until(|| world.refused.load(Ordering::SeqCst) >= ready as usize - 1);
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
fn a_full_disk_is_told_while_appends_go_on_and_an_idle_thread_sees_that_there_is_space_again() {
    let world = World::start();
    let is_full = || world.cells.is_full.load(Ordering::SeqCst);
    world.append(1, 1);
    assert_eq!(world.heard[0].recv().expect("synced").persisted[0].ready, 1);
    world.left.store(0, Ordering::SeqCst);
    let until = Instant::now() + PATIENCE;
    let mut ready = 1;
    while !is_full() {
        assert!(
            Instant::now() < until,
            "the disk is full, and it is not seen"
        );
        ready += 1;
        world.append(1, ready);
        let report = world.heard[0].recv().expect("what was admitted is written");
        assert_eq!(report.persisted[0].ready, ready);
    }
    // Nothing is sent to the thread from here on.
    world.left.store(u64::MAX - 1, Ordering::SeqCst);
    wait_until(|| !is_full());
    assert_eq!(
        world.cells.left_bytes.load(Ordering::SeqCst),
        u64::MAX,
        "as much as there can be"
    );
    let (reports, outcome) = world.close();
    assert!(reports.is_empty());
    assert_eq!(outcome, Outcome::Clean);
}

/// Entries of 300 KiB until the second segment is being written; tells which ready was the last.
fn seal_the_first_segment(world: &World) -> u64 {
    for ready in 1..=6 {
        let mut append = append(1, ready);
        append.entries[0].payload = Bytes::from(vec![ready as u8; 300 << 10]);
        world
            .jobs
            .send(LogJob::Append(append))
            .expect("the thread listens");
        let heard = world.heard[0].recv().expect("synced");
        assert_eq!(heard.persisted[0].ready, ready);
    }
    6
}

/// Flips bits in the first segment's second entry.
fn rot(world: &World) {
    use std::os::unix::fs::FileExt;
    let path = world.directory.path().join("log/0000000000000001.seg");
    let file = std::fs::OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.write_all_at(&[0xFF; 4], 500 << 10))
        .expect("a file");
}

#[test]
fn rot_in_a_sealed_segment_is_counted_by_a_scrub_that_nobody_asked_for_and_appends_go_on() {
    let pace = ScrubPace {
        bytes_per_second: 1 << 30,
        pause: Duration::from_millis(5),
    };
    let world = World::start_with(Some(pace));
    let last = seal_the_first_segment(&world);
    let passes = || world.cells.scrub_passes.load(Ordering::SeqCst);
    let rotten = || world.cells.scrub_rot.load(Ordering::SeqCst);
    wait_until(|| passes() > 1);
    assert_eq!(rotten(), 0, "it is whole");
    assert!(world.cells.scrub_bytes.load(Ordering::SeqCst) >= 900 << 10);
    rot(&world);
    wait_until(|| rotten() > 0);
    world.append(1, last + 1);
    let heard = world.heard[0].recv().expect("synced");
    assert_eq!(heard.persisted[0].ready, last + 1);
    let (reports, _) = world.close();
    assert!(reports.is_empty(), "rot ends nothing");
}

#[test]
fn a_scrub_that_waits_for_its_tokens_ends_at_once_when_the_log_does() {
    // A piece takes weeks at this rate, and the pause before it is over.
    let pace = ScrubPace {
        bytes_per_second: 1,
        pause: Duration::from_millis(1),
    };
    let world = World::start_with(Some(pace));
    seal_the_first_segment(&world);
    wait_until(|| world.cells.scrub_bytes.load(Ordering::SeqCst) > 0);
    let began = Instant::now();
    let cells = Arc::clone(&world.cells);
    let (_, outcome) = world.close();
    assert_eq!(outcome, Outcome::Clean);
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(cells.scrub_passes.load(Ordering::SeqCst), 0);
    let read = cells.scrub_bytes.load(Ordering::SeqCst);
    assert!(read <= 600 << 10, "{read}: one step");
}

#[test]
fn a_segment_that_is_gone_though_nobody_let_it_go_is_rot() {
    let pace = ScrubPace {
        bytes_per_second: 1 << 30,
        pause: Duration::from_millis(5),
    };
    let world = World::start_with(Some(pace));
    seal_the_first_segment(&world);
    let path = world.directory.path().join("log/0000000000000001.seg");
    std::fs::remove_file(path).expect("it is there");
    wait_until(|| world.cells.scrub_rot.load(Ordering::SeqCst) > 0);
    drop(world.close());
}
