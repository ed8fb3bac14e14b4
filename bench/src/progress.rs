//! How far a run is: written by the generator's thread, read by whoever draws a bar. And the other way round: whether it shall end.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// What a run is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Phase {
    /// The system starts.
    Starting = 0,
    /// Connections are made, rooms are subscribed, history is written.
    Preparing = 1,
    /// Load is on, nothing counts yet.
    WarmUp = 2,
    /// What happens counts.
    Measuring = 3,
    /// What is under way arrives.
    Draining = 4,
}

impl Phase {
    const ALL: [Phase; 5] = [
        Phase::Starting,
        Phase::Preparing,
        Phase::WarmUp,
        Phase::Measuring,
        Phase::Draining,
    ];

    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Preparing => "preparing",
            Phase::WarmUp => "warming up",
            Phase::Measuring => "measuring",
            Phase::Draining => "draining",
        }
    }
}

/// Shared between two threads; a reader may see the parts of two moments.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU32,
    done: AtomicU64,
    due: AtomicU64,
    events: AtomicU64,
    cancelled: AtomicBool,
}

/// A look at a [`Progress`].
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// What it is doing.
    pub phase: Phase,
    /// How much of this phase is done, 0..=1.
    pub share: f64,
    /// Deliveries, acks or answers so far.
    pub events: u64,
}

impl Progress {
    /// A phase begins.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u32, Ordering::Relaxed);
        self.step(0, 0);
    }

    /// `done` of `due` in this phase.
    pub fn step(&self, done: u64, due: u64) {
        self.due.store(due, Ordering::Relaxed);
        self.done.store(done, Ordering::Relaxed);
    }

    /// So many events have come.
    pub fn count(&self, events: u64) {
        self.events.store(events, Ordering::Relaxed);
    }

    /// The run shall end as soon as it can; the system is stopped with it.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the run shall end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// How far it is.
    #[must_use]
    pub fn look(&self) -> Look {
        let phase = self.phase.load(Ordering::Relaxed) as usize;
        let due = self.due.load(Ordering::Relaxed);
        let done = self.done.load(Ordering::Relaxed).min(due);
        Look {
            phase: Phase::ALL[phase.min(Phase::ALL.len() - 1)],
            share: if due == 0 {
                0.0
            } else {
                done as f64 / due as f64
            },
            events: self.events.load(Ordering::Relaxed),
        }
    }
}
