//! Many clients, many rooms, more cores than this machine has: everything crosses lanes.

use std::collections::BTreeMap;
use std::thread;

use antiphon_protocol::{ServerFrame, Start};

use crate::support::{Broker, Client};

const CLIENTS: u64 = 24;
const ROOMS: u64 = 6;
/// Per client and room.
const PUBLISHES: u64 = 30;

/// What one client saw: per room the bodies in the order of their seqs, and how many of its own publishes were acked.
struct Seen {
    rooms: BTreeMap<u64, Vec<Vec<u8>>>,
    acked: u64,
}

/// Publishes to all rooms and reads everything that everybody publishes.
fn take_part(mut client: Client, me: u64) -> Seen {
    let mut bytes = Vec::new();
    for number in 1..=PUBLISHES {
        for room in 0..ROOMS {
            let body = [me.to_le_bytes(), number.to_le_bytes()].concat();
            client.encode_publish(&format!("room {room}"), number, &body, &mut bytes);
        }
    }
    client.send(&bytes);
    let mut seen = Seen {
        rooms: BTreeMap::new(),
        acked: 0,
    };
    let mut missing = ROOMS * CLIENTS * PUBLISHES;
    while missing > 0 || seen.acked < ROOMS * PUBLISHES {
        let frame = client.expect("records and acks");
        match frame.decode() {
            ServerFrame::Record(record) => {
                let bodies = seen.rooms.entry(record.room_id().0).or_default();
                bodies.push(record.body().to_vec());
                assert_eq!(record.seq().0, bodies.len() as u64, "dense, each once");
                missing -= 1;
            }
            ServerFrame::Puback(puback) => seen.acked += puback.entries().count() as u64,
            // A room was created after the subscription.
            ServerFrame::Subscribed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    seen
}

#[test]
fn everybody_sees_the_same_order_in_every_room_whatever_core_they_are_on() {
    let broker = Broker::start_with(&[
        ("threads.cores", "5"),
        ("threads.pin", "true"),
        ("data.partitions", "7"),
    ]);
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|number| {
            let mut client = broker.client(&format!("user{number}"));
            for room in 0..ROOMS {
                client.subscribe(&format!("room {room}"), Start::Live);
            }
            client
        })
        .collect();
    let threads: Vec<_> = clients
        .into_iter()
        .zip(0..)
        .map(|(client, me)| thread::spawn(move || take_part(client, me)))
        .collect();
    let seen: Vec<Seen> = threads
        .into_iter()
        .map(|thread| thread.join().expect("no panic"))
        .collect();
    for one in &seen {
        assert_eq!(one.acked, ROOMS * PUBLISHES);
        assert_eq!(one.rooms.len() as u64, ROOMS);
        assert!(one.rooms == seen[0].rooms, "one order for all");
    }
    // Each publisher's own order is kept in each room.
    for bodies in seen[0].rooms.values() {
        for me in 0..CLIENTS {
            let own = bodies.iter().filter(|body| body[..8] == me.to_le_bytes());
            let numbers: Vec<&[u8]> = own.map(|body| &body[8..]).collect();
            assert!(
                numbers
                    .iter()
                    .zip(1..=PUBLISHES)
                    .all(|(body, number)| *body == number.to_le_bytes())
            );
        }
    }
    broker.stop();
}
