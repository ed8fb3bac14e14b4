//! All subscriptions of a session: placed, checked, paused, resumed.
//!
//! A subscription whose application does not read is unsubscribed at its bound and subscribed again, behind its last
//! record, when half of its buffer is free. The socket itself is always read, so acks are never behind a slow reader.

mod beside;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use antiphon_protocol::{
    self as protocol, Code, RequestId, RoomId, RoomName, RoomRef, Seq, SignalPush, Subscribed,
    UserName,
};

use crate::cursor::CursorMoved;
use crate::error::{Misuse, Rejection, SubscribeError, Violation};
use crate::options::Bounds;
use crate::record::Delivery;
use crate::session::chain::Chain;
use crate::session::context::Context;
use crate::session::input::{Mono, Ticket};
use crate::session::jitter::millis;
use crate::session::output::Event;
use crate::subscription::Follow;

use beside::Beside;
use reader::{Phase, Place, Reader, room_head};

/// What a call wants sent to the broker.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Want {
    /// Nothing.
    Nothing,
    /// A SUBSCRIBE, when there is room for a request.
    Subscribe(Ticket),
    /// An UNSUBSCRIBE by number.
    UnsubscribeId(RoomId),
    /// An UNSUBSCRIBE by name, as the number is not known yet; the SUBSCRIBE had this id.
    UnsubscribeName(RoomName, RequestId),
}

/// Every subscription, by the ticket of its application.
#[derive(Debug)]
pub(crate) struct Readers {
    /// Whose they are.
    user: UserName,
    bounds: Bounds,
    by_ticket: BTreeMap<Ticket, Reader>,
    by_name: BTreeMap<RoomName, Ticket>,
    /// Rooms of which records come: each reader here is in phase `Live`.
    live: BTreeMap<RoomId, Ticket>,
    held: BTreeSet<(Mono, Ticket)>,
}

impl Readers {
    pub(crate) fn new(user: UserName, bounds: Bounds) -> Readers {
        Readers {
            user,
            bounds,
            by_ticket: BTreeMap::new(),
            by_name: BTreeMap::new(),
            live: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    /// The application wants to follow a room.
    pub(crate) fn add(
        &mut self,
        ticket: Ticket,
        room: RoomName,
        follow: Follow,
        context: &mut Context<'_>,
    ) -> Want {
        if self.by_name.contains_key(&room) {
            context.tell(Event::SubscriptionOver(
                ticket,
                Misuse::AlreadySubscribed.into(),
            ));
            return Want::Nothing;
        }
        self.by_name.insert(room.clone(), ticket);
        self.by_ticket
            .insert(ticket, Reader::new(room, follow, self.bounds));
        Want::Subscribe(ticket)
    }

    /// The application does not want to follow any more.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Want {
        let Some(reader) = self.by_ticket.remove(&ticket) else {
            return Want::Nothing;
        };
        self.by_name.remove(&reader.room);
        self.held.retain(|(_, held)| *held != ticket);
        match (reader.phase, reader.place) {
            (Phase::Live, Place::Checked(chain)) => {
                self.live.remove(&chain.room_id());
                Want::UnsubscribeId(chain.room_id())
            }
            // As it was asked for: only then does it take effect right behind the answer.
            (Phase::Asked(_), Place::Checked(chain)) => Want::UnsubscribeId(chain.room_id()),
            (Phase::Asked(id) | Phase::NoRoom(id), _) => Want::UnsubscribeName(reader.room, id),
            _ => Want::Nothing,
        }
    }

    /// All that need a SUBSCRIBE on a new connection.
    pub(crate) fn on_open(&mut self) -> Vec<Ticket> {
        let mut wanted = Vec::new();
        for (ticket, reader) in &mut self.by_ticket {
            if reader.phase != Phase::Paused {
                reader.phase = Phase::Wanted;
                wanted.push(*ticket);
            }
        }
        self.held.clear();
        wanted
    }

    /// The connection is gone.
    pub(crate) fn on_lost(&mut self) {
        for ticket in std::mem::take(&mut self.live).into_values() {
            if let Some(reader) = self.by_ticket.get_mut(&ticket) {
                reader.phase = Phase::Wanted;
            }
        }
    }

    /// Appends the SUBSCRIBE of a subscription that still wants one; true: it did.
    pub(crate) fn encode_subscribe(
        &mut self,
        ticket: Ticket,
        id: RequestId,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(reader) = self.by_ticket.get_mut(&ticket) else {
            return false;
        };
        if reader.phase != Phase::Wanted {
            return false;
        }
        reader.subscribe().encode(id, out);
        reader.phase = Phase::Asked(id);
        true
    }

    /// The answer to a SUBSCRIBE, or its second one.
    pub(crate) fn on_subscribed(
        &mut self,
        ticket: Ticket,
        id: RequestId,
        subscribed: &Subscribed<'_>,
        context: &mut Context<'_>,
    ) -> Want {
        let Some(reader) = self.by_ticket.get_mut(&ticket) else {
            return Want::Nothing;
        };
        if reader.phase != Phase::Asked(id) && reader.phase != Phase::NoRoom(id) {
            return Want::Nothing;
        }
        reader.refusals = 0;
        if subscribed.room_id != RoomId(0) {
            if let Err(error) = reader.place_at(subscribed) {
                return self.over(ticket, error, context);
            }
            reader.phase = Phase::Live;
            self.live.insert(subscribed.room_id, ticket);
        } else if matches!(reader.place, Place::Checked(_)) {
            // A room that was read before and is no more is another history.
            return self.over(
                ticket,
                SubscribeError::Diverged {
                    head: subscribed.head_seq,
                },
                context,
            );
        } else {
            reader.place = Place::NoRoom;
            reader.phase = Phase::NoRoom(id);
        }
        if !std::mem::replace(&mut reader.is_announced, true) {
            let position = reader.position();
            context.tell(Event::Subscribed(ticket, room_head(subscribed), position));
        }
        if reader.wants.cursors {
            let own = subscribed.cursors.map(|entry| CursorMoved {
                user: self.user.as_str().to_owned(),
                name: entry.name.to_owned(),
                position: entry.position,
                scope: entry.scope,
            });
            let mut told = Vec::new();
            own.for_each(|moved| reader.beside.on_cursor(moved, &mut told));
            tell_all(ticket, told, context);
        }
        Want::Nothing
    }

    /// Whether this SUBSCRIBE gets a second answer when its room comes to be.
    pub(crate) fn awaits_room(&self, ticket: Ticket, id: RequestId) -> bool {
        self.by_ticket
            .get(&ticket)
            .is_some_and(|reader| reader.phase == Phase::NoRoom(id))
    }

    /// The broker refused a SUBSCRIBE.
    pub(crate) fn on_refused(
        &mut self,
        ticket: Ticket,
        rejection: Rejection,
        context: &mut Context<'_>,
    ) -> Want {
        let Some(reader) = self.by_ticket.get_mut(&ticket) else {
            return Want::Nothing;
        };
        // A broker that has no place for one more will hardly have it soon: whoever still waits for the first answer is told.
        let is_over_limit = rejection.code == Code::LIMIT && !reader.is_announced;
        if rejection.is_retryable() && !is_over_limit {
            let at = context.retry_at(reader.refusals, millis(rejection.retry_after));
            reader.refusals += 1;
            reader.phase = Phase::Held(at);
            self.held.insert((at, ticket));
            return Want::Nothing;
        }
        reader.phase = Phase::Wanted;
        let error = match rejection.code {
            Code::DIVERGED => SubscribeError::Diverged {
                head: Seq(rejection.hint),
            },
            _ => SubscribeError::Rejected(rejection),
        };
        self.over(ticket, error, context)
    }

    /// A record came; records of rooms that are not followed (any more) are dropped.
    pub(crate) fn on_record(
        &mut self,
        record: &protocol::Record<'_>,
        context: &mut Context<'_>,
    ) -> Want {
        self.deliver(record.room_id(), context, |chain| {
            chain.record(record).map(Delivery::Record)
        })
    }

    /// A gap came.
    pub(crate) fn on_gap(&mut self, gap: &protocol::Gap, context: &mut Context<'_>) -> Want {
        self.deliver(gap.room_id, context, |chain| {
            chain.gap(gap).map(Delivery::Gap)
        })
    }

    /// A SIGNAL came.
    pub(crate) fn on_signal(&mut self, push: &SignalPush<'_>, context: &mut Context<'_>) {
        self.on_beside(push.room_id, context, |beside, told| {
            beside.on_signal(push, told);
        });
    }

    /// Somebody's cursor moved.
    pub(crate) fn on_cursor(
        &mut self,
        moved: &protocol::CursorMoved<'_>,
        context: &mut Context<'_>,
    ) {
        let owned = CursorMoved {
            user: moved.user.to_owned(),
            name: moved.name.to_owned(),
            position: moved.position,
            scope: moved.scope,
        };
        self.on_beside(moved.room_id, context, |beside, told| {
            beside.on_cursor(owned, told);
        });
    }

    /// The application took signals and cursors.
    pub(crate) fn on_heard(&mut self, ticket: Ticket, count: u32, context: &mut Context<'_>) {
        if let Some(reader) = self.by_ticket.get_mut(&ticket) {
            let mut told = Vec::new();
            reader.beside.on_taken(count, &mut told);
            tell_all(ticket, told, context);
        }
    }

    fn on_beside(
        &mut self,
        room_id: RoomId,
        context: &mut Context<'_>,
        take: impl FnOnce(&mut Beside, &mut Vec<Delivery>),
    ) {
        if let Some(&ticket) = self.live.get(&room_id)
            && let Some(reader) = self.by_ticket.get_mut(&ticket)
        {
            let mut told = Vec::new();
            take(&mut reader.beside, &mut told);
            tell_all(ticket, told, context);
        }
    }

    /// A record of this room came whose bytes cannot be trusted; `None`: nobody follows such a room.
    pub(crate) fn on_damaged(
        &mut self,
        room_id: RoomId,
        context: &mut Context<'_>,
    ) -> Option<Want> {
        let ticket = *self.live.get(&room_id)?;
        let next = self.by_ticket.get(&ticket)?.position().seq.next();
        Some(self.over(
            ticket,
            SubscribeError::Protocol(Violation::Checksum(next)),
            context,
        ))
    }

    fn deliver(
        &mut self,
        room_id: RoomId,
        context: &mut Context<'_>,
        check: impl FnOnce(&mut Chain) -> Result<Delivery, Violation>,
    ) -> Want {
        let Some(&ticket) = self.live.get(&room_id) else {
            return Want::Nothing;
        };
        let Some(reader) = self.by_ticket.get_mut(&ticket) else {
            return Want::Nothing;
        };
        let Some(chain) = reader.chain() else {
            return Want::Nothing;
        };
        match check(chain) {
            Err(violation) => self.over(ticket, SubscribeError::Protocol(violation), context),
            Ok(delivery) => {
                let is_full = reader.hold(&delivery);
                context.tell(Event::Delivered(ticket, delivery));
                if !is_full {
                    return Want::Nothing;
                }
                reader.phase = Phase::Paused;
                self.live.remove(&room_id);
                Want::UnsubscribeId(room_id)
            }
        }
    }

    /// The application took deliveries.
    pub(crate) fn on_consumed(&mut self, ticket: Ticket, records: u32, bytes: u64) -> Want {
        let Some(reader) = self.by_ticket.get_mut(&ticket) else {
            return Want::Nothing;
        };
        if reader.release(records, bytes) && reader.phase == Phase::Paused {
            reader.phase = Phase::Wanted;
            return Want::Subscribe(ticket);
        }
        Want::Nothing
    }

    /// The broker ended a subscription: for good, or for now.
    pub(crate) fn on_ended(
        &mut self,
        room: RoomRef<'_>,
        code: Code,
        context: &mut Context<'_>,
    ) -> Want {
        let ticket = match room {
            RoomRef::Id(id) => self.live.remove(&id),
            RoomRef::Name(name) => self.by_name.get(name.as_bytes()).copied(),
        };
        let Some(ticket) = ticket else {
            return Want::Nothing;
        };
        let Some(reader) = self.by_ticket.get_mut(&ticket) else {
            return Want::Nothing;
        };
        reader.phase = Phase::Wanted;
        if !code.class().is_retryable() {
            return self.over(ticket, SubscribeError::Ended(code), context);
        }
        let (class, retry_after) = (code.class(), Duration::ZERO);
        self.on_refused(
            ticket,
            Rejection {
                code,
                class,
                retry_after,
                hint: 0,
                text: String::new(),
            },
            context,
        )
    }

    /// Subscriptions whose hold is over.
    pub(crate) fn tick(&mut self, now: Mono) -> Vec<Ticket> {
        let mut wanted = Vec::new();
        while let Some(&(at, ticket)) = self.held.first().filter(|(at, _)| *at <= now) {
            self.held.remove(&(at, ticket));
            if let Some(reader) = self.by_ticket.get_mut(&ticket)
                && reader.phase == Phase::Held(at)
            {
                reader.phase = Phase::Wanted;
                wanted.push(ticket);
            }
        }
        wanted
    }

    /// When the next hold is over.
    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        self.held.first().map(|(at, _)| *at)
    }

    /// The session is over.
    pub(crate) fn end(&mut self, error: &SubscribeError, context: &mut Context<'_>) {
        for ticket in std::mem::take(&mut self.by_ticket).into_keys() {
            context.tell(Event::SubscriptionOver(ticket, error.clone()));
        }
        self.by_name.clear();
        self.live.clear();
        self.held.clear();
    }

    /// Ends one with an error; the broker is told if it still sends.
    fn over(&mut self, ticket: Ticket, error: SubscribeError, context: &mut Context<'_>) -> Want {
        context.tell(Event::SubscriptionOver(ticket, error));
        self.remove(ticket)
    }
}

fn tell_all(ticket: Ticket, told: Vec<Delivery>, context: &mut Context<'_>) {
    for delivery in told {
        context.tell(Event::Delivered(ticket, delivery));
    }
}
