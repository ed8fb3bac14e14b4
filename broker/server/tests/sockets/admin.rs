//! What operators see: metrics and probes of a whole node.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use antiphon_protocol::FetchRange;
use antiphon_server::Node;

use crate::support::{self, Broker};

const ON: [(&str, &str); 2] = [("admin.enabled", "true"), ("admin.address", "127.0.0.1:0")];

/// Status and body of a GET.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).expect("the admin port answers");
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

/// The sum of a metric over its labels.
fn sum(metrics: &str, name: &str) -> u64 {
    let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
    let value = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
    metrics.lines().filter(of_name).filter_map(value).sum()
}

#[test]
fn metrics_tell_what_happened_and_nobodys_name() {
    let broker = Broker::start_with(&ON);
    let admin = broker.admin_address().expect("it is on");
    let mut client = broker.client("ann");
    for number in 1..=10 {
        client.publish_acked("lobby", number, b"counted");
    }
    let (status, metrics) = get(admin, "/metrics");
    assert_eq!(status, 200);
    for (name, value) in [
        ("antiphon_publishes_total", 10),
        ("antiphon_acks_total", 10),
        ("antiphon_records_published_total", 10),
        ("antiphon_duplicates_total", 0),
        ("antiphon_connections", 1),
        ("antiphon_rooms", 1),
        ("antiphon_partitions", 4),
    ] {
        assert_eq!(sum(&metrics, name), value, "{name} in {metrics}");
    }
    assert!(sum(&metrics, "antiphon_sync_duration_seconds_count") >= 10);
    assert!(sum(&metrics, "antiphon_log_written_bytes_total") >= 10 * 100);
    assert!(
        metrics.contains("core=\"1\""),
        "both cores are told: {metrics}"
    );
    assert!(!metrics.contains("lobby") && !metrics.contains("ann\""));
    assert!(metrics.ends_with("# EOF\n"));
    broker.stop();
}

#[test]
fn a_sound_node_is_alive_and_ready_by_a_record_of_its_own() {
    let broker = Broker::start_with(&ON);
    let admin = broker.admin_address().expect("it is on");
    assert_eq!(get(admin, "/livez"), (200, "ok\n".to_owned()));
    for _ in 0..5 {
        let (status, body) = get(admin, "/readyz");
        assert_eq!(status, 200, "{body}");
    }
    let canaries = broker
        .client("bob")
        .history("antiphon.canary", FetchRange::Latest, 100);
    assert!(!canaries.is_empty(), "it is a real record");
    assert_eq!(get(admin, "/nowhere").0, 404);
    broker.stop();
}

#[test]
fn the_admin_port_is_off_by_default_and_never_off_loopback() {
    let broker = Broker::start();
    assert_eq!(broker.admin_address(), None);
    broker.stop();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut settings = support::config(directory.path(), &[]);
    settings.admin.address = "0.0.0.0:0".parse().expect("an address");
    let error = Node::start(settings).expect_err("open to everybody");
    assert!(error.to_string().contains("admin.address"), "{error}");
}
