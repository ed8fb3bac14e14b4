//! What every client thread has: who it is, where it connects, and how it notes what it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use antiphon_client::{
    Client as Sdk, ClientError, ClientOptions, Code, Delivery, Device, Producer, Record as Told,
};

use super::journal::Journal;
use super::stage::{Part, Stage};
use crate::audit::{USER_PREFIX, user_of};
use crate::history::{
    self, BodyHash, Client, GapRange, Link, Node, Op, Origin, ProducerSeq, Record, Room, Seq, User,
    What,
};
use crate::sim::random::Random;

/// The one broker.
pub(crate) const NODE: Node = Node(1);

/// Between two attempts to connect that failed at once.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// One address may take this long to accept and greet; shorter than most faults.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The name of a room.
pub(crate) fn room_name(room: Room) -> String {
    format!("room-{}", room.0)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) journal: Arc<Journal>,
    pub(crate) stage: Arc<Stage>,
    pub(crate) client: Client,
    pub(crate) address: String,
    pub(crate) rooms: Vec<Room>,
    pub(crate) dice: Random,
    /// Keepalive asked for: how soon a dead connection is noticed.
    pub(crate) keepalive: Duration,
    /// Set from outside: the client loses its memory of the connection, as if its process died.
    pub(crate) crash: Arc<AtomicBool>,
}

impl Seat {
    /// The user of this client, and no other's.
    pub(crate) fn user(&self) -> User {
        User(self.client.0)
    }

    pub(crate) fn note(&self, what: What) {
        self.journal.client(self.client, what);
    }

    pub(crate) fn is_at(&self, part: Part) -> bool {
        self.stage.part() == part
    }

    /// Whether the client is to crash now; asked once.
    pub(crate) fn takes_crash(&self) -> bool {
        self.crash.swap(false, Ordering::Relaxed)
    }

    /// Options of a session of this client.
    pub(crate) fn options(&self) -> ClientOptions {
        ClientOptions::new(self.address.clone())
            .user(format!("{USER_PREFIX}{}", self.user().0))
            .client_name("antiphon-tests")
            .keepalive(self.keepalive)
            .connect_timeout(CONNECT_TIMEOUT)
            .backoff(Duration::from_millis(20), Duration::from_millis(500))
    }

    /// Connects, as often as it takes; `None`: the run came to its end before.
    pub(crate) fn connect(&self, options: &ClientOptions) -> Option<Sdk> {
        loop {
            let part = self.stage.part();
            if part == Part::Over {
                return None;
            }
            let op = self.journal.op();
            self.note(What::Connect { op, node: NODE });
            match Sdk::connect(options.clone()) {
                Ok(sdk) => {
                    let producer = history::Producer(sdk.producer().0);
                    self.note(What::Connected { op, producer });
                    return Some(sdk);
                }
                Err(_) => {
                    self.note(What::Unknown { op });
                    self.stage.rest(CONNECT_PAUSE, part);
                }
            }
        }
    }

    /// What a request other than a publish came to, if it failed; true: the client is of no use any more.
    pub(crate) fn failed(&self, op: Op, error: &ClientError) -> bool {
        let (code, hint) = match error {
            ClientError::Rejected(rejection) => (rejection.code, rejection.hint),
            ClientError::Diverged { head } => (Code::DIVERGED, head.0),
            ClientError::Ended(code) => (*code, 0),
            ClientError::Timeout | ClientError::Disconnected => {
                self.note(What::Unknown { op });
                return false;
            }
            _ => {
                self.note(What::Unknown { op });
                return true;
            }
        };
        let code = code.wire();
        self.note(What::Failed { op, code, hint });
        false
    }
}

/// What identifies a session over the death of its process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) producer: Producer,
    pub(crate) device: Device,
}

/// A record as histories have it.
pub(crate) fn seen(record: &Told) -> Record {
    Record {
        seq: Seq(record.seq.0),
        link: Link(record.link.0),
        origin: Origin {
            user: user_of(&record.sender),
            producer: history::Producer(record.producer.0),
            producer_seq: ProducerSeq(record.producer_seq.0),
        },
        body: BodyHash::of(&record.body),
    }
}

/// A gap as histories have it.
pub(crate) fn gap_seen(gap: &antiphon_client::Gap) -> GapRange {
    GapRange {
        from: Seq(gap.from.0),
        to: Seq(gap.to.0),
        reason: gap.reason.wire(),
    }
}

/// A delivery as an event.
pub(crate) fn delivered(sub: Op, delivery: &Delivery) -> What {
    match delivery {
        Delivery::Record(record) => What::Deliver {
            sub,
            record: seen(record),
            // The SDK does not tell which way it came.
            way: history::Way::Live,
        },
        Delivery::Gap(gap) => What::Gap {
            sub,
            gap: gap_seen(gap),
            link: Link(gap.link.0),
        },
        other => unreachable!("nobody asked for {other:?}"),
    }
}
