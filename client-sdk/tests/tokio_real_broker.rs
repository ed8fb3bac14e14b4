//! The client on a tokio runtime against the real broker, which is killed under it.

use std::time::Duration;

use antiphon_client::{AsyncClient, AsyncSubscription, Delivery, Seq, Start};
use antiphon_testing::TestBroker;

const PATIENCE: Duration = Duration::from_secs(60);

async fn next(subscription: &mut AsyncSubscription) -> (u64, String) {
    match subscription.next_timeout(PATIENCE).await {
        Ok(Some(Delivery::Record(record))) => (record.seq.0, record.text().into_owned()),
        other => panic!("not a record: {other:?}"),
    }
}

#[tokio::test]
async fn kills_under_pipelined_publishes_lose_and_double_nothing() {
    let mut broker = TestBroker::start();
    let ann = AsyncClient::connect(broker.options("ann"))
        .await
        .expect("connects");
    let bob = AsyncClient::connect(broker.options("bob"))
        .await
        .expect("connects");
    let mut reader = bob
        .subscribe("lobby", Start::Live)
        .await
        .expect("subscribes");
    let mut pending = Vec::new();
    for round in 0..4 {
        for n in 0..200 {
            let text = format!("{}", 200 * round + n + 1);
            pending.push(ann.publish_pipelined("lobby", text).await.expect("takes"));
        }
        tokio::task::yield_now().await;
        broker.kill();
        broker.restart();
    }
    for (n, pending) in (1..).zip(pending) {
        assert_eq!(pending.await.expect("acked").seq, Seq(n));
        assert_eq!(next(&mut reader).await, (n, n.to_string()));
    }
    assert!(ann.losses().connections >= 1);
    ann.close(PATIENCE).await.expect("nothing unacked");
}

#[tokio::test]
async fn a_paused_broker_holds_up_only_who_waits_for_it() {
    let broker = TestBroker::start();
    let ann = AsyncClient::connect(broker.options("ann"))
        .await
        .expect("connects");
    broker.pause();
    let publish = ann.publish("lobby", "1");
    tokio::pin!(publish);
    let early = tokio::time::timeout(Duration::from_millis(20), &mut publish).await;
    assert!(early.is_err(), "nothing passes a paused door");
    broker.resume();
    assert_eq!(publish.await.expect("acked").seq, Seq(1));
}
