//! Plants against I5, I6, I7: how often and in which order.

use crate::checkers::Anomaly;
use crate::checkers::tests::edit::{
    ANN, ANN_LAST, LOBBY, ack, ann, every_record, final_records, insert, nth_kind, restamp, set,
    shift, tenth,
};
use crate::checkers::tests::{Plant, prove};
use crate::history::{Event, Op, Origin, ProducerSeq, Seq, Way, What};

/// Ann publishes her fourth again and is acked at the same place.
fn ack_again(events: &mut Vec<Event>, time: u64, duplicate: bool) {
    let old = final_records(events)[6];
    let (op, room, origin, body) = (Op(90), LOBBY, old.origin, old.body);
    let (seq, link) = (old.seq, old.link);
    let healed = nth_kind(events, 0, "healed");
    let published = What::Published {
        op,
        seq,
        link,
        time,
        duplicate,
    };
    insert(events, healed, ANN, published);
    let publish = What::Publish {
        op,
        room,
        origin,
        body,
    };
    insert(events, healed, ANN, publish);
}

/// Gives some messages another number, wherever they are.
fn renumber(events: &mut [Event], change: fn(&mut Origin)) {
    every_record(events, |record| change(&mut record.origin));
    for event in events {
        if let What::Publish { origin, .. } = &mut event.what {
            change(origin);
        }
    }
}

#[test]
fn i5_finds_what_took_effect_twice_or_out_of_number() {
    let room = LOBBY;
    prove(vec![
        Plant {
            name: "a retry is acked with the first place",
            plant: |events| ack_again(events, 70, true),
            verdict: vec![],
            evidence: &[],
        },
        Plant {
            name: "a message is stored twice",
            plant: |events| {
                let old = final_records(events)[7];
                tenth(events, old.origin, old.body);
            },
            verdict: vec![Anomaly::TwoSeqs {
                room,
                origin: ann(5),
                first: Seq(8),
                second: Seq(10),
            }],
            evidence: &["published", "deliver"],
        },
        Plant {
            name: "a retry is acked with another time",
            plant: |events| ack_again(events, 71, true),
            verdict: vec![Anomaly::TwoTimes {
                room,
                origin: ann(4),
            }],
            evidence: &["published", "published"],
        },
        Plant {
            name: "a retry is acked as if it were the first",
            plant: |events| ack_again(events, 70, false),
            verdict: vec![Anomaly::FirstTwice {
                room,
                origin: ann(4),
            }],
            evidence: &["published", "published"],
        },
        Plant {
            name: "a number is left out",
            plant: |events| {
                renumber(events, |origin| {
                    if *origin == ann(5) {
                        *origin = ann(6);
                    }
                });
            },
            verdict: vec![Anomaly::ProducerHole {
                room,
                user: ann(5).user,
                producer: ann(5).producer,
                missing: ProducerSeq(5),
            }],
            evidence: &["final_read"],
        },
    ]);
}

#[test]
fn i6_finds_a_message_that_overtook_an_earlier_one() {
    prove(vec![Plant {
        name: "the fourth and the fifth change places",
        plant: |events| {
            renumber(events, |origin| {
                let swapped = [(ann(4), ann(5)), (ann(5), ann(4))];
                let to = swapped.into_iter().find(|(from, _)| from == origin);
                *origin = to.map_or(*origin, |(_, to)| to);
            });
        },
        verdict: vec![Anomaly::OvertakenBy {
            room: LOBBY,
            earlier: ann(4),
            later: ann(5),
        }],
        evidence: &["published", "published"],
    }]);
}

#[test]
fn i7_finds_answers_from_the_past() {
    prove(vec![
        Plant {
            name: "a later message gets a lower place",
            plant: |events| {
                // All that the brokers did stays first; then Bob's publish and ack of 9, then Ann's of 8.
                let from = nth_kind(events, 10, "publish");
                let part: Vec<_> = events.drain(from..from + 14).collect();
                let order = [1, 2, 3, 7, 8, 9, 10, 11, 0, 4, 5, 6, 12, 13];
                let part = order.map(|at: usize| part[at].clone());
                events.splice(from..from, part);
                restamp(events);
            },
            verdict: vec![Anomaly::BelowAcked {
                room: LOBBY,
                origin: ann(5),
                seq: Seq(8),
                acked: Seq(9),
            }],
            evidence: &["published", "published"],
        },
        Plant {
            name: "a fetch answers with an old head",
            plant: |events| {
                let first = final_records(events)[0];
                let at = nth_kind(events, 0, "fetched");
                set!(events, at, What::Fetched { head, records, .. } => {
                    *head = Seq(2);
                    records.pop();
                    records.insert(0, first);
                });
            },
            verdict: vec![Anomaly::StaleHead {
                op: Op(8),
                head: Seq(2),
                acked: Seq(3),
            }],
            evidence: &["published", "fetched"],
        },
        Plant {
            name: "a subscription begins at an old head",
            plant: |events| {
                let record = final_records(events)[3];
                let at = nth_kind(events, 3, "subscribed");
                set!(events, at, What::Subscribed { head, next, .. } => {
                    (*head, *next) = (Seq(6), Seq(4));
                });
                let (sub, way) = (ANN_LAST, Way::CatchUp);
                insert(events, at + 1, ANN, What::Deliver { sub, record, way });
            },
            verdict: vec![Anomaly::StaleHead {
                op: ANN_LAST,
                head: Seq(6),
                acked: Seq(7),
            }],
            evidence: &["published", "subscribed"],
        },
        Plant {
            name: "a room with acked records is not found",
            plant: |events| {
                let at = nth_kind(events, 3, "fetch");
                set!(events, at, What::Fetch { room, .. } => *room = LOBBY);
            },
            verdict: vec![Anomaly::StaleNotFound {
                op: Op(22),
                acked: Seq(7),
            }],
            evidence: &["published", "failed"],
        },
        Plant {
            name: "a question that was asked before the ack may miss it",
            plant: |events| {
                let question = nth_kind(events, 0, "fetch");
                let acked = ack(events, 3);
                let first = final_records(events)[0];
                let answer = nth_kind(events, 0, "fetched");
                set!(events, answer, What::Fetched { head, records, .. } => {
                    *head = Seq(2);
                    records.pop();
                    records.insert(0, first);
                });
                shift(events, question, acked);
            },
            verdict: vec![],
            evidence: &[],
        },
    ]);
}
