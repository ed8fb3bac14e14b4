//! UNSUBSCRIBE: no more of this room, asked by the client or decided by the server.

use alloc::vec::Vec;

use crate::codes::Code;
use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::RequestId;
use crate::names::RoomRef;
use crate::wire::{Fields, FrameWriter};

const FIXED_BYTES: usize = 16;

/// Ends a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unsubscribe<'a> {
    /// Which room; the server names it only while it does not exist yet.
    pub room: RoomRef<'a>,
    /// Why; [`Code::NONE`] from a client.
    pub code: Code,
}

impl<'a> Unsubscribe<'a> {
    /// Reads what a server sent.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Unsubscribe)?;
        Unsubscribe::read(frame).map(|(unsubscribe, _)| unsubscribe)
    }

    /// Reads what a client sent: a request, without a reason.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode_request(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect_request(Kind::Unsubscribe)?;
        let (unsubscribe, reserved) = Unsubscribe::read(frame)?;
        if reserved != [0; 5] {
            return Err(DecodeError::Reserved);
        }
        if unsubscribe.code == Code::NONE {
            Ok(unsubscribe)
        } else {
            Err(DecodeError::BadValue("code"))
        }
    }

    fn read(frame: RawFrame<'a>) -> Result<(Self, [u8; 5]), DecodeError> {
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let (room_id, code, room_len) = (fixed.u64()?, Code::from_wire(fixed.u16()?), fixed.u8()?);
        let reserved = fixed.take()?;
        let room = RoomRef::decode(room_id, parts.bytes(usize::from(room_len))?)?;
        Extensions::check_unknown(parts.rest())?;
        Ok((Unsubscribe { room, code }, reserved))
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let (room_id, room_len, room) = self.room.fields();
        let mut writer = FrameWriter::new(
            out,
            Kind::Unsubscribe,
            0,
            id,
            FIXED_BYTES.saturating_add(room.len()),
        );
        writer
            .u64(room_id)
            .u16(self.code.wire())
            .u8(room_len)
            .zeros::<5>()
            .bytes(room)
            .finish();
    }
}
