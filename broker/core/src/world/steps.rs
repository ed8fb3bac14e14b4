//! What happens in the world, at random; how it comes to rest; what must hold then.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{CORES, World};
use crate::core::Core;

pub(super) const ROOMS: [&str; 4] = ["tea", "coffee", "milk", "mate"];

/// A seeded source of choices.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 33) as usize) * end) >> 31
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

impl World {
    /// One random thing happens.
    pub(super) fn step(&mut self) {
        let number = self.dice.below(self.clients.len());
        let room = ROOMS[self.dice.below(ROOMS.len())];
        match self.dice.below(24) {
            0..=2 => {
                for _ in 0..=self.dice.below(6) {
                    let bytes = if self.dice.one_in(self.terrain.big_one_in) {
                        30_000
                    } else {
                        self.dice.below(300)
                    };
                    self.clients[number].publish(room, bytes);
                }
            }
            3 => {
                let last = if self.dice.one_in(2) {
                    None
                } else {
                    Some(self.dice.below(40) as u64)
                };
                self.clients[number].subscribe(room, last);
            }
            4 if self.dice.one_in(3) => self.clients[number].unsubscribe(room),
            5 if self.dice.one_in(2) => {
                let limit = 1 + self.dice.below(200) as u32;
                self.clients[number].fetch(room, limit);
            }
            6 if self.dice.one_in(6) => self.reconnect(number),
            7..=9 => {
                let count = 1 + self.dice.below(20);
                self.read(number, count);
            }
            10..=12 => {
                if let Some(&(core, conn)) = self
                    .flushes
                    .iter()
                    .nth(self.dice.below(self.flushes.len().max(1)))
                {
                    let count = 1 + self.dice.below(self.terrain.flush_bytes_max);
                    self.flush(core, conn, count);
                }
            }
            13..=14 => {
                let count = 1 + self.dice.below(60_000);
                self.clients[number].receive(count);
            }
            15..=16 => {
                let (from, count) = (self.dice.below(2), 1 + self.dice.below(4));
                self.receive(from, 1 - from, count);
            }
            17..=18 => {
                let count = 1 + self.dice.below(5);
                self.persist(count);
            }
            19 => self.answer_read(),
            20 => {
                let ms = self.dice.below(12) as u64;
                self.pass_time(ms);
            }
            _ => {
                let core = self.dice.below(2);
                self.turn(core);
            }
        }
    }

    fn reconnect(&mut self, number: usize) {
        let (core, conn) = (self.clients[number].core, self.clients[number].conn);
        // Half of the time the server has not noticed yet.
        if self.dice.one_in(2) {
            self.hang_up(core, conn);
            self.flushes.remove(&(core, conn));
            self.closing.remove(&(core, conn));
        }
        let (core, conn) = self.accept();
        self.clients[number].reconnect(core, conn);
    }

    /// Everything goes on until nothing moves.
    pub(super) fn settle(&mut self) {
        for _ in 0..3_000 {
            for number in 0..self.clients.len() {
                if !self.clients[number].is_connected {
                    let (core, conn) = self.accept();
                    self.clients[number].reconnect(core, conn);
                }
                self.read(number, usize::MAX);
            }
            for core in 0..CORES as usize {
                self.turn(core);
                self.receive(core, 1 - core, usize::MAX);
                while !self.jobs.is_empty() {
                    self.answer_read();
                }
            }
            self.persist(usize::MAX);
            for (core, conn) in self.flushes.clone() {
                self.flush(core, conn, usize::MAX);
            }
            self.clients
                .iter_mut()
                .for_each(|client| client.receive(usize::MAX));
            self.pass_time(1);
            let is_quiet = self.log.is_idle()
                && self
                    .clients
                    .iter()
                    .all(|client| client.is_settled() && client.unanswered() == 0)
                && self
                    .cores
                    .iter()
                    .all(|core| core.next_deadline() != Some(0))
                && self.lanes.iter().flatten().all(VecDeque::is_empty)
                && self.flushes.is_empty();
            if is_quiet && self.everybody_heard_all() {
                return;
            }
        }
        let states: Vec<_> = self
            .clients
            .iter()
            .map(|client| {
                (
                    client.is_settled(),
                    client.unanswered(),
                    client.is_paused,
                    client.to_send.len(),
                )
            })
            .collect();
        panic!(
            "does not settle: clients {states:?}, stats {:?}",
            self.cores.iter().map(Core::stats).collect::<Vec<_>>()
        );
    }

    fn everybody_heard_all(&self) -> bool {
        let rooms = self.log.rooms();
        let end_of = |room| rooms.get(&room).map_or(1, |bodies| bodies.len() as u64 + 1);
        self.clients
            .iter()
            .all(|client| client.heard().all(|(room, next)| next.0 == end_of(room)))
    }

    /// What must hold once everything is settled.
    pub(super) fn check(&self) {
        let rooms = self.log.rooms();
        let mut acked = 0;
        for client in &self.clients {
            for (room, seq, body) in client.acks() {
                let places: Vec<usize> = (0..rooms[&room].len())
                    .filter(|&at| rooms[&room][at] == body.as_bytes())
                    .collect();
                assert_eq!(places.len(), 1, "{body} is there once");
                assert!(
                    seq.0 == 0 || places[0] as u64 + 1 == seq.0,
                    "{body} is where its ack says"
                );
                acked += 1;
            }
        }
        assert_eq!(
            rooms.values().map(Vec::len).sum::<usize>(),
            acked,
            "nothing else is there"
        );
    }
}
