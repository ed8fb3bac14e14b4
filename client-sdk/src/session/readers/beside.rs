//! What rides beside the records of a subscription, within bounds: signals and cursors.
//!
//! They are for who listens now, so an application that does not take them never holds up its records. At the bound the newest
//! value per key and per cursor waits, once; what has no key is dropped and counted, and the count is told.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use antiphon_protocol::{Device, SignalContent, SignalPush};
use bytes::Bytes;

use crate::cursor::CursorMoved;
use crate::limits::{BESIDE_HELD, BESIDE_WAITING};
use crate::record::Delivery;
use crate::signal::SignalHeard;

/// Sender, device, name and key: values of others never displace this one's.
type Identity = (String, Device, String, Bytes);

/// The state of one subscription.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// Delivered, and not reported as taken. <= BESIDE_HELD + 1
    held: u32,
    /// Lost signals that the application was not told of.
    lost: u32,
    /// <= BESIDE_WAITING
    keyed: BTreeMap<Identity, SignalHeard>,
    /// By user and name. <= BESIDE_WAITING; what is dropped comes with the next move, or the next SUBSCRIBED.
    moves: BTreeMap<(String, String), CursorMoved>,
}

impl Beside {
    /// A SIGNAL came: what the application learns at once.
    pub(crate) fn on_signal(&mut self, push: &SignalPush<'_>, told: &mut Vec<Delivery>) {
        self.lost = self.lost.saturating_add(push.dropped);
        let Some(signal) = &push.signal else {
            return self.tell_lost(told);
        };
        let heard = owned(signal);
        if self.held < BESIDE_HELD {
            self.tell_lost(told);
            self.tell(Delivery::Signal(heard), told);
        } else if heard.key.is_empty() {
            self.lost = self.lost.saturating_add(1);
        } else {
            self.wait(heard);
        }
    }

    /// A cursor moved: what the application learns at once.
    pub(crate) fn on_cursor(&mut self, moved: CursorMoved, told: &mut Vec<Delivery>) {
        let place = (moved.user.clone(), moved.name.clone());
        if self.held < BESIDE_HELD {
            self.tell(Delivery::Cursor(moved), told);
        } else if self.moves.len() < BESIDE_WAITING || self.moves.contains_key(&place) {
            self.moves.insert(place, moved);
        }
    }

    /// The application took some: what waited comes now.
    pub(crate) fn on_taken(&mut self, count: u32, told: &mut Vec<Delivery>) {
        assert!(
            self.held >= count,
            "INV-SDK-8: more deliveries were taken than given"
        );
        self.held -= count;
        while self.held < BESIDE_HELD {
            if let Some((_, moved)) = self.moves.pop_first() {
                self.tell(Delivery::Cursor(moved), told);
            } else if let Some((_, heard)) = self.keyed.pop_first() {
                self.tell(Delivery::Signal(heard), told);
            } else {
                return self.tell_lost(told);
            }
        }
    }

    fn wait(&mut self, heard: SignalHeard) {
        let identity = (
            heard.sender.clone(),
            heard.device,
            heard.name.clone(),
            heard.key.clone(),
        );
        let is_full = self.keyed.len() >= BESIDE_WAITING;
        match self.keyed.entry(identity) {
            Entry::Occupied(mut older) => drop(older.insert(heard)),
            Entry::Vacant(_) if is_full => self.lost = self.lost.saturating_add(1),
            Entry::Vacant(place) => drop(place.insert(heard)),
        }
    }

    fn tell_lost(&mut self, told: &mut Vec<Delivery>) {
        if self.lost > 0 && self.held < BESIDE_HELD {
            let lost = std::mem::take(&mut self.lost);
            self.tell(Delivery::SignalsDropped(lost), told);
        }
    }

    fn tell(&mut self, delivery: Delivery, told: &mut Vec<Delivery>) {
        self.held += 1;
        told.push(delivery);
    }
}

fn owned(signal: &SignalContent<'_>) -> SignalHeard {
    SignalHeard {
        sender: signal.sender.to_owned(),
        device: signal.device,
        name: signal.name.to_owned(),
        key: Bytes::copy_from_slice(signal.key),
        value: Bytes::copy_from_slice(signal.value),
    }
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::RoomId;

    use super::*;

    fn hear(beside: &mut Beside, key: &str, value: &str, dropped: u32) -> Vec<String> {
        let mut told = Vec::new();
        let push = SignalPush {
            room_id: RoomId(1),
            dropped,
            signal: Some(SignalContent {
                sender: "ann",
                device: Device(1),
                name: "n",
                key: key.as_bytes(),
                value: value.as_bytes(),
            }),
        };
        beside.on_signal(&push, &mut told);
        aloud(told)
    }

    fn aloud(told: Vec<Delivery>) -> Vec<String> {
        told.into_iter()
            .map(|delivery| match delivery {
                Delivery::Signal(heard) => heard.text().into_owned(),
                Delivery::SignalsDropped(lost) => format!("{lost} lost"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    fn full() -> Beside {
        let mut beside = Beside::default();
        for _ in 0..BESIDE_HELD {
            assert_eq!(hear(&mut beside, "", "x", 0), ["x"]);
        }
        beside
    }

    #[test]
    fn what_the_broker_dropped_is_told_before_the_signal_that_tells_it() {
        let mut beside = Beside::default();
        assert_eq!(hear(&mut beside, "", "x", 2), ["2 lost", "x"]);
    }

    #[test]
    fn at_the_bound_the_newest_of_a_key_waits_and_the_others_are_counted() {
        let mut beside = full();
        assert!(hear(&mut beside, "k", "old", 0).is_empty());
        assert!(hear(&mut beside, "k", "new", 3).is_empty());
        assert!(hear(&mut beside, "", "lost", 0).is_empty());
        let mut told = Vec::new();
        beside.on_taken(2, &mut told);
        assert_eq!(aloud(told), ["new", "4 lost"]);
        assert_eq!(beside.held, BESIDE_HELD);
    }

    #[test]
    fn values_that_wait_have_a_bound_and_beyond_it_are_counted() {
        let mut beside = full();
        for key in 0..=BESIDE_WAITING {
            assert!(hear(&mut beside, &format!("{key}"), "v", 0).is_empty());
        }
        let mut told = Vec::new();
        beside.on_taken(BESIDE_HELD, &mut told);
        assert_eq!(aloud(told), ["v"; BESIDE_WAITING]);
        let mut told = Vec::new();
        beside.on_taken(1, &mut told);
        assert_eq!(aloud(told), ["1 lost"]);
    }
}
