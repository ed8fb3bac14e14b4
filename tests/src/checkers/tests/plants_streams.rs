//! Plants against I4, I8: what a reader gets.

use crate::checkers::Anomaly;
use crate::checkers::tests::edit::{
    ANN, ANN_LAST, BOB, BOB_LIVE, BOB_RESUMED, delivery, insert, nth, nth_kind, restamp, set,
    shift, undeliver,
};
use crate::checkers::tests::{Plant, prove};
use crate::history::{
    Event, GapRange, Link, Op, Record, Seq, Start, What, Why, codes, gap_reasons,
};

fn gap(events: &mut Vec<Event>, at: usize, from: u64, to: u64) {
    let (sub, link) = (BOB_RESUMED, Link(0));
    let reason = gap_reasons::SKIPPED;
    let (from, to) = (Seq(from), Seq(to));
    let gap = GapRange { from, to, reason };
    insert(events, at, BOB, What::Gap { sub, gap, link });
}

/// Changes the records of the n-th answer of a fetch.
fn page(events: &mut [Event], n: usize, change: impl FnOnce(&mut Vec<Record>)) {
    let at = nth_kind(events, n, "fetched");
    set!(events, at, What::Fetched { records, .. } => change(records));
}

/// The n-th answer of a fetch ends with a gap that names all that a damaged log may have held from `from` on.
fn open_gap(events: &mut [Event], n: usize, from: u64) {
    let at = nth_kind(events, n, "fetched");
    let (from, to) = (Seq(from), Seq(u64::MAX - 1));
    let reason = antiphon_protocol::GapReason::DAMAGED.wire();
    set!(events, at, What::Fetched { gaps, .. } => gaps.push(GapRange { from, to, reason }));
}

#[test]
fn i4_finds_streams_that_miss_or_repeat() {
    let sub = BOB_RESUMED;
    prove(vec![
        Plant {
            name: "one is left out",
            plant: |events| undeliver(events, BOB_RESUMED, 7),
            verdict: vec![Anomaly::Hole {
                sub,
                expected: Seq(7),
                got: Seq(8),
            }],
            evidence: &["deliver", "deliver"],
        },
        Plant {
            name: "one is left out, and a gap says so",
            plant: |events| {
                let at = delivery(events, 0, 7);
                undeliver(events, BOB_RESUMED, 7);
                gap(events, at, 7, 7);
            },
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "a gap says less than is left out",
            plant: |events| {
                let at = delivery(events, 0, 7);
                undeliver(events, BOB_RESUMED, 7);
                undeliver(events, BOB_RESUMED, 8);
                gap(events, at, 7, 7);
            },
            verdict: vec![Anomaly::Hole {
                sub,
                expected: Seq(8),
                got: Seq(9),
            }],
            evidence: &["gap", "deliver"],
        },
        Plant {
            name: "one comes twice",
            plant: |events| {
                let at = delivery(events, 0, 7);
                events.insert(at, events[at].clone());
            },
            verdict: vec![Anomaly::Repeated {
                sub,
                expected: Seq(8),
                got: Seq(7),
            }],
            evidence: &["deliver", "deliver"],
        },
        Plant {
            name: "a gap ends before it begins",
            plant: |events| {
                let settled = nth_kind(events, 0, "settled");
                gap(events, settled, 10, 9);
            },
            verdict: vec![Anomaly::BackwardGap { sub }],
            evidence: &["gap"],
        },
        Plant {
            name: "the last one never comes",
            plant: |events| undeliver(events, BOB_RESUMED, 9),
            verdict: vec![Anomaly::Behind {
                sub,
                next: Seq(9),
                head: Seq(9),
            }],
            evidence: &["deliver", "published", "settled"],
        },
    ]);
}

#[test]
fn i4_finds_streams_with_a_wrong_beginning_or_end() {
    prove(vec![
        Plant {
            name: "a record comes before the answer",
            plant: |events| {
                let at = nth_kind(events, 3, "subscribed");
                events.insert(at, events[at + 1].clone());
                restamp(events);
            },
            verdict: vec![Anomaly::NotSubscribed { sub: ANN_LAST }],
            evidence: &["deliver"],
        },
        Plant {
            name: "a record comes after the end",
            plant: |events| {
                let at = delivery(events, 0, 9);
                insert(events, at, ANN, What::Ended { sub: ANN_LAST });
            },
            verdict: vec![Anomaly::AfterEnd { sub: ANN_LAST }],
            evidence: &["ended", "deliver"],
        },
        Plant {
            name: "a record comes after the connection's end",
            plant: |events| {
                let end = nth_kind(events, 1, "disconnected");
                let last = delivery(events, 0, 5);
                shift(events, last, end);
            },
            verdict: vec![Anomaly::AfterEnd { sub: BOB_LIVE }],
            evidence: &["disconnected", "deliver"],
        },
        Plant {
            name: "live begins one too far",
            plant: |events| {
                let at = nth_kind(events, 0, "subscribed");
                set!(events, at, What::Subscribed { next, .. } => *next = Seq(2));
            },
            verdict: vec![Anomaly::WrongStart {
                sub: BOB_LIVE,
                head: Seq(0),
                expected: Seq(1),
                next: Seq(2),
            }],
            evidence: &["subscribe", "subscribed"],
        },
        Plant {
            name: "the last three are two",
            plant: |events| {
                let at = nth_kind(events, 3, "subscribed");
                set!(events, at, What::Subscribed { next, .. } => *next = Seq(6));
                undeliver(events, ANN_LAST, 5);
            },
            verdict: vec![Anomaly::WrongStart {
                sub: ANN_LAST,
                head: Seq(7),
                expected: Seq(5),
                next: Seq(6),
            }],
            evidence: &["subscribe", "subscribed"],
        },
    ]);
}

#[test]
fn i4_finds_pages_that_are_not_whole() {
    let evidence = &["fetch", "fetched"];
    let wrong = |op, expected, got| {
        let (op, expected, got) = (Op(op), Seq(expected), Seq(got));
        vec![Anomaly::WrongPage { op, expected, got }]
    };
    prove(vec![
        Plant {
            name: "a hole",
            plant: |events| {
                page(events, 1, |records| {
                    records.remove(1);
                })
            },
            verdict: wrong(20, 4, 5),
            evidence,
        },
        Plant {
            name: "two in the wrong order",
            plant: |events| page(events, 1, |records| records.swap(0, 1)),
            verdict: wrong(20, 5, 3),
            evidence,
        },
        Plant {
            name: "not from the position on",
            plant: |events| {
                page(events, 1, |records| {
                    records.remove(0);
                })
            },
            verdict: wrong(20, 3, 4),
            evidence,
        },
        Plant {
            name: "not up to the position",
            plant: |events| {
                page(events, 2, |records| {
                    records.pop();
                })
            },
            verdict: wrong(21, 5, 4),
            evidence,
        },
        Plant {
            name: "not up to the head, and an open gap says so",
            plant: |events| {
                page(events, 0, |records| {
                    records.pop();
                });
                open_gap(events, 0, 3);
            },
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "an open gap behind a hole",
            plant: |events| {
                page(events, 0, |records| {
                    records.pop();
                });
                open_gap(events, 0, 4);
            },
            verdict: wrong(8, 3, 4),
            evidence,
        },
        Plant {
            name: "not up to the head",
            plant: |events| {
                page(events, 0, |records| {
                    records.pop();
                })
            },
            verdict: wrong(8, 3, 2),
            evidence,
        },
        Plant {
            name: "fewer than there are",
            plant: |events| {
                page(events, 2, |records| {
                    records.remove(0);
                })
            },
            verdict: vec![Anomaly::WrongCount {
                op: Op(21),
                there: 5,
                got: 4,
            }],
            evidence,
        },
    ]);
}

#[test]
fn i8_finds_resumes_that_go_on_elsewhere() {
    let (sub, after) = (BOB_RESUMED, Seq(5));
    prove(vec![
        Plant {
            name: "the answer skips one",
            plant: |events| {
                let at = nth_kind(events, 2, "subscribed");
                set!(events, at, What::Subscribed { next, .. } => *next = Seq(7));
                undeliver(events, BOB_RESUMED, 6);
            },
            verdict: vec![Anomaly::ResumedElsewhere {
                sub,
                after,
                next: Seq(7),
            }],
            evidence: &["subscribe", "subscribed"],
        },
        Plant {
            name: "the answer goes back, and the seen one comes again",
            plant: |events| {
                let old = events[delivery(events, 0, 5)].what.clone();
                let at = nth_kind(events, 2, "subscribed");
                set!(events, at, What::Subscribed { next, .. } => *next = Seq(5));
                insert(events, at + 1, BOB, old);
                set!(events, at + 1, What::Deliver { sub, .. } => *sub = BOB_RESUMED);
            },
            verdict: vec![Anomaly::ResumedElsewhere {
                sub,
                after,
                next: Seq(5),
            }],
            evidence: &["subscribe", "subscribed"],
        },
        Plant {
            name: "the first one is left out: a hole for I4 as well",
            plant: |events| undeliver(events, BOB_RESUMED, 6),
            verdict: vec![
                Anomaly::Hole {
                    sub,
                    expected: Seq(6),
                    got: Seq(7),
                },
                Anomaly::FirstElsewhere {
                    sub,
                    after,
                    first: Seq(7),
                },
            ],
            evidence: &["subscribed", "deliver"],
        },
        Plant {
            name: "the answer tells another link",
            plant: |events| {
                let at = nth_kind(events, 2, "subscribed");
                set!(events, at, What::Subscribed { link, .. } => link.0 ^= 1);
            },
            verdict: vec![Anomaly::OtherLink { sub, after }],
            evidence: &["subscribe", "subscribed"],
        },
        Plant {
            name: "the position is refused",
            plant: |events| {
                let at = nth_kind(events, 2, "subscribed");
                let (op, code, hint) = (BOB_RESUMED, codes::DIVERGED, 4);
                events[at].what = What::Failed { op, code, hint };
                (6..=9).for_each(|seq| undeliver(events, BOB_RESUMED, seq));
            },
            verdict: vec![Anomaly::Diverged { sub, after }],
            evidence: &["deliver", "subscribe", "failed"],
        },
        Plant {
            name: "a position of another history is refused",
            plant: |events| {
                let at = nth_kind(events, 2, "subscribed");
                let (op, code, hint) = (BOB_RESUMED, codes::DIVERGED, 4);
                events[at].what = What::Failed { op, code, hint };
                (6..=9).for_each(|seq| undeliver(events, BOB_RESUMED, seq));
                let resume = nth(events, 1, |what| matches!(what, What::Subscribe { .. }));
                set!(events, resume, What::Subscribe { start, .. } => {
                    let (seq, link) = (Seq(5), Link(99));
                    *start = Start::After { seq, link };
                });
            },
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "a link is broken",
            plant: |events| {
                let settled = nth_kind(events, 0, "settled");
                let (sub, seq, why) = (BOB_RESUMED, Seq(10), Why::Link);
                insert(events, settled, BOB, What::Broken { sub, seq, why });
            },
            verdict: vec![Anomaly::BrokenLink { sub, seq: Seq(10) }],
            evidence: &["broken"],
        },
    ]);
}
