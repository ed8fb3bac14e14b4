//! Readers of history: one page per request; the edge asks on when its client has room.

use alloc::boxed::Box;
use core::ops::Range;

use antiphon_protocol::{Code, GapReason, Link, RoomId, Seq};
use bytes::Bytes;

use crate::core::CoreId;
use crate::home::desk::{Asker, Turn};
use crate::home::limits::SLICE_BYTES_MAX;
use crate::home::partition::Partition;
use crate::home::partition::slicing::{Found, HotSlice};
use crate::home::reads::{GapReader, TimeReader};
use crate::home::state::head_at_start;
use crate::lane::{Fetch, FetchRange, Gap, Head, Page, Refused, ToEdge};
use crate::read::{PageRoute, ReadPurpose};

impl Partition {
    /// A client reads history.
    pub(super) fn fetch(&mut self, turn: &mut Turn<'_>, edge: CoreId, fetch: Fetch) {
        if let Some(code) = self.impairment().filter(|code| *code != Code::DAMAGED) {
            return self.refuse_fetch(turn, edge, &fetch, code);
        }
        let Some(room) = self.resolve_room(fetch.namespace, &fetch.room) else {
            let code = self.impairment().unwrap_or(Code::NOT_FOUND);
            return self.refuse_fetch(turn, edge, &fetch, code);
        };
        if let FetchRange::Time(time) = fetch.range {
            let reader = TimeReader::Fetch(Box::new(fetch));
            return self.seek_time(turn, edge, room, time, reader);
        }
        let head = self
            .state
            .room(room)
            .map_or_else(|| head_at_start(room), |room| room.head);
        let (from, until) = span(
            fetch.range,
            u64::from(fetch.limit),
            head,
            self.first_kept(room),
        );
        let is_cut = self.impairment() == Some(Code::DAMAGED)
            && goes_beyond(fetch.range, u64::from(fetch.limit), head);
        if from < until {
            let end = if is_cut { Seq::LAST.next() } else { until };
            return self.fetch_records(turn, edge, fetch, room, from..until, end);
        }
        if is_cut {
            return self.page_lost_end(turn, edge, &fetch, head);
        }
        let link = self.hot_link(room, from.previous()).unwrap_or(head.link);
        let nothing = Content {
            room,
            gap: None,
            first: from,
            next: from,
            until: from,
            link,
            records: Bytes::new(),
        };
        self.page(turn, edge, &fetch, nothing);
    }

    /// Answers with records out of `span`, all readable ones there being wanted. The whole answer ends at `end`: at the span's, or behind a gap that follows it.
    fn fetch_records(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        fetch: Fetch,
        room: RoomId,
        span: Range<Seq>,
        end: Seq,
    ) {
        let bytes_max = fetch.bytes_max.min(SLICE_BYTES_MAX);
        let from = span.start;
        match self.find_records(room, from, span.end, bytes_max) {
            Found::Hot(HotSlice {
                next,
                link_before: link,
                records,
            }) => {
                turn.desk.stats.reads_hot += 1;
                self.page(
                    turn,
                    edge,
                    &fetch,
                    Content {
                        room,
                        gap: None,
                        first: from,
                        next,
                        until: end,
                        link,
                        records,
                    },
                );
            }
            Found::Cold(sought) => {
                let head = self.state.room(room).map_or(Seq(0), |room| room.head.seq);
                let first_kept = self.first_kept(room);
                let route = PageRoute {
                    conn: fetch.conn,
                    ticket: fetch.ticket,
                    until: end,
                    head,
                    first_kept,
                };
                turn.read_for_edge(edge, ReadPurpose::Page(route), sought);
            }
            Found::Missing(Some(readable))
                if readable < span.end
                    || self.missing_reason(room, from) == GapReason::RETENTION =>
            {
                self.read_gap(
                    turn,
                    edge,
                    room,
                    from,
                    readable,
                    GapReader::Fetch(Box::new(fetch), end),
                );
            }
            Found::Missing(None) if self.missing_reason(room, from) == GapReason::RETENTION => {
                let head = self.known_room(room).head;
                let gap = Gap {
                    from,
                    to: head.seq,
                    link: head.link,
                    reason: GapReason::RETENTION,
                };
                self.page_gap(turn, edge, &fetch, end, gap);
            }
            Found::Missing(_) => self.refuse_fetch(turn, edge, &fetch, Code::DAMAGED),
        }
    }

    /// Tells a reader of history who asked beyond the last readable record of a damaged partition that whatever followed is lost: without it, a cut
    /// room would look like a whole one.
    fn page_lost_end(&self, turn: &mut Turn<'_>, edge: CoreId, fetch: &Fetch, head: Head) {
        let apply_end = head.seq.next();
        let from = match fetch.range {
            FetchRange::After(position) => position.next().max(apply_end),
            FetchRange::Latest
            | FetchRange::Before(_)
            | FetchRange::Around(_)
            | FetchRange::Time(_) => apply_end,
        };
        let gap = Gap {
            from,
            to: Seq::LAST,
            link: Link(0),
            reason: GapReason::DAMAGED,
        };
        self.page_gap(turn, edge, fetch, gap.to.next(), gap);
    }

    /// Tells a reader of history what is missing; it goes on behind that.
    pub(super) fn page_gap(
        &self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        fetch: &Fetch,
        until: Seq,
        gap: Gap,
    ) {
        let room = self
            .resolve_room(fetch.namespace, &fetch.room)
            .expect("INV-HOME-42: a room that was found stays");
        // The link before the gap is known only if the record there is in memory; 0 says that it is not.
        let link = self.hot_link(room, gap.from.previous()).unwrap_or(Link(0));
        let next = gap.to.next();
        let content = Content {
            room,
            gap: Some(gap),
            first: next,
            next,
            until: until.max(next),
            link,
            records: Bytes::new(),
        };
        self.page(turn, edge, fetch, content);
    }

    pub(super) fn refuse_fetch(
        &self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        fetch: &Fetch,
        code: Code,
    ) {
        let asker = Asker {
            edge,
            conn: fetch.conn,
            request: fetch.request,
        };
        turn.desk
            .refuse(asker, Refused::Fetch(fetch.ticket), code, 0);
    }

    fn page(&self, turn: &mut Turn<'_>, edge: CoreId, fetch: &Fetch, content: Content) {
        let Content {
            room,
            gap,
            first,
            next,
            until,
            link,
            records,
        } = content;
        let head = self.state.room(room).map_or(Seq(0), |room| room.head.seq);
        let page = Page {
            conn: fetch.conn,
            ticket: fetch.ticket,
            room,
            gap,
            first,
            next,
            until,
            link_before: link,
            head,
            first_kept: self.first_kept(room),
            records,
        };
        turn.desk.send(edge, ToEdge::Page(Box::new(page)));
    }
}

/// What a page holds.
struct Content {
    room: RoomId,
    gap: Option<Gap>,
    first: Seq,
    next: Seq,
    until: Seq,
    /// Link before the first record, or before the gap.
    link: Link,
    records: Bytes,
}

/// The seqs `from..until` that a range means; empty if `from >= until`.
fn span(range: FetchRange, limit: u64, head: Head, first_kept: Seq) -> (Seq, Seq) {
    let apply_end = head.seq.next();
    let oldest = first_kept.max(Seq(1));
    match range {
        FetchRange::Latest => (
            Seq(apply_end.0.saturating_sub(limit))
                .max(oldest)
                .min(apply_end),
            apply_end,
        ),
        FetchRange::Before(position) => {
            let until = position.min(apply_end).max(Seq(1));
            (
                Seq(until.0.saturating_sub(limit)).max(oldest).min(until),
                until,
            )
        }
        FetchRange::Around(position) => {
            let half = limit / 2;
            let from = Seq(position.0.saturating_sub(half))
                .max(oldest)
                .min(apply_end);
            let until = Seq(position.0.saturating_add(limit - half)).min(apply_end);
            (from, until.max(from))
        }
        // Sought first: then it is a range above a position.
        FetchRange::Time(_) => (apply_end, apply_end),
        FetchRange::After(position) => {
            let from = position.next().min(apply_end);
            (from, Seq(from.0.saturating_add(limit)).min(apply_end))
        }
    }
}

/// Whether a range asks for seqs above the head: for whatever came last, for more than there is above a position, or for what is below a position there.
fn goes_beyond(range: FetchRange, limit: u64, head: Head) -> bool {
    match range {
        FetchRange::Latest => true,
        FetchRange::Before(position) => position > head.seq.next(),
        FetchRange::Around(position) => {
            let above = limit - limit / 2;
            position.0.saturating_add(above) > head.seq.next().0
        }
        FetchRange::Time(_) => true,
        FetchRange::After(position) => {
            position < Seq::LAST && position.0.saturating_add(limit) > head.seq.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_for_more_than_there_is_goes_beyond() {
        let head = Head {
            seq: Seq(10),
            ..Head::default()
        };
        let beyond = |range, limit| goes_beyond(range, limit, head);
        assert!(beyond(FetchRange::Latest, 1));
        assert!(!beyond(FetchRange::Before(Seq(11)), 1));
        assert!(beyond(FetchRange::Before(Seq(12)), 1));
        assert!(!beyond(FetchRange::After(Seq(8)), 2));
        assert!(beyond(FetchRange::After(Seq(8)), 3));
        assert!(beyond(FetchRange::After(Seq(10)), 1));
        assert!(!beyond(FetchRange::After(Seq::LAST), 1), "nothing is there");
    }

    #[test]
    fn ranges_are_clipped_to_what_exists() {
        let head = Head {
            seq: Seq(10),
            ..Head::default()
        };
        let at = |range, limit, kept| {
            let (from, until) = span(range, limit, head, Seq(kept));
            (from.0, until.0)
        };
        assert_eq!(at(FetchRange::Latest, 3, 1), (8, 11));
        assert_eq!(at(FetchRange::Latest, 99, 1), (1, 11));
        assert_eq!(at(FetchRange::Latest, 99, 5), (5, 11));
        assert_eq!(at(FetchRange::Before(Seq(4)), 2, 1), (2, 4));
        assert_eq!(at(FetchRange::Before(Seq(1)), 2, 1), (1, 1));
        assert_eq!(at(FetchRange::Before(Seq(0)), 2, 1), (1, 1));
        assert_eq!(at(FetchRange::Before(Seq(99)), 2, 1), (9, 11));
        assert_eq!(at(FetchRange::Around(Seq(5)), 4, 1), (3, 7));
        assert_eq!(at(FetchRange::Around(Seq(5)), 5, 1), (3, 8));
        assert_eq!(at(FetchRange::Around(Seq(5)), 1, 1), (5, 6));
        assert_eq!(at(FetchRange::Around(Seq(1)), 6, 1), (1, 4));
        assert_eq!(at(FetchRange::Around(Seq(10)), 6, 9), (9, 11));
        assert_eq!(at(FetchRange::Around(Seq(99)), 6, 1), (11, 11));
        assert_eq!(at(FetchRange::After(Seq(0)), 4, 1), (1, 5));
        assert_eq!(at(FetchRange::After(Seq(9)), 4, 1), (10, 11));
        assert_eq!(at(FetchRange::After(Seq(10)), 4, 1), (11, 11));
        assert_eq!(at(FetchRange::After(Seq(u64::MAX)), 4, 1), (11, 11));
    }
}
