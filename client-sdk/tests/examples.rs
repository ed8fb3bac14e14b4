//! Every example, run as its reader would: also when the broker or the program dies in between.

use std::fs;
use std::path::Path;

use antiphon_client::{HistoryRange, Seq};
use antiphon_testing::TestBroker;

#[path = "../examples/consumer.rs"]
#[allow(dead_code)]
mod consumer;
#[path = "../examples/hello.rs"]
#[allow(dead_code)]
mod hello;
#[path = "../examples/producer.rs"]
#[allow(dead_code)]
mod producer;
#[path = "../examples/resume.rs"]
#[allow(dead_code)]
mod resume;

type Run = fn(&Path, &str, &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>>;

fn said(run: Run, file: &Path, broker: &TestBroker) -> String {
    let mut out = Vec::new();
    run(file, &broker.address().to_string(), &mut out).expect("the example runs");
    String::from_utf8(out).expect("text")
}

#[test]
fn hello_reads_back_what_it_said() {
    let broker = TestBroker::start();
    let mut out = Vec::new();
    hello::run(&broker.address().to_string(), &mut out).expect("the example runs");
    assert_eq!(
        String::from_utf8(out).expect("text"),
        "stored as 1\n1 ann: hello\n"
    );
}

#[test]
fn resume_goes_on_where_it_was_also_behind_a_killed_broker() {
    let mut broker = TestBroker::start();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("position");
    let ann = broker.client("ann");
    ann.publish("lobby", "one").expect("acked");
    assert_eq!(said(resume::run, &file, &broker), "1 one\n");
    broker.kill();
    broker.restart();
    ann.publish("lobby", "two").expect("acked");
    assert_eq!(said(resume::run, &file, &broker), "2 two\n");
    assert_eq!(said(resume::run, &file, &broker), "");
}

#[test]
fn the_consumer_that_was_away_gets_each_line_of_the_producer_once() {
    let mut broker = TestBroker::start();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let orders = directory.path().join("orders.txt");
    let ledger = directory.path().join("ledger");

    fs::write(&orders, "a\nb\nc\n").expect("written");
    assert_eq!(
        said(producer::run, &orders, &broker),
        "3 published, 0 were there already\n"
    );
    assert!(said(consumer::run, &ledger, &broker).starts_with("3 handled"));

    // While the consumer is away the file grows, the producer runs again, and the broker dies.
    fs::write(&orders, "a\nb\nc\nd\ne\n").expect("written");
    assert_eq!(
        said(producer::run, &orders, &broker),
        "2 published, 3 were there already\n"
    );
    broker.kill();
    broker.restart();
    assert_eq!(
        said(producer::run, &orders, &broker),
        "0 published, 5 were there already\n"
    );

    // And the consumer had died in the middle of its last line.
    let whole = fs::read_to_string(&ledger).expect("there");
    fs::write(&ledger, &whole[..whole.len() - 1]).expect("written");
    assert!(said(consumer::run, &ledger, &broker).starts_with("3 handled"));
    let ledger = fs::read_to_string(&ledger).expect("there");
    let handled: Vec<&str> = ledger
        .lines()
        .map(|line| line.split(' ').nth(1).expect("a text"))
        .collect();
    assert_eq!(handled, ["a", "b", "c", "d", "e"]);
    let past = broker
        .client("ann")
        .history("orders", HistoryRange::Latest, 10);
    assert_eq!(past.expect("reads").head_seq, Seq(5));
}
