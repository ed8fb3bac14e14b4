//! One connection between nodes: bytes in, frames out of them, bytes out.

use std::io::{self, Read, Write};

use antiphon_protocol::{BrokenStream, RawFrame, next_frame};
use mio::net::TcpStream;

use crate::limits::PEER_READ_BYTES;

/// A non-blocking socket with what was read and not yet parsed, and what was written and not yet sent.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of `output` is sent.
    sent: usize,
}

/// Why a connection between nodes ends.
#[derive(Debug)]
pub(super) enum Ended {
    /// The other side has closed, or the network has.
    Lost,
    /// What came is no frame, or none that is lawful here.
    Broken,
}

impl Stream {
    pub(super) fn new(socket: TcpStream) -> Stream {
        // Without it a small frame waits for the answer to the one before; the peering works even so.
        let _ = socket.set_nodelay(true);
        Stream {
            socket,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
        }
    }

    /// Bytes that the kernel has not taken yet.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Where frames are appended for the next [`Stream::flush`].
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Reads once. `Ok(0)`: there is nothing more now.
    pub(super) fn fill(&mut self) -> Result<usize, Ended> {
        let start = self.input.len();
        self.input.resize(start + PEER_READ_BYTES, 0);
        let count = loop {
            match self.socket.read(&mut self.input[start..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(0),
                Ok(count) if count > 0 => break Ok(count),
                Ok(_) | Err(_) => break Err(Ended::Lost),
            }
        };
        self.input
            .truncate(start + count.as_ref().copied().unwrap_or(0));
        count
    }

    /// Calls `take` with each whole frame that was read; it answers what is to follow in the output, or that the connection ends.
    pub(super) fn frames(
        &mut self,
        mut take: impl FnMut(RawFrame<'_>, &mut Vec<u8>) -> Result<Option<u32>, Ended>,
        mut len_max: u32,
    ) -> Result<(), Ended> {
        let mut at = 0;
        let ended = loop {
            match next_frame(&self.input[at..], len_max) {
                Ok(Some(frame)) => {
                    at += frame.whole.len();
                    match take(frame, &mut self.output) {
                        Ok(Some(larger)) => len_max = larger,
                        Ok(None) => {}
                        Err(ended) => break Err(ended),
                    }
                }
                Ok(None) => break Ok(()),
                Err(BrokenStream::TooLarge { .. } | BrokenStream::Reserved { .. }) => {
                    break Err(Ended::Broken);
                }
            }
        };
        self.input.drain(..at);
        if self.input.is_empty() {
            // An idle peering owns no buffer that a burst once needed.
            self.input.shrink_to(PEER_READ_BYTES);
        }
        ended
    }

    /// Sends what the kernel takes.
    pub(super) fn flush(&mut self) -> Result<(), Ended> {
        while self.sent < self.output.len() {
            match self.socket.write(&self.output[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Ended::Lost),
            }
        }
        self.output.clear();
        self.output.shrink_to(PEER_READ_BYTES);
        self.sent = 0;
        Ok(())
    }
}
