//! The generator: one thread, thousands of sockets, one event loop.
//!
//! It knows neither protocol nor workload. A workload asks it to connect, subscribe and publish, which fills buffers; a
//! [`Generator::turn`] sends them, waits for the kernel, reads what is there and tells the workload's [`Ears`].

mod connecting;
mod connection;

use std::io;
use std::time::Duration;

use mio::{Events, Poll, Token};

use self::connection::{Connection, ReadEnd, ReadError};
use crate::clock::{Clock, Nanos};
use crate::error::{BenchError, WireError};
use crate::limits::{EVENTS_MAX, KEEPALIVE_EVERY, READ_BYTES, READS_PER_TURN};
use crate::progress::Progress;
use crate::server::Server;
use crate::target::{Ack, Event, Room, Since, Target, Wire};

/// Who listens to what comes in.
pub trait Ears {
    /// `connection` heard `event`, in bytes that were read at `now`.
    fn hear(&mut self, connection: u32, event: Event<'_>, now: Nanos);
}

/// All connections of a run.
#[derive(Debug)]
pub struct Generator<'a, T: Target> {
    target: &'a T,
    server: &'a Server,
    progress: &'a Progress,
    clock: Clock,
    poll: Poll,
    events: Events,
    connections: Vec<Connection<T::Wire>>,
    /// With something to send that the socket may take.
    listed: Vec<u32>,
    /// Not read dry in the last turn.
    unread: Vec<u32>,
    buffer: Vec<u8>,
    keepalive_at: Nanos,
    /// Time spent in turns in which something happened.
    busy: Duration,
}

impl<'a, T: Target> Generator<'a, T> {
    /// A generator without connections.
    ///
    /// # Errors
    /// The kernel has no event queue for us.
    pub fn new(
        target: &'a T,
        server: &'a Server,
        progress: &'a Progress,
        clock: Clock,
    ) -> io::Result<Self> {
        Ok(Self {
            target,
            server,
            progress,
            clock,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            connections: Vec::new(),
            listed: Vec::new(),
            unread: Vec::new(),
            buffer: vec![0; READ_BYTES],
            keepalive_at: clock.now().plus(KEEPALIVE_EVERY),
            busy: Duration::ZERO,
        })
    }

    /// The run's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Connections made so far; their numbers are below this.
    #[must_use]
    pub fn connections(&self) -> u32 {
        u32::try_from(self.connections.len()).expect("descriptors are fewer than 2^32")
    }

    /// Time spent in turns in which something happened: the rest of the time it waited or looked in vain.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// Subscribes `connection` to `room`.
    ///
    /// # Errors
    /// [`BenchError::Unsupported`].
    pub fn subscribe(
        &mut self,
        connection: u32,
        room: &Room,
        since: Since,
    ) -> Result<(), BenchError> {
        let target = self.target;
        let place = &mut self.connections[connection as usize];
        place
            .wire
            .subscribe(room, since, &mut place.out)
            .map_err(|what| BenchError::Unsupported {
                target: target.name(),
                what,
            })?;
        self.list(connection);
        Ok(())
    }

    /// Publishes on `connection`; the number of the request.
    #[inline]
    pub fn publish(&mut self, connection: u32, room: &Room, ack: Ack, body: &[u8]) -> u64 {
        let place = &mut self.connections[connection as usize];
        place.request += 1;
        place
            .wire
            .publish(room, place.request, ack, body, &mut place.out);
        let request = place.request;
        self.list(connection);
        request
    }

    /// Asks for history on `connection`; the number of the request.
    ///
    /// # Errors
    /// [`BenchError::Unsupported`].
    pub fn history(&mut self, connection: u32, room: &Room, limit: u32) -> Result<u64, BenchError> {
        let target = self.target;
        let place = &mut self.connections[connection as usize];
        place.request += 1;
        let request = place.request;
        place
            .wire
            .history(room, limit, request, &mut place.out)
            .map_err(|what| BenchError::Unsupported {
                target: target.name(),
                what,
            })?;
        self.list(connection);
        Ok(request)
    }

    /// Shows on `connection` that somebody types in `room`.
    pub fn signal(&mut self, connection: u32, room: &Room) {
        let place = &mut self.connections[connection as usize];
        place.wire.signal(room, &mut place.out);
        self.list(connection);
    }

    /// Ends `connection`, as a client that is gone. Nothing is heard of it any more; its number is not given again.
    pub fn leave(&mut self, connection: u32) {
        let place = &mut self.connections[connection as usize];
        place.is_open = false;
        place.out.clear();
        // Either may be gone on its own: then there is nothing to end.
        let _ = self.poll.registry().deregister(&mut place.socket);
        let _ = place.socket.shutdown(std::net::Shutdown::Both);
    }

    #[inline]
    fn list(&mut self, connection: u32) {
        let place = &mut self.connections[connection as usize];
        if !place.is_listed && place.is_open {
            place.is_listed = true;
            self.listed.push(connection);
        }
    }

    /// Sends what waits, waits itself for at most `wait`, and reads what came.
    ///
    /// # Errors
    /// A connection broke or was closed, or the run was cancelled.
    pub fn turn(&mut self, wait: Duration, ears: &mut impl Ears) -> Result<(), BenchError> {
        if self.progress.is_cancelled() {
            return Err(BenchError::Cancelled);
        }
        let sending = self.clock.now();
        let mut happened = !self.listed.is_empty();
        self.keepalive(sending);
        self.send()?;
        let sent = self.clock.now();
        let wait = if self.unread.is_empty() {
            wait
        } else {
            Duration::ZERO
        };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let woken = self.clock.now();
        happened |= !self.events.is_empty() || !self.unread.is_empty();
        for connection in std::mem::take(&mut self.unread) {
            self.read(connection, ears)?;
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let heard = events.iter().try_for_each(|event| {
            let Token(connection) = event.token();
            let connection = u32::try_from(connection).expect("tokens are connection numbers");
            self.on_event(connection, event, ears)
        });
        self.events = events;
        heard?;
        if happened {
            let idle = woken.since(sent);
            self.busy += Duration::from_nanos(self.clock.now().since(sending) - idle);
        }
        Ok(())
    }

    fn on_event(
        &mut self,
        connection: u32,
        event: &mio::event::Event,
        ears: &mut impl Ears,
    ) -> Result<(), BenchError> {
        if event.is_writable() {
            self.on_writable(connection)?;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(connection, ears)?;
        }
        Ok(())
    }

    fn on_writable(&mut self, connection: u32) -> Result<(), BenchError> {
        let place = &mut self.connections[connection as usize];
        if !place.is_open {
            self.on_connected(connection)?;
        } else if place.has_unsent() {
            self.list(connection);
        }
        Ok(())
    }

    fn read(&mut self, connection: u32, ears: &mut impl Ears) -> Result<(), BenchError> {
        let clock = self.clock;
        let place = &mut self.connections[connection as usize];
        if !place.is_open {
            return Ok(());
        }
        let mut end = ReadEnd::More;
        let mut reads = 0;
        while end == ReadEnd::More && reads < READS_PER_TURN {
            // One look at the clock a read, at its first event: no event of it came later.
            let mut now = None;
            let mut sink = |event: Event<'_>| {
                let now = *now.get_or_insert_with(|| clock.now());
                ears.hear(connection, event, now);
            };
            end = match place.read(&mut self.buffer, &mut sink) {
                Ok(end) => end,
                Err(ReadError::Socket(error)) => {
                    return Err(BenchError::Socket { connection, error });
                }
                Err(ReadError::Wire(error)) => return Err(BenchError::Wire { connection, error }),
            };
            reads += 1;
        }
        if place.has_unsent() {
            self.list(connection);
        }
        match end {
            ReadEnd::Dry => {}
            ReadEnd::More => self.unread.push(connection),
            ReadEnd::Closed => {
                let error = WireError::Closed("without a word".to_owned());
                return Err(BenchError::Wire { connection, error });
            }
        }
        Ok(())
    }

    /// One write a connection that has something to say. What a socket does not take waits for its next event.
    fn send(&mut self) -> Result<(), BenchError> {
        for &connection in &self.listed {
            let place = &mut self.connections[connection as usize];
            place.is_listed = false;
            place
                .write()
                .map_err(|error| BenchError::Socket { connection, error })?;
        }
        self.listed.clear();
        Ok(())
    }

    fn keepalive(&mut self, now: Nanos) {
        if now < self.keepalive_at {
            return;
        }
        self.keepalive_at = now.plus(KEEPALIVE_EVERY);
        for connection in 0..self.connections() {
            let place = &mut self.connections[connection as usize];
            if place.is_open {
                place.wire.keepalive(&mut place.out);
                self.list(connection);
            }
        }
    }
}
