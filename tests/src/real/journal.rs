//! Where all that happens is noted, in the one format of docs/history.md.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::history::{Actor, Client, Head, History, Node, Op, Recorder, What};

/// Takes events of all threads, in the order in which they happen, and numbers requests.
#[derive(Debug)]
pub(crate) struct Journal {
    recorder: Recorder,
    started: Instant,
    last_op: AtomicU64,
    /// Publishes asked for, and those acked.
    published: AtomicU64,
    acked: AtomicU64,
}

impl Journal {
    /// Nothing happened yet.
    pub(crate) fn new(head: Head) -> Self {
        Self {
            recorder: Recorder::new(head),
            started: Instant::now(),
            last_op: AtomicU64::new(0),
            published: AtomicU64::new(0),
            acked: AtomicU64::new(0),
        }
    }

    /// A new request's number.
    pub(crate) fn op(&self) -> Op {
        Op(self.last_op.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn client(&self, client: Client, what: What) {
        match what {
            What::Publish { .. } => self.published.fetch_add(1, Ordering::Relaxed),
            What::Published { .. } => self.acked.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        self.note(Actor::Client(client), what);
    }

    pub(crate) fn node(&self, node: Node, what: What) {
        self.note(Actor::Node(node), what);
    }

    pub(crate) fn world(&self, what: What) {
        self.note(Actor::World, what);
    }

    fn note(&self, by: Actor, what: What) {
        let at = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match by {
            Actor::Client(client) => self.recorder.client(at, client, what),
            Actor::Node(node) => self.recorder.node(at, node, what),
            Actor::World => self.recorder.world(at, what),
        }
    }

    /// Publishes asked for so far, and those acked.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (count(&self.published), count(&self.acked))
    }

    /// The history, complete.
    pub(crate) fn finish(self) -> History {
        self.recorder.finish()
    }
}
