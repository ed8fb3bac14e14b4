//! The answer of a fetch: whole, ascending, and what was asked for.

use crate::checkers::{Anomaly, Check, EventNo};
use crate::history::{GapRange, Op, Range, Record, Seq, What};

/// Checks one answer against its request; at most one violation.
pub(super) fn check(asked: (EventNo, &What), answer: (EventNo, &What), check: &mut Check) {
    let What::Fetch { range, limit, .. } = *asked.1 else {
        return;
    };
    let What::Fetched {
        op,
        head,
        records,
        gaps,
    } = answer.1
    else {
        return;
    };
    check.compare();
    let op: Op = *op;
    let is_open = gaps.iter().any(|gap| gap.to == SEQ_LAST);
    let wrong = chain(records, gaps).and_then(|ends| bounds(range, *head, ends, is_open));
    let anomaly = match wrong {
        Err((expected, got)) => Anomaly::WrongPage { op, expected, got },
        // Gaps make the number unknown.
        Ok(()) if !gaps.is_empty() => return,
        Ok(()) => {
            let there = there(range, *head).min(u64::from(limit));
            let got = records.len() as u64;
            if got == there {
                return;
            }
            Anomaly::WrongCount { op, there, got }
        }
    };
    check.violated(anomaly, &[asked.0, answer.0]);
}

type Wrong = (Seq, Seq);

/// Where a gap ends that names all that a damaged log may have held behind the last record that can be read.
const SEQ_LAST: Seq = Seq(u64::MAX - 1);

/// First and last of what came, if each follows the one before.
fn chain(records: &[Record], gaps: &[GapRange]) -> Result<Option<(Seq, Seq)>, Wrong> {
    let mut parts: Vec<(Seq, Seq)> = gaps.iter().map(|gap| (gap.from, gap.to)).collect();
    if parts.is_empty() {
        // Then also the order in which they came is seen.
        parts = records.iter().map(|one| (one.seq, one.seq)).collect();
    } else {
        parts.extend(records.iter().map(|one| (one.seq, one.seq)));
        parts.sort_unstable();
    }
    for (before, after) in parts.iter().zip(parts.iter().skip(1)) {
        if after.0 != before.1.next() {
            return Err((before.1.next(), after.0));
        }
    }
    Ok(parts.first().zip(parts.last()).map(|(a, b)| (a.0, b.1)))
}

/// Whether it touches the position that was named. An open gap at its end reaches every position.
fn bounds(range: Range, head: Seq, ends: Option<(Seq, Seq)>, is_open: bool) -> Result<(), Wrong> {
    let Some((first, last)) = ends else {
        return Ok(());
    };
    let (expected, got) = match range {
        Range::Latest => (head, last),
        Range::Before(position) => (Seq(position.0.saturating_sub(1)).min(head), last),
        Range::After(position) => (position.next(), first),
    };
    let is_last = !matches!(range, Range::After(_));
    if expected == got || is_open && is_last && expected < got {
        Ok(())
    } else {
        Err((expected, got))
    }
}

/// How many records the range has.
fn there(range: Range, head: Seq) -> u64 {
    match range {
        Range::Latest => head.0,
        Range::Before(position) => position.0.saturating_sub(1).min(head.0),
        Range::After(position) => head.0.saturating_sub(position.0),
    }
}
