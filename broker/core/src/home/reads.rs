//! Reads of home itself that reader threads answer.

use alloc::boxed::Box;
use alloc::vec::Vec;

use antiphon_log::Located;
use antiphon_protocol::{Producer, RoomId, Seq, Timestamp, UserName};

use crate::core::CoreId;
use crate::lane::{Fetch, Subscribe, Tail};

/// A read under way: which partition asked, and why.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// The partition's number.
    pub(crate) partition: u16,
    /// Why.
    pub(crate) purpose: Purpose,
}

/// Why home reads.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// A subscription needs the link of the record before `next`.
    Position {
        /// Where the subscriber is.
        edge: CoreId,
        /// As asked.
        subscribe: Box<Subscribe>,
        /// First record it will get.
        next: Seq,
    },
    /// Records are missing, and a gap needs the link at its end: the read starts right behind it.
    Gap {
        /// Where the reader is.
        edge: CoreId,
        /// First one missing.
        from: Seq,
        /// What was asked.
        reader: GapReader,
    },
    /// A position by time is sought, and this record tells on which side of it that lies.
    Time {
        /// Where the reader is.
        edge: CoreId,
        /// As far as it has come.
        search: TimeSearch,
    },
    /// Retries of a producer wait for its window.
    Window,
    /// Publishes wait to know who published the record that they refer to.
    Target,
}

/// Who met a gap.
#[derive(Clone, Debug)]
pub(crate) enum GapReader {
    /// A subscriber.
    Tail(Tail),
    /// A reader of history, and the seq behind its answer's last record.
    Fetch(Box<Fetch>, Seq),
}

/// The first record of a room at or above a time, sought by halving.
#[derive(Clone, Debug)]
pub(crate) struct TimeSearch {
    /// The room.
    pub(crate) room: RoomId,
    /// At or above this time.
    pub(crate) time: Timestamp,
    /// All records below are older.
    pub(crate) low: Seq,
    /// No record from here on is older. >= low
    pub(crate) high: Seq,
    /// Who wants it.
    pub(crate) reader: TimeReader,
}

/// Who seeks a position by time.
#[derive(Clone, Debug)]
pub(crate) enum TimeReader {
    /// A subscriber, that starts there.
    Subscribe(Box<Subscribe>),
    /// A reader of history, that reads from there on.
    Fetch(Box<Fetch>),
}

/// Whose window.
pub(crate) type WindowKey = (RoomId, Producer, UserName);

/// Records that a reader thread is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Sought {
    /// The room.
    pub(crate) room: RoomId,
    /// First seq wanted.
    pub(crate) from: Seq,
    /// Seq behind the last one wanted.
    pub(crate) until: Seq,
    /// Most bytes wanted; one record may exceed it.
    pub(crate) bytes_max: u32,
    /// The blocks that hold them.
    pub(crate) located: Vec<Located>,
    /// Those of them that were redacted, ascending.
    pub(crate) erased: Vec<Seq>,
}
