//! What a node's threads are to do, as one number that all of them watch.

use std::sync::atomic::{AtomicU8, Ordering};

/// How far the node's life is. Only rises.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Serving.
    Running = 0,
    /// Answering what is under way, saying GOAWAY.
    Draining = 1,
    /// Core threads end; whoever is still there gets GOAWAY.
    Stopping = 2,
    /// Core threads end without a word, as in a process that was killed.
    Killed = 3,
}

/// The node's phase, shared. Who raises it wakes the threads that sleep.
#[derive(Debug, Default)]
pub(crate) struct PhaseCell(AtomicU8);

impl PhaseCell {
    pub(crate) fn now(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            2 => Phase::Stopping,
            _ => Phase::Killed,
        }
    }

    pub(crate) fn raise(&self, to: Phase) {
        self.0.fetch_max(to as u8, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_never_goes_back() {
        let cell = PhaseCell::default();
        assert_eq!(cell.now(), Phase::Running);
        cell.raise(Phase::Stopping);
        cell.raise(Phase::Draining);
        assert_eq!(cell.now(), Phase::Stopping);
    }
}
