//! Plants against the shape of a history, I12 and I14: its writer, liveness, and disks.

use crate::checkers::tests::edit::{
    ANN, BOB, LOBBY, ack, bob, final_records, insert, kind, nth, nth_kind, set, shift,
};
use crate::checkers::tests::good::three_nodes;
use crate::checkers::tests::{Plant, prove};
use crate::checkers::{Anomaly, check_all};
use crate::history::{BodyHash, Client, Event, Node, Op, Position, Producer, Seq, What};

#[test]
fn shape_finds_what_no_writer_may_write() {
    prove(vec![
        Plant {
            name: "time falls",
            plant: |events| events[50].at = 0,
            verdict: vec![Anomaly::TimeFell],
            evidence: &["connect", "connected"],
        },
        Plant {
            name: "an op twice",
            plant: |events| {
                let at = nth_kind(events, 9, "publish");
                events.insert(at, events[at].clone());
            },
            verdict: vec![Anomaly::OpTwice { op: Op(18) }],
            evidence: &["publish", "publish"],
        },
        Plant {
            name: "an outcome of nothing",
            plant: |events| insert(events, 5, ANN, What::Unknown { op: Op(99) }),
            verdict: vec![Anomaly::NoRequest { op: Op(99) }],
            evidence: &["unknown"],
        },
        Plant {
            name: "an outcome for another client",
            plant: |events| {
                let at = ack(events, 5);
                events[at].by = BOB;
            },
            verdict: vec![Anomaly::NoRequest { op: Op(15) }],
            evidence: &["published"],
        },
        Plant {
            name: "an outcome of another kind",
            plant: |events| {
                let at = nth_kind(events, 0, "fetch");
                let producer = Producer(1);
                let op = Op(8);
                events[at + 1].what = What::Connected { op, producer };
            },
            verdict: vec![Anomaly::NoRequest { op: Op(8) }],
            evidence: &["connected"],
        },
        Plant {
            name: "two outcomes",
            plant: |events| {
                let at = ack(events, 7) + 1;
                insert(events, at, ANN, What::Unknown { op: Op(18) });
            },
            verdict: vec![Anomaly::OutcomeTwice { op: Op(18) }],
            evidence: &["published", "unknown"],
        },
        Plant {
            name: "healed by a client",
            plant: |events| {
                let at = nth_kind(events, 0, "healed");
                events[at].by = ANN;
            },
            verdict: vec![Anomaly::WrongActor],
            evidence: &["healed"],
        },
    ]);
}

/// The last message is refused, and nobody sees it.
fn never_stored(events: &mut Vec<Event>, code: u16) {
    let at = ack(events, 9);
    let (op, hint) = (Op(24), 0);
    events[at].what = What::Failed { op, code, hint };
    events.retain(|event| match event.what {
        What::Deliver { record, .. } => record.seq != Seq(9),
        What::AckSent { seq, .. } => seq != Seq(9),
        _ => true,
    });
    final_records(events).retain(|record| record.seq != Seq(9));
}

fn stranded(events: &mut Vec<Event>, at: usize) {
    let (op, room, origin) = (Op(90), LOBBY, bob(4));
    let body = BodyHash(1);
    insert(events, at, BOB, What::Unknown { op });
    let publish = What::Publish {
        op,
        room,
        origin,
        body,
    };
    insert(events, at, BOB, publish);
}

#[test]
fn i12_finds_what_is_stuck_after_healing() {
    prove(vec![
        Plant {
            name: "no answer",
            plant: |events| drop(events.remove(ack(events, 9))),
            verdict: vec![Anomaly::Stuck { op: Op(24) }],
            evidence: &["healed", "publish"],
        },
        Plant {
            name: "an answer too late",
            plant: |events| {
                let at = ack(events, 8);
                events[at..]
                    .iter_mut()
                    .for_each(|event| event.at += 20_000_000_000);
            },
            verdict: vec![Anomaly::Stuck { op: Op(23) }],
            evidence: &["healed", "publish", "published"],
        },
        Plant {
            name: "a message is given up",
            plant: |events| {
                let at = ack(events, 9);
                events[at].what = What::Unknown { op: Op(24) };
            },
            verdict: vec![Anomaly::NeverAnswered {
                room: LOBBY,
                origin: bob(4),
            }],
            evidence: &["healed", "publish", "unknown"],
        },
        Plant {
            name: "a message is refused for now, and never again tried",
            plant: |events| never_stored(events, 15),
            verdict: vec![Anomaly::NeverAnswered {
                room: LOBBY,
                origin: bob(4),
            }],
            evidence: &["healed", "publish", "failed"],
        },
        Plant {
            name: "a message is refused for good",
            plant: |events| never_stored(events, 3),
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "a message was given up before, and not tried since",
            plant: |events| {
                stranded(events, nth_kind(events, 0, "healed"));
                // The one that is acked later is another one.
                for event in &mut events[..] {
                    if let What::Publish {
                        op: Op(90), origin, ..
                    } = &mut event.what
                    {
                        origin.producer = Producer(77);
                    }
                }
            },
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "a client cannot connect",
            plant: |events| {
                let at = nth_kind(events, 0, "healed") + 1;
                let (op, node, code, hint) = (Op(90), Node(1), 0, 0);
                insert(events, at, BOB, What::Failed { op, code, hint });
                insert(events, at, BOB, What::Connect { op, node });
            },
            verdict: vec![Anomaly::NeverConnected { client: Client(2) }],
            evidence: &["healed", "connect", "failed"],
        },
    ]);
}

#[test]
fn i12_demands_nothing_for_a_client_that_its_application_closed() {
    prove(vec![Plant {
        name: "a message is given up, and a connection, by an application that ends",
        plant: |events| {
            let at = ack(events, 9);
            events[at].what = What::Unknown { op: Op(24) };
            let settled = nth_kind(events, 0, "settled");
            let (op, node) = (Op(90), Node(1));
            insert(events, settled, BOB, What::Closed);
            insert(events, settled, BOB, What::Disconnected);
            insert(events, settled, BOB, What::Unknown { op });
            insert(events, settled, BOB, What::Connect { op, node });
        },
        verdict: vec![],
        evidence: &[],
    }]);
}

fn early(seq: u64, safe_on: u32, needed: u32) -> Anomaly {
    Anomaly::AckBeforeSync {
        room: LOBBY,
        seq: Seq(seq),
        safe_on,
        needed,
    }
}

/// The place of the event by which a node's disk has this seq in its log, or has it safe (`after` 1).
fn written(events: &[Event], of: u64, after: usize) -> usize {
    let at = nth(
        events,
        0,
        |what| matches!(what, What::Written { first, .. } if *first == Seq(of)),
    );
    at + after
}

#[test]
fn i14_finds_acks_from_memory() {
    prove(vec![
        Plant {
            name: "acked, then synced",
            plant: |events| {
                let synced = written(events, 8, 1);
                shift(events, synced, synced + 1);
            },
            verdict: vec![early(8, 0, 1)],
            evidence: &["written", "ack_sent"],
        },
        Plant {
            name: "a sync is skipped, and all later ones rest on nothing",
            plant: |events| drop(events.remove(written(events, 8, 1))),
            verdict: vec![early(8, 0, 1), early(9, 0, 1)],
            evidence: &["written", "ack_sent"],
        },
        Plant {
            name: "never written",
            plant: |events| drop(events.remove(written(events, 8, 0))),
            verdict: vec![early(8, 0, 1)],
            evidence: &["ack_sent"],
        },
        Plant {
            name: "only the client saw the ack",
            plant: |events| {
                let synced = written(events, 8, 1);
                let acked = ack(events, 8);
                shift(events, synced, acked);
                events.remove(synced);
            },
            verdict: vec![early(8, 0, 1)],
            evidence: &["written", "published"],
        },
        Plant {
            name: "acked again after a restart that lost it",
            plant: |events| {
                let at = nth_kind(events, 1, "started");
                set!(events, at, What::Started { log_end } => *log_end = Position(4608));
            },
            verdict: vec![early(5, 0, 1)],
            evidence: &["ack_sent"],
        },
    ]);
}

#[test]
fn i14_asks_for_a_majority() {
    let with_syncs = |of: u64, kept: usize| {
        let mut history = three_nodes();
        let ends: Vec<_> = history
            .events
            .iter()
            .filter_map(|event| match event.what {
                What::Written { first, end, .. } if first == Seq(of) => Some(end),
                _ => None,
            })
            .collect();
        let mut seen = 0;
        history.events.retain(|event| match event.what {
            What::Synced { end, .. } if ends.contains(&end) => {
                seen += 1;
                seen <= kept
            }
            _ => true,
        });
        let report = check_all(&history);
        let found: Vec<_> = report.violations().map(|one| one.anomaly.clone()).collect();
        let evidence: Vec<_> = report.violations().flat_map(|one| &one.events).collect();
        let kinds: Vec<_> = evidence
            .into_iter()
            .map(|event| kind(&history.events[event.0].what))
            .collect();
        (found, kinds)
    };
    assert_eq!(with_syncs(2, 2), (vec![], vec![]));
    let proof = vec!["written", "written", "written", "ack_sent"];
    assert_eq!(with_syncs(2, 1), (vec![early(2, 1, 2)], proof));
}
