//! A lane of one place: a sender that is refused sleeps until it opens.

use std::sync::Arc;

use loom::thread;

use super::production::lanes::Lanes;
use super::production::wake::Sleeper;
use crate::world::mio::{Registry, Token};
use crate::{Model, every_interleaving};

pub(crate) const MODEL: Model = Model { name: "lanes", run };

const MESSAGES: u32 = 2;

/// No full lane is forgotten, no message is slept through, and messages keep their order.
fn run() -> u64 {
    every_interleaving(|| {
        let registries = [Registry::new(), Registry::new()];
        let sleepers: Vec<Arc<Sleeper>> = registries
            .iter()
            .map(|registry| Arc::new(Sleeper::new(registry, Token).expect("a waker")))
            .collect();
        let mut lanes = Lanes::between(&sleepers, 1);
        let (mut to, mut from) = (lanes.pop().expect("two"), lanes.pop().expect("two"));
        let receiver = {
            let (sleeper, registry) = (Arc::clone(&sleepers[1]), registries[1].clone());
            thread::spawn(move || {
                let mut next = 0;
                while next < MESSAGES {
                    to.receive(1, |_, number: u32| {
                        assert_eq!(number, next, "messages keep their order");
                        next += 1;
                    });
                    if next < MESSAGES && sleeper.may_sleep(|| !to.has_news()) {
                        registry.wait();
                        sleeper.awake();
                    }
                }
            })
        };
        let mut number = 0;
        while number < MESSAGES {
            match from.send(1, number) {
                Ok(()) => number += 1,
                Err(_) => {
                    while from.opened().is_none() {
                        if sleepers[0].may_sleep(|| !from.has_news()) {
                            registries[0].wait();
                            sleepers[0].awake();
                        }
                    }
                }
            }
            from.wake();
        }
        receiver.join().expect("the receiver ends");
    })
}
