//! Questions: how far must this replica have applied, to answer as of now.
//!
//! A leader has a majority confirm that it still leads; another replica has its leader do so, which tells what was committed when the question came.
//! Whatever was acked anywhere before is at or below that. Numbers are never those of another life of the node: a confirmation for a question of before
//! the restart says too little, and may still be under way.

use antiphon_log::{GroupId, Index};
use antiphon_protocol::NodeId;
use antiphon_protocol::peer::ReadContext;

use super::drawing::mixed;
use crate::core::Now;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// The first and the newest of this life.
    asked: Option<(u64, u64)>,
    /// The newest one that is confirmed, and how far to apply.
    confirmed: Option<(u64, Index)>,
}

impl Questions {
    /// The next question.
    pub(super) fn ask(&mut self, first: impl FnOnce() -> u64) -> u64 {
        let (first, newest) = match self.asked {
            None => {
                let first = first();
                (first, first)
            }
            Some((first, newest)) => (first, newest + 1),
        };
        self.asked = Some((first, newest));
        newest
    }

    /// One is confirmed, unless it is none of ours: an earlier life's, another node's, or older than what is known.
    pub(super) fn confirm(&mut self, node: NodeId, context: ReadContext, index: Index) {
        let is_asked = |(first, newest): (u64, u64)| (first..=newest).contains(&context.number);
        let is_ours = context.node == node && self.asked.is_some_and(is_asked);
        let is_newer = self
            .confirmed
            .is_none_or(|(known, _)| known < context.number);
        if is_ours && is_newer {
            self.confirmed = Some((context.number, index));
        }
    }

    /// Whether question `number` is confirmed, and everything that was committed when it was asked is applied.
    pub(super) fn is_readable(&self, number: u64, applied: Index) -> bool {
        self.confirmed
            .is_some_and(|(confirmed, index)| number <= confirmed && index <= applied)
    }
}

/// Where a life of a node starts to count: the seed is another one in each process; where it is fixed, the time differs.
pub(super) fn first_question(seed: u64, group: GroupId, now: Now) -> u64 {
    let parts = [u64::from(group.0), now.wall.0, now.mono_ms];
    // Far below the end of the numbers.
    parts.into_iter().fold(seed, mixed) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: NodeId = NodeId(2);

    fn of(node: NodeId, number: u64) -> ReadContext {
        ReadContext { node, number }
    }

    #[test]
    fn an_answer_counts_for_the_questions_up_to_its_own() {
        let mut questions = Questions::default();
        assert_eq!(questions.ask(|| 70), 70);
        assert_eq!(questions.ask(|| 0), 71);
        assert_eq!(questions.ask(|| 0), 72);
        questions.confirm(HERE, of(HERE, 71), Index(9));
        assert!(questions.is_readable(71, Index(9)) && questions.is_readable(70, Index(10)));
        assert!(!questions.is_readable(71, Index(8)), "not applied");
        assert!(!questions.is_readable(72, Index(10)), "asked later");
        questions.confirm(HERE, of(HERE, 70), Index(5));
        assert!(
            !questions.is_readable(71, Index(8)),
            "an answer that is late"
        );
    }

    #[test]
    fn an_answer_to_another_life_or_node_says_nothing() {
        let mut questions = Questions::default();
        questions.confirm(HERE, of(HERE, 0), Index(1));
        let number = questions.ask(|| 70);
        for context in [of(HERE, 69), of(HERE, 71), of(NodeId(3), 70)] {
            questions.confirm(HERE, context, Index(1));
            assert!(!questions.is_readable(number, Index(9)), "{context:?}");
        }
    }

    #[test]
    fn lives_count_from_elsewhere() {
        let now = |ms| Now {
            mono_ms: ms,
            wall: antiphon_protocol::Timestamp(ms),
        };
        let first = first_question(7, GroupId(1), now(5));
        assert_ne!(first, first_question(7, GroupId(1), now(6)), "time");
        assert_ne!(first, first_question(8, GroupId(1), now(5)), "seed");
        assert_ne!(first, first_question(7, GroupId(2), now(5)), "group");
    }
}
