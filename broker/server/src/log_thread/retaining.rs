//! Retention: the log thread asks the log what may go, and tells everybody before it does.

use std::time::{Duration, Instant};

use antiphon_log::{Disk, LogError, SegmentId};

use crate::limits::{RETENTION_ASK_FULL_MS, RETENTION_LOOK_MS};
use crate::log_thread::LogThread;

/// What the thread remembers of it.
pub(crate) struct Retaining {
    is_on: bool,
    next_look: Option<Instant>,
    next_ask: Option<Instant>,
    kept_from: SegmentId,
    /// Lets go of the maps of segments below.
    forget_maps: Box<dyn Fn(SegmentId) + Send>,
}

impl Retaining {
    /// `is_on`: something is to be let go in this life.
    pub(crate) fn new(is_on: bool, forget_maps: Box<dyn Fn(SegmentId) + Send>) -> Self {
        Self {
            is_on,
            next_look: None,
            next_ask: None,
            kept_from: SegmentId(0),
            forget_maps,
        }
    }

    /// The thread looks now and then also if nothing comes.
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }
}

impl<D: Disk> LogThread<D> {
    /// Once in a while: lets go of what may go. A roll does so by itself; this is for a log that is too quiet to roll.
    pub(super) fn retain(&mut self) -> Result<(), LogError> {
        if !self.retaining.is_on {
            return Ok(());
        }
        let now = Instant::now();
        if self.retaining.next_look.is_some_and(|at| now < at) {
            return Ok(());
        }
        self.retaining.next_look = Some(now + Duration::from_millis(RETENTION_LOOK_MS));
        self.log.tell_time(self.clock.now().wall.0);
        if self.log.retain()? {
            self.tell_kept();
        }
        self.ask_for_checkpoints(now);
        Ok(())
    }

    /// Asks for checkpoints that are missing: not while some are under way, and rarely while the disk is full, for then they may fail, and each time that
    /// a quiet partition is asked it writes an entry.
    fn ask_for_checkpoints(&mut self, now: Instant) {
        if !self.checkpoints.is_idle() || self.retaining.next_ask.is_some_and(|at| now < at) {
            return;
        }
        let holding = self.log.holding();
        if holding.is_empty() {
            return;
        }
        let pause_ms = match self.space.is_full() {
            true => RETENTION_ASK_FULL_MS,
            false => RETENTION_LOOK_MS,
        };
        self.retaining.next_ask = Some(now + Duration::from_millis(pause_ms));
        for group in holding {
            self.exchange.want_checkpoint(group);
        }
        self.wake_all();
    }

    /// Tells the cores and the readers what is not kept any more, before it is removed.
    pub(super) fn tell_kept(&mut self) {
        let kept_from = self.log.first_kept();
        if kept_from > self.retaining.kept_from {
            self.retaining.kept_from = kept_from;
            self.exchange.set_kept_from(kept_from);
            (self.retaining.forget_maps)(kept_from);
            self.wake_all();
            tracing::info!(first_kept = %kept_from, "segments_let_go");
        }
    }

    fn wake_all(&self) {
        self.listeners
            .iter()
            .for_each(|listener| listener.sleeper.wake());
    }
}
