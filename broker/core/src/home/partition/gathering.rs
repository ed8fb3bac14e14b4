//! Gathering: which batches go into the next entry.
//!
//! Ready rooms take turns, each with an equal share of the entry, so a hot room cannot starve a quiet one; a lone room gets all of it. A batch that
//! does not fit is held and goes first next time. An entry holds one visit per room, so one run of records per room.

use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_protocol::{RecordKind, record_bytes};

use crate::channel::{Exchange, PublishBatch, RoomChannel};
use crate::home::desk::Turn;
use crate::home::limits::{ERASED_BYTES, VISIT_HEADS_BYTES};
use crate::home::partition::{Batches, Partition};

/// The batches of one room in one entry, oldest first.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) channel: Arc<RoomChannel>,
    pub(super) batches: Batches,
}

/// See the module. Emptied after each entry; its lists are reused.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) visits: Vec<Visit>,
    /// Bytes of the items if all publishes are admitted, at most.
    pub(super) bytes: usize,
    /// How many of `visits` were begun by held batches: only those can be met again.
    held_visits: usize,
    spare: Vec<Batches>,
}

/// What one record costs in the log.
fn cost(batch: &PublishBatch) -> usize {
    let sender = batch.sender.as_bytes().len();
    batch
        .publishes
        .iter()
        .map(|publish| {
            let is_redact = RecordKind::from_wire(publish.kind) == RecordKind::REDACT;
            let record = record_bytes(
                sender,
                usize::from(publish.headers_len),
                publish.body_len as usize,
            );
            record + usize::from(is_redact) * ERASED_BYTES
        })
        .sum()
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.visits.is_empty()
    }

    /// Takes a batch, unless the entry is full; an empty entry takes any.
    fn offer(
        &mut self,
        channel: &Arc<RoomChannel>,
        batch: PublishBatch,
        bytes_max: usize,
    ) -> Result<usize, PublishBatch> {
        let begun = self.begun(channel);
        let heads = if begun.is_some() {
            0
        } else {
            VISIT_HEADS_BYTES + channel.name().as_bytes().len()
        };
        let bytes = cost(&batch) + heads;
        if self.bytes > 0 && self.bytes + bytes > bytes_max {
            return Err(batch);
        }
        self.bytes += bytes;
        if let Some(at) = begun {
            self.visits[at].batches.push(batch);
        } else {
            let mut batches = self.spare.pop().unwrap_or_default();
            batches.push(batch);
            self.visits.push(Visit {
                channel: Arc::clone(channel),
                batches,
            });
        }
        Ok(bytes)
    }

    /// Where the visit of this room is, if it has begun: it is the newest one, or a held batch began it.
    fn begun(&self, channel: &Arc<RoomChannel>) -> Option<usize> {
        let is_this = |visit: &Visit| Arc::ptr_eq(&visit.channel, channel);
        let newest = self.visits.len().checked_sub(1)?;
        if is_this(&self.visits[newest]) {
            return Some(newest);
        }
        self.visits[..self.held_visits].iter().position(is_this)
    }

    /// Gives the lists of stamped visits back.
    pub(super) fn recycle(&mut self, mut visits: Vec<Visit>) {
        for visit in visits.drain(..) {
            let mut batches = visit.batches;
            batches.clear();
            self.spare.push(batches);
        }
        self.visits = visits;
        self.bytes = 0;
        self.held_visits = 0;
    }
}

impl Partition {
    /// Takes batches for one entry.
    pub(super) fn gather(&mut self, turn: &Turn<'_>) {
        let bytes_max = turn.settings.entry_bytes_max;
        while let Some((channel, batch)) = self.held.pop_front() {
            if let Err(batch) = self.gathered.offer(&channel, batch, bytes_max) {
                self.held.push_front((channel, batch));
                return;
            }
            self.gathered.held_visits = self.gathered.visits.len();
        }
        let rooms = self.ready.len();
        let share = (bytes_max / rooms.max(1)).max(turn.settings.room_visit_bytes_min);
        for _ in 0..rooms {
            let Some(channel) = self.ready.pop_front() else {
                return;
            };
            if self.visit(channel, share, bytes_max, turn.exchange) == Fill::Full {
                return;
            }
        }
    }

    /// Takes a room's share out of its channel.
    fn visit(
        &mut self,
        channel: Arc<RoomChannel>,
        share: usize,
        bytes_max: usize,
        exchange: &Exchange,
    ) -> Fill {
        let mut taken = 0;
        while taken < share {
            let Some(batch) = channel.take() else {
                exchange.rest(channel);
                return Fill::More;
            };
            match self.gathered.offer(&channel, batch, bytes_max) {
                Ok(bytes) => taken += bytes,
                Err(batch) => {
                    self.held.push_back((Arc::clone(&channel), batch));
                    self.ready.push_back(channel);
                    return Fill::Full;
                }
            }
        }
        if channel.is_empty() {
            exchange.rest(channel);
        } else {
            self.ready.push_back(channel);
        }
        Fill::More
    }
}

/// Whether an entry takes more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fill {
    More,
    Full,
}
