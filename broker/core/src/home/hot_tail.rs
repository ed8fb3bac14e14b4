//! The hot tail: the newest entries of one partition, in memory.
//!
//! ```text
//!   in the log only │ hot: kept within the budget │ hot: the floor, kept whatever it costs
//!                   first                         floor                              last
//! ```
//! Everything behind the floor = min(applied, synced) is kept: Raft, apply and the log thread need it. Older entries stay while the byte budget
//! allows; live delivery and readers slightly behind are served from them. When the floor alone exceeds the budget, admission stops.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use antiphon_log::{Entry, Index, LogPosition, Term, TermRun};
use antiphon_protocol::RoomId;

use crate::home::recent::Recent;
use crate::home::state::Part;
use crate::planted::{Bug, planted};

/// One entry in memory.
#[derive(Clone, Debug)]
pub(crate) struct HotEntry {
    /// The entry; its payload is shared with Raft, the log thread and deliveries.
    pub(crate) entry: Entry,
    /// Where its block stands; `None` until the log has reported it.
    pub(crate) at: Option<LogPosition>,
    /// Its records, ascending by room; empty until applied.
    pub(crate) parts: Box<[Part]>,
}

impl HotEntry {
    /// The records of `room` in this entry.
    pub(crate) fn part(&self, room: RoomId) -> Option<&Part> {
        let at = self
            .parts
            .binary_search_by_key(&room, |part| part.room)
            .ok()?;
        Some(&self.parts[at])
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct HotTail {
    /// Dense by index; may be empty.
    entries: VecDeque<HotEntry>,
    /// Index of the newest entry of the log; 0: none. If `entries` is not empty, that of its back.
    last: Index,
    /// Terms of all entries of the log from `log_first` on, ascending.
    terms: Vec<TermRun>,
    /// Oldest entry of the log.
    log_first: Index,
    /// Everything up to here is applied and synced.
    floor: Index,
    /// Payload bytes of all entries here.
    bytes: usize,
    /// Payload bytes of the entries behind the floor.
    floor_bytes: usize,
    /// Budget for `bytes`.
    bytes_max: usize,
}

/// What an entry costs beyond its payload.
const ENTRY_OVERHEAD: usize = size_of::<HotEntry>();

fn cost(entry: &Entry) -> usize {
    entry.payload.len() + ENTRY_OVERHEAD
}

impl HotTail {
    /// An empty tail of a log that holds `log_first..=last` with these terms, all applied and synced up to `floor`. Entries behind the floor follow
    /// by [`append`](Self::append), so `last` is `floor`.
    pub(crate) fn new(
        log_first: Index,
        floor: Index,
        mut terms: Vec<TermRun>,
        bytes_max: usize,
    ) -> HotTail {
        terms.retain(|run| run.first <= floor);
        HotTail {
            entries: VecDeque::new(),
            last: floor,
            terms,
            log_first,
            floor,
            bytes: 0,
            floor_bytes: 0,
            bytes_max,
        }
    }

    /// With the newest entries at and below the floor, as the log gave them back.
    pub(crate) fn with_recent(mut self, recent: Recent) -> HotTail {
        let recent = recent.into_entries();
        let ends_at_floor = recent
            .back()
            .is_some_and(|(last, _, _)| last.index == self.floor);
        assert!(
            self.entries.is_empty() && self.last == self.floor,
            "INV-HOME-54: what is recalled comes before what is appended"
        );
        if ends_at_floor {
            for (entry, at, parts) in recent {
                self.bytes += cost(&entry);
                let at = Some(at);
                self.entries.push_back(HotEntry { entry, at, parts });
            }
        }
        self
    }

    /// Index of the newest entry of the log; 0: none.
    pub(crate) fn last(&self) -> Index {
        self.last
    }

    /// Index of the oldest entry of the log.
    pub(crate) fn log_first(&self) -> Index {
        self.log_first
    }

    /// Index of the oldest entry here; one behind `last` if there is none.
    pub(crate) fn first(&self) -> Index {
        self.entries
            .front()
            .map_or(self.last.next(), |hot| hot.entry.index)
    }

    /// Payload bytes here.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether what must be kept exceeds the budget: no more may be admitted.
    pub(crate) fn is_full(&self) -> bool {
        self.floor_bytes > self.bytes_max
    }

    /// Adds an entry. One at or below `last` cuts the suffix from there.
    ///
    /// # Panics
    /// If it leaves a hole or cuts what is applied (a bug of Raft or of its driver).
    pub(crate) fn append(&mut self, entry: Entry) {
        assert!(
            entry.index > self.floor,
            "INV-HOME-10: an entry that is applied is never replaced"
        );
        assert!(
            entry.index <= self.last.next(),
            "INV-HOME-11: entries are dense"
        );
        self.cut(entry.index);
        let newest = self.terms.last().map_or(Term(0), |run| run.term);
        assert!(
            entry.term >= newest,
            "INV-HOME-12: terms never fall along a log"
        );
        if entry.term > newest {
            self.terms.push(TermRun {
                first: entry.index,
                term: entry.term,
            });
        }
        self.last = entry.index;
        self.bytes += cost(&entry);
        self.floor_bytes += cost(&entry);
        self.entries.push_back(HotEntry {
            entry,
            at: None,
            parts: Box::default(),
        });
    }

    /// Drops the entries from `from` on.
    fn cut(&mut self, from: Index) {
        while self.last >= from {
            let Some(hot) = self.entries.pop_back() else {
                break;
            };
            self.bytes -= cost(&hot.entry);
            self.floor_bytes -= cost(&hot.entry);
            self.last = hot.entry.index.before();
        }
        while self.terms.last().is_some_and(|run| run.first >= from) {
            self.terms.pop();
        }
    }

    /// Notes where the block of an entry stands.
    pub(crate) fn place(&mut self, index: Index, at: LogPosition) {
        if let Some(hot) = self.find_mut(index) {
            hot.at = Some(at);
        }
    }

    /// Notes which records an entry holds.
    pub(crate) fn set_parts(&mut self, index: Index, parts: &[Part]) {
        if let Some(hot) = self.find_mut(index) {
            hot.parts = parts.into();
        }
    }

    /// Moves the floor up to `floor` and drops what the budget does not allow.
    ///
    /// # Panics
    /// If the floor falls or passes the last entry.
    pub(crate) fn raise_floor(&mut self, floor: Index) {
        assert!(
            floor >= self.floor,
            "INV-HOME-13: applied and synced never fall"
        );
        assert!(
            floor <= self.last,
            "INV-HOME-14: nothing is applied that was not appended"
        );
        while self.floor < floor {
            self.floor = self.floor.next();
            let freed = self.find(self.floor).map_or(0, |hot| cost(&hot.entry));
            self.floor_bytes -= freed;
        }
        while self.bytes > self.bytes_max
            && (self.first() <= self.floor || planted(Bug::HotDropsEarly))
        {
            let Some(hot) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= cost(&hot.entry);
        }
    }

    /// The entry `index`, if it is here.
    pub(crate) fn find(&self, index: Index) -> Option<&HotEntry> {
        self.entries.get(self.place_of(index)?)
    }

    fn find_mut(&mut self, index: Index) -> Option<&mut HotEntry> {
        let place = self.place_of(index)?;
        self.entries.get_mut(place)
    }

    fn place_of(&self, index: Index) -> Option<usize> {
        let first = self.entries.front()?.entry.index;
        usize::try_from(index.0.checked_sub(first.0)?).ok()
    }

    /// The entry whose block stands at `at`, if it is here. Blocks of one group stand in the log in the order of their indexes.
    pub(crate) fn find_at(&self, at: LogPosition) -> Option<&HotEntry> {
        let place = self
            .entries
            .partition_point(|hot| hot.at.is_some_and(|place| place < at));
        self.entries.get(place).filter(|hot| hot.at == Some(at))
    }

    /// Entries `low..high`, as many as are here in one piece from `low` on; `None` if `low` itself is not.
    pub(crate) fn range(&self, low: Index, high: Index) -> Option<impl Iterator<Item = &Entry>> {
        let start = self.place_of(low)?;
        let count = usize::try_from(high.0.saturating_sub(low.0)).ok()?;
        (start < self.entries.len()).then(|| {
            self.entries
                .iter()
                .skip(start)
                .take(count)
                .map(|hot| &hot.entry)
        })
    }

    /// The term of entry `index`; `None` if the log does not hold it. Index 0 has term 0.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        if index == Index(0) {
            return Some(Term(0));
        }
        if index > self.last {
            return None;
        }
        let runs = self.terms.partition_point(|run| run.first <= index);
        Some(self.terms.get(runs.checked_sub(1)?)?.term)
    }
}

#[cfg(test)]
mod tests {
    use antiphon_log::{EntryKind, SegmentId};
    use bytes::Bytes;

    use super::*;

    fn entry(index: u64, term: u64, bytes: usize) -> Entry {
        Entry {
            index: Index(index),
            term: Term(term),
            kind: EntryKind::Normal,
            payload: Bytes::from(alloc::vec![7; bytes]),
        }
    }

    fn tail(budget: usize) -> HotTail {
        HotTail::new(Index(1), Index(0), Vec::new(), budget)
    }

    #[test]
    fn what_lies_behind_the_floor_is_kept_whatever_it_costs() {
        let mut tail = tail(300);
        for index in 1..=4 {
            tail.append(entry(index, 1, 100));
        }
        assert!(tail.is_full());
        assert_eq!(tail.first(), Index(1));
        tail.raise_floor(Index(4));
        assert!(!tail.is_full());
        assert_eq!(
            tail.first(),
            Index(4),
            "one entry of 100 bytes and its overhead fits"
        );
        assert!(tail.range(Index(3), Index(5)).is_none());
    }

    #[test]
    fn a_conflicting_entry_cuts_the_suffix_with_its_terms() {
        let mut tail = tail(1_000_000);
        for index in 1..=3 {
            tail.append(entry(index, index, 10));
        }
        tail.append(entry(2, 4, 10));
        assert_eq!(tail.last(), Index(2));
        assert_eq!(
            (
                tail.term(Index(1)),
                tail.term(Index(2)),
                tail.term(Index(3))
            ),
            (Some(Term(1)), Some(Term(4)), None)
        );
        assert_eq!(tail.bytes(), 2 * (10 + ENTRY_OVERHEAD));
    }

    #[test]
    #[should_panic(expected = "INV-HOME-10")]
    fn an_applied_entry_is_never_replaced() {
        let mut tail = tail(1_000_000);
        tail.append(entry(1, 1, 10));
        tail.raise_floor(Index(1));
        tail.append(entry(1, 2, 10));
    }

    #[test]
    fn entries_are_found_by_index_and_by_position() {
        let mut tail = HotTail::new(
            Index(1),
            Index(6),
            alloc::vec![TermRun {
                first: Index(1),
                term: Term(2)
            }],
            1_000_000,
        );
        for index in 7..=9 {
            tail.append(entry(index, 2, 10));
        }
        let at = |offset| LogPosition::new(SegmentId(1), offset);
        tail.place(Index(7), at(100));
        tail.place(Index(8), at(200));
        assert_eq!(
            tail.find_at(at(200)).map(|hot| hot.entry.index),
            Some(Index(8))
        );
        assert_eq!(tail.find_at(at(150)).map(|hot| hot.entry.index), None);
        assert_eq!(tail.find_at(at(300)).map(|hot| hot.entry.index), None);
        assert_eq!(tail.term(Index(3)), Some(Term(2)));
        let seen: Vec<Index> = tail
            .range(Index(8), Index(20))
            .into_iter()
            .flatten()
            .map(|entry| entry.index)
            .collect();
        assert_eq!(seen, [Index(8), Index(9)]);
    }
}
