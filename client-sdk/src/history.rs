//! A stretch of a room's past, asked for once.

use antiphon_protocol::{RoomId, Seq, Timestamp};

use crate::record::{Gap, Record};

/// Which records of a room to fetch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HistoryRange {
    /// The newest ones.
    Latest,
    /// The newest ones below this seq.
    Before(Seq),
    /// The oldest ones above this seq; `Seq(0)` starts at the beginning.
    After(Seq),
    /// Half of them, rounded down, right below this seq, the others from it on; fewer at the ends of the room.
    Around(Seq),
    /// The oldest ones whose time, as the broker stamped it, is at or above this one.
    Time(Timestamp),
}

/// Consecutive records of a room, ascending and checked link by link.
///
/// An empty answer to `After` means that there is nothing above the position yet. If the room's log is damaged there, so that something may have been
/// lost, the answer ends with a gap that [is open-ended](crate::Gap::is_open_ended).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// The room.
    pub room_id: RoomId,
    /// The room's last record when the broker began to answer: [`HistoryRange::Latest`] ends there.
    pub head_seq: Seq,
    /// The oldest record that the broker keeps; `Seq(0)`: none.
    pub first_seq: Seq,
    /// The records, ascending.
    pub records: Vec<Record>,
    /// The holes between them, ascending.
    pub gaps: Vec<Gap>,
}

impl History {
    /// The last seq that the answer covers, records and gaps alike: where `After` goes on.
    #[must_use]
    pub fn last_seq(&self) -> Option<Seq> {
        let record = self.records.last().map(|record| record.seq);
        let gap = self.gaps.last().map(|gap| gap.to);
        record.max(gap)
    }
}
