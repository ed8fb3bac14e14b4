//! An acceptor without a free place sleeps until one comes back.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use loom::thread;

use super::production::places::Places;
use super::production::wake::Sleeper;
use crate::world::mio::{Registry, Token};
use crate::{Model, every_interleaving};

pub(crate) const MODEL: Model = Model {
    name: "places",
    run,
};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// No place that comes back is slept through, and all of them come back.
fn run() -> u64 {
    every_interleaving(|| {
        let registry = Registry::new();
        let sleeper = Arc::new(Sleeper::new(&registry, Token).expect("a waker"));
        let places = Places::new(2, 0, 1, Arc::clone(&sleeper));
        let owners: Vec<_> = (0..2)
            .map(|_| {
                let place = places.take(ADDRESS).expect("a free place");
                thread::spawn(move || drop(place))
            })
            .collect();
        let third = loop {
            match places.take(ADDRESS) {
                Ok(place) => break place,
                Err(_) => {
                    if sleeper.may_sleep(|| places.is_full()) {
                        registry.wait();
                        sleeper.awake();
                    }
                }
            }
        };
        drop(third);
        for owner in owners {
            owner.join().expect("an owner ends");
        }
        assert_eq!(places.taken(), 0, "every place comes back");
    })
}
