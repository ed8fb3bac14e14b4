//! RAFT: the messages of a turn to one node, of all groups, in as few frames as they need.
//!
//! `crc u32 | messages u32 | messages`, the sum over all behind it, started with the session: a frame of another session, or one that a network
//! or a memory bent, is refused as a whole before anything of it is acted on. Records have sums of their own, items and votes have only this one.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::frame::FRAME_HEADER_BYTES;
use crate::ids::RequestId;
use crate::limits::{PEER_FRAME_BYTES_FULL, PEER_FRAME_BYTES_MAX};
use crate::peer::ids::{Group, Session};
use crate::peer::kind::PeerKind;
use crate::peer::message::Message;
use crate::wire::{Fields, FrameWriter, patch, patch_length};

const HEAD_BYTES: usize = 8;

/// Collects messages to one node and writes them as RAFT frames.
///
/// ```
/// use antiphon_protocol::peer::{Group, Message, RaftFrames, Session, Term, decode_raft};
/// use antiphon_protocol::next_frame;
///
/// let mut bytes = Vec::new();
/// let mut frames = RaftFrames::new(Session(7), &mut bytes);
/// frames.push(Group(1), &Message::TimeoutNow { term: Term(3) });
/// frames.push(Group(2), &Message::TimeoutNow { term: Term(9) });
/// frames.finish();
/// let frame = next_frame(&bytes, 1_024).unwrap().unwrap();
/// let messages = decode_raft(frame, Session(7)).unwrap();
/// assert_eq!(messages[1], (Group(2), Message::TimeoutNow { term: Term(9) }));
/// assert!(decode_raft(frame, Session(8)).is_err());
/// ```
#[derive(Debug)]
pub struct RaftFrames<'a> {
    session: Session,
    out: &'a mut Vec<u8>,
    /// Where the open frame starts, and how many messages it has.
    open: Option<(usize, u32)>,
}

impl<'a> RaftFrames<'a> {
    /// Appends to `out`, for a peering of this session.
    #[must_use]
    pub fn new(session: Session, out: &'a mut Vec<u8>) -> Self {
        RaftFrames {
            session,
            out,
            open: None,
        }
    }

    /// Adds a message; a frame that is full is closed first.
    pub fn push(&mut self, group: Group, message: &Message) {
        let (start, messages) = match self.open {
            Some(open) => open,
            None => {
                let start = self.out.len();
                let kind = PeerKind::Raft.wire();
                FrameWriter::numbered(self.out, kind, 0, RequestId::PUSH, HEAD_BYTES)
                    .zeros::<HEAD_BYTES>();
                (start, 0)
            }
        };
        message.encode(group, self.out);
        self.open = Some((start, messages.saturating_add(1)));
        if self.out.len().saturating_sub(start) >= PEER_FRAME_BYTES_FULL as usize {
            self.close();
        }
    }

    /// Closes the last frame. Nothing was pushed: nothing is written.
    pub fn finish(mut self) {
        self.close();
    }

    fn close(&mut self) {
        let Some((start, messages)) = self.open.take() else {
            return;
        };
        let at = start.saturating_add(FRAME_HEADER_BYTES).saturating_add(4);
        patch(self.out, at, messages.to_le_bytes());
        patch_length(self.out, start);
        seal(self.out, start, self.session);
        let bytes = self.out.len().saturating_sub(start);
        assert!(
            bytes <= PEER_FRAME_BYTES_MAX as usize,
            "INV-PROTO-16: a RAFT frame is within the limit of its reader"
        );
    }
}

/// The messages of a RAFT frame of `session`, in order: all of them, or none if anything is wrong.
///
/// Payloads are copied once, into memory of their own: they stay in the hot tail, while the frame goes.
///
/// # Errors
/// [`DecodeError`] naming what is wrong.
pub fn decode_raft(
    frame: RawFrame<'_>,
    session: Session,
) -> Result<Vec<(Group, Message)>, DecodeError> {
    PeerKind::Raft.expect(frame)?;
    check_sum(frame.body(), session)?;
    let mut fields = Fields::new(frame.body());
    fields.skip::<4>()?;
    let count = fields.u32()?;
    if count == 0 {
        return Err(DecodeError::BadValue("messages"));
    }
    let mut messages = Vec::new();
    for _ in 0..count {
        messages.push(Message::decode(&mut fields)?);
    }
    if fields.rest().is_empty() {
        Ok(messages)
    } else {
        Err(DecodeError::BadValue("messages"))
    }
}

/// crc32c of the session and of what stands behind the sum.
fn sum(body: &[u8], session: Session) -> u32 {
    let start = crc32c::crc32c(&session.0.to_le_bytes());
    crc32c::crc32c_append(start, body.get(4..).unwrap_or_default())
}

/// Puts the sum into the first four bytes of the frame that starts at `start` and ends with the buffer.
pub(super) fn seal(out: &mut [u8], start: usize, session: Session) {
    let body = start.saturating_add(FRAME_HEADER_BYTES);
    let sum = sum(out.get(body..).unwrap_or_default(), session);
    patch(out, body, sum.to_le_bytes());
}

/// Refuses a body whose first four bytes are not its sum.
pub(super) fn check_sum(body: &[u8], session: Session) -> Result<(), DecodeError> {
    if Fields::new(body).u32()? == sum(body, session) {
        Ok(())
    } else {
        Err(DecodeError::Crc)
    }
}
