//! Which records stood in a block that cannot be read: what is left of it is asked.
//!
//! Nothing there is covered by a checksum that holds, so a run of records is told only if two places agree: the item says which room and seq begins, and
//! a record in it says the same of itself. A flipped bit hits one of the two.

use alloc::vec::Vec;

use antiphon_protocol::{Record, RoomId, Seq, needed};

use crate::item::{Item, Items, RecordsItem};
use crate::limits::SCRUB_LOSSES_MAX;

/// A run of records of one room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LostRecords {
    /// The room.
    pub room: RoomId,
    /// The first one's seq.
    pub first: Seq,
    /// The seq behind the last one.
    pub next: Seq,
}

/// What payloads that cannot be trusted still tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// At most [`SCRUB_LOSSES_MAX`].
    pub(super) records: Vec<LostRecords>,
    /// Something could not be made out, or there was no place for it.
    is_more: bool,
}

impl Losses {
    /// Adds what `payload` tells.
    pub(super) fn add(&mut self, payload: &[u8]) {
        for item in Items::new(payload) {
            match item {
                Ok(Item::Records(item)) => self.add_run(&item),
                Ok(_) => {}
                Err(_) => self.is_more = true,
            }
        }
    }

    /// Adds what others tell.
    pub(super) fn join(&mut self, others: Losses) {
        self.is_more |= others.is_more;
        others.records.into_iter().for_each(|run| self.keep(run));
    }

    /// Whether those are all.
    pub(super) fn is_all_told(&self) -> bool {
        !self.is_more
    }

    /// Counts the frames of an item; one that says another room or seq than it should does not end the count, its length may be right all the same.
    fn add_run(&mut self, item: &RecordsItem<'_>) {
        let mut run = LostRecords {
            room: item.room,
            first: item.first,
            next: item.first,
        };
        let (mut rest, mut is_agreed, mut is_read_whole) = (item.records, false, true);
        while !rest.is_empty() {
            let Some((frame, behind)) = rest.split_at_checked(needed(rest)) else {
                is_read_whole = false;
                break;
            };
            is_agreed |= Record::parse_unchecked_crc(frame)
                .is_ok_and(|record| (record.room_id(), record.seq()) == (run.room, run.next));
            run.next = run.next.next();
            rest = behind;
        }
        if is_agreed {
            self.keep(run);
        }
        self.is_more |= !is_agreed || !is_read_whole;
    }

    /// A run that goes on where the last one ended is one with it.
    fn keep(&mut self, run: LostRecords) {
        let has_place = self.records.len() < SCRUB_LOSSES_MAX;
        match self.records.last_mut() {
            Some(last) if (last.room, last.next) == (run.room, run.first) => last.next = run.next,
            _ if has_place => self.records.push(run),
            _ => self.is_more = true,
        }
    }
}
