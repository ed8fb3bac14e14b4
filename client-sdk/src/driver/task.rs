//! The loop of a task on a tokio runtime: as `thread`, with `select!` in the place of a poll.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time;

use crate::driver::engine::{Engine, Opening, Step, session};
use crate::driver::resolver::{Addresses, Job, Lookup, Resolver};
use crate::driver::shared::{Handle, Shared};
use crate::error::ClientError;
use crate::limits::{IDLE_LOOK, READ_BUFFER_BYTES, READ_BYTES_PER_TURN};
use crate::options::ClientOptions;
use crate::session::Input;

/// Wakes the task; a ring while it is awake is not lost.
#[derive(Debug, Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// Starts the task on the runtime at hand; the opening says when the broker has greeted.
pub(crate) fn start(options: ClientOptions) -> Result<(Arc<Handle>, Opening), ClientError> {
    let (session, opening) = session(&options)?;
    let runtime = tokio::runtime::Handle::try_current()
        .map_err(|_| ClientError::System(io::ErrorKind::Unsupported))?;
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let shared = Arc::new(Shared::new(options, waker.clone()));
    let driver = Driver {
        engine: Engine::new(Arc::clone(&shared), session, Arc::clone(&opening)),
        wire: Wire::Down,
        resolver: Resolver::new(waker, in_the_pool),
        bell,
        buffer: vec![0; READ_BUFFER_BYTES],
    };
    runtime.spawn(driver.run());
    Ok((Arc::new(Handle { shared }), opening))
}

/// Does a job in the runtime's pool for work that blocks.
fn in_the_pool(job: Job) -> io::Result<()> {
    drop(tokio::task::spawn_blocking(job));
    Ok(())
}

/// The connection as the driver knows it.
enum Wire {
    /// There is none, and none is wanted.
    Down,
    /// What the address stands for is not known yet; not beyond the deadline.
    Resolving(String, time::Instant),
    /// An attempt is under way.
    Connecting(Pin<Box<dyn Future<Output = Result<TcpStream, io::ErrorKind>> + Send>>),
    /// Bytes flow.
    Up(TcpStream),
}

/// Owns the socket, and the engine with the session.
struct Driver {
    engine: Engine,
    wire: Wire,
    resolver: Resolver,
    bell: Arc<Bell>,
    buffer: Vec<u8>,
}

impl Driver {
    /// Runs until the session is over.
    async fn run(mut self) {
        self.input(Input::Tick);
        let mut has_more = false;
        while !self.engine.is_over() {
            let is_posted = self.engine.take_posts();
            self.take_steps();
            self.flush();
            if self.engine.is_over() {
                break;
            }
            // After a post the next one does not ring: it is looked for before the sleep, and others run meanwhile.
            if is_posted || has_more {
                yield_now().await;
            } else {
                self.sleep().await;
            }
            has_more = self.read();
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
                Step::Connect(address) => {
                    let deadline = time::Instant::now() + self.engine.connect_timeout();
                    self.wire = Wire::Resolving(address, deadline);
                    self.resolve();
                }
                Step::Disconnect => self.wire = Wire::Down,
            }
        }
    }

    /// Goes on with an attempt whose address is not known yet.
    fn resolve(&mut self) {
        let Wire::Resolving(address, deadline) = &self.wire else {
            return;
        };
        match self.resolver.poll(address) {
            Lookup::Known(addresses) => {
                let attempt = connect(addresses, self.engine.connect_timeout());
                self.wire = Wire::Connecting(Box::pin(attempt));
            }
            Lookup::Pending if time::Instant::now() < *deadline => {}
            Lookup::Pending => self.connect_failed(io::ErrorKind::TimedOut),
        }
    }

    fn connect_failed(&mut self, kind: io::ErrorKind) {
        self.wire = Wire::Down;
        self.input(Input::ConnectFailed(kind));
    }

    /// Sleeps until somebody rings, the socket has news, or a deadline has come.
    async fn sleep(&mut self) {
        let patience = self.engine.patience().unwrap_or(IDLE_LOOK);
        let has_unsent = !self.engine.unsent().is_empty();
        tokio::select! {
            () = self.bell.0.notified() => {}
            () = time::sleep(patience) => {}
            attempt = self.wire.changed(has_unsent) => match attempt {
                None => {}
                Some(Ok(stream)) => {
                    self.wire = Wire::Up(stream);
                    self.input(Input::Connected);
                }
                Some(Err(kind)) => self.connect_failed(kind),
            },
        }
        self.resolve();
    }

    /// Takes what the socket has, within the budget of a turn; true: there may be more.
    fn read(&mut self) -> bool {
        let mut budget = READ_BYTES_PER_TURN;
        while let Wire::Up(stream) = &self.wire {
            match stream.try_read(&mut self.buffer) {
                Ok(0) => self.disconnected(),
                Ok(count) => {
                    let bytes = self.buffer.get(..count).unwrap_or_default();
                    self.engine.input(Input::Received(bytes));
                    self.take_steps();
                    budget = budget.saturating_sub(count);
                    if budget == 0 {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => self.disconnected(),
            }
        }
        false
    }

    /// Sends what the session has queued: one flat write, again only while the socket takes it all.
    fn flush(&mut self) {
        while let Wire::Up(stream) = &self.wire
            && !self.engine.unsent().is_empty()
        {
            match stream.try_write(self.engine.unsent()) {
                Ok(count) => {
                    self.engine.advance(count);
                    self.take_steps();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.disconnected(),
            }
        }
    }

    fn disconnected(&mut self) {
        self.wire = Wire::Down;
        self.input(Input::Disconnected);
    }
}

impl Wire {
    /// Waits until an attempt has ended, which it then returns, or until the socket can be read or, if wanted, written.
    async fn changed(&mut self, has_unsent: bool) -> Option<Result<TcpStream, io::ErrorKind>> {
        match self {
            Wire::Down => std::future::pending().await,
            Wire::Resolving(_, deadline) => {
                time::sleep_until(*deadline).await;
                None
            }
            Wire::Connecting(attempt) => Some(attempt.await),
            Wire::Up(stream) => {
                let interest = if has_unsent {
                    Interest::READABLE | Interest::WRITABLE
                } else {
                    Interest::READABLE
                };
                // An error is found again by the read that follows.
                let _ = stream.ready(interest).await;
                None
            }
        }
    }
}

/// Tries the addresses one after the other; each may take `timeout`.
async fn connect(addresses: Addresses, timeout: Duration) -> Result<TcpStream, io::ErrorKind> {
    let addresses: Vec<SocketAddr> = addresses.map_err(|error| error.kind())?;
    let mut failure = io::ErrorKind::NotFound;
    for address in addresses {
        match time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Turns are flushed whole, so waiting for more bytes (Nagle) would only add latency.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = error.kind(),
            Err(_) => failure = io::ErrorKind::TimedOut,
        }
    }
    Err(failure)
}
