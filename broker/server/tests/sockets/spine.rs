//! The spine: a message goes in, is acked, delivered, read from history, and is there after a restart.

use antiphon_protocol::{FetchRange, Seq, ServerFrame, Start};

use crate::support::{BEGINNING, Broker};

#[test]
fn a_publish_is_acked_delivered_and_read_from_history() {
    let broker = Broker::start();
    let mut reader = broker.client("bob");
    let subscribed = reader.subscribe("lobby", Start::Live);
    assert_eq!(
        (subscribed.room_id.0, subscribed.next_seq.0),
        (0, 1),
        "an unknown room is not created"
    );

    let mut writer = broker.client("ann");
    for number in 1..=20 {
        assert_eq!(
            writer.publish_acked("lobby", number, format!("hello {number}").as_bytes()),
            number
        );
    }
    let expected: Vec<(u64, Vec<u8>)> = (1..=20)
        .map(|number| (number, format!("hello {number}").into_bytes()))
        .collect();
    assert_eq!(reader.records(20, None), expected);
    assert_eq!(
        reader.history("lobby", FetchRange::Latest, 5),
        expected[15..]
    );
    assert_eq!(
        writer.history("lobby", FetchRange::After(Seq(3)), 4),
        expected[3..7]
    );
    drop((reader, writer));
    broker.stop();
}

#[test]
fn rooms_of_every_partition_are_reached_from_every_core() {
    let broker = Broker::start();
    let mut clients: Vec<_> = (0..4)
        .map(|number| broker.client(&format!("user{number}")))
        .collect();
    for room in 0..16 {
        let room = format!("room {room}");
        for (client, seq) in clients.iter_mut().zip(1..) {
            assert_eq!(client.publish_acked(&room, 1, room.as_bytes()), seq);
        }
        let all = clients[0].history(&room, FetchRange::Latest, 100);
        assert_eq!(all.len(), 4, "{room}");
    }
    drop(clients);
    broker.stop();
}

#[test]
fn pipelined_publishes_keep_their_order_and_are_all_acked() {
    const PUBLISHES: u64 = 3_000;
    let broker = Broker::start();
    let mut writer = broker.client("ann");
    let mut bytes = Vec::new();
    for number in 1..=PUBLISHES {
        writer.encode_publish("lobby", number, &number.to_le_bytes(), &mut bytes);
    }
    // More than may be in flight: the connection pauses and resumes, and nothing is lost on the way.
    writer.send(&bytes);
    let acks = writer.acks(PUBLISHES as usize);
    assert!(
        acks.iter()
            .zip(1..)
            .all(|(ack, number)| *ack == (number, number)),
        "in order, each once"
    );

    let mut reader = broker.client("bob");
    let subscribed = reader.subscribe("lobby", BEGINNING);
    let records = reader.records(PUBLISHES as usize, Some(subscribed.link));
    let is_expected = |(record, number): (&(u64, Vec<u8>), u64)| {
        record.0 == number && record.1 == number.to_le_bytes()
    };
    assert!(records.iter().zip(1..).all(is_expected));
    drop((writer, reader));
    broker.stop();
}

#[test]
fn what_was_acked_is_there_after_a_restart_and_a_retry_is_a_duplicate() {
    let broker = Broker::start();
    let mut writer = broker.client("ann");
    for number in 1..=50 {
        writer.publish_acked("lobby", number, &[7; 2_000]);
    }
    let producer = writer.producer;
    let directory = broker.stop();

    let broker = Broker::start_in(directory, &[]);
    let mut reader = broker.client("bob");
    let records = reader.history("lobby", FetchRange::Latest, 100);
    assert_eq!(records.len(), 50);
    assert!(
        records
            .iter()
            .zip(1..)
            .all(|((seq, body), number)| *seq == number && body == &[7; 2_000])
    );

    let mut again = crate::support::Client::connect(broker.address());
    again.hello("ann", Some(producer));
    assert!(matches!(
        again.expect("WELCOME").decode(),
        ServerFrame::Welcome(_)
    ));
    again.producer = producer;
    again.publish("lobby", 50, &[7; 2_000]);
    let frame = again.expect("PUBACK");
    let ServerFrame::Puback(puback) = frame.decode() else {
        panic!("{:?} is no PUBACK", frame.decode())
    };
    let entries: Vec<_> = puback.entries().collect();
    assert_eq!((entries[0].seq.0, entries[0].duplicate), (50, true));
    assert_eq!(again.publish_acked("lobby", 51, b"new"), 51);
    drop((writer, reader, again));
    broker.stop();
}

#[test]
fn history_older_than_the_hot_tail_comes_from_the_log_before_and_after_a_restart() {
    // 40 MiB of records: more than a partition keeps in memory, several segments and several checkpoints.
    const PUBLISHES: u64 = 400;
    let body = vec![5; 100 * 1024];
    let broker = Broker::start_with(&[("data.partitions", "1")]);
    let mut writer = broker.client("ann");
    for number in 1..=PUBLISHES {
        writer.publish("lobby", number, &body);
        if number % 50 == 0 {
            writer.acks(50);
        }
    }
    let read_all = |broker: &Broker| {
        let mut reader = broker.client("bob");
        let subscribed = reader.subscribe("lobby", BEGINNING);
        let records = reader.records(PUBLISHES as usize, Some(subscribed.link));
        let is_expected =
            |(record, number): (&(u64, Vec<u8>), u64)| record.0 == number && record.1 == body;
        assert!(records.iter().zip(1..).all(is_expected));
        let before = reader.history("lobby", FetchRange::Before(Seq(4)), 2);
        assert!(before.iter().map(|(seq, _)| *seq).eq([2, 3]));
    };
    read_all(&broker);
    drop(writer);
    let broker = Broker::start_in(broker.stop(), &[]);
    read_all(&broker);
    assert_eq!(
        broker.client("cid").publish_acked("lobby", 1, b"goes on"),
        PUBLISHES + 1
    );
    broker.stop();
}
