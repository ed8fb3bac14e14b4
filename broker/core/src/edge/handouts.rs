//! Signals to many: handed out in slices, so that a big room's signals hold up nobody else's turn.
//!
//! A signal goes to those who were subscribed when its turn came. A small room's is handed out at once. Else the room's signals queue up, in order, and
//! what has come by the end of a turn is a *batch*: its receivers are listed once, and each of them is offered all of it, slice by slice, so that a burst
//! costs a receiver one send. What comes meanwhile waits for the next batch. A queue that is full drops the newest and counts it as lost by everybody; a
//! newer value of a key that waits in it takes the older one's place.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::Edge;
use super::signals::identity_of;
use crate::lane::{SignalOut, Ticket};
use crate::limits::{SIGNAL_BACKLOG_MAX, SIGNAL_LISTENERS_AT_ONCE_MAX, SIGNALS_PER_TURN};

/// A signal, and what makes it one of several values; `None`: it has no key.
#[derive(Debug)]
struct Queued {
    signal: SignalOut,
    identity: Option<Vec<u8>>,
}

/// What one room's subscriptions are still to be offered.
#[derive(Debug, Default)]
struct Handout {
    /// In the order in which they came: the batch under way, and at most SIGNAL_BACKLOG_MAX that wait for the next one.
    queue: VecDeque<Queued>,
    /// How many are under way.
    batch: usize,
    /// Who is still to be offered the batch.
    left: Vec<(u32, Ticket)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Handouts {
    by_room: BTreeMap<u32, Handout>,
    /// Rooms in the order of their turns, each once.
    turns: VecDeque<u32>,
    /// Offers that may still be made in this turn.
    budget: usize,
}

impl Default for Handouts {
    fn default() -> Handouts {
        Handouts {
            by_room: BTreeMap::new(),
            turns: VecDeque::new(),
            budget: SIGNALS_PER_TURN,
        }
    }
}

impl Handouts {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// A room is forgotten: nobody waits for its signals.
    pub(super) fn forget(&mut self, room: u32) {
        if self.by_room.remove(&room).is_some() {
            self.turns.retain(|&known| known != room);
        }
    }
}

impl Handout {
    /// Takes one more signal, behind the others; one for which there is no place is counted.
    fn push(&mut self, queued: Queued) {
        // What is under way was offered to some: it stays.
        let waiting = self.queue.iter_mut().skip(self.batch);
        let mut same = waiting.filter(|known| known.identity == queued.identity);
        if queued.identity.is_some()
            && let Some(older) = same.next()
        {
            let lost = older.signal.lost.saturating_add(queued.signal.lost);
            *older = queued;
            older.signal.lost = lost;
        } else if self.queue.len() - self.batch < SIGNAL_BACKLOG_MAX {
            self.queue.push_back(queued);
        } else if let Some(newest) = self.queue.back_mut() {
            let itself = u32::from(!queued.signal.frame.is_empty());
            let lost = queued.signal.lost.saturating_add(itself);
            newest.signal.lost = newest.signal.lost.saturating_add(lost);
        }
    }
}

impl Edge {
    /// Hands a signal out to all who want it: at once if they are few, else with what else comes in this turn.
    pub(super) fn hand_out(&mut self, room: u32, signal: &SignalOut) {
        let queued = Queued {
            identity: signal.is_keyed.then(|| identity_of(&signal.frame)),
            signal: signal.clone(),
        };
        let listeners = self.rooms.room(room).listeners as usize;
        let handouts = &mut self.signals.handouts;
        if let Some(handout) = handouts.by_room.get_mut(&room) {
            return handout.push(queued);
        }
        if listeners <= SIGNAL_LISTENERS_AT_ONCE_MAX.min(handouts.budget) {
            handouts.budget -= listeners;
            self.void_older(room, &queued);
            let subs = self.listeners(room);
            return self.offer_to(room, &queued.signal, queued.identity.as_deref(), &subs);
        }
        let mut handout = Handout::default();
        handout.push(queued);
        handouts.by_room.insert(room, handout);
        handouts.turns.push_back(room);
    }

    /// A newer value of its key makes the older one void.
    fn void_older(&mut self, room: u32, queued: &Queued) {
        if let Some(identity) = &queued.identity {
            self.forget_value(room, identity);
        }
    }

    /// Who is to be offered what is handed out now.
    fn listeners(&self, room: u32) -> Vec<(u32, Ticket)> {
        let live = self.rooms.room(room).live.iter().map(|entry| entry.sub);
        let behind = self.rooms.behind(room).iter().copied();
        let subs = live.chain(behind).map(|sub| (sub, self.rooms.sub(sub)));
        let wanting = subs.filter(|(_, entry)| entry.wants.signals);
        wanting.map(|(sub, entry)| (sub, entry.ticket)).collect()
    }

    /// Goes on with what waits, up to the budget of a turn. `true`: more is left.
    pub(super) fn hand_out_signals(&mut self) -> bool {
        while self.signals.handouts.budget > 0
            && let Some(room) = self.signals.handouts.turns.pop_front()
        {
            if self.hand_out_slice(room) {
                self.signals.handouts.turns.push_back(room);
            }
        }
        self.signals.handouts.budget = SIGNALS_PER_TURN;
        self.signals.has_handouts()
    }

    /// One slice of a room's signals. `true`: more is left.
    fn hand_out_slice(&mut self, room: u32) -> bool {
        let Some(mut handout) = self.signals.handouts.by_room.remove(&room) else {
            return false;
        };
        if handout.batch == 0 {
            handout.batch = handout.queue.len();
            let batch = handout.queue.iter();
            batch.for_each(|queued| self.void_older(room, queued));
            handout.left = self.listeners(room);
        }
        let budget = self.signals.handouts.budget;
        let count = handout.left.len().min((budget / handout.batch).max(1));
        // An empty list costs something, too: nothing may loop for free.
        let cost = (count * handout.batch).max(1);
        self.signals.handouts.budget = budget.saturating_sub(cost);
        let slice = handout.left.split_off(handout.left.len() - count);
        for queued in handout.queue.iter().take(handout.batch) {
            self.offer_to(room, &queued.signal, queued.identity.as_deref(), &slice);
        }
        if handout.left.is_empty() {
            handout.queue.drain(..handout.batch);
            handout.batch = 0;
        }
        let is_more = !handout.queue.is_empty();
        if is_more {
            self.signals.handouts.by_room.insert(room, handout);
        }
        is_more
    }
}
