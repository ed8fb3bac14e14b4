//! Numbers that only peers say to each other.

use crate::ids::id;

id!(
    /// A Raft group: 0 the meta group, p + 1 partition p.
    Group(u32)
);
id!(
    /// Number of an entry in its group's log, dense from 1.
    Index(u64)
);
id!(
    /// Number of an election; 0: before the first.
    Term(u64)
);
id!(
    /// Drawn at random when a cluster is made; never 0.
    ClusterId(u128)
);
id!(
    /// Of the data directory a node runs on, as in its `antiphon.dir`; never 0.
    DirectoryId(u128)
);
id!(
    /// Drawn at random when a process starts; never 0.
    Life(u64)
);
id!(
    /// Number of a peering, ascending from 1 within the life of the node that dials.
    Session(u64)
);

impl Index {
    /// The index that follows. Stays at the end of the numbers, which no log reaches.
    #[must_use]
    pub const fn next(self) -> Index {
        Index(self.0.saturating_add(1))
    }
}
