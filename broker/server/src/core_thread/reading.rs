//! Reading sockets: budgets, pauses, and who may hold input.

use std::io::{self, Read};

use antiphon_core::{ConnId, Core, Flow, Now};
use antiphon_protocol::{BrokenStream, RawFrame};

use crate::connections::{Reading, Stage};
use crate::core_thread::CoreThread;
use crate::input::{FrameSink, Next, Parsed};
use crate::limits::{INPUT_SCARCE_READ_BYTES, READ_TURN_BYTES_MAX, READ_TURN_FRAMES_MAX};

/// How a connection's turn of reading ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// The socket is empty.
    Empty,
    /// The budget is used up.
    Again,
    /// The core has told to pause, or the stream is broken: in both cases the core says how it goes on.
    Paused,
    /// Too much input is held by all together.
    Starved,
    /// The peer has closed, or the connection is lost.
    Ended,
}

/// The core's state as the taker of one connection's frames.
struct Session<'a> {
    core: &'a mut Core,
    id: ConnId,
    now: Now,
}

impl FrameSink for Session<'_> {
    fn len_max(&mut self) -> u32 {
        self.core.len_max(self.id)
    }

    fn frame(&mut self, frame: RawFrame<'_>) -> Next {
        match self.core.frame(self.id, frame, self.now) {
            Flow::Continue => Next::Go,
            Flow::Pause => Next::Pause,
        }
    }

    fn broken(&mut self, why: BrokenStream) {
        self.core.broken(self.id, why, self.now);
    }
}

impl CoreThread {
    /// Reads every socket that was queued before this call, once.
    pub(super) fn read_sockets(&mut self, now: Now) {
        self.feed_starved();
        for _ in 0..self.queues.read.len() {
            let Some(id) = self.queues.read.pop_front() else {
                break;
            };
            self.read_socket(id, now);
        }
    }

    /// Lets starved connections go on: all of them once there is room, one of them if there is none, so that somebody always
    /// gets to the end of a frame and gives its memory back. One that takes too long is closed by its frame's deadline.
    fn feed_starved(&mut self) {
        if !self.can_feed_starved() {
            return;
        }
        if self.buffers.held_bytes < self.buffers.held_bytes_max {
            self.queues.favoured = None;
            self.queues.read.extend(self.queues.starved.drain(..));
        } else {
            self.queues.favoured = self.queues.starved.pop_front();
            self.queues.read.extend(self.queues.favoured);
        }
    }

    /// Whether somebody starves and could go on.
    pub(super) fn can_feed_starved(&mut self) -> bool {
        if self.queues.starved.is_empty() {
            return false;
        }
        let favoured = self
            .queues
            .favoured
            .and_then(|id| self.connections.by_id(id));
        let has_favoured = favoured.is_some_and(|connection| connection.input.hoards());
        self.buffers.held_bytes < self.buffers.held_bytes_max || !has_favoured
    }

    /// Goes on with a connection that was paused: what was read already first, then the socket, whether an event came or not.
    pub(super) fn resume(&mut self, id: ConnId) {
        let Some(connection) = self.connections.by_id(id) else {
            return;
        };
        if connection.reading == Reading::Paused {
            connection.reading = Reading::Queued;
            self.queues.read.push_back(id);
        }
    }

    fn read_socket(&mut self, id: ConnId, now: Now) {
        let Some(connection) = self.connections.by_id(id) else {
            return;
        };
        debug_assert_eq!(
            connection.reading,
            Reading::Queued,
            "INV-SRV-7: who is read was queued"
        );
        let held_before = connection.input.capacity();
        let outcome = match connection.stage {
            Stage::Open => self.read_frames(id, now),
            Stage::Closing => Outcome::Paused,
            Stage::Lingering { .. } => self.discard(id),
        };
        let Some(connection) = self.connections.by_id(id) else {
            return;
        };
        self.buffers.held_bytes =
            self.buffers.held_bytes + connection.input.capacity() - held_before;
        match outcome {
            Outcome::Empty => connection.reading = Reading::Waiting,
            Outcome::Again => self.queues.read.push_back(id),
            Outcome::Paused => connection.reading = Reading::Paused,
            Outcome::Starved => self.queues.starved.push_back(id),
            Outcome::Ended => self.remove(id),
        }
    }

    /// Takes frames: those held, then those of the socket, until it is empty, the budget is spent, or the core says pause.
    fn read_frames(&mut self, id: ConnId, now: Now) -> Outcome {
        let Some(connection) = self.connections.by_id(id) else {
            return Outcome::Ended;
        };
        let mut sink = Session {
            core: &mut self.core,
            id,
            now,
        };
        let mut frames_left = READ_TURN_FRAMES_MAX;
        if connection.input.is_partial()
            && let Some(outcome) = stopped(connection.input.parse_held(&mut frames_left, &mut sink))
        {
            return outcome;
        }
        let is_scarce = self.buffers.held_bytes >= self.buffers.held_bytes_max
            && self.queues.favoured != Some(id);
        if is_scarce && connection.input.hoards() {
            return Outcome::Starved;
        }
        let buffer_bytes = if is_scarce {
            INPUT_SCARCE_READ_BYTES
        } else {
            self.buffers.read.len()
        };
        let buffer = &mut self.buffers.read[..buffer_bytes];
        let mut bytes_left = READ_TURN_BYTES_MAX;
        loop {
            let count = match connection.socket.read(buffer) {
                Ok(0) => return Outcome::Ended,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Empty,
                Err(_) => return Outcome::Ended,
            };
            let parsed = connection
                .input
                .feed(&buffer[..count], &mut frames_left, &mut sink);
            sink.core
                .received(id, count, connection.input.is_partial(), now);
            if let Some(outcome) = stopped(parsed) {
                return outcome;
            }
            // A short read has emptied the socket: the next bytes make an event. But a peer that has closed made its only
            // event already, which stood for its last bytes and for the end behind them.
            if count < buffer.len() && !connection.is_read_closed {
                return Outcome::Empty;
            }
            bytes_left = bytes_left.saturating_sub(count);
            if bytes_left == 0 || is_scarce {
                return Outcome::Again;
            }
        }
    }

    /// Throws away what a connection that is being closed still sends.
    fn discard(&mut self, id: ConnId) -> Outcome {
        let Some(connection) = self.connections.by_id(id) else {
            return Outcome::Ended;
        };
        let Stage::Lingering { bytes_left } = &mut connection.stage else {
            return Outcome::Paused;
        };
        match connection.socket.read(&mut self.buffers.read) {
            Ok(0) => Outcome::Ended,
            Ok(count) => {
                *bytes_left = bytes_left.saturating_sub(count);
                if *bytes_left == 0 {
                    Outcome::Ended
                } else {
                    Outcome::Again
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Outcome::Again,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Outcome::Empty,
            Err(_) => Outcome::Ended,
        }
    }
}

/// What ends the turn of a connection after parsing; `None`: nothing.
fn stopped(parsed: Parsed) -> Option<Outcome> {
    match parsed {
        Parsed::All => None,
        Parsed::Budget => Some(Outcome::Again),
        Parsed::Paused | Parsed::Broken => Some(Outcome::Paused),
    }
}
