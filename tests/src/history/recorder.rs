//! Collecting a history, from one thread or many.

use std::sync::{Mutex, PoisonError};

use crate::history::{Actor, Client, Event, Head, History, Node, What};

/// Takes events in the order in which they happen.
///
/// Shared between threads by reference. The time is read by the caller; one that is lower than the last is raised to
/// it, for the order of the calls is the truth.
#[derive(Debug)]
pub struct Recorder {
    head: Head,
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    /// Nothing happened yet.
    pub fn new(head: Head) -> Self {
        Self {
            head,
            events: Mutex::new(Vec::new()),
        }
    }

    /// A client did or saw something.
    pub fn client(&self, at: u64, client: Client, what: What) {
        self.note(at, Actor::Client(client), what);
    }

    /// A broker or its disk did something.
    pub fn node(&self, at: u64, node: Node, what: What) {
        self.note(at, Actor::Node(node), what);
    }

    /// The world did something.
    pub fn world(&self, at: u64, what: What) {
        self.note(at, Actor::World, what);
    }

    fn note(&self, at: u64, by: Actor, what: What) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let at = events.last().map_or(at, |last| last.at.max(at));
        events.push(Event { at, by, what });
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The history, complete.
    pub fn finish(self) -> History {
        History {
            head: self.head,
            events: self
                .events
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        }
    }
}
