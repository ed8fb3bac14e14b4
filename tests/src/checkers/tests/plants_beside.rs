//! Plants against I15, I16, and what I4 and I5 say of times, cursors and expected places.

use crate::checkers::Anomaly;
use crate::checkers::tests::edit::{ANN_LAST, BOB, BOB_RESUMED, ack, insert, nth, nth_kind, set};
use crate::checkers::tests::{Plant, prove};
use crate::history::{Event, Op, Range, Seq, Start, What};

/// Bob's connection.
const VIA: u64 = 77;

/// Another start for Ann's subscription of the last 3, which begins with 5 of 7.
fn start(events: &mut [Event], with: Start) {
    let at = nth(
        events,
        0,
        |what| matches!(what, What::Subscribe { op, .. } if *op == ANN_LAST),
    );
    set!(events, at, What::Subscribe { start, .. } => *start = with);
}

/// Another range for Ann's fetch of 3, which got 3, 4 and 5.
fn range(events: &mut [Event], of: Range) {
    let at = nth_kind(events, 1, "fetch");
    set!(events, at, What::Fetch { range, .. } => *range = of);
}

/// Says of the publish that was acked at 7 where it is to be.
fn expect(events: &mut Vec<Event>, seq: u64) {
    let acked = ack(events, 7);
    let What::Published { op, .. } = events[acked].what else {
        panic!("no ack");
    };
    let asked = nth(
        events,
        0,
        |what| matches!(what, What::Publish { op: of, .. } if *of == op),
    );
    let (by, seq) = (events[asked].by, Seq(seq));
    insert(events, asked + 1, by, What::Expect { op, seq });
}

#[test]
fn i15_finds_signals_that_are_wrong() {
    let (sub, via) = (ANN_LAST, VIA);
    prove(vec![
        Plant {
            name: "a signal of nobody",
            plant: |events| {
                let at = nth_kind(events, 2, "signalled");
                set!(events, at, What::Signalled { number, .. } => *number = 4);
            },
            verdict: vec![Anomaly::NeverSignalled {
                sub,
                via,
                number: 4,
            }],
            evidence: &["signalled"],
        },
        Plant {
            name: "one comes twice",
            plant: |events| {
                let at = nth_kind(events, 1, "signalled");
                events.insert(at, events[at].clone());
            },
            verdict: vec![Anomaly::SignalAgain {
                sub,
                via,
                number: 2,
            }],
            evidence: &["signalled", "signalled"],
        },
        Plant {
            name: "one is left out",
            plant: |events| {
                let at = nth_kind(events, 1, "signalled");
                events.remove(at);
            },
            verdict: vec![Anomaly::UntoldDrop {
                sub,
                missing: 1,
                told: 0,
            }],
            evidence: &["signalled", "signalled"],
        },
        Plant {
            name: "one is left out, and told as dropped",
            plant: |events| {
                let at = nth_kind(events, 1, "signalled");
                events.remove(at);
                set!(events, at + 1, What::Signalled { dropped, .. } => *dropped = 1);
            },
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "one is left out, for it was refused",
            plant: |events| {
                let at = nth_kind(events, 1, "signalled");
                let (op, code, hint) = (Op(1_002), 4, 0);
                events[at].by = BOB;
                events[at].what = What::Failed { op, code, hint };
            },
            verdict: vec![],
            evidence: &[],
        },
    ]);
}

#[test]
fn i16_finds_cursors_that_are_wrong() {
    prove(vec![
        Plant {
            name: "a cursor goes back behind a sync",
            plant: |events| {
                let at = nth_kind(events, 1, "cursor_at");
                set!(events, at, What::CursorAt { seq, count, .. } => (*seq, *count) = (Seq(3), 3));
            },
            verdict: vec![Anomaly::CursorBack {
                op: Op(1_102),
                at: Seq(3),
                before: Seq(4),
            }],
            evidence: &["cursor_at", "cursor_at"],
        },
        Plant {
            name: "a cursor goes back that was not synced",
            plant: |events| {
                let at = nth_kind(events, 0, "cursor");
                set!(events, at, What::Cursor { sync, .. } => *sync = false);
                let at = nth_kind(events, 1, "cursor_at");
                set!(events, at, What::CursorAt { seq, count, .. } => (*seq, *count) = (Seq(0), 0));
            },
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "a cursor is told below what was asked for",
            plant: |events| {
                let at = nth_kind(events, 0, "cursor");
                set!(events, at, What::Cursor { seq, count, .. } => (*seq, *count) = (Seq(5), 5));
            },
            verdict: vec![
                Anomaly::CursorBack {
                    op: Op(1_101),
                    at: Seq(4),
                    before: Seq(5),
                },
                Anomaly::CursorNowhere {
                    op: Op(1_102),
                    at: Seq(4),
                },
                Anomaly::CursorNowhere {
                    op: BOB_RESUMED,
                    at: Seq(4),
                },
            ],
            evidence: &["cursor", "cursor_at"],
        },
        Plant {
            name: "a cursor stands where nobody moved it",
            plant: |events| {
                let at = nth_kind(events, 0, "cursor_moved");
                set!(events, at, What::CursorMoved { seq, count, .. } => (*seq, *count) = (Seq(5), 5));
            },
            verdict: vec![Anomaly::CursorNowhere {
                op: BOB_RESUMED,
                at: Seq(5),
            }],
            evidence: &["cursor_moved"],
        },
        Plant {
            name: "a subscription starts from a cursor that was never moved",
            plant: |events| start(events, Start::Cursor(1)),
            verdict: vec![Anomaly::CursorNowhere {
                op: ANN_LAST,
                at: Seq(4),
            }],
            evidence: &["subscribed"],
        },
        Plant {
            name: "a message is not counted",
            plant: |events| {
                let at = nth_kind(events, 1, "cursor_at");
                set!(events, at, What::CursorAt { head_count, .. } => *head_count = 6);
            },
            verdict: vec![Anomaly::WrongUnread {
                op: Op(1_102),
                at: Seq(7),
                count: 6,
            }],
            evidence: &["cursor_at"],
        },
    ]);
}

#[test]
fn i4_finds_starts_and_pages_that_do_not_fit_times() {
    let wrong_start = || {
        let (op, first) = (ANN_LAST, Seq(5));
        vec![Anomaly::WrongTime { op, first }]
    };
    let asked = &["subscribe", "subscribed"];
    let fetched = &["fetch", "fetched"];
    prove(vec![
        Plant {
            name: "from the time of the first record",
            plant: |events| start(events, Start::Time(50)),
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "a record of that time is passed over",
            plant: |events| start(events, Start::Time(40)),
            verdict: wrong_start(),
            evidence: asked,
        },
        Plant {
            name: "the first record is too old",
            plant: |events| start(events, Start::Time(51)),
            verdict: wrong_start(),
            evidence: asked,
        },
        Plant {
            name: "a page around the record in its middle",
            plant: |events| range(events, Range::Around(Seq(4))),
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "a page around another one",
            plant: |events| range(events, Range::Around(Seq(5))),
            verdict: vec![Anomaly::WrongPage {
                op: Op(20),
                expected: Seq(4),
                got: Seq(3),
            }],
            evidence: fetched,
        },
        Plant {
            name: "a page from the time of its first record",
            plant: |events| range(events, Range::Time(25)),
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "a page from a time that its first record is older than",
            plant: |events| range(events, Range::Time(31)),
            verdict: vec![Anomaly::WrongTime {
                op: Op(20),
                first: Seq(3),
            }],
            evidence: fetched,
        },
    ]);
}

#[test]
fn i5_finds_a_publish_that_is_not_where_it_was_to_be() {
    prove(vec![
        Plant {
            name: "it is where it was to be",
            plant: |events| expect(events, 7),
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "it is behind that",
            plant: |events| expect(events, 6),
            verdict: vec![Anomaly::NotExpected {
                op: Op(18),
                expected: Seq(6),
                got: Seq(7),
            }],
            evidence: &["expect", "published"],
        },
    ]);
}
