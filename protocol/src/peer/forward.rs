//! FORWARD and FORWARDED: publishes of one user, sent on to the node that leads their partition, and what became of them.
//!
//! Inside are whole frames of the protocol of clients, so that a publish has one encoding wherever it comes from, and one that is retried over
//! another node is the same bytes.

use alloc::vec::Vec;

use crate::decode::{RawFrame, next_frame};
use crate::error::DecodeError;
use crate::frame::Kind;
use crate::ids::{Device, Namespace, RequestId};
use crate::limits::{PEER_FRAME_BYTES_MAX, USER_NAME_BYTES_MAX};
use crate::names::check_name;
use crate::peer::ids::Session;
use crate::peer::kind::PeerKind;
use crate::peer::packing::{check_sum, seal};
use crate::wire::{Fields, FrameWriter, length_u8};

const FORWARD_BYTES: usize = 16;
const FORWARDED_BYTES: usize = 8;

/// Publishes of one connection, for one partition. Each has a request id of the forwarder's, never used again in its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forward<'a> {
    /// The user's tenant, as the edge authenticated it.
    pub namespace: Namespace,
    /// The user's device.
    pub device: Device,
    /// The user, whom the records will name.
    pub user: &'a str,
    /// Whole PUBLISH frames back to back, at least one.
    pub publishes: &'a [u8],
}

impl<'a> Forward<'a> {
    /// Reads a FORWARD of `session`; each of its PUBLISH frames is still to be decoded.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>, session: Session) -> Result<Forward<'a>, DecodeError> {
        PeerKind::Forward.expect(frame)?;
        check_sum(frame.body(), session)?;
        let (mut fixed, mut parts) = Fields::fixed::<FORWARD_BYTES>(frame.body())?;
        fixed.skip::<4>()?;
        let (namespace, device) = (Namespace(fixed.u32()?), Device(fixed.u32()?));
        let user_len = fixed.u8()?;
        fixed.zeros::<3>()?;
        let user = check_name(parts.bytes(usize::from(user_len))?, USER_NAME_BYTES_MAX)?;
        let publishes = parts.rest();
        check_frames(publishes, &[Kind::Publish])?;
        Ok(Forward {
            namespace,
            device,
            user,
            publishes,
        })
    }

    /// The PUBLISH frames.
    pub fn frames(&self) -> impl Iterator<Item = RawFrame<'a>> {
        frames(self.publishes)
    }

    /// Appends the frame.
    pub fn encode(&self, session: Session, out: &mut Vec<u8>) {
        let start = out.len();
        let kind = PeerKind::Forward.wire();
        let bytes = FORWARD_BYTES.saturating_add(self.publishes.len());
        let mut writer = FrameWriter::numbered(out, kind, 0, RequestId::PUSH, bytes);
        writer.zeros::<4>().u32(self.namespace.0).u32(self.device.0);
        writer.u8(length_u8(self.user.as_bytes())).zeros::<3>();
        writer.bytes(self.user.as_bytes()).bytes(self.publishes);
        writer.finish();
        seal(out, start, session);
    }
}

/// Answers to forwarded publishes, in any order; each exactly once while the session lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forwarded<'a> {
    /// Whole PUBACK and ERROR frames back to back, at least one. Their ids are those of the forwarded PUBLISH frames.
    pub answers: &'a [u8],
}

impl<'a> Forwarded<'a> {
    /// Reads a FORWARDED of `session`; each of its frames is still to be decoded.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>, session: Session) -> Result<Forwarded<'a>, DecodeError> {
        PeerKind::Forwarded.expect(frame)?;
        check_sum(frame.body(), session)?;
        let (mut fixed, parts) = Fields::fixed::<FORWARDED_BYTES>(frame.body())?;
        fixed.skip::<4>()?;
        fixed.zeros::<4>()?;
        let answers = parts.rest();
        check_frames(answers, &[Kind::Puback, Kind::Error])?;
        Ok(Forwarded { answers })
    }

    /// The answers.
    pub fn frames(&self) -> impl Iterator<Item = RawFrame<'a>> {
        frames(self.answers)
    }

    /// Appends the frame.
    pub fn encode(&self, session: Session, out: &mut Vec<u8>) {
        let start = out.len();
        let kind = PeerKind::Forwarded.wire();
        let bytes = FORWARDED_BYTES.saturating_add(self.answers.len());
        let mut writer = FrameWriter::numbered(out, kind, 0, RequestId::PUSH, bytes);
        writer.zeros::<8>().bytes(self.answers).finish();
        seal(out, start, session);
    }
}

/// Refuses anything but whole frames of these kinds, one at least.
fn check_frames(mut bytes: &[u8], kinds: &[Kind]) -> Result<(), DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Truncated);
    }
    while !bytes.is_empty() {
        let frame = next_frame(bytes, PEER_FRAME_BYTES_MAX)
            .map_err(|_| DecodeError::BadValue("inner frame"))?
            .ok_or(DecodeError::Truncated)?;
        if !kinds.iter().any(|kind| kind.wire() == frame.header.kind) {
            return Err(DecodeError::BadValue("inner kind"));
        }
        bytes = bytes.get(frame.whole.len()..).unwrap_or_default();
    }
    Ok(())
}

fn frames(mut bytes: &[u8]) -> impl Iterator<Item = RawFrame<'_>> {
    core::iter::from_fn(move || {
        let frame = next_frame(bytes, PEER_FRAME_BYTES_MAX).ok()??;
        bytes = bytes.get(frame.whole.len()..).unwrap_or_default();
        Some(frame)
    })
}
