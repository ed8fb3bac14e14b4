//! PUBACK: records that are durable, many in one frame.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::{FRAME_HEADER_BYTES, Kind};
use crate::ids::{Link, ProducerSeq, RequestId, RoomId, Seq, Timestamp};
use crate::limits::PUBACK_ENTRIES_MAX;
use crate::wire::{Fields, FrameWriter, patch, patch_length};

const FIXED_BYTES: usize = 8;
const ENTRY_BYTES: usize = 56;
const FLAG_DUPLICATE: u8 = 1;

/// One durable record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PubackEntry {
    /// Id of its PUBLISH.
    pub request: RequestId,
    /// The room's number, from now on usable instead of its name.
    pub room_id: RoomId,
    /// That of the PUBLISH.
    pub producer_seq: ProducerSeq,
    /// Position; 0 for a duplicate too old to be looked up.
    pub seq: Seq,
    /// Link up to and including it; 0 likewise.
    pub link: Link,
    /// When it was admitted; 0 likewise.
    pub time: Timestamp,
    /// Whether an earlier PUBLISH had taken effect already.
    pub duplicate: bool,
}

impl PubackEntry {
    fn read(bytes: &[u8; ENTRY_BYTES]) -> Result<PubackEntry, DecodeError> {
        let mut fields = Fields::new(bytes);
        Ok(PubackEntry {
            request: RequestId(fields.u64()?),
            room_id: RoomId(fields.u64()?),
            producer_seq: ProducerSeq(fields.u64()?),
            seq: Seq(fields.u64()?),
            link: Link(fields.u64()?),
            time: Timestamp(fields.u64()?),
            duplicate: fields.u8()? & FLAG_DUPLICATE != 0,
        })
    }

    fn append(&self, out: &mut Vec<u8>) {
        let words = [
            self.request.0,
            self.room_id.0,
            self.producer_seq.0,
            self.seq.0,
            self.link.0,
            self.time.0,
        ];
        let mut bytes = [0; ENTRY_BYTES];
        let words = words.into_iter().chain([u64::from(self.duplicate)]);
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&bytes);
    }
}

/// A PUBACK as a view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Puback<'a> {
    entries: &'a [u8],
}

impl<'a> Puback<'a> {
    /// Reads a PUBACK.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Puback)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let bytes = (fixed.u32()? as usize)
            .checked_mul(ENTRY_BYTES)
            .ok_or(DecodeError::Truncated)?;
        let entries = parts.bytes(bytes)?;
        Extensions::check_unknown(parts.rest())?;
        Ok(Puback { entries })
    }

    /// Its entries.
    #[must_use]
    pub fn entries(&self) -> PubackEntries<'a> {
        PubackEntries { rest: self.entries }
    }
}

/// Entries of a [`Puback`].
#[derive(Clone, Copy, Debug)]
pub struct PubackEntries<'a> {
    rest: &'a [u8],
}

impl Iterator for PubackEntries<'_> {
    type Item = PubackEntry;

    fn next(&mut self) -> Option<PubackEntry> {
        let (entry, rest) = self.rest.split_first_chunk::<ENTRY_BYTES>()?;
        self.rest = rest;
        PubackEntry::read(entry).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rest.len() / ENTRY_BYTES;
        (left, Some(left))
    }
}

impl ExactSizeIterator for PubackEntries<'_> {}

/// Writes entries into as few PUBACK frames as their limit allows.
///
/// The frames go to the end of one buffer, and nothing else may be appended to it between the first
/// [`push`](PubackBuilder::push) and [`finish`](PubackBuilder::finish).
#[derive(Debug)]
#[must_use = "the last frame has no length before finish"]
pub struct PubackBuilder {
    start: usize,
    count: u32,
    count_max: u32,
}

impl Default for PubackBuilder {
    fn default() -> Self {
        PubackBuilder::new(PUBACK_ENTRIES_MAX)
    }
}

impl PubackBuilder {
    /// At most `count_max` entries a frame (at least one).
    pub const fn new(count_max: u32) -> Self {
        PubackBuilder {
            start: 0,
            count: 0,
            count_max: if count_max == 0 { 1 } else { count_max },
        }
    }

    /// Appends one entry, starting a frame if none is open.
    pub fn push(&mut self, entry: &PubackEntry, out: &mut Vec<u8>) {
        if self.count == self.count_max {
            self.close(out);
        }
        if self.count == 0 {
            self.start = out.len();
            FrameWriter::new(out, Kind::Puback, 0, RequestId::PUSH, FIXED_BYTES)
                .zeros::<FIXED_BYTES>();
        }
        entry.append(out);
        self.count = self.count.saturating_add(1);
    }

    /// Closes the open frame, if any.
    pub fn finish(mut self, out: &mut [u8]) {
        self.close(out);
    }

    fn close(&mut self, out: &mut [u8]) {
        if self.count == 0 {
            return;
        }
        let frame_bytes = (self.count as usize).saturating_mul(ENTRY_BYTES);
        let head_bytes = FRAME_HEADER_BYTES.saturating_add(FIXED_BYTES);
        let end = self
            .start
            .saturating_add(head_bytes)
            .saturating_add(frame_bytes);
        assert!(
            end == out.len(),
            "INV-PROTO-12: bytes of others inside a PUBACK"
        );
        patch(
            out,
            self.start.saturating_add(FRAME_HEADER_BYTES),
            self.count.to_le_bytes(),
        );
        patch_length(out, self.start);
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::next_frame;

    fn entry(number: u64) -> PubackEntry {
        PubackEntry {
            request: RequestId(number),
            room_id: RoomId(1),
            producer_seq: ProducerSeq(number),
            seq: Seq(number),
            link: Link(number),
            time: Timestamp(number),
            duplicate: number % 2 == 1,
        }
    }

    #[test]
    fn entries_over_the_count_go_into_further_frames() {
        let mut out = b"before".to_vec();
        let mut builder = PubackBuilder::new(2);
        (0..5).for_each(|number| builder.push(&entry(number), &mut out));
        builder.finish(&mut out);
        let mut rest = &out[6..];
        let mut frames = Vec::new();
        while let Some(frame) = next_frame(rest, 1_000).unwrap() {
            frames.push(Puback::decode(frame).unwrap().entries().collect::<Vec<_>>());
            rest = &rest[frame.whole.len()..];
        }
        assert!(rest.is_empty());
        let expected = [
            vec![entry(0), entry(1)],
            vec![entry(2), entry(3)],
            vec![entry(4)],
        ];
        assert_eq!(frames, expected);
    }

    #[test]
    fn no_entry_makes_no_frame() {
        let mut out = Vec::new();
        PubackBuilder::default().finish(&mut out);
        assert_eq!(out, b"");
    }

    #[test]
    #[should_panic(expected = "INV-PROTO-12")]
    fn bytes_of_others_inside_a_puback_are_found() {
        let mut out = Vec::new();
        let mut builder = PubackBuilder::default();
        builder.push(&entry(1), &mut out);
        out.push(0);
        builder.finish(&mut out);
    }
}
