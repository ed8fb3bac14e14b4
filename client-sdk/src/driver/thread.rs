//! The loop of the background thread: commands in, bytes in, bytes out, answers out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::driver::completion::Completions;
use crate::driver::shared::{Post, Shared};
use crate::driver::transport::{Attempt, Transport};
use crate::driver::waiter::Waiter;
use crate::error::ClientError;
use crate::limits::READ_BUFFER_BYTES;
use crate::losses::Losses;
use crate::session::{Command, Event, Input, Mono, Output, Session};

/// The waker's token; sockets count up from here, so that news of an older one is not mistaken.
pub(crate) const WAKER: Token = Token(0);

/// Owns the socket, the clock and the session.
#[derive(Debug)]
pub(crate) struct Driver {
    poll: Poll,
    shared: Arc<Shared>,
    session: Session,
    transport: Transport,
    socket: Token,
    completions: Completions,
    /// Told once: greeted, or why never.
    opening: Arc<Waiter<Result<(), ClientError>>>,
    started: Instant,
    buffer: Vec<u8>,
    /// As told to the application.
    losses: Losses,
    is_over: bool,
}

impl Driver {
    pub(crate) fn new(
        poll: Poll,
        shared: Arc<Shared>,
        session: Session,
        opening: Arc<Waiter<Result<(), ClientError>>>,
    ) -> Driver {
        Driver {
            poll,
            shared,
            session,
            transport: Transport::Down,
            socket: WAKER,
            completions: Completions::default(),
            opening,
            started: Instant::now(),
            buffer: vec![0; READ_BUFFER_BYTES],
            losses: Losses::default(),
            is_over: false,
        }
    }

    /// Runs until the session is over.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(8);
        let mut posts = Vec::new();
        self.input(Input::Tick);
        while !self.is_over {
            let is_posted = self.shared.take_posts(&mut posts);
            for post in posts.drain(..) {
                self.on_post(post);
            }
            self.flush();
            if self.is_over {
                break;
            }
            let timeout = if is_posted || self.transport.is_readable() {
                Some(Duration::ZERO)
            } else {
                self.timeout()
            };
            if let Err(error) = self.poll.poll(&mut events, timeout) {
                if error.kind() != std::io::ErrorKind::Interrupted {
                    self.close(&ClientError::System(error.kind()), 0);
                    break;
                }
                continue;
            }
            self.on_events(&events);
            self.read();
            self.input(Input::Tick);
        }
    }

    fn now(&self) -> Mono {
        Mono(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn input(&mut self, input: Input<'_>) {
        let now = self.now();
        self.session.handle(input, now);
        self.drain();
    }

    fn on_post(&mut self, post: Post) {
        if let Command::Cancel { ticket } | Command::Unsubscribe { ticket } = post.command {
            self.completions.forget(ticket);
        }
        if let Some((ticket, completion)) = post.completion {
            self.completions.insert(ticket, completion);
        }
        if !self.is_over {
            self.input(Input::Command(post.command));
        }
    }

    /// Does everything that the session wants done.
    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connect(address) => self.connect(&address),
                Output::Disconnect => self.transport = Transport::Down,
                Output::Event(event) => self.on_session_event(event),
            }
        }
        let losses = self.session.losses();
        if losses != self.losses {
            self.losses = losses;
            self.shared.set_losses(losses);
        }
    }

    fn on_session_event(&mut self, event: Event) {
        match event {
            Event::Welcomed(welcomed) => {
                self.shared.set_welcomed(welcomed);
                self.opening.complete(Ok(()));
            }
            Event::Released { messages, bytes } => self.shared.release(messages, bytes),
            Event::Closed { reason, unacked } => self.close(&reason, unacked),
            other => self.completions.tell(other),
        }
    }

    fn connect(&mut self, address: &str) {
        self.socket = Token(self.socket.0 + 1);
        let timeout = self.shared.options.connect_timeout;
        let attempt = self
            .transport
            .connect(address, timeout, self.poll.registry(), self.socket);
        self.on_attempt(attempt);
    }

    fn on_attempt(&mut self, attempt: Attempt) {
        match attempt {
            Attempt::Pending => {}
            Attempt::Up => self.input(Input::Connected),
            Attempt::Failed(kind) => {
                self.transport = Transport::Down;
                self.input(Input::ConnectFailed(kind));
            }
        }
    }

    fn on_events(&mut self, events: &Events) {
        let mut is_told = false;
        for event in events.iter().filter(|event| event.token() == self.socket) {
            is_told = true;
            self.transport.on_event(event);
        }
        let attempt = self
            .transport
            .check_attempt(is_told, self.poll.registry(), self.socket);
        self.on_attempt(attempt);
    }

    fn read(&mut self) {
        let now = self.now();
        let socket = self.socket;
        let session = &mut self.session;
        let outcome = self.transport.read(&mut self.buffer, |bytes| {
            session.handle(Input::Received(bytes), now)
        });
        // Outputs first: what was received counts, also when the connection ended right behind it.
        self.drain();
        let is_same = socket == self.socket && matches!(self.transport, Transport::Up { .. });
        if is_same && !matches!(outcome, Ok(true)) {
            self.disconnected();
        }
    }

    /// Sends what the session has queued: one flat write, again only while the socket takes it all.
    fn flush(&mut self) {
        while !self.session.unsent().is_empty() && self.transport.is_writable() {
            match self.transport.write(self.session.unsent()) {
                Ok(count) => {
                    let now = self.now();
                    self.session.advance(count, now);
                    self.drain();
                }
                Err(_) => self.disconnected(),
            }
        }
    }

    fn disconnected(&mut self) {
        self.transport = Transport::Down;
        self.input(Input::Disconnected);
    }

    /// How long the poll may sleep.
    fn timeout(&self) -> Option<Duration> {
        let session = self
            .session
            .next_deadline()
            .map(|at| Duration::from_millis(at.since(self.now())));
        let attempt = self
            .transport
            .deadline()
            .map(|at| at.saturating_duration_since(Instant::now()));
        // A millisecond more, so that a deadline is over when the poll returns and not looked at twice.
        [session, attempt]
            .into_iter()
            .flatten()
            .min()
            .map(|wait| wait + Duration::from_millis(1))
    }

    fn close(&mut self, reason: &ClientError, unacked: u32) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.transport = Transport::Down;
        self.opening.complete(Err(reason.clone()));
        self.completions.close(reason, unacked);
        for post in self.shared.set_closed(reason.clone()) {
            if let Some((_, completion)) = post.completion {
                completion.close(reason, unacked);
            }
        }
    }
}

impl Drop for Driver {
    /// Also when the thread panics: nobody may wait for ever.
    fn drop(&mut self) {
        self.close(&ClientError::Closed, 0);
    }
}
