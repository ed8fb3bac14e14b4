//! Who gets a connection when there are not enough.

use antiphon_protocol::{Code, GoawayClass, ServerFrame};

use crate::child::BrokerProcess;
use crate::support::{Broker, Client};

#[test]
fn beyond_the_most_connections_a_client_waits_until_another_leaves() {
    let broker = Broker::start_with(&[("connections.max", "3")]);
    let mut clients: Vec<Client> = (0..3)
        .map(|number| broker.client(&format!("user{number}")))
        .collect();
    let mut fourth = Client::connect(broker.address());
    fourth.hello("late", None);
    // The others are served meanwhile.
    for client in &mut clients {
        client.round_trip();
    }
    drop(clients.pop());
    assert!(matches!(
        fourth.expect("WELCOME").decode(),
        ServerFrame::Welcome(_)
    ));
    drop((clients, fourth));
    broker.stop();
}

#[test]
fn beyond_the_most_connections_of_an_address_a_client_is_told() {
    let broker = Broker::start_with(&[("connections.per_address_max", "2")]);
    let first = broker.client("ann");
    let mut second = broker.client("bob");
    let mut third = Client::connect(broker.address());
    let frames = third.until_end();
    let [goaway] = frames.as_slice() else {
        panic!("{frames:?}")
    };
    let ServerFrame::Goaway(goaway) = goaway.decode() else {
        panic!("{goaway:?} is no GOAWAY")
    };
    assert_eq!(
        (goaway.code, goaway.class),
        (Code::LIMIT, GoawayClass::Retry)
    );
    assert!(goaway.retry_after_ms > 0);
    drop(first);
    second.round_trip();
    drop((second, third));
    broker.stop();
}

#[test]
fn out_of_descriptors_the_broker_serves_who_is_there_and_does_not_spin() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = BrokerProcess::start(directory.path());
    let mut served = Client::welcomed(broker.address(), "ann");
    broker.limit(rlimit::Resource::NOFILE, 64);
    // More than fit: the kernel completes them, the broker cannot take them all.
    let mut crowd: Vec<Client> = (0..100)
        .map(|_| Client::connect(broker.address()))
        .collect();
    for (client, number) in crowd.iter_mut().zip(0..) {
        client.hello(&format!("user{number}"), None);
    }
    served.round_trip();
    let used = broker.percent_used();
    assert!(used <= 20, "{used} % of a CPU while it has nothing to do");
    assert_eq!(served.publish_acked("lobby", 1, b"still here"), 1);
    // The connections are taken in the order they came, so the last one was waiting.
    let mut last = crowd.pop().expect("a crowd");
    drop(crowd);
    assert!(matches!(
        last.expect("WELCOME").decode(),
        ServerFrame::Welcome(_)
    ));
}
