//! PAGE: a piece of history, record frames inside one frame.

use alloc::vec::Vec;

use super::Gap;
use crate::decode::{RawFrame, next_frame};
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::{FRAME_HEADER_BYTES, Kind};
use crate::ids::{Link, RequestId, RoomId, Seq};
use crate::record::Record;
use crate::wire::{Fields, FrameWriter, patch, patch_length};

const FIXED_BYTES: usize = 48;
const FLAG_LAST: u8 = 1;
const FLAGS_AT: usize = 5;
const COUNT_AT: usize = 48;

/// What a page says besides its records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageHead {
    /// The room.
    pub room_id: RoomId,
    /// Link of the seq before the first record here.
    pub link: Link,
    /// Newest record of the room.
    pub head_seq: Seq,
    /// For a later read that must see at least this.
    pub token: u64,
    /// Oldest record kept.
    pub first_seq: Seq,
}

/// One page of an answer to FETCH.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Page<'a> {
    /// What it says besides its records.
    pub head: PageHead,
    /// How many frames `records` holds.
    pub count: u32,
    /// Whether no page follows.
    pub last: bool,
    /// Whole RECORD and GAP frames, ascending; see [`Page::items`].
    pub records: &'a [u8],
}

impl<'a> Page<'a> {
    /// Reads a PAGE; what is inside is read by [`Page::items`].
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Page)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let (room_id, link) = (RoomId(fixed.u64()?), Link(fixed.u64()?));
        let (head_seq, token) = (Seq(fixed.u64()?), fixed.u64()?);
        let (count, records_len) = (fixed.u32()?, fixed.u32()?);
        let head = PageHead {
            room_id,
            link,
            head_seq,
            token,
            first_seq: Seq(fixed.u64()?),
        };
        let records = parts.bytes(records_len as usize)?;
        Extensions::check_unknown(parts.rest())?;
        Ok(Page {
            head,
            count,
            last: frame.header.flags & FLAG_LAST != 0,
            records,
        })
    }

    /// The records and gaps of the page; ends after the first error.
    #[must_use]
    pub const fn items(&self) -> PageItems<'a> {
        PageItems { rest: self.records }
    }

    /// Starts a page at the end of `out`: append the frames, then [`PageDraft::finish`].
    pub fn begin(out: &mut Vec<u8>, id: RequestId, head: &PageHead) -> PageDraft {
        let start = out.len();
        let mut writer = FrameWriter::new(out, Kind::Page, 0, id, FIXED_BYTES);
        writer
            .u64(head.room_id.0)
            .u64(head.link.0)
            .u64(head.head_seq.0)
            .u64(head.token);
        writer.zeros::<8>().u64(head.first_seq.0);
        PageDraft { start }
    }

    /// Appends the frame, copying the records.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let draft = Page::begin(out, id, &self.head);
        out.extend_from_slice(self.records);
        draft.finish(out, self.count, self.last);
    }
}

/// A page whose records are being appended.
#[derive(Debug)]
#[must_use = "a page has no length before finish"]
pub struct PageDraft {
    start: usize,
}

impl PageDraft {
    /// Puts in how many frames were appended since [`Page::begin`], their bytes, and whether no page follows.
    pub fn finish(self, out: &mut [u8], count: u32, last: bool) {
        let records_at = self
            .start
            .saturating_add(FRAME_HEADER_BYTES)
            .saturating_add(FIXED_BYTES);
        let records_len = u32::try_from(out.len().saturating_sub(records_at));
        assert!(
            records_len.is_ok(),
            "INV-PROTO-7: a part longer than its length field"
        );
        let low = u64::from(count) | (u64::from(records_len.unwrap_or(0)) << 32);
        patch(out, self.start.saturating_add(COUNT_AT), low.to_le_bytes());
        patch(
            out,
            self.start.saturating_add(FLAGS_AT),
            [if last { FLAG_LAST } else { 0 }],
        );
        patch_length(out, self.start);
    }
}

/// One frame inside a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PageItem<'a> {
    /// A record.
    Record(Record<'a>),
    /// Records that will not come.
    Gap(Gap),
}

/// See [`Page::items`].
#[derive(Clone, Copy, Debug)]
pub struct PageItems<'a> {
    rest: &'a [u8],
}

impl<'a> PageItems<'a> {
    fn step(&mut self) -> Result<PageItem<'a>, DecodeError> {
        let frame = next_frame(self.rest, u32::MAX)
            .ok()
            .flatten()
            .ok_or(DecodeError::Truncated)?;
        self.rest = self.rest.get(frame.whole.len()..).unwrap_or_default();
        match Kind::from_wire(frame.header.kind)? {
            Kind::Record => Record::parse(frame.whole).map(PageItem::Record),
            Kind::Gap => Gap::decode(frame).map(PageItem::Gap),
            _ => Err(DecodeError::BadValue("kind")),
        }
    }
}

impl<'a> Iterator for PageItems<'a> {
    type Item = Result<PageItem<'a>, DecodeError>;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ping;

    #[test]
    fn a_page_with_anything_but_records_and_gaps_ends_with_an_error() {
        let head = PageHead {
            room_id: RoomId(1),
            link: Link(2),
            head_seq: Seq(3),
            token: 4,
            first_seq: Seq(1),
        };
        let mut out = Vec::new();
        let draft = Page::begin(&mut out, RequestId(1), &head);
        Ping { nonce: 1 }.encode(RequestId(0), &mut out);
        out.push(0);
        draft.finish(&mut out, 2, true);
        let page = Page::decode(next_frame(&out, 1_000).unwrap().unwrap()).unwrap();
        assert_eq!((page.head, page.count, page.last), (head, 2, true));
        let items: Vec<_> = page.items().collect();
        assert_eq!(items, [Err(DecodeError::BadValue("kind"))]);
        let torn = PageItems {
            rest: &page.records[..23],
        };
        assert_eq!(torn.collect::<Vec<_>>(), [Err(DecodeError::Truncated)]);
    }
}
