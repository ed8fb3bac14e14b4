//! Signals to many: handed out in slices, so that a big room's signals hold up nobody else's turn.
//!
//! A signal goes to those who were subscribed when its turn came. One that finds the budget large enough is handed out at once. Else the room's signals
//! queue up, in order: the first one is offered slice by slice, the others have not begun, so the list of receivers is kept once per room. A queue that is
//! full drops the newest and counts it as lost by everybody; a newer value of a key that waits in it takes the older one's place.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::Edge;
use super::signals::identity_of;
use crate::lane::{SignalOut, Ticket};
use crate::limits::{SIGNAL_BACKLOG_MAX, SIGNALS_PER_TURN};

/// A signal, and what makes it one of several values; `None`: it has no key.
#[derive(Debug)]
struct Queued {
    signal: SignalOut,
    identity: Option<Vec<u8>>,
}

/// What one room's subscriptions are still to be offered.
#[derive(Debug)]
struct Handout {
    /// The first one is under way. queue.len() <= SIGNAL_BACKLOG_MAX + 1
    queue: VecDeque<Queued>,
    /// Who is still to be offered the first one.
    left: Vec<(u32, Ticket)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Handouts {
    by_room: BTreeMap<u32, Handout>,
    /// Rooms in the order of their turns, each once.
    turns: VecDeque<u32>,
    /// Subscriptions that may still be offered something in this turn.
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
        let waiting = self.queue.iter_mut().skip(1);
        let mut same = waiting.filter(|known| known.identity == queued.identity);
        if queued.identity.is_some()
            && let Some(older) = same.next()
        {
            let lost = older.signal.lost.saturating_add(queued.signal.lost);
            *older = queued;
            older.signal.lost = lost;
        } else if self.queue.len() <= SIGNAL_BACKLOG_MAX {
            self.queue.push_back(queued);
        } else if let Some(newest) = self.queue.back_mut() {
            let itself = u32::from(!queued.signal.frame.is_empty());
            let lost = queued.signal.lost.saturating_add(itself);
            newest.signal.lost = newest.signal.lost.saturating_add(lost);
        }
    }
}

impl Edge {
    /// Hands a signal out to all who want it, at once if the budget allows, else in turns to come.
    pub(super) fn hand_out(&mut self, room: u32, signal: &SignalOut) {
        let queued = Queued {
            identity: signal.is_keyed.then(|| identity_of(&signal.frame)),
            signal: signal.clone(),
        };
        if let Some(handout) = self.signals.handouts.by_room.get_mut(&room) {
            return handout.push(queued);
        }
        let left = self.begin_handout(room, &queued);
        let handouts = &mut self.signals.handouts;
        if left.len() <= handouts.budget {
            handouts.budget -= left.len();
            return self.offer_to(room, &queued.signal, queued.identity.as_deref(), &left);
        }
        let queue = VecDeque::from([queued]);
        handouts.by_room.insert(room, Handout { queue, left });
        handouts.turns.push_back(room);
    }

    /// Who is to be offered a signal whose turn has come; a newer value of its key makes the older one void.
    fn begin_handout(&mut self, room: u32, queued: &Queued) -> Vec<(u32, Ticket)> {
        if let Some(identity) = &queued.identity {
            self.forget_value(room, identity);
        }
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
        let handouts = &mut self.signals.handouts;
        let Some(mut handout) = handouts.by_room.remove(&room) else {
            return false;
        };
        let count = handout.left.len().min(handouts.budget);
        // An empty list costs something, too: nothing may loop for free.
        handouts.budget -= count.max(1);
        let slice = handout.left.split_off(handout.left.len() - count);
        if let Some(queued) = handout.queue.front() {
            self.offer_to(room, &queued.signal, queued.identity.as_deref(), &slice);
        }
        if handout.left.is_empty() {
            handout.queue.pop_front();
            let Some(next) = handout.queue.front() else {
                return false;
            };
            handout.left = self.begin_handout(room, next);
        }
        self.signals.handouts.by_room.insert(room, handout);
        true
    }
}
