//! Reads of home itself that reader threads answer.

use alloc::boxed::Box;

use antiphon_protocol::{Producer, RoomId, Seq, UserName};

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
    /// Retries of a producer wait for its window.
    Window(WindowKey),
}

/// Who met a gap.
#[derive(Clone, Debug)]
pub(crate) enum GapReader {
    /// A subscriber.
    Tail(Tail),
    /// A reader of history, and the seq behind its answer's last record.
    Fetch(Box<Fetch>, Seq),
}

/// Whose window.
pub(crate) type WindowKey = (RoomId, Producer, UserName);
