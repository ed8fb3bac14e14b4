//! Items: what the payload of one entry says, in order.
//!
//! An entry is one batch of one partition. Its payload is a list of items back to back, each padded to 8 bytes:
//!
//! ```text
//!  0        4    5            8
//!  +--------+----+------------+--------------------+--------+
//!  | len    |kind| reserved   | len bytes: fields  | zeros  |
//!  | u32    | u8 | 3 bytes = 0|                    | to 8   |
//!  +--------+----+------------+--------------------+--------+
//! ```
//!
//! Names of rooms and the link before a run of records stand in the log itself, so a room can be read and checked
//! without any file but its segments. An unknown kind is an error, never skipped: a replica that does not understand
//! an entry would apply something else than its peers. docs/log-format.md has the tables.

mod cursors;
mod erase;
mod reader;
mod writer;

pub use cursors::{CursorMove, CursorMoves, CursorsItem};
pub use erase::EraseItem;
pub use reader::{Expired, Items};
pub use writer::{ItemWriter, RecordsWritten};

use antiphon_protocol::{Count, Link, Namespace, RoomId, Seq};

/// Length of the head of every item, in bytes.
pub(crate) const ITEM_HEAD_BYTES: usize = 8;
/// Fixed fields of a RECORDS item, in bytes; the records follow.
pub(crate) const RECORDS_FIXED_BYTES: usize = 40;
/// Fixed fields of a ROOM item, in bytes; the name follows.
pub(crate) const ROOM_FIXED_BYTES: usize = 13;
/// Fixed fields of an EXPIRE item, in bytes; the list follows.
pub(crate) const EXPIRE_FIXED_BYTES: usize = 16;

/// Fixed fields of a CURSORS item, in bytes; the list follows.
pub(crate) const CURSORS_FIXED_BYTES: usize = 8;
/// Fixed fields of an ERASE item, in bytes; the list follows.
pub(crate) const ERASE_FIXED_BYTES: usize = 8;

/// Items and the records inside them start at multiples of this, counted from the start of the payload.
pub(crate) const ITEM_ALIGN: usize = 8;
const _: () = assert!(
    ITEM_HEAD_BYTES.is_multiple_of(ITEM_ALIGN) && RECORDS_FIXED_BYTES.is_multiple_of(ITEM_ALIGN),
    "records stay aligned"
);

/// Numbers of the item kinds. A number never changes meaning.
pub mod item_kind {
    /// A room was created.
    pub const ROOM: u8 = 1;
    /// Records were appended to a room.
    pub const RECORDS: u8 = 2;
    /// Producers of a room were forgotten.
    pub const EXPIRE: u8 = 3;
    /// Numbered, not written yet.
    pub const TRIM: u8 = 4;
    /// Cursors of readers moved.
    pub const CURSORS: u8 = 5;
    /// Records were redacted.
    pub const ERASE: u8 = 6;
}

/// One statement of an entry, borrowed from its payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Item<'a> {
    /// A room exists from here on.
    Room(RoomItem<'a>),
    /// Records of one room follow its head.
    Records(RecordsItem<'a>),
    /// Producers of one room have been idle for too long and are forgotten.
    Expire(ExpireItem<'a>),
    /// Cursors of readers stand elsewhere from here on.
    Cursors(CursorsItem<'a>),
    /// Records have no headers and no body for readers from here on.
    Erase(EraseItem<'a>),
}

/// ROOM: `room id u64 | namespace u32 | name_len u8 | name`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RoomItem<'a> {
    /// The new room's id.
    pub room: RoomId,
    /// The tenant it belongs to.
    pub namespace: Namespace,
    /// Its name, 1..=255 bytes; whether they are a lawful name is the reader's to check.
    pub name: &'a [u8],
}

/// RECORDS: `room id u64 | first_seq u64 | count_before u64 | link_before u64 | records_len u32 | reserved u32 | records`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordsItem<'a> {
    /// The room they belong to.
    pub room: RoomId,
    /// Seq of the first record, >= 1.
    pub first: Seq,
    /// Count of the record before the first.
    pub count_before: Count,
    /// Link of the record before the first.
    pub link_before: Link,
    /// Whole RECORD frames, consecutive, never empty; a multiple of 8 bytes.
    pub records: &'a [u8],
    /// Where `records` starts, in bytes from the start of the payload.
    pub offset: usize,
}

/// EXPIRE: `room id u64 | entries u32 | reserved u32`, then per entry `producer u64 | sender_len u8 | sender`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExpireItem<'a> {
    /// The room whose producers leave.
    pub room: RoomId,
    list: &'a [u8],
}

/// Why a payload is not a list of items. The offset is that of the item's head.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// The payload ends inside an item.
    #[error("item at {at} is cut short")]
    Cut {
        /// Bytes from the start of the payload.
        at: usize,
    },
    /// A kind that this version does not know: it must not be skipped.
    #[error("item at {at} has unknown kind {kind}")]
    UnknownKind {
        /// Bytes from the start of the payload.
        at: usize,
        /// The number found.
        kind: u8,
    },
    /// The fields contradict each other or the item's length.
    #[error("item at {at} of kind {kind} contradicts itself")]
    Malformed {
        /// Bytes from the start of the payload.
        at: usize,
        /// The item's kind.
        kind: u8,
    },
}

#[cfg(test)]
pub(crate) mod tests;
