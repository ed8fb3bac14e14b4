//! Reading: from a position in a segment to whole records of one room.
//!
//! A reader thread asks the room index where a batch is, checks the block there against its checksum and copies whole
//! record frames out of it. The records are not checked one by one: the block's checksum covers them, and their
//! readers check the links.

use alloc::vec::Vec;

use antiphon_protocol::{Link, Record, RoomId, Seq, needed};
use bytes::Bytes;

use crate::block::{Block, BlockError, BlockKind, BlockSeed, decode_block};
use crate::entry::{Entry, EntryKind};
use crate::ids::{GroupId, Index, LogPosition};
use crate::item::{Item, ItemError, Items, RecordsItem};

/// Why records cannot be read where the index says they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The block is not wholly below the synced end (a bug of the caller, or an index that lies).
    #[error("the block at {at} is not below the synced end")]
    NotSynced {
        /// The block's position.
        at: LogPosition,
    },
    /// There is no whole block: damage.
    #[error("the block at {at} cannot be read: {source}")]
    Block {
        /// The block's position.
        at: LogPosition,
        /// What is wrong with it.
        source: BlockError,
    },
    /// The block is whole but no batch of items (an index that lies).
    #[error("the block at {at} holds no batch")]
    NotABatch {
        /// The block's position.
        at: LogPosition,
    },
    /// The block's payload is whole but no list of items.
    #[error("the block at {at} is malformed: {source}")]
    Item {
        /// The block's position.
        at: LogPosition,
        /// What is wrong with it.
        source: ItemError,
    },
    /// Records of an item are not those that its head announces.
    #[error("the block at {at} holds records of {room} that are not consecutive")]
    Records {
        /// The block's position.
        at: LogPosition,
        /// Whose records.
        room: RoomId,
    },
    /// The block holds no record of the room from that seq on (an index that lies).
    #[error("the block at {at} holds no record of {room} from {from} on")]
    NotThere {
        /// The block's position.
        at: LogPosition,
        /// The room asked for.
        room: RoomId,
        /// The seq asked for.
        from: Seq,
    },
    /// The block is whole but another one than was asked for (places that lie).
    #[error("the block at {at} is not entry {index} of group {group}")]
    OtherEntry {
        /// The block's position.
        at: LogPosition,
        /// The group asked for.
        group: GroupId,
        /// The entry asked for.
        index: Index,
    },
}

/// Reads and checks the block at `at`, a batch of items, from `segment`: the file's bytes from its start, up to the
/// synced end or further.
///
/// # Errors
/// `NotSynced`, `Block` (damage) or `NotABatch`.
pub fn read_block(
    segment: &[u8],
    at: LogPosition,
    below: LogPosition,
    seed: BlockSeed,
) -> Result<Block<'_>, ReadError> {
    if at >= below {
        return Err(ReadError::NotSynced { at });
    }
    let block =
        decode_block(segment, at, seed).map_err(|source| ReadError::Block { at, source })?;
    if block.end > below {
        return Err(ReadError::NotSynced { at });
    }
    if block.head.kind != BlockKind::Append(EntryKind::Normal) {
        return Err(ReadError::NotABatch { at });
    }
    Ok(block)
}

/// Consecutive records of one room, as they were copied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RoomSlice {
    /// Seq of the first record copied.
    pub first: Seq,
    /// Seq after the last record copied.
    pub next: Seq,
    /// Link of the record before `first`.
    pub link_before: Link,
}

/// Copies whole records of `room` from seq `from` on, out of one block, as many as fit into `bytes_max`.
///
/// The first one is copied even if it alone is larger: a slice makes progress.
///
/// # Errors
/// `NotThere`, or `Item` or `Records` for a payload that its checksum says is as it was written (a bug of ours).
pub fn read_room(
    block: &Block<'_>,
    room: RoomId,
    from: Seq,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<RoomSlice, ReadError> {
    let mut reader = RoomReader::new(room, from, u32::MAX, bytes_max, out);
    reader.take(block)?;
    reader.finish().ok_or(ReadError::NotThere {
        at: block.at,
        room,
        from,
    })
}

/// Collects consecutive records of one room over several blocks, within a budget.
///
/// The first record is taken even if it alone is over the budget. The slice ends early rather than have a hole.
#[derive(Debug)]
pub struct RoomReader<'o> {
    out: &'o mut Vec<u8>,
    room: RoomId,
    /// The lowest seq wanted next.
    next: Seq,
    records_left: u32,
    bytes_left: usize,
    slice: Option<RoomSlice>,
}

/// Whether a [`RoomReader`] wants the next block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wants {
    /// There is room for more.
    More,
    /// The budget is used up, or a hole was met.
    Nothing,
}

impl<'o> RoomReader<'o> {
    /// Will append records of `room` from seq `from` on to `out`, at most `records_max` and `bytes_max`.
    #[must_use]
    pub fn new(
        room: RoomId,
        from: Seq,
        records_max: u32,
        bytes_max: usize,
        out: &'o mut Vec<u8>,
    ) -> Self {
        RoomReader {
            out,
            room,
            next: from,
            records_left: records_max,
            bytes_left: bytes_max,
            slice: None,
        }
    }

    /// Takes what fits out of `block`. Blocks come in the order of the room index.
    ///
    /// # Errors
    /// `Item` or `Records`. What was taken before stays.
    pub fn take(&mut self, block: &Block<'_>) -> Result<Wants, ReadError> {
        let at = block.at;
        for item in Items::new(block.payload) {
            match item.map_err(|source| ReadError::Item { at, source })? {
                Item::Records(item) if item.room == self.room => {
                    let wants = self.take_item(&item);
                    if wants.ok_or(ReadError::Records {
                        at,
                        room: self.room,
                    })? == Wants::Nothing
                    {
                        return Ok(Wants::Nothing);
                    }
                }
                _ => {}
            }
        }
        Ok(Wants::More)
    }

    /// What was copied; `None` if there was nothing.
    #[must_use]
    pub fn finish(self) -> Option<RoomSlice> {
        self.slice
    }

    /// Takes what fits out of one item; `None` if its records are not as its head says.
    fn take_item(&mut self, item: &RecordsItem<'_>) -> Option<Wants> {
        if self.slice.is_some() && item.first > self.next {
            return Some(Wants::Nothing);
        }
        let mut link = item.link_before;
        let mut seq = item.first;
        let mut rest = item.records;
        while !rest.is_empty() {
            let (whole, after) = rest.split_at_checked(needed(rest))?;
            let record = Record::parse_unchecked_crc(whole).ok()?;
            if record.room_id() != self.room || record.seq() != seq {
                return None;
            }
            if seq >= self.next && !self.copy(seq, link, whole) {
                return Some(Wants::Nothing);
            }
            link = record.link();
            seq = seq.next();
            rest = after;
        }
        Some(Wants::More)
    }

    /// Copies one record unless the budget is used up.
    fn copy(&mut self, seq: Seq, link_before: Link, whole: &[u8]) -> bool {
        let fits = self.records_left != 0 && whole.len() <= self.bytes_left;
        if !fits && self.slice.is_some() {
            return false;
        }
        let slice = self.slice.get_or_insert(RoomSlice {
            first: seq,
            next: seq,
            link_before,
        });
        debug_assert!(slice.next == seq, "INV-READ-1: a slice has no hole");
        self.out.extend_from_slice(whole);
        slice.next = seq.next();
        self.next = slice.next;
        self.records_left = self.records_left.saturating_sub(1);
        self.bytes_left = self.bytes_left.saturating_sub(whole.len());
        true
    }
}

/// Collects consecutive entries of one group, within a budget: what a follower that lags is sent.
///
/// The first entry is taken even if it alone is over the budget.
#[derive(Debug)]
pub struct EntryReader {
    group: GroupId,
    next: Index,
    bytes_left: usize,
    entries: Vec<Entry>,
}

impl EntryReader {
    /// Will collect entries of `group` from `first` on, at most `bytes_max` of payload.
    #[must_use]
    pub const fn new(group: GroupId, first: Index, bytes_max: usize) -> Self {
        EntryReader {
            group,
            next: first,
            bytes_left: bytes_max,
            entries: Vec::new(),
        }
    }

    /// Takes the entry in `block`, if it fits.
    ///
    /// # Errors
    /// `OtherEntry`. What was taken before stays.
    pub fn take(&mut self, block: &Block<'_>) -> Result<Wants, ReadError> {
        let head = &block.head;
        let (group, index) = (self.group, self.next);
        let BlockKind::Append(kind) = head.kind else {
            return Err(ReadError::NotABatch { at: block.at });
        };
        if head.group != group || head.index != index {
            let at = block.at;
            return Err(ReadError::OtherEntry { at, group, index });
        }
        let bytes = block.payload.len();
        if bytes > self.bytes_left && !self.entries.is_empty() {
            return Ok(Wants::Nothing);
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.next = index.next();
        self.entries.push(Entry {
            index,
            term: head.term,
            kind,
            payload: Bytes::copy_from_slice(block.payload),
        });
        Ok(Wants::More)
    }

    /// What was collected.
    #[must_use]
    pub fn finish(self) -> Vec<Entry> {
        self.entries
    }
}

#[cfg(test)]
mod tests;
