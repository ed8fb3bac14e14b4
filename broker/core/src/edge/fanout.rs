//! Fan-out: records just applied, to every live subscriber of their room on this core.
//!
//! A subscriber costs one step through a dense list, one clone of the shared bytes, and one look at its outbox. Deliveries go out in the order in
//! which they came; one that does not fit into what is left of the turn's budget waits in the queue, and so do all behind it of the same room.
//!
//! # Why slicing keeps the promises
//! A delivery walks its room's list from the end to the start. `swap_remove` moves an entry from the part already walked (or one that became live
//! since) into a hole, never the other way round, so nobody is passed over. Who became live since has a `next` at or above the delivery's end, and
//! who is met twice has it too: both are told by comparing seqs.

use alloc::collections::VecDeque;

use antiphon_protocol::{Code, Seq};
use bytes::Bytes;

use super::Edge;
use super::conns::{Conns, Offer};
use super::records;
use super::rooms::{Live, SubState};
use crate::core::ConnId;
use crate::lane::Deliver;
use crate::limits::{FANOUT_BACKLOG_MAX, FANOUT_OWN_COUNT_MIN, FANOUT_PER_TURN};

/// A delivery under way, or a note that deliveries up to `next` were dropped: then `first == next` and there are no records.
#[derive(Debug)]
struct Fanout {
    room: u32,
    first: Seq,
    next: Seq,
    records: Bytes,
    /// How many entries of the room's list are still to be walked; `None`: not begun.
    left: Option<usize>,
}

/// Deliveries that wait for their turn, in order.
#[derive(Debug)]
pub(super) struct Fanouts {
    queue: VecDeque<Fanout>,
    /// Deliveries that may still be made in this turn.
    budget: usize,
}

impl Fanouts {
    pub(super) const fn new() -> Fanouts {
        Fanouts {
            queue: VecDeque::new(),
            budget: FANOUT_PER_TURN,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl Edge {
    /// Records were applied.
    pub(super) fn deliver(&mut self, deliver: Deliver) {
        assert!(
            deliver.first < deliver.next,
            "INV-EDGE-10: an empty delivery"
        );
        let Deliver {
            room,
            first,
            next,
            records,
        } = deliver;
        if let Some(room) = self.rooms.find_id(room) {
            self.fan_out(Fanout {
                room,
                first,
                next,
                records,
                left: None,
            });
        }
    }

    /// Deliveries up to `apply_end` were dropped on the way.
    pub(super) fn dirty(&mut self, room: antiphon_protocol::RoomId, apply_end: Seq) {
        if let Some(room) = self.rooms.find_id(room) {
            self.fan_out(Fanout {
                room,
                first: apply_end,
                next: apply_end,
                records: Bytes::new(),
                left: None,
            });
        }
    }

    fn fan_out(&mut self, mut fanout: Fanout) {
        let room = self.rooms.room_mut(fanout.room);
        room.apply_end = room.apply_end.max(fanout.next);
        if room.live.is_empty() {
            return;
        }
        if room.live.len() >= FANOUT_OWN_COUNT_MIN && !fanout.records.is_empty() {
            fanout.records = Bytes::from_owner(fanout.records);
        }
        if room.backlog == 0 && room.live.len() <= self.fanouts.budget {
            let is_done = self.walk(&mut fanout);
            debug_assert!(is_done, "INV-EDGE-11: the budget was enough");
            return self.leave_if_empty(fanout.room);
        }
        if room.backlog as usize >= FANOUT_BACKLOG_MAX {
            return self.drop_delivery(&fanout);
        }
        room.backlog += 1;
        self.fanouts.queue.push_back(fanout);
    }

    /// Too many wait for the room: the newest one becomes a note that it, and this one, were dropped.
    fn drop_delivery(&mut self, fanout: &Fanout) {
        let newest = self
            .fanouts
            .queue
            .iter_mut()
            .rev()
            .find(|queued| queued.room == fanout.room);
        if let Some(newest) = newest {
            newest.first = fanout.next;
            newest.next = fanout.next;
            newest.records = Bytes::new();
        }
        self.stats.deliveries_dropped += 1;
    }

    /// Goes on with what waits, up to the budget of a turn. `true`: more is left.
    pub(super) fn fan_out_queued(&mut self) -> bool {
        while let Some(mut fanout) = self.fanouts.queue.pop_front() {
            if !self.walk(&mut fanout) {
                self.fanouts.queue.push_front(fanout);
                break;
            }
            self.rooms.room_mut(fanout.room).backlog -= 1;
            self.leave_if_empty(fanout.room);
        }
        self.fanouts.budget = FANOUT_PER_TURN;
        !self.fanouts.queue.is_empty()
    }

    /// A room is forgotten: nobody waits for its deliveries.
    pub(super) fn forget_fanouts(&mut self, room: u32) {
        self.fanouts.queue.retain(|fanout| fanout.room != room);
    }

    /// Delivers to as many subscribers as the budget allows. `true`: to all.
    fn walk(&mut self, fanout: &mut Fanout) -> bool {
        let live = self.rooms.room(fanout.room).live.len();
        // The list may have shrunk since the last turn.
        let mut left = fanout.left.unwrap_or(live).min(live);
        while left > 0 {
            if self.fanouts.budget == 0 {
                fanout.left = Some(left);
                return false;
            }
            let from = left.saturating_sub(self.fanouts.budget);
            let stretch = &mut self.rooms.room_mut(fanout.room).live[from..left];
            let walked = walk_stretch(&mut self.conns, stretch, fanout);
            self.stats.deliveries += walked.queued;
            self.fanouts.budget -= walked.seen;
            left -= walked.seen;
            if let Some(entry) = walked.odd {
                self.deliver_odd(fanout, left, entry);
            }
        }
        true
    }

    /// Delivers to a live subscriber at `at` who needs a closer look.
    #[cold]
    fn deliver_odd(&mut self, fanout: &Fanout, at: usize, entry: Live) {
        let rest = if entry.next < fanout.first {
            None
        } else {
            records::from_seq(&fanout.records, fanout.first, entry.next)
        };
        let Some(rest) = rest else {
            return self.turn_behind(entry);
        };
        match self.conns.offer_live(entry.slot, &rest) {
            Offer::Queued => {
                self.rooms.room_mut(fanout.room).live[at].next = fanout.next;
                self.stats.deliveries += 1;
            }
            Offer::Behind => self.turn_behind(entry),
            Offer::MayNotFit(conn) => self.deliver_small(fanout, at, entry, conn, &rest),
        }
    }

    /// Delivers to a client whose frames must be small: record by record.
    fn deliver_small(
        &mut self,
        fanout: &Fanout,
        at: usize,
        entry: Live,
        conn: ConnId,
        rest: &Bytes,
    ) {
        if !self.conns.has_room(conn, rest.len()) {
            return self.turn_behind(entry);
        }
        if self.push_fitting(conn, rest) {
            self.rooms.room_mut(fanout.room).live[at].next = fanout.next;
            self.stats.deliveries += 1;
        } else {
            self.end_subscription(entry.sub, Code::INTERNAL);
        }
    }

    fn turn_behind(&mut self, entry: Live) {
        debug_assert!(
            matches!(self.rooms.sub(entry.sub).state, SubState::Live { .. }),
            "INV-EDGE-12: a live entry of a live subscriber"
        );
        self.rooms.become_behind(entry.sub, entry.next);
        self.want_tail(entry.sub);
        self.stats.turned_behind += 1;
    }
}

/// How far a stretch of a room's list was walked.
#[derive(Debug)]
struct Walked {
    /// Entries looked at, from the end.
    seen: usize,
    /// Deliveries queued.
    queued: u64,
    /// The last one seen needs a closer look.
    odd: Option<Live>,
}

/// Delivers to a stretch of live subscribers, from its end, until one of them is no plain case. The hot spot of a fan-out.
fn walk_stretch(conns: &mut Conns, stretch: &mut [Live], fanout: &Fanout) -> Walked {
    let mut walked = Walked {
        seen: 0,
        queued: 0,
        odd: None,
    };
    for entry in stretch.iter_mut().rev() {
        walked.seen += 1;
        if entry.next >= fanout.next {
            continue;
        }
        if entry.next != fanout.first
            || conns.offer_live(entry.slot, &fanout.records) != Offer::Queued
        {
            walked.odd = Some(*entry);
            break;
        }
        entry.next = fanout.next;
        walked.queued += 1;
    }
    walked
}
