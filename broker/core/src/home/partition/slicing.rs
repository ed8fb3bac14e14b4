//! Slicing: records of one room by seq, from memory if they are hot, else named for a reader thread.

use alloc::vec::Vec;
use core::ops::Range;

use antiphon_log::Located;
use antiphon_protocol::{GapReason, Link, RoomId, Seq};
use bytes::Bytes;

use crate::home::limits::{LOCATED_MAX, RECORD_BYTES_MIN};
use crate::home::partition::Partition;
use crate::home::reads::Sought;
use crate::home::records::{Cut, concealed, cut, link_at, shared};
use crate::home::state::head_at_start;

/// Where the records sought are.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// In memory: here they are.
    Hot(HotSlice),
    /// In the log only: ask a reader thread.
    Cold(Sought),
    /// The first record sought cannot be read; this is the next one that can, if any.
    Missing(Option<Seq>),
}

/// Records out of the hot tail.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct HotSlice {
    /// Seq behind the last one.
    pub(super) next: Seq,
    /// Link of the record before the first.
    pub(super) link_before: Link,
    /// Whole RECORD frames; a slice of one entry, or a copy: out of several, or of a small part of one.
    pub(super) records: Bytes,
}

impl Partition {
    /// Finds the applied records `from..until` of `room`: as many as fit into `bytes_max`, one at least.
    pub(super) fn find_records(
        &self,
        room: RoomId,
        from: Seq,
        until: Seq,
        bytes_max: u32,
    ) -> Found {
        assert!(
            from < until && from >= Seq(1),
            "INV-HOME-31: only records that exist are sought"
        );
        let mut located = self
            .index
            .locate(room, from)
            .take_while(|located| located.first < until);
        let Some(first) = located.next() else {
            return Found::Missing(
                self.index
                    .locate(room, from)
                    .next()
                    .map(|located| located.first),
            );
        };
        if first.first > from {
            return Found::Missing(Some(first.first));
        }
        let blocks = core::iter::once(first).chain(located);
        if self
            .hot()
            .is_some_and(|hot| hot.find_at(first.at).is_some())
        {
            return self
                .hot_slice(room, from, until, bytes_max, blocks)
                .map_or(Found::Missing(None), Found::Hot);
        }
        let mut cold: Vec<Located> = Vec::new();
        for block in blocks.take(LOCATED_MAX) {
            if cold.last().is_some_and(|last| last.next != block.first) {
                break;
            }
            cold.push(block);
        }
        let erased = self.erased_among(room, from, until, bytes_max);
        Found::Cold(Sought {
            room,
            from,
            until,
            bytes_max,
            located: cold,
            erased,
        })
    }

    fn hot_slice(
        &self,
        room: RoomId,
        from: Seq,
        until: Seq,
        bytes_max: u32,
        blocks: impl Iterator<Item = Located>,
    ) -> Option<HotSlice> {
        let hot = self.hot()?;
        let mut pieces: Vec<(&Bytes, Range<usize>)> = Vec::new();
        let mut left = bytes_max as usize;
        let mut next = from;
        let mut link_before = None;
        for block in blocks {
            if block.first > next || next >= until {
                break;
            }
            let entry = hot.find_at(block.at)?;
            let part = entry.part(room)?;
            let start = part.records.start as usize;
            let records = &entry.entry.payload[start..part.records.end as usize];
            let piece: Cut = cut(records, part.first, next, until, left);
            if !pieces.is_empty() && piece.bytes.len() > left {
                break;
            }
            link_before = link_before.or(Some(piece.link_before.unwrap_or(part.link_before)));
            left = left.saturating_sub(piece.bytes.len());
            next = piece.next;
            let bytes = start + piece.bytes.start..start + piece.bytes.end;
            pieces.push((&entry.entry.payload, bytes));
            if left == 0 || next < block.next {
                break;
            }
        }
        Some(HotSlice {
            next,
            link_before: link_before?,
            records: self.conceal(room, from, next, joined(&pieces)),
        })
    }

    /// Which of the records from `from` on, as many as can be in `bytes_max`, were redacted.
    fn erased_among(&self, room: RoomId, from: Seq, until: Seq, bytes_max: u32) -> Vec<Seq> {
        let count_max = bytes_max as usize / RECORD_BYTES_MIN + 1;
        let end = Seq(from.0.saturating_add(count_max as u64)).min(until);
        self.state.erased().among(room, from..end, count_max)
    }

    /// The records `from..next` as readers get them.
    fn conceal(&self, room: RoomId, from: Seq, next: Seq, records: Bytes) -> Bytes {
        let erased = self.state.erased().among(room, from..next, usize::MAX);
        concealed(records, &erased).expect("INV-HOME-57: the hot tail has whole records")
    }

    /// The whole part of `room` that holds the record `seq`, if it is hot, and the seq of its first record.
    pub(super) fn hot_part(&self, room: RoomId, seq: Seq) -> Option<(Bytes, Seq)> {
        let located = self.index.locate(room, seq).next()?;
        let entry = self.hot()?.find_at(located.at)?;
        let part = entry.part(room)?;
        Some((
            entry
                .entry
                .payload
                .slice(part.records.start as usize..part.records.end as usize),
            part.first,
        ))
    }

    /// The link of the record `seq` of `room`, if memory has it. Seq 0 has the room's first link.
    pub(super) fn hot_link(&self, room: RoomId, seq: Seq) -> Option<Link> {
        if seq == Seq(0) {
            return Some(head_at_start(room).link);
        }
        let head = self.state.room(room)?.head;
        if seq == head.seq {
            return Some(head.link);
        }
        let (bytes, first) = self.hot_part(room, seq)?;
        if first > seq {
            return None;
        }
        let cut = cut(&bytes, first, seq, seq.next(), 1);
        link_at(&bytes[cut.bytes])
    }

    /// Seq of the oldest record that can be read, or, if all were let go, of the next one to come; 0: there is none.
    pub(super) fn first_kept(&self, room: RoomId) -> Seq {
        let head = || self.state.room(room).map(|room| room.head.seq);
        match self.index.first_seq(room) {
            Some(first) => first,
            None if self.is_trimmed => head().filter(|seq| *seq > Seq(0)).map_or(Seq(0), Seq::next),
            None => Seq(0),
        }
    }

    /// Why the record `seq`, which cannot be read, is missing.
    pub(crate) fn missing_reason(&self, room: RoomId, seq: Seq) -> GapReason {
        match self.is_trimmed && seq < self.first_kept(room) {
            true => GapReason::RETENTION,
            false => GapReason::DAMAGED,
        }
    }
}

/// The pieces of entries as one.
fn joined(pieces: &[(&Bytes, Range<usize>)]) -> Bytes {
    if let [(payload, piece)] = pieces {
        return shared(payload, piece.clone());
    }
    let mut all = Vec::with_capacity(pieces.iter().map(|(_, piece)| piece.len()).sum());
    for (payload, piece) in pieces {
        all.extend_from_slice(&payload[piece.clone()]);
    }
    Bytes::from(all)
}
