//! The unacked messages of one room, in their order.

use std::collections::VecDeque;

use antiphon_protocol::{Producer, ProducerSeq, RequestId, RoomId, RoomName, RoomRef};

use crate::session::input::Mono;
use crate::session::outbox::entry::{Attempt, Entry};

/// Whether messages of the room may be sent under the producer at hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Block {
    /// All of them.
    Open,
    /// None for now. This number was refused for good and is free. Messages behind it that are in flight will be refused as
    /// out of order; when the last of them was, all behind it are numbered anew from here.
    Hole(ProducerSeq),
    /// Only those below `from`; the others wait for another producer.
    Spent {
        /// The first number that can never be admitted under this producer (or whose end is not known).
        from: ProducerSeq,
        /// It may take effect after all, so what is lost in flight behind it may, too.
        is_doubtful: bool,
    },
}

/// One room of the outbox.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: RoomName,
    /// Known from the first PUBACK on.
    pub(crate) room_id: Option<RoomId>,
    /// The number of the next message.
    pub(crate) next: ProducerSeq,
    /// Ascending by number and by request id; dense by number but behind a hole.
    pub(crate) entries: VecDeque<Entry>,
    /// No entry before it is waiting.
    pub(crate) cursor: usize,
    pub(crate) block: Block,
    /// The broker asked for patience: nothing is sent before.
    pub(crate) hold: Option<Mono>,
    /// Refusals of the first entry in a row.
    pub(crate) refusals: u32,
    /// It stands in the queue of rooms that may send.
    pub(crate) is_queued: bool,
}

impl Stream {
    pub(crate) fn new(name: RoomName, next: ProducerSeq) -> Stream {
        Stream {
            name,
            room_id: None,
            next,
            entries: VecDeque::new(),
            cursor: 0,
            block: Block::Open,
            hold: None,
            refusals: 0,
            is_queued: false,
        }
    }

    /// The end of the entries that may be sent; `is_turning`: a new producer is wanted, so only doubts are still settled.
    pub(crate) fn sendable_end(&self, is_turning: bool) -> usize {
        if self.hold.is_some() {
            return 0;
        }
        let end = if is_turning {
            self.doubt_end()
        } else {
            self.entries.len()
        };
        match self.block {
            Block::Open => end,
            Block::Hole(_) => 0,
            Block::Spent { from, .. } => end.min(self.place_from(from)),
        }
    }

    /// The first entry with at least this number.
    pub(crate) fn place_from(&self, number: ProducerSeq) -> usize {
        self.entries.partition_point(|entry| entry.number < number)
    }

    /// How the room is named in a frame: by number as soon as that is known.
    pub(crate) fn room_ref(&self) -> RoomRef<'_> {
        match self.room_id {
            Some(id) => RoomRef::Id(id),
            None => RoomRef::from(&self.name),
        }
    }

    /// Where the entry with this request id stands.
    pub(crate) fn place_of(&self, id: RequestId) -> Option<usize> {
        self.entries
            .binary_search_by_key(&id, |entry| entry.id)
            .ok()
    }

    /// The first entry to send, below `end`; the cursor moves up to it.
    pub(crate) fn next_waiting(&mut self, end: usize) -> Option<usize> {
        while self.cursor < end {
            if self.entries.get(self.cursor)?.attempt == Attempt::Waiting {
                return Some(self.cursor);
            }
            self.cursor += 1;
        }
        None
    }

    /// The end of those that must still be sent under this producer: behind the last one in doubt.
    fn doubt_end(&self) -> usize {
        self.entries
            .iter()
            .rposition(|entry| entry.is_doubtful)
            .map_or(0, |place| place + 1)
    }

    /// Takes an entry out; those behind it keep their numbers.
    pub(crate) fn remove(&mut self, place: usize) -> Option<Entry> {
        let entry = self.entries.remove(place)?;
        if place < self.cursor {
            self.cursor -= 1;
        }
        Some(entry)
    }

    /// Entries from `place` on are untouched, so that they can be numbered anew.
    pub(crate) fn is_untouched_from(&self, place: usize) -> bool {
        self.entries.iter().skip(place).all(Entry::is_untouched)
    }

    pub(crate) fn has_in_flight(&self) -> bool {
        self.entries.iter().any(Entry::is_in_flight)
    }

    /// Numbers the entries from `place` on, starting at `first`.
    pub(crate) fn renumber_from(&mut self, place: usize, producer: Producer, first: ProducerSeq) {
        let mut number = first;
        for entry in self.entries.iter_mut().skip(place) {
            entry.renumber(producer, number);
            number = number.next();
        }
        self.next = number;
        self.cursor = self.cursor.min(place);
    }
}
