//! SUBSCRIBE: one verb for live, resume, and history followed by live.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::{DecodeError, Feature};
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::{Link, RequestId, Seq};
use crate::names::RoomRef;
use crate::wire::{Fields, FrameWriter};

const FIXED_BYTES: usize = 32;

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// Behind the head.
    Live,
    /// Behind this record; seq 0 is the beginning.
    After {
        /// The last seq seen.
        seq: Seq,
        /// Its link; 0: do not check.
        link: Link,
    },
    /// With the last n records.
    Last(u64),
}

/// Asks for a room's records from a position on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subscribe<'a> {
    /// Which room.
    pub room: RoomRef<'a>,
    /// From where.
    pub start: Start,
}

impl<'a> Subscribe<'a> {
    /// Reads a SUBSCRIBE.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect_request(Kind::Subscribe)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let (room_id, position, link) = (fixed.u64()?, fixed.u64()?, fixed.u64()?);
        let (interest, start, mode, room_len) =
            (fixed.u32()?, fixed.u8()?, fixed.u8()?, fixed.u8()?);
        fixed.zeros::<1>()?;
        let room = RoomRef::decode(room_id, parts.bytes(usize::from(room_len))?)?;
        Extensions::check_unknown(parts.rest())?;
        if interest != 0 {
            return Err(DecodeError::NotSupported(Feature::Interest));
        }
        match mode {
            0 => {}
            1 => return Err(DecodeError::NotSupported(Feature::Mode)),
            _ => return Err(DecodeError::BadValue("mode")),
        }
        let start = match (start, position, link) {
            (0, 0, 0) => Start::Live,
            (1, seq, link) => Start::After {
                seq: Seq(seq),
                link: Link(link),
            },
            (2, count, 0) => Start::Last(count),
            (0 | 2, _, _) => return Err(DecodeError::BadValue("position")),
            (3 | 4, _, _) => return Err(DecodeError::NotSupported(Feature::Start)),
            _ => return Err(DecodeError::BadValue("start")),
        };
        Ok(Subscribe { room, start })
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let (room_id, room_len, room) = self.room.fields();
        let (start, position, link) = match self.start {
            Start::Live => (0, 0, 0),
            Start::After { seq, link } => (1, seq.0, link.0),
            Start::Last(count) => (2, count, 0),
        };
        let mut writer = FrameWriter::new(
            out,
            Kind::Subscribe,
            0,
            id,
            FIXED_BYTES.saturating_add(room.len()),
        );
        writer.u64(room_id).u64(position).u64(link);
        writer
            .u32(0)
            .u8(start)
            .u8(0)
            .u8(room_len)
            .zeros::<1>()
            .bytes(room)
            .finish();
    }
}
