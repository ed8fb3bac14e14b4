//! One socket of the generator: bytes in, bytes out, and the wire between.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use crate::error::WireError;
use crate::target::{Event, Wire};

/// A connection, from its connect on.
#[derive(Debug)]
pub(super) struct Connection<W> {
    pub(super) socket: TcpStream,
    pub(super) wire: W,
    /// The start of a frame that is not whole.
    input: Vec<u8>,
    /// What waits for the socket, from `sent` on.
    pub(super) out: Vec<u8>,
    sent: usize,
    /// The number of the newest publish or history request.
    pub(super) request: u64,
    /// In the generator's list of those with something to send.
    pub(super) is_listed: bool,
    /// The kernel has said that the connect is done.
    pub(super) is_open: bool,
}

/// What reading came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ReadEnd {
    /// Nothing more is there; the kernel will say when there is.
    Dry,
    /// There may be more.
    More,
    /// The other side has closed.
    Closed,
}

impl<W: Wire> Connection<W> {
    pub(super) fn new(socket: TcpStream, wire: W) -> Self {
        Self {
            socket,
            wire,
            input: Vec::new(),
            out: Vec::new(),
            sent: 0,
            request: 0,
            is_listed: false,
            is_open: false,
        }
    }

    /// Reads once and hands what is whole to the wire.
    #[inline]
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<ReadEnd, ReadError> {
        let count = loop {
            match self.socket.read(buffer) {
                Ok(0) => return Ok(ReadEnd::Closed),
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(ReadEnd::Dry);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Socket(error)),
            }
        };
        let read = &buffer[..count];
        if self.input.is_empty() {
            let used = self.wire.parse(read, &mut self.out, sink)?;
            self.input.extend_from_slice(&read[used..]);
        } else {
            self.input.extend_from_slice(read);
            let used = self.wire.parse(&self.input, &mut self.out, sink)?;
            self.input.drain(..used);
        }
        // A short read has emptied the socket; more will come with an event of its own.
        Ok(if count < buffer.len() {
            ReadEnd::Dry
        } else {
            ReadEnd::More
        })
    }

    /// Whether bytes wait for the socket.
    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Sends what the socket takes; whether all of it went.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        while self.has_unsent() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(true)
    }
}

/// Why reading failed.
#[derive(Debug)]
pub(super) enum ReadError {
    Socket(io::Error),
    Wire(WireError),
}

impl From<WireError> for ReadError {
    fn from(error: WireError) -> Self {
        ReadError::Wire(error)
    }
}
