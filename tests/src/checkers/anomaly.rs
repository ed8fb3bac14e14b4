//! Every way in which a history can break a promise.

use std::fmt;

use crate::checkers::Invariant;
use crate::history::{Client, Node, Op, Origin, Producer, ProducerSeq, Room, Seq, User, Why};

/// Where lost records stood, seen from what one final read still has of the room.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// Before all that is left.
    Prefix,
    /// Between records that are left.
    Middle,
    /// Behind all that is left.
    Postfix,
    /// Nothing is left.
    Whole,
    /// No ack told where: it was a duplicate, too old for that.
    Untold,
}

/// What is wrong, per promise; see [`Anomaly::invariant`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    missing_docs,
    reason = "fields are named by their types; the variant's text tells the rest"
)]
pub enum Anomaly {
    // Shape
    /// An event is older than the one before it.
    TimeFell,
    /// Two requests have one op.
    OpTwice { op: Op },
    /// An outcome or a push belongs to no request of this client, or to one of another kind.
    NoRequest { op: Op },
    /// A request has two outcomes.
    OutcomeTwice { op: Op },
    /// A client's event by a node, or the like.
    WrongActor,

    // I1
    /// Acked records are not in this node's final read.
    Lost {
        node: Node,
        room: Room,
        place: Place,
        first: Seq,
        count: u64,
    },
    /// There are final reads, and none of this room on this node.
    NotRead { node: Node, room: Room },

    // I2
    /// A record that nobody published in this room.
    NeverPublished { room: Room, origin: Origin },
    /// A record with another body than what was published.
    OtherBody { room: Room, origin: Origin },
    /// A record that was seen before it was published.
    SeenBefore { room: Room, origin: Origin },
    /// A record of which all attempts were refused for good.
    Refused { room: Room, origin: Origin },
    /// Bytes that are no record.
    BadSum { sub: Op, seq: Seq },

    // I3
    /// Two messages at one place.
    TwoRecords { room: Room, seq: Seq },
    /// Two links at one place.
    TwoLinks { room: Room, seq: Seq },

    // I4
    /// A record or gap beyond the next one.
    Hole { sub: Op, expected: Seq, got: Seq },
    /// A record or gap that goes back.
    Repeated { sub: Op, expected: Seq, got: Seq },
    /// A gap that ends before it begins.
    BackwardGap { sub: Op },
    /// A delivery before SUBSCRIBED.
    NotSubscribed { sub: Op },
    /// A delivery after the subscription's end.
    AfterEnd { sub: Op },
    /// A fresh subscription that does not begin where it was asked to.
    WrongStart {
        sub: Op,
        head: Seq,
        expected: Seq,
        next: Seq,
    },
    /// A subscription or a page that begins elsewhere than with the first record of its time or later, by what acks told.
    WrongTime { op: Op, first: Seq },
    /// An open subscription that never came to the head.
    Behind { sub: Op, next: Seq, head: Seq },
    /// The answer of a fetch around a position that begins behind the first record it should have.
    LatePage { op: Op, expected: Seq, got: Seq },
    /// The answer of a fetch with a hole or a repetition, or one that does not touch the position.
    WrongPage { op: Op, expected: Seq, got: Seq },
    /// The answer of a fetch with more or fewer records than there are within the limit.
    WrongCount { op: Op, there: u64, got: u64 },

    // I5
    /// One message at two places.
    TwoSeqs {
        room: Room,
        origin: Origin,
        first: Seq,
        second: Seq,
    },
    /// Acks of one message tell two times.
    TwoTimes { room: Room, origin: Origin },
    /// Two acks of one message, and neither says duplicate.
    FirstTwice { room: Room, origin: Origin },
    /// A publish that was to get one seq got another.
    NotExpected { op: Op, expected: Seq, got: Seq },
    /// A producer's number was left out.
    ProducerHole {
        room: Room,
        user: User,
        producer: Producer,
        missing: ProducerSeq,
    },

    // I6
    /// A producer's later message stands before its earlier one.
    OvertakenBy {
        room: Room,
        earlier: Origin,
        later: Origin,
    },

    // I7
    /// A publish that began after an ack stands before what was acked.
    BelowAcked {
        room: Room,
        origin: Origin,
        seq: Seq,
        acked: Seq,
    },
    /// An answer whose head is below what was acked before the question.
    StaleHead { op: Op, head: Seq, acked: Seq },
    /// A room with acked records was not found.
    StaleNotFound { op: Op, acked: Seq },

    // I8
    /// SUBSCRIBED names another next one than the one behind the position.
    ResumedElsewhere { sub: Op, after: Seq, next: Seq },
    /// What came first is not the one behind the position.
    FirstElsewhere { sub: Op, after: Seq, first: Seq },
    /// SUBSCRIBED tells another link for the position.
    OtherLink { sub: Op, after: Seq },
    /// A position that is in this history was refused as one of another.
    Diverged { sub: Op, after: Seq },
    /// A record's link does not continue the one before.
    BrokenLink { sub: Op, seq: Seq },

    // I12
    /// A request without an outcome, or with one that came too late.
    Stuck { op: Op },
    /// A message that was tried after healing and got no ack, and no refusal but for now.
    NeverAnswered { room: Room, origin: Origin },
    /// A client whose last try to connect was in vain, and that was not noted as closed.
    NeverConnected { client: Client },

    // I14
    /// An ack while fewer replicas than a majority had the record, and all before it, on disk.
    AckBeforeSync {
        room: Room,
        seq: Seq,
        safe_on: u32,
        needed: u32,
    },

    // I15
    /// A signal that nobody sent in this room.
    NeverSignalled { sub: Op, via: u64, number: u64 },
    /// A signal that came before, or one that an older one of its connection and key follows.
    SignalAgain { sub: Op, via: u64, number: u64 },
    /// Signals without a key were left out, and fewer told as dropped.
    UntoldDrop { sub: Op, missing: u64, told: u64 },

    // I16
    /// A cursor stands below where the log, or a sync, had it before the question.
    CursorBack { op: Op, at: Seq, before: Seq },
    /// A cursor stands where nobody moved it.
    CursorNowhere { op: Op, at: Seq },
    /// A count of messages that is not that of the room.
    WrongUnread { op: Op, at: Seq, count: u64 },
}

impl Anomaly {
    /// The promise that it breaks.
    pub fn invariant(&self) -> Invariant {
        match self {
            Self::TimeFell
            | Self::OpTwice { .. }
            | Self::NoRequest { .. }
            | Self::OutcomeTwice { .. }
            | Self::WrongActor => Invariant::Shape,
            Self::Lost { .. } | Self::NotRead { .. } => Invariant::I1,
            Self::NeverPublished { .. }
            | Self::OtherBody { .. }
            | Self::SeenBefore { .. }
            | Self::Refused { .. }
            | Self::BadSum { .. } => Invariant::I2,
            Self::TwoRecords { .. } | Self::TwoLinks { .. } => Invariant::I3,
            Self::Hole { .. }
            | Self::Repeated { .. }
            | Self::BackwardGap { .. }
            | Self::NotSubscribed { .. }
            | Self::AfterEnd { .. }
            | Self::WrongStart { .. }
            | Self::WrongTime { .. }
            | Self::Behind { .. }
            | Self::LatePage { .. }
            | Self::WrongPage { .. }
            | Self::WrongCount { .. } => Invariant::I4,
            Self::TwoSeqs { .. }
            | Self::TwoTimes { .. }
            | Self::FirstTwice { .. }
            | Self::NotExpected { .. }
            | Self::ProducerHole { .. } => Invariant::I5,
            Self::OvertakenBy { .. } => Invariant::I6,
            Self::BelowAcked { .. } | Self::StaleHead { .. } | Self::StaleNotFound { .. } => {
                Invariant::I7
            }
            Self::ResumedElsewhere { .. }
            | Self::FirstElsewhere { .. }
            | Self::OtherLink { .. }
            | Self::Diverged { .. }
            | Self::BrokenLink { .. } => Invariant::I8,
            Self::Stuck { .. } | Self::NeverAnswered { .. } | Self::NeverConnected { .. } => {
                Invariant::I12
            }
            Self::AckBeforeSync { .. } => Invariant::I14,
            Self::NeverSignalled { .. } | Self::SignalAgain { .. } | Self::UntoldDrop { .. } => {
                Invariant::I15
            }
            Self::CursorBack { .. } | Self::CursorNowhere { .. } | Self::WrongUnread { .. } => {
                Invariant::I16
            }
        }
    }

    /// The anomaly for what a client found wrong with a record.
    pub(crate) fn broken(sub: Op, seq: Seq, why: Why) -> Self {
        match why {
            Why::Link => Self::BrokenLink { sub, seq },
            Why::Sum => Self::BadSum { sub, seq },
        }
    }
}

impl fmt::Display for Anomaly {
    /// As in the code: the names say it, and can be searched for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
