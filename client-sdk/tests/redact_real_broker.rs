//! Edits and redactions against the real broker, which is killed under them.

use std::time::Duration;

use antiphon_client::{
    Client, Delivery, HistoryRange, Message, PublishError, Record, RecordKind, Seq, Start,
};
use antiphon_testing::TestBroker;

const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "the password is swordfish";

/// All records of a room, by history and by a new subscription, which must agree.
fn read(client: &Client, room: &str) -> Vec<Record> {
    let page = client
        .history(room, HistoryRange::After(Seq(0)), 1_000)
        .expect("reads");
    let mut subscription = client
        .subscribe(room, Start::Beginning)
        .expect("subscribes");
    for record in &page.records {
        let next = subscription.next_timeout(PATIENCE).expect("goes on");
        assert_eq!(next, Some(Delivery::Record(record.clone())));
    }
    page.records
}

fn code_of(error: &PublishError) -> String {
    error.to_string()
}

#[test]
fn a_redacted_body_is_read_by_nobody_also_after_kills() {
    let mut broker = TestBroker::start();
    let (ann, bob) = (broker.client("ann"), broker.client("bob"));
    let secret = ann.publish("lobby", SECRET).expect("acked");
    let reply = Message::new("oh").reply_to(secret.seq);
    bob.publish("lobby", reply).expect("acked");
    let error = bob
        .publish("lobby", Message::redact(secret.seq, ""))
        .expect_err("not his");
    assert!(code_of(&error).contains("FORBIDDEN"), "{error}");

    let mut live = bob.subscribe("lobby", Start::Live).expect("subscribes");
    let redact = ann
        .publish("lobby", Message::redact(secret.seq, "oops"))
        .expect("acked");
    match live.next_timeout(PATIENCE) {
        Ok(Some(Delivery::Record(record))) => {
            assert_eq!((record.seq, record.kind), (redact.seq, RecordKind::REDACT));
            assert_eq!(record.headers.reply_to(), Some(secret.seq));
        }
        other => panic!("no redaction came: {other:?}"),
    }
    drop(live);
    for round in 0..3 {
        let records = read(&bob, "lobby");
        let first = &records[0];
        assert!(first.is_erased && first.body.is_empty(), "round {round}");
        assert_eq!((first.seq, first.link), (secret.seq, secret.link));
        assert_eq!(records.len(), 3);
        broker.kill();
        broker.restart();
    }
    let error = bob
        .publish("lobby", Message::reaction(secret.seq, "?"))
        .expect_err("it is erased");
    assert!(code_of(&error).contains("NOT_FOUND"), "{error}");
}

#[test]
fn what_only_the_log_has_is_edited_and_redacted_while_the_session_goes_on() {
    let mut broker = TestBroker::start();
    let ann = broker.client("ann");
    for number in 0..20 {
        ann.publish("lobby", format!("message {number}"))
            .expect("acked");
    }
    // Nothing of before a start is in memory.
    broker.kill();
    broker.restart();
    let edit = ann.publish("lobby", Message::edit(Seq(7), "message six, mended"));
    assert_eq!(edit.expect("acked").seq, Seq(21));
    let pending: Vec<_> = (1..=5)
        .flat_map(|seq| {
            let redact = Message::redact(Seq(seq), "");
            let redact = ann.publish_pipelined("lobby", redact).expect("taken");
            let plain = ann.publish_pipelined("lobby", "behind").expect("taken");
            [redact, plain]
        })
        .collect();
    let seqs: Vec<u64> = pending
        .into_iter()
        .map(|pending| pending.wait().expect("acked").seq.0)
        .collect();
    assert_eq!(seqs, (22..32).collect::<Vec<u64>>(), "in order, each once");
    let records = read(&ann, "lobby");
    let erased: Vec<u64> = records
        .iter()
        .filter(|record| record.is_erased)
        .map(|record| record.seq.0)
        .collect();
    assert_eq!(erased, [1, 2, 3, 4, 5]);
    assert_eq!(records[20].text(), "message six, mended");
    let error = ann
        .publish("lobby", Message::edit(Seq(21), "an edit is no original"))
        .expect_err("the original is edited");
    assert!(code_of(&error).contains("FORBIDDEN"), "{error}");
}
