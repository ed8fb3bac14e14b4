//! Reader threads: they read from the log's mapped files whatever is not hot any more.
//!
//! A page that is not in memory stops the thread that touches it for milliseconds; so cores never touch a map. One job is
//! one slice of at most [`READ_SLICE_BYTES_MAX`], and a long read asks for the next slice when the last one was used: so all
//! readers of the node take turns, and a reader of a million records delays nobody by more than a slice.

mod pool;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use antiphon_core::{CoreId, EntryAnswer, EntryJob, ReadAnswer, ReadFailure, ReadJob, ReadRecords};
use antiphon_disk::{EntryRead, MapError, RoomRead, RoomReadError, SegmentMaps};
use antiphon_log::{Entry, ReadError};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::guard;
use crate::limits::{READ_JOBS_MAX, READ_SLICE_BYTES_MAX};
use crate::readers::pool::Pool;
use crate::wake::Sleeper;

/// What a core asks for.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Records of a room.
    Records(ReadJob),
    /// Entries for a replica on another node.
    Entries(EntryJob),
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// See [`Job::Records`].
    Records(ReadAnswer),
    /// See [`Job::Entries`].
    Entries(EntryAnswer),
}

/// A core's way to the reader threads.
#[derive(Clone, Debug)]
pub(crate) struct ReadPort {
    jobs: Sender<Job>,
    /// What did not fit, in order. Bounded by what the core's state has under way: one pull per subscription, one page per request, home's own reads, and
    /// one piece of entries per partition.
    waiting: VecDeque<Job>,
}

/// Where a core hears from the reader threads.
#[derive(Clone, Debug)]
pub(crate) struct ReadListener {
    pub(crate) answers: Sender<Answer>,
    pub(crate) sleeper: Arc<Sleeper>,
}

/// The reader threads. They end when no [`ReadPort`] is left.
#[derive(Debug)]
pub(crate) struct Readers {
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Reader {
    jobs: Receiver<Job>,
    /// By core.
    listeners: Arc<[ReadListener]>,
    maps: Arc<SegmentMaps>,
    pool: Arc<Pool>,
    /// Failed reads of all reader threads.
    failures: Arc<AtomicU64>,
}

impl ReadPort {
    fn new(jobs: Sender<Job>) -> Self {
        Self {
            jobs,
            waiting: VecDeque::new(),
        }
    }

    /// Asks for a read. If too many wait for the reader threads, the job waits here: its answer may be for another core, so it is never answered from here.
    pub(crate) fn ask(&mut self, job: Job) {
        self.waiting.push_back(job);
        self.offer_again();
    }

    /// Offers what waits, in order.
    pub(crate) fn offer_again(&mut self) {
        while let Some(job) = self.waiting.pop_front() {
            // Disconnected: the node is ending, and nobody waits for the answer.
            if let Err(TrySendError::Full(job)) = self.jobs.try_send(job) {
                self.waiting.push_front(job);
                return;
            }
        }
    }

    /// Whether something waits: then the core sleeps for [`HANDOVER_RETRY_MS`](crate::limits::HANDOVER_RETRY_MS) at most.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl Readers {
    /// Starts `count` threads that read through `maps`.
    pub(crate) fn start(
        count: u32,
        maps: Arc<SegmentMaps>,
        listeners: Vec<ReadListener>,
    ) -> std::io::Result<(Self, ReadPort)> {
        let (sender, jobs) = bounded(READ_JOBS_MAX);
        let pool = Pool::new();
        let failures = Arc::new(AtomicU64::new(0));
        let listeners: Arc<[ReadListener]> = listeners.into();
        let mut threads = Vec::new();
        for number in 0..count {
            let reader = Reader {
                jobs: jobs.clone(),
                listeners: Arc::clone(&listeners),
                maps: Arc::clone(&maps),
                pool: Arc::clone(&pool),
                failures: Arc::clone(&failures),
            };
            threads.push(guard::spawn(format!("reader-{number}"), move || {
                reader.run()
            })?);
        }
        Ok((Self { threads }, ReadPort::new(sender)))
    }

    /// Waits for their end.
    pub(crate) fn join(self) {
        for thread in self.threads {
            // A panic there has ended the process already.
            let _ = thread.join();
        }
    }
}

impl Reader {
    fn run(self) {
        for job in &self.jobs {
            let (reply_to, answer) = self.answer(&job);
            let listener = &self.listeners[usize::from(reply_to.0)];
            // Waits if that core has fallen far behind: no core ever waits for this thread, so that ends. A core that has
            // ended hears nothing more.
            if listener.answers.send(answer).is_ok() {
                listener.sleeper.wake();
            }
        }
    }

    fn answer(&self, job: &Job) -> (CoreId, Answer) {
        match job {
            Job::Records(job) => {
                let answer = job.answer(self.read(job).map_err(|error| self.failed(&error)));
                (job.reply_to, Answer::Records(answer))
            }
            Job::Entries(job) => {
                let answer = EntryAnswer {
                    group: job.group,
                    result: self.read_entries(job).map_err(|error| self.failed(&error)),
                };
                (job.reply_to, Answer::Entries(answer))
            }
        }
    }

    /// Somebody may ask for what is damaged as often as they like: told at 1, 2, 4, 8, ...
    fn failed(&self, error: &RoomReadError) -> ReadFailure {
        let failure = failure_of(error);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures.is_power_of_two() {
            tracing::warn!(%error, ?failure, failures, "read_failed");
        }
        failure
    }

    fn read_entries(&self, job: &EntryJob) -> Result<Vec<Entry>, RoomReadError> {
        self.maps.read_entries(&EntryRead {
            group: job.group,
            first: job.first,
            places: &job.places,
            bytes_max: job.bytes_max as usize,
            below: job.below,
        })
    }

    fn read(&self, job: &ReadJob) -> Result<ReadRecords, RoomReadError> {
        let mut buffer = self.pool.take();
        let wanted = job.until.0.saturating_sub(job.from.0);
        let read = RoomRead {
            room: job.room,
            from: job.from,
            records_max: u32::try_from(wanted).unwrap_or(u32::MAX),
            bytes_max: READ_SLICE_BYTES_MAX.min(job.bytes_max as usize),
            located: &job.located,
            below: job.below,
        };
        let slice = self.maps.read_room(&read, &mut buffer)?;
        if slice.first != job.from {
            // The index said that the batch holds it.
            let at = job
                .located
                .first()
                .map_or_else(Default::default, |located| located.at);
            return Err(ReadError::NotThere {
                at,
                room: job.room,
                from: job.from,
            }
            .into());
        }
        Ok(ReadRecords {
            first: slice.first,
            next: slice.next,
            link_before: slice.link_before,
            records: self.pool.share(buffer),
        })
    }
}

/// What the core needs to know of a failed read.
fn failure_of(error: &RoomReadError) -> ReadFailure {
    match error {
        RoomReadError::Map(MapError::Missing { .. }) => ReadFailure::Gone,
        RoomReadError::Map(MapError::TooMany { .. }) => ReadFailure::Busy,
        _ => ReadFailure::Damaged,
    }
}

#[cfg(test)]
mod tests;
