//! Space: publishes are refused before the disk is full, so that control blocks and checkpoints still fit.
//!
//! ```text
//!  left = free on the disk + the segment made ahead + the rest of the segment being written
//!
//!  0 ........ one segment ........ + reserve_bytes ........ + resume_bytes ........
//!             refused: this is kept for control blocks      | refused, if it was |  taken
//! ```
//! Below the lower mark at least `reserve_bytes` are left that can be written to: either a whole segment can still be made, or what is made holds as
//! much. What was admitted before the mark was reached is written all the same. Two marks, so that a disk that others fill and empty by a little does
//! not turn publishers away and call them back with every look.

use crate::disk_trait::Disk;
use crate::log::{Ahead, Log};

/// What is left for the log, as seen last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Space {
    /// Free on the disk, the segment made ahead, and the rest of the one being written. `None`: the disk does not tell.
    pub left_bytes: Option<u64>,
    /// Publishes are to be refused.
    pub is_full: bool,
}

/// What the log remembers between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpaceGate {
    /// Free on the disk when it was asked last.
    free: Option<u64>,
    is_full: bool,
}

impl SpaceGate {
    /// A segment was made: its bytes are not free any more.
    pub(crate) fn took(&mut self, bytes: u32) {
        self.free = self.free.map(|free| free.saturating_sub(bytes.into()));
    }
}

impl<D: Disk> Log<D> {
    /// Asks the disk how much is free, and says what is left. While a segment is being made elsewhere the disk may have given the space already, or
    /// not: then it counts, but not for more than there was before.
    pub fn look_at_space(&mut self) -> Space {
        // A disk that cannot be asked now says what it has by itself, when a write fails.
        let free = self.disk.free_bytes().unwrap_or_default();
        self.space.free = match self.ahead {
            Ahead::Making => free.map(|free| {
                let free = free.saturating_add(self.settings.segment_bytes.into());
                self.space.free.map_or(free, |before| before.min(free))
            }),
            Ahead::None | Ahead::Ready(_) => free,
        };
        self.weigh_space()
    }

    /// Whether the next segment is made. If not, what others take of the disk counts at once: without a segment the log cannot go on behind this one.
    #[must_use]
    pub const fn is_segment_ahead(&self) -> bool {
        matches!(self.ahead, Ahead::Ready(_))
    }

    /// What is left, as far as it is known without asking the disk: exact but for what others do. Cheap enough for every flush.
    pub fn weigh_space(&mut self) -> Space {
        let left_bytes = self.left_bytes();
        let mark = if self.space.is_full {
            self.settings.resume_bytes
        } else {
            self.settings.reserve_bytes
        };
        let mark = u64::from(self.settings.segment_bytes).saturating_add(mark);
        self.space.is_full =
            self.settings.reserve_bytes > 0 && left_bytes.is_some_and(|left| left < mark);
        Space {
            left_bytes,
            is_full: self.space.is_full,
        }
    }

    fn left_bytes(&self) -> Option<u64> {
        let ahead = match self.ahead {
            Ahead::Ready(_) => u64::from(self.settings.segment_bytes),
            Ahead::None | Ahead::Making => 0,
        };
        Some(
            self.space
                .free?
                .saturating_add(ahead)
                .saturating_add(u64::from(self.active.rest_bytes())),
        )
    }
}
