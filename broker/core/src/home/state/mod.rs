//! What the log of one partition says, up to the last entry applied.
//!
//! A pure function of the entries: replaying them, or loading a checkpoint and replaying the rest, gives the same state on every replica. Nothing
//! proposed but not committed is in here; see `overlay`.

mod apply;
mod checkpoint;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;

use antiphon_log::{Index, Term};
use antiphon_protocol::{
    Count, Link, Namespace, Producer, ProducerSeq, RoomId, RoomName, Seq, Slot, Timestamp, UserName,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::home::cursors::Cursors;
use crate::home::erased::Erased;
use crate::home::producers::{ProducerAt, ProducerMap};
use crate::lane::Head;
use crate::planted::{Bug, planted};

pub(crate) use apply::{ApplyFault, Effects, Part};

/// One room that exists.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Room {
    /// Where its name is looked up.
    pub(crate) namespace: Namespace,
    /// Unique in its namespace.
    pub(crate) name: RoomName,
    /// Its newest applied record.
    pub(crate) head: Head,
}

/// What is remembered of one producer in one room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ProducerState {
    /// Its newest number, >= 1.
    pub(crate) last: ProducerSeq,
    /// The seq that number got.
    pub(crate) seq: Seq,
    /// When.
    pub(crate) time: Timestamp,
}

impl ProducerState {
    /// Whether it may be forgotten at the partition's `time`.
    pub(crate) fn is_silent(&self, producer: Producer, time: Timestamp) -> bool {
        time > producer.kept_until(self.time)
            || planted(Bug::ExpireEarly) && time.0 > self.time.0 + 1_000
    }
}

/// A name with the place where it is looked up.
pub(crate) type Named = (Namespace, RoomName);

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct State {
    rooms: BTreeMap<RoomId, Room>,
    names: HashMap<Named, RoomId, FixedState>,
    producers: ProducerMap<ProducerState>,
    /// Newest room counter given, per slot that has a room.
    counters: BTreeMap<Slot, u64>,
    /// Where readers are.
    cursors: Cursors,
    /// Which records were redacted.
    erased: Erased,
    /// Newest time stamped, or that was past when a producer was forgotten; times never fall within a partition.
    time: Timestamp,
    /// Newest birth of a producer that was forgotten; 0: none. More than seven days below `time`.
    forgotten: Timestamp,
    /// Last entry applied; 0: none.
    applied: Index,
    /// Its term.
    term: Term,
}

/// The head of a room that has no record.
pub(crate) fn head_at_start(room: RoomId) -> Head {
    Head {
        seq: Seq(0),
        count: Count(0),
        link: Link::start(room),
        time: Timestamp(0),
    }
}

impl State {
    /// The state before the first entry. `seed` makes the places of names in their table unguessable; it changes no answer.
    pub(crate) fn new(seed: u64) -> State {
        State {
            rooms: BTreeMap::new(),
            names: HashMap::with_hasher(FixedState::with_seed(seed)),
            producers: ProducerMap::new(),
            counters: BTreeMap::new(),
            cursors: Cursors::default(),
            erased: Erased::default(),
            time: Timestamp(0),
            forgotten: Timestamp(0),
            applied: Index(0),
            term: Term(0),
        }
    }

    /// The last entry applied; 0 if none.
    pub(crate) fn applied(&self) -> Index {
        self.applied
    }

    /// The term of the last entry applied.
    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// The newest time stamped.
    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    /// The newest birth of a producer that was forgotten; 0: none.
    pub(crate) fn forgotten(&self) -> Timestamp {
        self.forgotten
    }

    /// The room with this number.
    pub(crate) fn room(&self, room: RoomId) -> Option<&Room> {
        self.rooms.get(&room)
    }

    /// The number of the room with this name.
    pub(crate) fn named(&self, named: &Named) -> Option<RoomId> {
        self.names.get(named).copied()
    }

    /// The newest counter given in `slot`; 0: none.
    pub(crate) fn counter(&self, slot: Slot) -> u64 {
        self.counters.get(&slot).copied().unwrap_or(0)
    }

    /// What is remembered of a producer.
    pub(crate) fn producer(
        &self,
        room: RoomId,
        producer: Producer,
        sender: &[u8],
    ) -> Option<ProducerState> {
        self.producers.find(room, producer, sender).copied()
    }

    /// Where readers are.
    pub(crate) fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// Which records were redacted.
    pub(crate) fn erased(&self) -> &Erased {
        &self.erased
    }

    /// How many rooms there are.
    pub(crate) fn room_count(&self) -> usize {
        self.rooms.len()
    }

    /// How many producers are remembered.
    pub(crate) fn producer_count(&self) -> usize {
        self.producers.len()
    }

    /// The producers behind `after`, ascending.
    pub(crate) fn producers_after(
        &self,
        after: Option<&ProducerAt>,
    ) -> impl Iterator<Item = (RoomId, Producer, &UserName, &ProducerState)> {
        self.producers.iter_after(after)
    }
}
