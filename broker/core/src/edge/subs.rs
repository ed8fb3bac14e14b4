//! The subscriptions of one connection: most have one or two, and those take no memory of their own.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Keys held in place.
const FEW: usize = 2;

/// Keys of subscriptions, in no order; each subscription knows its place here.
#[derive(Debug)]
pub(super) enum Subs {
    Few {
        count: u8,
        keys: [u32; FEW],
    },
    #[allow(clippy::box_collection, reason = "8 bytes in place instead of 24")]
    Many(Box<Vec<u32>>),
}

const _: () = assert!(size_of::<Subs>() == 16);

impl Subs {
    pub(super) const fn new() -> Subs {
        Subs::Few {
            count: 0,
            keys: [0; FEW],
        }
    }

    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Subs::Few { count, keys } => &keys[..usize::from(*count)],
            Subs::Many(keys) => keys,
        }
    }

    pub(super) fn push(&mut self, key: u32) {
        match self {
            Subs::Few { count, keys } if usize::from(*count) < FEW => {
                keys[usize::from(*count)] = key;
                *count += 1;
            }
            Subs::Few { keys, .. } => {
                let mut many = Vec::with_capacity(2 * FEW);
                many.extend_from_slice(keys);
                many.push(key);
                *self = Subs::Many(Box::new(many));
            }
            Subs::Many(keys) => keys.push(key),
        }
    }

    /// Takes the key at `at` out; the last one takes its place, and is given back.
    pub(super) fn swap_remove(&mut self, at: u32) -> Option<u32> {
        match self {
            Subs::Few { count, keys } => {
                *count -= 1;
                keys[at as usize] = keys[usize::from(*count)];
            }
            Subs::Many(keys) => {
                keys.swap_remove(at as usize);
                if keys.is_empty() {
                    *self = Subs::new();
                }
            }
        }
        self.as_slice().get(at as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_and_go_as_in_a_list() {
        for count in 0..8 {
            for at in 0..count {
                let (mut subs, mut list) = (Subs::new(), Vec::new());
                for key in 0..count {
                    subs.push(key);
                    list.push(key);
                }
                list.swap_remove(at as usize);
                assert_eq!(subs.swap_remove(at), list.get(at as usize).copied());
                assert_eq!(subs.as_slice(), list);
                while !list.is_empty() {
                    list.swap_remove(0);
                    assert_eq!(subs.swap_remove(0), list.first().copied());
                }
                assert!(matches!(subs, Subs::Few { count: 0, .. }));
            }
        }
    }
}
