//! A damaged log: what is whole is served, nothing wrong is, and the rest of the node goes on.

use std::fs;
use std::path::Path;

use antiphon_protocol::{FetchRange, GapReason, Seq, ServerFrame};

use crate::support::{Broker, Client};

/// Flips one bit where `needle` stands in a segment.
fn flip_a_bit_in(directory: &Path, needle: &[u8]) {
    for entry in fs::read_dir(directory.join("log")).expect("a log") {
        let path = entry.expect("an entry").path();
        let mut bytes = fs::read(&path).expect("a segment");
        let found = bytes
            .windows(needle.len())
            .position(|window| window == needle);
        if let Some(at) = found {
            bytes[at] ^= 1;
            fs::write(&path, bytes).expect("writable");
            return;
        }
    }
    panic!("no segment holds the record");
}

/// Two rooms of different partitions of four.
fn rooms_apart() -> (String, String) {
    let partition = |name: &str| {
        let slot =
            antiphon_protocol::Slot::of_bytes(antiphon_protocol::Namespace(0), name.as_bytes());
        slot.0 % 4
    };
    let first = "room 0".to_owned();
    let second = (1..)
        .map(|number| format!("room {number}"))
        .find(|name| partition(name) != partition(&first));
    (first, second.expect("names are many"))
}

#[test]
fn a_flipped_bit_costs_what_follows_in_its_partition_and_nothing_else() {
    let (hit, spared) = rooms_apart();
    let broker = Broker::start();
    let mut writer = broker.client("ann");
    for number in 1..=20 {
        // Acked one by one: each record is in a block of its own.
        writer.publish_acked(&hit, number, format!("hit record {number:03}").as_bytes());
        writer.publish_acked(&spared, number, b"spared");
    }
    drop(writer);
    let directory = broker.stop();
    flip_a_bit_in(directory.path(), b"hit record 010");

    let broker = Broker::start_in(directory, &[]);
    let mut client: Client = broker.client("bob");
    let (kept, gaps) = client.history_with_gaps(&hit, FetchRange::After(Seq(0)), 100);
    let expected: Vec<(u64, Vec<u8>)> = (1..10)
        .map(|number| (number, format!("hit record {number:03}").into_bytes()))
        .collect();
    assert_eq!(
        kept, expected,
        "what is before the hole is served, what is behind it is not trusted"
    );
    let [gap] = gaps.as_slice() else {
        panic!("the reader is told that the room is cut: {gaps:?}")
    };
    assert_eq!(
        (gap.from, gap.to, gap.reason),
        (Seq(10), Seq::LAST, GapReason::DAMAGED)
    );
    client.publish(&hit, 1, b"into a hole");
    let answer = client.expect("a refusal");
    assert!(
        matches!(answer.decode(), ServerFrame::Error(_)),
        "{:?}",
        answer.decode()
    );
    assert_eq!(client.history(&spared, FetchRange::Latest, 100).len(), 20);
    assert_eq!(client.publish_acked(&spared, 1, b"goes on"), 21);
    drop(client);
    broker.stop();
}
