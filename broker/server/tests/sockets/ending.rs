//! How a broker ends: gracefully, at once, by a failed disk; and what the next start finds.

use std::path::Path;

use antiphon_core::Recovering;
use antiphon_disk::{DataDirectory, NewDirectory};
use antiphon_log::{Log, LogSettings, Outcome};
use antiphon_protocol::{Code, FetchRange, GoawayClass, NodeId, ServerFrame};
use antiphon_server::{Node, exit};
use rustix::process::Signal;

use crate::child::BrokerProcess;
use crate::support::{self, Broker, Client};

/// How the next start would find the directory.
fn outcome(directory: &Path) -> Outcome {
    let directory = DataDirectory::open(
        directory,
        NewDirectory {
            node: NodeId(1),
            partitions: 4,
        },
    )
    .expect("nobody holds it");
    let settings = LogSettings::new(directory.file().directory_id);
    let (_log, recovery) =
        Log::open(directory.disk(), settings, &mut Recovering::new(4, 1)).expect("a log");
    recovery.outcome
}

fn is_goaway(client: &mut Client, expected: Code) -> bool {
    client.until_end().iter().any(|frame| match frame.decode() {
        ServerFrame::Goaway(goaway) => {
            goaway.code == expected && goaway.class == GoawayClass::Retry
        }
        _ => false,
    })
}

#[test]
fn sigterm_answers_says_goaway_writes_the_end_mark_and_exits_0() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = BrokerProcess::start(directory.path());
    let mut idle = Client::welcomed(broker.address(), "bob");
    let mut busy = Client::welcomed(broker.address(), "ann");
    let mut bytes = Vec::new();
    for number in 1..=100 {
        busy.encode_publish("lobby", number, b"last words", &mut bytes);
    }
    busy.send(&bytes);
    busy.acks(1);
    broker.signal(Signal::TERM);
    assert!(is_goaway(&mut busy, Code::SHUTTING_DOWN));
    assert!(is_goaway(&mut idle, Code::SHUTTING_DOWN));
    assert_eq!(broker.wait().code(), Some(i32::from(exit::DONE)));
    assert_eq!(outcome(directory.path()), Outcome::Clean);
}

#[test]
fn a_killed_node_says_nothing_leaves_no_end_mark_and_has_what_it_acked() {
    let broker = Broker::start();
    let mut client = broker.client("ann");
    for number in 1..=10 {
        client.publish_acked("lobby", number, b"kept");
    }
    let mut bytes = Vec::new();
    for number in 11..=500 {
        client.encode_publish("lobby", number, b"in doubt", &mut bytes);
    }
    client.send(&bytes);
    let directory = broker.kill();
    assert!(!is_goaway(&mut client, Code::SHUTTING_DOWN));
    assert_ne!(outcome(directory.path()), Outcome::Clean);
    let broker = Broker::start_in(directory, &[]);
    let kept = broker
        .client("bob")
        .history("lobby", FetchRange::Latest, 1_000)
        .len();
    assert!((10..=500).contains(&kept), "{kept}");
    broker.stop();
}

#[test]
fn a_node_that_ends_without_patience_still_says_goodbye_to_all() {
    // More than one turn flushes, on one core.
    const CLIENTS: usize = 600;
    support::raise_descriptors();
    let broker = Broker::start_with(&[("threads.cores", "1"), ("shutdown.drain", "0s")]);
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| broker.client(&format!("user{number}")))
        .collect();
    broker.stop();
    for (number, client) in clients.iter_mut().enumerate() {
        assert!(is_goaway(client, Code::SHUTTING_DOWN), "client {number}");
    }
}

#[test]
fn a_second_signal_ends_at_once_and_loses_nothing_that_was_acked() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = BrokerProcess::start(directory.path());
    let mut client = Client::welcomed(broker.address(), "ann");
    for number in 1..=10 {
        client.publish_acked("lobby", number, b"kept");
    }
    broker.signal(Signal::INT);
    // The goaway has come, so the first signal is at work; it waits for this client, which does not close.
    while !matches!(client.expect("GOAWAY").decode(), ServerFrame::Goaway(_)) {}
    broker.signal(Signal::TERM);
    assert_eq!(broker.wait().code(), Some(i32::from(exit::AT_ONCE)));
    let broker = Broker::start_in(directory, &[]);
    assert_eq!(
        broker
            .client("bob")
            .history("lobby", FetchRange::Latest, 100)
            .len(),
        10
    );
    broker.stop();
}

#[test]
fn a_killed_broker_has_everything_that_was_acked() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = BrokerProcess::start(directory.path());
    let mut client = Client::welcomed(broker.address(), "ann");
    let mut bytes = Vec::new();
    for number in 1..=500 {
        client.encode_publish("lobby", number, &number.to_le_bytes(), &mut bytes);
    }
    client.send(&bytes);
    let acked = client.acks(200).len();
    broker.signal(Signal::KILL);
    broker.wait();
    let broker = Broker::start_in(directory, &[]);
    let records =
        broker
            .client("bob")
            .history("lobby", FetchRange::After(antiphon_protocol::Seq(0)), 1_000);
    assert!(
        records.len() >= acked,
        "{} of {acked} acked records",
        records.len()
    );
    assert!(
        records
            .iter()
            .zip(1_u64..)
            .all(|((seq, body), number)| *seq == number && body == &number.to_le_bytes())
    );
    broker.stop();
}

#[test]
fn a_failed_write_ends_the_process_with_its_code_and_acks_nothing_more() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = BrokerProcess::start(directory.path());
    let mut client = Client::welcomed(broker.address(), "ann");
    for number in 1..=10 {
        client.publish_acked("lobby", number, b"kept");
    }
    // Writes beyond 256 KiB of a file fail from now on.
    broker.limit(rlimit::Resource::FSIZE, 256 * 1024);
    let mut bytes = Vec::new();
    for number in 11..=30 {
        client.encode_publish("lobby", number, &[1; 64 * 1024], &mut bytes);
    }
    client.try_send(&bytes);
    let acked: usize = client
        .until_end()
        .iter()
        .map(|frame| match frame.decode() {
            ServerFrame::Puback(puback) => puback.entries().count(),
            _ => 0,
        })
        .sum();
    assert_eq!(broker.wait().code(), Some(i32::from(exit::STORAGE)));
    assert!(acked < 20, "what cannot be written is not acked");
    let broker = Broker::start_in(directory, &[]);
    let kept =
        broker
            .client("bob")
            .history("lobby", FetchRange::After(antiphon_protocol::Seq(0)), 100);
    assert!(
        kept.len() >= 10 + acked
            && kept
                .iter()
                .zip(1..)
                .all(|((seq, _), number)| *seq == number)
    );
    broker.stop();
}

#[test]
fn a_node_that_is_dropped_closes_its_log_and_frees_its_directory() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(support::config(directory.path(), &[])).expect("a node");
    let mut client = Client::welcomed(node.address(), "ann");
    client.publish_acked("lobby", 1, b"kept");
    drop(node);
    assert!(
        is_goaway(&mut client, Code::SHUTTING_DOWN),
        "even so, it says goodbye"
    );
    assert_eq!(outcome(directory.path()), Outcome::Clean);
}

#[test]
fn a_node_without_clients_stops_without_waiting_for_any() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Waited for, the drain would outlast every test run.
    let settings = support::config(directory.path(), &[("shutdown.drain", "10m")]);
    let node = Node::start(settings).expect("a node");
    drop(Client::welcomed(node.address(), "ann"));
    node.stop().expect("a graceful stop");
    assert_eq!(outcome(directory.path()), Outcome::Clean);
}
