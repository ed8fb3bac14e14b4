//! What is proposed and not committed yet: all that admission reads, laid over the state.
//!
//! Admission must see its own proposals, else a pipelining producer would be out of order with itself; nobody else may. Each value carries the
//! *proposal* that made it and goes when that one is applied: then the state says the same. A proposal that Raft drops is undone at once; when
//! leadership ends, everything goes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use antiphon_protocol::{Producer, RoomId, Seq, Slot, Timestamp, UserName};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::home::producers::ProducerMap;
use crate::home::state::{Named, ProducerState, State};
use crate::lane::Head;

/// Number of a proposal of this process, ascending from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Proposal(pub(crate) u64);

/// A value with the newest proposal that set it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Staged<T> {
    /// As it will be.
    pub(crate) value: T,
    /// When that is so.
    pub(crate) by: Proposal,
}

/// What is staged for a producer; `None`: it is about to be forgotten.
pub(crate) type StagedProducer = Staged<Option<ProducerState>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Overlay {
    heads: HashMap<RoomId, Staged<Head>, FixedState>,
    names: HashMap<Named, Staged<RoomId>, FixedState>,
    counters: BTreeMap<Slot, Staged<u64>>,
    producers: ProducerMap<StagedProducer>,
    /// Records about to be erased.
    erasing: BTreeMap<(RoomId, Seq), Proposal>,
    /// How many of `producers` are about to be known for the first time.
    started: usize,
    /// Newest time stamped.
    time: Timestamp,
    /// The proposal being stamped.
    current: Proposal,
    /// How to take it back, newest last.
    undo: Vec<Undo>,
    /// An emptied list for the next proposal, so that none is allocated in steady state.
    spare: Vec<Undo>,
}

/// All that one proposal staged, kept with it until it is applied.
#[derive(Debug, Default)]
pub(crate) struct Staging(Vec<Undo>);

/// One value as it was before the current proposal.
#[derive(Debug)]
enum Undo {
    Head(RoomId, Option<Staged<Head>>),
    Name(Named),
    Counter(Slot, Option<Staged<u64>>),
    Producer(RoomId, Producer, UserName, Option<StagedProducer>),
    Started,
    Erase(RoomId, Seq),
    Time(Timestamp),
}

impl Overlay {
    /// Nothing is staged. `time` is the state's.
    pub(crate) fn new(seed: u64, time: Timestamp) -> Overlay {
        let hasher = FixedState::with_seed(seed);
        Overlay {
            heads: HashMap::with_hasher(hasher.clone()),
            names: HashMap::with_hasher(hasher),
            counters: BTreeMap::new(),
            producers: ProducerMap::new(),
            erasing: BTreeMap::new(),
            started: 0,
            time,
            current: Proposal(0),
            undo: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Starts the next proposal: everything staged from here on belongs to it.
    pub(crate) fn begin(&mut self) -> Proposal {
        self.undo.clear();
        self.current = Proposal(self.current.0 + 1);
        self.current
    }

    /// The current proposal was taken: what it staged is settled when it is applied.
    pub(crate) fn keep(&mut self) -> Staging {
        Staging(core::mem::replace(
            &mut self.undo,
            core::mem::take(&mut self.spare),
        ))
    }

    /// The current proposal was not taken: all that it staged is undone.
    pub(crate) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Head(room, before) => restore(&mut self.heads, room, before),
                Undo::Name(named) => {
                    self.names.remove(&named);
                }
                Undo::Counter(slot, Some(before)) => {
                    self.counters.insert(slot, before);
                }
                Undo::Counter(slot, None) => {
                    self.counters.remove(&slot);
                }
                Undo::Producer(room, producer, sender, Some(before)) => {
                    self.producers.insert(room, producer, sender, before);
                }
                Undo::Producer(room, producer, sender, None) => {
                    self.producers.remove(room, producer, sender.as_bytes());
                }
                Undo::Started => self.started -= 1,
                Undo::Erase(room, seq) => {
                    self.erasing.remove(&(room, seq));
                }
                Undo::Time(before) => self.time = before,
            }
        }
    }

    /// Leadership is over: nothing staged will be.
    pub(crate) fn clear(&mut self, state: &State) {
        self.heads.clear();
        self.names.clear();
        self.counters.clear();
        self.producers.clear();
        self.erasing.clear();
        self.started = 0;
        self.undo.clear();
        self.time = state.time();
    }

    /// Whether nothing is staged.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.heads.is_empty()
            && self.names.is_empty()
            && self.counters.is_empty()
            && self.producers.len() == 0
            && self.erasing.is_empty()
            && self.started == 0
    }

    /// The time of the partition now: the wall clock, or the newest time stamped if that is later. The state's may be later than ours: entries that
    /// this process did not stamp were applied.
    pub(crate) fn time(&self, state: &State, wall: Timestamp) -> Timestamp {
        wall.max(state.time()).max(self.time)
    }

    /// The time to stamp now.
    pub(crate) fn stamp(&mut self, state: &State, wall: Timestamp) -> Timestamp {
        let time = self.time(state, wall);
        if time > self.time {
            self.undo.push(Undo::Time(self.time));
            self.time = time;
        }
        self.time
    }

    /// How many rooms there are, with what is staged.
    pub(crate) fn room_count(&self, state: &State) -> usize {
        state.room_count() + self.names.len()
    }

    /// How many producers are remembered, with what is staged; those about to be forgotten count until they are.
    pub(crate) fn producer_count(&self, state: &State) -> usize {
        state.producer_count() + self.started
    }

    /// How many records are erased, with what is staged.
    pub(crate) fn erased_count(&self, state: &State) -> usize {
        state.erased().len() + self.erasing.len()
    }

    /// The proposal that is about to erase a record, if one is.
    pub(crate) fn erasing(&self, room: RoomId, seq: Seq) -> Option<Proposal> {
        self.erasing.get(&(room, seq)).copied()
    }

    /// Stages that a record is erased.
    pub(crate) fn stage_erase(&mut self, room: RoomId, seq: Seq) {
        let before = self.erasing.insert((room, seq), self.current);
        assert!(before.is_none(), "INV-HOME-56: a record is erased once");
        self.undo.push(Undo::Erase(room, seq));
    }

    /// The room of this name, with what is staged.
    pub(crate) fn named(&self, state: &State, named: &Named) -> Option<RoomId> {
        state
            .named(named)
            .or_else(|| self.names.get(named).map(|staged| staged.value))
    }

    /// The head of an existing or staged room.
    pub(crate) fn head(&self, state: &State, room: RoomId) -> Option<Head> {
        self.heads
            .get(&room)
            .map(|staged| staged.value)
            .or_else(|| state.room(room).map(|room| room.head))
    }

    /// The proposal that staged the head of a room, if one did.
    pub(crate) fn head_by(&self, room: RoomId) -> Option<Proposal> {
        self.heads.get(&room).map(|staged| staged.by)
    }

    /// The newest counter of `slot`.
    pub(crate) fn counter(&self, state: &State, slot: Slot) -> u64 {
        self.counters
            .get(&slot)
            .map_or_else(|| state.counter(slot), |staged| staged.value)
    }

    /// What is staged for a producer.
    pub(crate) fn producer(
        &self,
        room: RoomId,
        producer: Producer,
        sender: &[u8],
    ) -> Option<StagedProducer> {
        self.producers.find(room, producer, sender).copied()
    }

    /// Stages a new room.
    pub(crate) fn stage_room(&mut self, named: Named, room: RoomId) {
        let by = self.current;
        let before = self.counters.insert(
            room.slot(),
            Staged {
                value: room.counter(),
                by,
            },
        );
        self.undo.push(Undo::Counter(room.slot(), before));
        let taken = self.names.insert(named.clone(), Staged { value: room, by });
        assert!(taken.is_none(), "INV-HOME-2: a name has one room");
        self.undo.push(Undo::Name(named));
    }

    /// Stages the head of a room.
    pub(crate) fn stage_head(&mut self, room: RoomId, head: Head) {
        let before = self.heads.insert(
            room,
            Staged {
                value: head,
                by: self.current,
            },
        );
        self.undo.push(Undo::Head(room, before));
    }

    /// Stages a producer; `None`: it is about to be forgotten.
    pub(crate) fn stage_producer(
        &mut self,
        room: RoomId,
        producer: Producer,
        sender: UserName,
        value: Option<ProducerState>,
    ) {
        let before = self.producers.insert(
            room,
            producer,
            sender.clone(),
            Staged {
                value,
                by: self.current,
            },
        );
        self.undo
            .push(Undo::Producer(room, producer, sender, before));
    }

    /// The producer staged last is a new one.
    pub(crate) fn stage_start(&mut self) {
        self.started += 1;
        self.undo.push(Undo::Started);
    }

    /// The proposal `by` was applied: what it staged is in the state, unless a later proposal moved it on.
    pub(crate) fn settle(&mut self, staging: Staging, by: Proposal) {
        let mut list = staging.0;
        for staged in list.drain(..) {
            self.settle_one(staged, by);
        }
        self.spare = list;
    }

    fn settle_one(&mut self, staged: Undo, by: Proposal) {
        match staged {
            Undo::Head(room, _) => {
                if self.heads.get(&room).is_some_and(|staged| staged.by == by) {
                    self.heads.remove(&room);
                }
            }
            Undo::Name(named) => {
                self.names.remove(&named);
            }
            Undo::Counter(slot, _) => {
                if self
                    .counters
                    .get(&slot)
                    .is_some_and(|staged| staged.by == by)
                {
                    self.counters.remove(&slot);
                }
            }
            Undo::Producer(room, producer, sender, _) => {
                if self
                    .producers
                    .find(room, producer, sender.as_bytes())
                    .is_some_and(|staged| staged.by == by)
                {
                    self.producers.remove(room, producer, sender.as_bytes());
                }
            }
            Undo::Started => self.started -= 1,
            Undo::Erase(room, seq) => {
                self.erasing.remove(&(room, seq));
            }
            Undo::Time(_) => {}
        }
    }
}

fn restore(
    heads: &mut HashMap<RoomId, Staged<Head>, FixedState>,
    room: RoomId,
    before: Option<Staged<Head>>,
) {
    match before {
        Some(before) => heads.insert(room, before),
        None => heads.remove(&room),
    };
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::{Namespace, ProducerSeq, RoomName};

    use super::*;
    use crate::home::state::head_at_start;

    fn producer_at(seq: u64) -> ProducerState {
        ProducerState {
            last: ProducerSeq(seq),
            seq: Seq(seq),
            time: Timestamp(1),
        }
    }

    #[test]
    fn a_dropped_proposal_leaves_what_earlier_ones_staged() {
        let state = State::new(0);
        let mut overlay = Overlay::new(0, Timestamp(0));
        let name = RoomName::try_from("tea").expect("lawful");
        let ann = UserName::try_from("ann").expect("lawful");
        let room = RoomId::new(Slot(3), 1).expect("lawful");
        let head = |seq| Head {
            seq: Seq(seq),
            ..head_at_start(room)
        };

        let first = overlay.begin();
        overlay.stage_room((Namespace(0), name), room);
        overlay.stage_head(room, head(1));
        overlay.stage_producer(room, Producer(5), ann.clone(), Some(producer_at(1)));
        assert_eq!(overlay.stamp(&state, Timestamp(10)), Timestamp(10));
        let staging = overlay.keep();

        overlay.begin();
        overlay.stage_head(room, head(2));
        overlay.stage_producer(room, Producer(5), ann.clone(), Some(producer_at(2)));
        overlay.stage_producer(room, Producer(6), ann.clone(), Some(producer_at(1)));
        assert_eq!(overlay.stamp(&state, Timestamp(20)), Timestamp(20));
        overlay.roll_back();

        assert_eq!(overlay.head(&state, room), Some(head(1)));
        assert_eq!(
            overlay.producer(room, Producer(5), b"ann"),
            Some(Staged {
                value: Some(producer_at(1)),
                by: first
            })
        );
        assert_eq!(overlay.producer(room, Producer(6), b"ann"), None);
        assert_eq!(overlay.stamp(&state, Timestamp(0)), Timestamp(10));
        assert_eq!(overlay.counter(&state, Slot(3)), 1);

        overlay.settle(staging, first);
        assert!(overlay.is_empty());
    }

    #[test]
    fn what_a_later_proposal_moved_on_stays_staged() {
        let state = State::new(0);
        let mut overlay = Overlay::new(0, Timestamp(0));
        let room = RoomId(1);
        let first = overlay.begin();
        overlay.stage_head(
            room,
            Head {
                seq: Seq(1),
                ..head_at_start(room)
            },
        );
        let first_staging = overlay.keep();
        let second = overlay.begin();
        overlay.stage_head(
            room,
            Head {
                seq: Seq(2),
                ..head_at_start(room)
            },
        );
        let second_staging = overlay.keep();
        overlay.settle(first_staging, first);
        assert_eq!(
            overlay.head(&state, room).map(|head| head.seq),
            Some(Seq(2))
        );
        overlay.settle(second_staging, second);
        assert!(overlay.is_empty());
    }
}
