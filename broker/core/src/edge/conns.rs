//! The table of this core's connections.

use alloc::vec::Vec;

use antiphon_protocol::PubackEntry;
use bytes::Bytes;

use super::outbox::{Outbox, Spare};
use super::session::{Open, Session};
use crate::core::ConnId;
use crate::lane::Claim;
use crate::limits::Budgets;
use crate::planted::{Bug, planted};

/// One connection. What most of 100,000 idle connections never need is behind the session's box.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    /// When it was accepted.
    pub(super) claim: Claim,
    pub(super) session: Session,
    pub(super) outbox: Outbox,
    /// Already in `Conns::flushes`.
    pub(super) flush_due: bool,
    /// The driver was told to pause and not yet to resume.
    pub(super) is_paused: bool,
    /// Largest run of records that may be delivered live without a look at each; 0: the session is not open.
    pub(super) live_bytes_max: u32,
    /// Since when a started frame is not whole, in ms; 0: none is known to be started.
    pub(super) frame_since_ms: u64,
    /// How much of it arrived since; at most one frame.
    pub(super) frame_bytes: u32,
    /// When bytes came last, or reading was resumed; while it is not read, also when the socket took more than a PING.
    pub(super) heard_ms: u64,
    /// When the socket took bytes last, or a PING was queued.
    pub(super) told_ms: u64,
}

/// Connections by slot.
#[derive(Debug)]
pub(super) struct Conns {
    table: Vec<Option<Conn>>,
    count: usize,
    /// Whose outboxes have new bytes in this turn.
    flushes: Vec<ConnId>,
    /// Memory that no outbox uses now.
    spare: Spare,
    /// Bytes in all outboxes, those counted that were sent since the driver told last.
    queued: usize,
    /// Above this, outboxes are scarce. OUTBOXES_BYTES_MAX but in tests and simulations.
    queued_max: usize,
    /// Live deliveries are queued up to this, or to the other while outboxes are scarce.
    outbox_bytes: (usize, usize),
}

impl Conns {
    pub(super) fn new(budgets: &Budgets) -> Conns {
        Conns {
            table: Vec::new(),
            count: 0,
            flushes: Vec::new(),
            spare: Spare::default(),
            queued: 0,
            queued_max: budgets.outboxes_bytes,
            outbox_bytes: (budgets.outbox_bytes as usize, budgets.outbox_scarce_bytes()),
        }
    }

    #[cfg(test)]
    pub(super) fn set_queued_max(&mut self, bytes: usize) {
        self.queued_max = bytes;
    }

    /// Bytes in all outboxes.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether all outboxes together hold more than they should.
    pub(super) fn is_scarce(&self) -> bool {
        self.queued > self.queued_max
    }

    /// How many bytes an outbox that is not empty may hold with a live delivery.
    #[inline]
    pub(super) fn live_bytes_max(&self) -> usize {
        if self.is_scarce() {
            self.outbox_bytes.1
        } else {
            self.outbox_bytes.0
        }
    }

    pub(super) fn insert(&mut self, conn: Conn) {
        let slot = conn.id.slot as usize;
        if self.table.len() <= slot {
            self.table.resize_with(slot + 1, || None);
        }
        assert!(
            self.table[slot].is_none(),
            "INV-EDGE-3: a slot is given to one connection at a time"
        );
        self.table[slot] = Some(conn);
        self.count += 1;
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.clear(id);
        self.get(id)?;
        self.count -= 1;
        self.table[id.slot as usize].take()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn ids(&self) -> Vec<ConnId> {
        self.table.iter().flatten().map(|conn| conn.id).collect()
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.table
            .get(id.slot as usize)?
            .as_ref()
            .filter(|conn| conn.id == id || planted(Bug::StaleConnection))
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        find(&mut self.table, id)
    }

    /// The connection in `slot`, whichever it is.
    pub(super) fn in_slot(&self, slot: u32) -> Option<&Conn> {
        self.table.get(slot as usize)?.as_ref()
    }

    pub(super) fn open(&self, id: ConnId) -> Option<&Open> {
        match &self.get(id)?.session {
            Session::Open(open) => Some(open),
            _ => None,
        }
    }

    pub(super) fn open_mut(&mut self, id: ConnId) -> Option<&mut Open> {
        match &mut self.get_mut(id)?.session {
            Session::Open(open) => Some(open),
            _ => None,
        }
    }

    /// Appends a control frame to the outbox; nothing happens if the connection is gone.
    pub(super) fn write(&mut self, id: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(conn) = find(&mut self.table, id) {
            self.queued += conn.outbox.writer(&mut self.spare).write(write);
            mark(conn, &mut self.flushes);
        }
    }

    /// Takes an ack into account: an open session's count of publishes falls, and its PUBACK of this turn grows. `None`: there is no such session;
    /// `Some(true)`: the count may be what the connection waits for.
    pub(super) fn ack(&mut self, id: ConnId, entry: Option<&PubackEntry>) -> Option<bool> {
        let conn = find(&mut self.table, id)?;
        let Session::Open(open) = &mut conn.session else {
            return None;
        };
        assert!(
            open.in_flight > 0,
            "INV-EDGE-7: a publish was answered twice"
        );
        open.in_flight -= 1;
        let may_ease = conn.is_paused || open.is_leaving;
        if let Some(entry) = entry {
            self.queued += conn.outbox.writer(&mut self.spare).puback(entry);
            mark(conn, &mut self.flushes);
        }
        Some(may_ease)
    }

    /// Takes what the driver sent into account: how many bytes. An outbox that is empty gives its memory back.
    pub(super) fn sent(&mut self, id: ConnId) -> usize {
        let Some(conn) = find(&mut self.table, id) else {
            return 0;
        };
        let sent = conn.outbox.take_sent();
        conn.outbox.release(&mut self.spare);
        self.queued -= sent;
        sent
    }

    /// Drops all that is queued for a connection.
    pub(super) fn clear(&mut self, id: ConnId) {
        if let Some(conn) = find(&mut self.table, id) {
            self.queued -= conn.outbox.take_sent() + conn.outbox.len();
            conn.outbox = Outbox::new();
        }
    }

    /// Queues shared bytes, whatever the outbox holds.
    pub(super) fn push(&mut self, id: ConnId, bytes: Bytes) {
        if let Some(conn) = find(&mut self.table, id) {
            self.queued += bytes.len();
            conn.outbox.queue(&mut self.spare).push(bytes);
            mark(conn, &mut self.flushes);
        }
    }

    /// Queues shared bytes if the outbox has room for a live delivery. The hot spot of a fan-out: one connection of the slot, which is known to live.
    #[inline]
    pub(super) fn offer_live(&mut self, slot: u32, bytes: &Bytes) -> Offer {
        let bytes_max = self.live_bytes_max();
        let Some(conn) = self.table[slot as usize].as_mut() else {
            return Offer::Behind;
        };
        if bytes.len() > conn.live_bytes_max as usize {
            return Offer::MayNotFit(conn.id);
        }
        let queued = conn.outbox.len();
        if queued != 0 && queued + bytes.len() > bytes_max {
            return Offer::Behind;
        }
        self.queued += bytes.len();
        conn.outbox.queue(&mut self.spare).push(bytes.clone());
        mark(conn, &mut self.flushes);
        Offer::Queued
    }

    /// Whether a live delivery of so many bytes may be queued.
    pub(super) fn has_room(&self, id: ConnId, bytes: usize) -> bool {
        self.get(id).is_some_and(|conn| {
            conn.outbox.is_empty() || conn.outbox.len() + bytes <= self.live_bytes_max()
        })
    }

    /// Takes the next connection to be flushed and closes its open frames.
    pub(super) fn next_flush(&mut self) -> Option<ConnId> {
        while let Some(id) = self.flushes.pop() {
            if let Some(conn) = self.get_mut(id) {
                conn.flush_due = false;
                conn.outbox.close_frame();
                return Some(id);
            }
        }
        None
    }

    pub(super) fn has_flushes(&self) -> bool {
        !self.flushes.is_empty()
    }
}

fn find(table: &mut [Option<Conn>], id: ConnId) -> Option<&mut Conn> {
    table
        .get_mut(id.slot as usize)?
        .as_mut()
        .filter(|conn| conn.id == id || planted(Bug::StaleConnection))
}

/// Has the outbox flushed at the end of this turn.
#[inline]
fn mark(conn: &mut Conn, flushes: &mut Vec<ConnId>) {
    if !conn.flush_due {
        conn.flush_due = true;
        flushes.push(conn.id);
    }
}

/// What became of a live delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Offer {
    Queued,
    /// No room: the subscriber reads behind from now on.
    Behind,
    /// The client takes only small frames: look at each record.
    MayNotFit(ConnId),
}
