//! What the log was given, and what of it is durable: nobody may be told anything else.

use std::collections::{BTreeMap, BTreeSet};

use antiphon_log::{Append, Item, Items};
use antiphon_protocol::{PubackEntry, Record, RoomId, append_erased, records};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Given to the log, not synced.
    written: Vec<Vec<u8>>,
    /// Durable records by room and seq, whole.
    durable: BTreeMap<(u64, u64), Vec<u8>>,
    /// Records that what was given erases.
    erasing: Vec<(u64, u64)>,
    /// Those that are erased for good.
    erased: BTreeSet<(u64, u64)>,
}

impl Truth {
    /// The log was given this.
    pub(super) fn written(&mut self, append: &Append) {
        for entry in &append.entries {
            for item in Items::new(&entry.payload) {
                let item = item.expect("the broker writes items that can be read");
                if let Item::Erase(item) = &item {
                    let named = item.erased().map(|(room, seq)| (room.0, seq.0));
                    self.erasing.extend(named);
                }
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
        for key in self.erasing.drain(..) {
            assert!(
                self.durable.contains_key(&key),
                "{key:?} was erased, and is no record"
            );
            assert!(self.erased.insert(key), "{key:?} was erased twice");
        }
    }

    /// What was not synced may be gone.
    pub(super) fn forget_unsynced(&mut self) {
        self.written.clear();
        self.erasing.clear();
    }

    /// A record that somebody was sent: as it was written, or as redaction leaves it. (A read that began before may still bring it whole.)
    pub(super) fn check_record(&self, record: &Record<'_>) {
        let key = (record.room_id().0, record.seq().0);
        let whole = self.durable.get(&key).expect("sent what is not durable");
        if record.is_erased() {
            assert!(self.erased.contains(&key), "{key:?} was never redacted");
            let original = Record::parse(whole).expect("it was read before");
            let mut left = Vec::new();
            append_erased(&mut left, &original);
            assert_eq!(left, record.whole(), "erased otherwise than it should be");
        } else {
            assert_eq!(whole, record.whole(), "sent otherwise than it is");
        }
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
