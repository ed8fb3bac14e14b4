//! Building a record, once: at the end of the buffer that is logged, replicated and delivered.

use alloc::vec::Vec;

use xxhash_rust::xxh3::xxh3_64;

use crate::codes::RecordKind;
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, Kind};
use crate::ids::{Count, Device, Link, Producer, ProducerSeq, RequestId, RoomId, Seq, Timestamp};
use crate::limits::USER_NAME_BYTES_MAX;
use crate::record::{CRC_FROM, ERASED, RECORD_HEADER_BYTES, Record, at, record_bytes};
use crate::wire::{length_u8, length_u16, length_u32, patch, patch_length};

/// What a record says, before link, crc and padding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordFields<'a> {
    /// The room.
    pub room_id: RoomId,
    /// Position, dense from 1.
    pub seq: Seq,
    /// Messages up to here, this one included.
    pub count: Count,
    /// max(leader's clock, last time in the partition).
    pub time: Timestamp,
    /// The publisher's session.
    pub producer: Producer,
    /// Its number within producer and room.
    pub producer_seq: ProducerSeq,
    /// Distance to this producer's previous record in the room; 0: none.
    pub back: u32,
    /// The sender's device.
    pub device: Device,
    /// What it is.
    pub kind: RecordKind,
    /// Of the body.
    pub codec: u8,
    /// 0 in version 1.
    pub record_flags: u8,
    /// User name, checked: 1..=64 bytes.
    pub sender: &'a [u8],
    /// Header list, checked.
    pub headers: &'a [u8],
    /// Anything.
    pub body: &'a [u8],
}

/// Appends the record to `out` and gives back the link after it; `before` is the link of seq - 1.
///
/// One pass of copying, one of hashing, one of summing; no other buffer.
///
/// # Panics
/// If sender, headers or body do not fit their length fields: they were never checked.
pub fn append_record(out: &mut Vec<u8>, fields: &RecordFields<'_>, before: Link) -> Link {
    let sender_len = length_u8(fields.sender);
    assert!(
        (1..=USER_NAME_BYTES_MAX).contains(&fields.sender.len()),
        "INV-PROTO-9: a record's sender was never checked"
    );
    let bytes = record_bytes(fields.sender.len(), fields.headers.len(), fields.body.len());
    let start = out.len();
    out.reserve(bytes);
    out.extend_from_slice(&head(fields, before, sender_len, bytes));
    out.extend_from_slice(fields.sender);
    out.extend_from_slice(fields.headers);
    out.extend_from_slice(fields.body);

    // The link before stands where the link will: hashing from there on is the link's definition.
    let record = out.get_mut(start..).unwrap_or_default();
    let link = Link(xxh3_64(record.get(at::LINK..).unwrap_or_default()));
    patch(record, at::LINK, link.0.to_le_bytes());
    let crc = crc32c::crc32c(record.get(CRC_FROM..).unwrap_or_default());
    patch(record, at::CRC, crc.to_le_bytes());
    out.resize(start.saturating_add(bytes), 0);
    link
}

/// Appends `record` as a redaction leaves it: no headers, no body, the mark ERASED; link and all else as they were.
///
/// Of a record that is erased already it is a copy.
pub fn append_erased(out: &mut Vec<u8>, record: &Record<'_>) {
    let start = out.len();
    let bytes = record_bytes(record.sender().len(), 0, 0);
    let head = record.whole().get(..RECORD_HEADER_BYTES);
    out.extend_from_slice(head.unwrap_or_default());
    out.extend_from_slice(record.sender().as_bytes());
    let erased = out.get_mut(start..).unwrap_or_default();
    patch(erased, at::STATE, [ERASED]);
    patch(erased, at::BODY_LEN, [0; 4]);
    patch(erased, at::HEADERS_LEN, [0; 2]);
    let crc = crc32c::crc32c(erased.get(CRC_FROM..).unwrap_or_default());
    patch(erased, at::CRC, crc.to_le_bytes());
    out.resize(start.saturating_add(bytes), 0);
    patch_length(out, start);
}

/// The fixed part of the frame with `before` in place of the link and no crc.
#[inline]
fn head(
    fields: &RecordFields<'_>,
    before: Link,
    sender_len: u8,
    bytes: usize,
) -> [u8; RECORD_HEADER_BYTES] {
    let len = u32::try_from(bytes.saturating_sub(FRAME_HEADER_BYTES));
    assert!(
        len.is_ok(),
        "INV-PROTO-5: a frame longer than its length field"
    );
    let header = FrameHeader {
        len: len.unwrap_or(0),
        kind: Kind::Record.wire(),
        flags: 0,
        id: RequestId::PUSH,
    };
    let mut head = [0; RECORD_HEADER_BYTES];
    let mut rest = head.as_mut_slice();
    put(&mut rest, header.to_bytes());
    put(&mut rest, [0; 8]); // crc, state, reserved
    put(&mut rest, before.0.to_le_bytes());
    put(&mut rest, fields.room_id.0.to_le_bytes());
    put(&mut rest, fields.seq.0.to_le_bytes());
    put(&mut rest, fields.count.0.to_le_bytes());
    put(&mut rest, fields.time.0.to_le_bytes());
    put(&mut rest, fields.producer.0.to_le_bytes());
    put(&mut rest, fields.producer_seq.0.to_le_bytes());
    put(&mut rest, fields.back.to_le_bytes());
    put(&mut rest, fields.device.0.to_le_bytes());
    put(&mut rest, length_u32(fields.body).to_le_bytes());
    put(&mut rest, length_u16(fields.headers).to_le_bytes());
    put(
        &mut rest,
        [
            sender_len,
            fields.kind.wire(),
            fields.codec,
            fields.record_flags,
        ],
    );
    head
}

/// Writes to the front of `rest` and moves on; all sizes are known when compiled, so the check folds away.
#[inline(always)]
fn put<const N: usize>(rest: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((place, tail)) = core::mem::take(rest).split_first_chunk_mut::<N>() {
        *place = bytes;
        *rest = tail;
    }
}
