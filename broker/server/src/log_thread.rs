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
//! **Segments and checkpoint files** are made by threads of their own (see [`makers`]): filling 64 MiB with zeros, or syncing the
//! state of a large partition, takes longer than any publisher waits. What they made comes back as a job.

mod makers;
mod retaining;
mod scrubbing;
mod space;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_core::channel::Exchange;
use antiphon_core::{CheckpointJob, CheckpointQueue, SlotMap};
use antiphon_log::{Append, Disk, Flushed, Log, LogError, MadeCheckpoint, PreparedSegment};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

use crate::admin::cells::LogCells;
use crate::clock::Clock;
use crate::core_thread::Persistence;
use crate::limits::{
    LOG_IDLE_MS, LOG_JOBS_TURN_MAX, RETENTION_LOOK_MS, SEGMENT_RETRY_MS, SPACE_LOOK_MS,
};
use crate::node::Report;
use crate::phase::{Phase, PhaseCell};
use crate::priority::raise_for_log;
use crate::wake::Sleeper;

pub(crate) use makers::Makers;
pub(crate) use retaining::Retaining;
pub(crate) use scrubbing::{ScrubPace, Scrubbing};
pub(crate) use space::SpaceWatch;

/// What the log thread is asked to do.
pub(crate) enum LogJob<D: Disk> {
    /// Keep this, and say when it is durable.
    Append(Append),
    /// Have a checkpoint file written, and write the block that names it.
    Checkpoint(CheckpointJob),
    /// A segment was made, or could not be.
    Made(Result<PreparedSegment<D>, LogError>),
    /// A checkpoint file was made, or could not be.
    Checkpointed(Result<MadeCheckpoint, LogError>),
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
    pub(crate) makers: Makers<D>,
    pub(crate) checkpoints: CheckpointQueue,
    pub(crate) reports: Sender<Report>,
    pub(crate) phase: Arc<PhaseCell>,
    /// What the admin thread is told.
    pub(crate) cells: Arc<LogCells>,
    /// What the disk itself says about the failure, for people.
    pub(crate) explain: fn(&D) -> Option<String>,
    pub(crate) disk: D,
    /// The last segment could not be made: no other is ordered before.
    pub(crate) no_segment_before: Option<Instant>,
    /// Where the cores see whether the disk is full.
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) space: SpaceWatch,
    pub(crate) retaining: Retaining,
    pub(crate) scrubbing: Scrubbing,
    pub(crate) clock: Clock,
}

/// What a drain of the jobs brought.
#[derive(Debug, Default)]
struct Drained {
    taken: usize,
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
        let mut is_marked = false;
        self.retain()?;
        self.tell_kept();
        self.tell_sealed();
        self.look_at_space();
        self.order_segment();
        loop {
            let drained = match self.next_job(self.log.has_queued(), is_marked) {
                Ok(first) => self.drain(first)?,
                Err(RecvTimeoutError::Timeout) => Drained::default(),
                Err(RecvTimeoutError::Disconnected) => return Ok(Ending::Close),
            };
            if drained.ending == Some(Ending::Abandon) {
                return Ok(Ending::Abandon);
            }
            if self.log.has_queued() {
                let began = Instant::now();
                let flushed = self.log.flush()?;
                self.cells
                    .synced(flushed.bytes, flushed.blocks, began.elapsed());
                self.publish(flushed);
                self.tell_kept();
                is_marked = false;
            } else if !is_marked && drained.taken == 0 {
                self.log.idle_mark()?;
                is_marked = true;
            }
            self.retain()?;
            self.tell_sealed();
            self.order_checkpoint();
            self.order_segment();
            self.look_at_space();
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
        } else if self.space.is_full() {
            // Nobody publishes: it is for this thread to see that there is space again.
            self.jobs.recv_timeout(Duration::from_millis(SPACE_LOOK_MS))
        } else if is_marked && self.retaining.is_on() {
            self.jobs
                .recv_timeout(Duration::from_millis(RETENTION_LOOK_MS))
        } else if is_marked {
            self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            self.jobs.recv_timeout(Duration::from_millis(LOG_IDLE_MS))
        }
    }

    /// Takes all jobs that are there; appends go into the log's queue.
    fn drain(&mut self, first: LogJob<D>) -> Result<Drained, LogError> {
        let mut drained = Drained::default();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                LogJob::Append(append) => self.log.submit(append),
                LogJob::Checkpoint(job) => self.checkpoints.keep(job),
                LogJob::Made(made) => self.adopt(made),
                LogJob::Checkpointed(made) => self.adopt_checkpoint(made)?,
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
        Ok(drained)
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
            self.makers.make_segment(maker);
        }
    }

    /// Has the next checkpoint file written, unless one is being written.
    fn order_checkpoint(&mut self) {
        if let Some(job) = self.checkpoints.take() {
            let maker = self.log.checkpoint_maker(job.group, job.index, job.term);
            let maker = maker.expect("INV-SRV-12: a log that has failed serves no more");
            self.makers.make_checkpoint(maker, job);
        }
    }

    /// Has the block written that names a checkpoint file; or tells why there is none, and goes on with the ones that are
    /// there: the log has everything.
    fn adopt_checkpoint(&mut self, made: Result<MadeCheckpoint, LogError>) -> Result<(), LogError> {
        self.checkpoints.done();
        match self.log.adopt_checkpoint(made) {
            Err(error) if !self.log.is_failed() => {
                tracing::warn!(%error, told = self.told(), "checkpoint_not_written");
                Ok(())
            }
            adopted => adopted,
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
            makers,
            scrubbing,
            reports,
            explain,
            disk,
            ..
        } = self;
        scrubbing.end();
        makers.end();
        match log.close() {
            Ok(_) => tracing::info!("log_closed"),
            Err(error) => tell_failure(&error, explain(&disk), &reports),
        }
    }

    /// Lets go of everything as it is. The other threads are waited for: nothing touches the directory once the node has let go of it.
    fn abandon(self) {
        drop(self.jobs);
        self.scrubbing.end();
        self.makers.end();
        tracing::info!("log_abandoned");
    }

    fn fail(self, error: &LogError) {
        tell_failure(error, self.told(), &self.reports);
        // Clients are not left waiting for acks that cannot come.
        self.phase.raise(Phase::Stopping);
        self.listeners
            .iter()
            .for_each(|listener| listener.sleeper.wake());
        // Cores find nobody who listens, and the makers nobody to give anything to. They are waited for all the same: nothing
        // writes into the directory once the node has let go of it.
        drop(self.jobs);
        self.scrubbing.end();
        self.makers.end();
    }

    fn told(&self) -> Option<String> {
        (self.explain)(&self.disk)
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
