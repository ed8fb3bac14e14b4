//! Subscriptions and channels: what an edge asks of a room before records flow.

use alloc::boxed::Box;
use alloc::vec::Vec;

use antiphon_protocol::{
    Code, CursorEntry, CursorScope, GapReason, Link, Namespace, ProducerSeq, RoomId, Seq,
};

use crate::core::CoreId;
use crate::home::desk::{Asker, Turn};
use crate::home::partition::Partition;
use crate::home::partition::slicing::Found;
use crate::home::reads::{Purpose, Reading, TimeReader};
use crate::home::records::link_at;
use crate::home::state::{Named, Room};
use crate::lane::{
    ChannelOpened, Head, Refused, RoomKey, Start, Subscribe, Subscribed, ToEdge, Unsubscribe,
};
use crate::planted::{Bug, planted};
use crate::read::{ReadFailure, ReadRecords};

impl Partition {
    /// The committed room that a key names, if it lies in the namespace.
    pub(super) fn resolve_room(&self, namespace: Namespace, key: &RoomKey) -> Option<RoomId> {
        match key {
            RoomKey::Id(id) => self
                .state
                .room(*id)
                .filter(|room| room.namespace == namespace)
                .map(|_| *id),
            RoomKey::Name(name) => self.state.named(&(namespace, name.clone())),
        }
    }

    /// A room that was resolved: rooms never go.
    pub(super) fn known_room(&self, room: RoomId) -> &Room {
        self.state
            .room(room)
            .expect("INV-HOME-42: a room that was found stays")
    }

    /// An edge asks for a room's channel.
    pub(super) fn open_channel(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        namespace: Namespace,
        key: RoomKey,
    ) {
        let name = match &key {
            RoomKey::Name(name) => Some(name.clone()),
            RoomKey::Id(_) => self
                .resolve_room(namespace, &key)
                .and_then(|id| self.state.room(id))
                .map(|room| room.name.clone()),
        };
        let refusal = self.impairment().or(if name.is_none() {
            Some(Code::NOT_FOUND)
        } else {
            None
        });
        let message = match (refusal, name) {
            (None, Some(name)) => {
                let channel = self.channels.open((namespace, name), turn.settings.core);
                ToEdge::ChannelOpened(ChannelOpened {
                    namespace,
                    room: key,
                    channel,
                })
            }
            (code, _) => ToEdge::ChannelRefused {
                namespace,
                room: key,
                code: code.unwrap_or(Code::NOT_FOUND),
                hint: 0,
            },
        };
        turn.desk.send(edge, message);
    }

    /// A client subscribes: its position is looked up, then it is granted.
    pub(super) fn subscribe(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        subscribe: Box<Subscribe>,
    ) {
        if let Some(code) = self.impairment().filter(|code| *code != Code::DAMAGED) {
            return refuse(turn, edge, &subscribe, code, 0);
        }
        let Some(room) = self.resolve_room(subscribe.namespace, &subscribe.room) else {
            return self.subscribe_unknown(turn, edge, &subscribe);
        };
        let head = self.known_room(room).head;
        let apply_end = head.seq.next();
        if let Start::Time(time) = subscribe.start {
            let reader = TimeReader::Subscribe(subscribe);
            return self.seek_time(turn, edge, room, time, reader);
        }
        let next = match subscribe.start {
            Start::Live | Start::Time(_) => apply_end,
            Start::After { seq, .. } if seq > head.seq => {
                // What a damaged group lost may have been there.
                let code = self.impairment().unwrap_or(Code::DIVERGED);
                return refuse(
                    turn,
                    edge,
                    &subscribe,
                    code,
                    if code == Code::DIVERGED {
                        head.seq.0
                    } else {
                        0
                    },
                );
            }
            Start::After { seq, .. } if planted(Bug::ResumeOffByOne) => {
                seq.next().next().min(apply_end)
            }
            Start::After { seq, .. } => seq.next(),
            Start::Cursor => {
                let cursors = self.state.cursors();
                let cursor = cursors.find(room, &subscribe.sender, &subscribe.cursor);
                cursor.map_or(Seq::FIRST, |cursor| cursor.seq.next())
            }
            Start::Last(count) => Seq(apply_end.0.saturating_sub(count))
                .max(self.first_kept(room))
                .max(Seq(1))
                .min(apply_end),
        };
        self.subscribe_at(turn, edge, subscribe, room, next);
    }

    /// The position is known: looks up the link before it, and grants.
    pub(super) fn subscribe_at(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        subscribe: Box<Subscribe>,
        room: RoomId,
        next: Seq,
    ) {
        match self.hot_link(room, next.previous()) {
            Some(link) => self.grant(turn, edge, &subscribe, room, next, link),
            None => self.look_up_position(turn, edge, subscribe, room, next),
        }
    }

    /// The room does not exist: it is not created; the edge waits for its name.
    fn subscribe_unknown(&mut self, turn: &mut Turn<'_>, edge: CoreId, subscribe: &Subscribe) {
        let RoomKey::Name(name) = &subscribe.room else {
            return refuse(turn, edge, subscribe, Code::NOT_FOUND, 0);
        };
        if let Some(code) = self.impairment() {
            return refuse(turn, edge, subscribe, code, 0);
        }
        if matches!(subscribe.start, Start::After { seq, .. } if seq > Seq(0)) {
            return refuse(turn, edge, subscribe, Code::DIVERGED, 0);
        }
        let grant = turn.desk.next_grant();
        let named: Named = (subscribe.namespace, name.clone());
        self.interest.want_name(named, edge, grant);
        let subscribed = Subscribed {
            conn: subscribe.conn,
            ticket: subscribe.ticket,
            request: subscribe.request,
            grant,
            namespace: subscribe.namespace,
            name: name.clone(),
            room: None,
            head: Head::default(),
            first_kept: Seq(0),
            next: Seq(1),
            link: Link(0),
            producer_seq: ProducerSeq(0),
            wants: subscribe.wants,
            cursors: Vec::new(),
            live: true,
        };
        turn.desk
            .send(edge, ToEdge::Subscribed(Box::new(subscribed)));
    }

    /// The link before `next` is not in memory: reads the record `next - 1`, or, if that is lost, the one behind it.
    fn look_up_position(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        subscribe: Box<Subscribe>,
        room: RoomId,
        next: Seq,
    ) {
        let mut found = self.find_records(room, next.previous(), next, 1);
        if matches!(found, Found::Missing(_)) {
            found = self.find_records(room, next, next.next(), 1);
        }
        match found {
            Found::Cold(sought) => {
                let purpose = Purpose::Position {
                    edge,
                    subscribe,
                    next,
                };
                turn.read_for_home(
                    Reading {
                        partition: self.number,
                        purpose,
                    },
                    sought,
                );
            }
            // Only the record behind the lost one: `hot_link` looked for the one before.
            Found::Hot(hot) => self.grant(turn, edge, &subscribe, room, next, hot.link_before),
            // The position was let go: the link that the reader has cannot be checked; the gap that comes first has one.
            Found::Missing(_)
                if self.missing_reason(room, next.previous()) == GapReason::RETENTION =>
            {
                let link = match subscribe.start {
                    Start::After { link, .. } => link.unwrap_or_default(),
                    _ => Link::default(),
                };
                self.grant(turn, edge, &subscribe, room, next, link);
            }
            Found::Missing(readable) => refuse(
                turn,
                edge,
                &subscribe,
                Code::DAMAGED,
                readable.map_or(0, |seq| seq.0),
            ),
        }
    }

    /// A reader thread has read the record at a subscriber's position.
    pub(crate) fn position_read(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        subscribe: &Subscribe,
        room: RoomId,
        next: Seq,
        result: Result<ReadRecords, ReadFailure>,
    ) {
        let link = match result {
            Ok(read) if read.first == next => Some(read.link_before),
            Ok(read) => link_at(&read.records),
            Err(ReadFailure::Busy | ReadFailure::Gone) => {
                return refuse(turn, edge, subscribe, Code::UNAVAILABLE, 0);
            }
            Err(ReadFailure::Damaged) => None,
        };
        match link {
            Some(link) => self.grant(turn, edge, subscribe, room, next, link),
            None => refuse(turn, edge, subscribe, Code::DAMAGED, 0),
        }
    }

    /// Grants a subscription: from this message on in the lane, every record applied is delivered to the edge.
    fn grant(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        subscribe: &Subscribe,
        room: RoomId,
        next: Seq,
        link: Link,
    ) {
        let known = self.known_room(room);
        let head = known.head;
        if matches!(subscribe.start, Start::After { seq, link: Some(asked) } if seq > Seq(0) && asked != link)
        {
            return refuse(turn, edge, subscribe, Code::DIVERGED, head.seq.0);
        }
        let grant = turn.desk.next_grant();
        let sender = subscribe.sender.as_bytes();
        let producer_seq = self
            .state
            .producer(room, subscribe.producer, sender)
            .map_or(ProducerSeq(0), |state| state.last);
        let subscribed = Subscribed {
            conn: subscribe.conn,
            ticket: subscribe.ticket,
            request: subscribe.request,
            grant,
            namespace: subscribe.namespace,
            name: known.name.clone(),
            room: Some(room),
            head,
            first_kept: self.first_kept(room),
            next,
            link,
            producer_seq,
            wants: subscribe.wants,
            cursors: self.cursors_of(room, subscribe),
            // A damaged group never delivers: its subscribers ask, and are told where it ends.
            live: next == head.seq.next() && self.impairment().is_none(),
        };
        self.interest.want_room(room, edge, grant);
        turn.desk
            .send(edge, ToEdge::Subscribed(Box::new(subscribed)));
    }

    /// The subscriber's cursors in the room, as the frame has them, if it asked for them.
    fn cursors_of(&self, room: RoomId, subscribe: &Subscribe) -> Vec<u8> {
        let mut list = Vec::new();
        if subscribe.wants.cursors || subscribe.start == Start::Cursor {
            for cursor in self.state.cursors().of(room, &subscribe.sender) {
                let entry = CursorEntry {
                    name: &cursor.name,
                    position: cursor.position(),
                    scope: CursorScope::from_wire(cursor.scope),
                };
                entry.append(&mut list);
            }
        }
        list
    }

    /// An edge has no subscriber of a room left.
    pub(super) fn unsubscribe(&mut self, edge: CoreId, unsubscribe: &Unsubscribe) {
        let Unsubscribe {
            namespace,
            room,
            grant,
        } = unsubscribe;
        match (self.resolve_room(*namespace, room), room) {
            (Some(room), _) => self.interest.leave_room(room, edge, *grant),
            (None, RoomKey::Name(name)) => {
                self.interest
                    .leave_name(&(*namespace, name.clone()), edge, *grant)
            }
            (None, RoomKey::Id(_)) => {}
        }
    }
}

pub(super) fn refuse(
    turn: &mut Turn<'_>,
    edge: CoreId,
    subscribe: &Subscribe,
    code: Code,
    hint: u64,
) {
    let asker = Asker {
        edge,
        conn: subscribe.conn,
        request: subscribe.request,
    };
    turn.desk
        .refuse(asker, Refused::Subscribe(subscribe.ticket), code, hint);
}
