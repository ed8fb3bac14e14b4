//! Retention: the oldest segments go, as wholes, once nobody needs them to start again.
//!
//! ```text
//!  roll: sync -> STATE of the next segment names the first one kept, sync -> cores are told -> files below it are unlinked
//! ```
//! A segment may go when, for each group, its last index there is at or below the *older* of its two checkpoints: so a checkpoint that cannot be read
//! costs nothing. A group that was damaged, or a segment of which it is not known what it holds, keeps everything from there on. A crash anywhere in
//! between leaves files below the first one kept: they do not exist, and the next open removes them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::checkpoint_files::CheckpointFiles;
use crate::disk_trait::Disk;
use crate::error::LogError;
use crate::ids::{GroupId, Index, SegmentId};
use crate::log::Log;
use crate::segment::segment_name;

/// How much of the log is kept. Whole segments only, so it is a little more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Retention {
    /// The oldest segments go while all together have more bytes than this; 0: no bound. Two stay in any case: what goes is said by beginning another
    /// one, so a lower bound would never be met, and be a reason to begin one after the other.
    pub bytes: u64,
    /// A segment goes once it was ended so long ago, in ms; 0: no bound.
    pub age_ms: u64,
}

impl Retention {
    /// Whether anything ever goes.
    #[must_use]
    pub fn is_on(self) -> bool {
        self != Retention::default()
    }
}

/// What STATE says of retention; all 0 in version 1.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Kept {
    /// Segments below do not exist; 0: none was ever removed.
    pub(crate) first: SegmentId,
    /// When the segment was begun, in ms since the epoch; 0: not known.
    pub(crate) begun_ms: u64,
}

/// A segment that is not written to any more.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) segment: SegmentId,
    pub(crate) bytes: u32,
    /// Where its last block ended; `None`: not known.
    pub(crate) end: Option<u32>,
    /// Last index of each group at its end; `None`: not known.
    pub(crate) lasts: Option<Box<[(GroupId, Index)]>>,
    /// When the next one was begun; 0: not known.
    pub(crate) ended_ms: u64,
}

/// What the log remembers of its segments.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    /// Segments below do not exist; 0: none was ever removed.
    pub(crate) first_kept: SegmentId,
    /// Ascending, all at or above `first_kept`.
    pub(crate) sealed: VecDeque<Sealed>,
    /// Files that are to be removed.
    pub(crate) dead: Vec<SegmentId>,
    /// The wall clock, as told last.
    pub(crate) wall_ms: u64,
}

impl Retained {
    /// How many of the oldest segments the settings let go.
    fn expired(&self, retention: Retention, active_bytes: u32) -> usize {
        let all: u64 = self.sealed.iter().map(|one| u64::from(one.bytes)).sum();
        let mut bytes = all + u64::from(active_bytes);
        let bytes_max = retention.bytes.max(2 * u64::from(active_bytes));
        let is_expired = |at: usize, one: &Sealed, bytes: u64| {
            // What is not known of this one is bounded by what is known of those behind it.
            let ended_ms = self
                .sealed
                .range(at..)
                .map(|one| one.ended_ms)
                .find(|ended_ms| *ended_ms > 0);
            let is_old = ended_ms
                .is_some_and(|ended| ended.saturating_add(retention.age_ms) <= self.wall_ms);
            debug_assert!(
                one.segment >= self.first_kept,
                "INV-LOG-22: what is gone is gone"
            );
            retention.bytes > 0 && bytes > bytes_max || retention.age_ms > 0 && is_old
        };
        let mut count = 0;
        for (at, one) in self.sealed.iter().enumerate() {
            if !is_expired(at, one, bytes) {
                break;
            }
            bytes -= u64::from(one.bytes);
            count = at + 1;
        }
        count
    }

    /// How many of the oldest `count` segments nobody needs to start again.
    fn removable(&self, count: usize, checkpoints: &CheckpointFiles) -> usize {
        let is_removable = |one: &&Sealed| {
            let lasts = one.lasts.as_ref();
            lasts.is_some_and(|lasts| lasts.iter().all(|last| is_covered(checkpoints, last)))
        };
        self.sealed
            .iter()
            .take(count)
            .take_while(is_removable)
            .count()
    }

    /// Groups whose checkpoints keep some of the oldest `count` segments, ascending.
    fn holding(&self, count: usize, checkpoints: &CheckpointFiles) -> Vec<GroupId> {
        let expired = self.sealed.iter().take(count);
        let newest = expired.rev().find_map(|one| one.lasts.as_deref());
        newest
            .unwrap_or_default()
            .iter()
            .filter(|last| !is_covered(checkpoints, last))
            .map(|(group, _)| *group)
            .collect()
    }

    /// The first segment kept if the oldest `count` sealed ones go.
    fn first_behind(&self, count: usize, active: SegmentId) -> SegmentId {
        match count {
            0 => self.first_kept,
            count => self.sealed.get(count).map_or(active, |one| one.segment),
        }
    }

    /// Segments below `first` are not kept any more.
    pub(crate) fn let_go(&mut self, first: SegmentId) {
        assert!(first >= self.first_kept, "INV-LOG-22: what is gone is gone");
        self.first_kept = first;
        while self.sealed.front().is_some_and(|one| one.segment < first) {
            self.dead
                .extend(self.sealed.pop_front().map(|one| one.segment));
        }
    }
}

/// Whether a group starts again without anything up to `last`, even if one checkpoint cannot be read.
fn is_covered(checkpoints: &CheckpointFiles, (group, last): &(GroupId, Index)) -> bool {
    let older = || checkpoints.older(*group);
    *last == Index(0) || older().is_some_and(|older| *last <= older)
}

impl<D: Disk> Log<D> {
    /// Tells the wall clock, in ms since the epoch: how old segments are is counted by it.
    pub fn tell_time(&mut self, wall_ms: u64) {
        self.retained.wall_ms = wall_ms;
    }

    /// Segments below do not exist any more; 0: none was ever removed.
    #[must_use]
    pub fn first_kept(&self) -> SegmentId {
        self.retained.first_kept
    }

    /// The groups that keep segments which the settings alone would let go, ascending: the older checkpoint of each does not reach far enough. None if
    /// damage keeps them.
    #[must_use]
    pub fn holding(&self) -> Vec<GroupId> {
        if self.has_holes() {
            return Vec::new();
        }
        self.retained.holding(self.expired(), &self.checkpoints)
    }

    /// Whether a group is damaged: then everything stays.
    fn has_holes(&self) -> bool {
        self.groups.values().any(|group| group.hole.is_some())
    }

    /// Begins the next segment if the oldest ones may go: only a segment's first block can say so. Tells whether they did; their files go with the
    /// next segment that is made.
    ///
    /// # Errors
    /// Final.
    pub fn retain(&mut self) -> Result<bool, LogError> {
        if self.first_removable() == self.retained.first_kept {
            return Ok(false);
        }
        self.finally(|log| log.roll().map(|()| true))
    }

    fn expired(&self) -> usize {
        let retention = self.settings.retention;
        if !retention.is_on() {
            return 0;
        }
        self.retained
            .expired(retention, self.active.segment_bytes())
    }

    fn first_removable(&self) -> SegmentId {
        let count = match self.has_holes() {
            true => 0,
            false => self.retained.removable(self.expired(), &self.checkpoints),
        };
        self.retained.first_behind(count, self.active.segment())
    }

    /// The active segment has ended: what the next one says of those before it.
    pub(crate) fn seal_active(&mut self) -> Kept {
        let lasts = self
            .groups
            .iter()
            .map(|(group, state)| (*group, state.last));
        self.retained.sealed.push_back(Sealed {
            segment: self.active.segment(),
            bytes: self.active.segment_bytes(),
            end: Some(self.active.append_end().offset()),
            lasts: Some(lasts.collect()),
            ended_ms: self.retained.wall_ms,
        });
        self.next_kept()
    }

    /// As things stand: for a segment that is begun now.
    fn next_kept(&self) -> Kept {
        let first = self.first_removable();
        if !self.settings.retention.is_on() && first == SegmentId(0) {
            return Kept::default();
        }
        Kept {
            first,
            begun_ms: self.retained.wall_ms,
        }
    }

    /// Removes the files of segments that are not kept. One that cannot be removed stays until the next open, which does not look at it.
    pub(crate) fn remove_dead(&mut self) {
        remove_segments(&self.disk, core::mem::take(&mut self.retained.dead));
    }
}

/// Unlinks segments. Their names need not be gone for good: whoever still finds one removes it again.
pub(crate) fn remove_segments<D: Disk>(disk: &D, segments: Vec<SegmentId>) {
    for segment in segments {
        let _ = disk.remove(&segment_name(segment));
    }
}
