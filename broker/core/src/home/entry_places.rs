//! Where the entries of a partition stand in the log, for replicas on other nodes that lag by more than the hot tail.
//!
//! Four bytes an entry, and a line per segment. Only a member of a cluster keeps them: a node alone has nobody to send entries to.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use antiphon_log::{Index, LogPosition, SegmentId};

use crate::home::limits::ENTRY_PLACES_MAX;

/// The entries of one segment begin with this one.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    segment: SegmentId,
    first: Index,
}

/// See the module. Dense by index.
#[derive(Debug, Default)]
pub(crate) struct EntryPlaces {
    /// Index of the oldest entry whose place is known, if there is one.
    first: Index,
    /// Within their segments. <= ENTRY_PLACES_MAX
    offsets: VecDeque<u32>,
    /// Ascending; the first one begins at or below `first`. Empty if `offsets` is.
    stretches: VecDeque<Stretch>,
}

impl EntryPlaces {
    /// Notes where entry `index` stands. One that is known already replaces it and all behind it; behind a hole only what follows is known.
    pub(crate) fn set(&mut self, index: Index, at: LogPosition) {
        if index < self.first || index > self.next() {
            self.offsets.clear();
            self.stretches.clear();
        }
        self.cut(index);
        if self.offsets.is_empty() {
            self.first = index;
        }
        if self
            .stretches
            .back()
            .is_none_or(|last| last.segment != at.segment())
        {
            let segment = at.segment();
            self.stretches.push_back(Stretch {
                segment,
                first: index,
            });
        }
        self.offsets.push_back(at.offset());
        if self.offsets.len() > ENTRY_PLACES_MAX {
            self.forget_first(1);
        }
    }

    /// The places of at most `count` entries from `first` on, without a hole; none if the first one's is not known.
    pub(crate) fn from(&self, first: Index, count: usize) -> Vec<LogPosition> {
        let end = self.next().0.min(first.0.saturating_add(count as u64));
        let mut stretch = self.stretches.partition_point(|known| known.first <= first);
        let mut places = Vec::new();
        for index in (first.0..end).map(Index) {
            let Some(offset) = self.offset(index) else {
                break;
            };
            if self
                .stretches
                .get(stretch)
                .is_some_and(|next| next.first <= index)
            {
                stretch += 1;
            }
            let Some(known) = stretch.checked_sub(1).and_then(|at| self.stretches.get(at)) else {
                break;
            };
            places.push(LogPosition::new(known.segment, offset));
        }
        places
    }

    /// Segments below `first` were let go.
    pub(crate) fn trim(&mut self, first: SegmentId) {
        let kept = self.stretches.iter().find(|known| known.segment >= first);
        let kept = kept.map_or(self.next(), |known| known.first);
        let gone = kept.0.saturating_sub(self.first.0);
        self.forget_first(usize::try_from(gone).unwrap_or(usize::MAX));
    }

    /// Index behind the newest one known.
    fn next(&self) -> Index {
        Index(self.first.0 + self.offsets.len() as u64)
    }

    fn offset(&self, index: Index) -> Option<u32> {
        let place = index.0.checked_sub(self.first.0)?;
        self.offsets.get(usize::try_from(place).ok()?).copied()
    }

    /// Forgets the entries from `from` on.
    fn cut(&mut self, from: Index) {
        let kept = from.0.saturating_sub(self.first.0);
        self.offsets
            .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        while self.stretches.back().is_some_and(|last| last.first >= from) {
            self.stretches.pop_back();
        }
    }

    fn forget_first(&mut self, count: usize) {
        let count = count.min(self.offsets.len());
        self.offsets.drain(..count);
        self.first = Index(self.first.0 + count as u64);
        while self
            .stretches
            .get(1)
            .is_some_and(|next| next.first <= self.first)
        {
            self.stretches.pop_front();
        }
        if self.offsets.is_empty() {
            self.stretches.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u32, offset: u32) -> LogPosition {
        LogPosition::new(SegmentId(segment), offset)
    }

    /// Entries 5 to 10, the first three in segment 1.
    fn places() -> EntryPlaces {
        let mut places = EntryPlaces::default();
        for index in 5..=7 {
            places.set(Index(index), at(1, index as u32 * 8));
        }
        for index in 8..=10 {
            places.set(Index(index), at(2, index as u32 * 8));
        }
        places
    }

    #[test]
    fn places_are_found_by_index_over_segments_and_nothing_else_is() {
        let places = places();
        assert_eq!(places.from(Index(6), 3), [at(1, 48), at(1, 56), at(2, 64)]);
        assert_eq!(places.from(Index(9), 100), [at(2, 72), at(2, 80)]);
        for unknown in [0, 4, 11, u64::MAX] {
            assert_eq!(places.from(Index(unknown), 3), []);
        }
        assert_eq!(EntryPlaces::default().from(Index(0), 3), []);
    }

    #[test]
    fn an_entry_written_again_takes_all_behind_it_with_it() {
        let mut places = places();
        places.set(Index(7), at(3, 8));
        assert_eq!(places.from(Index(6), 9), [at(1, 48), at(3, 8)]);
        places.set(Index(5), at(4, 8));
        assert_eq!(places.from(Index(5), 9), [at(4, 8)]);
        places.set(Index(3), at(5, 8));
        assert_eq!(places.from(Index(3), 9), [at(5, 8)]);
    }

    #[test]
    fn behind_a_hole_only_what_follows_is_known() {
        let mut places = places();
        places.set(Index(20), at(3, 8));
        assert_eq!(places.from(Index(10), 9), []);
        assert_eq!(places.from(Index(20), 9), [at(3, 8)]);
    }

    #[test]
    fn what_was_let_go_is_forgotten() {
        let mut places = places();
        places.trim(SegmentId(1));
        assert_eq!(places.from(Index(5), 1), [at(1, 40)]);
        places.trim(SegmentId(2));
        assert_eq!(places.from(Index(7), 1), []);
        assert_eq!(places.from(Index(8), 1), [at(2, 64)]);
        places.trim(SegmentId(9));
        assert_eq!(places.from(Index(8), 1), []);
        places.set(Index(11), at(9, 8));
        assert_eq!(places.from(Index(11), 2), [at(9, 8)]);
    }

    #[test]
    fn no_more_are_kept_than_the_bound() {
        let mut places = EntryPlaces::default();
        let count = ENTRY_PLACES_MAX as u64 + 3;
        for index in 1..=count {
            places.set(Index(index), at(1 + (index / 1_000) as u32, 8));
        }
        assert_eq!(places.from(Index(3), 1), []);
        assert_eq!(places.from(Index(4), 1), [at(1, 8)]);
        assert_eq!(places.from(Index(count), 1).len(), 1);
        assert_eq!(places.stretches.len() as u64, 1 + count / 1_000);
    }
}
