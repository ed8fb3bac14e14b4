//! What a refusal of the broker means for the message and for those behind it.

use antiphon_protocol::{Code, ProducerSeq, RequestId};

use crate::error::{Doubt, PublishError, Rejection};
use crate::options::ProducerChoice;
use crate::session::context::Context;
use crate::session::outbox::Outbox;
use crate::session::outbox::stream::Block;

/// Refusals of one message after which even an "out of order" waits before it is tried again.
const QUICK_REFUSALS: u32 = 3;

/// What is to be done about a refusal.
enum Verdict {
    /// The number stays bound to the message: the same bytes again, later.
    Again,
    /// Nothing was consumed; the broker's last number of this room is given.
    OutOfOrder(ProducerSeq),
    /// The broker knows nothing of this producer in this room and takes no new one of its age.
    Expired,
    /// The number holds another message.
    Taken,
    /// The message will never be taken; its number is free unless it is in doubt.
    Final,
}

impl Verdict {
    fn of(rejection: &Rejection) -> Verdict {
        match rejection.code {
            Code::OUT_OF_ORDER => Verdict::OutOfOrder(ProducerSeq(rejection.hint)),
            Code::PRODUCER_EXPIRED => Verdict::Expired,
            Code::PRODUCER_CONFLICT => Verdict::Taken,
            _ if rejection.is_retryable() => Verdict::Again,
            _ => Verdict::Final,
        }
    }
}

impl Outbox {
    /// The broker refused a publish.
    pub(crate) fn on_refused(
        &mut self,
        id: RequestId,
        rejection: Rejection,
        context: &mut Context<'_>,
    ) {
        let Some((room, place)) = self.find_answered(id) else {
            return;
        };
        self.streams[room].entries[place].refusals += 1;
        match Verdict::of(&rejection) {
            Verdict::Again => {
                self.hold(room, place, &rejection, context);
                self.streams[room].entries[place].refusal = Some(Box::new(rejection));
            }
            Verdict::OutOfOrder(last) => {
                self.on_out_of_order(room, place, last, &rejection, context)
            }
            Verdict::Expired => self.on_expired(room, place, context),
            Verdict::Taken => self.on_taken(room, place, context),
            Verdict::Final => self.on_final(room, place, rejection, context),
        }
        self.settle_hole(room, context);
        self.queue(room);
    }

    /// Nothing of the room is sent for a while.
    fn hold(
        &mut self,
        room: usize,
        place: usize,
        rejection: &Rejection,
        context: &mut Context<'_>,
    ) {
        let stream = &mut self.streams[room];
        // A burst of refusals, one for each message in flight, is one refusal: only the first in order counts.
        if place == 0 {
            stream.refusals += 1;
        }
        let attempt = stream.refusals.saturating_sub(1);
        let retry_after_ms = u64::try_from(rejection.retry_after.as_millis()).unwrap_or(u64::MAX);
        let at = context.retry_at(attempt, retry_after_ms);
        let at = stream.hold.map_or(at, |hold| hold.max(at));
        stream.hold = Some(at);
        self.held.insert((at, room));
    }

    /// In most cases a message before this one was refused and waits: this one is sent again behind it.
    fn on_out_of_order(
        &mut self,
        room: usize,
        place: usize,
        last: ProducerSeq,
        rejection: &Rejection,
        context: &mut Context<'_>,
    ) {
        let stream = &self.streams[room];
        let entry = &stream.entries[place];
        if let Block::Spent { from, .. } = stream.block
            && entry.number >= from
        {
            return;
        }
        if last.next() < entry.first_unacked {
            self.on_forgotten(room, last, context);
        } else if place == 0 && matches!(stream.block, Block::Open)
            || entry.refusals > QUICK_REFUSALS
        {
            self.hold(room, place, rejection, context);
        }
    }

    /// The broker expects a number that was acked long ago, or that a program which resumed a producer never gave us.
    fn on_forgotten(&mut self, room: usize, last: ProducerSeq, context: &mut Context<'_>) {
        let is_doubtful = self.doubts_are_unknown(room, 0, Doubt::BrokerForgot, context);
        match self.choice {
            ProducerChoice::Automatic => self.spend(room, ProducerSeq(0), is_doubtful),
            ProducerChoice::Keep | ProducerChoice::Named(_) => {
                self.streams[room].block = Block::Hole(last.next())
            }
        }
    }

    fn on_expired(&mut self, room: usize, place: usize, context: &mut Context<'_>) {
        let number = self.streams[room].entries[place].number;
        let is_automatic = self.choice == ProducerChoice::Automatic;
        if !is_automatic && !self.streams[room].entries[place].is_doubtful {
            self.finish(room, place, Err(PublishError::ProducerExpired), context);
        }
        let is_doubtful = self.doubts_are_unknown(room, place, Doubt::ProducerExpired, context);
        self.give_way(room, number, is_doubtful);
    }

    /// Certainly not published, even if in doubt: one number holds one message.
    fn on_taken(&mut self, room: usize, place: usize, context: &mut Context<'_>) {
        let number = self.streams[room].entries[place].number;
        match self.choice {
            ProducerChoice::Automatic => {
                self.clear_doubt(room, place);
                self.doubts_are_unknown(room, place, Doubt::Refused, context);
                // The number is filled, so that those in flight behind it may take effect.
                self.spend(room, number, true);
            }
            ProducerChoice::Keep | ProducerChoice::Named(_) => {
                self.finish(
                    room,
                    place,
                    Err(PublishError::ProducerConflict(number)),
                    context,
                );
            }
        }
    }

    fn on_final(
        &mut self,
        room: usize,
        place: usize,
        rejection: Rejection,
        context: &mut Context<'_>,
    ) {
        let entry = &self.streams[room].entries[place];
        let number = entry.number;
        if entry.is_doubtful {
            self.doubts_are_unknown(room, place, Doubt::Refused, context);
            self.give_way(room, number, true);
            return;
        }
        self.finish(room, place, Err(PublishError::Rejected(rejection)), context);
        let stream = &self.streams[room];
        let is_doubt_behind = stream
            .entries
            .iter()
            .skip(place)
            .any(|entry| entry.is_doubtful);
        if !is_doubt_behind {
            self.open_hole(room, number);
        } else if self.choice == ProducerChoice::Automatic {
            // The number stays empty for ever under this producer, so nothing behind it can have taken effect.
            for behind in place..self.streams[room].entries.len() {
                self.clear_doubt(room, behind);
            }
            self.spend(room, number, false);
        } else {
            self.doubts_are_unknown(room, place, Doubt::Refused, context);
            self.open_hole(room, number);
        }
    }

    /// What stood at `number` is gone and its number cannot be used again: a new producer, or the end for those behind.
    fn give_way(&mut self, room: usize, number: ProducerSeq, is_doubtful: bool) {
        match self.choice {
            ProducerChoice::Automatic => self.spend(room, number, is_doubtful),
            ProducerChoice::Keep | ProducerChoice::Named(_) => self.open_hole(room, number),
        }
    }

    fn open_hole(&mut self, room: usize, number: ProducerSeq) {
        let stream = &mut self.streams[room];
        match &mut stream.block {
            Block::Hole(hole) => *hole = number.min(*hole),
            Block::Open => stream.block = Block::Hole(number),
            Block::Spent { .. } => {}
        }
    }

    /// Messages from this number on wait for another producer.
    pub(super) fn spend(&mut self, room: usize, number: ProducerSeq, now_doubtful: bool) {
        let block = &mut self.streams[room].block;
        *block = match *block {
            Block::Spent { from, is_doubtful } => Block::Spent {
                from: from.min(number),
                is_doubtful: is_doubtful || now_doubtful,
            },
            Block::Hole(hole) => Block::Spent {
                from: hole.min(number),
                is_doubtful: now_doubtful,
            },
            Block::Open => Block::Spent {
                from: number,
                is_doubtful: now_doubtful,
            },
        };
        self.is_turning = true;
    }

    /// Ends every doubt of the room from `place` on as unknown; true: there was one.
    pub(super) fn doubts_are_unknown(
        &mut self,
        room: usize,
        place: usize,
        doubt: Doubt,
        context: &mut Context<'_>,
    ) -> bool {
        let before = self.streams[room].entries.len();
        let mut place = place;
        while let Some(entry) = self.streams[room].entries.get(place) {
            if entry.is_doubtful {
                self.finish(room, place, Err(PublishError::Unknown(doubt)), context);
            } else {
                place += 1;
            }
        }
        self.streams[room].entries.len() < before
    }

    fn clear_doubt(&mut self, room: usize, place: usize) {
        let entry = &mut self.streams[room].entries[place];
        self.doubtful -= u32::from(std::mem::take(&mut entry.is_doubtful));
    }

    /// Closes the room's hole when nothing behind it is in flight any more.
    pub(super) fn settle_hole(&mut self, room: usize, context: &mut Context<'_>) {
        let stream = &mut self.streams[room];
        let Block::Hole(number) = stream.block else {
            return;
        };
        if stream.has_in_flight() {
            return;
        }
        stream.block = Block::Open;
        let place = stream.place_from(number);
        match self.choice {
            ProducerChoice::Automatic => {
                let producer = self.producer.unwrap_or_default();
                stream.renumber_from(place, producer, number);
            }
            ProducerChoice::Keep | ProducerChoice::Named(_) => {
                stream.next = number;
                while self.streams[room].entries.len() > place {
                    let error = PublishError::OutOfOrder { expected: number };
                    self.finish(room, place, Err(error), context);
                }
            }
        }
        self.queue(room);
    }
}
