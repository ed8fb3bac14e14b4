//! The headers of a record, read in place.

use antiphon_protocol::{self as protocol, HeaderTag, Seq, Timestamp};
use bytes::Bytes;

/// The tagged facts that a publisher attached to a record.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Headers(pub(crate) Bytes);

impl Headers {
    /// The list as it travels: `tag u16, length u16, bytes` back to back.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The publisher's own time.
    #[must_use]
    pub fn origin_time(&self) -> Option<Timestamp> {
        self.list().origin_time()
    }

    /// The record of the same room that this one refers to: of an edit, redact, reaction or pin its target.
    #[must_use]
    pub fn reply_to(&self) -> Option<Seq> {
        self.list().reference()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.list().key()
    }

    /// The media type of the body.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.list().content_type()
    }

    /// The properties, in the publisher's order.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.list()
            .filter(|header| header.tag == HeaderTag::PROPERTY)
            .filter_map(|header| header.property())
    }

    /// Every header with its tag, known or not.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.list().map(|header| (header.tag, header.value))
    }

    fn list(&self) -> protocol::Headers<'_> {
        protocol::Headers::new(&self.0)
    }
}
