//! Places for connections: how many there are in all, per core and per address.
//!
//! A place is taken by the acceptor, travels with the socket and comes back when its owner is dropped, wherever that is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::wake::Sleeper;

/// All places of a node.
#[derive(Debug)]
pub(crate) struct Places {
    taken: AtomicU32,
    max: u32,
    /// Connections per core, for an even deal. A hint: nothing is decided by it alone.
    per_core: Vec<AtomicU32>,
    per_address: Option<PerAddress>,
    /// The acceptor's: woken when a place comes back, in case it waits for one.
    acceptor: Arc<Sleeper>,
}

#[derive(Debug)]
struct PerAddress {
    max: u32,
    /// Locked twice in a connection's life, never per message. Holds addresses with at least one place.
    taken: Mutex<HashMap<IpAddr, u32>>,
}

/// One connection's place; dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    /// Set if places are counted per address.
    address: Option<Box<IpAddr>>,
    core: u16,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoPlace {
    /// All are taken.
    Node,
    /// This address has all it may have.
    Address {
        /// That many.
        max: u32,
    },
}

impl Places {
    pub(crate) fn new(
        max: u32,
        per_address_max: u32,
        cores: u16,
        acceptor: Arc<Sleeper>,
    ) -> Arc<Self> {
        let per_address = (per_address_max > 0).then(|| PerAddress {
            max: per_address_max,
            taken: Mutex::new(HashMap::default()),
        });
        let per_core = (0..cores).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Self {
            taken: AtomicU32::new(0),
            max,
            per_core,
            per_address,
            acceptor,
        })
    }

    /// Whether no further connection may be accepted now.
    pub(crate) fn is_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.max
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub(crate) const fn max(&self) -> u32 {
        self.max
    }

    /// Takes a place on the core that has the fewest connections. Called by the acceptor alone.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, NoPlace> {
        if self.is_full() {
            return Err(NoPlace::Node);
        }
        let address = match &self.per_address {
            None => None,
            Some(per_address) => Some(per_address.take(address)?),
        };
        self.taken.fetch_add(1, Ordering::Relaxed);
        let core = self.emptiest();
        self.per_core[usize::from(core)].fetch_add(1, Ordering::Relaxed);
        Ok(Place {
            places: Arc::clone(self),
            address,
            core,
        })
    }

    fn emptiest(&self) -> u16 {
        let loads = self
            .per_core
            .iter()
            .zip(0_u16..)
            .map(|(load, core)| (load.load(Ordering::Relaxed), core));
        loads.min().map_or(0, |(_, core)| core)
    }
}

impl PerAddress {
    fn take(&self, address: IpAddr) -> Result<Box<IpAddr>, NoPlace> {
        let mut taken = self.taken.lock();
        let count = taken.entry(address).or_insert(0);
        if *count >= self.max {
            return Err(NoPlace::Address { max: self.max });
        }
        *count += 1;
        Ok(Box::new(address))
    }

    fn give_back(&self, address: IpAddr) {
        let mut taken = self.taken.lock();
        let Some(count) = taken.get_mut(&address) else {
            unreachable!("INV-SRV-2: a place that comes back was counted")
        };
        *count -= 1;
        if *count == 0 {
            taken.remove(&address);
        }
    }
}

impl Place {
    /// The core that the connection belongs to.
    pub(crate) const fn core(&self) -> u16 {
        self.core
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.per_core[usize::from(self.core)].fetch_sub(1, Ordering::Relaxed);
        if let (Some(address), Some(per_address)) = (&self.address, &self.places.per_address) {
            per_address.give_back(**address);
        }
        let before = self.places.taken.fetch_sub(1, Ordering::Relaxed);
        assert!(
            before > 0,
            "INV-SRV-2: more places came back than were taken"
        );
        if before >= self.places.max {
            self.places.acceptor.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};

    use super::*;

    fn places(max: u32, per_address_max: u32, cores: u16) -> Arc<Places> {
        let poll = Poll::new().expect("a poller");
        let sleeper = Arc::new(Sleeper::new(poll.registry(), Token(0)).expect("a waker"));
        Places::new(max, per_address_max, cores, sleeper)
    }

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    #[test]
    fn connections_are_dealt_evenly_and_a_left_place_is_filled_first() {
        let places = places(100, 0, 3);
        let mut taken: Vec<Place> = (0..9).map(|_| places.take(A).expect("a place")).collect();
        let on =
            |core: u16, taken: &[Place]| taken.iter().filter(|place| place.core() == core).count();
        assert_eq!([on(0, &taken), on(1, &taken), on(2, &taken)], [3, 3, 3]);
        taken.retain(|place| place.core() != 1);
        let next = places.take(A).expect("a place");
        assert_eq!(next.core(), 1);
    }

    #[test]
    fn the_last_place_of_the_node_or_the_address_is_the_last() {
        let places = places(3, 2, 1);
        let first = places.take(A).expect("a place");
        let _second = places.take(A).expect("a place");
        assert_eq!(
            places.take(A).expect_err("two at most"),
            NoPlace::Address { max: 2 }
        );
        let _third = places.take(B).expect("a place");
        assert!(places.is_full());
        assert_eq!(places.take(B).expect_err("three at most"), NoPlace::Node);
        drop(first);
        assert!(!places.is_full());
        let _fourth = places.take(A).expect("a place again");
        assert_eq!(places.taken(), 3);
    }
}
