//! Readers behind: what they miss is fetched in small slices, as fast as their connection takes it.
//!
//! A connection has at most PULLS_PER_CONNECTION_MAX requests under way, and only while its outbox is nearly empty; its subscriptions and fetches take
//! turns. A core has at most PULLS_PER_CORE_MAX; connections take turns. So a slow reader holds no more than one refill, and ten thousand of them no
//! more than the core allows. While outboxes are scarce, only who has nothing to send and nothing under way is served, and few at a time.

use alloc::collections::VecDeque;

use antiphon_protocol as wire;
use antiphon_protocol::{Code, RequestId, RoomId};
use bytes::Bytes;

use super::Edge;
use super::records::{self, Piece};
use super::rooms::SubState;
use super::session::{Pull, Session};
use crate::core::ConnId;
use crate::lane::{Gap, Message, Page, Refused, Reject, Slice, Tail, Ticket, ToHome};
use crate::limits::{
    CHANNEL_RETRY_MS, PULLS_PER_CONNECTION_MAX, PULLS_PER_CORE_MAX, PULLS_SCARCE_MAX,
};
use crate::planted::{Bug, planted};
use crate::read::{PageRoute, ReadAnswer, ReadFailure, ReadPurpose, ReadRecords, SliceRoute};

/// The requests of this core's readers behind.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    /// Not answered. <= PULLS_PER_CORE_MAX
    in_flight: u32,
    /// Connections that may pull, next first; each at most once.
    queue: VecDeque<ConnId>,
    /// Reader threads were busy: no pull before.
    not_before_ms: u64,
}

impl Pulls {
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }
}

impl Edge {
    /// Something is to be fetched for a connection.
    pub(super) fn want_pull(&mut self, conn: ConnId, pull: Pull) {
        if let Some(open) = self.conns.open_mut(conn) {
            open.add_pull(pull);
            self.queue_pulls(conn);
        }
    }

    /// Has the connection looked at: it may be able to pull.
    pub(super) fn queue_pulls(&mut self, conn: ConnId) {
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        if !open.pull_queued && open.has_pulls_waiting() {
            open.pull_queued = true;
            self.pulls.queue.push_back(conn);
        }
    }

    /// Makes the requests that connections and the core have room for: one of each connection per round.
    pub(super) fn pull(&mut self) {
        if self.now.mono_ms < self.pulls.not_before_ms {
            return;
        }
        while self.pulls.in_flight < self.pulls_max() {
            let Some(conn) = self.pulls.queue.pop_front() else {
                return;
            };
            if let Some(open) = self.conns.open_mut(conn) {
                open.pull_queued = false;
            }
            if let Some(pull) = self.take_pull(conn) {
                self.request(conn, pull);
                self.queue_pulls(conn);
            }
        }
    }

    fn pulls_max(&self) -> u32 {
        if self.conns.is_scarce() {
            PULLS_SCARCE_MAX
        } else {
            PULLS_PER_CORE_MAX
        }
    }

    /// When pulls that were put off go on.
    pub(super) fn pull_deadline(&self) -> Option<u64> {
        let is_put_off =
            self.now.mono_ms < self.pulls.not_before_ms && !self.pulls.queue.is_empty();
        is_put_off.then_some(self.pulls.not_before_ms)
    }

    /// The connection's next pull, if it has room for the answer.
    fn take_pull(&mut self, conn: ConnId) -> Option<Pull> {
        let expected_end = if self.conns.is_scarce() {
            1
        } else {
            self.settings.limits.budgets.refill_below_bytes()
        };
        let slice_bytes = self.settings.limits.budgets.slice_bytes();
        let connection = self.conns.get_mut(conn)?;
        let Session::Open(open) = &mut connection.session else {
            return None;
        };
        let expected = connection.outbox.len() + open.pulls as usize * slice_bytes as usize;
        if open.pulls >= PULLS_PER_CONNECTION_MAX || expected >= expected_end {
            return None;
        }
        open.take_pull()
    }

    fn request(&mut self, conn: ConnId, pull: Pull) {
        let sent = match pull {
            Pull::Tail { sub, ticket } => self.request_tail(conn, sub, ticket),
            Pull::Page { ticket } => self.request_page(conn, ticket),
        };
        if let (Some(()), Some(open)) = (sent, self.conns.open_mut(conn)) {
            open.pulls += 1;
            self.pulls.in_flight += 1;
        }
    }

    /// `None`: the subscription is gone, or live again.
    fn request_tail(&mut self, conn: ConnId, sub: u32, ticket: Ticket) -> Option<()> {
        if !self.rooms.is_current(sub, ticket) {
            return None;
        }
        let entry = self.rooms.sub(sub);
        let SubState::Behind { next, .. } = entry.state else {
            return None;
        };
        let room = self.rooms.room(entry.room);
        let home = room.home;
        let tail = Tail {
            conn,
            ticket,
            room: room.id?,
            from: next,
            bytes_max: self.settings.limits.budgets.slice_bytes(),
        };
        self.send(home, Message::ToHome(ToHome::Tail(tail)));
        Some(())
    }

    /// One request is answered; may come after the connection has gone.
    pub(super) fn pull_answered(&mut self, conn: ConnId) {
        assert!(
            self.pulls.in_flight > 0,
            "INV-EDGE-13: a pull was answered twice"
        );
        self.pulls.in_flight -= 1;
        if let Some(open) = self.conns.open_mut(conn) {
            open.pulls -= 1;
            self.queue_pulls(conn);
        }
    }

    /// Records for a subscription that is behind.
    pub(super) fn slice(&mut self, slice: &Slice) {
        self.pull_answered(slice.conn);
        let Some(sub) = self.sub_with(slice.conn, slice.ticket) else {
            return;
        };
        let SubState::Behind { next, .. } = self.rooms.sub(sub).state else {
            return;
        };
        let start = slice.gap.map_or(slice.first, |gap| gap.from);
        if start != next || slice.next < slice.first {
            debug_assert!(false, "INV-EDGE-14: a slice starts where it was asked for");
            return self.close_subscription(sub, Code::INTERNAL);
        }
        if let Some(gap) = slice.gap.filter(|_| !planted(Bug::GapUntold)) {
            self.push_gap(slice.conn, slice.room, &gap);
        }
        if !self.push_fitting(slice.conn, &slice.records) {
            return self.close_subscription(sub, Code::INTERNAL);
        }
        let apply_end = self.rooms.room(self.rooms.sub(sub).room).apply_end;
        let is_at_end = slice.ends_at_apply && slice.next >= apply_end;
        if is_at_end || planted(Bug::LiveTooEarly) {
            self.rooms.become_live(sub, slice.next);
        } else {
            self.rooms.become_behind(sub, slice.next);
            self.want_tail(sub);
        }
    }

    /// The records a subscription needs cannot be read.
    pub(super) fn tail_failed(&mut self, conn: ConnId, ticket: Ticket, code: Code) {
        self.pull_answered(conn);
        if let Some(sub) = self.sub_with(conn, ticket) {
            self.close_subscription(sub, code);
        }
    }

    fn close_subscription(&mut self, sub: u32, code: Code) {
        let room = self.rooms.sub(sub).room;
        self.end_subscription(sub, code);
        self.leave_if_empty(room);
    }

    /// A reader thread has answered a request of this edge's reader.
    pub(crate) fn read_done(&mut self, answer: ReadAnswer) {
        let (room, from) = (answer.room, answer.from);
        match (answer.purpose, answer.result) {
            (ReadPurpose::Home(_), _) => {}
            (
                ReadPurpose::Slice(SliceRoute { conn, ticket }),
                Ok(ReadRecords {
                    first,
                    next,
                    link_before,
                    records,
                }),
            ) => {
                debug_assert_eq!(
                    first, from,
                    "INV-EDGE-14: a slice starts where it was asked for"
                );
                self.slice(&Slice {
                    conn,
                    ticket,
                    room,
                    gap: None,
                    first,
                    next,
                    link_before,
                    records,
                    ends_at_apply: false,
                });
            }
            (ReadPurpose::Slice(SliceRoute { conn, ticket }), Err(ReadFailure::Damaged)) => {
                self.tail_failed(conn, ticket, Code::DAMAGED)
            }
            (
                ReadPurpose::Slice(SliceRoute { conn, ticket }),
                Err(ReadFailure::Gone | ReadFailure::Busy),
            ) => {
                self.pull_answered(conn);
                self.put_off();
                if let Some(sub) = self.sub_with(conn, ticket)
                    && !planted(Bug::BusyForgotten)
                {
                    self.want_tail(sub);
                }
            }
            (ReadPurpose::Page(route), Ok(read)) => self.page(&page_of(room, &route, read)),
            (ReadPurpose::Page(PageRoute { conn, ticket, .. }), Err(failure)) => {
                self.page_failed(conn, ticket, failure)
            }
        }
    }

    fn page_failed(&mut self, conn: ConnId, ticket: Ticket, failure: ReadFailure) {
        let code = match failure {
            ReadFailure::Damaged => Code::DAMAGED,
            ReadFailure::Gone | ReadFailure::Busy => {
                self.pull_answered(conn);
                self.put_off();
                return self.want_pull(conn, Pull::Page { ticket });
            }
        };
        let of = Refused::Fetch(ticket);
        self.rejected(&Reject {
            conn,
            request: RequestId::PUSH,
            of,
            code,
            class: None,
            hint: 0,
            retry_after_ms: 0,
        });
    }

    /// Home or the readers have to catch up first.
    fn put_off(&mut self) {
        self.pulls.not_before_ms = self.now.mono_ms + CHANNEL_RETRY_MS;
    }

    /// Queues records, with a gap for each that its client cannot take. `false`: these are no records.
    pub(super) fn push_fitting(&mut self, conn: ConnId, records: &Bytes) -> bool {
        let Some(open) = self.conns.open(conn) else {
            return true;
        };
        let len_max = open.frame_bytes_max;
        if records.len() <= len_max as usize {
            self.conns.push(conn, records.clone());
            return true;
        }
        let conns = &mut self.conns;
        let cut = records::fitting(records, len_max, |piece| match piece {
            Piece::Records(records) => conns.push(conn, records),
            Piece::Gap(gap) => conns.write(conn, |out| gap.encode(RequestId::PUSH, out)),
        });
        debug_assert!(
            cut.is_ok(),
            "INV-EDGE-15: home sends whole records: {cut:?}"
        );
        cut.is_ok()
    }

    fn push_gap(&mut self, conn: ConnId, room_id: RoomId, gap: &Gap) {
        let Gap {
            from,
            to,
            link,
            reason,
        } = *gap;
        self.conns.write(conn, |out| {
            wire::Gap {
                room_id,
                from,
                to,
                link,
                reason,
            }
            .encode(RequestId::PUSH, out)
        });
    }
}

fn page_of(room: RoomId, route: &PageRoute, read: ReadRecords) -> Page {
    let PageRoute {
        conn,
        ticket,
        until,
        head,
        first_kept,
    } = *route;
    let ReadRecords {
        first,
        next,
        link_before,
        records,
    } = read;
    Page {
        conn,
        ticket,
        room,
        gap: None,
        first,
        next,
        until,
        link_before,
        head,
        first_kept,
        records,
    }
}
