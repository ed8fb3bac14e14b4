//! Why an operation did not do what was asked, by who can do something about it.

use std::io;
use std::time::Duration;

use antiphon_protocol::{Class, Code, GoawayClass, ProducerSeq, Seq};
use thiserror::Error;

/// The broker's answer to a request that it refused.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[error("the broker refused ({code}): {text}")]
#[non_exhaustive]
pub struct Rejection {
    /// What was wrong.
    pub code: Code,
    /// What a program can do about it.
    pub class: Class,
    /// When to ask again, if asking again makes sense.
    pub retry_after: Duration,
    /// Per code; 0 if none.
    pub hint: u64,
    /// For people.
    pub text: String,
}

impl Rejection {
    /// The same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.class.is_retryable()
    }
}

/// The application asked for something that makes no sense; nothing was sent.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// Room names have 1 to 255 bytes of UTF-8 without control characters.
    #[error(
        "{0:?} is not a room name: it takes 1 to 255 bytes of UTF-8 without control characters"
    )]
    RoomName(String),
    /// User names have 1 to 64 bytes of UTF-8 without control characters.
    #[error("{0:?} is not a user name: it takes 1 to 64 bytes of UTF-8 without control characters")]
    UserName(String),
    /// Cursor names have 1 to 32 bytes of UTF-8 without control characters.
    #[error(
        "{0:?} is not a cursor name: it takes 1 to 32 bytes of UTF-8 without control characters"
    )]
    CursorName(String),
    /// Signals have a name of 1 to 32 bytes without control characters, a key of at most 64 and a value of at most 1,024.
    #[error(
        "not a signal: it takes a name of 1 to 32 bytes of UTF-8 without control characters, a key of at most 64 bytes and a value of at most 1,024"
    )]
    Signal,
    /// A header of the message has a length that does not exist on the wire.
    #[error("a header of the message is too long or empty")]
    Headers,
    /// The number demanded for a message is not the room's next one.
    #[error("the room's next producer number is {expected}, not {given}")]
    ProducerSeq {
        /// The next one.
        expected: ProducerSeq,
        /// The one demanded.
        given: ProducerSeq,
    },
    /// A number was demanded of a client that may change its producer.
    #[error("a producer number needs a client that keeps its producer")]
    ProducerNotKept,
    /// This client has a subscription of the room already.
    #[error("this client is already subscribed to the room; one subscription per room and client")]
    AlreadySubscribed,
    /// A limit of 0 records.
    #[error("a history of no records was asked for")]
    EmptyHistory,
}

/// Why a client cannot be had, or an operation other than publish failed.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A mistake of the caller.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// No address could be reached; this is the last one's answer.
    #[error("cannot connect to {address}: {kind}")]
    Connect {
        /// The address tried last.
        address: String,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// The broker closes the session.
    #[error("the broker said goodbye ({code}): {text}")]
    Goaway {
        /// Why.
        code: Code,
        /// Whether to come back.
        class: GoawayClass,
        /// For people.
        text: String,
    },
    /// The broker refused the request.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The position does not belong to the broker's history of the room: it differs, or it is shorter.
    #[error("the room's history differs from what was read before (its head is {head})")]
    Diverged {
        /// The last record of the broker.
        head: Seq,
    },
    /// The broker ended the subscription before it had begun.
    #[error("the broker ended the subscription: {0}")]
    Ended(Code),
    /// The deadline passed; the client has given the request up.
    #[error("no answer within the deadline")]
    Timeout,
    /// The connection was lost, and the operation makes no sense on another one.
    #[error("the connection was lost")]
    Disconnected,
    /// What the broker sent breaks the protocol.
    #[error("the broker broke the protocol: {0}")]
    Protocol(Violation),
    /// The broker is older than what was asked of it.
    #[error("the broker is too old to serve that; it needs a newer version of Antiphon")]
    NotServed,
    /// The connection takes no more at the moment; nothing was sent.
    #[error("the connection takes no more at the moment; nothing was sent, try again later")]
    Backpressure,
    /// The answer would not fit into memory; ask for fewer records.
    #[error("the history asked for has more than {bytes_max} bytes; ask for fewer records")]
    HistoryTooLarge {
        /// The bound that it passed.
        bytes_max: u64,
    },
    /// The broker does not take the producer that this client is to keep; what was not acked under it is not sent any more.
    #[error(
        "the broker does not go on with the kept producer: it is too old, or another session's"
    )]
    ProducerRefused,
    /// The system refused a thread, a poll or randomness.
    #[error("the system refused what the client needs: {0}")]
    System(io::ErrorKind),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl ClientError {
    /// The same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            ClientError::Connect { .. }
            | ClientError::Timeout
            | ClientError::Backpressure
            | ClientError::Disconnected => true,
            ClientError::Rejected(rejection) => rejection.is_retryable(),
            ClientError::Goaway { class, .. } => *class != GoawayClass::Terminal,
            ClientError::Ended(code) => code.class().is_retryable(),
            ClientError::Protocol(_) => true,
            ClientError::Misuse(_)
            | ClientError::Diverged { .. }
            | ClientError::NotServed
            | ClientError::HistoryTooLarge { .. }
            | ClientError::ProducerRefused
            | ClientError::System(_)
            | ClientError::Closed => false,
        }
    }
}

impl ClientError {
    /// The two sides do not speak the same protocol, so that another connection will hardly help.
    pub(crate) fn is_disagreement(&self) -> bool {
        match self {
            ClientError::Protocol(violation) => {
                !matches!(violation, Violation::Silent | Violation::NoWelcome)
            }
            _ => false,
        }
    }
}

/// Why a message has no receipt.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// A mistake of the caller; nothing was sent.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The message is larger than the broker takes; nothing was sent.
    #[error("{part} of {bytes} bytes, the broker takes {bytes_max}")]
    TooLarge {
        /// Which part of the message: "body", "headers", or "frame" for all of it.
        part: &'static str,
        /// Its size.
        bytes: u64,
        /// The limit told by the broker.
        bytes_max: u64,
    },
    /// The outbox had no free place until the deadline; nothing was sent.
    #[error("the outbox is full: the broker does not ack fast enough")]
    Backpressure,
    /// The deadline passed before the message was sent; it will not be.
    #[error("not sent within the deadline")]
    Timeout,
    /// The message may have been published or not; nobody can say which. Publishing it again may make a second copy.
    #[error("the outcome is unknown: {0}")]
    Unknown(Doubt),
    /// The broker refused the message, for good or until the deadline; it was not published.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The number that this message was given holds another message (a kept producer was used with other numbers before).
    #[error("number {0} of this producer holds another message in this room")]
    ProducerConflict(ProducerSeq),
    /// An earlier message of the room was refused, so that this one's number cannot be reached; it was not published.
    #[error(
        "not published: the broker expects number {expected} in this room, from a message that was refused or never sent"
    )]
    OutOfOrder {
        /// The number that must come first.
        expected: ProducerSeq,
    },
    /// The kept producer is older than the broker accepts; the message was not published.
    #[error("the producer is too old: start anew with another one")]
    ProducerExpired,
    /// The client ended before the message was sent; it was not published.
    #[error("the client is closed: {0}")]
    Closed(Box<ClientError>),
}

impl PublishError {
    /// Publishing the same message again is safe and may succeed: it certainly was not published.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            PublishError::Backpressure | PublishError::Timeout => true,
            PublishError::Closed(reason) => reason.is_retryable(),
            PublishError::OutOfOrder { .. } => true,
            PublishError::Rejected(rejection) => rejection.is_retryable(),
            PublishError::Misuse(_)
            | PublishError::TooLarge { .. }
            | PublishError::Unknown(_)
            | PublishError::ProducerConflict(_)
            | PublishError::ProducerExpired => false,
        }
    }

    /// The message may be in the room all the same.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, PublishError::Unknown(_))
    }
}

/// Why the outcome of a publish cannot be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum Doubt {
    /// It was sent and its deadline passed; the client still tries to deliver it as long as it lives.
    #[error("sent, and no answer within the deadline")]
    Deadline,
    /// It was sent, and the client ended before the answer.
    #[error("sent, and the client ended before the answer")]
    Closed,
    /// It was sent over a connection that was lost, and over another one the broker refused it or a message before it.
    #[error("sent over a lost connection, then refused over another one")]
    Refused,
    /// It was sent over a connection that was lost, and then its producer was no longer accepted.
    #[error("sent over a lost connection, then its producer was no longer accepted")]
    ProducerExpired,
    /// The broker no longer knows messages that it had acked: it has lost data or is another one.
    #[error("the broker has lost what it had acked before")]
    BrokerForgot,
}

/// Why a subscription ended. Its [`position`](crate::Subscription::position) stays at the last record yielded.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// A mistake of the caller.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The broker's history is not the one this reader has seen, or is shorter.
    #[error("the room's history differs from what was read before (its head is {head})")]
    Diverged {
        /// The last record of the broker.
        head: Seq,
    },
    /// The broker sent something that does not follow from what it sent before.
    #[error("the broker broke the protocol: {0}")]
    Protocol(Violation),
    /// The broker refused to go on with the subscription.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The broker ended the subscription.
    #[error("the broker ended the subscription: {0}")]
    Ended(Code),
    /// The client ended.
    #[error("the client is closed: {0}")]
    Closed(Box<ClientError>),
}

impl SubscribeError {
    /// Subscribing again, from the last position, may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            SubscribeError::Misuse(_) | SubscribeError::Diverged { .. } => false,
            SubscribeError::Protocol(_) => true,
            SubscribeError::Rejected(rejection) => rejection.is_retryable(),
            SubscribeError::Ended(code) => code.class().is_retryable(),
            SubscribeError::Closed(reason) => reason.is_retryable(),
        }
    }
}

impl From<SubscribeError> for ClientError {
    fn from(error: SubscribeError) -> ClientError {
        match error {
            SubscribeError::Misuse(misuse) => ClientError::Misuse(misuse),
            SubscribeError::Diverged { head } => ClientError::Diverged { head },
            SubscribeError::Protocol(violation) => ClientError::Protocol(violation),
            SubscribeError::Rejected(rejection) => ClientError::Rejected(rejection),
            SubscribeError::Ended(code) => ClientError::Ended(code),
            SubscribeError::Closed(reason) => *reason,
        }
    }
}

/// How the broker broke the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// The length of a frame is above the agreed limit, or its head is not one.
    #[error("a frame's head is broken")]
    BrokenStream,
    /// A frame cannot be parsed.
    #[error("a frame of kind {0} cannot be parsed")]
    BadFrame(u8),
    /// A frame that makes no sense in this state.
    #[error("a frame of kind {0} came unasked")]
    Unexpected(u8),
    /// A record's bytes do not match their checksum.
    #[error("a record does not match its checksum (the next one was to be {0})")]
    Checksum(Seq),
    /// A record's link does not follow from the record before it.
    #[error("record {0} does not follow from the one before it")]
    Link(Seq),
    /// A record or gap came out of turn.
    #[error("record {got} came when {expected} was the next")]
    Order {
        /// The next one.
        expected: Seq,
        /// The one that came.
        got: Seq,
    },
    /// The broker has sent something that did not come, or came twice.
    #[error("the broker counts other records than have come")]
    Digest,
    /// The connection was silent for too long.
    #[error("the connection was silent for three keepalives")]
    Silent,
    /// No WELCOME came in time.
    #[error("no greeting in time")]
    NoWelcome,
}
