//! The answer of a fetch: whole, ascending, and what was asked for.

use crate::checkers::view::View;
use crate::checkers::{Anomaly, Check, EventNo};
use crate::history::{GapRange, Op, Range, Record, Room, Seq, What};

/// Checks one answer against its request; at most one violation.
pub(super) fn check(
    view: &View<'_>,
    asked: (EventNo, &What),
    answer: (EventNo, &What),
    check: &mut Check,
) {
    let What::Fetch {
        room, range, limit, ..
    } = *asked.1
    else {
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
    let is_around = matches!(range, Range::Around(_));
    let wrong = chain(records, gaps)
        .map_err(|wrong| (wrong, false))
        .and_then(|ends| {
            let bounds = bounds((range, limit), *head, ends, is_open);
            bounds.map(|()| ends).map_err(|wrong| (wrong, is_around))
        });
    let anomaly = match wrong {
        Err(((expected, got), true)) if expected < got => Anomaly::LatePage { op, expected, got },
        Err(((expected, got), _)) => Anomaly::WrongPage { op, expected, got },
        Ok(ends) if is_wrong_time(view, (room, range), *head, ends) => {
            let first = ends.map_or(head.next(), |(first, _)| first);
            Anomaly::WrongTime { op, first }
        }
        // Gaps make the number unknown.
        Ok(_) if !gaps.is_empty() => return,
        Ok(ends) => {
            let there = there(range, limit, *head, ends).min(u64::from(limit));
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

/// Whether a page by time begins elsewhere than acks tell.
fn is_wrong_time(
    view: &View<'_>,
    (room, range): (Room, Range),
    head: Seq,
    ends: Option<(Seq, Seq)>,
) -> bool {
    let Range::Time(time) = range else {
        return false;
    };
    let first = ends.map_or(head.next(), |(first, _)| first);
    is_not_from(view, room, time, (first, head))
}

/// Whether acks tell that a room's first record of that time or later is not `first`; one above the head: that there is none.
pub(super) fn is_not_from(
    view: &View<'_>,
    room: Room,
    time: u64,
    (first, head): (Seq, Seq),
) -> bool {
    let told = view.acks.iter().filter(|ack| {
        let is_told = ack.time != 0 && ack.seq != Seq(0);
        is_told && ack.message.0 == room && ack.seq <= head
    });
    told.into_iter().any(|ack| {
        let is_passed_over = ack.seq < first && ack.time >= time;
        let is_too_early = ack.seq >= first && ack.time < time;
        is_passed_over || is_too_early
    })
}

/// Whether it touches the position that was named. An open gap at its end reaches every position.
fn bounds(
    (range, limit): (Range, u32),
    head: Seq,
    ends: Option<(Seq, Seq)>,
    is_open: bool,
) -> Result<(), Wrong> {
    let Some((first, last)) = ends else {
        return Ok(());
    };
    let (expected, got) = match range {
        Range::Latest => (head, last),
        Range::Before(position) => (Seq(position.0.saturating_sub(1)).min(head), last),
        Range::After(position) => (position.next(), first),
        Range::Around(position) => (around(position, limit).0, first),
        Range::Time(_) => return Ok(()),
    };
    let is_reached = match range {
        Range::After(_) => false,
        // What is around a position behind the last record begins with that gap.
        Range::Around(position) => position > head && first == head.next(),
        _ => expected < got,
    };
    if expected == got || is_open && is_reached {
        Ok(())
    } else {
        Err((expected, got))
    }
}

/// The first and the last record around a position, if the room has that many.
fn around(position: Seq, limit: u32) -> (Seq, Seq) {
    let (below, limit) = (u64::from(limit / 2), u64::from(limit));
    let first = position.0.saturating_sub(below).max(1);
    let last = position.0.saturating_add(limit - below).saturating_sub(1);
    (Seq(first), Seq(last))
}

/// How many records the range has.
fn there(range: Range, limit: u32, head: Seq, ends: Option<(Seq, Seq)>) -> u64 {
    match range {
        Range::Latest => head.0,
        Range::Before(position) => position.0.saturating_sub(1).min(head.0),
        Range::After(position) => head.0.saturating_sub(position.0),
        Range::Around(position) => {
            let (first, last) = around(position, limit);
            (last.min(head).0 + 1).saturating_sub(first.0)
        }
        // What is empty has been compared with the acks.
        Range::Time(_) => ends.map_or(0, |(first, _)| head.0 + 1 - first.0.min(head.0 + 1)),
    }
}
