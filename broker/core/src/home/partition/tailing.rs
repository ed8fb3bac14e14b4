//! Readers that are behind: slices from memory, which can make them live, or from a reader thread, which cannot.

use antiphon_protocol::{Code, RoomId, Seq};
use bytes::Bytes;

use crate::core::CoreId;
use crate::home::desk::Turn;
use crate::home::limits::SLICE_BYTES_MAX;
use crate::home::partition::Partition;
use crate::home::partition::slicing::{Found, HotSlice};
use crate::home::reads::{GapReader, Purpose, Reading};
use crate::lane::{Gap, Head, Slice, Tail, ToEdge};
use crate::read::{ReadPurpose, SliceRoute};

impl Partition {
    /// A subscriber that is behind asks for what follows.
    pub(super) fn tail(&mut self, turn: &mut Turn<'_>, edge: CoreId, tail: Tail) {
        let apply_end = self.state.room(tail.room).map(|room| room.head.seq.next());
        let failure = match (self.impairment(), apply_end) {
            (Some(code), _) if code != Code::DAMAGED => Some(code),
            (_, None) => Some(Code::NOT_FOUND),
            (_, Some(apply_end)) if tail.from > apply_end || tail.from == Seq(0) => {
                Some(Code::DIVERGED)
            }
            // A damaged group has no more to give, and must not look as if the room were only quiet.
            (damaged, Some(apply_end)) if tail.from == apply_end => damaged,
            _ => None,
        };
        match (failure, self.state.room(tail.room).map(|room| room.head)) {
            (None, Some(head)) => self.slice(turn, edge, tail, head),
            (code, _) => {
                let code = code.unwrap_or(Code::NOT_FOUND);
                turn.desk.send(
                    edge,
                    ToEdge::TailFailed {
                        conn: tail.conn,
                        ticket: tail.ticket,
                        code,
                    },
                );
            }
        }
    }

    /// Answers with a slice that starts where it was asked for, at most at `apply_end`.
    fn slice(&mut self, turn: &mut Turn<'_>, edge: CoreId, tail: Tail, head: Head) {
        let apply_end = head.seq.next();
        let bytes_max = tail.bytes_max.min(SLICE_BYTES_MAX);
        if tail.from == apply_end {
            let nothing = HotSlice {
                next: apply_end,
                link_before: head.link,
                records: Bytes::new(),
            };
            return send_slice(turn, edge, &tail, nothing, true);
        }
        match self.find_records(tail.room, tail.from, apply_end, bytes_max) {
            Found::Hot(hot) => {
                turn.desk.stats.reads_hot += 1;
                let ends_at_apply = hot.next == apply_end;
                send_slice(
                    turn,
                    edge,
                    &tail,
                    hot,
                    ends_at_apply && self.impairment().is_none(),
                );
            }
            Found::Cold(sought) => {
                let route = SliceRoute {
                    conn: tail.conn,
                    ticket: tail.ticket,
                };
                turn.read_for_edge(edge, ReadPurpose::Slice(route), sought);
            }
            Found::Missing(Some(readable)) => self.read_gap(
                turn,
                edge,
                tail.room,
                tail.from,
                readable,
                GapReader::Tail(tail),
            ),
            Found::Missing(None) => {
                let gap = Gap {
                    from: tail.from,
                    to: head.seq,
                    link: head.link,
                    reason: self.missing_reason(tail.room, tail.from),
                };
                self.slice_gap(turn, edge, &tail, gap);
            }
        }
    }

    /// Tells a subscriber what is missing; it goes on behind that.
    fn slice_gap(&self, turn: &mut Turn<'_>, edge: CoreId, tail: &Tail, gap: Gap) {
        let next = gap.to.next();
        let is_end = self
            .state
            .room(tail.room)
            .is_some_and(|room| room.head.seq == gap.to);
        let slice = Slice {
            conn: tail.conn,
            ticket: tail.ticket,
            room: tail.room,
            gap: Some(gap),
            first: next,
            next,
            link_before: gap.link,
            records: Bytes::new(),
            ends_at_apply: is_end && self.impairment().is_none(),
        };
        turn.desk.send(edge, ToEdge::Slice(slice.into()));
    }

    /// Records `from..readable` cannot be read: looks up the link at the end of the gap, out of the first record behind it.
    pub(super) fn read_gap(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        room: RoomId,
        from: Seq,
        readable: Seq,
        reader: GapReader,
    ) {
        match self.find_records(room, readable, readable.next(), 1) {
            Found::Hot(hot) => {
                let reason = self.missing_reason(room, from);
                let gap = Gap::before(from, readable, hot.link_before, reason);
                self.tell_gap(turn, edge, &reader, gap);
            }
            Found::Cold(sought) => {
                let purpose = Purpose::Gap { edge, from, reader };
                turn.read_for_home(
                    Reading {
                        partition: self.number,
                        purpose,
                    },
                    sought,
                );
            }
            Found::Missing(_) => self.fail_gap(turn, edge, &reader, Code::DAMAGED),
        }
    }

    /// Hands a gap to whoever met it.
    pub(crate) fn tell_gap(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        reader: &GapReader,
        gap: Gap,
    ) {
        match reader {
            GapReader::Tail(tail) => self.slice_gap(turn, edge, tail, gap),
            GapReader::Fetch(fetch, until) => self.page_gap(turn, edge, fetch, *until, gap),
        }
    }

    /// The gap's end cannot be read either.
    pub(crate) fn fail_gap(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        reader: &GapReader,
        code: Code,
    ) {
        match reader {
            GapReader::Tail(tail) => turn.desk.send(
                edge,
                ToEdge::TailFailed {
                    conn: tail.conn,
                    ticket: tail.ticket,
                    code,
                },
            ),
            GapReader::Fetch(fetch, _) => self.refuse_fetch(turn, edge, fetch, code),
        }
    }
}

fn send_slice(turn: &mut Turn<'_>, edge: CoreId, tail: &Tail, hot: HotSlice, ends_at_apply: bool) {
    let HotSlice {
        next,
        link_before,
        records,
    } = hot;
    let Tail {
        conn,
        ticket,
        room,
        from,
        ..
    } = *tail;
    let slice = Slice {
        conn,
        ticket,
        room,
        gap: None,
        first: from,
        next,
        link_before,
        records,
        ends_at_apply,
    };
    turn.desk.send(edge, ToEdge::Slice(slice.into()));
}
