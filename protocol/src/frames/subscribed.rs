//! SUBSCRIBED: a position comes with every subscription.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::frames::CursorEntries;
use crate::ids::{Count, Link, ProducerSeq, RequestId, RoomId, Seq, Timestamp};
use crate::wire::{Fields, FrameWriter};

const FIXED_BYTES: usize = 80;
const EXTENSION_CURSORS: u16 = 2;

/// Where the room stands and where this subscription goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subscribed<'a> {
    /// The room; 0: it does not exist yet.
    pub room_id: RoomId,
    /// Newest record; 0: none.
    pub head_seq: Seq,
    /// Messages up to the head.
    pub head_count: Count,
    /// Link of the head.
    pub head_link: Link,
    /// Time of the head.
    pub head_time: Timestamp,
    /// Oldest record kept; 0 if none.
    pub first_seq: Seq,
    /// First record, or start of a GAP, that will be sent.
    pub next_seq: Seq,
    /// Link of next_seq - 1.
    pub link: Link,
    /// Last number of the session's producer in this room; 0: none.
    pub producer_seq: ProducerSeq,
    /// 0 in version 1.
    pub role: u8,
    /// My cursors in this room.
    pub cursors: CursorEntries<'a>,
}

impl<'a> Subscribed<'a> {
    /// The answer for a room that does not exist yet.
    pub const NO_ROOM: Subscribed<'static> = Subscribed {
        room_id: RoomId(0),
        head_seq: Seq(0),
        head_count: Count(0),
        head_link: Link(0),
        head_time: Timestamp(0),
        first_seq: Seq(0),
        next_seq: Seq(1),
        link: Link(0),
        producer_seq: ProducerSeq(0),
        role: 0,
        cursors: CursorEntries::NONE,
    };

    /// Reads a SUBSCRIBED.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Subscribed)?;
        let (mut fixed, parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let mut cursors = CursorEntries::NONE;
        Extensions::read(parts.rest(), |extension| {
            if extension.tag != EXTENSION_CURSORS {
                return Ok(false);
            }
            cursors = CursorEntries::new(extension.value)?;
            Ok(true)
        })?;
        Ok(Subscribed {
            room_id: RoomId(fixed.u64()?),
            head_seq: Seq(fixed.u64()?),
            head_count: Count(fixed.u64()?),
            head_link: Link(fixed.u64()?),
            head_time: Timestamp(fixed.u64()?),
            first_seq: Seq(fixed.u64()?),
            next_seq: Seq(fixed.u64()?),
            link: Link(fixed.u64()?),
            producer_seq: ProducerSeq(fixed.u64()?),
            role: fixed.u8()?,
            cursors,
        })
    }

    /// The same without the cursors, which are a view over the frame.
    #[must_use]
    pub const fn without_cursors(self) -> Subscribed<'static> {
        Subscribed {
            room_id: self.room_id,
            head_seq: self.head_seq,
            head_count: self.head_count,
            head_link: self.head_link,
            head_time: self.head_time,
            first_seq: self.first_seq,
            next_seq: self.next_seq,
            link: self.link,
            producer_seq: self.producer_seq,
            role: self.role,
            cursors: CursorEntries::NONE,
        }
    }

    /// Appends the frame; `id` is that of SUBSCRIBE.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let mut writer = FrameWriter::new(out, Kind::Subscribed, 0, id, FIXED_BYTES);
        writer.u64(self.room_id.0);
        writer
            .u64(self.head_seq.0)
            .u64(self.head_count.0)
            .u64(self.head_link.0)
            .u64(self.head_time.0);
        writer
            .u64(self.first_seq.0)
            .u64(self.next_seq.0)
            .u64(self.link.0)
            .u64(self.producer_seq.0);
        writer.u8(self.role).zeros::<7>();
        if !self.cursors.bytes().is_empty() {
            writer.extension(EXTENSION_CURSORS, self.cursors.bytes());
        }
        writer.finish();
    }
}
