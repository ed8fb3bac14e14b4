//! One session, many connections at the same time on several cores: one of them stays.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_protocol::{Hello, Producer, RequestId, Timestamp, next_frame};
use proptest::prelude::*;

use super::{WALL, config, conn};
use crate::channel::Exchange;
use crate::core::{CoreId, Now, Output};
use crate::edge::Edge;
use crate::edge::session::Session;
use crate::lane::{Message, Replace};

const CORES: u16 = 3;

/// Three edges and the lanes between them. Time stands.
struct Cores {
    exchange: Arc<Exchange>,
    edges: Vec<Edge>,
    /// [from][to]
    lanes: Vec<Vec<VecDeque<Replace>>>,
    /// Connections accepted so far.
    accepted: u32,
    /// Those that have said nothing yet, each with its core.
    silent: Vec<(usize, u32)>,
}

impl Cores {
    fn new() -> Cores {
        let exchange = Exchange::new(CORES);
        let now = Now {
            mono_ms: 1_000_000,
            wall: Timestamp(WALL),
        };
        let edge = |core| Edge::new(&config(core, CORES), Arc::clone(&exchange), now);
        Cores {
            edges: (0..CORES).map(edge).collect(),
            exchange,
            lanes: (0..CORES)
                .map(|_| (0..CORES).map(|_| VecDeque::new()).collect())
                .collect(),
            accepted: 0,
            silent: Vec::new(),
        }
    }

    fn accept(&mut self, core: usize) {
        self.edges[core].connected(conn(self.accepted), self.exchange.claim());
        self.silent.push((core, self.accepted));
        self.accepted += 1;
    }

    /// One of those that are silent says HELLO; `which` of them is anybody's guess.
    fn hello(&mut self, which: usize, producer: Producer) {
        if self.silent.is_empty() {
            return;
        }
        let (core, slot) = self.silent.remove(which % self.silent.len());
        let mut bytes = Vec::new();
        Hello {
            producer: Some(producer),
            ..Hello::new("ann")
        }
        .encode(RequestId(1), &mut bytes);
        let frame = next_frame(&bytes, 8_192).unwrap().unwrap();
        let _ = self.edges[core].frame(conn(slot), frame);
        self.pump(core);
    }

    fn receive(&mut self, from: usize, to: usize) {
        if let Some(replace) = self.lanes[from][to].pop_front() {
            self.edges[to].replace(CoreId(from as u16), &replace);
            self.pump(to);
        }
    }

    fn pump(&mut self, core: usize) {
        while let Some(output) = self.edges[core].poll() {
            if let Output::Lane {
                to: CoreId(to),
                message: Message::Replace(replace),
            } = output
            {
                self.lanes[core][usize::from(to)].push_back(replace);
            }
        }
    }

    fn settle(&mut self) {
        while self.lanes.iter().flatten().any(|lane| !lane.is_empty()) {
            for from in 0..CORES as usize {
                for to in 0..CORES as usize {
                    self.receive(from, to);
                }
            }
        }
    }

    fn open(&self) -> Vec<u32> {
        let open = |edge: &Edge| {
            (0..self.accepted)
                .filter(|&slot| {
                    let conn = edge.conns.in_slot(slot);
                    conn.is_some_and(|conn| matches!(conn.session, Session::Open(_)))
                })
                .collect::<Vec<_>>()
        };
        self.edges.iter().flat_map(open).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn of_connections_that_name_one_producer_the_one_accepted_last_stays_in_whatever_order_they_say_hello(
        steps in prop::collection::vec((0..4, 0..CORES as usize, 0..CORES as usize), 2..60)
    ) {
        let producer = Producer::new(Timestamp(WALL), 9);
        let mut cores = Cores::new();
        cores.accept(0);
        for (step, from, to) in steps {
            match step {
                0 => cores.accept(from),
                1 => cores.hello(from * usize::from(CORES) + to, producer),
                _ => cores.receive(from, to),
            }
        }
        while !cores.silent.is_empty() {
            cores.hello(cores.silent.len() / 2, producer);
        }
        cores.settle();
        prop_assert_eq!(cores.open(), [cores.accepted - 1]);
    }
}
