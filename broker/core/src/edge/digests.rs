//! The digest in PONG: did I miss anything?
//!
//! A PING passes as a barrier through the lane of every home core. Whatever a home had sent before comes before the barrier, so when the last barrier is
//! back, each subscription of the connection has been given all that was committed when the PING was read, or is known here to miss some. Then the
//! digest is taken and the PONG queued behind what it counts, in one step.

use alloc::collections::BTreeMap;

use antiphon_protocol::{Pong, PongDigest, RequestId, position_digest};

use super::Edge;
use super::rooms::SubState;
use crate::core::{ConnId, CoreId};
use crate::lane::{Barrier, Message, Ticket, ToHome};

/// Questions under way: at most one per connection, by slot.
#[derive(Debug, Default)]
pub(super) struct Digests {
    asked: BTreeMap<u32, Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    ticket: Ticket,
    /// Of the PING.
    id: RequestId,
    nonce: u64,
    /// Barriers that are not back.
    left: u16,
}

impl Digests {
    /// The connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.asked.remove(&conn.slot);
    }
}

impl Edge {
    /// A PING came.
    pub(super) fn pinged(&mut self, conn: ConnId, id: RequestId, nonce: u64) {
        let wants_digest = self.conns.open(conn).is_some_and(|open| open.has_digests);
        if !wants_digest || self.digests.asked.contains_key(&conn.slot) {
            let digest = None;
            return self
                .conns
                .write(conn, |out| Pong { nonce, digest }.encode(id, out));
        }
        let (ticket, left) = (self.next_ticket(), self.settings.map.cores());
        self.digests.asked.insert(
            conn.slot,
            Asked {
                ticket,
                id,
                nonce,
                left,
            },
        );
        for core in (0..left).map(CoreId) {
            let barrier = Barrier { conn, ticket };
            self.send(core, Message::ToHome(ToHome::Barrier(barrier)));
        }
    }

    /// A home has sent all that it had before the PING.
    pub(super) fn barrier_passed(&mut self, barrier: Barrier) {
        let Barrier { conn, ticket } = barrier;
        let Some(asked) = self.digests.asked.get_mut(&conn.slot) else {
            return;
        };
        if asked.ticket != ticket {
            return;
        }
        asked.left -= 1;
        if asked.left > 0 {
            return;
        }
        let Asked { id, nonce, .. } = *asked;
        self.digests.asked.remove(&conn.slot);
        let digest = Some(self.digest_of(conn));
        self.conns
            .write(conn, |out| Pong { nonce, digest }.encode(id, out));
    }

    /// Over the rooms of a connection, as of what is queued for it now.
    fn digest_of(&self, conn: ConnId) -> PongDigest {
        let subs = self
            .conns
            .open(conn)
            .map_or(&[][..], |open| open.subs.as_slice());
        let mut told = PongDigest {
            digest: 0,
            rooms: 0,
            behind: 0,
            as_of_ms: 0,
        };
        for &sub in subs {
            let entry = self.rooms.sub(sub);
            let room = self.rooms.room(entry.room);
            let (Some(id), Some(next)) = (room.id, self.next_of(entry.state, entry.room)) else {
                continue;
            };
            told.rooms += 1;
            told.digest ^= position_digest(id, next.previous());
            // A live one may wait for its turn of a big fan-out.
            told.behind += u32::from(next < room.apply_end);
        }
        told
    }

    /// The first seq that a subscription was not given; `None`: its room does not exist.
    fn next_of(&self, state: SubState, room: u32) -> Option<antiphon_protocol::Seq> {
        match state {
            SubState::Waiting { .. } => None,
            SubState::Behind { next, .. } => Some(next),
            SubState::Live { at } => Some(self.rooms.room(room).live[at as usize].next),
        }
    }
}
