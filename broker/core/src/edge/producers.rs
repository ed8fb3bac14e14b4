//! Which connection uses which producer, so that a session that comes back ends its older connection.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use antiphon_protocol::limits::PRODUCER_AGE_MS_MAX;
use antiphon_protocol::{Namespace, Producer, Timestamp, UserName};
use hashbrown::HashTable;

use super::conns::Conns;
use super::session::{Open, Session};
use crate::core::HashState;

/// The sessions open on this core, found by user and producer.
///
/// Slots only, 4 bytes and a tag each: the rest stands in the connection. The user is part of the hash, for a producer means something only together with
/// it, and any number of users may name the same one.
#[derive(Debug)]
pub(super) struct Producers {
    slots: HashTable<u32>,
    hash: HashState,
}

impl Producers {
    pub(super) fn new(hash: &HashState) -> Producers {
        Producers {
            slots: HashTable::new(),
            hash: hash.clone(),
        }
    }

    /// Enters the session that is open in `slot`.
    pub(super) fn insert(&mut self, open: &Open, slot: u32, conns: &Conns) {
        let hash_of = |open: &Open| key_hash(&self.hash, open.namespace, &open.user, open.producer);
        let rehash = |&slot: &u32| open_in(conns, slot).map_or(0, hash_of);
        self.slots.insert_unique(hash_of(open), slot, rehash);
    }

    /// Takes the session that was open in `slot` out.
    pub(super) fn remove(&mut self, open: &Open, slot: u32) {
        let hash = key_hash(&self.hash, open.namespace, &open.user, open.producer);
        if let Ok(entry) = self.slots.find_entry(hash, |&used| used == slot) {
            entry.remove();
        }
    }

    /// Slots of the open sessions of `user` that use `producer`: mostly none or one.
    pub(super) fn slots(
        &self,
        namespace: Namespace,
        user: &UserName,
        producer: Producer,
        conns: &Conns,
    ) -> Vec<u32> {
        let hash = key_hash(&self.hash, namespace, user, producer);
        let is_meant = |slot: &u32| {
            open_in(conns, *slot).is_some_and(|open| {
                open.producer == producer && open.namespace == namespace && open.user == *user
            })
        };
        self.slots
            .iter_hash(hash)
            .copied()
            .filter(is_meant)
            .collect()
    }
}

fn key_hash(hash: &HashState, namespace: Namespace, user: &UserName, producer: Producer) -> u64 {
    hash.hash_one((namespace, user, producer))
}

fn open_in(conns: &Conns, slot: u32) -> Option<&Open> {
    match &conns.in_slot(slot)?.session {
        Session::Open(open) => Some(open),
        Session::AwaitHello { .. } | Session::Closing { .. } => None,
    }
}

/// Whether a session may still go on with its producer. One from the future was given by a clock that was wrong: it would never grow old.
pub(super) fn is_alive(producer: Producer, now: Timestamp) -> bool {
    producer.birth().0.abs_diff(now.0) < PRODUCER_AGE_MS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn a_producer_lives_for_seven_days() {
        let aged = |ms| Producer::new(Timestamp(NOW.0 - ms), 5);
        assert!(is_alive(aged(0), NOW));
        assert!(is_alive(aged(PRODUCER_AGE_MS_MAX - 1), NOW));
        assert!(!is_alive(aged(PRODUCER_AGE_MS_MAX), NOW));
        assert!(
            is_alive(Producer::new(Timestamp(NOW.0 + 1_000), 5), NOW),
            "clocks of two nodes differ"
        );
        assert!(!is_alive(
            Producer::new(Timestamp(NOW.0 + PRODUCER_AGE_MS_MAX), 5),
            NOW
        ));
    }
}
