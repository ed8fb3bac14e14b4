//! One TCP connection, from the name of its address to its end.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::driver::resolver::{Lookup, Resolver};
use crate::limits::READ_BYTES_PER_TURN;

/// The connection as the driver knows it.
#[derive(Debug)]
pub(crate) enum Transport {
    /// There is none, and none is wanted.
    Down,
    /// What the address stands for is not known yet.
    Resolving {
        address: String,
        timeout: Duration,
        deadline: Instant,
    },
    /// An attempt is under way.
    Connecting {
        stream: TcpStream,
        /// Addresses to try after this one.
        rest: std::vec::IntoIter<SocketAddr>,
        timeout: Duration,
        deadline: Instant,
    },
    /// Bytes flow.
    Up {
        stream: TcpStream,
        /// The last write was not refused.
        is_writable: bool,
        /// The last read was not refused: there may be more.
        is_readable: bool,
    },
}

/// What became of an attempt.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// Still under way.
    Pending,
    /// The connection is up.
    Up,
    /// No address of the name can be had.
    Failed(io::ErrorKind),
}

impl Transport {
    /// The beginning of an attempt to connect to `host:port`; the name, and each of its addresses, may take `timeout`.
    pub(crate) fn resolving(address: String, timeout: Duration) -> Transport {
        Transport::Resolving {
            address,
            timeout,
            deadline: Instant::now() + timeout,
        }
    }

    fn try_next(
        &mut self,
        mut rest: std::vec::IntoIter<SocketAddr>,
        timeout: Duration,
        registry: &Registry,
        token: Token,
        mut failure: io::ErrorKind,
    ) -> Attempt {
        *self = Transport::Down;
        for address in rest.by_ref() {
            match open(address, registry, token) {
                Ok(stream) => {
                    *self = Transport::Connecting {
                        stream,
                        rest,
                        timeout,
                        deadline: Instant::now() + timeout,
                    };
                    return Attempt::Pending;
                }
                Err(error) => failure = error.kind(),
            }
        }
        Attempt::Failed(failure)
    }

    /// The name or the socket of an attempt has something to say, or the attempt's time may be over.
    pub(crate) fn check_attempt(
        &mut self,
        is_told: bool,
        resolver: &mut Resolver,
        registry: &Registry,
        token: Token,
    ) -> Attempt {
        if let Transport::Resolving {
            address,
            timeout,
            deadline,
        } = self
        {
            let timeout = *timeout;
            return match resolver.poll(address) {
                Lookup::Known(Ok(addresses)) => {
                    let kind = io::ErrorKind::NotFound;
                    self.try_next(addresses.into_iter(), timeout, registry, token, kind)
                }
                Lookup::Known(Err(error)) => Attempt::Failed(error.kind()),
                Lookup::Pending if Instant::now() < *deadline => Attempt::Pending,
                Lookup::Pending => Attempt::Failed(io::ErrorKind::TimedOut),
            };
        }
        let Transport::Connecting {
            stream, deadline, ..
        } = self
        else {
            return Attempt::Pending;
        };
        let failure = match progress(stream) {
            Ok(true) => None,
            Ok(false) if Instant::now() < *deadline => return Attempt::Pending,
            Ok(false) => Some(io::ErrorKind::TimedOut),
            // Before the poll said anything, "not connected" only means "not yet".
            Err(_) if !is_told && Instant::now() < *deadline => return Attempt::Pending,
            Err(kind) => Some(kind),
        };
        match (failure, std::mem::replace(self, Transport::Down)) {
            (None, Transport::Connecting { stream, .. }) => {
                *self = Transport::Up {
                    stream,
                    is_writable: true,
                    is_readable: true,
                };
                Attempt::Up
            }
            (
                Some(kind),
                Transport::Connecting {
                    rest,
                    timeout,
                    stream,
                    ..
                },
            ) => {
                drop(stream);
                self.try_next(rest, timeout, registry, token, kind)
            }
            (_, other) => {
                *self = other;
                Attempt::Pending
            }
        }
    }

    /// When the attempt under way has taken too long.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Transport::Resolving { deadline, .. } | Transport::Connecting { deadline, .. } => {
                Some(*deadline)
            }
            Transport::Down | Transport::Up { .. } => None,
        }
    }

    /// The poll has news about this connection.
    pub(crate) fn on_event(&mut self, event: &Event) {
        if let Transport::Up {
            is_writable,
            is_readable,
            ..
        } = self
        {
            *is_writable |= event.is_writable() || event.is_error() || event.is_write_closed();
            *is_readable |= event.is_readable() || event.is_error() || event.is_read_closed();
        }
    }

    /// There may be bytes to read that no event will announce.
    pub(crate) fn is_readable(&self) -> bool {
        matches!(
            self,
            Transport::Up {
                is_readable: true,
                ..
            }
        )
    }

    /// Sends as much of `bytes` as the socket takes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Transport::Up {
            stream,
            is_writable,
            ..
        } = self
        else {
            return Ok(0);
        };
        if !*is_writable {
            return Ok(0);
        }
        match stream.write(bytes) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *is_writable = false;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the next [`write`](Transport::write) will try.
    pub(crate) fn is_writable(&self) -> bool {
        matches!(
            self,
            Transport::Up {
                is_writable: true,
                ..
            }
        )
    }

    /// Reads into `buffer` and hands on what came, until the socket has no more or this turn's budget is spent.
    ///
    /// `Ok(false)`: the peer has closed.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        mut on_bytes: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        let Transport::Up {
            stream,
            is_readable,
            ..
        } = self
        else {
            return Ok(true);
        };
        let mut budget = READ_BYTES_PER_TURN;
        while *is_readable && budget > 0 {
            match stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    on_bytes(buffer.get(..count).unwrap_or_default());
                    budget = budget.saturating_sub(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => *is_readable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn open(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    // Turns are flushed whole, so waiting for more bytes (Nagle) would only add latency.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// `Ok(true)`: connected; `Ok(false)`: not yet.
fn progress(stream: &TcpStream) -> Result<bool, io::ErrorKind> {
    if let Ok(Some(error)) | Err(error) = stream.take_error() {
        return Err(error.kind());
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error.kind()),
    }
}
