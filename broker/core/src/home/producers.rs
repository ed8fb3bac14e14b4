//! Values per (room, producer, sender), in the order of these keys.
//!
//! A producer belongs to one session, but nothing keeps a second user from naming it: the sender is part of the key. Nearly always one sender
//! holds a producer, so a key costs no allocation of its own. Ordered, so that checkpoints are the same bytes everywhere and a sweep can go on
//! where it stopped.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use antiphon_protocol::{Producer, RoomId, UserName};

/// The part of the key by which the map is ordered first.
pub(crate) type ProducerAt = (RoomId, Producer);

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct ProducerMap<T> {
    map: BTreeMap<ProducerAt, Holders<T>>,
    len: usize,
}

/// Who holds one producer in one room; ascending by sender, never empty.
#[derive(Clone, Debug)]
struct Holders<T> {
    first: (UserName, T),
    others: Vec<(UserName, T)>,
}

impl<T> Holders<T> {
    fn iter(&self) -> impl Iterator<Item = (&UserName, &T)> {
        core::iter::once(&self.first)
            .chain(&self.others)
            .map(|(sender, value)| (sender, value))
    }

    fn find_mut(&mut self, sender: &[u8]) -> Option<&mut T> {
        if self.first.0.as_bytes() == sender {
            return Some(&mut self.first.1);
        }
        self.others
            .iter_mut()
            .find(|(name, _)| name.as_bytes() == sender)
            .map(|(_, value)| value)
    }

    fn add(&mut self, sender: UserName, value: T) {
        let mut added = (sender, value);
        if added.0 < self.first.0 {
            core::mem::swap(&mut added, &mut self.first);
        }
        let at = self.others.partition_point(|(name, _)| *name < added.0);
        self.others.insert(at, added);
    }
}

impl<T> ProducerMap<T> {
    /// An empty map.
    pub(crate) const fn new() -> Self {
        ProducerMap {
            map: BTreeMap::new(),
            len: 0,
        }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The value of `sender` as `producer` in `room`.
    pub(crate) fn find(&self, room: RoomId, producer: Producer, sender: &[u8]) -> Option<&T> {
        let holders = self.map.get(&(room, producer))?;
        holders
            .iter()
            .find(|(name, _)| name.as_bytes() == sender)
            .map(|(_, value)| value)
    }

    /// As [`find`](Self::find), to change it.
    pub(crate) fn find_mut(
        &mut self,
        room: RoomId,
        producer: Producer,
        sender: &[u8],
    ) -> Option<&mut T> {
        self.map.get_mut(&(room, producer))?.find_mut(sender)
    }

    /// Sets the value and gives the one before.
    pub(crate) fn insert(
        &mut self,
        room: RoomId,
        producer: Producer,
        sender: UserName,
        value: T,
    ) -> Option<T> {
        let Some(holders) = self.map.get_mut(&(room, producer)) else {
            self.map.insert(
                (room, producer),
                Holders {
                    first: (sender, value),
                    others: Vec::new(),
                },
            );
            self.len += 1;
            return None;
        };
        if let Some(old) = holders.find_mut(sender.as_bytes()) {
            return Some(core::mem::replace(old, value));
        }
        holders.add(sender, value);
        self.len += 1;
        None
    }

    /// Takes the value out.
    pub(crate) fn remove(&mut self, room: RoomId, producer: Producer, sender: &[u8]) -> Option<T> {
        let holders = self.map.get_mut(&(room, producer))?;
        if holders.first.0.as_bytes() != sender {
            let at = holders
                .others
                .iter()
                .position(|(name, _)| name.as_bytes() == sender)?;
            self.len -= 1;
            return Some(holders.others.remove(at).1);
        }
        self.len -= 1;
        if holders.others.is_empty() {
            return self
                .map
                .remove(&(room, producer))
                .map(|holders| holders.first.1);
        }
        let next = holders.others.remove(0);
        Some(core::mem::replace(&mut holders.first, next).1)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.map.clear();
        self.len = 0;
    }

    /// All values in the order of (room, producer, sender).
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoomId, Producer, &UserName, &T)> {
        self.map.iter().flat_map(flatten)
    }

    /// The values behind `after`, in order; all of them for `None`.
    pub(crate) fn iter_after(
        &self,
        after: Option<ProducerAt>,
    ) -> impl Iterator<Item = (RoomId, Producer, &UserName, &T)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.map.range((start, Bound::Unbounded)).flat_map(flatten)
    }
}

fn flatten<'a, T>(
    (at, holders): (&'a ProducerAt, &'a Holders<T>),
) -> impl Iterator<Item = (RoomId, Producer, &'a UserName, &'a T)> {
    let (room, producer) = *at;
    holders
        .iter()
        .map(move |(sender, value)| (room, producer, sender, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::try_from(text).expect("a lawful name")
    }

    #[test]
    fn two_senders_of_one_producer_are_kept_apart_and_in_order() {
        let mut map = ProducerMap::new();
        assert_eq!(map.insert(RoomId(1), Producer(9), name("bob"), 1), None);
        assert_eq!(map.insert(RoomId(1), Producer(9), name("ann"), 2), None);
        assert_eq!(map.insert(RoomId(1), Producer(9), name("eve"), 3), None);
        assert_eq!(map.insert(RoomId(1), Producer(9), name("bob"), 4), Some(1));
        assert_eq!(map.find(RoomId(1), Producer(9), b"ann"), Some(&2));
        let seen: Vec<i32> = map.iter().map(|(_, _, _, value)| *value).collect();
        assert_eq!(seen, [2, 4, 3]);
        assert_eq!(map.remove(RoomId(1), Producer(9), b"ann"), Some(2));
        assert_eq!(map.remove(RoomId(1), Producer(9), b"ann"), None);
        assert_eq!(map.find(RoomId(1), Producer(9), b"bob"), Some(&4));
        assert_eq!(map.remove(RoomId(1), Producer(9), b"eve"), Some(3));
        assert_eq!(map.remove(RoomId(1), Producer(9), b"bob"), Some(4));
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn a_sweep_goes_on_behind_where_it_stopped() {
        let mut map = ProducerMap::new();
        for producer in 1..=3 {
            map.insert(RoomId(1), Producer(producer), name("ann"), producer);
        }
        let seen: Vec<u64> = map
            .iter_after(Some((RoomId(1), Producer(1))))
            .map(|(_, _, _, value)| *value)
            .collect();
        assert_eq!(seen, [2, 3]);
        assert_eq!(map.iter_after(None).count(), 3);
    }
}
