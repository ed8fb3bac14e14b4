//! The numbers of the log: groups, Raft indexes and terms, segments and positions.

use core::fmt;

/// A Raft group: 0 is the meta group, 1 + p is partition p.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupId(pub u32);

/// Number of an entry in its group, dense from 1; 0 stands before the first.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Index(pub u64);

/// Raft's election number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Term(pub u64);

/// Number of a segment file, from 1; rises from file to file, not always by one.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SegmentId(pub u32);

/// A place in the log: segment in the upper 32 bits, offset in the file in the lower 32. Ordered as written.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LogPosition(u64);

impl Index {
    /// The index after this one.
    #[must_use]
    pub const fn next(self) -> Index {
        Index(self.0.saturating_add(1))
    }

    /// The index before this one; 0 stays 0.
    #[must_use]
    pub const fn before(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl SegmentId {
    /// The next number.
    #[must_use]
    pub const fn next(self) -> SegmentId {
        SegmentId(self.0.saturating_add(1))
    }
}

impl LogPosition {
    /// Before everything.
    pub const ZERO: LogPosition = LogPosition(0);

    /// The byte at `offset` of `segment`.
    #[must_use]
    pub const fn new(segment: SegmentId, offset: u32) -> LogPosition {
        LogPosition((segment.0 as u64) << 32 | offset as u64)
    }

    /// As it stands in a file.
    #[must_use]
    pub const fn from_wire(wire: u64) -> LogPosition {
        LogPosition(wire)
    }

    /// For a file.
    #[must_use]
    pub const fn wire(self) -> u64 {
        self.0
    }

    /// The segment.
    #[must_use]
    pub const fn segment(self) -> SegmentId {
        SegmentId((self.0 >> 32) as u32)
    }

    /// The offset in the segment's file.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment(), self.offset())
    }
}
