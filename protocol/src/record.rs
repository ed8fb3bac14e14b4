//! The record: one entry of a room, the same bytes in the log, in replication, in delivery and in history.
//!
//! [`Record`] is a view over those bytes. Building them: `record_write`.

use crate::codes::RecordKind;
use crate::digest::publish_digest;
use crate::error::DecodeError;
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, Kind};
use crate::headers::Headers;
use crate::ids::{Count, Device, Link, Producer, ProducerSeq, RequestId, RoomId, Seq, Timestamp};
use crate::limits::USER_NAME_BYTES_MAX;
use crate::link::link_after;
use crate::names::check_name;
use crate::wire::Fields;

/// Bytes of a record frame before its sender.
pub const RECORD_HEADER_BYTES: usize = 100;

/// First byte that the crc covers.
pub(crate) const CRC_FROM: usize = 20;
/// First byte that the link covers.
pub(crate) const LINK_FROM: usize = 32;
/// Where the link stands: the eight bytes before those it covers.
pub(crate) const LINK_AT: usize = 24;
/// Where the crc stands.
pub(crate) const CRC_AT: usize = 16;
/// Bit 0 of `state`.
const ERASED: u8 = 1;

/// Padded size of a record frame with parts of these sizes, in bytes.
#[must_use]
pub const fn record_bytes(sender: usize, headers: usize, body: usize) -> usize {
    let end = RECORD_HEADER_BYTES
        .saturating_add(sender)
        .saturating_add(headers)
        .saturating_add(body);
    end.saturating_add(7) & !7
}

/// A record as a view over its frame.
///
/// A value of this type has lengths that add up, a lawful sender and zero padding; unless it came from
/// [`Record::parse_unchecked_crc`], its bytes match its crc too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record<'a> {
    whole: &'a [u8],
    fixed: Fixed,
    sender: &'a str,
    headers: &'a [u8],
    body: &'a [u8],
}

/// The fixed fields, decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Fixed {
    crc: u32,
    state: u8,
    link: Link,
    room_id: RoomId,
    seq: Seq,
    count: Count,
    time: Timestamp,
    producer: Producer,
    producer_seq: ProducerSeq,
    back: u32,
    device: Device,
    body_len: u32,
    headers_len: u16,
    sender_len: u8,
    kind: RecordKind,
    codec: u8,
    flags: u8,
}

impl Fixed {
    #[inline]
    fn read(mut fields: Fields<'_>) -> Result<Fixed, DecodeError> {
        let crc = fields.u32()?;
        let state = fields.u8()?;
        fields.skip::<3>()?;
        let fixed = Fixed {
            crc,
            state,
            link: Link(fields.u64()?),
            room_id: RoomId(fields.u64()?),
            seq: Seq(fields.u64()?),
            count: Count(fields.u64()?),
            time: Timestamp(fields.u64()?),
            producer: Producer(fields.u64()?),
            producer_seq: ProducerSeq(fields.u64()?),
            back: fields.u32()?,
            device: Device(fields.u32()?),
            body_len: fields.u32()?,
            headers_len: fields.u16()?,
            sender_len: fields.u8()?,
            kind: RecordKind::from_wire(fields.u8()?),
            codec: fields.u8()?,
            flags: fields.u8()?,
        };
        fields.skip::<2>()?;
        Ok(fixed)
    }
}

impl<'a> Record<'a> {
    /// Reads the one record that `frame` is, and checks its crc.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], [`DecodeError::RecordLayout`], [`DecodeError::Crc`], [`DecodeError::Name`] (sender).
    #[inline]
    pub fn parse(frame: &'a [u8]) -> Result<Record<'a>, DecodeError> {
        let record = Record::parse_unchecked_crc(frame)?;
        if crc32c::crc32c(record.covered(CRC_FROM)) != record.fixed.crc {
            return Err(DecodeError::Crc);
        }
        Ok(record)
    }

    /// [`Record::parse`] for bytes that another sum has just vouched for.
    ///
    /// # Errors
    /// As [`Record::parse`], but for the crc.
    #[inline]
    pub fn parse_unchecked_crc(frame: &'a [u8]) -> Result<Record<'a>, DecodeError> {
        let Some(head) = frame.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Err(DecodeError::Truncated);
        };
        let body = frame.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        let (fields, mut parts) =
            Fields::fixed::<{ RECORD_HEADER_BYTES - FRAME_HEADER_BYTES }>(body)?;
        let fixed = Fixed::read(fields)?;
        let sender = parts.bytes(usize::from(fixed.sender_len))?;
        let headers = parts.bytes(usize::from(fixed.headers_len))?;
        let body = parts.bytes(fixed.body_len as usize)?;
        let padding = parts.rest();
        let bytes = record_bytes(sender.len(), headers.len(), body.len());
        let len = u32::try_from(bytes.saturating_sub(FRAME_HEADER_BYTES))
            .map_err(|_| DecodeError::RecordLayout)?;
        let lawful_head = FrameHeader {
            len,
            kind: Kind::Record.wire(),
            flags: 0,
            id: RequestId::PUSH,
        }
        .to_bytes();
        if *head != lawful_head || frame.len() != bytes || padding.iter().any(|byte| *byte != 0) {
            return Err(DecodeError::RecordLayout);
        }
        let sender = check_name(sender, USER_NAME_BYTES_MAX)?;
        Ok(Record {
            whole: frame,
            fixed,
            sender,
            headers,
            body,
        })
    }

    /// All bytes of the frame.
    #[must_use]
    pub const fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// The room it belongs to.
    #[must_use]
    pub const fn room_id(&self) -> RoomId {
        self.fixed.room_id
    }

    /// Its position.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.fixed.seq
    }

    /// How many messages the room has up to here, this record included.
    #[must_use]
    pub const fn count(&self) -> Count {
        self.fixed.count
    }

    /// When it was admitted; never falls within a partition.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.fixed.time
    }

    /// Link of the room up to and including this record.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.fixed.link
    }

    /// The session that published it.
    #[must_use]
    pub const fn producer(&self) -> Producer {
        self.fixed.producer
    }

    /// Its number within producer and room.
    #[must_use]
    pub const fn producer_seq(&self) -> ProducerSeq {
        self.fixed.producer_seq
    }

    /// Distance in seqs to this producer's previous record in the room; 0: none.
    #[must_use]
    pub const fn back(&self) -> u32 {
        self.fixed.back
    }

    /// The sender's device.
    #[must_use]
    pub const fn device(&self) -> Device {
        self.fixed.device
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        self.fixed.kind
    }

    /// How the body is encoded; opaque to the server.
    #[must_use]
    pub const fn codec(&self) -> u8 {
        self.fixed.codec
    }

    /// Flags of the publisher; 0 in version 1.
    #[must_use]
    pub const fn record_flags(&self) -> u8 {
        self.fixed.flags
    }

    /// The stored checksum.
    #[must_use]
    pub const fn crc(&self) -> u32 {
        self.fixed.crc
    }

    /// Whether the body was removed by redaction, so that the link cannot be recomputed.
    #[must_use]
    pub const fn is_erased(&self) -> bool {
        self.fixed.state & ERASED != 0
    }

    /// User name of the sender, as the broker stamped it.
    #[must_use]
    pub const fn sender(&self) -> &'a str {
        self.sender
    }

    /// The header list as bytes; see [`Record::header_list`].
    #[must_use]
    pub const fn headers(&self) -> &'a [u8] {
        self.headers
    }

    /// The headers.
    #[must_use]
    pub const fn header_list(&self) -> Headers<'a> {
        Headers::new(self.headers)
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The digest of the PUBLISH it came from; meaningless once erased.
    #[must_use]
    pub fn digest(&self) -> u32 {
        publish_digest(self.fixed.kind, self.fixed.codec, self.headers, self.body)
    }

    /// Whether this record follows a history whose link is `before`.
    ///
    /// An erased record cannot be checked and is taken as it is; the ones behind it are checked again.
    #[must_use]
    pub fn verify_link(&self, before: Link) -> bool {
        self.is_erased() || link_after(before, self.covered(LINK_FROM)) == self.fixed.link
    }

    /// The bytes from `from` up to the end of the body.
    #[inline]
    fn covered(&self, from: usize) -> &'a [u8] {
        let padding = self.whole.len().saturating_sub(
            RECORD_HEADER_BYTES
                .saturating_add(self.sender.len())
                .saturating_add(self.headers.len())
                .saturating_add(self.body.len()),
        );
        let end = self.whole.len().saturating_sub(padding);
        self.whole.get(from..end).unwrap_or_default()
    }
}

/// The records that stand back to back in `bytes`; ends after the first error.
#[must_use]
pub const fn records(bytes: &[u8]) -> Records<'_> {
    Records { rest: bytes }
}

/// See [`records`].
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    fn step(&mut self) -> Result<Record<'a>, DecodeError> {
        let bytes = crate::decode::needed(self.rest);
        let (frame, rest) = self
            .rest
            .split_at_checked(bytes)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Record::parse(frame)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.rest = &[];
        }
        Some(step)
    }
}
