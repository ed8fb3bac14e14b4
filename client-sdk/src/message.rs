//! What a publisher gives, and what it gets back.

use antiphon_protocol::{
    HeadersBuilder, HeadersError, Link, ProducerSeq, RecordKind, RoomId, Seq, Timestamp,
};
use bytes::Bytes;

use crate::error::Misuse;
use crate::record::Position;
use crate::session::Outgoing;

/// A message to publish: a body, and what is to be said about it.
///
/// ```
/// use antiphon_client::{Message, Seq};
///
/// let reply = Message::new("yes, at eight").reply_to(Seq(41)).content_type("text/plain");
/// let plain: Message = "hello".into();
/// assert_eq!(&plain.body()[..], b"hello");
/// assert_ne!(reply, plain);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    pub(crate) kind: RecordKind,
    pub(crate) codec: u8,
    pub(crate) body: Bytes,
    pub(crate) producer_seq: Option<ProducerSeq>,
    pub(crate) origin_time: Option<Timestamp>,
    pub(crate) expect_seq: Option<Seq>,
    pub(crate) reference: Option<Seq>,
    pub(crate) key: Option<Bytes>,
    pub(crate) content_type: Option<String>,
    pub(crate) properties: Vec<(String, Bytes)>,
}

impl Message {
    /// A message (record kind 0) with this body; an empty one is lawful.
    pub fn new(body: impl AsRef<[u8]>) -> Message {
        Message::from(Bytes::copy_from_slice(body.as_ref()))
    }

    /// A new body for a record that this user has sent: a message, or one of an application's own kinds. It is whole, with its
    /// own headers and codec; the newest edit counts. `target` is the original, also for a second edit.
    /// Readers get it as a record of its own, whose [`reply_to`](crate::Headers::reply_to) is the target.
    ///
    /// Somebody else's record, or one of another kind, is refused with [`Code::FORBIDDEN`](crate::Code::FORBIDDEN); one that is
    /// not there, or was redacted, with [`Code::NOT_FOUND`](crate::Code::NOT_FOUND).
    pub fn edit(target: Seq, body: impl AsRef<[u8]>) -> Message {
        Message::new(body).kind(RecordKind::EDIT).refer_to(target)
    }

    /// Takes a record back that this user has sent: its body and headers are shown to nobody any more, its place stays.
    ///
    /// `reason` may be empty. A reaction, a pin or an edit is taken back by redacting *it*; to take back a message that was
    /// edited, redact its edits, too.
    ///
    /// Once it is acked nobody gets the body from the broker any more: the record is read with
    /// [`is_erased`](crate::Record::is_erased) set. Whoever had it before gets the redaction as a record, and is asked to forget.
    /// What stays on the broker's disk, and for how long, is told in its guarantees. Refused is what is refused to an
    /// [`edit`](Message::edit), and a second redaction of one record: there is nothing left.
    ///
    /// ```
    /// use antiphon_client::{Message, Seq};
    ///
    /// let redact = Message::redact(Seq(41), "said in the wrong room");
    /// assert_eq!(&redact.body()[..], b"said in the wrong room");
    /// ```
    pub fn redact(target: Seq, reason: impl AsRef<[u8]>) -> Message {
        Message::new(reason)
            .kind(RecordKind::REDACT)
            .refer_to(target)
    }

    /// A reaction to any record, such as an emoji.
    pub fn reaction(target: Seq, reaction: impl AsRef<str>) -> Message {
        Message::new(reaction.as_ref())
            .kind(RecordKind::REACTION)
            .refer_to(target)
    }

    /// Pins any record.
    pub fn pin(target: Seq) -> Message {
        Message::new("").kind(RecordKind::PIN).refer_to(target)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What the record is: 0 a message, 64 to 255 the application's own. (For the kinds that are about another record there are
    /// [`edit`](Message::edit), [`redact`](Message::redact), [`reaction`](Message::reaction) and [`pin`](Message::pin).)
    #[must_use]
    pub fn kind(mut self, kind: RecordKind) -> Self {
        self.kind = kind;
        self
    }

    /// How the body is coded; the broker does not look.
    #[must_use]
    pub fn codec(mut self, codec: u8) -> Self {
        self.codec = codec;
        self
    }

    /// The publisher's own time; the broker's time is in every record anyway.
    #[must_use]
    pub fn origin_time(mut self, time: Timestamp) -> Self {
        self.origin_time = Some(time);
        self
    }

    /// Publishes only if the record gets exactly this seq: if nobody was faster. Else the broker refuses with
    /// [`Code::CONFLICT`](crate::Code::CONFLICT), whose hint is the room's head. `Seq(1)` is for a room that does not exist yet.
    #[must_use]
    pub fn expect_seq(mut self, seq: Seq) -> Self {
        self.expect_seq = Some(seq);
        self
    }

    /// The record of the same room that this one refers to.
    #[must_use]
    pub fn reply_to(self, seq: Seq) -> Self {
        self.refer_to(seq)
    }

    fn refer_to(mut self, seq: Seq) -> Self {
        self.reference = Some(seq);
        self
    }

    /// A key of 1 to 64 bytes.
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(Bytes::copy_from_slice(key.as_ref()));
        self
    }

    /// The media type of the body.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// One more property; the name has 1 to 255 bytes.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.properties
            .push((name.into(), Bytes::copy_from_slice(value.as_ref())));
        self
    }

    /// Demands this producer number, for programs that store a producer and must number as they did before.
    ///
    /// Numbers are dense per room: it must be the room's next one (the first message of a room may start anywhere), else
    /// publishing is refused as [`Misuse::ProducerSeq`](crate::Misuse::ProducerSeq). Needs a client that keeps its producer
    /// ([`ClientOptions::producer`](crate::ClientOptions::producer) or
    /// [`keep_producer`](crate::ClientOptions::keep_producer)).
    #[must_use]
    pub fn producer_seq(mut self, number: ProducerSeq) -> Self {
        self.producer_seq = Some(number);
        self
    }

    /// Encodes what is said about the body.
    pub(crate) fn into_outgoing(self) -> Result<Outgoing, Misuse> {
        let headers = self.encode_headers().map_err(|_| Misuse::Headers)?;
        Ok(Outgoing {
            kind: self.kind,
            codec: self.codec,
            headers,
            body: self.body,
            number: self.producer_seq,
            expect_seq: self.expect_seq.unwrap_or(Seq(0)),
        })
    }

    /// In the order of the tags, which the broker insists on.
    fn encode_headers(&self) -> Result<Vec<u8>, HeadersError> {
        let mut builder = HeadersBuilder::new();
        if let Some(time) = self.origin_time {
            builder = builder.origin_time(time)?;
        }
        if let Some(seq) = self.reference {
            builder = builder.reference(seq)?;
        }
        if let Some(key) = &self.key {
            builder = builder.key(key)?;
        }
        if let Some(content_type) = &self.content_type {
            builder = builder.content_type(content_type)?;
        }
        for (name, value) in &self.properties {
            builder = builder.property(name, value)?;
        }
        Ok(builder.finish())
    }
}

impl From<Bytes> for Message {
    fn from(body: Bytes) -> Message {
        Message {
            kind: RecordKind::MESSAGE,
            codec: 0,
            body,
            producer_seq: None,
            origin_time: None,
            expect_seq: None,
            reference: None,
            key: None,
            content_type: None,
            properties: Vec::new(),
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        Message::new(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Message {
        Message::from(Bytes::from(text))
    }
}

impl From<&[u8]> for Message {
    fn from(body: &[u8]) -> Message {
        Message::new(body)
    }
}

impl From<Vec<u8>> for Message {
    fn from(body: Vec<u8>) -> Message {
        Message::from(Bytes::from(body))
    }
}

/// The broker's promise: the record is durable and has this place for ever.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Receipt {
    /// The room.
    pub room_id: RoomId,
    /// The number under which it was published.
    pub producer_seq: ProducerSeq,
    /// Its place in the room. `Seq(0)`: a duplicate so old that the broker no longer looks its place up.
    pub seq: Seq,
    /// The room's rolling hash up to it; `Link(0)` with `Seq(0)`.
    pub link: Link,
    /// When it was admitted; `Timestamp(0)` with `Seq(0)`.
    pub time: Timestamp,
    /// The broker had it already: this is the answer of the first time.
    pub duplicate: bool,
}

impl Receipt {
    /// The position after the record, if the broker still knows it.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        (self.seq != Seq(0)).then_some(Position {
            seq: self.seq,
            link: self.link,
        })
    }
}
