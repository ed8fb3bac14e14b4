//! One message that has no final answer yet.

use antiphon_protocol::{Producer, ProducerSeq, Publish, RequestId, RoomRef};

use crate::error::{PublishError, Rejection};
use crate::message::Receipt;
use crate::session::context::Context;
use crate::session::input::{Outgoing, Ticket};
use crate::session::output::Event;

/// Offsets of a PUBLISH frame that change when a message moves to another number or producer.
const PRODUCER_AT: std::ops::Range<usize> = 24..32;
const PRODUCER_SEQ_AT: std::ops::Range<usize> = 32..40;

/// Whether an attempt is under way on the connection at hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Attempt {
    /// It is to be sent (again).
    Waiting,
    /// It was sent and is not answered.
    InFlight,
}

/// A message with the bytes that are sent, and sent again, for it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: RequestId,
    /// Who waits for the receipt; `None`: nobody any more.
    pub(crate) ticket: Option<Ticket>,
    pub(crate) number: ProducerSeq,
    pub(crate) attempt: Attempt,
    /// An attempt was lost unanswered with its connection: it may take effect, or have taken it.
    pub(crate) is_doubtful: bool,
    /// The first number without an answer when the attempt was sent: the broker knew all below. Answers come in any order, so
    /// what was acked since says nothing about an older answer.
    pub(crate) first_unacked: ProducerSeq,
    /// Refusals in a row, so that a broker that always refuses is not asked at full speed.
    pub(crate) refusals: u32,
    /// The last refusal for now: what to say if nobody wants to wait any longer.
    pub(crate) refusal: Option<Box<Rejection>>,
    /// What it costs in the outbox.
    pub(crate) held_bytes: u64,
    frame: Vec<u8>,
}

impl Entry {
    pub(crate) fn new(
        ticket: Ticket,
        room: RoomRef<'_>,
        producer: Producer,
        number: ProducerSeq,
        outgoing: &Outgoing,
        held_bytes: u64,
    ) -> Entry {
        let id = request_id(ticket);
        let publish = Publish {
            room,
            producer,
            producer_seq: number,
            kind: outgoing.kind,
            codec: outgoing.codec,
            ack: antiphon_protocol::Ack::Committed,
            expect_seq: outgoing.expect_seq,
            headers: &outgoing.headers,
            body: &outgoing.body,
        };
        let mut frame = Vec::new();
        publish.encode(id, &mut frame);
        Entry {
            id,
            ticket: Some(ticket),
            number,
            attempt: Attempt::Waiting,
            is_doubtful: false,
            first_unacked: number,
            refusals: 0,
            refusal: None,
            held_bytes,
            frame,
        }
    }

    /// The bytes of its PUBLISH.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.attempt == Attempt::InFlight
    }

    /// Certainly not published so far, and nothing on its way could publish it.
    pub(crate) fn is_untouched(&self) -> bool {
        self.attempt == Attempt::Waiting && !self.is_doubtful
    }

    /// Gives it another identity.
    pub(crate) fn renumber(&mut self, producer: Producer, number: ProducerSeq) {
        assert!(
            self.is_untouched(),
            "INV-SDK-3: a message that may be published was given another number"
        );
        self.number = number;
        self.refusals = 0;
        self.frame[PRODUCER_AT].copy_from_slice(&producer.0.to_le_bytes());
        self.frame[PRODUCER_SEQ_AT].copy_from_slice(&number.0.to_le_bytes());
    }

    /// Tells its end to who still waits, once; the place in the outbox is given back by the caller.
    pub(crate) fn tell(
        &mut self,
        result: Result<Receipt, PublishError>,
        context: &mut Context<'_>,
    ) {
        if let Some(ticket) = self.ticket.take() {
            context.tell(Event::Published(ticket, result));
        }
    }
}

/// Request ids of publishes are odd, those of all other requests even, so neither needs to know the other.
pub(crate) fn request_id(ticket: Ticket) -> RequestId {
    RequestId(ticket.0 << 1 | 1)
}
