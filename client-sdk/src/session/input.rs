//! What goes into a session.

use antiphon_protocol::{ProducerSeq, RecordKind, RoomName, Seq};
use bytes::Bytes;

use crate::history::HistoryRange;
use crate::limits::MESSAGE_OVERHEAD_BYTES;
use crate::session::asks::Ask;
use crate::signal::Signal;
use crate::subscription::Follow;

/// Milliseconds of a clock that never steps back; where it starts does not matter.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Mono(pub(crate) u64);

impl Mono {
    /// This much later; stays at the end of the numbers.
    pub(crate) fn plus(self, millis: u64) -> Mono {
        Mono(self.0.saturating_add(millis))
    }

    /// Milliseconds since an earlier moment.
    pub(crate) fn since(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Names one operation of the application; given by the driver, never reused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Ticket(pub(crate) u64);

/// One thing that happened outside.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// The connection asked for is up.
    Connected,
    /// The connection asked for cannot be had.
    ConnectFailed(std::io::ErrorKind),
    /// Bytes came from the broker.
    Received(&'a [u8]),
    /// The connection is gone.
    Disconnected,
    /// The application wants something.
    Command(Command),
    /// The moment of `next_deadline` has come.
    Tick,
}

/// What the application wants.
#[derive(Debug)]
pub(crate) enum Command {
    /// Publish; the room's order is the order of these commands.
    Publish {
        ticket: Ticket,
        room: RoomName,
        outgoing: Outgoing,
    },
    /// The publisher waits no longer: say what is known.
    GiveUp { ticket: Ticket },
    /// Follow a room.
    Subscribe {
        ticket: Ticket,
        room: RoomName,
        follow: Follow,
    },
    /// The application has taken signals and cursors out of its buffer.
    Heard { ticket: Ticket, count: u32 },
    /// The application has taken deliveries out of its buffer.
    Consumed {
        ticket: Ticket,
        records: u32,
        bytes: u64,
    },
    /// Follow no longer.
    Unsubscribe { ticket: Ticket },
    /// Read a stretch of history.
    Fetch {
        ticket: Ticket,
        room: RoomName,
        range: HistoryRange,
        limit: u32,
    },
    /// Measure a round trip.
    Ping { ticket: Ticket },
    /// Compare what has come with what the broker has sent.
    Check { ticket: Ticket },
    /// Tell those who are in a room; now or never.
    Signal {
        ticket: Ticket,
        room: RoomName,
        signal: Signal,
    },
    /// Ask something small.
    Ask { ticket: Ticket, ask: Ask },
    /// The asker of a fetch, ping, subscribe or other request waits no longer.
    Cancel { ticket: Ticket },
    /// Which number was given last in this room?
    ProducerSeq { ticket: Ticket, room: RoomName },
    /// End as soon as the outbox is empty.
    Close,
    /// End now.
    Abort,
}

/// A message as it will travel, but for its number.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// What the record is.
    pub(crate) kind: RecordKind,
    /// How the body is coded.
    pub(crate) codec: u8,
    /// The encoded headers.
    pub(crate) headers: Vec<u8>,
    /// The body.
    pub(crate) body: Bytes,
    /// The number it must have; `None`: the next one.
    pub(crate) number: Option<ProducerSeq>,
    /// The seq that it must get; 0: any.
    pub(crate) expect_seq: Seq,
}

impl Outgoing {
    /// What it costs in the outbox until it is acked.
    pub(crate) fn held_bytes(&self, room: &RoomName) -> u64 {
        (self.headers.len() + self.body.len() + room.as_bytes().len()) as u64
            + MESSAGE_OVERHEAD_BYTES
    }
}
