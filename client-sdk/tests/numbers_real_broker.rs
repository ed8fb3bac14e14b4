//! What the broker says about producers and their numbers, as a program learns it: against the real broker.

use std::time::{SystemTime, UNIX_EPOCH};

use antiphon_client::{
    Client, ClientError, Code, GoawayClass, Message, Producer, ProducerSeq, PublishError, Receipt,
    Seq,
};
use antiphon_testing::TestBroker;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn say(client: &Client, number: u64, text: &str) -> Result<Receipt, PublishError> {
    let message = Message::new(text).producer_seq(ProducerSeq(number));
    client.publish("lobby", message)
}

/// A producer that was drawn so many days ago, as far as it says itself.
fn producer_of_age(days: u64, other: &Client) -> Producer {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after the epoch");
    let birth = now.as_millis() as u64 - days * DAY_MS;
    Producer(birth << 22 | other.producer().0 & 0x3F_FFFF)
}

#[test]
fn another_message_under_a_used_number_is_a_conflict_and_the_next_number_goes_on() {
    let mut broker = TestBroker::start();
    let first = Client::connect(broker.options("ann").keep_producer()).expect("connects");
    let producer = first.producer();
    assert_eq!(say(&first, 1, "one").expect("acked").seq, Seq(1));
    drop(first);
    broker.kill();
    broker.restart();
    let second = Client::connect(broker.options("ann").producer(producer)).expect("connects");
    let conflict = say(&second, 1, "another one");
    assert_eq!(
        conflict,
        Err(PublishError::ProducerConflict(ProducerSeq(1)))
    );
    assert!(!conflict.expect_err("refused").is_retryable());
    let next = say(&second, 2, "two").expect("acked");
    assert_eq!((next.seq, next.duplicate), (Seq(2), false));
    let again = say(&second, 1, "one").expect("it is there");
    assert_eq!((again.seq, again.duplicate), (Seq(1), true));
}

#[test]
fn numbers_that_start_too_high_tell_where_to_start() {
    let broker = TestBroker::start();
    let ann = Client::connect(broker.options("ann").keep_producer()).expect("connects");
    let error = say(&ann, 5, "five").expect_err("nobody knows one to four");
    let expected = ProducerSeq(1);
    assert_eq!(error, PublishError::OutOfOrder { expected });
    assert!(error.is_retryable(), "it certainly was not published");
    assert_eq!(say(&ann, 1, "one").expect("acked").seq, Seq(1));
    let rooms = [("lobby", ProducerSeq(1))];
    let options = broker.options("ann").producer(ann.producer());
    drop(ann);
    let again = Client::connect(options.producer_seqs(rooms)).expect("connects");
    let receipt = again.publish("lobby", "two").expect("acked");
    assert_eq!(
        (receipt.producer_seq, receipt.seq),
        (ProducerSeq(2), Seq(2))
    );
}

#[test]
fn a_kept_producer_that_is_too_old_is_told_and_a_young_one_goes_on() {
    let broker = TestBroker::start();
    let ann = broker.client("ann");
    let with = |producer| Client::connect(broker.options("ann").producer(producer));
    let error = with(producer_of_age(8, &ann)).expect_err("too old");
    let ClientError::Goaway { code, class, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (*code, *class),
        (Code::PRODUCER_EXPIRED, GoawayClass::Terminal)
    );
    assert!(!error.is_retryable());
    let young = producer_of_age(5, &ann);
    let old = with(young).expect("five days are no age");
    assert_eq!(old.producer(), young);
    assert_eq!(say(&old, 1, "one").expect("acked").seq, Seq(1));
}

#[test]
fn a_client_that_keeps_no_producer_never_hears_of_one() {
    let mut broker = TestBroker::start();
    let ann = broker.client("ann");
    let before = ann.producer();
    let demanded = say(&ann, 1, "one");
    assert!(
        matches!(demanded, Err(PublishError::Misuse(_))),
        "{demanded:?}"
    );
    for round in 0..3 {
        let pending: Vec<_> = (0..20)
            .map(|n| ann.publish_pipelined("lobby", format!("{round} {n}")))
            .collect::<Result<_, _>>()
            .expect("takes");
        broker.kill();
        broker.restart();
        for (n, pending) in pending.into_iter().enumerate() {
            let receipt = pending.wait().expect("acked");
            assert_eq!(receipt.seq, Seq(round * 20 + n as u64 + 1));
        }
    }
    assert_eq!(ann.producer(), before);
}
