//! FETCH: history, page by page, as fast as the connection takes it.
//!
//! Home answers one page at a time; the first one fixes where the answer ends. What is still to be asked for is kept with the request.

use alloc::vec::Vec;

use antiphon_protocol as wire;
use antiphon_protocol::{Code, ErrorFrame, RequestId};

use super::Edge;
use super::records::{self, Piece};
use super::session::{Pending, Pull, range_after};
use crate::core::ConnId;
use crate::lane::{Fetch, FetchRange, Message, Page, RoomKey, Ticket, ToHome};
use crate::planted::{Bug, planted};

/// What a PAGE needs besides records: its fixed part and one GAP.
const PAGE_OVERHEAD_BYTES: u32 = 48 + 56;

impl Edge {
    /// A FETCH came.
    pub(super) fn fetch(&mut self, conn: ConnId, id: RequestId, fetch: &wire::Fetch<'_>) {
        let limit = self.settings.limits.fetch_records_max;
        if fetch.limit > limit {
            let error = ErrorFrame {
                hint: u64::from(limit),
                ..ErrorFrame::new(Code::LIMIT)
            };
            return self.answer_error(conn, id, &error);
        }
        let range = match fetch.range {
            wire::FetchRange::Latest => FetchRange::Latest,
            wire::FetchRange::Before(seq) => FetchRange::Before(seq),
            wire::FetchRange::After(seq) => FetchRange::After(seq),
            wire::FetchRange::Around(seq) => FetchRange::Around(seq),
            wire::FetchRange::Time(time) => FetchRange::Time(time),
        };
        let Some(room) = self.room_key(fetch.room) else {
            return;
        };
        let ticket = self.next_ticket();
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        open.add_request(Pending::Fetch {
            ticket,
            request: id,
            room,
            range,
            limit: fetch.limit,
        });
        self.want_pull(conn, Pull::Page { ticket });
    }

    /// Asks home for the next page. `None`: the request is gone.
    pub(super) fn request_page(&mut self, conn: ConnId, ticket: Ticket) -> Option<()> {
        let open = self.conns.open(conn)?;
        let Pending::Fetch {
            request,
            room,
            range,
            limit,
            ..
        } = &open.requests()[open.request_at(ticket)?]
        else {
            return None;
        };
        let bytes_max = self
            .settings
            .limits
            .budgets
            .slice_bytes()
            .min(open.frame_bytes_max - PAGE_OVERHEAD_BYTES);
        let namespace = open.namespace;
        let fetch = Fetch {
            conn,
            ticket,
            request: *request,
            namespace,
            room: room.clone(),
            range: *range,
            limit: *limit,
            bytes_max,
        };
        let home = self.home_of(namespace, &fetch.room);
        self.send(home, Message::ToHome(ToHome::Fetch(fetch)));
        Some(())
    }

    /// Home or a reader thread has answered with a page.
    pub(super) fn page(&mut self, page: &Page) {
        self.pull_answered(page.conn);
        let conn = page.conn;
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        let Some(at) = open.request_at(page.ticket) else {
            return;
        };
        let len_max = open.frame_bytes_max;
        let Pending::Fetch {
            request,
            room,
            range,
            limit,
            ..
        } = &mut open.requests_mut()[at]
        else {
            return;
        };
        let request = *request;
        let has_moved = page.next > page.first || page.gap.is_some();
        let is_last = page.next >= page.until || !has_moved;
        if !is_last {
            *room = RoomKey::Id(page.room);
            *range = range_after(match planted(Bug::PageOffByOne) {
                true => page.next.next(),
                false => page.next,
            });
            *limit = u32::try_from(page.until.0 - page.next.0).unwrap_or(*limit);
        }
        self.conns
            .write(conn, |out| write_page(page, request, len_max, is_last, out));
        if is_last {
            self.finish_fetch(conn, page.ticket);
        } else {
            self.want_pull(
                conn,
                Pull::Page {
                    ticket: page.ticket,
                },
            );
        }
    }

    fn finish_fetch(&mut self, conn: ConnId, ticket: Ticket) {
        if let Some(open) = self.conns.open_mut(conn) {
            let _ = open.take_request(ticket);
            self.ease(conn);
        }
    }
}

/// Appends the PAGE frame. History is copied: pages are small, and a page is one frame.
fn write_page(page: &Page, id: RequestId, len_max: u32, is_last: bool, out: &mut Vec<u8>) {
    let head = wire::PageHead {
        room_id: page.room,
        link: page.link_before,
        head_seq: page.head,
        token: page.head.0,
        first_seq: page.first_kept,
    };
    let draft = wire::Page::begin(out, id, &head);
    let mut count = 0;
    if let Some(gap) = page.gap {
        let gap = wire::Gap {
            room_id: page.room,
            from: gap.from,
            to: gap.to,
            link: gap.link,
            reason: gap.reason,
        };
        gap.encode(RequestId::PUSH, out);
        count += 1;
    }
    if page.records.len() <= (len_max - PAGE_OVERHEAD_BYTES) as usize {
        out.extend_from_slice(&page.records);
        count += records::count(&page.records);
    } else {
        // One record larger than the client's frames: home sends no others with it.
        let cut = records::fitting(&page.records, 0, |piece| {
            count += 1;
            match piece {
                Piece::Records(records) => out.extend_from_slice(&records),
                Piece::Gap(gap) => gap.encode(RequestId::PUSH, out),
            }
        });
        debug_assert!(
            cut.is_ok(),
            "INV-EDGE-15: home sends whole records: {cut:?}"
        );
    }
    draft.finish(out, count, is_last);
}
