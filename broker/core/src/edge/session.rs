//! What a connection is: a stranger, an open session, or one that is about to close.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use antiphon_protocol::limits::HANDSHAKE_BYTES_MAX;
use antiphon_protocol::{Device, Features, Namespace, Producer, RequestId, Seq, UserName};

use super::signals::SignalPace;
use super::subs::Subs;
use crate::lane::{FetchRange, RoomKey, Ticket};
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
    pub(super) keepalive_ms: u32,
    /// Largest `len` either side may send.
    pub(super) frame_bytes_max: u32,
    /// DIGESTS was granted.
    pub(super) has_digests: bool,
    /// How fast it may send signals.
    pub(super) signals: SignalPace,
    /// Publishes taken and not answered. <= in_flight_max
    pub(super) in_flight: u32,
    /// Bytes of publishes that have not reached their channel.
    pub(super) unsent_bytes: u32,
    /// Batches that wait for a place in a full channel.
    pub(super) parked: u32,
    /// What is asked for and not done; `None`: nothing.
    work: Option<Box<Work>>,
    pub(super) subs: Subs,
    /// Requests to home that are not answered. <= PULLS_PER_CONNECTION_MAX
    pub(super) pulls: u32,
    /// In the core's queue of connections that want to pull.
    pub(super) pull_queued: bool,
    /// The core is being drained: this connection ends once its publishes are answered.
    pub(super) is_leaving: bool,
}

/// What a session waits for.
#[derive(Debug, Default)]
struct Work {
    /// SUBSCRIBE and FETCH without their (last) answer. <= requests_max
    requests: Vec<Pending>,
    /// What is to be fetched for this connection, next first.
    pulls: VecDeque<Pull>,
}

/// What a HELLO was granted.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) user: UserName,
    pub(super) namespace: Namespace,
    pub(super) device: Device,
    pub(super) producer: Producer,
    pub(super) keepalive_ms: u32,
    pub(super) frame_bytes_max: u32,
    pub(super) features: Features,
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
    Cursor {
        ticket: Ticket,
        request: RequestId,
    },
}

impl Pending {
    pub(super) fn ticket(&self) -> Ticket {
        match self {
            Pending::Subscribe { ticket, .. }
            | Pending::Fetch { ticket, .. }
            | Pending::Cursor { ticket, .. } => *ticket,
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
    pub(super) fn new(granted: Granted) -> Open {
        let Granted {
            user,
            namespace,
            device,
            producer,
            keepalive_ms,
            frame_bytes_max,
            features,
        } = granted;
        Open {
            user,
            namespace,
            device,
            producer,
            keepalive_ms,
            frame_bytes_max,
            has_digests: features.has(Features::DIGESTS),
            signals: SignalPace::default(),
            in_flight: 0,
            unsent_bytes: 0,
            parked: 0,
            work: None,
            subs: Subs::new(),
            pulls: 0,
            pull_queued: false,
            is_leaving: false,
        }
    }

    /// SUBSCRIBE and FETCH without their (last) answer, oldest first.
    pub(super) fn requests(&self) -> &[Pending] {
        self.work.as_ref().map_or(&[], |work| &work.requests)
    }

    pub(super) fn requests_mut(&mut self) -> &mut [Pending] {
        self.work
            .as_mut()
            .map_or(&mut [], |work| &mut work.requests)
    }

    pub(super) fn add_request(&mut self, pending: Pending) {
        self.work.get_or_insert_default().requests.push(pending);
    }

    /// Whether something is to be fetched.
    pub(super) fn has_pulls_waiting(&self) -> bool {
        self.work
            .as_ref()
            .is_some_and(|work| !work.pulls.is_empty())
    }

    pub(super) fn add_pull(&mut self, pull: Pull) {
        self.work.get_or_insert_default().pulls.push_back(pull);
    }

    /// What is to be fetched next.
    pub(super) fn take_pull(&mut self) -> Option<Pull> {
        let pull = self.work.as_mut()?.pulls.pop_front();
        self.forget_work();
        pull
    }

    /// The memory of much work goes with the last of it.
    fn forget_work(&mut self) {
        if let Some(work) = &mut self.work {
            if work.requests.is_empty() && work.pulls.is_empty() {
                self.work = None;
            } else if work.requests.is_empty() {
                work.requests = Vec::new();
            } else if work.pulls.is_empty() {
                work.pulls = VecDeque::new();
            }
        }
    }

    /// Whether the connection may not be read for now.
    pub(super) fn must_wait(&self, limits: &Limits) -> bool {
        self.in_flight >= limits.in_flight_max
            || self.requests().len() >= limits.requests_max as usize
            || self.unsent_bytes >= UNSENT_BYTES_MAX
            || self.parked > 0
            || self.is_leaving
    }

    /// The request with this ticket.
    pub(super) fn request_at(&self, ticket: Ticket) -> Option<usize> {
        self.requests()
            .iter()
            .position(|pending| pending.ticket() == ticket)
    }

    /// Takes a request out.
    pub(super) fn take_request(&mut self, ticket: Ticket) -> Option<Pending> {
        let at = self.request_at(ticket)?;
        let pending = self.work.as_mut()?.requests.remove(at);
        self.forget_work();
        Some(pending)
    }

    /// How many subscriptions there are, those asked for included.
    pub(super) fn subscriptions(&self) -> usize {
        let asked = self
            .requests()
            .iter()
            .filter(|pending| matches!(pending, Pending::Subscribe { .. }))
            .count();
        self.subs.as_slice().len() + asked
    }
}

/// Seq behind the last record of a fetch that starts behind `after`.
pub(super) fn range_after(first: Seq) -> FetchRange {
    FetchRange::After(Seq(first.0 - 1))
}
