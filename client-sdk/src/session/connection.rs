//! From one state to the next: attempts, greetings, losses, the end.

use std::io;

use antiphon_protocol::{Device, Features, Goaway, GoawayClass, Hello, Producer, Welcome};

use crate::error::{ClientError, SubscribeError, Violation};
use crate::limits::{MOVES, PRODUCER_AGE_MAX, STABLE_MS, VIOLATIONS};
use crate::session::input::Mono;
use crate::session::jitter::millis;
use crate::session::output::{Event, Output, Welcomed};
use crate::session::state::{Line, Open, Question, Request, State};
use crate::session::{Opening, Session};

impl Session {
    /// Asks the driver for a connection to the address at hand.
    pub(super) fn connect(&mut self) {
        self.state = State::Connecting;
        self.outputs
            .push_back(Output::Connect(self.endpoints.current().to_owned()));
    }

    /// The connection is up: greet, and go on reading without waiting for the answer.
    pub(super) fn on_connected(&mut self, now: Mono) {
        if !matches!(self.state, State::Connecting) {
            return;
        }
        let hello = Hello {
            producer: self.outbox.producer(),
            namespace: self.greeting.namespace,
            device: Some(self.greeting.device).filter(|device| *device != Device(0)),
            keepalive_ms: self.greeting.keepalive_ms,
            client: Some(&self.greeting.client_name),
            features: Features::ALL,
            ..Hello::new(self.greeting.user.as_str())
        };
        self.last_request += 2;
        hello.encode(
            antiphon_protocol::RequestId(self.last_request),
            &mut self.unsent,
        );
        let subscribes = self.readers.on_open().into_iter().map(Request::Subscribe);
        let fetches = self.fetches.on_open().into_iter().map(Request::Fetch);
        let asks = self.asks.on_open().into_iter().map(Request::Ask);
        self.state = State::AwaitWelcome {
            assembler: antiphon_protocol::Assembler::new(),
            deadline: now.plus(self.greeting.connect_timeout_ms),
            line: Line {
                requests: subscribes.chain(asks).chain(fetches).collect(),
                ..Line::default()
            },
        };
    }

    /// The driver could not connect.
    pub(super) fn on_connect_failed(&mut self, kind: io::ErrorKind, now: Mono) {
        if matches!(self.state, State::Connecting) {
            let address = self.endpoints.current().to_owned();
            self.attempt_failed(ClientError::Connect { address, kind }, 0, now);
        }
    }

    /// The broker greeted: everything that outlives a connection goes on.
    pub(super) fn on_welcome(
        &mut self,
        welcome: &Welcome<'_>,
        now: Mono,
    ) -> Result<(), ClientError> {
        if welcome.version != 1 || welcome.producer == Producer(0) {
            return Err(ClientError::Protocol(Violation::BadFrame(
                antiphon_protocol::Kind::Welcome.wire(),
            )));
        }
        let ours = self.outbox.producer();
        if ours.is_some_and(|ours| ours != welcome.producer) {
            if self.outbox.keeps_producer() {
                self.end(ClientError::ProducerRefused, now);
                return Ok(());
            }
            let (outbox, _, _, mut context) = self.split(now);
            outbox.disown(&mut context);
        }
        self.outbox.adopt(welcome.producer);
        self.greeting.device = welcome.device;
        self.opening = Opening::Done;
        self.moves = 0;
        let is_new = ours != Some(welcome.producer);
        let renew_at = self.renew_at(welcome, is_new, now);
        let line = self.state.line().map(std::mem::take).unwrap_or_default();
        self.outbox.on_open();
        self.state = State::Open(Box::new(Open::new(welcome, line, renew_at, now)));
        self.tell(Event::Welcomed(Welcomed {
            producer: welcome.producer,
            user: welcome.user.to_owned(),
            device: welcome.device,
            frame_bytes_max: welcome.frame_bytes_max,
            body_bytes_max: welcome.body_bytes_max,
            headers_bytes_max: welcome.headers_bytes_max,
            fetch_records_max: welcome.fetch_records_max,
        }));
        Ok(())
    }

    /// When the producer is to be replaced, by the broker's clock. A new one counts as born now, whatever it says, so that a
    /// broker with a wrong clock does not make us change it again and again.
    fn renew_at(&self, welcome: &Welcome<'_>, is_new: bool, now: Mono) -> Option<Mono> {
        if self.outbox.keeps_producer() {
            return None;
        }
        let age = if is_new {
            0
        } else {
            welcome
                .server_time
                .0
                .saturating_sub(welcome.producer.birth().0)
        };
        Some(now.plus(millis(PRODUCER_AGE_MAX).saturating_sub(age)))
    }

    /// The broker takes leave.
    pub(super) fn on_goaway(&mut self, goaway: &Goaway<'_>, now: Mono) {
        let (code, class) = (goaway.code, goaway.class);
        let error = ClientError::Goaway {
            code,
            class,
            text: goaway.text.to_owned(),
        };
        let is_expired = code == antiphon_protocol::Code::PRODUCER_EXPIRED;
        match class {
            GoawayClass::Terminal
                if is_expired
                    && !self.outbox.keeps_producer()
                    && self.outbox.producer().is_some() =>
            {
                self.drop_connection(now);
                let (outbox, _, _, mut context) = self.split(now);
                outbox.disown(&mut context);
                self.back_off(error, 0, now);
            }
            GoawayClass::Terminal => self.end(error, now),
            GoawayClass::Move => {
                self.endpoints.redirect(goaway.endpoints);
                self.move_on(error, goaway.retry_after_ms.into(), now);
            }
            GoawayClass::Retry => self.lose(error, goaway.retry_after_ms.into(), now),
        }
    }

    /// The broker sent us elsewhere. Without a greeting in between only so often at once: two brokers may mean each other.
    fn move_on(&mut self, reason: ClientError, retry_after_ms: u64, now: Mono) {
        if !matches!(self.state, State::AwaitWelcome { .. }) {
            self.lose(reason, retry_after_ms, now);
            return;
        }
        self.drop_connection(now);
        self.moves += 1;
        if self.moves <= MOVES && retry_after_ms == 0 {
            self.tell(Event::ConnectionFailed(reason));
            self.connect();
        } else {
            self.round_failed(reason, retry_after_ms, now);
        }
    }

    /// The connection is gone or useless: drop it and come back, not before `retry_after_ms`.
    pub(super) fn lose(&mut self, reason: ClientError, retry_after_ms: u64, now: Mono) {
        match &self.state {
            State::Open(open) => {
                let is_stable = now.since(open.since) >= STABLE_MS;
                self.losses.connections += 1;
                self.losses.unacked += u64::from(self.outbox.in_flight());
                self.drop_connection(now);
                self.come_back(reason, retry_after_ms, is_stable, now);
            }
            State::AwaitWelcome { .. } | State::Connecting => {
                self.drop_connection(now);
                self.attempt_failed(reason, retry_after_ms, now);
            }
            State::New | State::Backoff { .. } | State::Closed => {}
        }
    }

    /// A greeted connection is gone: at once back if it was a good one, else after a wait.
    fn come_back(&mut self, reason: ClientError, retry_after_ms: u64, is_stable: bool, now: Mono) {
        if is_stable {
            self.failures = 0;
            self.violations = 0;
        }
        self.violations += u32::from(reason.is_disagreement());
        if self.violations >= VIOLATIONS {
            self.end(reason, now);
        } else if is_stable && retry_after_ms == 0 {
            self.tell(Event::ConnectionFailed(reason));
            self.connect();
        } else {
            self.back_off(reason, retry_after_ms, now);
        }
    }

    /// This address does not do: the next one at once, or another round later.
    fn attempt_failed(&mut self, reason: ClientError, retry_after_ms: u64, now: Mono) {
        if self.endpoints.advance() && retry_after_ms == 0 {
            self.tell(Event::ConnectionFailed(reason));
            self.connect();
            return;
        }
        self.round_failed(reason, retry_after_ms, now);
    }

    /// No address does at the moment: another round later, or the end if nobody wants to wait for it.
    fn round_failed(&mut self, reason: ClientError, retry_after_ms: u64, now: Mono) {
        if let Opening::Patient { deadline_ms, since } = self.opening
            && now.since(since.unwrap_or(now)) >= deadline_ms
        {
            self.end(reason, now);
            return;
        }
        self.back_off(reason, retry_after_ms, now);
    }

    fn back_off(&mut self, reason: ClientError, retry_after_ms: u64, now: Mono) {
        let wait = self.jitter.wait_ms(self.failures, retry_after_ms);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Backoff {
            until: now.plus(wait),
        };
        self.tell(Event::ConnectionFailed(reason));
    }

    /// Tells the driver to drop what it has, and all parts that their answers will not come.
    fn drop_connection(&mut self, now: Mono) {
        let state = std::mem::replace(&mut self.state, State::Connecting);
        self.outputs.push_back(Output::Disconnect);
        self.unsent.clear();
        self.sent = 0;
        let State::Open(open) = state else { return };
        for question in open.line.questions.into_values() {
            match question {
                Question::Ping(ticket) => {
                    self.tell(Event::Done(ticket, Err(ClientError::Disconnected)));
                }
                Question::Check(ticket) => {
                    self.tell(Event::Checked(ticket, Err(ClientError::Disconnected)));
                }
                _ => {}
            }
        }
        let (outbox, readers, _, mut context) = self.split(now);
        outbox.on_lost(&mut context);
        readers.on_lost();
    }

    /// Takes another producer if one is wanted and nothing is tied to the old one: on a new connection, at once.
    pub(super) fn turn(&mut self, now: Mono) {
        if !self.outbox.is_ready_to_turn() {
            return;
        }
        match self.state {
            State::Open(_) | State::AwaitWelcome { .. } => {
                self.drop_connection(now);
                self.outbox.turn();
                if self.outbox.turns_in_vain() {
                    self.back_off(ClientError::ProducerRefused, 0, now);
                } else {
                    self.connect();
                }
            }
            State::New | State::Connecting | State::Backoff { .. } => self.outbox.turn(),
            State::Closed => {}
        }
    }

    /// Looks at everything that depends on time.
    pub(super) fn on_tick(&mut self, now: Mono) {
        self.outbox.tick(now);
        let subscribes = self.readers.tick(now);
        let fetches = self.fetches.tick(now);
        let asks = self.asks.tick(now);
        if let Some(line) = self.state.line() {
            let subscribes = subscribes.into_iter().map(Request::Subscribe);
            line.requests.extend(subscribes);
            line.requests
                .extend(fetches.into_iter().map(Request::Fetch));
            line.requests.extend(asks.into_iter().map(Request::Ask));
        }
        match &mut self.state {
            State::New => {
                if let Opening::Patient { since, .. } = &mut self.opening {
                    *since = Some(now);
                }
                self.connect();
            }
            State::AwaitWelcome { deadline, .. } if now >= *deadline => {
                self.lose(ClientError::Protocol(Violation::NoWelcome), 0, now);
            }
            State::Backoff { until } if now >= *until => self.connect(),
            State::Open(open) => {
                if open.renew_at.is_some_and(|renew_at| now >= renew_at) {
                    open.renew_at = None;
                    self.outbox.renew();
                }
                if open.is_silent(now) {
                    self.lose(ClientError::Protocol(Violation::Silent), 0, now);
                }
            }
            State::Connecting
            | State::AwaitWelcome { .. }
            | State::Backoff { .. }
            | State::Closed => {}
        }
    }

    /// The session is over: everybody is told.
    pub(super) fn end(&mut self, reason: ClientError, now: Mono) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.drop_connection(now);
        self.state = State::Closed;
        let (outbox, readers, fetches, mut context) = self.split(now);
        let unacked = outbox.end(&reason, &mut context);
        readers.end(
            &SubscribeError::Closed(Box::new(reason.clone())),
            &mut context,
        );
        fetches.end(&reason, &mut context);
        let (asks, mut context) = self.split_asks(now);
        asks.end(&reason, &mut context);
        if let Some(freed) = self.outbox.take_freed() {
            self.tell(freed);
        }
        self.tell(Event::Closed { reason, unacked });
    }
}
