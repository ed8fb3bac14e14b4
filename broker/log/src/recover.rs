//! What opening a log tells its owner, and what it found.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::checkpoint::Checkpoint;
use crate::entry::{Entry, EntryKind, HardState};
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::limits::FINDINGS_MAX;

/// Takes what [`crate::Log::open`] finds, in one pass over the files.
///
/// Order: first all `checkpoint` calls, then `committed` calls (groups interleaved, each group in index order), then
/// one `group` call per group known to the log.
pub trait Recover {
    /// The newest readable checkpoint of a group. False: it cannot be used, try the older one.
    fn checkpoint(&mut self, group: GroupId, checkpoint: &Checkpoint<'_>) -> bool;

    /// An entry known to be committed. Entries at or below the checkpoint come too: they only feed the room index.
    fn committed(&mut self, group: GroupId, entry: RecoveredEntry<'_>);

    /// All else about a group, once.
    fn group(&mut self, group: GroupId, end: GroupRecovery);
}

/// An entry read back.
#[derive(Clone, Copy, Debug)]
pub struct RecoveredEntry<'a> {
    /// Its number.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// What it is to Raft.
    pub kind: EntryKind,
    /// Its payload; may be cloned (shared) and kept.
    pub payload: &'a Bytes,
    /// Where its block stands.
    pub position: LogPosition,
}

/// From `first` on, up to the next run, entries have this term.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TermRun {
    /// First index of the run.
    pub first: Index,
    /// Its term.
    pub term: Term,
}

/// The end of a group's recovery.
#[derive(Clone, Debug, Default)]
pub struct GroupRecovery {
    /// As persisted; `commit` is clamped to `last`.
    pub hard_state: HardState,
    /// First index whose entry is in the log; `last + 1` if there is none.
    pub first: Index,
    /// Last index usable; 0 if there is none. With damage: the one before the hole.
    pub last: Index,
    /// Terms of the entries `first..=last`, ascending.
    pub terms: Vec<TermRun>,
    /// The checkpoint that was accepted.
    pub checkpoint: Option<(Index, Term)>,
    /// Entries above `hard_state.commit`, ascending, with their positions: durable, but not known to be committed.
    pub unsettled: Vec<(Entry, LogPosition)>,
    /// Set: part of this group is lost. It is served up to `last` and must not accept appends, lead or vote.
    pub damage: Option<GroupDamage>,
}

/// Why a group's log cannot be trusted to be whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GroupDamage {
    /// First index that is lost or may be. The group is served up to it and takes no appends. `None`: only the hard
    /// state is in doubt, which does not stop a group that is alone in its vote.
    pub hole: Option<Index>,
    /// Next index seen behind the hole; `None`: everything after it may be lost.
    pub seen_again: Option<Index>,
    /// A term or a vote may be lost: the replica must not vote.
    pub hard_state_lost: bool,
    /// The damaged range of the log, as far as it is known.
    pub from: LogPosition,
    /// Its exclusive end.
    pub end: LogPosition,
}

/// How the directory was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// There was no log.
    Fresh,
    /// It was closed in order.
    Clean,
    /// It was not closed; what was never acknowledged may have been cut at the end.
    Unclean,
    /// Something that was durable is gone or cannot be read.
    Damaged,
}

/// What opening did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovery {
    /// How the directory was found.
    pub outcome: Outcome,
    /// Bytes read from segments and checkpoints.
    pub bytes_read: u64,
    /// Everything below is durable.
    pub sync_end: LogPosition,
    /// Segments found that hold a part of the log.
    pub segments: u32,
    /// What was found, in order.
    pub findings: Vec<Finding>,
    /// Findings beyond `FINDINGS_MAX`: counted only.
    pub findings_dropped: u64,
}

/// One thing found out of order.
///
/// Whoever counts what recovery meets matches all of them: another variant is to break that match.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finding {
    /// The log ended in the middle of a write that nobody was told about: it was cut there.
    Torn {
        /// New end.
        at: LogPosition,
    },
    /// Bytes that were durable cannot be read.
    Damage {
        /// First byte.
        from: LogPosition,
        /// First byte that is readable again.
        end: LogPosition,
        /// The group of the only block that stood there, if that is known: no other group has lost anything.
        only: Option<GroupId>,
    },
    /// The disk cannot read this part of the file.
    Unreadable {
        /// Where.
        from: LogPosition,
        /// Exclusive end.
        end: LogPosition,
    },
    /// A segment is shorter than it says.
    Short {
        /// Which.
        segment: SegmentId,
        /// Bytes in the file.
        bytes: u64,
        /// Bytes that should be there.
        declared: u32,
    },
    /// A segment that a later one names is not there.
    Missing {
        /// Which.
        segment: SegmentId,
    },
    /// A segment's header cannot be read; its blocks are.
    Header {
        /// Which.
        segment: SegmentId,
    },
    /// A segment's first block cannot be read; what it said is known from the segments before, if there are.
    State {
        /// Which.
        segment: SegmentId,
    },
    /// One of a segment's mark slots cannot be read; the other one counts.
    Slot {
        /// Which.
        segment: SegmentId,
    },
    /// A segment with valid blocks that no later segment names. It was not read further and not removed.
    Unlinked {
        /// Which.
        segment: SegmentId,
    },
    /// A valid block contradicts what came before it (a bug, or forged): its group is damaged from there on.
    Contradiction {
        /// Its position.
        at: LogPosition,
        /// Its group.
        group: GroupId,
    },
    /// A checkpoint file cannot be read or used; the older one is tried.
    Checkpoint {
        /// Whose.
        group: GroupId,
        /// Which.
        index: Index,
    },
}

/// Findings, up to a bound.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) list: Vec<Finding>,
    pub(crate) dropped: u64,
}

impl Findings {
    pub(crate) fn tell(&mut self, finding: Finding) {
        if self.list.len() < FINDINGS_MAX {
            self.list.push(finding);
        } else {
            self.dropped += 1;
        }
    }
}
