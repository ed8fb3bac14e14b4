//! What a busy broker spends, counted and not timed.

use std::io::{Read, Write};
use std::net::TcpStream;

use antiphon_client::Client;
use antiphon_testing::TestBroker;
use antiphon_testing::config::Count;

const CLIENTS: u64 = 64;
const IN_FLIGHT: u32 = 256;
/// Messages of each client: several times what is in flight.
const MESSAGES: u64 = 4 * IN_FLIGHT as u64;

/// The sum of a metric over its labels.
fn metric(broker: &TestBroker, name: &str) -> u64 {
    let admin = broker.admin_address().expect("it is on");
    let mut socket = TcpStream::connect(admin).expect("the admin port answers");
    let request = "GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
    let value = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
    answer.lines().filter(of_name).filter_map(value).sum()
}

#[test]
fn at_saturation_many_messages_share_a_sync_and_a_send() {
    let broker = TestBroker::start_with(|config| {
        config.admin.enabled = true;
        config.session.in_flight_max = Count::new(IN_FLIGHT).expect("a lawful number");
    });
    let clients: Vec<Client> = (0..CLIENTS).map(|_| broker.client("ann")).collect();
    let before = metric(&broker, "antiphon_sync_duration_seconds_count");
    let mut pending = Vec::new();
    for n in 0..MESSAGES {
        for (room, client) in clients.iter().enumerate() {
            let message = client.publish_pipelined(&format!("{room}"), format!("{n}"));
            pending.push(message.expect("takes"));
        }
    }
    for pending in pending {
        pending.wait().expect("acked");
    }
    let syncs = metric(&broker, "antiphon_sync_duration_seconds_count") - before;
    let acks = metric(&broker, "antiphon_acks_total");
    assert_eq!(acks, CLIENTS * MESSAGES);
    assert!(acks >= 50 * syncs, "{acks} acks, {syncs} syncs");

    // Acks of one turn share one frame and one send.
    let sends = metric(&broker, "antiphon_sends_total");
    let flushes = metric(&broker, "antiphon_flushes_total");
    assert!(
        sends > 0 && sends <= flushes,
        "{sends} sends, {flushes} flushes"
    );
    assert!(acks >= 10 * sends, "{acks} acks, {sends} sends");
}
