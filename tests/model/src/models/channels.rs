//! Two edges offer batches to one room; its home drains the channel, one batch a visit, and sleeps when none is ready.

use std::sync::Arc;

use antiphon_protocol::{
    Device, Namespace, Producer, ProducerSeq, RequestId, RoomName, Seq, UserName,
};
use bytes::Bytes;
use loom::thread;

use super::production::channel::{Exchange, Offered, PublishBatch, PublishRequest, RoomChannel};
use super::production::wake::Sleeper;
use crate::production::limits::CHANNEL_PLACES;
use crate::world::mio::{Registry, Token};
use crate::{Model, every_interleaving};
use antiphon_core::{ConnId, CoreId};

pub(crate) const MODEL: Model = Model {
    name: "channels",
    run,
};

const HOME: CoreId = CoreId(0);

fn run() -> u64 {
    every_interleaving(no_batch_is_slept_through)
        + every_interleaving(a_full_channel_refuses_and_forgets_nothing)
}

fn batch(edge: u16, number: u64) -> PublishBatch {
    let publish = PublishRequest {
        request: RequestId(number),
        producer: Producer(1),
        producer_seq: ProducerSeq(number),
        kind: 0,
        codec: 0,
        expect_seq: Seq(0),
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

fn exchange() -> (Arc<Exchange>, Arc<RoomChannel>) {
    let name = RoomName::try_from("tea").expect("lawful");
    (Exchange::new(1), RoomChannel::new(Namespace(0), name, HOME))
}

/// Visits the next ready channel as a home core does, with a budget of one batch.
fn visit(exchange: &Exchange) -> Option<PublishBatch> {
    let channel = exchange.next_ready(HOME)?;
    let batch = channel.take();
    if batch.is_some() {
        exchange.again(channel);
    } else {
        exchange.rest(channel);
    }
    batch
}

fn no_batch_is_slept_through() {
    const EDGES: u16 = 2;
    let registry = Registry::new();
    let sleeper = Arc::new(Sleeper::new(&registry, Token).expect("a waker"));
    let (exchange, channel) = exchange();
    let edges: Vec<_> = (0..EDGES)
        .map(|edge| {
            let (exchange, channel) = (Arc::clone(&exchange), Arc::clone(&channel));
            let sleeper = Arc::clone(&sleeper);
            thread::spawn(move || {
                let offered = exchange.offer(&channel, batch(edge, 1));
                if offered.expect("a free place") == Offered::Wake {
                    sleeper.wake();
                }
            })
        })
        .collect();
    let mut taken = 0;
    while taken < EDGES {
        if visit(&exchange).is_some() {
            taken += 1;
        } else if sleeper.may_sleep(|| !exchange.has_ready(HOME)) {
            registry.wait();
            sleeper.awake();
        }
    }
    for edge in edges {
        edge.join().expect("an edge ends");
    }
}

fn a_full_channel_refuses_and_forgets_nothing() {
    let (exchange, channel) = exchange();
    let edge = {
        let (exchange, channel) = (Arc::clone(&exchange), Arc::clone(&channel));
        thread::spawn(move || {
            let batches = 1..=2 + CHANNEL_PLACES as u64;
            batches
                .filter(|&number| exchange.offer(&channel, batch(1, number)).is_ok())
                .collect::<Vec<_>>()
        })
    };
    let mut taken = Vec::new();
    taken.extend(visit(&exchange));
    taken.extend(visit(&exchange));
    let accepted = edge.join().expect("an edge ends");
    let most = CHANNEL_PLACES + taken.len();
    assert!(accepted.len() <= most, "more batches than places");
    assert!(accepted.len() >= CHANNEL_PLACES, "refused with free places");
    while exchange.has_ready(HOME) {
        taken.extend(visit(&exchange));
    }
    let taken: Vec<u64> = taken
        .iter()
        .map(|batch| batch.publishes[0].producer_seq.0)
        .collect();
    assert_eq!(taken, accepted, "what was accepted is taken, in order");
}
