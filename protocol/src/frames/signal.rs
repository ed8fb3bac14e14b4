//! SIGNAL: something that matters now or never.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::{DecodeError, Feature};
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::{Device, RequestId, RoomId};
use crate::limits::{
    KEY_BYTES_MAX, SIGNAL_NAME_BYTES_MAX, SIGNAL_VALUE_BYTES_MAX, USER_NAME_BYTES_MAX,
};
use crate::names::{RoomRef, check_name};
use crate::wire::{Fields, FrameWriter, length_u8, length_u16};

const FIXED_BYTES: usize = 32;
const SCOPE_ROOM: u8 = 0;
const SCOPE_USER: u8 = 1;

/// Asks to tell everybody who is live in a room. Only a refusal is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signal<'a> {
    /// Which room.
    pub room: RoomRef<'a>,
    /// What it is about: 1..=32 bytes.
    pub name: &'a str,
    /// Empty: every one counts; else only the newest of this sender, name and key. At most 64 bytes.
    pub key: &'a [u8],
    /// Anything, at most 1,024 bytes.
    pub value: &'a [u8],
}

impl<'a> Signal<'a> {
    /// Reads a SIGNAL from a client.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect_request(Kind::Signal)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let (room_id, lengths) = (fixed.u64()?, Lengths::read(&mut fixed)?);
        let scope = fixed.u8()?;
        fixed.zeros::<1>()?;
        let ttl_ms = fixed.u32()?;
        fixed.zeros::<12>()?;
        let room = RoomRef::decode(room_id, parts.bytes(lengths.room)?)?;
        let name = check_name(parts.bytes(lengths.name)?, SIGNAL_NAME_BYTES_MAX)?;
        let key = parts.bytes(lengths.key)?;
        let value = parts.bytes(lengths.value)?;
        Extensions::check_unknown(parts.rest())?;
        if lengths.sender != 0 {
            return Err(DecodeError::Reserved);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(DecodeError::BadValue("key"));
        }
        if value.len() > SIGNAL_VALUE_BYTES_MAX {
            return Err(DecodeError::TooLarge {
                length: u32::try_from(value.len()).unwrap_or(u32::MAX),
                limit: SIGNAL_VALUE_BYTES_MAX as u32,
            });
        }
        match scope {
            SCOPE_ROOM => {}
            SCOPE_USER => return Err(DecodeError::NotSupported(Feature::SignalScope)),
            _ => return Err(DecodeError::BadValue("scope")),
        }
        if ttl_ms != 0 {
            return Err(DecodeError::NotSupported(Feature::Ttl));
        }
        Ok(Signal {
            room,
            name,
            key,
            value,
        })
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let (room_id, room_len, room) = self.room.fields();
        let name = self.name.as_bytes();
        let parts = room.len().saturating_add(name.len());
        let parts = parts
            .saturating_add(self.key.len())
            .saturating_add(self.value.len());
        let bytes = FIXED_BYTES.saturating_add(parts);
        let mut writer = FrameWriter::new(out, Kind::Signal, 0, id, bytes);
        writer.u64(room_id).u16(length_u16(self.value));
        writer.u8(length_u8(name)).u8(length_u8(self.key));
        writer.u8(room_len).u8(0).u8(SCOPE_ROOM).zeros::<17>();
        writer.bytes(room).bytes(name).bytes(self.key);
        writer.bytes(self.value).finish();
    }
}

/// A signal as a subscription gets it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignalPush<'a> {
    /// In which room.
    pub room_id: RoomId,
    /// How many this subscription has lost since the last one; `u32::MAX`: that many or more.
    pub dropped: u32,
    /// The signal; `None`: nothing but the number of lost ones.
    pub signal: Option<SignalContent<'a>>,
}

/// What a signal says, and who says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignalContent<'a> {
    /// Who sent it.
    pub sender: &'a str,
    /// From which device.
    pub device: Device,
    /// What it is about.
    pub name: &'a str,
    /// Empty: none.
    pub key: &'a [u8],
    /// Anything.
    pub value: &'a [u8],
}

impl<'a> SignalPush<'a> {
    /// Reads a SIGNAL from a server.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Signal)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let (room_id, lengths) = (RoomId(fixed.u64()?), Lengths::read(&mut fixed)?);
        fixed.skip::<6>()?; // scope, reserved, ttl_ms
        let (device, dropped) = (Device(fixed.u32()?), fixed.u32()?);
        let _room = parts.bytes(lengths.room)?;
        let name = parts.bytes(lengths.name)?;
        let key = parts.bytes(lengths.key)?;
        let sender = parts.bytes(lengths.sender)?;
        let value = parts.bytes(lengths.value)?;
        Extensions::check_unknown(parts.rest())?;
        if room_id.0 == 0 {
            return Err(DecodeError::BadValue("room"));
        }
        let signal = if name.is_empty() {
            None
        } else {
            Some(SignalContent {
                sender: check_name(sender, USER_NAME_BYTES_MAX)?,
                device,
                name: check_name(name, SIGNAL_NAME_BYTES_MAX)?,
                key,
                value,
            })
        };
        Ok(SignalPush {
            room_id,
            dropped,
            signal,
        })
    }

    /// Appends the frame, a push.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let nothing = SignalContent {
            sender: "",
            device: Device(0),
            name: "",
            key: b"",
            value: b"",
        };
        let signal = self.signal.unwrap_or(nothing);
        let (name, sender) = (signal.name.as_bytes(), signal.sender.as_bytes());
        let parts = name.len().saturating_add(sender.len());
        let parts = parts
            .saturating_add(signal.key.len())
            .saturating_add(signal.value.len());
        let bytes = FIXED_BYTES.saturating_add(parts);
        let mut writer = FrameWriter::new(out, Kind::Signal, 0, RequestId::PUSH, bytes);
        writer.u64(self.room_id.0).u16(length_u16(signal.value));
        writer.u8(length_u8(name)).u8(length_u8(signal.key));
        writer.u8(0).u8(length_u8(sender)).u8(SCOPE_ROOM);
        writer.zeros::<5>().u32(signal.device.0);
        writer.u32(self.dropped).zeros::<4>();
        writer.bytes(name).bytes(signal.key).bytes(sender);
        writer.bytes(signal.value).finish();
    }
}

/// Lengths of the variable parts, as they stand in the fixed fields.
struct Lengths {
    value: usize,
    name: usize,
    key: usize,
    room: usize,
    sender: usize,
}

impl Lengths {
    fn read(fixed: &mut Fields<'_>) -> Result<Lengths, DecodeError> {
        Ok(Lengths {
            value: usize::from(fixed.u16()?),
            name: usize::from(fixed.u8()?),
            key: usize::from(fixed.u8()?),
            room: usize::from(fixed.u8()?),
            sender: usize::from(fixed.u8()?),
        })
    }
}
