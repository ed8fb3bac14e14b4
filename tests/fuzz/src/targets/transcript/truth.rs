//! What the log was given, and what of it is durable: nobody may be told anything else.

use std::collections::BTreeMap;

use antiphon_log::{Append, Item, Items};
use antiphon_protocol::{PubackEntry, Record, RoomId, records};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Given to the log, not synced.
    written: Vec<Vec<u8>>,
    /// Durable records by room and seq, whole.
    durable: BTreeMap<(u64, u64), Vec<u8>>,
}

impl Truth {
    /// The log was given this.
    pub(super) fn written(&mut self, append: &Append) {
        for entry in &append.entries {
            for item in Items::new(&entry.payload) {
                let item = item.expect("the broker writes items that can be read");
                if let Item::Records(item) = item {
                    for record in records(item.records) {
                        let record: Record<'_> =
                            record.expect("the broker writes records that can be read");
                        self.written.push(record.whole().to_vec());
                    }
                }
            }
        }
    }

    /// All that was given is durable now.
    pub(super) fn synced(&mut self) {
        for whole in self.written.drain(..) {
            let record = Record::parse(&whole).expect("it was read before");
            let key = (record.room_id().0, record.seq().0);
            let before = self.durable.insert(key, whole);
            assert!(before.is_none(), "the seq {key:?} was given twice");
        }
    }

    /// What was not synced may be gone.
    pub(super) fn forget_unsynced(&mut self) {
        self.written.clear();
    }

    /// A record that somebody was sent.
    pub(super) fn check_record(&self, record: &Record<'_>) {
        let key = (record.room_id().0, record.seq().0);
        let durable = self.durable.get(&key).map(Vec::as_slice);
        assert_eq!(
            durable,
            Some(record.whole()),
            "sent what is not durable, or not as it is"
        );
    }

    /// An ack that somebody was sent. A duplicate that is too old is told without its place.
    pub(super) fn check_ack(&self, entry: &PubackEntry) {
        if entry.duplicate && entry.seq.0 == 0 {
            return;
        }
        let whole = self
            .durable
            .get(&(entry.room_id.0, entry.seq.0))
            .expect("acked what is not durable");
        let record = Record::parse(whole).expect("it was read before");
        let told = (entry.producer_seq, entry.link, entry.time);
        assert_eq!(
            told,
            (record.producer_seq(), record.link(), record.time()),
            "acked as another record"
        );
    }

    /// The records of a room, for people and for the check of a reopened log.
    pub(super) fn durable(&self) -> &BTreeMap<(u64, u64), Vec<u8>> {
        &self.durable
    }

    /// Newest seq of a room that is durable.
    pub(super) fn head(&self, room: RoomId) -> u64 {
        let range = (room.0, 0)..=(room.0, u64::MAX);
        self.durable
            .range(range)
            .next_back()
            .map_or(0, |((_, seq), _)| *seq)
    }
}
