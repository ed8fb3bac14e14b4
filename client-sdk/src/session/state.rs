//! How a session stands with its broker, as states that own what they need.

use std::collections::{BTreeMap, VecDeque};

use antiphon_protocol::{Assembler, Features, RequestId, RoomId, Welcome};

use crate::limits::{KEEPALIVE_MS, SILENT_KEEPALIVES};
use crate::session::input::{Mono, Ticket};
use crate::session::tally::Tally;

/// How the session stands.
#[derive(Debug)]
pub(crate) enum State {
    /// Nothing was done yet.
    New,
    /// The driver connects, and will say how it went.
    Connecting,
    /// HELLO is on its way, and behind it what can be asked before the answer.
    AwaitWelcome {
        assembler: Assembler,
        deadline: Mono,
        line: Line,
    },
    /// Requests are answered.
    Open(Box<Open>),
    /// The next attempt is made at this moment.
    Backoff { until: Mono },
    /// Over.
    Closed,
}

/// What a request was for, to know what its answer means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Question {
    /// Unanswered.
    Subscribe(Ticket),
    /// Answered: the room does not exist; answered again when it does.
    NoRoom(Ticket),
    Unsubscribe(Leave),
    Fetch(Ticket),
    Ask(Ticket),
    Ping(Ticket),
    Check(Ticket),
    Keepalive,
}

/// A request that waits until the broker takes another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Request {
    Subscribe(Ticket),
    Fetch(Ticket),
    Ask(Ticket),
}

/// What an UNSUBSCRIBE ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leave {
    Room(RoomId),
    /// A room that was asked for by name, with this SUBSCRIBE, and has told no number yet.
    Asked(RequestId),
}

impl From<Request> for Question {
    fn from(request: Request) -> Question {
        match request {
            Request::Subscribe(ticket) => Question::Subscribe(ticket),
            Request::Fetch(ticket) => Question::Fetch(ticket),
            Request::Ask(ticket) => Question::Ask(ticket),
        }
    }
}

/// What is asked over a connection, and what waits to be.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) questions: BTreeMap<RequestId, Question>,
    /// SUBSCRIBE, FETCH, CURSOR and METADATA sent and not answered.
    pub(crate) unanswered: u32,
    pub(crate) requests: VecDeque<Request>,
}

/// A greeted connection.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) assembler: Assembler,
    pub(crate) since: Mono,
    pub(crate) frame_bytes_max: u32,
    pub(crate) in_flight_max: u32,
    pub(crate) requests_max: u32,
    pub(crate) fetch_records_max: u32,
    keepalive_ms: u64,
    last_received: Mono,
    last_sent: Mono,
    last_checked: Mono,
    /// When the producer is old enough to be replaced.
    pub(crate) renew_at: Option<Mono>,
    pub(crate) line: Line,
    /// Counted if the broker counts, too.
    pub(crate) tally: Option<Tally>,
}

impl State {
    /// What is asked over the connection at hand, if there is one.
    pub(crate) fn line(&mut self) -> Option<&mut Line> {
        match self {
            State::AwaitWelcome { line, .. } => Some(line),
            State::Open(open) => Some(&mut open.line),
            State::New | State::Connecting | State::Backoff { .. } | State::Closed => None,
        }
    }
}

impl Open {
    pub(crate) fn new(
        welcome: &Welcome<'_>,
        line: Line,
        renew_at: Option<Mono>,
        now: Mono,
    ) -> Open {
        let keepalive_ms = if welcome.keepalive_ms == 0 {
            KEEPALIVE_MS
        } else {
            u64::from(welcome.keepalive_ms)
        };
        Open {
            assembler: Assembler::new(),
            since: now,
            frame_bytes_max: welcome.frame_bytes_max,
            // A broker that told 0 would never be asked anything; one at a time is always lawful.
            in_flight_max: welcome.in_flight_max.max(1),
            requests_max: welcome.requests_max.max(1),
            fetch_records_max: welcome.fetch_records_max.max(1),
            keepalive_ms,
            last_received: now,
            last_sent: now,
            last_checked: now,
            renew_at,
            line,
            tally: welcome.features.has(Features::DIGESTS).then(Tally::default),
        }
    }

    pub(crate) fn on_received(&mut self, now: Mono) {
        self.last_received = now;
    }

    pub(crate) fn on_sent(&mut self, now: Mono) {
        self.last_sent = now;
    }

    /// Nothing came for so long that the broker, or the way to it, must be gone.
    pub(crate) fn is_silent(&self, now: Mono) -> bool {
        now >= self.silent_at()
    }

    /// Once a keepalive: whether either side was quiet for one, so that a PING is due.
    pub(crate) fn wants_ping(&mut self, now: Mono) -> bool {
        if now < self.check_at() {
            return false;
        }
        self.last_checked = now;
        now.since(self.last_received.min(self.last_sent)) >= self.keepalive_ms
    }

    /// The next moment at which one of the above, or the producer's age, must be looked at.
    pub(crate) fn next_deadline(&self) -> Mono {
        let deadline = self.silent_at().min(self.check_at());
        self.renew_at
            .map_or(deadline, |renew_at| deadline.min(renew_at))
    }

    fn silent_at(&self) -> Mono {
        self.last_received
            .plus(self.keepalive_ms.saturating_mul(SILENT_KEEPALIVES))
    }

    fn check_at(&self) -> Mono {
        self.last_checked.plus(self.keepalive_ms)
    }
}
