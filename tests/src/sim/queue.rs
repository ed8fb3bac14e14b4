//! What happens next: events by (virtual time, number), so that two events of one moment have an order too.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Virtual time, in microseconds since the world began.
pub(crate) type Micros = u64;

/// One second of virtual time.
pub(crate) const SECOND: Micros = 1_000_000;
/// One millisecond of virtual time.
pub(crate) const MILLI: Micros = 1_000;

/// Something that happens. Events that name a `life` of a node mean nothing to its later lives.
#[derive(Clone, Copy, Debug)]
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

/// An event and when it is due: its time, and its number among those of that time. The greatest is the one that comes first.
#[derive(Debug)]
struct Pending {
    due: (Micros, u64),
    event: Event,
}

impl Ord for Pending {
    fn cmp(&self, other: &Pending) -> Ordering {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Pending) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Pending) -> bool {
        self.due == other.due
    }
}

impl Eq for Pending {}

/// Pending events.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Pending>,
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
        let due = (at.max(self.now), self.number);
        self.heap.push(Pending { due, event });
    }

    /// The next event before `end`; time moves to it. Without one, time moves to `end`.
    pub(crate) fn next(&mut self, end: Micros) -> Option<Event> {
        match self.heap.peek() {
            Some(pending) if pending.due.0 < end => {}
            _ => {
                self.now = self.now.max(end);
                return None;
            }
        }
        let next = self.heap.pop()?;
        self.now = next.due.0;
        Some(next.event)
    }
}
