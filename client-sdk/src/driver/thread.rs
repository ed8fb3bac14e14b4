//! The loop of the background thread: commands in, bytes in, bytes out, answers out.

use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::driver::engine::{Engine, Opening, Step, session};
use crate::driver::resolver::{Resolver, on_a_thread};
use crate::driver::shared::{Handle, Shared};
use crate::driver::transport::{Attempt, Transport};
use crate::error::ClientError;
use crate::limits::{READ_BUFFER_BYTES, THREAD_STACK_BYTES};
use crate::options::ClientOptions;
use crate::session::Input;

/// The bell's token; sockets count up from here, so that news of an older one is not mistaken.
const BELL: Token = Token(0);

/// Wakes the thread.
#[derive(Debug)]
struct Bell(mio::Waker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Fails only when the poll is gone, and then nobody is left to wake.
        let _ = self.0.wake();
    }
}

/// Starts the thread. The opening says when the broker has greeted; the session bounds it: every address once, or until the
/// connect deadline.
pub(crate) fn start(options: ClientOptions) -> Result<(Arc<Handle>, Opening), ClientError> {
    let (session, opening) = session(&options)?;
    let poll = Poll::new().map_err(system)?;
    let bell = Arc::new(Bell(
        mio::Waker::new(poll.registry(), BELL).map_err(system)?,
    ));
    let bell = Waker::from(bell);
    let shared = Arc::new(Shared::new(options, bell.clone()));
    let driver = Driver {
        poll,
        engine: Engine::new(Arc::clone(&shared), session, Arc::clone(&opening)),
        transport: Transport::Down,
        socket: BELL,
        resolver: Resolver::new(bell, on_a_thread),
        buffer: vec![0; READ_BUFFER_BYTES],
    };
    let handle = Arc::new(Handle { shared });
    std::thread::Builder::new()
        .name("antiphon-client".into())
        .stack_size(THREAD_STACK_BYTES)
        .spawn(move || driver.run())
        .map_err(system)?;
    Ok((handle, opening))
}

fn system(error: io::Error) -> ClientError {
    ClientError::System(error.kind())
}

/// Owns the socket, and the engine with the session.
#[derive(Debug)]
struct Driver {
    poll: Poll,
    engine: Engine,
    transport: Transport,
    socket: Token,
    resolver: Resolver,
    buffer: Vec<u8>,
}

impl Driver {
    /// Runs until the session is over.
    fn run(mut self) {
        let mut events = Events::with_capacity(8);
        self.input(Input::Tick);
        while !self.engine.is_over() {
            let is_posted = self.engine.take_posts();
            self.take_steps();
            self.flush();
            if self.engine.is_over() {
                break;
            }
            let timeout = if is_posted || self.transport.is_readable() {
                Some(Duration::ZERO)
            } else {
                self.timeout()
            };
            if let Err(error) = self.poll.poll(&mut events, timeout) {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.engine.close(&system(error), 0);
                    break;
                }
                continue;
            }
            self.on_events(&events);
            self.read();
            self.input(Input::Tick);
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.engine.input(input);
        self.take_steps();
    }

    fn take_steps(&mut self) {
        while let Some(step) = self.engine.next_step() {
            match step {
                Step::Connect(address) => self.connect(address),
                Step::Disconnect => self.transport = Transport::Down,
            }
        }
    }

    fn connect(&mut self, address: String) {
        self.socket = Token(self.socket.0 + 1);
        self.transport = Transport::resolving(address, self.engine.connect_timeout());
        self.check_attempt(false);
    }

    fn check_attempt(&mut self, is_told: bool) {
        let (registry, resolver) = (self.poll.registry(), &mut self.resolver);
        let attempt = self
            .transport
            .check_attempt(is_told, resolver, registry, self.socket);
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
        self.check_attempt(is_told);
    }

    fn read(&mut self) {
        let socket = self.socket;
        let engine = &mut self.engine;
        let outcome = self.transport.read(&mut self.buffer, |bytes| {
            engine.input(Input::Received(bytes))
        });
        // Steps first: what was received counts, also when the connection ended right behind it.
        self.take_steps();
        let is_same = socket == self.socket && matches!(self.transport, Transport::Up { .. });
        if is_same && !matches!(outcome, Ok(true)) {
            self.disconnected();
        }
    }

    /// Sends what the session has queued: one flat write, again only while the socket takes it all.
    fn flush(&mut self) {
        while !self.engine.unsent().is_empty() && self.transport.is_writable() {
            match self.transport.write(self.engine.unsent()) {
                Ok(count) => {
                    self.engine.advance(count);
                    self.take_steps();
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
        let attempt = self
            .transport
            .deadline()
            .map(|at| at.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        [self.engine.patience(), attempt]
            .into_iter()
            .flatten()
            .min()
    }
}
