//! Apply: the only way in which the state changes.
//!
//! Checks what admission stamped: whatever does not continue the state exactly is a bug, never repaired. A live core panics on it; recovery stops
//! the partition.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use antiphon_log::{
    CursorsItem, EraseItem, ExpireItem, Index, Item, ItemError, Items, RecordsItem, RoomItem, Term,
};
use antiphon_protocol::{
    CursorScope, Link, NameError, Producer, ProducerSeq, Record, RoomId, RoomName, Seq, Slot,
    Timestamp, UserName,
};

use crate::home::cursors::Cursor;
use crate::home::records::{RecordFault, records};
use crate::home::state::{ProducerState, Room, State, head_at_start};
use crate::lane::MovedCursor;

/// Records of one room inside one entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Part {
    /// The room.
    pub(crate) room: RoomId,
    /// Seq of the first record.
    pub(crate) first: Seq,
    /// Seq behind the last one.
    pub(crate) next: Seq,
    /// Link of `first - 1`.
    pub(crate) link_before: Link,
    /// Where the records stand in the entry's payload, in bytes.
    pub(crate) records: Range<u32>,
}

impl Part {
    /// That of an item whose last record stands before `next`.
    pub(crate) fn of(item: &RecordsItem<'_>, next: Seq) -> Result<Part, ApplyFault> {
        let start = u32::try_from(item.offset).map_err(|_| ApplyFault::Head)?;
        let end = u32::try_from(item.offset + item.records.len()).map_err(|_| ApplyFault::Head)?;
        Ok(Part {
            room: item.room,
            first: item.first,
            next,
            link_before: item.link_before,
            records: start..end,
        })
    }
}

/// What one entry changed. Reused from entry to entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    /// Rooms that exist from this entry on, in order.
    pub(crate) created: Vec<RoomId>,
    /// Records, one part per room, ascending by room.
    pub(crate) parts: Vec<Part>,
    /// Cursors that moved, ascending by room.
    pub(crate) cursors: Vec<MovedCursor>,
}

/// Why an entry cannot be applied. None of these is repaired.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ApplyFault {
    /// Not the entry behind the last one applied.
    #[error("INV-HOME-1: entries are applied in order, each once")]
    Index,
    /// An entry that changes the group's voters; none is ever proposed here yet.
    #[error("an entry of a kind that is not known")]
    Kind,
    /// The payload is no list of items, or has one of an unknown kind.
    #[error("the payload is not understood: {0}")]
    Item(#[from] ItemError),
    /// The records are no records.
    #[error("the records are not understood: {0}")]
    Record(#[from] RecordFault),
    /// A name is not lawful.
    #[error("a name is not lawful: {0}")]
    Name(#[from] NameError),
    /// A room id that was given already or skips one, or a name that is taken.
    #[error("INV-HOME-2: room ids are dense per slot, and a name has one room")]
    Room,
    /// Records of a room that does not exist.
    #[error("INV-HOME-3: records follow the creation of their room")]
    UnknownRoom,
    /// Records that do not continue their room.
    #[error("INV-HOME-4: seq, count and link continue the head of the room")]
    Head,
    /// A time before the partition's last one.
    #[error("INV-HOME-5: times never fall within a partition")]
    Time,
    /// A number of a producer that is not the next.
    #[error("INV-HOME-6: a producer's numbers are dense and each takes effect once")]
    Producer,
    /// A producer leaves that is not there.
    #[error("INV-HOME-7: only a known producer expires")]
    Expire,
    /// A cursor above its room's head, below where it stood, or moved twice at once.
    #[error("INV-HOME-48: cursors only move forward, and not above the head")]
    Cursor,
    /// A record is erased that is not there, is one of the same entry, or is erased already.
    #[error("INV-HOME-56: only a record of an earlier entry is erased, and once")]
    Erase,
    /// Two RECORDS items of one room in one entry.
    #[error("INV-HOME-8: an entry holds at most one run of records per room")]
    Twice,
}

impl State {
    /// Applies the entry `index` with its payload and tells in `effects` what it changed.
    ///
    /// # Errors
    /// See [`ApplyFault`]; the state is unusable then.
    pub(crate) fn apply(
        &mut self,
        index: Index,
        term: Term,
        payload: &[u8],
        effects: &mut Effects,
    ) -> Result<(), ApplyFault> {
        effects.created.clear();
        effects.parts.clear();
        effects.cursors.clear();
        if index != self.applied.next() || term < self.term {
            return Err(ApplyFault::Index);
        }
        for item in Items::new(payload) {
            match item? {
                Item::Room(item) => self.apply_room(&item, effects)?,
                Item::Records(item) => self.apply_records(&item, effects)?,
                Item::Expire(item) => self.apply_expire(&item)?,
                Item::Cursors(item) => self.apply_cursors(&item, effects)?,
                Item::Erase(item) => self.apply_erase(&item, effects)?,
            }
        }
        effects.parts.sort_unstable_by_key(|part| part.room);
        if effects
            .parts
            .windows(2)
            .any(|pair| pair[0].room == pair[1].room)
        {
            return Err(ApplyFault::Twice);
        }
        self.applied = index;
        self.term = term;
        Ok(())
    }

    fn apply_room(&mut self, item: &RoomItem<'_>, effects: &mut Effects) -> Result<(), ApplyFault> {
        let name = RoomName::try_from(item.name)?;
        let slot = item.room.slot();
        let is_next = item.room.counter() == self.counter(slot) + 1;
        if !is_next || slot != Slot::of(item.namespace, &name) {
            return Err(ApplyFault::Room);
        }
        let taken = self.names.insert((item.namespace, name.clone()), item.room);
        let room = Room {
            namespace: item.namespace,
            name,
            head: head_at_start(item.room),
        };
        if taken.is_some() || self.rooms.insert(item.room, room).is_some() {
            return Err(ApplyFault::Room);
        }
        self.counters.insert(slot, item.room.counter());
        effects.created.push(item.room);
        Ok(())
    }

    fn apply_records(
        &mut self,
        item: &RecordsItem<'_>,
        effects: &mut Effects,
    ) -> Result<(), ApplyFault> {
        let room = self
            .rooms
            .get_mut(&item.room)
            .ok_or(ApplyFault::UnknownRoom)?;
        let before = room.head;
        if item.first != before.seq.next()
            || item.count_before != before.count
            || item.link_before != before.link
        {
            return Err(ApplyFault::Head);
        }
        let mut run = Run::default();
        for record in records(item.records) {
            let record = record?;
            let count = room.head.count.0 + u64::from(record.kind().counts());
            let continues = record.room_id() == item.room
                && record.seq() == room.head.seq.next()
                && record.count().0 == count;
            if !continues {
                return Err(ApplyFault::Head);
            }
            debug_assert!(
                record.verify_link(room.head.link),
                "INV-HOME-4: the link continues the head of the room"
            );
            if record.time() < self.time {
                return Err(ApplyFault::Time);
            }
            self.time = record.time();
            room.head.seq = record.seq();
            room.head.count = record.count();
            room.head.link = record.link();
            room.head.time = record.time();
            run.step(&record, &mut self.producers)?;
        }
        let next = room.head.seq.next();
        run.close(&mut self.producers)?;
        effects.parts.push(Part::of(item, next)?);
        Ok(())
    }

    fn apply_cursors(
        &mut self,
        item: &CursorsItem<'_>,
        effects: &mut Effects,
    ) -> Result<(), ApplyFault> {
        let mut previous: Option<(RoomId, UserName, Box<str>)> = None;
        for entry in item.moves() {
            let head = self
                .rooms
                .get(&entry.room)
                .ok_or(ApplyFault::UnknownRoom)?
                .head;
            if entry.time < self.time {
                return Err(ApplyFault::Time);
            }
            self.time = entry.time;
            let user = UserName::try_from(entry.user)?;
            let name: Box<str> = core::str::from_utf8(entry.name)
                .map_err(|_| ApplyFault::Cursor)?
                .into();
            let stood = self.cursors.find(entry.room, &user, &name);
            let key = Some((entry.room, user.clone(), name.clone()));
            // Ascending, so that none is there twice.
            let is_lawful = entry.seq <= head.seq
                && entry.count.0 <= head.count.0
                && stood.is_none_or(|stood| stood.seq <= entry.seq)
                && previous < key;
            if !is_lawful {
                return Err(ApplyFault::Cursor);
            }
            previous = key;
            let cursor = Cursor {
                name,
                seq: entry.seq,
                count: entry.count,
                time: entry.time,
                scope: entry.scope,
            };
            effects.cursors.push(MovedCursor {
                room: entry.room,
                user: user.clone(),
                name: cursor.name.clone(),
                position: cursor.position(),
                scope: CursorScope::from_wire(cursor.scope),
            });
            self.cursors.set(entry.room, user, cursor);
        }
        Ok(())
    }

    /// Readers get these records as ERASED from here on.
    fn apply_erase(&mut self, item: &EraseItem<'_>, effects: &Effects) -> Result<(), ApplyFault> {
        for (room, seq) in item.erased() {
            let head = self.rooms.get(&room).ok_or(ApplyFault::UnknownRoom)?.head;
            let part = effects.parts.iter().find(|part| part.room == room);
            let earlier_end = part.map_or(head.seq.next(), |part| part.first);
            if seq >= earlier_end || !self.erased.mark(room, seq) {
                return Err(ApplyFault::Erase);
            }
        }
        Ok(())
    }

    fn apply_expire(&mut self, item: &ExpireItem<'_>) -> Result<(), ApplyFault> {
        for (producer, sender) in item.expired() {
            let state = self
                .producers
                .remove(item.room, producer, sender)
                .ok_or(ApplyFault::Expire)?;
            // Whoever stamped this knew that so much time had passed.
            let left = producer.kept_until(state.time).0.saturating_add(1);
            self.time = self.time.max(Timestamp(left));
            self.forgotten = self.forgotten.max(producer.birth());
        }
        Ok(())
    }
}

type Producers = crate::home::producers::ProducerMap<ProducerState>;

/// Consecutive records of one producer: looked up once, written back once.
#[derive(Default)]
struct Run<'a> {
    open: Option<OpenRun<'a>>,
}

struct OpenRun<'a> {
    room: RoomId,
    producer: Producer,
    sender: &'a [u8],
    state: Option<ProducerState>,
}

impl<'a> Run<'a> {
    fn step(&mut self, record: &Record<'a>, producers: &mut Producers) -> Result<(), ApplyFault> {
        let fits = |run: &OpenRun<'_>| {
            run.producer == record.producer() && run.sender == record.sender().as_bytes()
        };
        if !self.open.as_ref().is_some_and(fits) {
            self.close(producers)?;
            let state = producers
                .find(
                    record.room_id(),
                    record.producer(),
                    record.sender().as_bytes(),
                )
                .copied();
            self.open = Some(OpenRun {
                room: record.room_id(),
                producer: record.producer(),
                sender: record.sender().as_bytes(),
                state,
            });
        }
        let Some(run) = &mut self.open else {
            return Ok(());
        };
        let expected = run.state.map_or(ProducerSeq(1), |state| state.last.next());
        let distance = run.state.map_or(0, |state| record.seq().0 - state.seq.0);
        if record.producer_seq() != expected
            || record.back() != u32::try_from(distance).unwrap_or(0)
        {
            return Err(ApplyFault::Producer);
        }
        run.state = Some(ProducerState {
            last: expected,
            seq: record.seq(),
            time: record.time(),
        });
        Ok(())
    }

    fn close(&mut self, producers: &mut Producers) -> Result<(), ApplyFault> {
        let Some(run) = self.open.take() else {
            return Ok(());
        };
        let Some(state) = run.state else {
            return Ok(());
        };
        if let Some(known) = producers.find_mut(run.room, run.producer, run.sender) {
            *known = state;
            return Ok(());
        }
        producers.insert(
            run.room,
            run.producer,
            UserName::try_from(run.sender)?,
            state,
        );
        Ok(())
    }
}
