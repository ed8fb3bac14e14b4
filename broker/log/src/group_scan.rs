//! One group's blocks, in order: what is whole, what is committed, what is lost.

use alloc::collections::VecDeque;

use bytes::Bytes;

use crate::block::{Block, BlockHead};
use crate::entry::{Entry, EntryKind};
use crate::group::GroupState;
use crate::ids::{GroupId, Index, LogPosition, Term};
use crate::recover::{GroupDamage, Recover, RecoveredEntry};

/// A range of the log.
pub(crate) type Range = (LogPosition, LogPosition);

/// What may be lost in an unreadable range in which any block may have stood.
#[derive(Clone, Copy, Debug, Default)]
struct Suspicion {
    /// Entries, or an override of entries above the commit.
    entries: bool,
    /// A term or vote. `GroupState::hard_state_lost` tells it on.
    hard_state: bool,
}

/// What has been read of one group.
#[derive(Debug, Default)]
pub(crate) struct GroupScan {
    /// What is whole. `hard_state.commit`: everything up to it has been handed over or lies before the first entry.
    pub(crate) state: GroupState,
    /// Entries above the commit, ascending.
    pub(crate) unsettled: VecDeque<(Entry, LogPosition)>,
    pub(crate) unsettled_bytes: u64,
    /// Highest commit told by any block, beyond the last entry too.
    commit_told: Index,
    suspicion: Suspicion,
    /// The accepted checkpoint of a group of which nothing was read yet, while the STATE that the log begins with is lost: it tells what was before.
    pub(crate) begins_behind: Option<Index>,
    seen_again: Option<Index>,
    /// Where `hole`, `hard_state_lost` or the suspicion come from.
    range: Range,
}

/// A block that contradicts what came before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Contradiction;

impl GroupScan {
    /// Any of this group's blocks may have stood in `range`.
    pub(crate) fn suspect(&mut self, range: Range) {
        self.suspicion = Suspicion {
            entries: true,
            hard_state: true,
        };
        self.note_range(range);
    }

    /// One block of this group stood in `range` and cannot be read.
    pub(crate) fn lose_entry(&mut self, index: Index, range: Range) {
        self.note_range(range);
        self.set_hole(index.min(self.state.last.next()));
    }

    /// A term or vote stood in `range` and cannot be read.
    pub(crate) fn lose_hard_state(&mut self, range: Range) {
        self.note_range(range);
        self.suspicion.hard_state = true;
    }

    /// Takes an APPEND.
    pub(crate) fn append(
        &mut self,
        block: &Block<'_>,
        kind: EntryKind,
    ) -> Result<(), Contradiction> {
        let BlockHead {
            index,
            term,
            commit,
            ..
        } = block.head;
        self.clear_by_entry(index, term, block.at);
        let is_override_of_committed =
            index <= self.state.hard_state.commit && self.state.hole.is_none();
        if is_override_of_committed {
            self.note_range((block.at, block.end));
            self.set_hole(self.state.hard_state.commit.next());
        }
        if self.state.hole.is_some() {
            self.seen_again = self.seen_again.or(Some(index));
            if index <= self.state.last {
                // An override of what stood before the hole.
                self.set_hole(index);
            }
        } else {
            while self
                .unsettled
                .back()
                .is_some_and(|(entry, _)| entry.index >= index)
            {
                self.pop_unsettled_back();
            }
            self.state.append(index, term);
            let payload = Bytes::copy_from_slice(block.payload);
            self.unsettled_bytes += payload.len() as u64;
            self.unsettled.push_back((
                Entry {
                    index,
                    term,
                    kind,
                    payload,
                },
                block.at,
            ));
        }
        // Only what is at or below this entry: what follows in the old suffix may be about to be overridden.
        self.commit_told = self.commit_told.max(commit.min(index));
        if is_override_of_committed {
            Err(Contradiction)
        } else {
            Ok(())
        }
    }

    /// Settles suspicion and detects holes before the entry `(index, term)` is taken.
    fn clear_by_entry(&mut self, index: Index, term: Term, at: LogPosition) {
        if self.state.hole.is_some() {
            return;
        }
        if let Some(checkpoint) = self.begins_behind.take() {
            // Whatever stood before this entry is behind the checkpoint, or a hole is left: nothing else can be told of it.
            // Where the log's own commit stood is told by the entries that follow.
            self.state.last = checkpoint.min(index.before());
            self.state.first = self.state.last.next();
            self.suspicion.entries = false;
        }
        let next = self.state.last.next();
        // The same leader went on: what it had written before has not been overridden in between.
        let is_same_leader = next == Index(1) || self.state.runs.last_term() == Some(term);
        if !self.suspicion.entries {
            if index > next {
                self.note_range((at, at));
                self.set_hole(next);
            }
        } else if is_same_leader && index >= next {
            self.suspicion.entries = false;
            if index > next {
                self.set_hole(next);
            }
        } else {
            self.suspicion.entries = false;
            self.set_hole(self.state.hard_state.commit.next());
        }
    }

    /// Takes a HARD_STATE.
    pub(crate) fn hard_state(&mut self, block: &Block<'_>) -> Result<(), Contradiction> {
        let vote = block
            .payload
            .first_chunk()
            .map(|bytes| u64::from_le_bytes(*bytes));
        let Some(vote) = vote
            .filter(|_| block.payload.len() == 8 && block.head.term >= self.state.hard_state.term)
        else {
            return Err(Contradiction);
        };
        self.state.hard_state.term = block.head.term;
        self.state.hard_state.vote = vote;
        self.state.hard_state_lost = false;
        self.suspicion.hard_state = false;
        self.commit_told = self.commit_told.max(block.head.commit);
        Ok(())
    }

    /// Takes a CHECKPOINT.
    pub(crate) fn checkpoint(&mut self, head: &BlockHead) {
        self.state.checkpoint = Some((head.index, head.term));
        self.commit_told = self.commit_told.max(head.commit);
    }

    /// Starts from a STATE before which there is nothing: `checkpoint`, the accepted one, must tell what was before.
    pub(crate) fn begin(&mut self, told: &GroupState, checkpoint: Index, at: Range) {
        self.state = told.clone();
        self.state.first = told.last.next();
        self.state.hard_state.commit = told.hard_state.commit.min(told.last);
        self.commit_told = self.state.hard_state.commit;
        self.note_range(at);
        if checkpoint < told.last {
            self.lose_beginning(checkpoint.next());
        }
    }

    /// Compares with a later STATE.
    pub(crate) fn compare(&mut self, told: &GroupState, at: Range) -> Result<(), Contradiction> {
        if let Some(checkpoint) = self.begins_behind.take()
            && self.state.hole.is_none()
        {
            self.suspicion = Suspicion::default();
            self.begin(told, checkpoint, at);
            return Ok(());
        }
        self.compare_entries(told, at);
        let ours = self.state.hard_state;
        self.state.checkpoint = told.checkpoint.or(self.state.checkpoint);
        if told.hard_state.term < ours.term {
            return Err(Contradiction);
        }
        self.state.hard_state.term = told.hard_state.term;
        self.state.hard_state.vote = told.hard_state.vote;
        self.state.hard_state_lost = told.hard_state_lost;
        self.suspicion.hard_state = false;
        self.commit_told = self.commit_told.max(told.hard_state.commit);
        Ok(())
    }

    fn compare_entries(&mut self, told: &GroupState, at: Range) {
        if self.state.hole.is_some() {
            return;
        }
        let ours_is_whole = told
            .runs
            .term_at(self.state.last)
            .is_none_or(|term| Some(term) == self.state.runs.last_term());
        let is_equal = told.last == self.state.last && ours_is_whole;
        if !self.suspicion.entries && (told.hole.is_some() || !is_equal) {
            self.note_range(at);
        }
        if let Some(hole) = told.hole {
            self.set_hole(hole);
        } else if !is_equal {
            let is_longer = told.last > self.state.last && ours_is_whole;
            self.set_hole(if is_longer {
                self.state.last.next()
            } else {
                self.state.hard_state.commit.next()
            });
        }
        self.suspicion.entries = false;
    }

    /// Hands over what is known to be committed by now.
    pub(crate) fn settle(&mut self, group: GroupId, recover: &mut impl Recover) {
        // While entries may have been overridden in an unreadable range, nothing above the commit from before it is safe.
        if self.suspicion.entries {
            return;
        }
        let commit = self.commit_told.min(self.state.last);
        while self
            .unsettled
            .front()
            .is_some_and(|(entry, _)| entry.index <= commit)
        {
            let Some((entry, position)) = self.unsettled.pop_front() else {
                break;
            };
            self.unsettled_bytes -= entry.payload.len() as u64;
            let Entry {
                index,
                term,
                kind,
                payload,
            } = &entry;
            let entry = RecoveredEntry {
                index: *index,
                term: *term,
                kind: *kind,
                payload,
                position,
            };
            recover.committed(group, entry);
        }
        self.state.hard_state.commit = self.state.hard_state.commit.max(commit);
    }

    /// There is nothing more to come. `checkpoint`: the index of the one that was accepted.
    pub(crate) fn finish(
        &mut self,
        group: GroupId,
        checkpoint: Option<Index>,
        log_end: LogPosition,
        recover: &mut impl Recover,
    ) {
        let last = self.state.last;
        if self.suspicion.entries {
            self.set_hole(last.next());
        }
        if self.suspicion.hard_state {
            self.state.hard_state_lost = true;
        }
        self.suspicion = Suspicion::default();
        let checkpoint = checkpoint.unwrap_or_default();
        if self.state.hole.is_some() {
            return;
        }
        if checkpoint > last {
            self.note_range((log_end, log_end));
            self.set_hole(last.next());
        } else {
            self.commit_told = self.commit_told.max(checkpoint);
            self.settle(group, recover);
        }
    }

    /// Why the group is damaged, if it is.
    pub(crate) fn damage(&self) -> Option<GroupDamage> {
        let GroupState {
            hole,
            hard_state_lost,
            ..
        } = self.state;
        let (from, end) = self.range;
        let damage = GroupDamage {
            hole,
            seen_again: self.seen_again,
            hard_state_lost,
            from,
            end,
        };
        (hole.is_some() || hard_state_lost).then_some(damage)
    }

    /// The entries that the log begins with start behind `hole`, and no checkpoint reaches up to them.
    fn lose_beginning(&mut self, hole: Index) {
        let hole = self.state.hole.map_or(hole, |known| known.min(hole));
        self.state.hole = Some(hole);
        self.state.hard_state.commit = self.state.hard_state.commit.min(hole.before());
        self.state.cut(hole);
    }

    /// From `hole` on nothing counts. What has been handed over stays: it lies above the commit.
    fn set_hole(&mut self, hole: Index) {
        let hole = self
            .state
            .hole
            .map_or(hole, |known| known.min(hole))
            .max(self.state.hard_state.commit.next());
        self.state.hole = Some(hole);
        self.state.cut(hole);
        while self
            .unsettled
            .back()
            .is_some_and(|(entry, _)| entry.index >= hole)
        {
            self.pop_unsettled_back();
        }
    }

    fn pop_unsettled_back(&mut self) {
        if let Some((entry, _)) = self.unsettled.pop_back() {
            self.unsettled_bytes -= entry.payload.len() as u64;
        }
    }

    fn note_range(&mut self, range: Range) {
        if self.state.hole.is_none() {
            self.range = range;
        }
    }
}
