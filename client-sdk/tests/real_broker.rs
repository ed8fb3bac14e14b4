//! The client against the real broker: a node in this process, real sockets, a real log.

use std::time::Duration;

use antiphon_client::{
    Client, ClientError, Code, Delivery, HistoryRange, Message, Position, ProducerSeq,
    PublishError, Receipt, Seq, Start, Subscription, Timestamp,
};
use antiphon_testing::TestBroker;

const PATIENCE: Duration = Duration::from_secs(60);

fn next(subscription: &mut Subscription) -> (u64, String) {
    match subscription.next_timeout(PATIENCE) {
        Ok(Some(Delivery::Record(record))) => (record.seq.0, record.text().into_owned()),
        other => panic!("not a record: {other:?}"),
    }
}

#[test]
fn a_message_goes_in_and_comes_out_live_late_and_as_history() {
    let broker = TestBroker::start();
    let ann = broker.client("ann");
    let bob = broker.client("bob");
    let mut live = bob
        .subscribe("lobby", Start::Live)
        .expect("subscribes before the room exists");
    assert_eq!(live.head().room_id, None);
    let message = Message::new("hello")
        .origin_time(Timestamp(7))
        .property("mood", "good");
    let receipt = ann.publish("lobby", message).expect("acked");
    assert_eq!((receipt.seq, receipt.duplicate), (Seq(1), false));
    let Ok(Some(Delivery::Record(record))) = live.next_timeout(PATIENCE) else {
        panic!("no record")
    };
    assert_eq!(
        (record.position(), record.room_id),
        (receipt.position().expect("known"), receipt.room_id)
    );
    assert_eq!(
        (record.text().as_ref(), record.sender_text().as_ref()),
        ("hello", "ann")
    );
    assert_eq!(record.headers.origin_time(), Some(Timestamp(7)));
    assert_eq!(
        (record.producer, record.time),
        (ann.producer(), receipt.time)
    );

    for n in 2..=50 {
        ann.publish("lobby", format!("{n}")).expect("acked");
    }
    let mut late = ann
        .subscribe("lobby", Start::After(receipt.position().expect("known")))
        .expect("subscribes");
    let mut last = bob
        .history("lobby", HistoryRange::Latest, 3)
        .expect("reads");
    assert_eq!(last.records.pop().expect("three").text(), "50");
    for n in 2..=50 {
        assert_eq!(next(&mut late), (n, format!("{n}")));
        assert_eq!(next(&mut live), (n, format!("{n}")));
    }
    let before = bob
        .history("lobby", HistoryRange::Before(Seq(10)), 4)
        .expect("reads");
    assert_eq!(
        before
            .records
            .iter()
            .map(|record| record.seq.0)
            .collect::<Vec<_>>(),
        [6, 7, 8, 9]
    );
    let seqs = |range, limit| {
        let history = bob.history("lobby", range, limit).expect("reads");
        let seqs = history.records.iter().map(|record| record.seq.0);
        seqs.collect::<Vec<_>>()
    };
    assert_eq!(seqs(HistoryRange::Around(Seq(10)), 5), [8, 9, 10, 11, 12]);
    assert_eq!(seqs(HistoryRange::Around(Seq(1)), 5), [1, 2, 3]);
    assert_eq!(seqs(HistoryRange::Around(Seq(50)), 4), [48, 49, 50]);
    assert_eq!(seqs(HistoryRange::Time(Timestamp(0)), 2), [1, 2]);
    assert!(seqs(HistoryRange::Time(Timestamp(u64::MAX)), 2).is_empty());
    let after = bob
        .history("lobby", HistoryRange::After(Seq(50)), 4)
        .expect("reads");
    assert_eq!((after.records.len(), after.head_seq), (0, Seq(50)));
    assert!(ann.ping().expect("answers") < PATIENCE);
    ann.close(PATIENCE).expect("nothing unacked");
}

#[test]
fn a_message_that_expects_a_place_gets_it_or_is_refused_and_the_next_one_goes_on() {
    let broker = TestBroker::start();
    let ann = broker.client("ann");
    let place = |text: &str, seq| {
        let message = Message::new(text).expect_seq(Seq(seq));
        ann.publish("lobby", message)
    };
    assert_eq!(place("first", 1).expect("creates the room").seq, Seq(1));
    assert_eq!(place("second", 2).expect("nobody was faster").seq, Seq(2));
    let error = place("late", 2).expect_err("the place is taken");
    assert!(
        matches!(&error, PublishError::Rejected(rejection)
            if rejection.code == Code::CONFLICT && rejection.hint == 2),
        "{error:?}"
    );
    assert_eq!(place("third", 3).expect("the number was free").seq, Seq(3));
}

#[test]
fn what_the_broker_refuses_is_typed() {
    let broker = TestBroker::start();
    let ann = broker.client("ann");
    let error = ann
        .history("nowhere", HistoryRange::Latest, 1)
        .expect_err("no such room");
    assert!(
        matches!(&error, ClientError::Rejected(rejection) if rejection.code == Code::NOT_FOUND),
        "{error:?}"
    );
    let receipt = ann.publish("lobby", "x").expect("acked");
    let mut wrong = receipt.position().expect("known");
    wrong.link.0 ^= 1;
    let error = ann
        .subscribe("lobby", Start::After(wrong))
        .expect_err("another history");
    assert_eq!(error, ClientError::Diverged { head: Seq(1) });
    let above = Position {
        seq: Seq(9),
        ..Position::BEGINNING
    };
    let error = ann
        .subscribe("lobby", Start::After(above))
        .expect_err("above the head");
    assert_eq!(error, ClientError::Diverged { head: Seq(1) });
}

#[test]
fn kills_and_restarts_under_pipelined_publishes_lose_and_double_nothing() {
    let mut broker = TestBroker::start();
    let ann = broker.client("ann");
    let bob = broker.client("bob");
    let mut reader = bob.subscribe("lobby", Start::Live).expect("subscribes");
    let mut pending = Vec::new();
    for round in 0..5 {
        for n in 0..400 {
            let message = format!("{round} {n}");
            pending.push(ann.publish_pipelined("lobby", message).expect("takes"));
        }
        if round % 2 == 0 {
            broker.kill();
        }
        broker.restart();
    }
    let receipts: Vec<Receipt> = pending
        .into_iter()
        .map(|pending| pending.wait().expect("acked"))
        .collect();
    let seqs: Vec<u64> = receipts.iter().map(|receipt| receipt.seq.0).collect();
    assert_eq!(seqs, (1..=2_000).collect::<Vec<_>>());
    for seq in 1..=2_000 {
        assert_eq!(
            next(&mut reader),
            (seq, format!("{} {}", (seq - 1) / 400, (seq - 1) % 400))
        );
    }
    let mut again = ann
        .subscribe("lobby", Start::Beginning)
        .expect("subscribes");
    for receipt in receipts {
        next(&mut again);
        assert_eq!(Some(again.position()), receipt.position());
    }
}

#[test]
fn a_stored_producer_publishes_everything_again_after_a_restart_and_doubles_nothing() {
    let mut broker = TestBroker::start();
    let first = Client::connect(broker.options("ann").keep_producer()).expect("connects");
    let producer = first.producer();
    let publish = |client: &Client, n: u64| {
        let message = Message::new(format!("{n}")).producer_seq(ProducerSeq(n));
        client.publish_pipelined("lobby", message).expect("takes")
    };
    let before: Vec<Receipt> = (1..=50)
        .map(|n| publish(&first, n))
        .map(|pending| pending.wait().expect("acked"))
        .collect();
    drop(first);
    broker.restart();

    let second = Client::connect(broker.options("ann").producer(producer)).expect("connects");
    let pending: Vec<_> = (1..=60).map(|n| publish(&second, n)).collect();
    let after: Vec<Receipt> = pending
        .into_iter()
        .map(|pending| pending.wait().expect("acked"))
        .collect();
    for (n, receipt) in (1..).zip(&after) {
        assert_eq!((receipt.seq, receipt.duplicate), (Seq(n), n <= 50));
    }
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(first, again)| (first.link, first.time) == (again.link, again.time))
    );
    let head = second.subscribe("lobby", Start::Live).expect("subscribes");
    assert_eq!(
        (head.head().head.seq, head.head().producer_seq),
        (Seq(60), ProducerSeq(60))
    );
}

#[test]
fn a_slow_reader_with_a_small_buffer_gets_everything() {
    let broker = TestBroker::start();
    let ann = broker.client("ann");
    let bob =
        Client::connect(broker.options("bob").subscription_bounds(16, 1 << 20)).expect("connects");
    let mut slow = bob.subscribe("lobby", Start::Live).expect("subscribes");
    let pending: Vec<_> = (0..3_000)
        .map(|n| {
            ann.publish_pipelined("lobby", format!("{n}"))
                .expect("takes")
        })
        .collect();
    for pending in pending {
        pending.wait().expect("acked");
    }
    bob.publish("elsewhere", "not held up by the reader")
        .expect("acked");
    for n in 0..3_000 {
        assert_eq!(next(&mut slow), (n + 1, format!("{n}")));
    }
}
