//! What things cost in memory, counted by the allocator.

use std::sync::Arc;

use allocation_counter::measure;
use antiphon_core::channel::{Exchange, PublishBatch, PublishRequest, RoomChannel};
use antiphon_core::limits::CHANNEL_EMPTY_BYTES_MAX;
use antiphon_core::{ConnId, CoreId};
use antiphon_protocol::{Device, Namespace, Producer, ProducerSeq, RequestId, RoomName, UserName};
use bytes::Bytes;

const HOME: CoreId = CoreId(0);
const ROOMS: usize = 1_000;

fn batch() -> PublishBatch {
    let publish = PublishRequest {
        request: RequestId(1),
        producer: Producer(1),
        producer_seq: ProducerSeq(1),
        kind: 0,
        codec: 0,
        expect_seq: antiphon_protocol::Seq(0),
        quiet: false,
        at: 0,
        headers_len: 0,
        body_len: 0,
    };
    PublishBatch {
        edge: HOME,
        conn: ConnId {
            slot: 0,
            generation: 0,
        },
        sender: UserName::try_from("ann").expect("lawful"),
        device: Device(1),
        publishes: vec![publish],
        payload: Bytes::new(),
    }
}

#[test]
fn an_empty_channel_of_an_active_room_stays_small() {
    let exchange = Exchange::new(1);
    let names: Vec<RoomName> = (0..ROOMS)
        .map(|number| RoomName::try_from(format!("room {number}").as_str()).expect("lawful"))
        .collect();
    let mut channels: Vec<Arc<RoomChannel>> = Vec::with_capacity(ROOMS);
    let cost = measure(|| {
        for name in names {
            let channel = RoomChannel::new(Namespace(0), name, HOME);
            // More batches than one block has places for, all taken out again.
            for _ in 0..50 {
                let offered = exchange.offer(&channel, batch());
                assert!(offered.is_ok());
            }
            let ready = exchange.next_ready(HOME).expect("it is ready");
            while let Some(taken) = ready.take() {
                drop(taken);
            }
            exchange.rest(ready);
            channels.push(channel);
        }
    });
    let each = usize::try_from(cost.bytes_current).expect("channels take memory") / ROOMS;
    println!("an empty channel takes {each} bytes");
    assert!(each <= CHANNEL_EMPTY_BYTES_MAX, "{each} bytes");
    assert!(each >= 256, "the allocator counts");
}
