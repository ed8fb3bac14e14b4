//! What can be done to a connection.

use std::time::Duration;

/// How one direction of a connection passes bytes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// As they come.
    Clear,
    /// Each piece late by something between both; order is kept.
    Delay {
        /// At least.
        least: Duration,
        /// At most.
        most: Duration,
    },
    /// No more than this many bytes a second.
    Throttle {
        /// From 1.
        bytes_a_second: u32,
    },
    /// One byte at a time, each in a segment of its own, with a pause behind it.
    Dribble {
        /// Between two bytes.
        pause: Duration,
    },
    /// Takes bytes and passes none on, and says nothing: the other end is gone and nobody tells (half-open).
    Swallow,
    /// Takes no bytes: the sender's window closes.
    Hold,
}

/// Which direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// From clients to the server.
    Up,
    /// From the server to clients.
    Down,
    /// Both.
    Both,
}

/// Which connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// All; a manner also holds for those to come.
    All,
    /// Each open one with this chance.
    Percent(u8),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// RST to both sides; what is on its way is lost.
    Reset,
    /// FIN to both sides.
    Finish,
    /// RST to both sides once the next frame of this direction has passed in part.
    InFrame(Way),
}
