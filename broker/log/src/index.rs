//! Room index: where in the log the records of a room are.
//!
//! Derived from the log and never trusted over it. It is fed by *apply*, never by append: an entry that was overridden
//! keeps a valid checksum on disk, and only apply knows that it does not count.
//!
//! Memory: a room costs about 180 bytes, a batch 2 to 5 (a varint for its number of records, one for the distance from
//! the room's previous batch); see `runs`. Measured: one room with 2,000,000 batches 3.3 bytes a batch, or 2.3 if nobody
//! else writes; 7,000 rooms with 256,000 batches 2.6 MB in all.

mod runs;
mod varint;

pub use runs::Locate;

use antiphon_protocol::{RoomId, Seq};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::index::runs::Runs;
use crate::{LogPosition, SegmentId};

/// Where one batch of a room stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Located {
    /// Seq of its first record.
    pub first: Seq,
    /// Seq after its last record.
    pub next: Seq,
    /// Position of the block that holds it.
    pub at: LogPosition,
}

/// For each room its batches, ascending.
///
/// ```
/// # use antiphon_log::{Located, LogPosition, RoomIndex, SegmentId};
/// # use antiphon_protocol::{RoomId, Seq};
/// let at = |offset| LogPosition::new(SegmentId(1), offset);
/// let mut index = RoomIndex::new(0);
/// index.insert(RoomId(7), Seq(1), Seq(4), at(4096));
/// index.insert(RoomId(7), Seq(4), Seq(5), at(8192));
/// let found: Vec<Located> = index.locate(RoomId(7), Seq(3)).collect();
/// assert_eq!(found[0], Located { first: Seq(1), next: Seq(4), at: at(4096) });
/// assert_eq!(found[1], Located { first: Seq(4), next: Seq(5), at: at(8192) });
/// ```
#[derive(Debug)]
pub struct RoomIndex {
    rooms: HashMap<RoomId, Runs, FixedState>,
    batches: u64,
}

impl RoomIndex {
    /// An empty index; `seed` makes the places of rooms in its table unguessable.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        RoomIndex {
            rooms: HashMap::with_hasher(FixedState::with_seed(seed)),
            batches: 0,
        }
    }

    /// Adds the batch `first..next` of `room`, whose block stands at `at`.
    ///
    /// Runs of one room inside one block become one batch.
    ///
    /// # Panics
    /// If the batch is empty or does not come after all others of its room, in seq and in position (a bug in apply).
    pub fn insert(&mut self, room: RoomId, first: Seq, next: Seq, at: LogPosition) {
        let runs = self.rooms.entry(room).or_default();
        self.batches += u64::from(runs.push(Located { first, next, at }));
    }

    /// Lets go of all batches in segments below `first`; rooms that have none left are not known any more.
    pub fn trim(&mut self, first: SegmentId) {
        let below = LogPosition::new(first, 0);
        let mut gone = 0;
        self.rooms.retain(|_, runs| {
            gone += runs.trim(below);
            runs.next().is_some()
        });
        self.batches -= gone;
        // A room takes 180 bytes: the table shrinks when most of it is empty.
        if self.rooms.capacity() > 4 * self.rooms.len() {
            self.rooms.shrink_to_fit();
        }
    }

    /// The batches of `room` from the one that holds `seq` on, or, if none does, from the first one above it.
    #[must_use]
    pub fn locate(&self, room: RoomId, seq: Seq) -> Locate<'_> {
        self.rooms
            .get(&room)
            .map_or_else(Locate::nothing, |runs| runs.locate(seq))
    }

    /// Seq of the oldest record known of `room`.
    #[must_use]
    pub fn first_seq(&self, room: RoomId) -> Option<Seq> {
        self.rooms.get(&room).and_then(Runs::first)
    }

    /// Seq after the newest record known of `room`.
    #[must_use]
    pub fn next_seq(&self, room: RoomId) -> Option<Seq> {
        self.rooms.get(&room).and_then(Runs::next)
    }

    /// Number of rooms known.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Number of batches known.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// Heap memory held, in bytes; walks all rooms.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let table = self.rooms.allocation_size();
        table + self.rooms.values().map(Runs::memory_bytes).sum::<usize>()
    }
}

impl Default for RoomIndex {
    fn default() -> Self {
        RoomIndex::new(0)
    }
}

#[cfg(test)]
mod tests;
