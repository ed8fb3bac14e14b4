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

/// Where each field stands (docs/protocol.md, section 4), in bytes from the start of the frame.
pub(crate) mod at {
    pub(crate) const CRC: usize = 16;
    pub(crate) const STATE: usize = 20;
    pub(crate) const LINK: usize = 24;
    pub(crate) const ROOM_ID: usize = 32;
    pub(crate) const SEQ: usize = 40;
    pub(crate) const COUNT: usize = 48;
    pub(crate) const TIME: usize = 56;
    pub(crate) const PRODUCER: usize = 64;
    pub(crate) const PRODUCER_SEQ: usize = 72;
    pub(crate) const BACK: usize = 80;
    pub(crate) const DEVICE: usize = 84;
    pub(crate) const BODY_LEN: usize = 88;
    pub(crate) const HEADERS_LEN: usize = 92;
    pub(crate) const SENDER_LEN: usize = 94;
    pub(crate) const KIND: usize = 95;
    pub(crate) const CODEC: usize = 96;
    pub(crate) const FLAGS: usize = 97;
}

/// First byte that the crc covers.
pub(crate) const CRC_FROM: usize = at::STATE;
/// First byte that the link covers.
pub(crate) const LINK_FROM: usize = at::ROOM_ID;
/// Bit 0 of `state`.
pub(crate) const ERASED: u8 = 1;

// The link before a record is put where its link will stand, right before the bytes that are hashed with it.
const _: () = assert!(at::LINK + 8 == LINK_FROM);
const _: () = assert!(at::FLAGS + 1 + 2 == RECORD_HEADER_BYTES);

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
/// [`Record::parse_unchecked_crc`], its bytes match its crc too. Fields are read from the frame when asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record<'a> {
    whole: &'a [u8],
    head: &'a [u8; RECORD_HEADER_BYTES],
    sender: &'a str,
    headers: &'a [u8],
    body: &'a [u8],
}

/// The `N` bytes at `at`, a constant of [`at`]: the bound folds away when compiled.
#[inline(always)]
fn field<const N: usize>(head: &[u8; RECORD_HEADER_BYTES], at: usize) -> [u8; N] {
    head.get(at..)
        .and_then(|tail| tail.first_chunk::<N>())
        .copied()
        .unwrap_or([0; N])
}

#[inline(always)]
fn u8_at(head: &[u8; RECORD_HEADER_BYTES], at: usize) -> u8 {
    let [byte] = field(head, at);
    byte
}

#[inline(always)]
fn u16_at(head: &[u8; RECORD_HEADER_BYTES], at: usize) -> u16 {
    u16::from_le_bytes(field(head, at))
}

#[inline(always)]
fn u32_at(head: &[u8; RECORD_HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(field(head, at))
}

#[inline(always)]
fn u64_at(head: &[u8; RECORD_HEADER_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(field(head, at))
}

impl<'a> Record<'a> {
    /// Reads the one record that `frame` is, and checks its crc.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], [`DecodeError::RecordLayout`], [`DecodeError::Crc`], [`DecodeError::Name`] (sender).
    #[inline]
    pub fn parse(frame: &'a [u8]) -> Result<Record<'a>, DecodeError> {
        let record = Record::parse_unchecked_crc(frame)?;
        if crc32c::crc32c(record.covered(CRC_FROM)) != record.crc() {
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
        let (head, parts) = frame.split_first_chunk().ok_or(DecodeError::Truncated)?;
        let mut parts = Fields::new(parts);
        let sender = parts.bytes(usize::from(u8_at(head, at::SENDER_LEN)))?;
        let headers = parts.bytes(usize::from(u16_at(head, at::HEADERS_LEN)))?;
        let body = parts.bytes(u32_at(head, at::BODY_LEN) as usize)?;
        let padding = parts.rest();
        let bytes = record_bytes(sender.len(), headers.len(), body.len());
        if frame.len() != bytes || padding.iter().any(|byte| *byte != 0) {
            return Err(DecodeError::RecordLayout);
        }
        // The crc does not cover the frame header, so only the one lawful header is taken.
        let len = u32::try_from(bytes.saturating_sub(FRAME_HEADER_BYTES))
            .map_err(|_| DecodeError::RecordLayout)?;
        let lawful = FrameHeader {
            len,
            kind: Kind::Record.wire(),
            flags: 0,
            id: RequestId::PUSH,
        };
        if field(head, 0) != lawful.to_bytes() {
            return Err(DecodeError::RecordLayout);
        }
        let sender = check_name(sender, USER_NAME_BYTES_MAX)?;
        Ok(Record {
            whole: frame,
            head,
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
    pub fn room_id(&self) -> RoomId {
        RoomId(u64_at(self.head, at::ROOM_ID))
    }

    /// Its position.
    #[must_use]
    pub fn seq(&self) -> Seq {
        Seq(u64_at(self.head, at::SEQ))
    }

    /// How many messages the room has up to here, this record included.
    #[must_use]
    pub fn count(&self) -> Count {
        Count(u64_at(self.head, at::COUNT))
    }

    /// When it was admitted; never falls within a partition.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp(u64_at(self.head, at::TIME))
    }

    /// Link of the room up to and including this record.
    #[must_use]
    pub fn link(&self) -> Link {
        Link(u64_at(self.head, at::LINK))
    }

    /// The session that published it.
    #[must_use]
    pub fn producer(&self) -> Producer {
        Producer(u64_at(self.head, at::PRODUCER))
    }

    /// Its number within producer and room.
    #[must_use]
    pub fn producer_seq(&self) -> ProducerSeq {
        ProducerSeq(u64_at(self.head, at::PRODUCER_SEQ))
    }

    /// Distance in seqs to this producer's previous record in the room; 0: none.
    #[must_use]
    pub fn back(&self) -> u32 {
        u32_at(self.head, at::BACK)
    }

    /// The sender's device.
    #[must_use]
    pub fn device(&self) -> Device {
        Device(u32_at(self.head, at::DEVICE))
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        RecordKind::from_wire(u8_at(self.head, at::KIND))
    }

    /// How the body is encoded; opaque to the server.
    #[must_use]
    pub fn codec(&self) -> u8 {
        u8_at(self.head, at::CODEC)
    }

    /// Flags of the publisher; 0 in version 1.
    #[must_use]
    pub fn record_flags(&self) -> u8 {
        u8_at(self.head, at::FLAGS)
    }

    /// The stored checksum.
    #[must_use]
    pub fn crc(&self) -> u32 {
        u32_at(self.head, at::CRC)
    }

    /// Whether the body was removed by redaction, so that the link cannot be recomputed.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        u8_at(self.head, at::STATE) & ERASED != 0
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
        publish_digest(self.kind(), self.codec(), self.headers, self.body)
    }

    /// Whether this record follows a history whose link is `before`.
    ///
    /// An erased record cannot be checked and is taken as it is; the ones behind it are checked again.
    #[must_use]
    pub fn verify_link(&self, before: Link) -> bool {
        self.is_erased() || link_after(before, self.covered(LINK_FROM)) == self.link()
    }

    /// The bytes from `from` up to the end of the body.
    #[inline]
    fn covered(&self, from: usize) -> &'a [u8] {
        let parts = self
            .sender
            .len()
            .saturating_add(self.headers.len())
            .saturating_add(self.body.len());
        self.whole
            .get(from..RECORD_HEADER_BYTES.saturating_add(parts))
            .unwrap_or_default()
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
