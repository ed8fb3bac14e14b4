//! Scrubbing: a thread reads sealed segments again, slowly, so that rot is found before a reader meets it.
//!
//! ```text
//!  log thread --sealed segments--> list      scrub thread: pause -> pass over the list -> pause -> pass -> ...
//!                                                          each piece waits for its tokens
//! ```
//! It only reads. A page that the device refuses is noted with the others of its kind, so that no new map of its segment is made; one that is open
//! stays open.

mod tokens;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use antiphon_log::{Disk, DiskErrorKind, LostBlocks, Rot, Scrub, SealedSegment, SegmentId};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use crate::admin::cells::LogCells;
use crate::guard;
use crate::limits::SCRUB_TOLD_MAX;
use crate::log_thread::LogThread;
use crate::priority::lower_for_scrub;

use tokens::Tokens;

/// How fast and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScrubPace {
    /// > 0
    pub(crate) bytes_per_second: u64,
    /// Before the first pass, for opening has read everything, and between two.
    pub(crate) pause: Duration,
}

/// The log thread's side of it.
#[derive(Debug, Default)]
pub(crate) struct Scrubbing {
    thread: Option<Running>,
    /// Active segment and first one kept when the list was told last.
    told: Option<(SegmentId, SegmentId)>,
}

#[derive(Debug)]
struct Running {
    sealed: Arc<Mutex<Vec<SealedSegment>>>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// The scrub thread's state.
struct Scrubber<D: Disk> {
    disk: D,
    directory_id: u128,
    pause: Duration,
    tokens: Tokens,
    /// Segments that were not there in the pass before. One that retention lets go may be gone a moment before the list says so, so only who is missed
    /// twice is missing.
    missing: Vec<SegmentId>,
    sealed: Arc<Mutex<Vec<SealedSegment>>>,
    /// Nothing comes: it is closed when the thread is to end.
    stop: Receiver<()>,
    cells: Arc<LogCells>,
}

/// The thread is to end.
struct Stopped;

impl Scrubbing {
    /// Starts the thread; without a pace there is none.
    pub(crate) fn start<D>(
        pace: Option<ScrubPace>,
        disk: D,
        directory_id: u128,
        cells: Arc<LogCells>,
    ) -> io::Result<Self>
    where
        D: Disk + Clone + Send + 'static,
        D::File: Send,
    {
        let Some(pace) = pace else {
            return Ok(Self::default());
        };
        let sealed = Arc::<Mutex<Vec<SealedSegment>>>::default();
        let (stop, stopped) = bounded(0);
        let scrubber = Scrubber {
            disk,
            directory_id,
            pause: pace.pause,
            tokens: Tokens::new(pace.bytes_per_second),
            missing: Vec::new(),
            sealed: Arc::clone(&sealed),
            stop: stopped,
            cells,
        };
        let thread = guard::spawn("scrub".to_owned(), move || scrubber.run())?;
        Ok(Self {
            thread: Some(Running {
                sealed,
                stop,
                thread,
            }),
            told: None,
        })
    }

    /// Waits for the thread's end: a piece at most.
    pub(crate) fn end(self) {
        if let Some(Running { stop, thread, .. }) = self.thread {
            drop(stop);
            // A panic there has ended the process already.
            let _ = thread.join();
        }
    }
}

impl<D: Disk> LogThread<D> {
    /// Tells the scrub thread which segments are sealed, when that has changed.
    pub(super) fn tell_sealed(&mut self) {
        let Some(running) = &self.scrubbing.thread else {
            return;
        };
        let now = Some((self.log.active_segment(), self.log.first_kept()));
        if self.scrubbing.told != now {
            *running.sealed.lock() = self.log.sealed_segments();
            self.scrubbing.told = now;
        }
    }
}

impl<D: Disk + Clone> Scrubber<D> {
    fn run(mut self) {
        lower_for_scrub();
        while self.wait(self.pause).is_ok() && self.pass().is_ok() {}
    }

    /// Waits so long, unless the thread is to end.
    fn wait(&self, time: Duration) -> Result<(), Stopped> {
        match self.stop.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(Stopped),
        }
    }

    /// All segments that are sealed now; those sealed meanwhile are for the next pass, or a fast writer would let none end.
    fn pass(&mut self) -> Result<(), Stopped> {
        let Some(newest) = self.sealed.lock().last().map(|one| one.segment) else {
            return Ok(());
        };
        let mut told = Told {
            missing_before: std::mem::take(&mut self.missing),
            ..Told::default()
        };
        let mut done = SegmentId(0);
        while let Some(next) = self.next_behind(done).filter(|one| one.segment <= newest) {
            self.scrub(next, &mut told)?;
            done = next.segment;
        }
        self.cells.scrub_passes.fetch_add(1, Ordering::Relaxed);
        let Told {
            rotten,
            segments,
            bytes,
            ..
        } = told;
        tracing::info!(segments, bytes, rotten, "scrub_passed");
        Ok(())
    }

    /// Looked up each time: retention lets segments go meanwhile.
    fn next_behind(&self, done: SegmentId) -> Option<SealedSegment> {
        let sealed = self.sealed.lock();
        sealed.iter().find(|one| one.segment > done).copied()
    }

    fn scrub(&mut self, sealed: SealedSegment, told: &mut Told) -> Result<(), Stopped> {
        let segment = sealed.segment;
        let mut scrub = match Scrub::open(self.disk.clone(), self.directory_id, sealed) {
            Ok(scrub) => scrub,
            Err(error) if error.kind == DiskErrorKind::Missing => {
                self.missing.push(segment);
                told.miss(segment, &self.cells);
                return Ok(());
            }
            Err(error) => {
                tracing::warn!(%segment, %error, "scrub_failed");
                return Ok(());
            }
        };
        told.segments += 1;
        loop {
            let step = scrub.step(&mut |rot| told.tell(&rot, &self.cells));
            let step = match step {
                Ok(step) => step,
                // Descriptors and the like: this segment is for the next pass.
                Err(error) => {
                    tracing::warn!(%segment, %error, "scrub_failed");
                    return Ok(());
                }
            };
            told.bytes += u64::from(step.bytes);
            let bytes = &self.cells.scrub_bytes;
            bytes.fetch_add(step.bytes.into(), Ordering::Relaxed);
            let wait = self.tokens.take(step.bytes.into(), Instant::now());
            self.wait(wait)?;
            if step.is_done {
                return Ok(());
            }
        }
    }
}

/// What a pass has found.
#[derive(Debug, Default)]
struct Told {
    missing_before: Vec<SegmentId>,
    rotten: u64,
    segments: u64,
    bytes: u64,
}

impl Told {
    /// Whether it is one of those that are told one by one.
    fn count(&mut self, cells: &LogCells) -> bool {
        self.rotten += 1;
        cells.scrub_rot.fetch_add(1, Ordering::Relaxed);
        self.rotten <= SCRUB_TOLD_MAX
    }

    fn miss(&mut self, segment: SegmentId, cells: &LogCells) {
        if self.missing_before.contains(&segment) && self.count(cells) {
            tracing::error!(%segment, "rot_segment_missing");
        }
    }

    fn tell(&mut self, rot: &Rot, cells: &LogCells) {
        if !self.count(cells) {
            return;
        }
        match rot {
            Rot::Blocks(blocks) => tell_blocks(blocks),
            Rot::Unreadable { from, end } => tracing::error!(%from, %end, "rot_unreadable"),
            Rot::Header { segment } => tracing::warn!(%segment, "rot_header"),
            Rot::Slot { segment } => tracing::warn!(%segment, "rot_slot"),
            other => tracing::error!(?other, "rot"),
        }
    }
}

fn tell_blocks(blocks: &LostBlocks) {
    let LostBlocks {
        from,
        end,
        entry,
        records,
        is_all_told,
    } = blocks;
    let group = entry.map(|(group, _)| group.0);
    let index = entry.map(|(_, index)| index.0);
    tracing::error!(%from, %end, group, index, runs = records.len(), is_all_told, "rot_found");
    for run in records {
        let (room, first, last) = (run.room.0, run.first.0, run.next.0.saturating_sub(1));
        tracing::error!(%from, room, first, last, "rot_records");
    }
}
