//! Where a core and the log thread leave numbers for the admin thread.
//!
//! A core is asked: it looks at one flag at the end of a turn and copies what it has counted only then, so counting stays a
//! field increment and a turn that nobody asked about costs one load. The log thread adds to atomics, once per sync.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use antiphon_core::CoreStats;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Upper ends of the buckets of a sync's duration, in microseconds; the last one is open.
pub(crate) const SYNC_BUCKETS_US: [u64; 12] = [
    64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 65_536, 262_144, 1_048_576,
];

/// What a core thread has counted: its state, and itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counted {
    pub(crate) core: CoreStats,
    /// Sockets that had output in a turn.
    pub(crate) flushes: u64,
    /// Sends that took bytes.
    pub(crate) sends: u64,
}

/// One core's answer place.
#[derive(Debug, Default)]
pub(crate) struct CoreCell {
    is_asked: AtomicBool,
    /// Questions answered, and the newest answer. Locked only while somebody asks.
    told: Mutex<(u64, Counted)>,
    changed: Notify,
}

impl CoreCell {
    /// Asks; wake the core afterwards. Returns what [`CoreCell::answer`] waits for.
    pub(crate) fn ask(&self) -> u64 {
        let next = self.told.lock().0 + 1;
        self.is_asked.store(true, Ordering::SeqCst);
        next
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::SeqCst)
    }

    /// Answers if somebody asked.
    pub(crate) fn tell(&self, stats: impl FnOnce() -> Counted) {
        if self.is_asked.load(Ordering::Relaxed) && self.is_asked.swap(false, Ordering::SeqCst) {
            let mut told = self.told.lock();
            *told = (told.0 + 1, stats());
            drop(told);
            self.changed.notify_waiters();
        }
    }

    /// The answer to a question, or to a later one.
    pub(crate) async fn answer(&self, asked: u64) -> Counted {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before the look, so that an answer in between is not missed.
            changed.as_mut().enable();
            let (answered, stats) = *self.told.lock();
            if answered >= asked {
                return stats;
            }
            changed.await;
        }
    }
}

/// What the log thread has done.
#[derive(Debug, Default)]
pub(crate) struct LogCells {
    pub(crate) bytes: AtomicU64,
    pub(crate) blocks: AtomicU64,
    pub(crate) sync_us: AtomicU64,
    /// Left for the log when it was looked at last; `u64::MAX`: unknown.
    pub(crate) left_bytes: AtomicU64,
    /// Publishes are refused for that.
    pub(crate) is_full: AtomicBool,
    /// Read again by scrubs.
    pub(crate) scrub_bytes: AtomicU64,
    /// Passes of scrubs over all sealed segments.
    pub(crate) scrub_passes: AtomicU64,
    /// What they found; the same thing counts in each pass.
    pub(crate) scrub_rot: AtomicU64,
    /// Syncs by duration; one more bucket than [`SYNC_BUCKETS_US`] has ends.
    pub(crate) syncs: [AtomicU64; SYNC_BUCKETS_US.len() + 1],
}

impl LogCells {
    /// The disk was looked at.
    pub(crate) fn left(&self, bytes: Option<u64>, is_full: bool) {
        self.left_bytes
            .store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// A sync, with the write before it, is done.
    pub(crate) fn synced(&self, bytes: u64, blocks: u32, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = SYNC_BUCKETS_US.partition_point(|end| *end < took);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.blocks.fetch_add(blocks.into(), Ordering::Relaxed);
        self.sync_us.fetch_add(took, Ordering::Relaxed);
        if let Some(bucket) = self.syncs.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_counts_in_the_bucket_that_it_fits_and_a_slow_one_in_the_open_one() {
        let cells = LogCells::default();
        for took in [0, 64, 65, 2_000_000] {
            cells.synced(100, 2, Duration::from_micros(took));
        }
        let counts: Vec<u64> = cells
            .syncs
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(cells.bytes.load(Ordering::Relaxed), 400);
        assert_eq!(cells.blocks.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn a_core_that_nobody_asked_is_not_looked_at() {
        let cell = CoreCell::default();
        cell.tell(|| panic!("nobody asked"));
        let asked = cell.ask();
        assert!(cell.is_asked());
        let stats = Counted {
            sends: 7,
            ..Counted::default()
        };
        cell.tell(|| stats);
        assert!(!cell.is_asked());
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let answer = runtime.expect("a runtime").block_on(cell.answer(asked));
        assert_eq!(answer, stats);
    }
}
