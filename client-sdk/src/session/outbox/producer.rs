//! The producer: kept over reconnects, and changed when only another one keeps "exactly once" true.

use antiphon_protocol::{Producer, ProducerSeq};

use crate::error::{Doubt, PublishError};
use crate::limits::OUTBOX_ROOMS;
use crate::options::ProducerChoice;
use crate::planted::{Bug, planted};
use crate::session::context::Context;
use crate::session::outbox::Outbox;
use crate::session::outbox::entry::Attempt;
use crate::session::outbox::stream::Block;

impl Outbox {
    /// The producer to name in the next HELLO; `None`: the broker is to draw one.
    pub(crate) fn producer(&self) -> Option<Producer> {
        self.producer
    }

    pub(crate) fn keeps_producer(&self) -> bool {
        self.choice != ProducerChoice::Automatic
    }

    /// The producer is getting old: take another one when nothing is in flight or in doubt.
    pub(crate) fn renew(&mut self) {
        if !self.keeps_producer() {
            self.is_turning = true;
        }
    }

    /// Another producer is wanted, and nothing ties us to the old one any more.
    pub(crate) fn is_ready_to_turn(&self) -> bool {
        let is_crowded =
            self.streams.len() >= OUTBOX_ROOMS && self.room_of.is_empty() && !self.keeps_producer();
        (self.is_turning || is_crowded)
            && self.in_flight == 0
            && self.doubtful == 0
            && self.producer.is_some()
    }

    /// Leaves the old producer; the next greeting brings another one.
    pub(crate) fn turn(&mut self) {
        assert!(
            self.is_ready_to_turn(),
            "INV-SDK-6: a producer was left with messages in doubt"
        );
        self.turns = self.turns.saturating_add(1);
        self.forget_producer();
    }

    /// The last producer was left without a single ack: the next one will hardly do better at once.
    pub(crate) fn turns_in_vain(&self) -> bool {
        self.turns > 1
    }

    /// The broker no longer accepts our producer: what is in doubt stays unknown, the rest goes on under another one.
    pub(crate) fn disown(&mut self, context: &mut Context<'_>) {
        for room in 0..self.streams.len() {
            self.doubts_are_unknown(room, 0, Doubt::ProducerExpired, context);
        }
        self.forget_producer();
    }

    /// No number of the old producer means anything any more: rooms without messages are forgotten, the others start at 1.
    fn forget_producer(&mut self) {
        self.producer = None;
        self.is_turning = false;
        self.ready.clear();
        self.held.clear();
        self.streams.retain(|stream| !stream.entries.is_empty());
        self.by_name.clear();
        self.room_of.clear();
        for (room, stream) in self.streams.iter_mut().enumerate() {
            stream.block = Block::Open;
            stream.hold = None;
            stream.is_queued = false;
            stream.renumber_from(0, Producer(0), ProducerSeq::FIRST);
            self.by_name.insert(stream.name.clone(), room);
            self.room_of
                .extend(stream.entries.iter().map(|entry| (entry.id, room)));
        }
    }

    /// The greeting named the session's producer: messages not tied to one yet get it.
    pub(crate) fn adopt(&mut self, producer: Producer) {
        assert!(
            self.producer.is_none_or(|ours| ours == producer),
            "INV-SDK-7: a producer replaced another one"
        );
        if self.producer.replace(producer).is_some() {
            return;
        }
        for stream in &mut self.streams {
            if let Some(first) = stream.entries.front().map(|entry| entry.number) {
                stream.renumber_from(0, producer, first);
            }
        }
    }

    /// What was in flight in this room when its connection was lost.
    pub(super) fn lose_in_flight(&mut self, room: usize, context: &mut Context<'_>) {
        let block = self.streams[room].block;
        let keeps_producer = self.keeps_producer();
        let mut place = 0;
        while let Some(entry) = self.streams[room].entries.get_mut(place) {
            if !entry.is_in_flight() {
                place += 1;
                continue;
            }
            entry.attempt = Attempt::Waiting;
            self.in_flight -= 1;
            let number = entry.number;
            match block {
                // Behind a number that stays empty under this producer nothing takes effect: no doubt.
                Block::Hole(hole) if number > hole && !keeps_producer => place += 1,
                Block::Spent {
                    from,
                    is_doubtful: false,
                } if number >= from => place += 1,
                Block::Hole(hole) if number > hole => {
                    self.finish(
                        room,
                        place,
                        Err(PublishError::Unknown(Doubt::Refused)),
                        context,
                    );
                }
                Block::Spent {
                    from,
                    is_doubtful: true,
                } if number >= from => {
                    self.finish(
                        room,
                        place,
                        Err(PublishError::Unknown(Doubt::Refused)),
                        context,
                    );
                }
                Block::Open | Block::Hole(_) | Block::Spent { .. } => {
                    place += 1;
                    if planted(Bug::DoubtForgotten) || planted(Bug::ResendsRenumbered) {
                        continue;
                    }
                    self.doubtful += u32::from(!std::mem::replace(&mut entry.is_doubtful, true));
                }
            }
        }
        if !planted(Bug::ForgetsUnacked) {
            self.streams[room].cursor = 0;
        }
        if let Block::Hole(hole) = block
            && !keeps_producer
        {
            self.spend(room, hole, false);
        }
    }
}
