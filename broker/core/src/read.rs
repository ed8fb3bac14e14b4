//! Work for threads that may wait for the disk, as data.
//!
//! A core never touches mapped pages: whatever is no longer in the hot tail is read by a reader thread, which copies it from the map and answers.

use alloc::vec::Vec;

use antiphon_log::{Entry, GroupId, Index, Located, LogPosition, Term};
use antiphon_protocol::{Link, RoomId, Seq};
use bytes::Bytes;

use crate::core::{ConnId, CoreId};
use crate::home::records::concealed;
use crate::lane::Ticket;

/// A read of one room's records from the log.
#[derive(Clone, Debug)]
pub struct ReadJob {
    /// The core that gets the answer by `Core::read_done`.
    pub reply_to: CoreId,
    /// What the records are for; echoed.
    pub purpose: ReadPurpose,
    /// The room.
    pub room: RoomId,
    /// First seq wanted.
    pub from: Seq,
    /// Seq behind the last one wanted; nothing from here on may be returned.
    pub until: Seq,
    /// Most bytes wanted; one record may exceed it.
    pub bytes_max: u32,
    /// The blocks that hold the records, ascending, the first one holds `from`.
    pub located: Vec<Located>,
    /// Those of the records that were redacted, ascending: [`answer`](ReadJob::answer) hides what was in them.
    pub erased: Vec<Seq>,
    /// Nothing at or above may be read.
    pub below: LogPosition,
}

impl ReadJob {
    /// The answer with what was read: the only way to one, so that no redacted body gets past.
    #[must_use]
    pub fn answer(&self, result: Result<ReadRecords, ReadFailure>) -> ReadAnswer {
        let hidden = result.and_then(|read| {
            let records =
                concealed(read.records, &self.erased).map_err(|_| ReadFailure::Damaged)?;
            Ok(ReadRecords { records, ..read })
        });
        ReadAnswer {
            purpose: self.purpose,
            room: self.room,
            from: self.from,
            result: hidden,
        }
    }
}

/// What the records of a [`ReadJob`] are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadPurpose {
    /// For a subscriber that is behind: the answer goes to its edge.
    Slice(SliceRoute),
    /// For a reader of history: the answer goes to its edge.
    Page(PageRoute),
    /// For home itself: a duplicate or a position looked up.
    Home(HomeRead),
}

/// Whose slice it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SliceRoute {
    /// The subscriber's connection.
    pub conn: ConnId,
    /// Of the subscription.
    pub ticket: Ticket,
}

/// Whose page it is, and what home knew when it made the job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageRoute {
    /// The reader's connection.
    pub conn: ConnId,
    /// Of the request.
    pub ticket: Ticket,
    /// See `lane::Page::until`.
    pub until: Seq,
    /// The newest applied record.
    pub head: Seq,
    /// Oldest record kept.
    pub first_kept: Seq,
}

/// Home's own number of a read.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HomeRead(pub u64);

/// What a reader thread found; made by [`ReadJob::answer`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadAnswer {
    /// As asked.
    pub purpose: ReadPurpose,
    /// As asked.
    pub room: RoomId,
    /// As asked.
    pub from: Seq,
    /// The records, or why not.
    pub result: Result<ReadRecords, ReadFailure>,
}

/// Whole RECORD frames of one room, ascending and contiguous.
#[derive(Clone, Debug)]
pub struct ReadRecords {
    /// Seq of the first; the seq asked for.
    pub first: Seq,
    /// Seq behind the last; `first < next`.
    pub next: Seq,
    /// Link of `first - 1`.
    pub link_before: Link,
    /// The frames.
    pub records: Bytes,
}

/// Why records could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadFailure {
    /// The bytes are there but wrong, or cannot be read from the disk.
    Damaged,
    /// The segment is gone.
    Gone,
    /// The reader has too much to do; ask again.
    Busy,
}

/// A read of consecutive entries of one group, for a replica on another node that lags.
#[derive(Clone, Debug)]
pub struct EntryJob {
    /// The core that gets the answer by `Core::entries_read`.
    pub reply_to: CoreId,
    /// Whose entries.
    pub group: GroupId,
    /// Index of the first one.
    pub first: Index,
    /// Where they stand. Not empty.
    pub places: Vec<LogPosition>,
    /// Most bytes of payload wanted; one entry may exceed it.
    pub bytes_max: u32,
    /// Nothing at or above may be read.
    pub below: LogPosition,
}

/// What a reader thread found.
#[derive(Clone, Debug)]
pub struct EntryAnswer {
    /// As asked.
    pub group: GroupId,
    /// At least one entry, from the first one asked for on; or why not.
    pub result: Result<Vec<Entry>, ReadFailure>,
}

/// A checkpoint to be written aside and then named in the log; see [`CheckpointQueue`](crate::CheckpointQueue).
#[derive(Clone, Debug)]
pub struct CheckpointJob {
    /// Whose.
    pub group: GroupId,
    /// All entries up to here are in it.
    pub index: Index,
    /// Term of that entry.
    pub term: Term,
    /// The body, encoded by home.
    pub bytes: Bytes,
}
