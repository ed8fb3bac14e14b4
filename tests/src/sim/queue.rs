//! What happens next: events by (virtual time, number), so that two events of one moment have an order too.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Virtual time, in microseconds since the world began.
pub(crate) type Micros = u64;

/// One second of virtual time.
pub(crate) const SECOND: Micros = 1_000_000;
/// One millisecond of virtual time.
pub(crate) const MILLI: Micros = 1_000;

/// Something that happens. Events that name a `life` of a node mean nothing to its later lives.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Event {
    /// A core thread wakes and makes a turn.
    Turn {
        /// Which node.
        node: usize,
        /// Which life of it.
        life: u64,
        /// Which core.
        core: usize,
    },
    /// The log thread looks for work.
    LogStart {
        /// Which node.
        node: usize,
        /// Which life of it.
        life: u64,
    },
    /// The log thread's call on the disk returns.
    LogDone {
        /// Which node.
        node: usize,
        /// Which life of it.
        life: u64,
    },
    /// A segment was made ahead, or a checkpoint's file.
    Made {
        /// Which node.
        node: usize,
        /// Which life of it.
        life: u64,
        /// Which of both.
        is_segment: bool,
    },
    /// A reader thread has an answer.
    ReadDone {
        /// Which node.
        node: usize,
        /// Which life of it.
        life: u64,
        /// Which job.
        job: u64,
    },
    /// A node starts.
    Start {
        /// Which node.
        node: usize,
        /// The life that ended.
        life: u64,
    },
    /// A node that drains has had time enough.
    Stop {
        /// Which node.
        node: usize,
        /// Which life of it.
        life: u64,
    },
    /// Bytes of one direction of a connection arrive.
    Arrive {
        /// Which connection.
        link: u64,
        /// To the server.
        up: bool,
    },
    /// A side of a connection hears that it is gone.
    Break {
        /// Which connection.
        link: u64,
        /// The server's side.
        server: bool,
    },
    /// A client's attempt to connect ends.
    Dial {
        /// Which client.
        client: usize,
        /// Which attempt.
        attempt: u64,
    },
    /// A client's thread wakes.
    Client {
        /// Which client.
        client: usize,
    },
    /// A client's application does something.
    App {
        /// Which client.
        client: usize,
        /// Which life of it.
        life: u64,
    },
    /// A client whose session is over begins another one.
    Reborn {
        /// Which client.
        client: usize,
        /// The life that ended.
        life: u64,
    },
    /// The world's troublemaker does something.
    Trouble,
    /// A fault that lasts is over.
    Heal {
        /// Which one.
        number: u64,
    },
    /// A frame from node to node arrives.
    PeerArrive {
        /// Which node sent it.
        from: usize,
        /// To which.
        to: usize,
        /// Of the peering that was.
        session: u64,
    },
    /// Something goes wrong between nodes.
    PeerTrouble,
}

/// Pending events.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    number: u64,
    now: Micros,
}

impl Queue {
    /// Virtual time.
    pub(crate) fn now(&self) -> Micros {
        self.now
    }

    /// `event` happens `wait` from now.
    pub(crate) fn after(&mut self, wait: Micros, event: Event) {
        self.at(self.now + wait, event);
    }

    /// `event` happens at `at`, or now if that is past.
    pub(crate) fn at(&mut self, at: Micros, event: Event) {
        self.number += 1;
        self.heap
            .push(Reverse((at.max(self.now), self.number, event)));
    }

    /// The next event before `end`; time moves to it. Without one, time moves to `end`.
    pub(crate) fn next(&mut self, end: Micros) -> Option<Event> {
        match self.heap.peek() {
            Some(Reverse((at, _, _))) if *at < end => {}
            _ => {
                self.now = self.now.max(end);
                return None;
            }
        }
        let Reverse((at, _, event)) = self.heap.pop()?;
        self.now = at;
        Some(event)
    }
}
