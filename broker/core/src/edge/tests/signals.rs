//! SIGNAL: who gets it, who loses it, and what they are told.

use antiphon_protocol::limits::{SIGNAL_WAIT_MS_MAX, SIGNALS_BURST_MAX};
use antiphon_protocol::{Signal, SignalContent, SignalPush, Start, Wants};

use super::*;
use crate::lane::SignalOut;
use crate::limits::{
    SIGNAL_BACKLOG_MAX, SIGNAL_OUTBOX_BYTES_MAX, SIGNAL_RETRY_MS, SIGNALS_PER_TURN,
};

const ROOM: RoomId = RoomId(0x4b10_0000_0000_0001);
const BOTH: Wants = Wants {
    signals: true,
    cursors: false,
};

fn signal_frame(id: u64, name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let signal = Signal {
        room: RoomRef::Name("r"),
        name,
        key: b"",
        value,
    };
    signal.encode(RequestId(id), &mut out);
    out
}

fn out(key: &[u8], value: &[u8], lost: u32) -> ToEdge {
    let mut frame = Vec::new();
    let content = SignalContent {
        sender: "bob",
        device: Device(9),
        name: "typing",
        key,
        value,
    };
    SignalPush {
        room_id: ROOM,
        dropped: 0,
        signal: Some(content),
    }
    .encode(&mut frame);
    ToEdge::Signal(SignalOut {
        room: ROOM,
        frame: Bytes::from(frame),
        is_keyed: !key.is_empty(),
        lost,
    })
}

/// A live subscription that wants `wants`.
fn listen(bench: &mut Bench, conn: ConnId, wants: Wants, head: u64, next: u64) {
    let mut frame = Vec::new();
    let ask = Subscribe {
        wants,
        ..Subscribe::new(RoomRef::Name("r"), Start::Live)
    };
    ask.encode(RequestId(2), &mut frame);
    let _ = bench.feed(conn, &frame);
    let asked = bench.asked();
    let Some(ToHome::Subscribe(subscribe)) = asked
        .iter()
        .find(|message| matches!(message, ToHome::Subscribe(ask) if ask.conn == conn))
    else {
        panic!("a subscribe")
    };
    let grant = u64::from(conn.slot);
    let mut answer = subscribed(conn, subscribe.ticket, 2, grant, Some(ROOM), head, next);
    if let ToEdge::Subscribed(answer) = &mut answer {
        answer.wants = subscribe.wants;
    }
    bench.handle(answer);
    let _ = bench.take(conn);
}

/// What a connection gets: (value or nothing, dropped).
fn heard(bench: &mut Bench, conn: ConnId) -> Vec<(Option<Vec<u8>>, u32)> {
    let bytes = bench.take(conn);
    let (mut rest, mut heard) = (&bytes[..], Vec::new());
    while let Some(frame) = next_frame(rest, u32::MAX).unwrap() {
        if let Ok(ServerFrame::Signal(push)) = ServerFrame::decode(frame) {
            heard.push((
                push.signal.map(|signal| signal.value.to_vec()),
                push.dropped,
            ));
        }
        rest = &rest[frame.whole.len()..];
    }
    heard
}

fn value(text: &[u8]) -> Option<Vec<u8>> {
    Some(text.to_vec())
}

#[test]
fn a_signal_goes_home_and_from_there_to_those_who_asked_for_signals() {
    let mut bench = Bench::new();
    let (ann, eve) = (bench.open(1, "ann"), bench.open(2, "eve"));
    listen(&mut bench, ann, BOTH, 0, 1);
    listen(&mut bench, eve, Wants::RECORDS, 0, 1);
    let _ = bench.feed(ann, &signal_frame(5, "typing", b"on"));
    let asked = bench.asked();
    let [ToHome::Signal(signal)] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!(signal.sender.as_str(), "ann");
    assert_eq!(&signal.content[..], b"typingon");
    assert_eq!((signal.name_len, signal.key_len), (6, 0));
    bench.handle(out(b"", b"on", 0));
    assert_eq!(heard(&mut bench, ann), [(value(b"on"), 0)]);
    assert_eq!(heard(&mut bench, eve), [], "an old client gets nothing new");
}

#[test]
fn a_slow_reader_loses_signals_first_and_is_told_how_many() {
    let mut bench = Bench::new();
    let ann = bench.open(1, "ann");
    listen(&mut bench, ann, BOTH, 0, 1);
    bench
        .edge
        .conns
        .push(ann, Bytes::from(std::vec![0; SIGNAL_OUTBOX_BYTES_MAX]));
    for _ in 0..3 {
        bench.handle(out(b"", b"on", 0));
    }
    assert_eq!(
        bench.edge.outbox(ann).unwrap().len(),
        SIGNAL_OUTBOX_BYTES_MAX
    );
    assert_eq!(bench.edge.stats().signals_dropped, 3);
    // The reader has caught up: the next signal tells it.
    let outbox = bench.edge.outbox(ann).unwrap();
    outbox.advance(SIGNAL_OUTBOX_BYTES_MAX);
    bench.edge.sent(ann);
    bench.handle(out(b"", b"off", 2));
    assert_eq!(heard(&mut bench, ann), [(value(b"off"), 5)]);
    bench.sleep(2 * SIGNAL_RETRY_MS);
    assert_eq!(heard(&mut bench, ann), [], "told once");
}

#[test]
fn who_hears_no_further_signal_is_told_the_number_alone() {
    let mut bench = Bench::new();
    let ann = bench.open(1, "ann");
    // Behind: three records are missing.
    listen(&mut bench, ann, BOTH, 3, 1);
    let tail = bench.pending_tail().unwrap();
    bench.handle(out(b"", b"on", 0));
    bench.sleep(2 * SIGNAL_RETRY_MS);
    assert_eq!(heard(&mut bench, ann), [], "it still reads behind");
    let slice = crate::lane::Slice {
        conn: ann,
        ticket: tail.ticket,
        room: ROOM,
        gap: None,
        first: Seq(1),
        next: Seq(4),
        link_before: Link(0),
        records: Bytes::new(),
        ends_at_apply: true,
    };
    bench.handle(ToEdge::Slice(slice.into()));
    bench.sleep(2 * SIGNAL_RETRY_MS);
    assert_eq!(heard(&mut bench, ann), [(None, 1)]);
    assert_eq!(bench.edge.signals.deadline(), None);
}

#[test]
fn of_keyed_signals_the_newest_waits_and_nothing_is_lost_by_that() {
    let mut bench = Bench::new();
    let ann = bench.open(1, "ann");
    listen(&mut bench, ann, BOTH, 0, 1);
    bench
        .edge
        .conns
        .push(ann, Bytes::from(std::vec![0; SIGNAL_OUTBOX_BYTES_MAX]));
    for text in [b"1", b"2", b"3"] {
        bench.handle(out(b"web", text, 0));
    }
    bench.handle(out(b"phone", b"9", 0));
    let outbox = bench.edge.outbox(ann).unwrap();
    outbox.advance(SIGNAL_OUTBOX_BYTES_MAX);
    bench.edge.sent(ann);
    bench.sleep(2 * SIGNAL_RETRY_MS);
    assert_eq!(heard(&mut bench, ann), [(value(b"3"), 0), (value(b"9"), 0)]);
    assert_eq!(bench.edge.signals.deadline(), None);
}

#[test]
fn a_keyed_value_that_waits_in_vain_is_dropped_and_counted() {
    let mut bench = Bench::with(|config| config.limits.keepalive_ms = 60_000);
    let ann = bench.open(1, "ann");
    listen(&mut bench, ann, BOTH, 0, 1);
    bench
        .edge
        .conns
        .push(ann, Bytes::from(std::vec![0; SIGNAL_OUTBOX_BYTES_MAX]));
    bench.handle(out(b"web", b"1", 0));
    bench.sleep(SIGNAL_WAIT_MS_MAX + 2 * SIGNAL_RETRY_MS);
    assert_eq!(bench.edge.stats().signals_dropped, 1);
}

#[test]
fn who_signals_too_fast_is_told_when_to_go_on() {
    let mut bench = Bench::new();
    let ann = bench.open(1, "ann");
    for id in 0..u64::from(SIGNALS_BURST_MAX) {
        let _ = bench.feed(ann, &signal_frame(10 + id, "typing", b""));
    }
    assert_eq!(bench.asked().len(), SIGNALS_BURST_MAX as usize);
    assert_eq!(bench.said(ann), Vec::<String>::new());
    let refused = |bench: &mut Bench| {
        let _ = bench.feed(ann, &signal_frame(900, "typing", b""));
        let said = bench.take(ann);
        match next_frame(&said, u32::MAX)
            .unwrap()
            .map(ServerFrame::decode)
        {
            Some(Ok(ServerFrame::Error(error))) => {
                Some((error.code, error.hint, error.retry_after_ms))
            }
            _ => None,
        }
    };
    assert_eq!(refused(&mut bench), Some((Code::LIMIT, 64, 16)));
    bench.pass(16);
    assert_eq!(refused(&mut bench), None);
}

/// A room in which this many listen, each over a connection of its own.
fn crowd(bench: &mut Bench, count: usize) -> Vec<ConnId> {
    let conns: Vec<ConnId> = (0..count)
        .map(|slot| bench.open(1 + slot as u32, "ann"))
        .collect();
    for &conn in &conns {
        listen(bench, conn, BOTH, 0, 1);
    }
    conns
}

/// One turn, with this handled in it; how many signals were offered and whether more is left.
fn turn_with(bench: &mut Bench, message: Option<ToEdge>) -> (u64, bool) {
    let before = bench.edge.stats().signals;
    if let Some(message) = message {
        bench.edge.handle(message);
    }
    let has_more = bench.edge.end_turn();
    (bench.edge.stats().signals - before, has_more)
}

#[test]
fn signals_to_many_are_handed_out_in_slices_each_once_and_in_order() {
    let per_turn = SIGNALS_PER_TURN as u64;
    let mut bench = Bench::new();
    let count = SIGNALS_PER_TURN + 10;
    let conns = crowd(&mut bench, count);
    let first = turn_with(&mut bench, Some(out(b"", b"1", 0)));
    assert_eq!(first, (per_turn, true));
    // What comes meanwhile waits; whoever leaves is passed over; the last slice is small.
    bench.edge.disconnected(conns[0]);
    let (offered, has_more) = turn_with(&mut bench, Some(out(b"", b"2", 0)));
    assert!(has_more && offered <= per_turn);
    while turn_with(&mut bench, None).1 {}
    assert!(bench.edge.signals.deadline().is_none());
    for &conn in &conns[1..] {
        let heard = heard(&mut bench, conn);
        assert_eq!(heard, [(value(b"1"), 0), (value(b"2"), 0)]);
    }
}

#[test]
fn a_backlog_of_signals_has_a_bound_keeps_newest_values_and_counts_what_it_drops() {
    let mut bench = Bench::new();
    let conns = crowd(&mut bench, SIGNALS_PER_TURN + 1);
    let before = bench.edge.stats().signals;
    for message in [
        out(b"", b"first", 0),
        out(b"k", b"old", 0),
        out(b"k", b"new", 0),
    ] {
        bench.edge.handle(message);
    }
    for _ in 0..SIGNAL_BACKLOG_MAX + 2 {
        bench.edge.handle(out(b"", b"x", 0));
    }
    assert_eq!(bench.edge.stats().signals, before, "nothing at once");
    while turn_with(&mut bench, None).1 {}
    bench.sleep(2 * SIGNAL_RETRY_MS);
    let heard = heard(&mut bench, conns[7]);
    let values: Vec<_> = heard
        .iter()
        .filter_map(|(value, _)| value.clone())
        .collect();
    assert_eq!(values.len(), SIGNAL_BACKLOG_MAX);
    assert_eq!(
        (&values[0][..], &values[1][..]),
        (&b"first"[..], &b"new"[..])
    );
    let dropped: u32 = heard.iter().map(|(_, dropped)| dropped).sum();
    assert_eq!(dropped, 4);
}

#[test]
fn what_comes_in_a_turn_for_many_is_offered_to_each_of_them_together() {
    let mut bench = Bench::new();
    let conns = crowd(&mut bench, SIGNALS_PER_TURN / 2);
    let reached = |bench: &Bench| {
        let outboxes = conns.iter().filter_map(|&conn| bench.edge.conns.get(conn));
        outboxes.filter(|conn| !conn.outbox.is_empty()).count()
    };
    for number in 0..4 {
        bench.edge.handle(out(b"", &[number], 0));
    }
    assert_eq!(turn_with(&mut bench, None), (SIGNALS_PER_TURN as u64, true));
    assert_eq!(reached(&bench), SIGNALS_PER_TURN / 4);
    while turn_with(&mut bench, None).1 {}
    assert_eq!(reached(&bench), conns.len());
    let all: Vec<_> = (0..4).map(|number| (value(&[number]), 0)).collect();
    for &conn in &conns {
        assert_eq!(heard(&mut bench, conn), all);
    }
}
