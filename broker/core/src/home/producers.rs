//! Values per (room, producer, sender), in the order of these keys.
//!
//! A producer belongs to one session, but nothing keeps a second user from naming it: the sender is part of the key. Nearly always one sender
//! holds a producer, so a key costs no allocation of its own; thousands may, and none pays for the others. Ordered, so that checkpoints are the
//! same bytes everywhere and a sweep can go on where it stopped.

use alloc::collections::BTreeMap;
use core::ops::Bound;

use antiphon_protocol::{Producer, RoomId, UserName};

/// A key, as a sweep remembers it.
pub(crate) type ProducerAt = (RoomId, Producer, UserName);

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct ProducerMap<T> {
    map: BTreeMap<(RoomId, Producer), Holders<T>>,
    len: usize,
}

/// Who holds one producer in one room; never empty.
#[derive(Clone, Debug)]
struct Holders<T> {
    /// The lowest sender: below all `others`.
    first: (UserName, T),
    others: BTreeMap<UserName, T>,
}

impl<T> Holders<T> {
    fn iter(&self) -> impl Iterator<Item = (&UserName, &T)> {
        core::iter::once((&self.first.0, &self.first.1)).chain(&self.others)
    }

    /// Those above `sender`.
    fn iter_after(&self, sender: &UserName) -> impl Iterator<Item = (&UserName, &T)> {
        let first = (self.first.0 > *sender).then_some((&self.first.0, &self.first.1));
        let above = (Bound::Excluded(sender), Bound::Unbounded);
        first
            .into_iter()
            .chain(self.others.range::<UserName, _>(above))
    }

    fn find(&self, sender: &[u8]) -> Option<&T> {
        if self.first.0.as_bytes() == sender {
            return Some(&self.first.1);
        }
        self.others.get(sender)
    }

    fn find_mut(&mut self, sender: &[u8]) -> Option<&mut T> {
        if self.first.0.as_bytes() == sender {
            return Some(&mut self.first.1);
        }
        self.others.get_mut(sender)
    }

    fn add(&mut self, sender: UserName, value: T) {
        let mut added = (sender, value);
        if added.0 < self.first.0 {
            core::mem::swap(&mut added, &mut self.first);
        }
        self.others.insert(added.0, added.1);
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
        self.map.get(&(room, producer))?.find(sender)
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
                    others: BTreeMap::new(),
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
        let gone = if holders.first.0.as_bytes() != sender {
            holders.others.remove(sender)?
        } else if let Some(next) = holders.others.pop_first() {
            core::mem::replace(&mut holders.first, next).1
        } else {
            self.map.remove(&(room, producer))?.first.1
        };
        self.len -= 1;
        Some(gone)
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
        after: Option<&ProducerAt>,
    ) -> impl Iterator<Item = (RoomId, Producer, &UserName, &T)> {
        let same = after.and_then(|(room, producer, sender)| {
            let holders = self.map.get(&(*room, *producer))?;
            let above = holders.iter_after(sender);
            Some(above.map(move |(sender, value)| (*room, *producer, sender, value)))
        });
        let start = after.map_or(Bound::Unbounded, |(room, producer, _)| {
            Bound::Excluded((*room, *producer))
        });
        let rest = self.map.range((start, Bound::Unbounded)).flat_map(flatten);
        same.into_iter().flatten().chain(rest)
    }
}

fn flatten<'a, T>(
    (at, holders): (&'a (RoomId, Producer), &'a Holders<T>),
) -> impl Iterator<Item = (RoomId, Producer, &'a UserName, &'a T)> {
    let (room, producer) = *at;
    holders
        .iter()
        .map(move |(sender, value)| (room, producer, sender, value))
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

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
    fn a_sweep_goes_on_behind_where_it_stopped_and_sees_everybody_once() {
        let mut map = ProducerMap::new();
        let mut all = Vec::new();
        for (room, producer, sender) in [(1, 9, 7), (1, 3, 1), (2, 9, 1), (1, 10, 2)] {
            for number in (0..sender).rev() {
                let key = (
                    RoomId(room),
                    Producer(producer),
                    name(&format!("u{number}")),
                );
                map.insert(key.0, key.1, key.2.clone(), ());
                all.push(key);
            }
        }
        all.sort();
        for step in 1..=all.len() {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let part: Vec<ProducerAt> = map
                    .iter_after(after.as_ref())
                    .take(step)
                    .map(|(room, producer, sender, ())| (room, producer, sender.clone()))
                    .collect();
                let Some(last) = part.last() else { break };
                after = Some(last.clone());
                seen.extend(part);
            }
            assert_eq!(seen, all, "{step} at a time");
        }
        let gone = (RoomId(1), Producer(9), name("u33"));
        assert_eq!(
            map.iter_after(Some(&gone)).count(),
            6,
            "it may have left meanwhile"
        );
    }
}
