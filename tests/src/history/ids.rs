//! The numbers of a history. They are its own: the checkers share no type with the broker.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[doc = $doc:literal] $name:ident($inner:ty), $show:literal;)*) => {$(
        #[doc = $doc]
        #[derive(
            Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $show, self.0)
            }
        }
    )*};
}

number! {
    /// A client: one session, which survives reconnects.
    Client(u32), "client {}";
    /// A broker.
    Node(u32), "node {}";
    /// A room, numbered by the writer of the history; one number for one name.
    Room(u32), "room {}";
    /// A user name, numbered by the writer of the history.
    User(u32), "user {}";
    /// A request of a client; no two in a history are equal. That of a subscribe also names the subscription.
    Op(u64), "op {}";
    /// Position of a record in its room, dense from 1; 0: not told.
    Seq(u64), "seq {}";
    /// The rolling hash of a room up to a seq; 0: not told.
    Link(u64), "link {:016x}";
    /// A producer's number, as in records.
    Producer(u64), "producer {:x}";
    /// A publisher's own number of a message, dense from 1 per user, producer and room.
    ProducerSeq(u64), "producer_seq {}";
    /// Hash of a message's bytes; see [`BodyHash::of`].
    BodyHash(u64), "body {:016x}";
    /// A position in the log of one node; ordered, and used again only after a loss.
    Position(u64), "position {:x}";
}

impl Seq {
    /// The next position.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl BodyHash {
    /// A hash in the manner of FNV-1a, eight bytes at a time, begun with the length. Any good hash would do, if all writers of a history use the same.
    pub fn of(bytes: &[u8]) -> Self {
        let begin = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
        let mix = |hash: u64, word: u64| {
            let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^ (mixed >> 32)
        };
        let (words, rest) = bytes.as_chunks::<8>();
        let hash = words
            .iter()
            .fold(begin, |hash, word| mix(hash, u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        Self(mix(hash, u64::from_le_bytes(last)))
    }
}

/// Who published a message, and as which: with the room, the identity of a message.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "(User, Producer, ProducerSeq)")]
#[serde(into = "(User, Producer, ProducerSeq)")]
pub struct Origin {
    /// The sender.
    pub user: User,
    /// The sender's producer. Two users may have equal ones.
    pub producer: Producer,
    /// The producer's number of it.
    pub producer_seq: ProducerSeq,
}

impl From<(User, Producer, ProducerSeq)> for Origin {
    fn from((user, producer, producer_seq): (User, Producer, ProducerSeq)) -> Self {
        Self {
            user,
            producer,
            producer_seq,
        }
    }
}

impl From<Origin> for (User, Producer, ProducerSeq) {
    fn from(origin: Origin) -> Self {
        (origin.user, origin.producer, origin.producer_seq)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.user, self.producer, self.producer_seq)
    }
}
