//! One room, a thousand subscribers, every seq exactly once at each.

use antiphon_protocol::{Seq, Start};

use crate::support::{Broker, Client, raise_descriptors};

const SUBSCRIBERS: usize = 1_000;
const RECORDS: u64 = 100;

#[test]
fn a_thousand_subscribers_see_every_seq_exactly_once() {
    // Both ends of every connection are in this process.
    assert!(
        raise_descriptors() > 2 * SUBSCRIBERS as u64 + 200,
        "this test needs descriptors"
    );
    let broker = Broker::start();
    let mut writer = broker.client("ann");
    writer.publish_acked("lobby", 1, b"first");
    let mut readers: Vec<Client> = (0..SUBSCRIBERS)
        .map(|number| broker.client(&format!("reader{number}")))
        .collect();
    let links: Vec<_> = readers
        .iter_mut()
        .map(|reader| {
            let subscribed = reader.subscribe("lobby", Start::Live);
            assert_eq!(subscribed.next_seq, Seq(2));
            subscribed.link
        })
        .collect();
    let mut bytes = Vec::new();
    for number in 2..=RECORDS + 1 {
        writer.encode_publish("lobby", number, &[number as u8; 128], &mut bytes);
    }
    writer.send(&bytes);
    assert_eq!(writer.acks(RECORDS as usize).len(), RECORDS as usize);
    for (reader, link) in readers.iter_mut().zip(links) {
        let seqs: Vec<u64> = reader
            .records(RECORDS as usize, Some(link))
            .into_iter()
            .map(|(seq, _)| seq)
            .collect();
        assert!(seqs.iter().copied().eq(2..=RECORDS + 1));
    }
    // Nothing comes twice: after a round trip nothing but its answer has come.
    for reader in &mut readers {
        assert!(reader.round_trip().is_empty());
    }
    drop((writer, readers));
    broker.stop();
}

#[test]
fn a_subscriber_that_does_not_read_hurts_nobody_and_gets_everything_later() {
    const PUBLISHES: u64 = 300;
    let body = vec![3; 30 * 1024];
    let broker = Broker::start();
    let mut slow = broker.client("slow");
    let mut quick = broker.client("quick");
    let mut writer = broker.client("ann");
    writer.publish_acked("lobby", 1, b"first");
    let slow_link = slow.subscribe("lobby", Start::Live).link;
    let quick_link = quick.subscribe("lobby", Start::Live).link;
    let expected =
        |(record, number): (&(u64, Vec<u8>), u64)| record.0 == number && record.1 == body;
    // 9 MiB: more than kernel and outbox hold for `slow`, which reads nothing meanwhile.
    let mut link = Some(quick_link);
    for number in 2..=PUBLISHES + 1 {
        assert_eq!(writer.publish_acked("lobby", number, &body), number);
        assert!(quick.records(1, link).iter().zip(number..).all(expected));
        link = None;
    }
    let records = slow.records(PUBLISHES as usize, Some(slow_link));
    assert!(records.iter().zip(2..).all(expected));
    drop((slow, quick, writer));
    broker.stop();
}
