//! GAP: never a silent hole.

use alloc::vec::Vec;

use crate::codes::GapReason;
use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::{Link, RequestId, RoomId, Seq};
use crate::wire::{Fields, FrameWriter};

const FIXED_BYTES: usize = 40;

/// Records from..=to of a room will not come; the stream goes on, checked, behind them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gap {
    /// The room.
    pub room_id: RoomId,
    /// First that will not come. 1 <= from <= to
    pub from: Seq,
    /// Last that will not come.
    pub to: Seq,
    /// Link of `to`.
    pub link: Link,
    /// Why.
    pub reason: GapReason,
}

impl Gap {
    /// Reads a GAP.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'_>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Gap)?;
        let (mut fixed, parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        Extensions::check_unknown(parts.rest())?;
        let gap = Gap {
            room_id: RoomId(fixed.u64()?),
            from: Seq(fixed.u64()?),
            to: Seq(fixed.u64()?),
            link: Link(fixed.u64()?),
            reason: GapReason::from_wire(fixed.u8()?),
        };
        if gap.from.0 == 0 || gap.from > gap.to {
            return Err(DecodeError::BadValue("gap"));
        }
        Ok(gap)
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let mut writer = FrameWriter::new(out, Kind::Gap, 0, id, FIXED_BYTES);
        writer
            .u64(self.room_id.0)
            .u64(self.from.0)
            .u64(self.to.0)
            .u64(self.link.0);
        writer.u8(self.reason.wire()).zeros::<7>().finish();
    }
}
