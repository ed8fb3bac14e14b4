//! What goes around records on a client's socket: signals and cursors, as history.

use antiphon_protocol as wire;

use crate::audit::user_of;
use crate::history::{Op, Room, Seq, User, What};

use super::raw::SIGNAL_VALUE_BYTES;
use super::tap::Asked;
use super::world::World;

/// The number of a cursor; its name ends with it.
pub(crate) fn cursor_number(name: &str) -> u32 {
    let digits = name.rsplit('-').next();
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(u32::MAX)
}

/// The sender's connection and the number of a signal; zeros if it is none of this world.
fn signal_of(value: &[u8]) -> (u64, u64) {
    if value.len() != SIGNAL_VALUE_BYTES {
        return (0, u64::MAX);
    }
    let word = |at: usize| {
        value[at..]
            .first_chunk()
            .map_or(0, |word| u64::from_le_bytes(*word))
    };
    (word(0), word(8))
}

/// 0: none; what is no number is a key that nobody uses.
fn key_of(key: &[u8]) -> u32 {
    if key.is_empty() {
        return 0;
    }
    let text = std::str::from_utf8(key).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)
}

impl World {
    pub(super) fn tap_signal(&mut self, client: usize, id: u64, signal: &wire::Signal<'_>) {
        let Some(room) = self.clients[client].tap.room(signal.room) else {
            self.fail(format!("client {client} signals to a room it cannot know"));
            return;
        };
        let op = self.op();
        self.clients[client].tap.asked.insert(id, Asked::Signal(op));
        let (via, number) = signal_of(signal.value);
        let (room, key) = (Room(room), key_of(signal.key));
        let what = What::Signal {
            op,
            room,
            via,
            key,
            number,
        };
        self.told(client, what);
    }

    pub(super) fn tap_signalled(&mut self, client: usize, push: &wire::SignalPush<'_>) {
        let Some(sub) = self.tap_sub(client, push.room_id) else {
            self.fail(format!(
                "client {client}: a signal of a room that it does not follow: {push:?}"
            ));
            return;
        };
        self.tally.signals += u64::from(push.signal.is_some());
        self.tally.signals_dropped += u64::from(push.dropped);
        let (via, number) = push.signal.map_or((0, 0), |signal| signal_of(signal.value));
        let key = push.signal.map_or(0, |signal| key_of(signal.key));
        let dropped = push.dropped;
        let what = What::Signalled {
            sub,
            via,
            key,
            number,
            dropped,
        };
        self.told(client, what);
    }

    /// The subscription of a room that is told things of.
    fn tap_sub(&self, client: usize, room: wire::RoomId) -> Option<Op> {
        let tap = &self.clients[client].tap;
        let room = tap.rooms.get(&room.0)?;
        Some(tap.live.get(room)?.op)
    }

    pub(super) fn tap_cursor(&mut self, client: usize, id: u64, cursor: &wire::Cursor<'_>) {
        let Some(room) = self.clients[client].tap.room(cursor.room) else {
            self.fail(format!(
                "client {client} has a cursor in a room it cannot know"
            ));
            return;
        };
        let op = self.op();
        let tap = &mut self.clients[client].tap;
        tap.asked.insert(id, Asked::Cursor(op));
        let what = What::Cursor {
            op,
            room: Room(room),
            user: User(tap.user),
            name: cursor_number(cursor.name),
            seq: Seq(cursor.position.seq.0),
            count: cursor.position.count.0,
            sync: cursor.is_sync,
        };
        self.told(client, what);
    }

    pub(super) fn tap_cursor_at(&mut self, client: usize, op: Op, done: &wire::Ok_) {
        let Some(wire::CursorAnswer { position, head }) = done.cursor else {
            self.fail(format!("client {client}: an OK that tells no cursor"));
            return;
        };
        self.tally.cursors += 1;
        let what = What::CursorAt {
            op,
            seq: Seq(position.seq.0),
            count: position.count.0,
            head: Seq(head.seq.0),
            head_count: head.count.0,
        };
        self.told(client, what);
    }

    pub(super) fn tap_cursor_moved(&mut self, client: usize, moved: &wire::CursorMoved<'_>) {
        let Some(sub) = self.tap_sub(client, moved.room_id) else {
            self.fail(format!(
                "client {client}: a cursor of a room that it does not follow: {moved:?}"
            ));
            return;
        };
        let what = What::CursorMoved {
            sub,
            user: user_of(moved.user.as_bytes()),
            name: cursor_number(moved.name),
            seq: Seq(moved.position.seq.0),
            count: moved.position.count.0,
        };
        self.told(client, what);
    }

    pub(super) fn tap_cursors_told(
        &mut self,
        client: usize,
        sub: Op,
        subscribed: &wire::Subscribed<'_>,
    ) {
        let user = User(self.clients[client].tap.user);
        for cursor in subscribed.cursors {
            let what = What::CursorMoved {
                sub,
                user,
                name: cursor_number(cursor.name),
                seq: Seq(cursor.position.seq.0),
                count: cursor.position.count.0,
            };
            self.told(client, what);
        }
    }
}
