//! What the log knows of each group: the facts that STATE repeats.

use alloc::vec::Vec;

use crate::entry::HardState;
use crate::ids::{Index, Term};
use crate::recover::TermRun;

/// The facts of one group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GroupState {
    /// `commit <= last`, unless the group is damaged.
    pub(crate) hard_state: HardState,
    /// First index in the log; `last + 1` if there is none.
    pub(crate) first: Index,
    /// Last index in the log; with a hole: the one before it.
    pub(crate) last: Index,
    /// Terms of `first..=last`, or of the newest part of that.
    pub(crate) runs: TermRuns,
    /// Newest checkpoint.
    pub(crate) checkpoint: Option<(Index, Term)>,
    /// First index that is lost, or may be.
    pub(crate) hole: Option<Index>,
    /// A term or vote may be lost.
    pub(crate) hard_state_lost: bool,
}

impl Default for GroupState {
    fn default() -> Self {
        GroupState {
            hard_state: HardState::default(),
            first: Index(1),
            last: Index(0),
            runs: TermRuns::default(),
            checkpoint: None,
            hole: None,
            hard_state_lost: false,
        }
    }
}

impl GroupState {
    /// Takes the entry `(index, term)`: it follows the last one, or overrides from there on.
    pub(crate) fn append(&mut self, index: Index, term: Term) {
        assert!(
            index <= self.last.next(),
            "INV-LOG-4: index {index} leaves a hole behind {}",
            self.last
        );
        assert!(
            index > self.hard_state.commit,
            "INV-LOG-5: index {index} cuts below commit {}",
            self.hard_state.commit
        );
        self.cut(index);
        if self.last < self.first {
            self.first = index;
        }
        self.runs.push(index, term);
        self.last = index;
    }

    /// Forgets the entries from `from` on.
    pub(crate) fn cut(&mut self, from: Index) {
        if from > self.last {
            return;
        }
        self.runs.cut(from);
        self.last = from.before();
        self.first = self.first.min(from);
    }
}

/// Terms of a group's entries, run by run, ascending.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct TermRuns(Vec<TermRun>);

impl TermRuns {
    pub(crate) fn from_runs(runs: Vec<TermRun>) -> TermRuns {
        TermRuns(runs)
    }

    pub(crate) fn push(&mut self, index: Index, term: Term) {
        if self.last_term() != Some(term) {
            self.0.push(TermRun { first: index, term });
        }
    }

    pub(crate) fn cut(&mut self, from: Index) {
        while self.0.last().is_some_and(|run| run.first >= from) {
            self.0.pop();
        }
    }

    /// Term of the entry at `index`, if it lies in one of the runs.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        self.0
            .iter()
            .rev()
            .find(|run| run.first <= index)
            .map(|run| run.term)
    }

    /// Term of the last entry.
    pub(crate) fn last_term(&self) -> Option<Term> {
        self.0.last().map(|run| run.term)
    }

    /// At most the `count` newest runs.
    pub(crate) fn newest(&self, count: usize) -> &[TermRun] {
        &self.0[self.0.len().saturating_sub(count)..]
    }

    pub(crate) fn into_runs(self) -> Vec<TermRun> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::GroupState;
    use crate::ids::{Index, Term};

    #[test]
    fn an_override_cuts_entries_and_their_terms() {
        let mut group = GroupState::default();
        for (index, term) in [(1, 1), (2, 1), (3, 2), (4, 3), (3, 4)] {
            group.append(Index(index), Term(term));
        }
        assert_eq!((group.first, group.last), (Index(1), Index(3)));
        let runs: alloc::vec::Vec<_> = group
            .runs
            .newest(9)
            .iter()
            .map(|run| (run.first.0, run.term.0))
            .collect();
        assert_eq!(runs, [(1, 1), (3, 4)]);
    }

    #[test]
    #[should_panic(expected = "INV-LOG-5")]
    fn an_override_at_the_commit_is_a_bug() {
        let mut group = GroupState::default();
        group.append(Index(1), Term(1));
        group.hard_state.commit = Index(1);
        group.append(Index(1), Term(2));
    }
}
