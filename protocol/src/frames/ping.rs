//! PING and PONG: liveness, and a digest that proves what was queued.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::RequestId;
use crate::wire::{Fields, FrameWriter};

const FLAG_DIGEST: u8 = 1;

/// Asks for a PONG with the same nonce.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ping {
    /// Echoed.
    pub nonce: u64,
}

impl Ping {
    /// Reads a PING.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'_>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Ping)?;
        let (mut fixed, parts) = Fields::fixed::<8>(frame.body())?;
        Extensions::check_unknown(parts.rest())?;
        Ok(Ping {
            nonce: fixed.u64()?,
        })
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        FrameWriter::new(out, Kind::Ping, 0, id, 8)
            .u64(self.nonce)
            .finish();
    }
}

/// Answers a PING.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pong {
    /// That of the PING.
    pub nonce: u64,
    /// What was sent before this PONG, if the server says so.
    pub digest: Option<PongDigest>,
}

/// What stands before a PONG in the stream of its connection: by it a client knows that it missed nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PongDigest {
    /// XOR over the subscribed rooms of [`position_digest`](crate::position_digest).
    pub digest: u64,
    /// How many rooms are subscribed.
    pub rooms: u32,
    /// How many of them have more to come.
    pub behind: u32,
    /// Time since the slowest leader was heard, in ms.
    pub as_of_ms: u32,
}

impl Pong {
    /// Reads a PONG.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'_>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Pong)?;
        let (mut fixed, parts) = Fields::fixed::<40>(frame.body())?;
        let nonce = fixed.u64()?;
        let digest = PongDigest {
            digest: fixed.u64()?,
            rooms: fixed.u32()?,
            behind: fixed.u32()?,
            as_of_ms: fixed.u32()?,
        };
        Extensions::check_unknown(parts.rest())?;
        Ok(Pong {
            nonce,
            digest: (frame.header.flags & FLAG_DIGEST != 0).then_some(digest),
        })
    }

    /// Appends the frame; `id` is that of the PING.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let flags = if self.digest.is_some() {
            FLAG_DIGEST
        } else {
            0
        };
        let digest = self.digest.unwrap_or(PongDigest {
            digest: 0,
            rooms: 0,
            behind: 0,
            as_of_ms: 0,
        });
        let mut writer = FrameWriter::new(out, Kind::Pong, flags, id, 40);
        writer
            .u64(self.nonce)
            .u64(digest.digest)
            .u32(digest.rooms)
            .u32(digest.behind)
            .u32(digest.as_of_ms);
        writer.zeros::<12>().finish();
    }
}
