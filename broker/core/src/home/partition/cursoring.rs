//! Cursors of readers: taken at once, written down together.
//!
//! A position is accepted on committed state and answered; it becomes an entry within a while: each cursor at most once in CURSOR_MS_MIN, all of a
//! partition in one item per CURSORS_EVERY_MS, one entry under way at a time. Whoever asked for *sync* is answered when it is committed, and does not
//! wait for the two seconds. What is not written yet is lost with the leadership: the reader sees messages as unread again, never the other way. A node
//! that stops writes all of it first, and answers as if everybody asked for *sync*.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use antiphon_log::CursorMove;
use antiphon_protocol::limits::{CURSOR_MS_MIN, PARTITION_CURSORS_MAX, ROOM_CURSORS_MAX};
use antiphon_protocol::{Code, CursorPosition, RoomId, Seq, UserName};

use crate::core::CoreId;
use crate::home::desk::{Asker, Turn};
use crate::home::limits::{CURSOR_BYTES_MAX, CURSORS_EVERY_MS, CURSORS_PER_ENTRY_MAX};
use crate::home::overlay::Proposal;
use crate::home::partition::Partition;
use crate::home::partition::stamping::Draft;
use crate::lane::{CursorIn, CursorMoves, CursorTold, Head, MovedCursor, Refused, Ticket, ToEdge};

/// Whose cursor: room, user, name.
type Key = (RoomId, UserName, Box<str>);

/// Where a cursor shall be.
#[derive(Debug)]
struct Wanted {
    position: CursorPosition,
    scope: u8,
    /// Not written before, unless somebody waits for it.
    due_ms: u64,
    /// It is in the entry under way.
    is_proposed: bool,
    /// The state says the same, or will once the entry under way is applied.
    is_written: bool,
    /// The state has no such cursor yet: it is counted in `new_of` and `new`.
    is_new: bool,
    /// Who is answered once it is committed.
    syncs: Vec<Sync>,
}

/// A request that is answered once the cursor stands at `seq` or above.
#[derive(Clone, Copy, Debug)]
struct Sync {
    asker: Asker,
    ticket: Ticket,
    seq: Seq,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct CursorDesk {
    /// Those that were moved within the last CURSOR_MS_MIN, or are not written.
    wanted: BTreeMap<Key, Wanted>,
    /// The entry under way.
    proposed: Option<Proposal>,
    /// No further entry before, but for those who wait.
    next_ms: u64,
    /// When something is to be written; `None`: nothing is.
    due_ms: Option<u64>,
    /// The node stops: everything is written as soon as it can be.
    is_flushing: bool,
    /// How many of `wanted` each user has that the state has not, and all together: they count in the limits from the moment they are accepted.
    new_of: BTreeMap<UserName, u32>,
    new: usize,
}

impl CursorDesk {
    /// Whether nobody waits for an answer, and nothing for a stop.
    pub(super) fn is_idle(&self) -> bool {
        let is_settled =
            |wanted: &Wanted| wanted.syncs.is_empty() && (wanted.is_written || !self.is_flushing);
        self.proposed.is_none() && self.wanted.values().all(is_settled)
    }

    /// Whether an entry is to be made now.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        self.proposed.is_none() && self.due_ms.is_some_and(|due_ms| due_ms <= now_ms)
    }

    /// Bytes that the item takes, at most.
    pub(super) fn bytes(&self, now_ms: u64) -> usize {
        if self.is_due(now_ms) {
            16 + self.wanted.len().min(CURSORS_PER_ENTRY_MAX) * CURSOR_BYTES_MAX
        } else {
            0
        }
    }

    fn want_at(&mut self, due_ms: u64) {
        self.due_ms = Some(self.due_ms.map_or(due_ms, |known| known.min(due_ms)));
    }

    /// Works out when something is due, and forgets what is written and old.
    fn plan(&mut self, now_ms: u64) {
        self.wanted
            .retain(|_, wanted| !wanted.is_written || wanted.is_proposed || wanted.due_ms > now_ms);
        let (next_ms, is_flushing) = (self.next_ms, self.is_flushing);
        let due = self.wanted.values().map(|wanted| {
            let is_urgent = !wanted.is_written && (is_flushing || !wanted.syncs.is_empty());
            if is_urgent {
                0
            } else {
                wanted.due_ms.max(next_ms)
            }
        });
        self.due_ms = due.min();
    }

    /// The state has this cursor now, or it will not be written.
    fn not_new(new_of: &mut BTreeMap<UserName, u32>, new: &mut usize, user: &UserName) {
        let of_user = new_of
            .get_mut(user)
            .expect("INV-HOME-55: a new cursor is counted until the state has it");
        *of_user -= 1;
        if *of_user == 0 {
            new_of.remove(user);
        }
        *new -= 1;
    }
}

impl Partition {
    /// The node stops: what was accepted is written now.
    pub(crate) fn flush_cursors(&mut self, now_ms: u64) {
        self.cursors.is_flushing = true;
        if self.cursors.proposed.is_none() {
            self.cursors.plan(now_ms);
        }
    }

    /// When cursors want to be written.
    pub(crate) fn cursors_deadline(&self) -> Option<u64> {
        self.cursors
            .due_ms
            .filter(|_| self.cursors.proposed.is_none() && self.may_admit())
    }

    /// A client moves its cursor, or asks where it stands.
    pub(super) fn cursor(&mut self, turn: &mut Turn<'_>, edge: CoreId, cursor: CursorIn) {
        let asker = Asker {
            edge,
            conn: cursor.conn,
            request: cursor.request,
        };
        let of = Refused::Cursor(cursor.ticket);
        if let Some(code) = self.impairment() {
            return turn.desk.refuse(asker, of, code, 0);
        }
        let Some(room) = self.resolve_room(cursor.namespace, &cursor.room) else {
            return turn.desk.refuse(asker, of, Code::NOT_FOUND, 0);
        };
        let head = self.known_room(room).head;
        if !is_possible(cursor.position, head) {
            return turn.desk.refuse(asker, of, Code::CONFLICT, head.seq.0);
        }
        let CursorIn {
            user,
            name,
            position,
            scope,
            is_sync,
            ticket,
            ..
        } = cursor;
        let scope = scope.wire();
        let committed = self.state.cursors().find(room, &user, &name);
        let stands = committed.map_or(CursorPosition::default(), |cursor| cursor.position());
        let committed_scope = committed.map(|cursor| cursor.scope);
        let key = (room, user, name);
        let wanted_scope = self.cursors.wanted.get(&key).map(|wanted| wanted.scope);
        // The last request counts: also against one that is accepted and not written yet.
        let mut scopes = [committed_scope, wanted_scope].into_iter().flatten();
        let is_rescoped = scopes.any(|known| known != scope);
        let moves = position.seq > stands.seq || position.seq > Seq(0) && is_rescoped;
        if !moves {
            return tell(turn, asker, ticket, stands, head);
        }
        if let Some(leader) = self.follows() {
            return turn
                .desk
                .refuse(asker, of, Code::MOVED, u64::from(leader.0));
        }
        // Another scope may be asked for from a position that the cursor has passed: it never goes back.
        let position = if position.seq > stands.seq {
            position
        } else {
            stands
        };
        if turn.exchange.is_storage_full() {
            return turn.desk.refuse(asker, of, Code::STORAGE_FULL, 0);
        }
        let is_new = committed_scope.is_none() && wanted_scope.is_none();
        if is_new && let Some(limit) = self.cursors_full(turn, &key) {
            return turn.desk.refuse(asker, of, Code::LIMIT, u64::from(limit));
        }
        if is_new {
            *self.cursors.new_of.entry(key.1.clone()).or_default() += 1;
            self.cursors.new += 1;
        }
        let reached = self.want_cursor(turn.now.mono_ms, key, position, scope, is_new);
        // While the node stops, it may end before what is accepted now is written.
        if is_sync || self.cursors.is_flushing {
            self.sync_cursor(asker, ticket, reached);
        } else {
            tell(turn, asker, ticket, reached.1, head);
        }
    }

    /// Notes where a cursor shall be: its key, and the highest position asked for.
    fn want_cursor(
        &mut self,
        now_ms: u64,
        key: Key,
        position: CursorPosition,
        scope: u8,
        is_new: bool,
    ) -> (Key, CursorPosition) {
        let wanted = self.cursors.wanted.entry(key.clone()).or_insert(Wanted {
            position,
            scope,
            due_ms: now_ms,
            is_proposed: false,
            is_written: false,
            is_new,
            syncs: Vec::new(),
        });
        if position.seq > wanted.position.seq || scope != wanted.scope {
            wanted.is_written = false;
        }
        if position.seq > wanted.position.seq {
            wanted.position = position;
        }
        wanted.scope = scope;
        let (reached, due_ms) = (wanted.position, wanted.due_ms);
        if !wanted.is_written {
            let at_ms = due_ms.max(self.cursors.next_ms);
            let at_ms = if self.cursors.is_flushing { 0 } else { at_ms };
            self.cursors.want_at(at_ms);
        }
        (key, reached)
    }

    /// The answer waits for the commit, and the commit for nothing.
    fn sync_cursor(&mut self, asker: Asker, ticket: Ticket, (key, reached): (Key, CursorPosition)) {
        let wanted = self
            .cursors
            .wanted
            .get_mut(&key)
            .expect("INV-HOME-47: a cursor that is waited for is wanted");
        let seq = reached.seq;
        wanted.syncs.push(Sync { asker, ticket, seq });
        self.cursors.want_at(0);
    }

    /// The limit that one more cursor would pass.
    fn cursors_full(&self, turn: &Turn<'_>, key: &Key) -> Option<u32> {
        let (room, user, _) = key;
        let cursors = self.state.cursors();
        let first = (*room, user.clone(), Box::from(""));
        let mine = self.cursors.wanted.range(first..);
        let pending = mine
            .take_while(|((at, whose, _), _)| at == room && whose == user)
            .filter(|(_, wanted)| wanted.is_new)
            .count();
        let pending = u32::try_from(pending).unwrap_or(u32::MAX);
        let in_room = u32::try_from(cursors.of(*room, user).len()).unwrap_or(u32::MAX);
        let of_user = self.cursors.new_of.get(user).copied().unwrap_or(0);
        if in_room + pending >= ROOM_CURSORS_MAX {
            Some(ROOM_CURSORS_MAX)
        } else if cursors.count_of(user) + of_user >= turn.settings.user_cursors_max {
            Some(turn.settings.user_cursors_max)
        } else if cursors.len() + self.cursors.new >= PARTITION_CURSORS_MAX as usize {
            Some(PARTITION_CURSORS_MAX)
        } else {
            None
        }
    }

    /// Stamps the cursors that are due into the draft.
    pub(super) fn stamp_cursors(&mut self, turn: &Turn<'_>, draft: &mut Draft) {
        let now_ms = turn.now.mono_ms;
        if !self.cursors.is_due(now_ms) {
            return;
        }
        let is_flushing = self.cursors.is_flushing;
        let is_due = |wanted: &Wanted| {
            let is_urgent = is_flushing || !wanted.syncs.is_empty();
            !wanted.is_written && (wanted.due_ms <= now_ms || is_urgent)
        };
        if !self.cursors.wanted.values().any(is_due) {
            // Only what was written long enough ago is to be forgotten.
            return self.cursors.plan(now_ms);
        }
        let time = draft.time;
        let due = self.cursors.wanted.iter_mut();
        let due = due.filter(|(_, wanted)| is_due(wanted));
        draft.writer.cursors(due.take(CURSORS_PER_ENTRY_MAX).map(
            |((room, user, name), wanted)| {
                (wanted.is_proposed, wanted.is_written) = (true, true);
                wanted.due_ms = now_ms + CURSOR_MS_MIN;
                CursorMove {
                    room: *room,
                    seq: wanted.position.seq,
                    count: wanted.position.count,
                    time,
                    scope: wanted.scope,
                    name: name.as_bytes(),
                    user: user.as_bytes(),
                }
            },
        ));
        self.cursors.proposed = Some(draft.by);
        self.cursors.next_ms = now_ms + CURSORS_EVERY_MS;
    }

    /// The proposal `by` is gone, or nothing was proposed: what it had of cursors is to be written anew.
    pub(super) fn unpropose_cursors(&mut self, by: Option<Proposal>, now_ms: u64) {
        if self.cursors.proposed.is_none() || by.is_some_and(|by| self.cursors.proposed != Some(by))
        {
            return;
        }
        self.cursors.proposed = None;
        for wanted in self.cursors.wanted.values_mut() {
            if core::mem::take(&mut wanted.is_proposed) {
                (wanted.is_written, wanted.due_ms) = (false, now_ms);
            }
        }
        self.cursors.plan(now_ms);
    }

    /// The proposal `by` was applied.
    pub(super) fn cursors_settled(&mut self, turn: &mut Turn<'_>, by: Proposal) {
        if self.cursors.proposed != Some(by) {
            return;
        }
        self.cursors.proposed = None;
        for ((room, user, name), wanted) in &mut self.cursors.wanted {
            let was_proposed = core::mem::take(&mut wanted.is_proposed);
            if !was_proposed && wanted.syncs.is_empty() {
                continue;
            }
            let Some(cursor) = self.state.cursors().find(*room, user, name) else {
                continue;
            };
            if core::mem::take(&mut wanted.is_new) {
                let (new_of, new) = (&mut self.cursors.new_of, &mut self.cursors.new);
                CursorDesk::not_new(new_of, new, user);
            }
            let head = self
                .state
                .room(*room)
                .map_or_else(Head::default, |room| room.head);
            let stands = cursor.position();
            wanted.syncs.retain(|sync| {
                let is_reached = sync.seq <= stands.seq;
                if is_reached {
                    tell(turn, sync.asker, sync.ticket, stands, head);
                }
                !is_reached
            });
        }
        self.cursors.plan(turn.now.mono_ms);
    }

    /// Nothing will be written any more: refuses whoever waits.
    pub(super) fn refuse_cursors(&mut self, turn: &mut Turn<'_>, code: Code) {
        let desk = core::mem::take(&mut self.cursors);
        self.cursors.is_flushing = desk.is_flushing;
        for Sync { asker, ticket, .. } in desk.wanted.into_values().flat_map(|wanted| wanted.syncs)
        {
            turn.desk.refuse(asker, Refused::Cursor(ticket), code, 0);
        }
    }

    /// Tells the edges of each room which of its cursors moved.
    pub(super) fn tell_cursors(&self, turn: &mut Turn<'_>, moved: &[MovedCursor]) {
        for of_room in moved.chunk_by(|one, other| one.room == other.room) {
            let room = of_room[0].room;
            let mut edges = self.interest.edges(room).peekable();
            if edges.peek().is_none() {
                continue;
            }
            let moves: alloc::sync::Arc<[MovedCursor]> = of_room.into();
            for edge in edges {
                let moves = CursorMoves {
                    room,
                    moves: alloc::sync::Arc::clone(&moves),
                };
                turn.desk.send(edge, ToEdge::CursorsMoved(moves));
            }
        }
    }
}

/// Whether a record of a room with this head may stand there.
fn is_possible(position: CursorPosition, head: Head) -> bool {
    let CursorPosition { seq, count } = position;
    seq <= head.seq && count.0 <= head.count.0 && head.count.0 - count.0 <= head.seq.0 - seq.0
}

/// Answers a request.
fn tell(turn: &mut Turn<'_>, asker: Asker, ticket: Ticket, position: CursorPosition, head: Head) {
    let told = CursorTold {
        conn: asker.conn,
        ticket,
        position,
        head: CursorPosition {
            seq: head.seq,
            count: head.count,
        },
    };
    turn.desk.send(asker.edge, ToEdge::CursorTold(told));
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::Count;

    use super::*;

    #[test]
    fn a_position_is_possible_if_some_record_could_have_it() {
        let head = Head {
            seq: Seq(10),
            count: Count(6),
            ..Head::default()
        };
        let may = |seq, count| {
            let position = CursorPosition {
                seq: Seq(seq),
                count: Count(count),
            };
            is_possible(position, head)
        };
        assert!(may(10, 6) && may(0, 0) && may(6, 6) && may(6, 2));
        assert!(!may(11, 6), "above the head");
        assert!(!may(9, 7), "more messages than there are");
        assert!(!may(8, 3), "more messages behind it than records");
    }
}
