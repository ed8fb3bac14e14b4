//! Walking whole RECORD frames that lie back to back in bytes of ours.
//!
//! These bytes were built here or come from a block whose checksum was checked, so records' own checksums are not computed again.

use alloc::vec::Vec;
use core::ops::Range;

use antiphon_protocol::{
    DecodeError, FRAME_HEADER_BYTES, Link, Record, Seq, Timestamp, append_erased,
};
use bytes::Bytes;

use crate::home::limits::KEPT_PER_DELIVERED_MAX;

/// Why bytes of ours are no records.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum RecordFault {
    /// The bytes end inside a frame.
    #[error("a record is cut short")]
    Cut,
    /// A record that is not the one that should stand here.
    #[error("not the record that should stand here")]
    Broken,
    /// A frame that is no record.
    #[error("not a record: {0}")]
    Decode(DecodeError),
}

/// Records of an entry's payload as outboxes share them: a slice, unless it is a small part of the entry. A slice keeps the whole entry in memory for as
/// long as the slowest client takes it, and outboxes count what they send, not what they keep.
pub(crate) fn shared(payload: &Bytes, records: Range<usize>) -> Bytes {
    if records.len() * KEPT_PER_DELIVERED_MAX < payload.len() {
        Bytes::copy_from_slice(&payload[records])
    } else {
        payload.slice(records)
    }
}

/// The records with those of `erased`, ascending, as redaction leaves them; nothing is copied if there are none.
///
/// # Errors
/// A fault if the bytes are no records.
pub(crate) fn concealed(bytes: Bytes, erased: &[Seq]) -> Result<Bytes, RecordFault> {
    if erased.is_empty() {
        return Ok(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    for record in records(&bytes) {
        let record = record?;
        if erased.binary_search(&record.seq()).is_ok() {
            append_erased(&mut out, &record);
        } else {
            out.extend_from_slice(record.whole());
        }
    }
    Ok(Bytes::from(out))
}

/// The records in `bytes`, in order; ends after the first fault.
pub(crate) fn records(bytes: &[u8]) -> Records<'_> {
    Records { rest: bytes }
}

/// See [`records`].
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((frame, rest)) =
            frame_length(self.rest).and_then(|length| self.rest.split_at_checked(length))
        else {
            self.rest = &[];
            return Some(Err(RecordFault::Cut));
        };
        self.rest = rest;
        Some(Record::parse_unchecked_crc(frame).map_err(RecordFault::Decode))
    }
}

/// Length of the frame at the start of `bytes`, its header included.
pub(crate) fn frame_length(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    (len as usize).checked_add(FRAME_HEADER_BYTES)
}

/// A cut out of records that lie back to back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Cut {
    /// Where it stands, in bytes.
    pub(crate) bytes: Range<usize>,
    /// Seq behind its last record.
    pub(crate) next: Seq,
    /// Link of the record before the first; `None`: that one is not among the bytes.
    pub(crate) link_before: Option<Link>,
}

/// Cuts the records `from..until` out of `bytes`, whose first record is `first`: as many as fit into `bytes_max`, one at least.
pub(crate) fn cut(bytes: &[u8], first: Seq, from: Seq, until: Seq, bytes_max: usize) -> Cut {
    assert!(from >= first, "INV-HOME-20: a cut starts inside its part");
    let mut start = 0;
    let mut seq = first;
    let mut link_before = None;
    while seq < from
        && let Some(length) = frame_length(&bytes[start..])
    {
        link_before = link_at(&bytes[start..]);
        start += length;
        seq = seq.next();
    }
    let mut end = start;
    while seq < until
        && let Some(length) = frame_length(&bytes[end..])
    {
        if end > start && end + length - start > bytes_max {
            break;
        }
        end += length;
        seq = seq.next();
    }
    Cut {
        bytes: start..end,
        next: seq,
        link_before,
    }
}

/// The time of the record at the start of `bytes`.
pub(crate) fn time_at(bytes: &[u8]) -> Option<Timestamp> {
    let length = frame_length(bytes)?;
    Record::parse_unchecked_crc(bytes.get(..length)?)
        .ok()
        .map(|record| record.time())
}

/// The link of the record at the start of `bytes`.
pub(crate) fn link_at(bytes: &[u8]) -> Option<Link> {
    let length = frame_length(bytes)?;
    Record::parse_unchecked_crc(bytes.get(..length)?)
        .ok()
        .map(|record| record.link())
}
