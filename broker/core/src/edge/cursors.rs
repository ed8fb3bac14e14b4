//! CURSOR: a client's own positions, asked for and told.

use alloc::boxed::Box;

use antiphon_protocol as wire;
use antiphon_protocol::{CursorAnswer, CursorMoved, CursorScope, Ok_, RequestId};

use super::Edge;
use super::session::Pending;
use crate::core::ConnId;
use crate::lane::{CursorIn, CursorMoves, CursorTold, Message, MovedCursor, Ticket, ToHome};

impl Edge {
    /// A CURSOR came.
    pub(super) fn cursor(&mut self, conn: ConnId, id: RequestId, cursor: &wire::Cursor<'_>) {
        let Some(room) = self.room_key(cursor.room) else {
            return;
        };
        let ticket = self.next_ticket();
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        open.add_request(Pending::Cursor {
            ticket,
            request: id,
        });
        let message = CursorIn {
            conn,
            ticket,
            request: id,
            namespace: open.namespace,
            room,
            user: open.user.clone(),
            name: Box::from(cursor.name),
            position: cursor.position,
            scope: cursor.scope,
            is_sync: cursor.is_sync,
        };
        let home = self.home_of(message.namespace, &message.room);
        self.send(home, Message::ToHome(ToHome::Cursor(Box::new(message))));
    }

    /// The request with this ticket, taken out; `None`: it is gone.
    pub(super) fn take_cursor(&mut self, conn: ConnId, ticket: Ticket) -> Option<RequestId> {
        match self.conns.open_mut(conn)?.take_request(ticket)? {
            Pending::Cursor { request, .. } => Some(request),
            Pending::Subscribe { .. } | Pending::Fetch { .. } => None,
        }
    }

    /// Home says where a cursor stands.
    pub(super) fn cursor_told(&mut self, told: &CursorTold) {
        let CursorTold {
            conn,
            ticket,
            position,
            head,
        } = *told;
        if let Some(request) = self.take_cursor(conn, ticket) {
            let answer = Ok_ {
                cursor: Some(CursorAnswer { position, head }),
            };
            self.conns.write(conn, |out| answer.encode(request, out));
            self.ease(conn);
        }
    }

    /// Cursors of a room moved: tells the live subscribers that want to know.
    pub(super) fn cursors_moved(&mut self, moved: &CursorMoves) {
        let Some(room) = self.rooms.find_id(moved.room) else {
            return;
        };
        if self.rooms.room(room).followers == 0 {
            return;
        }
        for at in 0..self.rooms.room(room).live.len() {
            let sub = self.rooms.room(room).live[at].sub;
            let (conn, wants) = (self.rooms.sub(sub).conn, self.rooms.sub(sub).wants);
            if wants.cursors {
                for cursor in moved.moves.iter() {
                    self.tell_moved(conn, cursor);
                }
            }
        }
    }

    /// Tells one connection of one cursor, if that concerns it and it has room; who has none is about to read behind.
    fn tell_moved(&mut self, conn: ConnId, cursor: &MovedCursor) {
        let Some(entry) = self.conns.get(conn) else {
            return;
        };
        let is_full = entry.outbox.len() > self.settings.limits.budgets.outbox_bytes as usize;
        let is_own = self
            .conns
            .open(conn)
            .is_some_and(|open| open.user == cursor.user);
        if is_full || !(is_own || cursor.scope == CursorScope::MEMBERS) {
            return;
        }
        let moved = CursorMoved {
            room_id: cursor.room,
            user: cursor.user.as_str(),
            name: &cursor.name,
            position: cursor.position,
            scope: cursor.scope,
        };
        self.conns.write(conn, |out| moved.encode(out));
    }
}
