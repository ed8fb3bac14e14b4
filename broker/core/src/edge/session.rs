//! What a connection is: a stranger, an open session, or one that is about to close.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use antiphon_protocol::limits::HANDSHAKE_BYTES_MAX;
use antiphon_protocol::{Device, Namespace, Producer, RequestId, Seq, UserName};

use crate::lane::{Claim, FetchRange, RoomKey, Ticket};
use crate::limits::{Limits, UNSENT_BYTES_MAX};

/// State of a connection; each owns what exists only in it.
#[derive(Debug)]
pub(super) enum Session {
    /// Accepted; HELLO must be whole by then.
    AwaitHello { deadline_ms: u64 },
    /// WELCOME is queued.
    Open(Box<Open>),
    /// GOAWAY is queued, nothing is heard any more; what is not sent by then is dropped.
    Closing { deadline_ms: u64 },
}

/// An open session.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) user: UserName,
    pub(super) namespace: Namespace,
    pub(super) device: Device,
    pub(super) producer: Producer,
    /// When it took its producer.
    pub(super) claim: Claim,
    pub(super) keepalive_ms: u32,
    /// Largest `len` either side may send.
    pub(super) frame_bytes_max: u32,
    /// Publishes taken and not answered. <= in_flight_max
    pub(super) in_flight: u32,
    /// Bytes of publishes that have not reached their channel.
    pub(super) unsent_bytes: u32,
    /// Batches that wait for a place in a full channel.
    pub(super) parked: u32,
    /// SUBSCRIBE and FETCH without their (last) answer. <= requests_max
    pub(super) requests: Vec<Pending>,
    /// Keys of subscriptions; each knows its place here.
    pub(super) subs: Vec<u32>,
    /// What is to be fetched for this connection, next first.
    pub(super) pulls_waiting: VecDeque<Pull>,
    /// Requests to home that are not answered. <= PULLS_PER_CONNECTION_MAX
    pub(super) pulls: u32,
    /// In the core's queue of connections that want to pull.
    pub(super) pull_queued: bool,
    /// The core is being drained: this connection ends once its publishes are answered.
    pub(super) is_leaving: bool,
}

/// A request under way.
#[derive(Debug)]
pub(super) enum Pending {
    Subscribe {
        ticket: Ticket,
        request: RequestId,
        room: RoomKey,
        /// An UNSUBSCRIBE of the same room came before the answer: it takes effect right after it.
        unsubscribe: Option<RequestId>,
        /// An UNSUBSCRIBE that waits for a later SUBSCRIBE came: this one starts nothing any more.
        is_superseded: bool,
    },
    Fetch {
        ticket: Ticket,
        request: RequestId,
        room: RoomKey,
        /// What is still to be asked for.
        range: FetchRange,
        limit: u32,
    },
}

impl Pending {
    pub(super) fn ticket(&self) -> Ticket {
        match self {
            Pending::Subscribe { ticket, .. } | Pending::Fetch { ticket, .. } => *ticket,
        }
    }
}

/// Something to be fetched from home.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pull {
    /// What follows for a subscription that is behind; stale if the key's ticket is another one by then.
    Tail { sub: u32, ticket: Ticket },
    /// The next page of a FETCH.
    Page { ticket: Ticket },
}

impl Session {
    /// The largest lawful `len` of the next frame from the client.
    pub(super) fn len_max(&self) -> u32 {
        match self {
            Session::Open(open) => open.frame_bytes_max,
            Session::AwaitHello { .. } | Session::Closing { .. } => HANDSHAKE_BYTES_MAX,
        }
    }
}

impl Open {
    /// Whether the connection may not be read for now.
    pub(super) fn must_wait(&self, limits: &Limits) -> bool {
        self.in_flight >= limits.in_flight_max
            || self.requests.len() >= limits.requests_max as usize
            || self.unsent_bytes >= UNSENT_BYTES_MAX
            || self.parked > 0
            || self.is_leaving
    }

    /// The request with this ticket.
    pub(super) fn request_at(&self, ticket: Ticket) -> Option<usize> {
        self.requests
            .iter()
            .position(|pending| pending.ticket() == ticket)
    }

    /// Takes a request out; the memory of many goes with the last one.
    pub(super) fn take_request(&mut self, ticket: Ticket) -> Option<Pending> {
        let pending = self.request_at(ticket).map(|at| self.requests.remove(at));
        if self.requests.is_empty() {
            self.requests = Vec::new();
        }
        pending
    }

    /// How many subscriptions there are, those asked for included.
    pub(super) fn subscriptions(&self) -> usize {
        let asked = self
            .requests
            .iter()
            .filter(|pending| matches!(pending, Pending::Subscribe { .. }))
            .count();
        self.subs.len() + asked
    }
}

/// Seq behind the last record of a fetch that starts behind `after`.
pub(super) fn range_after(first: Seq) -> FetchRange {
    FetchRange::After(Seq(first.0 - 1))
}
