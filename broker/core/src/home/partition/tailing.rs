//! Readers that are behind: slices from memory, which can make them live, or from a reader thread, which cannot.

use antiphon_protocol::{Code, GapReason, RoomId, Seq};
use bytes::Bytes;

use crate::core::{CoreId, Output};
use crate::home::desk::Turn;
use crate::home::limits::SLICE_BYTES_MAX;
use crate::home::partition::Partition;
use crate::home::partition::slicing::Found;
use crate::home::reads::{GapReader, Purpose, Reading};
use crate::lane::{Gap, Slice, Tail, ToEdge};
use crate::read::{ReadJob, ReadPurpose, SliceRoute};

impl Partition {
    /// A subscriber that is behind asks for what follows.
    pub(super) fn tail(&mut self, turn: &mut Turn<'_>, edge: CoreId, tail: Tail) {
        let fail = |code| ToEdge::TailFailed {
            conn: tail.conn,
            ticket: tail.ticket,
            code,
        };
        if let Some(code) = self.impairment().filter(|code| *code != Code::DAMAGED) {
            return turn.desk.send(edge, fail(code));
        }
        let Some(head) = self.state.room(tail.room).map(|room| room.head) else {
            return turn.desk.send(edge, fail(Code::NOT_FOUND));
        };
        let apply_end = head.seq.next();
        if tail.from > apply_end || tail.from == Seq(0) {
            return turn.desk.send(edge, fail(Code::DIVERGED));
        }
        if tail.from == apply_end {
            // A damaged group has no more to give, and must not look as if the room were only quiet.
            if let Some(code) = self.impairment() {
                return turn.desk.send(edge, fail(code));
            }
            let slice = slice_of(
                &tail,
                None,
                apply_end,
                apply_end,
                head.link,
                Bytes::new(),
                true,
            );
            return turn.desk.send(edge, ToEdge::Slice(slice.into()));
        }
        let bytes_max = tail.bytes_max.min(SLICE_BYTES_MAX);
        match self.find_records(tail.room, tail.from, apply_end, bytes_max) {
            Found::Hot(hot) => {
                turn.desk.stats.reads_hot += 1;
                let slice = slice_of(
                    &tail,
                    None,
                    tail.from,
                    hot.next,
                    hot.link_before,
                    hot.records,
                    hot.next == apply_end,
                );
                turn.desk.send(edge, ToEdge::Slice(slice.into()));
            }
            Found::Cold(located) => {
                turn.desk.stats.reads_cold += 1;
                turn.desk.put(Output::Read(ReadJob {
                    reply_to: edge,
                    purpose: ReadPurpose::Slice(SliceRoute {
                        conn: tail.conn,
                        ticket: tail.ticket,
                    }),
                    room: tail.room,
                    from: tail.from,
                    until: apply_end,
                    bytes_max,
                    located,
                    below: turn.desk.sync_end,
                }));
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
                    reason: GapReason::DAMAGED,
                };
                self.slice_gap(turn, edge, &tail, gap);
            }
        }
    }

    /// Tells a subscriber what is missing; it goes on behind that.
    pub(super) fn slice_gap(&self, turn: &mut Turn<'_>, edge: CoreId, tail: &Tail, gap: Gap) {
        let next = gap.to.next();
        let is_end = self
            .state
            .room(tail.room)
            .is_some_and(|room| room.head.seq == gap.to);
        let slice = slice_of(
            tail,
            Some(gap),
            next,
            next,
            gap.link,
            Bytes::new(),
            is_end && self.impairment().is_none(),
        );
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
                let gap = Gap {
                    from,
                    to: readable.previous(),
                    link: hot.link_before,
                    reason: GapReason::DAMAGED,
                };
                self.tell_gap(turn, edge, &reader, gap);
            }
            Found::Cold(located) => {
                turn.desk.stats.reads_cold += 1;
                let purpose = Purpose::Gap { edge, from, reader };
                let read = turn.desk.expect_read(Reading {
                    partition: self.number,
                    purpose,
                });
                turn.desk.put(Output::Read(ReadJob {
                    reply_to: turn.settings.core,
                    purpose: ReadPurpose::Home(read),
                    room,
                    from: readable,
                    until: readable.next(),
                    bytes_max: 1,
                    located,
                    below: turn.desk.sync_end,
                }));
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

fn slice_of(
    tail: &Tail,
    gap: Option<Gap>,
    first: Seq,
    next: Seq,
    link_before: antiphon_protocol::Link,
    records: Bytes,
    ends_at_apply: bool,
) -> Slice {
    Slice {
        conn: tail.conn,
        ticket: tail.ticket,
        room: tail.room,
        gap,
        first,
        next,
        link_before,
        records,
        ends_at_apply,
    }
}
