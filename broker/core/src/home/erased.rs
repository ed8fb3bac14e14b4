//! The records of one partition that were redacted, as its log says.
//!
//! A log is never rewritten, so their bytes stay where they are: whoever hands records to readers asks here which of them to hand out as ERASED.
//! Marks stay for as long as their room: replicas let go of segments at different times, and their states must not differ for it.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

use antiphon_protocol::{RoomId, Seq};

/// See the module. Ordered, so that checkpoints are the same bytes everywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Erased {
    marks: BTreeSet<(RoomId, Seq)>,
}

impl Erased {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Marks a record; `false`: it was marked before.
    #[must_use]
    pub(crate) fn mark(&mut self, room: RoomId, seq: Seq) -> bool {
        self.marks.insert((room, seq))
    }

    /// Whether this record was redacted.
    pub(crate) fn has(&self, room: RoomId, seq: Seq) -> bool {
        !self.marks.is_empty() && self.marks.contains(&(room, seq))
    }

    /// Those among `seqs` of a room, ascending, at most `count` of them. Nothing is allocated if there are none.
    pub(crate) fn among(&self, room: RoomId, seqs: Range<Seq>, count: usize) -> Vec<Seq> {
        if self.marks.is_empty() || seqs.is_empty() {
            return Vec::new();
        }
        self.marks
            .range((room, seqs.start)..(room, seqs.end))
            .take(count)
            .map(|(_, seq)| *seq)
            .collect()
    }

    /// All of them in the order of (room, seq).
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoomId, Seq)> {
        self.marks.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_by_room_and_range_and_each_is_set_once() {
        let mut erased = Erased::default();
        assert_eq!(erased.among(RoomId(1), Seq(1)..Seq(9), 9), []);
        for (room, seq) in [(2, 5), (1, 9), (1, 3), (1, 4)] {
            assert!(erased.mark(RoomId(room), Seq(seq)));
        }
        assert!(!erased.mark(RoomId(1), Seq(9)), "marked before");
        assert_eq!(erased.len(), 4);
        assert!(erased.has(RoomId(1), Seq(3)) && !erased.has(RoomId(2), Seq(3)));
        let among = |from, until, count| erased.among(RoomId(1), Seq(from)..Seq(until), count);
        assert_eq!(among(3, 9, 9), [Seq(3), Seq(4)]);
        assert_eq!(among(4, 10, 9), [Seq(4), Seq(9)]);
        assert_eq!(among(1, 10, 2), [Seq(3), Seq(4)]);
        assert_eq!(among(9, 9, 9), []);
        let all: Vec<u64> = erased.iter().map(|(_, seq)| seq.0).collect();
        assert_eq!(all, [3, 4, 9, 5]);
    }
}
