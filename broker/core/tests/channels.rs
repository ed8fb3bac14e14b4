//! Room channels under real threads: no batch is forgotten, and each edge's batches keep their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use antiphon_core::channel::{Exchange, Offered, PublishBatch, PublishRequest, RoomChannel};
use antiphon_core::{ConnId, CoreId};
use antiphon_protocol::{Device, Namespace, Producer, ProducerSeq, RequestId, RoomName, UserName};
use bytes::Bytes;

const EDGES: u16 = 3;
const BATCHES: u64 = 20_000;
const HOME: CoreId = CoreId(0);

fn batch(edge: u16, number: u64) -> PublishBatch {
    let publish = PublishRequest {
        request: RequestId(number),
        producer: Producer(1),
        producer_seq: ProducerSeq(number),
        kind: 0,
        codec: 0,
        expect_seq: antiphon_protocol::Seq(0),
        quiet: false,
        at: 0,
        headers_len: 0,
        body_len: 0,
    };
    PublishBatch {
        edge: CoreId(edge),
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

/// Offers all batches of one edge to two rooms, alternately; counts wakes.
fn publish(edge: u16, exchange: &Exchange, channels: &[Arc<RoomChannel>; 2], wakes: &AtomicU64) {
    for number in 1..=BATCHES {
        let channel = &channels[usize::from(number % 2 == 0)];
        let mut offered = exchange.offer(channel, batch(edge, number));
        while let Err(batch) = offered {
            thread::yield_now();
            offered = exchange.offer(channel, batch);
        }
        if offered.is_ok_and(|offered| offered == Offered::Wake) {
            wakes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn no_batch_is_forgotten_whatever_the_threads_do() {
    let exchange = Exchange::new(1);
    let room = |name| {
        RoomChannel::new(
            Namespace(0),
            RoomName::try_from(name).expect("lawful"),
            HOME,
        )
    };
    let channels = [room("odd"), room("even")];
    let wakes = AtomicU64::new(0);
    let mut taken = 0;
    let mut last = [[0; 2]; EDGES as usize];
    thread::scope(|scope| {
        for edge in 0..EDGES {
            let (exchange, channels, wakes) = (&exchange, &channels, &wakes);
            scope.spawn(move || publish(edge, exchange, channels, wakes));
        }
        while taken < u64::from(EDGES) * BATCHES {
            let Some(channel) = exchange.next_ready(HOME) else {
                thread::yield_now();
                continue;
            };
            let parity = usize::from(channel.name().as_str() == "even");
            let mut budget = 7;
            while budget > 0
                && let Some(batch) = channel.take()
            {
                let (edge, number) = (usize::from(batch.edge.0), batch.publishes[0].request.0);
                assert!(last[edge][parity] < number, "in order");
                last[edge][parity] = number;
                taken += 1;
                budget -= 1;
            }
            if budget == 0 {
                exchange.again(channel);
            } else {
                exchange.rest(channel);
            }
        }
    });
    assert!(
        !exchange.has_ready(HOME)
            || exchange
                .next_ready(HOME)
                .is_some_and(|channel| channel.is_empty())
    );
    assert!(wakes.load(Ordering::Relaxed) > 0);
}
