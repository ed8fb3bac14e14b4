//! The header list of a record: small, typed, stored and delivered as it came.
//!
//! `tag u16 | length u16 | bytes`, tags not falling, only `property` may repeat. The server checks a list once, at
//! PUBLISH; readers walk it.

use alloc::vec::Vec;

use crate::error::{DecodeError, Feature};
use crate::extensions::read_tagged;
use crate::ids::{Seq, Timestamp};
use crate::limits::{HEADERS_BYTES_MAX, KEY_BYTES_MAX};

/// Numbers of the headers that have a meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeaderTag;

impl HeaderTag {
    /// u64: the client's own ms since the epoch.
    pub const ORIGIN_TIME: u16 = 2;
    /// u64: the seq in this room that the record refers to.
    pub const REF: u16 = 3;
    /// 1..=64 bytes: records of one key replace each other or stay in order.
    pub const KEY: u16 = 5;
    /// u32: time to live in ms. Numbered, not served.
    pub const TTL_MS: u16 = 7;
    /// UTF-8: what the body is.
    pub const CONTENT_TYPE: u16 = 8;
    /// `name_len u8, name, value`: the application's own; may repeat.
    pub const PROPERTY: u16 = 16;
}

/// One header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header<'a> {
    /// Its number; see [`HeaderTag`].
    pub tag: u16,
    /// Its bytes.
    pub value: &'a [u8],
}

impl<'a> Header<'a> {
    /// Name and value, if this is a well-formed property.
    #[must_use]
    pub fn property(&self) -> Option<(&'a str, &'a [u8])> {
        if self.tag != HeaderTag::PROPERTY {
            return None;
        }
        let (length, rest) = self.value.split_first()?;
        let (name, value) = rest.split_at_checked(usize::from(*length))?;
        let name = core::str::from_utf8(name).ok()?;
        (!name.is_empty()).then_some((name, value))
    }

    fn check(&self) -> Result<(), DecodeError> {
        let lawful = match self.tag {
            HeaderTag::ORIGIN_TIME | HeaderTag::REF => self.value.len() == 8,
            HeaderTag::KEY => (1..=KEY_BYTES_MAX).contains(&self.value.len()),
            HeaderTag::TTL_MS => return Err(DecodeError::NotSupported(Feature::Ttl)),
            HeaderTag::CONTENT_TYPE => core::str::from_utf8(self.value).is_ok(),
            HeaderTag::PROPERTY => self.property().is_some(),
            tag if tag & 1 == 1 => return Err(DecodeError::UnknownHeader(tag)),
            _ => true,
        };
        if lawful {
            Ok(())
        } else {
            Err(DecodeError::Headers)
        }
    }
}

/// Walks a header list; ends at its end or where it is malformed (a checked list never is).
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// The headers in `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Headers { rest: bytes }
    }

    /// Whether `bytes` may be published.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`], [`DecodeError::Headers`] (malformed, falling, repeated, wrong value),
    /// [`DecodeError::UnknownHeader`] (odd), [`DecodeError::NotSupported`] (`ttl_ms`).
    pub fn check(bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() > HEADERS_BYTES_MAX as usize {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            return Err(DecodeError::TooLarge {
                length,
                limit: HEADERS_BYTES_MAX,
            });
        }
        let mut rest = bytes;
        let mut last = None;
        while !rest.is_empty() {
            let header = next_header(&mut rest).ok_or(DecodeError::Headers)?;
            let falls = last.is_some_and(|last| last > header.tag);
            let repeats = last == Some(header.tag) && header.tag != HeaderTag::PROPERTY;
            if falls || repeats {
                return Err(DecodeError::Headers);
            }
            header.check()?;
            last = Some(header.tag);
        }
        Ok(())
    }

    /// The value of the first header with this tag.
    #[must_use]
    pub fn find(self, tag: u16) -> Option<&'a [u8]> {
        let mut headers = self;
        headers.find_map(|header| (header.tag == tag).then_some(header.value))
    }

    /// The client's own time.
    #[must_use]
    pub fn origin_time(self) -> Option<Timestamp> {
        self.u64(HeaderTag::ORIGIN_TIME).map(Timestamp)
    }

    /// The record that this one refers to.
    #[must_use]
    pub fn reference(self) -> Option<Seq> {
        self.u64(HeaderTag::REF).map(Seq)
    }

    /// The key.
    #[must_use]
    pub fn key(self) -> Option<&'a [u8]> {
        self.find(HeaderTag::KEY)
    }

    /// What the body is.
    #[must_use]
    pub fn content_type(self) -> Option<&'a str> {
        core::str::from_utf8(self.find(HeaderTag::CONTENT_TYPE)?).ok()
    }

    fn u64(self, tag: u16) -> Option<u64> {
        let value: [u8; 8] = self.find(tag)?.try_into().ok()?;
        Some(u64::from_le_bytes(value))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        let header = next_header(&mut self.rest);
        if header.is_none() {
            self.rest = &[];
        }
        header
    }
}

fn next_header<'a>(rest: &mut &'a [u8]) -> Option<Header<'a>> {
    read_tagged(rest).map(|tagged| Header {
        tag: tagged.tag,
        value: tagged.value,
    })
}

/// Why a header cannot be added.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HeadersError {
    /// The list would be longer than 4,096 bytes.
    #[error("headers would be longer than {HEADERS_BYTES_MAX} bytes")]
    TooLarge,
    /// The tag is there already and may not repeat.
    #[error("header {0} is there already")]
    Repeated(u16),
    /// The server would refuse the value.
    #[error("unlawful header: {0}")]
    Unlawful(DecodeError),
}

/// Builds a lawful header list, whatever the order of the calls.
///
/// ```
/// use antiphon_protocol::{Headers, HeadersBuilder, Timestamp};
///
/// let headers = HeadersBuilder::new().content_type("text/plain")?.origin_time(Timestamp(7))?.finish();
/// assert_eq!(Headers::new(&headers).origin_time(), Some(Timestamp(7)));
/// assert_eq!(Headers::check(&headers), Ok(()));
/// # Ok::<(), antiphon_protocol::HeadersError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HeadersBuilder {
    bytes: Vec<u8>,
}

impl HeadersBuilder {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        HeadersBuilder { bytes: Vec::new() }
    }

    /// Adds the client's own time.
    ///
    /// # Errors
    /// See [`HeadersBuilder::put`].
    pub fn origin_time(self, time: Timestamp) -> Result<Self, HeadersError> {
        self.put(HeaderTag::ORIGIN_TIME, &time.0.to_le_bytes())
    }

    /// Adds the seq that the record refers to.
    ///
    /// # Errors
    /// See [`HeadersBuilder::put`].
    pub fn reference(self, seq: Seq) -> Result<Self, HeadersError> {
        self.put(HeaderTag::REF, &seq.0.to_le_bytes())
    }

    /// Adds the key, 1..=64 bytes.
    ///
    /// # Errors
    /// See [`HeadersBuilder::put`].
    pub fn key(self, key: &[u8]) -> Result<Self, HeadersError> {
        self.put(HeaderTag::KEY, key)
    }

    /// Adds what the body is.
    ///
    /// # Errors
    /// See [`HeadersBuilder::put`].
    pub fn content_type(self, text: &str) -> Result<Self, HeadersError> {
        self.put(HeaderTag::CONTENT_TYPE, text.as_bytes())
    }

    /// Adds a property of the application; the name has 1..=255 bytes.
    ///
    /// # Errors
    /// See [`HeadersBuilder::put`].
    pub fn property(self, name: &str, value: &[u8]) -> Result<Self, HeadersError> {
        let Ok(length) = u8::try_from(name.len()) else {
            return Err(HeadersError::Unlawful(DecodeError::Headers));
        };
        let bytes: Vec<u8> = core::iter::once(length)
            .chain(name.bytes())
            .chain(value.iter().copied())
            .collect();
        self.put(HeaderTag::PROPERTY, &bytes)
    }

    /// Adds any header at its place: behind those whose tag is not above its own.
    ///
    /// # Errors
    /// [`HeadersError`] if the list would not be lawful.
    pub fn put(mut self, tag: u16, value: &[u8]) -> Result<Self, HeadersError> {
        Header { tag, value }
            .check()
            .map_err(HeadersError::Unlawful)?;
        let total = self
            .bytes
            .len()
            .saturating_add(4)
            .saturating_add(value.len());
        let length = u16::try_from(value.len()).map_err(|_| HeadersError::TooLarge)?;
        if total > HEADERS_BYTES_MAX as usize {
            return Err(HeadersError::TooLarge);
        }
        let at = self.place_of(tag)?;
        let [tag_low, tag_high] = tag.to_le_bytes();
        let [length_low, length_high] = length.to_le_bytes();
        let head = [tag_low, tag_high, length_low, length_high];
        self.bytes
            .splice(at..at, head.into_iter().chain(value.iter().copied()));
        debug_assert_eq!(
            Headers::check(&self.bytes),
            Ok(()),
            "INV-PROTO-8: built headers are lawful"
        );
        Ok(self)
    }

    /// The finished list.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn place_of(&self, tag: u16) -> Result<usize, HeadersError> {
        let mut rest = self.bytes.as_slice();
        let mut at = 0;
        while let Some(header) = next_header(&mut rest) {
            if header.tag == tag && tag != HeaderTag::PROPERTY {
                return Err(HeadersError::Repeated(tag));
            }
            if header.tag > tag {
                break;
            }
            at = self.bytes.len().saturating_sub(rest.len());
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_were_put_whatever_the_order() {
        let builder = HeadersBuilder::new()
            .property("b", b"2")
            .unwrap()
            .property("a", b"")
            .unwrap();
        let builder = builder.content_type("x/y").unwrap().key(b"k").unwrap();
        let bytes = builder
            .reference(Seq(9))
            .unwrap()
            .origin_time(Timestamp(5))
            .unwrap()
            .finish();
        let headers = Headers::new(&bytes);
        assert_eq!(headers.origin_time(), Some(Timestamp(5)));
        assert_eq!(headers.reference(), Some(Seq(9)));
        assert_eq!(headers.key(), Some(b"k".as_slice()));
        assert_eq!(headers.content_type(), Some("x/y"));
        let properties: Vec<_> = headers.filter_map(|header| header.property()).collect();
        assert_eq!(properties, [("b", b"2".as_slice()), ("a", b"".as_slice())]);
        assert_eq!(Headers::check(&bytes), Ok(()));
    }

    #[test]
    fn a_header_that_the_server_would_refuse_cannot_be_put() {
        let put = |tag, value: &[u8]| HeadersBuilder::new().put(tag, value).unwrap_err();
        assert_eq!(
            put(HeaderTag::KEY, b""),
            HeadersError::Unlawful(DecodeError::Headers)
        );
        assert_eq!(
            put(9, b""),
            HeadersError::Unlawful(DecodeError::UnknownHeader(9))
        );
        let ttl = DecodeError::NotSupported(Feature::Ttl);
        assert_eq!(put(HeaderTag::TTL_MS, &[0; 4]), HeadersError::Unlawful(ttl));
        let twice = HeadersBuilder::new()
            .key(b"a")
            .unwrap()
            .key(b"b")
            .unwrap_err();
        assert_eq!(twice, HeadersError::Repeated(HeaderTag::KEY));
        let name = core::str::from_utf8(&[b'n'; 256]).unwrap();
        let long = HeadersBuilder::new().property(name, b"").unwrap_err();
        assert_eq!(long, HeadersError::Unlawful(DecodeError::Headers));
    }

    #[test]
    fn a_list_may_have_exactly_4096_bytes() {
        let full = HeadersBuilder::new().put(100, &[0; 4_092]).unwrap();
        assert_eq!(full.clone().finish().len(), 4_096);
        assert_eq!(full.put(102, b"").unwrap_err(), HeadersError::TooLarge);
        assert_eq!(
            HeadersBuilder::new().put(100, &[0; 4_093]).unwrap_err(),
            HeadersError::TooLarge
        );
    }

    #[test]
    fn a_malformed_list_ends_the_walk() {
        let mut bytes = HeadersBuilder::new().key(b"k").unwrap().finish();
        bytes.extend_from_slice(&[8, 0, 9, 0]);
        assert_eq!(Headers::new(&bytes).count(), 1);
        assert_eq!(Headers::check(&bytes), Err(DecodeError::Headers));
    }
}
