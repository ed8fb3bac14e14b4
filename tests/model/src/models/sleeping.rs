//! Two threads push and wake; one sleeps when its queue is empty.

use std::sync::Arc;

use loom::thread;

use super::production::wake::Sleeper;
use crate::world::crossbeam_queue::SegQueue;
use crate::world::mio::{Registry, Token};
use crate::{Model, every_interleaving};

pub(crate) const MODEL: Model = Model {
    name: "sleeping",
    run,
};

const PUSHERS: usize = 2;

/// No push is slept through (loom reports a thread that waits for ever), and no more threads wake than there are sleeps.
fn run() -> u64 {
    every_interleaving(|| {
        let registry = Registry::new();
        let sleeper = Sleeper::new(&registry, Token).expect("a waker");
        let sleeper = Arc::new(sleeper);
        let queue = Arc::new(SegQueue::new());
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|number| {
                let (sleeper, queue) = (Arc::clone(&sleeper), Arc::clone(&queue));
                thread::spawn(move || {
                    queue.push(number);
                    sleeper.wake();
                })
            })
            .collect();
        let mut taken = 0;
        let mut sleeps = 0;
        while taken < PUSHERS {
            sleeps += 1;
            if sleeper.may_sleep(|| queue.is_empty()) {
                registry.wait();
                sleeper.awake();
            }
            while queue.pop().is_some() {
                taken += 1;
            }
        }
        for pusher in pushers {
            pusher.join().expect("a pusher ends");
        }
        assert!(registry.wakes() <= sleeps, "more wakes than sleeps");
    })
}
