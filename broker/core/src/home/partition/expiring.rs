//! Expiry: producers that fell silent for seven days leave the state, through the log.
//!
//! Decided on the time that a record would get now, and the entry moves the partition's time there: a partition that refuses all who come, because
//! it is full, must not wait for a record to forget anybody. The state keeps the newest birth that ever left so, and nobody born at or before it
//! starts: a producer that left can never start again, whatever clock gave the times (INV-HOME-32).

use alloc::vec::Vec;

use antiphon_protocol::{Producer, RoomId, Timestamp, UserName};

use crate::home::limits::{EXPIRE_LOOK_MAX, EXPIRE_PER_ENTRY_MAX, EXPIRED_BYTES_MAX};
use crate::home::partition::Partition;
use crate::home::partition::stamping::Draft;
use crate::home::producers::ProducerAt;

/// Where the look for silent producers stands.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The last one looked at; `None`: start from the first.
    after: Option<ProducerAt>,
    /// Those to leave with the next entry, ascending.
    due: Vec<(RoomId, Producer, UserName)>,
}

impl Sweep {
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Bytes that the due ones take in an entry, at most.
    pub(super) fn bytes(&self) -> usize {
        self.due.len() * EXPIRED_BYTES_MAX
    }
}

impl Partition {
    /// Looks at some more producers.
    pub(crate) fn sweep(&mut self, wall: Timestamp) {
        if !self.sweep.due.is_empty() || !self.may_admit() || self.impairment().is_some() {
            return;
        }
        let time = self.overlay.time(&self.state, wall);
        let mut looked = 0;
        let mut last = None;
        for (room, producer, sender, state) in self.state.producers_after(self.sweep.after.as_ref())
        {
            looked += 1;
            last = Some((room, producer, sender));
            if state.is_silent(producer, time) {
                self.sweep.due.push((room, producer, sender.clone()));
            }
            if looked >= EXPIRE_LOOK_MAX || self.sweep.due.len() >= EXPIRE_PER_ENTRY_MAX {
                break;
            }
        }
        let is_end = looked < EXPIRE_LOOK_MAX && self.sweep.due.len() < EXPIRE_PER_ENTRY_MAX;
        let last = last.map(|(room, producer, sender)| (room, producer, sender.clone()));
        self.sweep.after = last.filter(|_| !is_end);
    }

    /// Stamps the due ones into the draft, unless they have been heard since.
    pub(super) fn stamp_expired(&mut self, draft: &mut Draft) {
        let mut due = core::mem::take(&mut self.sweep.due);
        let time = draft.time;
        due.retain(|(room, producer, sender)| {
            let state = self.state.producer(*room, *producer, sender.as_bytes());
            let is_heard = self
                .overlay
                .producer(*room, *producer, sender.as_bytes())
                .is_some();
            !is_heard && state.is_some_and(|state| state.is_silent(*producer, time))
        });
        for leaving in due.chunk_by(|one, other| one.0 == other.0) {
            let room = leaving[0].0;
            draft.writer.expire(
                room,
                leaving
                    .iter()
                    .map(|(_, producer, sender)| (*producer, sender.as_bytes())),
            );
        }
        for (room, producer, sender) in due.drain(..) {
            self.overlay.stage_producer(room, producer, sender, None);
        }
        self.sweep.due = due;
    }
}
