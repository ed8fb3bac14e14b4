//! Subscriptions: asked for, answered, replaced, ended.
//!
//! `lane` tells how a subscriber becomes live and how an edge leaves a room. A SUBSCRIBE is a request until home has answered; only then there is a
//! subscription, and only then it replaces an older one of the same connection and room, so nothing of the old one follows the new SUBSCRIBED.

use alloc::boxed::Box;

use antiphon_protocol as wire;
use antiphon_protocol::{
    Code, ErrorFrame, Link, Namespace, Ok_, RequestId, RoomId, RoomName, RoomRef, Seq, UserName,
};

use super::Edge;
use super::rooms::{Sub, SubState};
use super::session::{Pending, Pull};
use crate::core::{ConnId, CoreId};
use crate::lane::{
    Created, Message, RoomKey, Start, Subscribe, Subscribed, Ticket, ToHome, Unsubscribe,
};
use crate::limits::SUBSCRIPTIONS_SCANNED_MAX;
use crate::planted::{Bug, planted};

impl Edge {
    /// A SUBSCRIBE came.
    pub(super) fn subscribe(
        &mut self,
        conn: ConnId,
        id: RequestId,
        subscribe: &wire::Subscribe<'_>,
    ) {
        let limit = self.settings.limits.subscriptions_max;
        let Some(open) = self.conns.open(conn) else {
            return;
        };
        if open.subscriptions() >= limit as usize {
            let error = ErrorFrame {
                hint: u64::from(limit),
                ..ErrorFrame::new(Code::LIMIT)
            };
            return self.answer_error(conn, id, &error);
        }
        let Some(room) = self.room_key(subscribe.room) else {
            return;
        };
        let ticket = self.next_ticket();
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        open.add_request(Pending::Subscribe {
            ticket,
            request: id,
            room: room.clone(),
            unsubscribe: None,
            is_superseded: false,
        });
        let message = Subscribe {
            conn,
            ticket,
            request: id,
            namespace: open.namespace,
            room,
            start: start_of(subscribe.start),
            cursor: cursor_of(subscribe.start).into(),
            wants: subscribe.wants,
            sender: copy_of(&open.user),
            producer: open.producer,
        };
        let home = self.home_of(message.namespace, &message.room);
        self.send(home, Message::ToHome(ToHome::Subscribe(Box::new(message))));
    }

    /// Home has answered a SUBSCRIBE.
    pub(super) fn subscribed(&mut self, subscribed: &Subscribed) {
        let conn = subscribed.conn;
        let pending = self
            .conns
            .open_mut(conn)
            .and_then(|open| open.take_request(subscribed.ticket));
        let room = self.enter_room(subscribed);
        if let Some(Pending::Subscribe {
            request,
            unsubscribe,
            is_superseded,
            ..
        }) = pending
        {
            let current = self
                .sub_of(conn, room)
                .map(|sub| self.rooms.sub(sub).ticket);
            if is_superseded || current.is_some_and(|current| current > subscribed.ticket) {
                self.answer_superseded(subscribed, request, unsubscribe, room);
            } else {
                self.conns
                    .write(conn, |out| frame_of(subscribed).encode(request, out));
                self.start_subscription(subscribed, room);
                if let Some(id) = unsubscribe {
                    self.unsubscribe_from(conn, id, room, subscribed.ticket);
                }
            }
            self.ease(conn);
        }
        self.leave_if_empty(room);
    }

    /// Answers a SUBSCRIBE that a later one of its room overtook, and the UNSUBSCRIBE between the two.
    fn answer_superseded(
        &mut self,
        subscribed: &Subscribed,
        request: RequestId,
        unsubscribe: Option<RequestId>,
        room: u32,
    ) {
        let conn = subscribed.conn;
        self.answer_error(conn, request, &ErrorFrame::new(Code::REPLACED));
        let Some(id) = unsubscribe else { return };
        if let Some(sub) = self.sub_of(conn, room)
            && self.rooms.sub(sub).ticket < subscribed.ticket
        {
            self.drop_subscription(sub);
        }
        self.conns.write(conn, |out| Ok_::DONE.encode(id, out));
    }

    /// Enters what the answer says about the room.
    fn enter_room(&mut self, subscribed: &Subscribed) -> u32 {
        let key = RoomKey::Name(subscribed.name.clone());
        let home = self.home_of(subscribed.namespace, &key);
        let room = self
            .rooms
            .enter(subscribed.namespace, &subscribed.name, home);
        if let Some(id) = subscribed.room {
            self.create_room(room, id);
        }
        let entry = self.rooms.room_mut(room);
        debug_assert!(
            entry.grant < subscribed.grant,
            "INV-EDGE-8: grants of a room ascend in the lane"
        );
        entry.grant = entry.grant.max(subscribed.grant);
        entry.apply_end = entry.apply_end.max(subscribed.head.seq.next());
        room
    }

    /// Makes the subscription that was answered, in place of an older one.
    fn start_subscription(&mut self, subscribed: &Subscribed, room: u32) {
        let conn = subscribed.conn;
        if let Some(old) = self.sub_of(conn, room) {
            self.drop_subscription(old);
        }
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        let at = u32::try_from(open.subs.as_slice().len()).expect("subscriptions_max is a u32");
        let (ticket, next) = (subscribed.ticket, subscribed.next);
        let wants = subscribed.wants;
        let sub = self.rooms.add(conn, room, ticket, at, wants, next);
        open.subs.push(sub);
        match open.subs.as_slice() {
            subs if subs.len() <= SUBSCRIPTIONS_SCANNED_MAX => {}
            // From now on they are found by hash.
            subs if subs.len() == SUBSCRIPTIONS_SCANNED_MAX + 1 => self.rooms.index(subs),
            _ => self.rooms.index(&[sub]),
        }
        let entry = self.rooms.room(room);
        if entry.id.is_none() {
            self.rooms.become_waiting(sub, subscribed.request);
        } else if subscribed.live && subscribed.next >= entry.apply_end {
            self.rooms.become_live(sub, subscribed.next);
        } else {
            self.want_tail(sub);
        }
    }

    /// A room that subscribers here wait for now exists.
    pub(super) fn created(&mut self, created: &Created) {
        let key = RoomKey::Name(created.name.clone());
        let home = self.home_of(created.namespace, &key);
        let room = self.rooms.enter(created.namespace, &created.name, home);
        self.create_room(room, created.room);
        let entry = self.rooms.room_mut(room);
        debug_assert!(
            entry.grant < created.grant,
            "INV-EDGE-8: grants of a room ascend in the lane"
        );
        entry.grant = entry.grant.max(created.grant);
        self.leave_if_empty(room);
    }

    /// Gives a room its number; whoever waits for it is live before its first record.
    fn create_room(&mut self, room: u32, id: RoomId) {
        if self.rooms.room(room).id.is_some() {
            return self.rooms.set_id(room, id);
        }
        self.rooms.set_id(room, id);
        let start = Link::start(id);
        let frame = wire::Subscribed {
            room_id: id,
            head_link: start,
            link: start,
            ..wire::Subscribed::NO_ROOM
        };
        for sub in self.rooms.waiting(room) {
            let Sub { conn, state, .. } = *self.rooms.sub(sub);
            let SubState::Waiting { request, .. } = state else {
                continue;
            };
            self.conns.write(conn, |out| frame.encode(request, out));
            self.rooms.become_live(sub, Seq::FIRST);
        }
    }

    /// An UNSUBSCRIBE came.
    pub(super) fn unsubscribe(
        &mut self,
        conn: ConnId,
        id: RequestId,
        unsubscribe: &wire::Unsubscribe<'_>,
    ) {
        let Some(open) = self.conns.open(conn) else {
            return;
        };
        let room = self.rooms.find(open.namespace, unsubscribe.room);
        let current = room
            .and_then(|room| self.sub_of(conn, room))
            .map(|sub| self.rooms.sub(sub).ticket);
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        if defer(open.requests_mut(), unsubscribe.room, id, current) {
            return;
        }
        match room {
            Some(room) => {
                let newest = Ticket(self.tickets);
                self.unsubscribe_from(conn, id, room, newest);
                self.leave_if_empty(room);
            }
            None => self.answer_error(conn, id, &ErrorFrame::new(Code::NOT_FOUND)),
        }
    }

    /// Ends the connection's subscription to the room and answers. SUBSCRIBEs of the room, however named, that came before it start nothing any more.
    fn unsubscribe_from(&mut self, conn: ConnId, id: RequestId, room: u32, newest: Ticket) {
        let entry = self.rooms.room(room);
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        for pending in open.requests_mut() {
            if let Pending::Subscribe {
                ticket,
                room: asked,
                is_superseded,
                ..
            } = pending
            {
                let is_same = match asked {
                    RoomKey::Id(id) => entry.id == Some(*id),
                    RoomKey::Name(name) => entry.name == *name,
                };
                *is_superseded |= is_same && *ticket <= newest;
            }
        }
        match self.sub_of(conn, room) {
            Some(sub) => {
                if !planted(Bug::UnsubscribedStays) {
                    self.drop_subscription(sub);
                }
                self.conns.write(conn, |out| Ok_::DONE.encode(id, out));
            }
            None => self.answer_error(conn, id, &ErrorFrame::new(Code::NOT_FOUND)),
        }
    }

    /// Home refused a SUBSCRIBE: an UNSUBSCRIBE that waited for it means an older subscription, if any.
    pub(super) fn subscribe_refused(&mut self, conn: ConnId, pending: Pending) {
        let Pending::Subscribe {
            ticket,
            room,
            unsubscribe: Some(id),
            ..
        } = pending
        else {
            return;
        };
        let Some(open) = self.conns.open(conn) else {
            return;
        };
        let room = self.rooms.find(open.namespace, room_ref(&room));
        let current = room.and_then(|room| self.sub_of(conn, room));
        match (room, current) {
            (Some(room), Some(sub)) => {
                if self.rooms.sub(sub).ticket < ticket {
                    self.drop_subscription(sub);
                }
                self.conns.write(conn, |out| Ok_::DONE.encode(id, out));
                self.leave_if_empty(room);
            }
            _ => self.answer_error(conn, id, &ErrorFrame::new(Code::NOT_FOUND)),
        }
    }

    /// All subscriptions of a room end.
    pub(super) fn ended(&mut self, id: RoomId, code: Code) {
        if let Some(room) = self.rooms.find_id(id) {
            self.end_room(room, code);
        }
    }

    /// As [`ended`](Self::ended), for a room that does not exist.
    pub(super) fn name_ended(&mut self, namespace: Namespace, name: &RoomName, code: Code) {
        if let Some(room) = self.rooms.find_name(namespace, name.as_str()) {
            self.end_room(room, code);
        }
    }

    fn end_room(&mut self, room: u32, code: Code) {
        for sub in self.rooms.members(room) {
            self.end_subscription(sub, code);
        }
        // Home has forgotten this edge: nothing to tell.
        let _ = self.forget_room(room);
    }

    /// One subscription ends for a reason that its client is told.
    pub(super) fn end_subscription(&mut self, sub: u32, code: Code) {
        let (conn, room) = (self.rooms.sub(sub).conn, self.rooms.sub(sub).room);
        let entry = self.rooms.room(room);
        let room = entry.id.map_or(RoomRef::from(&entry.name), RoomRef::Id);
        self.conns.write(conn, |out| {
            wire::Unsubscribe { room, code }.encode(RequestId::PUSH, out)
        });
        self.drop_subscription(sub);
    }

    /// Takes a subscription out of its room and its connection.
    fn drop_subscription(&mut self, sub: u32) {
        let gone = self.rooms.remove(sub);
        let Some(open) = self.conns.open_mut(gone.conn) else {
            return;
        };
        if let Some(moved) = open.subs.swap_remove(gone.at_in_conn) {
            self.rooms.sub_mut(moved).at_in_conn = gone.at_in_conn;
        }
    }

    /// Takes all subscriptions of a connection out that is closing.
    pub(super) fn drop_subscriptions(&mut self, subs: &[u32]) {
        for &sub in subs {
            let gone = self.rooms.remove(sub);
            self.leave_if_empty(gone.room);
        }
    }

    /// Tells home if no subscriber of the room is left.
    pub(super) fn leave_if_empty(&mut self, room: u32) {
        if let Some((home, unsubscribe)) = self.forget_room(room) {
            self.send(home, Message::ToHome(ToHome::Unsubscribe(unsubscribe)));
        }
    }

    /// Takes a room without subscribers out, with the deliveries that wait for it; what home would have to be told.
    fn forget_room(&mut self, room: u32) -> Option<(CoreId, Unsubscribe)> {
        let has_backlog = self.rooms.room(room).backlog > 0;
        let (namespace, key, grant, home) = self.rooms.forget_empty(room)?;
        if has_backlog {
            self.forget_fanouts(room);
        }
        self.signals.handouts.forget(room);
        Some((
            home,
            Unsubscribe {
                namespace,
                room: key,
                grant,
            },
        ))
    }

    /// The subscription with this ticket has to fetch what follows.
    pub(super) fn want_tail(&mut self, sub: u32) {
        let entry = self.rooms.sub(sub);
        debug_assert!(
            matches!(entry.state, SubState::Behind { .. }),
            "INV-EDGE-9: only a reader behind fetches"
        );
        self.want_pull(
            entry.conn,
            Pull::Tail {
                sub,
                ticket: entry.ticket,
            },
        );
    }

    /// The subscription of a connection to a room.
    pub(super) fn sub_of(&self, conn: ConnId, room: u32) -> Option<u32> {
        let subs = self.conns.open(conn)?.subs.as_slice();
        if subs.len() > SUBSCRIPTIONS_SCANNED_MAX {
            return self.rooms.of_conn(conn.slot, room);
        }
        let is_it = |sub: &u32| self.rooms.sub(*sub).room == room;
        subs.iter().copied().find(is_it)
    }

    /// The subscription of a connection that was asked for with this ticket.
    pub(super) fn sub_with(&self, conn: ConnId, ticket: Ticket) -> Option<u32> {
        let subs = self.conns.open(conn)?.subs.as_slice();
        if subs.len() > SUBSCRIPTIONS_SCANNED_MAX {
            return self.rooms.by_ticket(ticket);
        }
        let is_it = |sub: &u32| self.rooms.is_current(*sub, ticket);
        subs.iter().copied().find(is_it)
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// An owned copy of how a client names a room.
    pub(super) fn room_key(&self, room: RoomRef<'_>) -> Option<RoomKey> {
        match room {
            RoomRef::Id(id) => Some(RoomKey::Id(id)),
            RoomRef::Name(name) => RoomName::try_from(name).ok().map(RoomKey::Name),
        }
    }
}

/// Has an UNSUBSCRIBE wait for the newest unanswered SUBSCRIBE of the same room, if there is one that is newer than the current subscription; older
/// ones start nothing any more. One that the current subscription has overtaken is not waited for: its answer would leave that one alive.
fn defer(
    requests: &mut [Pending],
    room: RoomRef<'_>,
    id: RequestId,
    current: Option<Ticket>,
) -> bool {
    let mut is_deferred = false;
    for pending in requests.iter_mut().rev() {
        let Pending::Subscribe {
            ticket,
            room: asked,
            unsubscribe,
            is_superseded,
            ..
        } = pending
        else {
            continue;
        };
        if room_ref(asked) != room || *is_superseded {
            continue;
        }
        if is_deferred {
            *is_superseded = true;
        } else if unsubscribe.is_none() && current.is_none_or(|current| current < *ticket) {
            *unsubscribe = Some(id);
            is_deferred = true;
        }
    }
    is_deferred
}

/// A copy with its own memory, which goes with the message: sharing the name would have the session pay for a counter of its sharers for ever.
fn copy_of(user: &UserName) -> UserName {
    UserName::try_from(user.as_bytes()).unwrap_or_else(|_| user.clone())
}

fn room_ref(room: &RoomKey) -> RoomRef<'_> {
    match room {
        RoomKey::Id(id) => RoomRef::Id(*id),
        RoomKey::Name(name) => RoomRef::from(name),
    }
}

fn start_of(start: wire::Start<'_>) -> Start {
    match start {
        wire::Start::Live => Start::Live,
        wire::Start::After { seq, link } => Start::After {
            seq,
            link: Some(link).filter(|link| link.0 != 0 && seq.0 != 0),
        },
        wire::Start::Last(count) => Start::Last(count),
        wire::Start::Time(time) => Start::Time(time),
        wire::Start::Cursor(_) => Start::Cursor,
    }
}

fn frame_of(subscribed: &Subscribed) -> wire::Subscribed<'_> {
    let Some(room_id) = subscribed.room else {
        return wire::Subscribed::NO_ROOM;
    };
    wire::Subscribed {
        room_id,
        head_seq: subscribed.head.seq,
        head_count: subscribed.head.count,
        head_link: subscribed.head.link,
        head_time: subscribed.head.time,
        first_seq: subscribed.first_kept,
        next_seq: subscribed.next,
        link: subscribed.link,
        producer_seq: subscribed.producer_seq,
        role: 0,
        cursors: wire::CursorEntries::new(&subscribed.cursors)
            .expect("INV-EDGE-21: home sends cursors as frames have them"),
    }
}

fn cursor_of(start: wire::Start<'_>) -> &str {
    match start {
        wire::Start::Cursor(name) => name,
        _ => "",
    }
}
