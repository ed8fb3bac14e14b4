//! The session: a client's whole state as a machine without socket, thread, clock or randomness.
//!
//! A driver calls [`handle`](Session::handle) with one input and the time, then [`poll`](Session::poll) until `None`, and
//! sends what [`unsent`](Session::unsent) holds. `state` says how the session stands with its broker, `connection` moves it
//! from one state to the next, `frames` takes what the broker says, `commands` what the application wants; `outbox`,
//! `readers`, `fetches` and `asks` keep what outlives a connection.

mod asks;
mod chain;
mod commands;
mod connection;
mod context;
mod endpoints;
mod fetches;
mod frames;
mod input;
mod jitter;
mod outbox;
mod output;
mod readers;
mod state;
mod tally;
#[cfg(test)]
mod tests;
mod unanswered;

use std::collections::VecDeque;

use antiphon_protocol::{Device, Namespace, RequestId, RoomName, UserName};

pub(crate) use asks::Ask;
pub(crate) use input::{Command, Input, Mono, Outgoing, Ticket};
pub(crate) use output::{Event, Output, Welcomed};

use crate::error::{ClientError, Misuse};
use crate::limits::{CLIENT_NAME_BYTES, EARLY_REQUESTS, UNSENT_BYTES};
use crate::losses::Losses;
use crate::options::ClientOptions;
use asks::Asks;
use context::Context;
use endpoints::Endpoints;
use fetches::Fetches;
use jitter::{Jitter, millis};
use outbox::Outbox;
use readers::Readers;
use state::{Question, Request, State};

/// A client's whole state.
#[derive(Debug)]
pub(crate) struct Session {
    greeting: Greeting,
    endpoints: Endpoints,
    state: State,
    opening: Opening,
    /// Rounds of attempts in a row that came to nothing.
    failures: u32,
    /// Brokers in a row that sent us elsewhere instead of greeting.
    moves: u32,
    /// Connections in a row that ended because the broker broke the protocol.
    violations: u32,
    jitter: Jitter,
    outbox: Outbox,
    readers: Readers,
    fetches: Fetches,
    asks: Asks,
    last_request: u64,
    /// Bytes for the socket; those before `sent` have left.
    unsent: Vec<u8>,
    sent: usize,
    outputs: VecDeque<Output>,
    is_closing: bool,
    losses: Losses,
}

/// What HELLO tells of us.
#[derive(Debug)]
struct Greeting {
    user: UserName,
    namespace: Namespace,
    /// Drawn by the broker at the first greeting if the application gave none, then kept.
    device: Device,
    keepalive_ms: u32,
    client_name: String,
    connect_timeout_ms: u64,
}

/// Whether the application still waits for the first greeting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Opening {
    /// It does, with this much patience, counted from the first input.
    Patient {
        deadline_ms: u64,
        since: Option<Mono>,
    },
    /// It was greeted once; from now on the session never gives up by itself.
    Done,
}

impl Session {
    /// A session that connects at its first input.
    ///
    /// # Errors
    /// A room of `producer_seqs` has no room's name.
    pub(crate) fn new(
        options: &ClientOptions,
        user: UserName,
        seed: u64,
    ) -> Result<Session, ClientError> {
        let mut last = Vec::new();
        for (room, number) in &options.producer_seqs {
            let name =
                RoomName::try_from(room.as_str()).map_err(|_| Misuse::RoomName(room.clone()))?;
            last.push((name, *number));
        }
        let mut client_name = options.client_name.clone();
        client_name.truncate(client_name.floor_char_boundary(CLIENT_NAME_BYTES));
        let readers = Readers::new(user.clone(), options.bounds);
        Ok(Session {
            greeting: Greeting {
                user,
                namespace: options.namespace,
                device: options.device,
                keepalive_ms: u32::try_from(options.keepalive.as_millis()).unwrap_or(u32::MAX),
                client_name,
                connect_timeout_ms: millis(options.connect_timeout),
            },
            endpoints: Endpoints::new(options.addresses.clone()),
            state: State::New,
            opening: Opening::Patient {
                deadline_ms: millis(options.connect_deadline),
                since: None,
            },
            failures: 0,
            moves: 0,
            violations: 0,
            jitter: Jitter::new(seed, options.backoff),
            outbox: Outbox::new(options.producer, last.into_iter()),
            readers,
            fetches: Fetches::default(),
            asks: Asks::default(),
            last_request: 0,
            unsent: Vec::new(),
            sent: 0,
            outputs: VecDeque::new(),
            is_closing: false,
            losses: Losses::default(),
        })
    }

    /// Takes one input; `poll` says what follows from it.
    pub(crate) fn handle(&mut self, input: Input<'_>, now: Mono) {
        match input {
            Input::Connected => self.on_connected(now),
            Input::ConnectFailed(kind) => self.on_connect_failed(kind, now),
            Input::Received(bytes) => self.on_received(bytes, now),
            Input::Disconnected => self.lose(ClientError::Disconnected, 0, now),
            Input::Command(command) => self.on_command(command, now),
            Input::Tick => self.on_tick(now),
        }
        self.turn(now);
        self.pump(now);
        if self.is_closing && self.outbox.len() == 0 && !matches!(self.state, State::Closed) {
            self.end(ClientError::Closed, now);
        }
        if let Some(freed) = self.outbox.take_freed() {
            self.outputs.push_back(Output::Event(freed));
        }
    }

    /// The next thing to do, until `None`.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Bytes for the socket, flat.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.unsent[self.sent..]
    }

    /// The socket took this many of the unsent bytes.
    pub(crate) fn advance(&mut self, count: usize, now: Mono) {
        self.sent += count;
        assert!(
            self.sent <= self.unsent.len(),
            "INV-SDK-9: more was sent than there was"
        );
        // What has left is cut off before it is as much as may wait, so that a socket that is never quite done costs no more.
        if self.sent == self.unsent.len() || self.sent >= UNSENT_BYTES {
            self.unsent.drain(..self.sent);
            self.sent = 0;
        }
        if count > 0
            && let State::Open(open) = &mut self.state
        {
            open.on_sent(now);
        }
        self.pump(now);
    }

    /// Connections lost so far.
    pub(crate) fn losses(&self) -> Losses {
        self.losses
    }

    /// When the session wants a `Tick` at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        let state = match &self.state {
            State::New => Some(Mono(0)),
            State::AwaitWelcome { deadline, .. } => Some(*deadline),
            State::Open(open) => Some(open.next_deadline()),
            State::Backoff { until } => Some(*until),
            State::Connecting | State::Closed => None,
        };
        let parts = [
            self.outbox.next_deadline(),
            self.readers.next_deadline(),
            self.fetches.next_deadline(),
            self.asks.next_deadline(),
        ];
        parts.into_iter().flatten().chain(state).min()
    }

    /// Queues what the broker's limits and the size of one turn allow: requests first, then messages, room by room.
    fn pump(&mut self, now: Mono) {
        self.ask();
        let State::Open(open) = &mut self.state else {
            return;
        };
        while self.outbox.in_flight() < open.in_flight_max
            && self.unsent.len() - self.sent < UNSENT_BYTES
            && let Some(frame) = self.outbox.next_frame()
        {
            self.unsent.extend_from_slice(frame);
        }
        if open.wants_ping(now) {
            self.ping(Question::Keepalive);
        }
    }

    /// Sends the requests that the broker may be asked at once: before its greeting a few that
    /// need nothing of it.
    fn ask(&mut self) {
        let (line, requests_max, fetch_records_max) = match &mut self.state {
            State::AwaitWelcome { line, .. } => (line, EARLY_REQUESTS, None),
            State::Open(open) => {
                let fetch_records_max = Some(open.fetch_records_max);
                (&mut open.line, open.requests_max, fetch_records_max)
            }
            State::New | State::Connecting | State::Backoff { .. } | State::Closed => return,
        };
        let mut asked = 0;
        while line.unanswered < requests_max
            && let Some(&request) = line.requests.get(asked)
        {
            let id = RequestId(self.last_request + 2);
            let is_sent = match (request, fetch_records_max) {
                (Request::Subscribe(ticket), _) => {
                    self.readers.encode_subscribe(ticket, id, &mut self.unsent)
                }
                (Request::Ask(ticket), _) => self.asks.encode(ticket, id, &mut self.unsent),
                (Request::Fetch(ticket), Some(limit)) => {
                    self.fetches.encode(ticket, id, limit, &mut self.unsent)
                }
                (Request::Fetch(_), None) => break,
            };
            asked += 1;
            if is_sent {
                self.last_request = id.0;
                line.questions.insert(id, request.into());
                line.unanswered += 1;
            }
        }
        line.requests.drain(..asked);
    }

    /// The parts of the session that answers go through, apart from the parts that keep them.
    fn split(&mut self, now: Mono) -> (&mut Outbox, &mut Readers, &mut Fetches, Context<'_>) {
        let context = Context {
            now,
            jitter: &mut self.jitter,
            outputs: &mut self.outputs,
        };
        (
            &mut self.outbox,
            &mut self.readers,
            &mut self.fetches,
            context,
        )
    }

    /// As [`Session::split`], for the small requests.
    fn split_asks(&mut self, now: Mono) -> (&mut Asks, Context<'_>) {
        let context = Context {
            now,
            jitter: &mut self.jitter,
            outputs: &mut self.outputs,
        };
        (&mut self.asks, context)
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request += 2;
        RequestId(self.last_request)
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
