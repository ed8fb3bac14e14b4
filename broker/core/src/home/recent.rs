//! The newest committed entries of a partition, kept while its log is read: a leader of others sends them to whoever lags by a little.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use antiphon_log::{Entry, LogPosition, RecoveredEntry};

use crate::home::state::Part;

/// An entry with its position and records.
pub(crate) type Recalled = (Entry, LogPosition, Box<[Part]>);

/// See the module. Dense by index.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    entries: VecDeque<Recalled>,
    bytes: usize,
    /// 0: nothing is kept; a node alone has nobody to send it to.
    bytes_max: usize,
}

impl Recent {
    /// Keeps so many bytes of payload.
    pub(crate) fn new(bytes_max: usize) -> Recent {
        Recent {
            bytes_max,
            ..Recent::default()
        }
    }

    /// Takes the next committed entry.
    pub(crate) fn push(&mut self, entry: &RecoveredEntry<'_>, parts: &[Part]) {
        if self.bytes_max == 0 {
            return;
        }
        let is_next = self
            .entries
            .back()
            .is_none_or(|(last, _, _)| last.index.next() == entry.index);
        if !is_next {
            (self.entries, self.bytes) = (VecDeque::new(), 0);
        }
        self.bytes += entry.payload.len();
        let kept = Entry {
            index: entry.index,
            term: entry.term,
            kind: entry.kind,
            payload: entry.payload.clone(),
        };
        self.entries.push_back((kept, entry.position, parts.into()));
        while self.bytes > self.bytes_max {
            let Some((oldest, _, _)) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.payload.len();
        }
    }

    /// All of them, ascending.
    pub(crate) fn into_entries(self) -> VecDeque<Recalled> {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use antiphon_log::{EntryKind, Index, SegmentId, Term};
    use bytes::Bytes;

    use super::*;

    fn indexes(bytes_max: usize, indexes: &[u64]) -> alloc::vec::Vec<u64> {
        let payload = Bytes::from_static(b"0123456789");
        let mut recent = Recent::new(bytes_max);
        for index in indexes {
            let entry = RecoveredEntry {
                index: Index(*index),
                term: Term(1),
                kind: EntryKind::Normal,
                payload: &payload,
                position: LogPosition::new(SegmentId(1), 4_096),
            };
            recent.push(&entry, &[]);
        }
        let entries = recent.into_entries();
        entries.iter().map(|(entry, _, _)| entry.index.0).collect()
    }

    #[test]
    fn the_newest_ones_are_kept_dense_and_within_the_budget() {
        assert_eq!(indexes(30, &[1, 2, 3, 4, 5]), [3, 4, 5]);
        assert_eq!(indexes(30, &[1, 2, 7, 8]), [7, 8]);
        assert_eq!(indexes(0, &[1, 2]), [0_u64; 0]);
    }
}
