//! Entries for replicas that lag: what the library asked for and the hot tail does not hold any more.
//!
//! ```text
//!  library: entries from `low` on? ─▶ not hot ─▶ wanted ─▶ a reader thread reads a piece of the log
//!          ◀─ asked again, and served ◀─────── the piece ◀──────┘
//! ```
//! One piece at a time and group. It is dropped when nobody has used it for a while: the library goes on from its end, or asks for another one.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::RefCell;

use antiphon_log::{Entry, Index};
use raft::GetEntriesContext;

use crate::home::limits::{PIECE_TICKS_MAX, WANTED_MAX};

/// What the library asked for.
#[derive(Debug)]
struct Wanted {
    low: Index,
    context: GetEntriesContext,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lagging {
    /// Oldest first, each beginning asked for once. The library asks through a shared reference.
    wanted: RefCell<VecDeque<Wanted>>,
    /// Consecutive; all are applied here, so nothing ever replaces them.
    piece: Vec<Entry>,
    /// Ticks since the piece was read.
    piece_ticks: u32,
}

impl Lagging {
    /// The library wants entries from `low` on. One that finds no place asks again: each answer to a heartbeat makes it do so.
    pub(super) fn want(&self, low: Index, context: GetEntriesContext) {
        let mut wanted = self.wanted.borrow_mut();
        if wanted.len() < WANTED_MAX && wanted.iter().all(|known| known.low != low) {
            wanted.push_back(Wanted { low, context });
        }
    }

    /// What is to be read next.
    pub(super) fn next(&self) -> Option<Index> {
        self.wanted.borrow().front().map(|wanted| wanted.low)
    }

    /// The entries of the piece from `low` on, if it holds that one.
    pub(super) fn from(&self, low: Index) -> Option<&[Entry]> {
        let first = self.piece.first()?.index;
        let place = usize::try_from(low.0.checked_sub(first.0)?).ok()?;
        self.piece.get(place..).filter(|rest| !rest.is_empty())
    }

    /// Takes a piece that was read, and gives back who wanted something of it.
    pub(super) fn fetched(&mut self, piece: Vec<Entry>) -> Vec<GetEntriesContext> {
        (self.piece, self.piece_ticks) = (piece, 0);
        let all = core::mem::take(&mut *self.wanted.borrow_mut());
        let (served, left) = all
            .into_iter()
            .partition::<Vec<_>, _>(|wanted| self.from(wanted.low).is_some());
        self.wanted.borrow_mut().extend(left);
        served.into_iter().map(|wanted| wanted.context).collect()
    }

    /// What was to be read next cannot be: whoever wants it asks again.
    pub(super) fn give_up(&mut self) {
        self.wanted.borrow_mut().pop_front();
    }

    /// Nobody is to be sent anything any more.
    pub(super) fn clear(&mut self) {
        self.wanted.borrow_mut().clear();
        self.piece = Vec::new();
    }

    /// Time passes.
    pub(super) fn tick(&mut self) {
        self.piece_ticks = self.piece_ticks.saturating_add(1);
        if self.piece_ticks > PIECE_TICKS_MAX {
            self.piece = Vec::new();
        }
    }
}
