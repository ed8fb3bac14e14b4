//! Plants against I1, I2, I3: what is stored.

use crate::checkers::tests::edit::{
    ANN, ANN_LAST, LOBBY, ack, ann, bob, delivery, every_record, final_records, insert, nth_kind,
    set, shift, stranger, tenth,
};
use crate::checkers::tests::{Plant, prove};
use crate::checkers::{Anomaly, Place};
use crate::history::{
    BodyHash, Event, GapRange, Link, Node, Op, Room, Seq, What, Why, gap_reasons,
};

fn lost(place: Place, first: u64, count: u64) -> Vec<Anomaly> {
    let (node, room, first) = (Node(1), LOBBY, Seq(first));
    vec![Anomaly::Lost {
        node,
        room,
        place,
        first,
        count,
    }]
}

/// The first two records left, and a gap says so.
fn leave(events: &mut [Event], reason: u8) {
    final_records(events).retain(|record| record.seq > Seq(2));
    let (from, to) = (Seq(1), Seq(2));
    let at = nth_kind(events, 0, "final_read");
    set!(events, at, What::FinalRead { gaps, .. } => gaps.push(GapRange { from, to, reason }));
}

#[test]
fn i1_finds_what_was_acked_and_is_gone() {
    let evidence = &["published", "final_read"];
    prove(vec![
        Plant {
            name: "the first two are gone",
            plant: |events| final_records(events).retain(|record| record.seq > Seq(2)),
            verdict: lost(Place::Prefix, 1, 2),
            evidence,
        },
        Plant {
            name: "two in the middle are gone",
            plant: |events| {
                final_records(events).retain(|one| one.seq < Seq(4) || one.seq > Seq(5))
            },
            verdict: lost(Place::Middle, 4, 2),
            evidence,
        },
        Plant {
            name: "the last two are gone",
            plant: |events| final_records(events).retain(|record| record.seq < Seq(8)),
            verdict: lost(Place::Postfix, 8, 2),
            evidence,
        },
        Plant {
            name: "all is gone",
            plant: |events| final_records(events).clear(),
            verdict: lost(Place::Whole, 1, 9),
            evidence,
        },
        Plant {
            name: "one is gone whose ack told no place",
            plant: |events| {
                let at = ack(events, 5);
                set!(events, at, What::Published { seq, link, time, .. } => {
                    (*seq, *link, *time) = (Seq(0), Link(0), 0);
                });
                final_records(events).retain(|record| record.seq != Seq(5));
            },
            verdict: lost(Place::Untold, 0, 1),
            evidence,
        },
        Plant {
            name: "damage is no excuse",
            plant: |events| leave(events, 6),
            verdict: lost(Place::Prefix, 1, 2),
            evidence,
        },
        Plant {
            name: "retention is one",
            plant: |events| leave(events, gap_reasons::RETENTION),
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "another room was read",
            plant: |events| {
                final_records(events).clear();
                let at = nth_kind(events, 0, "final_read");
                set!(events, at, What::FinalRead { room, .. } => *room = Room(2));
            },
            verdict: vec![Anomaly::NotRead {
                node: Node(1),
                room: LOBBY,
            }],
            evidence: &["published"],
        },
    ]);
}

#[test]
fn i2_finds_what_nobody_published() {
    let room = LOBBY;
    prove(vec![
        Plant {
            name: "a record of nobody",
            plant: |events| tenth(events, stranger(), BodyHash(7)),
            verdict: vec![Anomaly::NeverPublished {
                room,
                origin: stranger(),
            }],
            evidence: &["deliver"],
        },
        Plant {
            name: "a changed body",
            plant: |events| {
                every_record(events, |record| {
                    if record.seq == Seq(4) {
                        record.body.0 ^= 1;
                    }
                });
            },
            verdict: vec![Anomaly::OtherBody {
                room,
                origin: bob(2),
            }],
            evidence: &["publish", "deliver"],
        },
        Plant {
            name: "the body that was refused, not the one that took its number",
            plant: |events| {
                let refused = nth_kind(events, 2, "publish");
                let What::Publish { body: refused, .. } = events[refused].what else {
                    panic!("no publish");
                };
                every_record(events, |record| {
                    if record.origin == ann(2) {
                        record.body = refused;
                    }
                });
            },
            verdict: vec![Anomaly::Refused {
                room,
                origin: ann(2),
            }],
            evidence: &["failed", "deliver"],
        },
        Plant {
            name: "delivered before it was published",
            plant: |events| {
                let published = nth_kind(events, 11, "publish");
                let delivered = delivery(events, 0, 9);
                shift(events, delivered, published);
            },
            verdict: vec![Anomaly::SeenBefore {
                room,
                origin: bob(4),
            }],
            evidence: &["deliver", "publish"],
        },
        Plant {
            name: "refused, and stored",
            plant: |events| {
                let at = ack(events, 9);
                let (op, code, hint) = (Op(24), 3, 0);
                events[at].what = What::Failed { op, code, hint };
            },
            verdict: vec![Anomaly::Refused {
                room,
                origin: bob(4),
            }],
            evidence: &["failed", "deliver"],
        },
        Plant {
            name: "refused for now, and stored: for I12 alone",
            plant: |events| {
                let at = ack(events, 9);
                let (op, code, hint) = (Op(24), 20, 0);
                events[at].what = What::Failed { op, code, hint };
            },
            verdict: vec![Anomaly::NeverAnswered {
                room,
                origin: bob(4),
            }],
            evidence: &["healed", "publish", "failed"],
        },
        Plant {
            name: "broken bytes",
            plant: |events| {
                let (sub, seq, why) = (ANN_LAST, Seq(9), Why::Sum);
                let settled = nth_kind(events, 0, "settled");
                insert(events, settled, ANN, What::Broken { sub, seq, why });
            },
            verdict: vec![Anomaly::BadSum {
                sub: ANN_LAST,
                seq: Seq(9),
            }],
            evidence: &["broken"],
        },
    ]);
}

#[test]
fn i3_finds_two_orders() {
    let (room, seq) = (LOBBY, Seq(8));
    prove(vec![
        Plant {
            name: "one reader sees another message at a place",
            plant: |events| {
                let healed = nth_kind(events, 0, "healed");
                let (op, room, origin, body) = (Op(90), LOBBY, stranger(), BodyHash(77));
                insert(events, healed, ANN, What::Unknown { op });
                let publish = What::Publish {
                    op,
                    room,
                    origin,
                    body,
                };
                insert(events, healed, ANN, publish);
                let at = delivery(events, 0, 8);
                set!(events, at, What::Deliver { record, .. } => {
                    (record.origin, record.body) = (origin, body);
                });
            },
            verdict: vec![Anomaly::TwoRecords { room, seq }],
            evidence: &["published", "deliver"],
        },
        Plant {
            name: "one reader sees another link",
            plant: |events| {
                let at = delivery(events, 0, 8);
                set!(events, at, What::Deliver { record, .. } => record.link.0 ^= 1);
            },
            verdict: vec![Anomaly::TwoLinks { room, seq }],
            evidence: &["published", "deliver"],
        },
    ]);
}
