//! The table of this core's connections.

use alloc::vec::Vec;

use antiphon_protocol::PubackEntry;
use bytes::Bytes;

use super::outbox::Outbox;
use super::session::{Open, Session};
use crate::core::ConnId;
use crate::limits::{OUTBOX_BYTES_MAX, SPARE_BUFFER_BYTES_MAX, SPARE_BUFFERS_MAX};

/// One connection. What most of 100,000 idle connections never need is behind the session's box.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
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
    /// How much of it arrived since.
    pub(super) frame_bytes: u64,
    /// When bytes came last, or reading was resumed.
    pub(super) heard_ms: u64,
    /// When the socket took bytes last, or a PING was queued.
    pub(super) told_ms: u64,
}

/// Connections by slot.
#[derive(Debug, Default)]
pub(super) struct Conns {
    table: Vec<Option<Conn>>,
    count: usize,
    /// Whose outboxes have new bytes in this turn.
    flushes: Vec<ConnId>,
    /// Write buffers that no outbox uses now. <= SPARE_BUFFERS_MAX
    spare: Vec<Vec<u8>>,
}

impl Conns {
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
            .filter(|conn| conn.id == id)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.table
            .get_mut(id.slot as usize)?
            .as_mut()
            .filter(|conn| conn.id == id)
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
        self.lend(id);
        if let Some(conn) = self.get_mut(id) {
            conn.outbox.write(write);
            self.mark(id);
        }
    }

    /// Takes an ack into account: an open session's count of publishes falls, and its PUBACK of this turn grows. `None`: there is no such session;
    /// `Some(true)`: the count may be what the connection waits for.
    pub(super) fn ack(&mut self, id: ConnId, entry: Option<&PubackEntry>) -> Option<bool> {
        self.lend(id);
        let conn = self.get_mut(id)?;
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
            conn.outbox.puback(entry);
            if !conn.flush_due {
                conn.flush_due = true;
                self.flushes.push(id);
            }
        }
        Some(may_ease)
    }

    /// Lends the outbox a buffer if it has none: no allocation per turn for who says something every turn.
    fn lend(&mut self, id: ConnId) {
        if let Some(Some(conn)) = self.table.get_mut(id.slot as usize)
            && conn.id == id
            && conn.outbox.needs_buffer()
            && let Some(buffer) = self.spare.pop()
        {
            conn.outbox.lend(buffer);
        }
    }

    /// Takes the memory of an empty outbox back.
    pub(super) fn release(&mut self, id: ConnId) {
        let Some(mut buffer) = self.get_mut(id).and_then(|conn| conn.outbox.release()) else {
            return;
        };
        if self.spare.len() < SPARE_BUFFERS_MAX && buffer.capacity() <= SPARE_BUFFER_BYTES_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Queues shared bytes, whatever the outbox holds.
    pub(super) fn push(&mut self, id: ConnId, bytes: Bytes) {
        if let Some(conn) = self.get_mut(id) {
            conn.outbox.push(bytes);
            self.mark(id);
        }
    }

    /// Queues shared bytes if the outbox has room for a live delivery. The hot spot of a fan-out: one connection of the slot, which is known to live.
    #[inline]
    pub(super) fn offer_live(&mut self, slot: u32, bytes: &Bytes) -> Offer {
        let Some(conn) = self.table[slot as usize].as_mut() else {
            return Offer::Behind;
        };
        if bytes.len() <= conn.live_bytes_max as usize {
            if !conn.outbox.offer(bytes, OUTBOX_BYTES_MAX as usize) {
                return Offer::Behind;
            }
            if !conn.flush_due {
                conn.flush_due = true;
                self.flushes.push(conn.id);
            }
            return Offer::Queued;
        }
        Offer::MayNotFit(conn.id)
    }

    /// Has the outbox flushed at the end of this turn.
    pub(super) fn mark(&mut self, id: ConnId) {
        if let Some(conn) = self.get_mut(id)
            && !conn.flush_due
        {
            conn.flush_due = true;
            self.flushes.push(id);
        }
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

/// What became of a live delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Offer {
    Queued,
    /// No room: the subscriber reads behind from now on.
    Behind,
    /// The client takes only small frames: look at each record.
    MayNotFit(ConnId),
}
