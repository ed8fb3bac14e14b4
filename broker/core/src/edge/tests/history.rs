use alloc::vec::Vec;
use std::boxed::Box;

use antiphon_protocol::{
    Code, Fetch, FetchRange, Link, ReadLevel, RequestId, RoomId, RoomRef, Seq,
};

use super::{Bench, run};
use crate::core::ConnId;
use crate::lane::{self, Page, Refused, Reject, RoomKey, Ticket, ToEdge, ToHome};
use crate::read::{PageRoute, ReadAnswer, ReadFailure, ReadPurpose, ReadRecords};

const ROOM: RoomId = RoomId(3 << 52 | 1);

fn fetch_frame(id: u64, range: FetchRange, limit: u32) -> Vec<u8> {
    let fetch = Fetch {
        room: RoomRef::Name("r"),
        range,
        limit,
        read: ReadLevel::Any,
        token: 0,
    };
    let mut out = Vec::new();
    fetch.encode(RequestId(id), &mut out);
    out
}

fn page(conn: ConnId, ticket: Ticket, first: u64, next: u64, until: u64) -> ToEdge {
    ToEdge::Page(Box::new(Page {
        conn,
        ticket,
        room: ROOM,
        gap: None,
        first: Seq(first),
        next: Seq(next),
        until: Seq(until),
        link_before: Link(3),
        head: Seq(100),
        first_kept: Seq(1),
        records: run(ROOM, first, next, 10),
    }))
}

fn fetches(asked: Vec<ToHome>) -> Vec<lane::Fetch> {
    asked
        .into_iter()
        .filter_map(|message| {
            if let ToHome::Fetch(fetch) = message {
                Some(fetch)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn a_fetch_is_answered_page_by_page_as_it_is_asked_for() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let _ = bench.feed(ann, &fetch_frame(5, FetchRange::Latest, 50));
    let asked = fetches(bench.asked());
    assert_eq!(
        (asked.len(), asked[0].limit, asked[0].range),
        (1, 50, lane::FetchRange::Latest)
    );
    bench.handle(page(ann, asked[0].ticket, 51, 71, 101));
    assert_eq!(bench.said(ann), ["PAGE 5 count 20 last false head 100"]);
    let more = fetches(bench.asked());
    assert_eq!(
        (more[0].limit, more[0].range),
        (30, lane::FetchRange::After(Seq(70)))
    );
    assert_eq!(
        (more[0].room.clone(), more[0].ticket),
        (RoomKey::Id(ROOM), asked[0].ticket)
    );
    bench.handle(page(ann, more[0].ticket, 71, 101, 101));
    assert_eq!(bench.said(ann), ["PAGE 5 count 30 last true head 100"]);
    assert!(bench.asked().is_empty());
    assert!(bench.edge.conns.open(ann).unwrap().requests().is_empty());
    assert_eq!(bench.edge.stats().pulls_in_flight, 0);
}

#[test]
fn an_empty_answer_is_one_last_page() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let _ = bench.feed(ann, &fetch_frame(5, FetchRange::After(Seq(100)), 50));
    let asked = fetches(bench.asked());
    bench.handle(page(ann, asked[0].ticket, 101, 101, 101));
    assert_eq!(bench.said(ann), ["PAGE 5 count 0 last true head 100"]);
}

#[test]
fn an_unknown_room_and_a_limit_too_high_are_refused() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let _ = bench.feed(ann, &fetch_frame(5, FetchRange::Latest, 10_001));
    assert_eq!(bench.said(ann), ["ERROR 5 LIMIT hint 10000"]);
    let _ = bench.feed(ann, &fetch_frame(6, FetchRange::Latest, 10));
    let asked = fetches(bench.asked());
    let of = Refused::Fetch(asked[0].ticket);
    bench.handle(ToEdge::Reject(Reject {
        conn: ann,
        request: RequestId(6),
        of,
        code: Code::NOT_FOUND,
        class: None,
        hint: 0,
        retry_after_ms: 0,
    }));
    assert_eq!(bench.said(ann), ["ERROR 6 NOT_FOUND hint 0"]);
    assert_eq!(bench.edge.stats().pulls_in_flight, 0);
}

#[test]
fn a_page_from_a_reader_thread_is_like_any_other_and_a_busy_one_is_asked_again() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let _ = bench.feed(ann, &fetch_frame(5, FetchRange::After(Seq(0)), 3));
    let ticket = fetches(bench.asked())[0].ticket;
    let route = PageRoute {
        conn: ann,
        ticket,
        until: Seq(4),
        head: Seq(9),
        first_kept: Seq(1),
    };
    let answer = |result| ReadAnswer {
        purpose: ReadPurpose::Page(route),
        room: ROOM,
        from: Seq(1),
        result,
    };
    bench.edge.read_done(answer(Err(ReadFailure::Busy)));
    assert!(bench.asked().is_empty(), "not at once");
    bench.sleep(10);
    assert_eq!(fetches(bench.asked()).len(), 1);
    let records = ReadRecords {
        first: Seq(1),
        next: Seq(4),
        link_before: Link(0),
        records: run(ROOM, 1, 4, 5),
    };
    bench.edge.read_done(answer(Ok(records)));
    assert_eq!(bench.said(ann), ["PAGE 5 count 3 last true head 9"]);
    let _ = bench.feed(ann, &fetch_frame(6, FetchRange::After(Seq(0)), 3));
    let ticket = fetches(bench.asked())[0].ticket;
    let route = PageRoute { ticket, ..route };
    bench.edge.read_done(ReadAnswer {
        purpose: ReadPurpose::Page(route),
        room: ROOM,
        from: Seq(1),
        result: Err(ReadFailure::Damaged),
    });
    assert_eq!(bench.said(ann), ["ERROR 6 DAMAGED hint 0"]);
}

#[test]
fn a_record_larger_than_the_clients_frames_is_a_gap_in_its_page() {
    let mut bench = Bench::new();
    let ann = bench.connect(0);
    bench.hello(
        ann,
        &antiphon_protocol::Hello {
            frame_bytes_max: 8_192,
            ..antiphon_protocol::Hello::new("ann")
        },
    );
    let _ = bench.take(ann);
    let _ = bench.feed(ann, &fetch_frame(5, FetchRange::After(Seq(0)), 1));
    let asked = fetches(bench.asked());
    assert!(asked[0].bytes_max + 48 <= 8_192);
    let records = run(ROOM, 1, 2, 9_000);
    let answer = Page {
        conn: ann,
        ticket: asked[0].ticket,
        room: ROOM,
        gap: None,
        first: Seq(1),
        next: Seq(2),
        until: Seq(2),
        link_before: Link(3),
        head: Seq(1),
        first_kept: Seq(1),
        records,
    };
    bench.handle(ToEdge::Page(Box::new(answer)));
    let bytes = bench.take(ann);
    let frame = antiphon_protocol::next_frame(&bytes, 8_192)
        .unwrap()
        .unwrap();
    let page = antiphon_protocol::Page::decode(frame).unwrap();
    let items: Vec<_> = page.items().map(Result::unwrap).collect();
    assert!(
        matches!(items[..], [antiphon_protocol::PageItem::Gap(gap)] if gap.from == Seq(1) && gap.to == Seq(1))
    );
}
