//! What each fault does to a client that stands in the middle of it.

use std::time::Duration;

use antiphon_client::{
    ClientError, Delivery, HistoryRange, ProducerSeq, PublishError, Seq, Start, Subscription,
};
use antiphon_testing::TestBroker;

const PATIENCE: Duration = Duration::from_secs(60);

fn next(reader: &mut Subscription) -> (u64, String) {
    match reader.next_timeout(PATIENCE) {
        Ok(Some(Delivery::Record(record))) => (record.seq.0, record.text().into_owned()),
        other => panic!("not a record: {other:?}"),
    }
}

#[test]
fn a_killed_broker_is_gone_for_its_clients_and_back_with_everything_it_acked() {
    let mut broker = TestBroker::start();
    let address = broker.address();
    let ann = broker.client("ann");
    let mut reader = ann.subscribe("lobby", Start::Live).expect("subscribes");
    for n in 1..=20 {
        ann.publish("lobby", format!("{n}")).expect("acked");
    }
    broker.kill();
    assert_eq!(ann.ping(), Err(ClientError::Disconnected));
    let pending = ann.publish_pipelined("lobby", "21").expect("takes");
    broker.restart();
    assert_eq!(broker.address(), address);
    assert_eq!(pending.wait().expect("acked").seq, Seq(21));
    for n in 1..=21 {
        assert_eq!(next(&mut reader), (n, format!("{n}")));
    }
    assert_eq!(ann.producer_seq("lobby"), Ok(ProducerSeq(21)));
    assert!(ann.losses().connections >= 1);
}

#[test]
fn a_stopped_broker_says_goodbye_and_a_new_client_waits_for_the_next_life() {
    let mut broker = TestBroker::start();
    broker.client("ann").publish("lobby", "1").expect("acked");
    broker.stop();
    let late = broker.options("bob");
    let client = std::thread::spawn(move || antiphon_client::Client::connect(late));
    broker.restart();
    let client = client.join().expect("no panic").expect("connects");
    let past = client
        .history("lobby", HistoryRange::Latest, 10)
        .expect("reads");
    assert_eq!(past.head_seq, Seq(1));
}

#[test]
fn a_paused_broker_answers_nobody_and_then_everybody() {
    let broker = TestBroker::start();
    let ann = broker.client("ann");
    ann.publish("lobby", "1").expect("acked");
    broker.pause();
    let pending = ann.publish_pipelined("lobby", "2").expect("takes");
    let doubt = pending
        .wait_deadline(std::time::Instant::now() + Duration::from_millis(50))
        .expect_err("no answer");
    assert!(
        doubt.is_unknown() || doubt == PublishError::Timeout,
        "{doubt:?}"
    );
    broker.resume();
    assert!(ann.publish("lobby", "3").expect("acked").seq <= Seq(3));
}

#[test]
fn cut_again_and_again_nothing_is_lost_or_doubled() {
    let broker = TestBroker::start();
    let ann = broker.client("ann");
    let mut reader = broker
        .client("bob")
        .subscribe("lobby", Start::Live)
        .expect("subscribes");
    let mut pending = Vec::new();
    for round in 0..10_u64 {
        for n in 0..50 {
            let text = format!("{}", 50 * round + n + 1);
            pending.push(ann.publish_pipelined("lobby", text).expect("takes"));
        }
        broker.cut();
    }
    for (n, pending) in (1..).zip(pending) {
        assert_eq!(pending.wait().expect("acked").seq, Seq(n));
        assert_eq!(next(&mut reader), (n, n.to_string()));
    }
}

#[test]
fn the_directory_goes_with_the_broker() {
    let broker = TestBroker::start();
    let directory = broker.directory().to_path_buf();
    broker.client("ann").publish("lobby", "1").expect("acked");
    assert!(directory.join("antiphon.dir").exists());
    drop(broker);
    assert!(!directory.exists());
}
