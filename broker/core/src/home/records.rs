//! Walking whole RECORD frames that lie back to back in bytes of ours.
//!
//! These bytes were built here or come from a block whose checksum was checked, so records' own checksums are not computed again.

use antiphon_protocol::{DecodeError, FRAME_HEADER_BYTES, Record, Seq};

/// Why bytes of ours are no records.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum RecordFault {
    /// The bytes end inside a frame.
    #[error("a record is cut short")]
    Cut,
    /// A frame that is no record.
    #[error("not a record: {0}")]
    Decode(DecodeError),
}

/// The records in `bytes`, in order; ends after the first fault.
pub(crate) fn records(bytes: &[u8]) -> Records<'_> {
    Records { rest: bytes, at: 0 }
}

/// See [`records`].
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    at: usize,
}

impl Records<'_> {
    /// Where the next record starts, in bytes.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }
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
        self.at += frame.len();
        self.rest = rest;
        Some(Record::parse_unchecked_crc(frame).map_err(RecordFault::Decode))
    }
}

/// Length of the frame at the start of `bytes`, its header included.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    (len as usize).checked_add(FRAME_HEADER_BYTES)
}

/// The bytes of `records` that hold the seqs `from..until`, of which the first one in `records` is `first`, cut after the record that reaches
/// `bytes_max`: offset of their start, of their end, and the seq behind them.
pub(crate) fn cut(
    bytes: &[u8],
    first: Seq,
    from: Seq,
    until: Seq,
    bytes_max: usize,
) -> (usize, usize, Seq) {
    assert!(from >= first, "INV-HOME-20: a slice starts inside its part");
    let mut at = 0;
    let mut seq = first;
    while seq < from {
        let Some(length) = frame_length(&bytes[at..]) else {
            break;
        };
        at += length;
        seq = seq.next();
    }
    let start = at;
    while seq < until && at < bytes.len() {
        let Some(length) = frame_length(&bytes[at..]) else {
            break;
        };
        let is_first = at == start;
        if !is_first && at + length - start > bytes_max {
            break;
        }
        at += length;
        seq = seq.next();
    }
    (start, at, seq)
}
