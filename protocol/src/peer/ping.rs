//! PEER_PING and PEER_PONG: whether a peering lives, and how far apart the clocks are.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::ids::{RequestId, Timestamp};
use crate::peer::kind::PeerKind;
use crate::wire::{Fields, FrameWriter};

const BYTES: usize = 16;

/// Asks for a [`PeerPong`] with the same nonce.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerPing {
    /// Echoed.
    pub nonce: u64,
    /// The sender's wall clock.
    pub time: Timestamp,
}

/// Answers a [`PeerPing`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerPong {
    /// That of the PEER_PING.
    pub nonce: u64,
    /// The answerer's wall clock.
    pub time: Timestamp,
}

fn read(kind: PeerKind, frame: RawFrame<'_>) -> Result<(u64, Timestamp), DecodeError> {
    kind.expect(frame)?;
    let (mut fixed, parts) = Fields::fixed::<BYTES>(frame.body())?;
    Extensions::check_unknown(parts.rest())?;
    Ok((fixed.u64()?, Timestamp(fixed.u64()?)))
}

fn write(kind: PeerKind, nonce: u64, time: Timestamp, out: &mut Vec<u8>) {
    FrameWriter::numbered(out, kind.wire(), 0, RequestId::PUSH, BYTES)
        .u64(nonce)
        .u64(time.0)
        .finish();
}

impl PeerPing {
    /// Reads a PEER_PING.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'_>) -> Result<PeerPing, DecodeError> {
        let (nonce, time) = read(PeerKind::Ping, frame)?;
        Ok(PeerPing { nonce, time })
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write(PeerKind::Ping, self.nonce, self.time, out);
    }
}

impl PeerPong {
    /// Reads a PEER_PONG.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'_>) -> Result<PeerPong, DecodeError> {
        let (nonce, time) = read(PeerKind::Pong, frame)?;
        Ok(PeerPong { nonce, time })
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write(PeerKind::Pong, self.nonce, self.time, out);
    }
}
