//! Batches that wait for a place in a full channel.
//!
//! One row per channel: a look at it tries the oldest batch only, and goes on while there are places. So a turn costs a step per channel that is full,
//! however many batches wait for it. Rows are looked at in the order in which their channels became full: the order of their addresses would be
//! another one in each process, and no world could be run again.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::channel::{PublishBatch, RoomChannel};
use crate::limits::{CHANNEL_RETRY_MS, CHANNEL_WAIT_MS};

/// A channel that was full, and what waits for it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) channel: Arc<RoomChannel>,
    /// Oldest first, each with the time at which it is refused. Never empty.
    batches: VecDeque<(PublishBatch, u64)>,
}

/// See the module. Bounded by the connections: one that has a batch here is not read.
#[derive(Debug, Default)]
pub(super) struct Parked {
    /// As they came.
    rows: Vec<Row>,
    /// Where each row stands, by the address of its channel, which is held: to find a row, never to go through them.
    places: BTreeMap<usize, usize>,
    /// Of all batches, the earliest time at which one is refused; may be too early.
    first_deadline_ms: u64,
}

impl Parked {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether batches wait for this channel: then no other one may overtake them.
    pub(super) fn has(&self, channel: &Arc<RoomChannel>) -> bool {
        !self.rows.is_empty() && self.places.contains_key(&address_of(channel))
    }

    /// Keeps a batch behind those that wait for its channel.
    pub(super) fn add(&mut self, channel: Arc<RoomChannel>, batch: PublishBatch, now_ms: u64) {
        let deadline_ms = now_ms + CHANNEL_WAIT_MS;
        if self.rows.is_empty() {
            self.first_deadline_ms = deadline_ms;
        }
        let next = self.rows.len();
        let place = *self.places.entry(address_of(&channel)).or_insert(next);
        if place == next {
            self.rows.push(Row {
                channel,
                batches: VecDeque::new(),
            });
        }
        self.rows[place].batches.push_back((batch, deadline_ms));
    }

    /// Takes all rows out to be looked at; each goes back by [`keep`](Self::keep).
    pub(super) fn take(&mut self) -> Vec<Row> {
        self.first_deadline_ms = u64::MAX;
        self.places.clear();
        core::mem::take(&mut self.rows)
    }

    /// Puts a row back, unless nothing waits in it any more.
    pub(super) fn keep(&mut self, row: Row) {
        if let Some((_, deadline_ms)) = row.batches.front() {
            self.first_deadline_ms = self.first_deadline_ms.min(*deadline_ms);
            let place = self.rows.len();
            let before = self.places.insert(address_of(&row.channel), place);
            assert!(
                before.is_none(),
                "INV-EDGE-19: a channel has one row of parked batches"
            );
            self.rows.push(row);
        }
    }

    /// When to look again.
    pub(super) fn deadline(&self, now_ms: u64) -> Option<u64> {
        let is_waiting = !self.rows.is_empty();
        is_waiting.then(|| self.first_deadline_ms.min(now_ms + CHANNEL_RETRY_MS))
    }
}

impl Row {
    /// Takes the oldest batch out.
    pub(super) fn next(&mut self) -> Option<(PublishBatch, u64)> {
        self.batches.pop_front()
    }

    /// The batch that was taken out last finds no place.
    pub(super) fn give_back(&mut self, batch: PublishBatch, deadline_ms: u64) {
        self.batches.push_front((batch, deadline_ms));
    }
}

/// Tells channels apart while they are held.
fn address_of(channel: &Arc<RoomChannel>) -> usize {
    Arc::as_ptr(channel).addr()
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::{Device, Namespace, RoomName, UserName};
    use bytes::Bytes;

    use super::*;
    use crate::core::{ConnId, CoreId};

    fn channel(name: &str) -> Arc<RoomChannel> {
        let name = RoomName::try_from(name).unwrap();
        RoomChannel::new(Namespace(0), name, CoreId(1))
    }

    fn batch(slot: u32) -> PublishBatch {
        PublishBatch {
            edge: CoreId(0),
            conn: ConnId {
                slot,
                generation: 0,
            },
            sender: UserName::try_from("ann").unwrap(),
            device: Device(1),
            publishes: Vec::new(),
            payload: Bytes::new(),
        }
    }

    #[test]
    fn rows_are_looked_at_as_they_came_wherever_their_channels_lie() {
        let mut channels: Vec<_> = (0..20).map(|_| channel("tea")).collect();
        channels.sort_by_key(|channel| core::cmp::Reverse(address_of(channel)));
        let mut parked = Parked::default();
        for channel in &channels {
            parked.add(Arc::clone(channel), batch(1), 10);
        }
        for _ in 0..2 {
            let rows = parked.take();
            let is_same = |(row, channel): (&Row, &_)| Arc::ptr_eq(&row.channel, channel);
            assert_eq!(rows.len(), channels.len());
            assert!(rows.iter().zip(&channels).all(is_same));
            rows.into_iter().for_each(|row| parked.keep(row));
        }
    }

    #[test]
    fn a_look_takes_one_row_per_channel_and_the_oldest_batch_of_each_first() {
        let mut parked = Parked::default();
        let (tea, jazz) = (channel("tea"), channel("jazz"));
        for slot in 0..1_000 {
            parked.add(Arc::clone(&tea), batch(slot), 10);
        }
        parked.add(Arc::clone(&jazz), batch(1_000), 20);
        assert!(parked.has(&tea) && !parked.has(&channel("tea")));
        let rows = parked.take();
        assert_eq!(rows.len(), 2, "however many batches wait");
        assert!(parked.is_empty());
        for mut row in rows {
            let (first, deadline_ms) = row.next().unwrap();
            if Arc::ptr_eq(&row.channel, &tea) {
                assert_eq!((first.conn.slot, deadline_ms), (0, 10 + CHANNEL_WAIT_MS));
                row.give_back(first, deadline_ms);
            }
            parked.keep(row);
        }
        assert!(parked.has(&tea));
        assert!(!parked.has(&jazz), "nothing waits for it any more");
    }

    #[test]
    fn the_next_look_is_soon_and_not_behind_the_first_deadline() {
        let mut parked = Parked::default();
        assert_eq!(parked.deadline(0), None);
        parked.add(channel("tea"), batch(1), 10);
        parked.add(channel("jazz"), batch(2), 50);
        let due = 10 + CHANNEL_WAIT_MS;
        assert_eq!(parked.deadline(50), Some(50 + CHANNEL_RETRY_MS));
        assert_eq!(parked.deadline(due - 1), Some(due));
        for row in parked.take() {
            parked.keep(row);
        }
        assert_eq!(parked.deadline(due - 1), Some(due));
    }
}
