//! The outbox: every message that has no final answer yet, and what makes each of them take effect once.
//!
//! Messages of a room leave in order and carry dense numbers (docs/protocol.md, section 5). An entry is *in doubt* when an
//! attempt was lost unanswered with its connection. While it is in doubt it keeps its number and its producer, and is sent
//! again as the same bytes until the broker answers; only messages that are certainly unpublished are ever given another
//! number. `refusal` holds what each kind of refusal does, `producer` the change to another producer.

mod entry;
mod producer;
mod refusal;
mod stream;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use antiphon_protocol::{Producer, ProducerSeq, PubackEntry, RequestId, RoomName};

use crate::error::{ClientError, Doubt, Misuse, PublishError, Violation};
use crate::message::Receipt;
use crate::options::ProducerChoice;
use crate::planted::{Bug, planted};
use crate::session::context::Context;
use crate::session::input::{Mono, Outgoing, Ticket};
use crate::session::output::Event;

use entry::{Attempt, Entry, request_id};
use stream::{Block, Stream};

/// All unacked messages, by room.
#[derive(Debug)]
pub(crate) struct Outbox {
    choice: ProducerChoice,
    /// The producer of every entry in doubt; `None`: the next greeting brings one.
    producer: Option<Producer>,
    /// Another producer is wanted as soon as nothing is in flight or in doubt.
    is_turning: bool,
    streams: Vec<Stream>,
    by_name: BTreeMap<RoomName, usize>,
    room_of: BTreeMap<RequestId, usize>,
    /// Rooms that may have something to send, in turn.
    ready: VecDeque<usize>,
    /// Rooms that are held, by the end of their hold.
    held: BTreeSet<(Mono, usize)>,
    /// Publishes sent over the connection at hand and not answered.
    in_flight: u32,
    /// Those of them whose messages have ended already; their answers mean nothing.
    ghosts: BTreeSet<RequestId>,
    doubtful: u32,
    /// Producers in a row under which nothing was acked.
    turns: u32,
    freed_messages: u32,
    freed_bytes: u64,
}

impl Outbox {
    pub(crate) fn new(
        choice: ProducerChoice,
        last: impl Iterator<Item = (RoomName, ProducerSeq)>,
    ) -> Outbox {
        let mut outbox = Outbox {
            choice,
            producer: match choice {
                ProducerChoice::Named(producer) => Some(producer),
                ProducerChoice::Automatic | ProducerChoice::Keep => None,
            },
            is_turning: false,
            streams: Vec::new(),
            by_name: BTreeMap::new(),
            room_of: BTreeMap::new(),
            ready: VecDeque::new(),
            held: BTreeSet::new(),
            in_flight: 0,
            ghosts: BTreeSet::new(),
            doubtful: 0,
            turns: 0,
            freed_messages: 0,
            freed_bytes: 0,
        };
        for (name, number) in last {
            let room = outbox.room(name);
            outbox.streams[room].next = number.next();
        }
        outbox
    }

    /// How many messages have no final answer.
    pub(crate) fn len(&self) -> usize {
        self.room_of.len()
    }

    /// How many were sent over the connection at hand and are not answered.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Places given back since the last call.
    pub(crate) fn take_freed(&mut self) -> Option<Event> {
        let messages = std::mem::take(&mut self.freed_messages);
        let bytes = std::mem::take(&mut self.freed_bytes);
        (messages > 0).then_some(Event::Released { messages, bytes })
    }

    /// The number given last in a room.
    pub(crate) fn last_number(&self, room: &RoomName) -> ProducerSeq {
        let next = self
            .by_name
            .get(room)
            .map_or(ProducerSeq::FIRST, |room| self.streams[*room].next);
        ProducerSeq(next.0.saturating_sub(1))
    }

    /// Takes a message over, behind all others of its room.
    pub(crate) fn push(
        &mut self,
        ticket: Ticket,
        name: RoomName,
        outgoing: Outgoing,
        context: &mut Context<'_>,
    ) {
        let held_bytes = outgoing.held_bytes(&name);
        let room = self.room(name);
        let producer = self.producer.unwrap_or_default();
        let stream = &mut self.streams[room];
        if let Some(given) = outgoing.number {
            // Where a room's numbers begin is the caller's choice, but 0 is none: a broker would take it for a broken frame.
            let is_next = given == stream.next || stream.entries.is_empty();
            if !is_next || given < ProducerSeq::FIRST {
                let misuse = Misuse::ProducerSeq {
                    expected: stream.next,
                    given,
                };
                context.tell(Event::Published(ticket, Err(misuse.into())));
                self.free(held_bytes);
                return;
            }
            stream.next = given;
        }
        let number = stream.next;
        let entry = Entry::new(
            ticket,
            stream.room_ref(),
            producer,
            number,
            &outgoing,
            held_bytes,
        );
        let last = stream.entries.back().map(|entry| entry.id);
        assert!(
            last < Some(entry.id),
            "INV-SDK-4: messages of a room out of order"
        );
        self.room_of.insert(entry.id, room);
        stream.next = number.next();
        stream.entries.push_back(entry);
        self.queue(room);
    }

    /// Nobody waits for this message any more: takes it back if it certainly was not published, else only says so.
    pub(crate) fn give_up(&mut self, ticket: Ticket, context: &mut Context<'_>) {
        let Some((room, place)) = self.find(request_id(ticket)) else {
            return;
        };
        if !self.is_removable(room, place) {
            self.streams[room].entries[place]
                .tell(Err(PublishError::Unknown(Doubt::Deadline)), context);
            return;
        }
        let entry = &mut self.streams[room].entries[place];
        let number = entry.number;
        let error = entry
            .refusal
            .take()
            .map_or(PublishError::Timeout, |refusal| {
                PublishError::Rejected(*refusal)
            });
        self.finish(room, place, Err(error), context);
        let producer = self.producer.unwrap_or_default();
        self.streams[room].renumber_from(place, producer, number);
    }

    /// Whether the entry and its number can go without anybody noticing.
    fn is_removable(&self, room: usize, place: usize) -> bool {
        let stream = &self.streams[room];
        let is_last = place + 1 == stream.entries.len();
        // A program that keeps its producer counts on its numbers: those behind must not move up.
        (is_last || self.choice == ProducerChoice::Automatic)
            && !matches!(stream.block, Block::Hole(_))
            && stream.is_untouched_from(place)
    }

    /// The bytes of the next message to send, which is in flight from now on; rooms take turns.
    pub(crate) fn next_frame(&mut self) -> Option<&[u8]> {
        loop {
            let room = *self.ready.front()?;
            self.ready.pop_front();
            let stream = &mut self.streams[room];
            stream.is_queued = false;
            let end = stream.sendable_end(self.is_turning);
            let Some(place) = stream.next_waiting(end) else {
                continue;
            };
            let first_unacked = stream.entries[0].number;
            stream.entries[place].attempt = Attempt::InFlight;
            stream.entries[place].first_unacked = first_unacked;
            stream.cursor = place + 1;
            self.in_flight += 1;
            self.queue(room);
            return Some(self.streams[room].entries[place].frame());
        }
    }

    /// A message is durable.
    ///
    /// # Errors
    /// The broker acked another number than was sent.
    pub(crate) fn on_ack(
        &mut self,
        ack: &PubackEntry,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        let Some((room, place)) = self.find_answered(ack.request) else {
            return Ok(());
        };
        let stream = &mut self.streams[room];
        if stream.entries[place].number != ack.producer_seq
            || stream.room_id.is_some_and(|id| id != ack.room_id)
        {
            return Err(Violation::Unexpected(
                antiphon_protocol::Kind::Puback.wire(),
            ));
        }
        stream.room_id = Some(ack.room_id);
        stream.refusals = 0;
        self.turns = 0;
        let receipt = Receipt {
            room_id: ack.room_id,
            producer_seq: ack.producer_seq,
            seq: ack.seq,
            link: ack.link,
            time: ack.time,
            duplicate: ack.duplicate,
        };
        self.finish(room, place, Ok(receipt), context);
        self.settle_hole(room, context);
        Ok(())
    }

    /// The connection is gone, and with it the answers to what was in flight.
    pub(crate) fn on_lost(&mut self, context: &mut Context<'_>) {
        self.in_flight -= self.ghosts.len() as u32;
        self.ghosts.clear();
        for room in 0..self.streams.len() {
            self.lose_in_flight(room, context);
            self.settle_hole(room, context);
        }
        assert!(
            self.in_flight == 0,
            "INV-SDK-5: in flight without a connection"
        );
    }

    /// A connection is open: everything unanswered is sent (again), in order.
    pub(crate) fn on_open(&mut self) {
        for room in 0..self.streams.len() {
            if !planted(Bug::ForgetsUnacked) {
                self.streams[room].cursor = 0;
            }
            if planted(Bug::ResendsRenumbered) {
                let next = self.streams[room].next;
                self.streams[room].renumber_from(0, self.producer.unwrap_or_default(), next);
            }
            self.queue(room);
        }
    }

    /// Rooms whose hold is over may send again.
    pub(crate) fn tick(&mut self, now: Mono) {
        while let Some(&(at, room)) = self.held.first().filter(|(at, _)| *at <= now) {
            self.held.remove(&(at, room));
            if self.streams[room].hold == Some(at) {
                self.streams[room].hold = None;
                self.queue(room);
            }
        }
    }

    /// When the next hold is over.
    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        self.held.first().map(|(at, _)| *at)
    }

    /// The session is over: everybody who waits is told what is known. Returns how many messages are unacked.
    pub(crate) fn end(&mut self, reason: &ClientError, context: &mut Context<'_>) -> u32 {
        let mut unacked = 0;
        for room in 0..self.streams.len() {
            while let Some(entry) = self.streams[room].entries.front() {
                let error = if entry.is_untouched() {
                    PublishError::Closed(Box::new(reason.clone()))
                } else {
                    PublishError::Unknown(Doubt::Closed)
                };
                self.finish(room, 0, Err(error), context);
                unacked += 1;
            }
        }
        unacked
    }

    fn room(&mut self, name: RoomName) -> usize {
        if let Some(room) = self.by_name.get(&name) {
            return *room;
        }
        let room = self.streams.len();
        self.streams
            .push(Stream::new(name.clone(), ProducerSeq::FIRST));
        self.by_name.insert(name, room);
        room
    }

    fn find(&self, id: RequestId) -> Option<(usize, usize)> {
        let room = *self.room_of.get(&id)?;
        Some((room, self.streams[room].place_of(id)?))
    }

    /// Where the message stands whose publish was answered; it is in flight no longer.
    fn find_answered(&mut self, id: RequestId) -> Option<(usize, usize)> {
        self.in_flight -= u32::from(self.ghosts.remove(&id));
        let (room, place) = self.find(id)?;
        let stream = &mut self.streams[room];
        if stream.entries[place].is_in_flight() {
            stream.entries[place].attempt = Attempt::Waiting;
            stream.cursor = stream.cursor.min(place);
            self.in_flight -= 1;
            return Some((room, place));
        }
        None
    }

    /// Puts a room into the queue of those that may send, once.
    fn queue(&mut self, room: usize) {
        let stream = &mut self.streams[room];
        if !stream.is_queued && !stream.entries.is_empty() {
            stream.is_queued = true;
            self.ready.push_back(room);
        }
    }

    /// The only way out of the outbox: counts are adjusted, the place is freed, who waits is told.
    fn finish(
        &mut self,
        room: usize,
        place: usize,
        result: Result<Receipt, PublishError>,
        context: &mut Context<'_>,
    ) {
        let Some(mut entry) = self.streams[room].remove(place) else {
            return;
        };
        if entry.is_in_flight() {
            self.ghosts.insert(entry.id);
        }
        self.doubtful -= u32::from(entry.is_doubtful);
        self.room_of.remove(&entry.id);
        self.free(entry.held_bytes);
        entry.tell(result, context);
    }

    fn free(&mut self, bytes: u64) {
        self.freed_messages += 1;
        self.freed_bytes += bytes;
    }
}
