//! The log thread: it alone writes and syncs.
//!
//! ```text
//!  cores --Append, Checkpoint--> jobs --drain--> submit ... submit -> flush (one sync) --Persistence + wake--> cores
//!                                  ^                                                 |
//!                                  +----- while one sync runs, the next batch collects here; no timer, no delay
//! ```
//! **Failure is final.** A failed write or sync may have lost what was written, and a second try may succeed with the data
//! gone. So nothing is acked any more, the node is told, and the log is dropped without an END mark.
//!
//! **Segments** are made ahead by a thread of their own: filling 64 MiB with zeros takes longer than any publisher waits.

mod checkpoints;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use antiphon_core::{CheckpointJob, SlotMap};
use antiphon_log::{
    Append, Disk, DiskErrorKind, Flushed, Log, LogError, PreparedSegment, SegmentMaker,
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::core_thread::Persistence;
use crate::guard;
use crate::limits::{LOG_IDLE_MS, LOG_JOBS_TURN_MAX, SEGMENT_RETRY_MS};
use crate::node::Report;
use crate::phase::{Phase, PhaseCell};
use crate::priority::raise_for_log;
use crate::wake::Sleeper;
use checkpoints::Checkpoints;

/// What the log thread is asked to do.
pub(crate) enum LogJob<D: Disk> {
    /// Keep this, and say when it is durable.
    Append(Append),
    /// Write a checkpoint file and the block that names it.
    Checkpoint(CheckpointJob),
    /// A segment was made, or could not be.
    Made(Result<PreparedSegment<D>, LogError>),
    /// All cores have ended: flush, END mark, end.
    Close,
    /// End as a process that is killed ends: nothing more is written.
    Abandon,
}

/// A core's way to the log thread. Never blocks.
///
/// Order is kept: while something waits here, everything else queues behind it. What can wait is bounded by the core's own
/// admission: a partition admits publishes only while what is not yet synced fits its budget of bytes, and makes at most
/// one ready per turn. It is offered again in every turn.
pub(crate) struct LogPort<D: Disk> {
    jobs: Sender<LogJob<D>>,
    waiting: VecDeque<LogJob<D>>,
}

/// Where a core hears from the log thread.
#[derive(Debug)]
pub(crate) struct LogListener {
    pub(crate) persisted: Sender<Persistence>,
    pub(crate) sleeper: Arc<Sleeper>,
}

/// The log thread's state.
pub(crate) struct LogThread<D: Disk> {
    pub(crate) log: Log<D>,
    pub(crate) jobs: Receiver<LogJob<D>>,
    /// By core.
    pub(crate) listeners: Vec<LogListener>,
    pub(crate) map: SlotMap,
    pub(crate) maker: SegmentThread<D>,
    pub(crate) reports: Sender<Report>,
    pub(crate) phase: Arc<PhaseCell>,
    /// What the disk itself says about the failure, for people.
    pub(crate) explain: fn(&D) -> Option<String>,
    pub(crate) disk: D,
    /// The last segment could not be made: no other is ordered before.
    pub(crate) no_segment_before: Option<Instant>,
}

/// The thread that makes segments ahead.
pub(crate) struct SegmentThread<D: Disk> {
    makers: Sender<SegmentMaker<D>>,
    thread: JoinHandle<()>,
}

/// What a drain of the jobs brought.
#[derive(Debug, Default)]
struct Drained {
    taken: usize,
    checkpoints: Vec<CheckpointJob>,
    ending: Option<Ending>,
}

/// How the thread was told to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Close,
    Abandon,
}

impl<D: Disk> LogPort<D> {
    pub(crate) fn new(jobs: Sender<LogJob<D>>) -> Self {
        Self {
            jobs,
            waiting: VecDeque::new(),
        }
    }

    pub(crate) fn append(&mut self, append: Append) {
        self.offer(LogJob::Append(append));
    }

    pub(crate) fn checkpoint(&mut self, job: CheckpointJob) {
        self.offer(LogJob::Checkpoint(job));
    }

    /// Whether something waits: then the core sleeps for [`HANDOVER_RETRY_MS`] at most. It may be that other cores filled the
    /// channel, and that no report for this one is under way that would wake it.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Offers what waits, in order.
    pub(crate) fn offer_again(&mut self) {
        while let Some(job) = self.waiting.pop_front() {
            if let Err(TrySendError::Full(job)) = self.jobs.try_send(job) {
                self.waiting.push_front(job);
                return;
            }
        }
    }

    fn offer(&mut self, job: LogJob<D>) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(job);
            return;
        }
        // Disconnected: the log has failed, and the node is about to end. Nothing will be acked.
        if let Err(TrySendError::Full(job)) = self.jobs.try_send(job) {
            self.waiting.push_back(job);
        }
    }
}

impl<D> SegmentThread<D>
where
    D: Disk + Send + 'static,
    D::File: Send,
{
    /// A thread that makes segments and gives them to `made`.
    pub(crate) fn start(made: Sender<LogJob<D>>) -> std::io::Result<Self> {
        // The log asks for a segment only when none is made or being made.
        let (makers, orders) = bounded::<SegmentMaker<D>>(1);
        let thread = guard::spawn("segments".to_owned(), move || {
            for maker in orders {
                // The log thread may be closing: then the segment stays for the next start.
                let _ = made.send(LogJob::Made(maker.make()));
            }
        })?;
        Ok(Self { makers, thread })
    }
}

impl<D: Disk> SegmentThread<D> {
    /// Waits until the segment that is being made is done.
    fn end(self) {
        drop(self.makers);
        // A panic there has ended the process already.
        let _ = self.thread.join();
    }
}

impl<D> LogThread<D>
where
    D: Disk + Clone + Send + 'static,
    D::File: Send,
{
    /// Works until told to end, or until the disk fails.
    pub(crate) fn run(mut self) {
        raise_for_log();
        match self.serve() {
            Ok(Ending::Close) => self.close(),
            Ok(Ending::Abandon) => self.abandon(),
            Err(error) => self.fail(&error),
        }
    }

    fn serve(&mut self) -> Result<Ending, LogError> {
        let mut checkpoints = Checkpoints::default();
        let mut is_marked = false;
        self.order_segment();
        loop {
            let has_work = self.log.has_queued() || !checkpoints.is_empty();
            let drained = match self.next_job(has_work, is_marked) {
                Ok(first) => self.drain(first),
                Err(RecvTimeoutError::Timeout) => Drained::default(),
                Err(RecvTimeoutError::Disconnected) => return Ok(Ending::Close),
            };
            if drained.ending == Some(Ending::Abandon) {
                return Ok(Ending::Abandon);
            }
            drained
                .checkpoints
                .into_iter()
                .for_each(|job| checkpoints.keep(job));
            let has_appends = self.log.has_queued();
            if has_appends {
                let flushed = self.log.flush()?;
                self.publish(flushed);
                is_marked = false;
            }
            if let Some(job) = checkpoints.next(has_appends) {
                self.checkpoint(&job)?;
                is_marked = false;
            } else if !has_appends && !is_marked && drained.taken == 0 {
                self.log.idle_mark()?;
                is_marked = true;
            }
            self.order_segment();
            if let Some(ending) = drained.ending {
                return Ok(ending);
            }
        }
    }

    /// The next job: without waiting if there is work, for a while if the log is to be marked idle then, else for as long as
    /// it takes.
    fn next_job(&self, has_work: bool, is_marked: bool) -> Result<LogJob<D>, RecvTimeoutError> {
        if has_work {
            self.jobs.recv_timeout(Duration::ZERO)
        } else if is_marked {
            self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            self.jobs.recv_timeout(Duration::from_millis(LOG_IDLE_MS))
        }
    }

    /// Takes all jobs that are there; appends go into the log's queue.
    fn drain(&mut self, first: LogJob<D>) -> Drained {
        let mut drained = Drained::default();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                LogJob::Append(append) => self.log.submit(append),
                LogJob::Checkpoint(job) => drained.checkpoints.push(job),
                LogJob::Made(made) => self.adopt(made),
                LogJob::Close => {
                    drained.ending = Some(Ending::Close);
                    break;
                }
                LogJob::Abandon => {
                    drained.ending = Some(Ending::Abandon);
                    break;
                }
            }
            drained.taken += 1;
            next = if drained.taken < LOG_JOBS_TURN_MAX {
                self.jobs.try_recv().ok()
            } else {
                None
            };
        }
        drained
    }

    fn adopt(&mut self, made: Result<PreparedSegment<D>, LogError>) {
        if let Err(error) = &made {
            tracing::warn!(%error, told = self.told(), "segment_not_made");
            self.no_segment_before = Some(Instant::now() + Duration::from_millis(SEGMENT_RETRY_MS));
        }
        self.log.adopt(made);
    }

    /// Has the next segment made, unless that failed a moment ago: a disk without space, or a process without descriptors,
    /// would otherwise be asked without a pause.
    fn order_segment(&mut self) {
        if self.no_segment_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        if let Some(maker) = self.log.segment_maker() {
            let ordered = self.maker.makers.try_send(maker);
            assert!(
                ordered.is_ok(),
                "INV-SRV-9: the log asks for one segment at a time"
            );
        }
    }

    /// Writes a checkpoint, or tells why not and goes on with the ones that are there: the log has everything.
    fn checkpoint(&mut self, job: &CheckpointJob) -> Result<(), LogError> {
        match self
            .log
            .write_checkpoint(job.group, job.index, job.term, &job.bytes)
        {
            Err(error) if is_survived(&error) => {
                tracing::warn!(group = %job.group, index = %job.index, %error, told = self.told(), "checkpoint_not_written");
                Ok(())
            }
            written => written,
        }
    }

    /// Tells each core what of its groups is durable.
    fn publish(&self, flushed: Flushed) {
        let mut by_core: Vec<Vec<_>> = self.listeners.iter().map(|_| Vec::new()).collect();
        for persisted in flushed.persisted {
            let Some(home) = self.map.home_of_group(persisted.group) else {
                unreachable!("INV-SRV-10: only groups at home on a core append")
            };
            by_core[usize::from(home.0)].push(persisted);
        }
        for (listener, persisted) in self.listeners.iter().zip(by_core) {
            if persisted.is_empty() {
                continue;
            }
            // Waits if the core has fallen far behind: no core ever waits for this thread, so that ends. A core that has
            // ended hears nothing more.
            if listener
                .persisted
                .send(Persistence {
                    persisted,
                    sync_end: flushed.sync_end,
                })
                .is_ok()
            {
                listener.sleeper.wake();
            }
        }
    }

    fn close(self) {
        let Self {
            log,
            maker,
            reports,
            explain,
            disk,
            ..
        } = self;
        maker.end();
        match log.close() {
            Ok(_) => tracing::info!("log_closed"),
            Err(error) => tell_failure(&error, explain(&disk), &reports),
        }
    }

    /// Lets go of everything as it is. The maker is waited for: nothing writes into the directory once the node has let go of it.
    fn abandon(self) {
        drop(self.jobs);
        self.maker.end();
        tracing::info!("log_abandoned");
    }

    fn fail(self, error: &LogError) {
        tell_failure(error, self.told(), &self.reports);
        // Clients are not left waiting for acks that cannot come.
        self.phase.raise(Phase::Stopping);
        self.listeners
            .iter()
            .for_each(|listener| listener.sleeper.wake());
        // Cores find nobody who listens, and the maker nobody to give a segment to. It is waited for all the same: nothing
        // writes into the directory once the node has let go of it.
        drop(self.jobs);
        self.maker.end();
    }

    fn told(&self) -> Option<String> {
        (self.explain)(&self.disk)
    }
}

/// Whether a checkpoint that could not be written leaves the log whole. Without space for the file, [`Log::write_checkpoint`]
/// says whether it does: it fails for good if not.
fn is_survived(error: &LogError) -> bool {
    match error {
        LogError::CheckpointTooLarge { .. } => true,
        LogError::Disk(error) => error.kind == DiskErrorKind::Full,
        _ => false,
    }
}

fn tell_failure(error: &LogError, told: Option<String>, reports: &Sender<Report>) {
    let told = told.unwrap_or_else(|| error.to_string());
    tracing::error!(%error, told, "log_failed");
    // The node listens until all threads have ended.
    let _ = reports.send(Report::LogFailed { told });
}

#[cfg(test)]
mod tests;
