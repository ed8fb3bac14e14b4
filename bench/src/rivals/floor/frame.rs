//! What the floors speak: the least that a fan-out and an ack need.
//!
//! ```text
//!  0       4       8       12      16
//!  +-------+-------+-------+-------+----------
//!  | length| kind  | room  |request| body ...
//!  +-------+-------+-------+-------+----------
//! ```
//! Little endian u32s; `length` counts the whole frame. A delivery is the publish as it came.

use crate::error::WireError;

pub(super) const HEADER_BYTES: usize = 16;
/// The longest frame: a body and its header.
const FRAME_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub(super) enum Kind {
    /// Says that a connection is there; answered by the same.
    Hello = 1,
    /// Asks for a room; answered by the same.
    Subscribe = 2,
    /// To all who asked for the room.
    Publish = 3,
    /// To nobody, but onto the disk; answered by `Ack`.
    Keep = 4,
    /// The answer to `Keep`.
    Ack = 5,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    pub(super) room: u32,
    pub(super) request: u32,
    /// With its header.
    pub(super) whole: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first whole frame of `input`.
    #[inline]
    pub(super) fn next(input: &'a [u8]) -> Result<Option<Self>, WireError> {
        let Some(header) = input.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = field(header, 0) as usize;
        if !(HEADER_BYTES..=FRAME_BYTES_MAX).contains(&length) {
            return Err(WireError::Malformed(format!("a frame of {length} bytes")));
        }
        let kind = match field(header, 1) {
            1 => Kind::Hello,
            2 => Kind::Subscribe,
            3 => Kind::Publish,
            4 => Kind::Keep,
            5 => Kind::Ack,
            kind => return Err(WireError::Malformed(format!("frame kind {kind}"))),
        };
        Ok(input.get(..length).map(|whole| Frame {
            kind,
            room: field(header, 2),
            request: field(header, 3),
            whole,
        }))
    }

    pub(super) fn body(&self) -> &'a [u8] {
        &self.whole[HEADER_BYTES..]
    }
}

#[inline]
fn field(header: &[u8; HEADER_BYTES], number: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[number * 4..number * 4 + 4]);
    u32::from_le_bytes(bytes)
}

#[inline]
pub(super) fn append(kind: Kind, room: u32, request: u32, body: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
    let mut header = [0; HEADER_BYTES];
    for (place, value) in header
        .chunks_exact_mut(4)
        .zip([length, kind as u32, room, request])
    {
        place.copy_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(&header);
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_drawn_and_wait_until_they_are_whole() {
        let mut out = Vec::new();
        append(Kind::Publish, 7, 9, b"hi", &mut out);
        assert_eq!(out, b"\x12\0\0\0\x03\0\0\0\x07\0\0\0\x09\0\0\0hi".to_vec());
        for cut in 0..out.len() {
            assert_eq!(Frame::next(&out[..cut]), Ok(None), "{cut} bytes");
        }
        let frame = Frame::next(&out).ok().flatten();
        assert_eq!(frame.map(|frame| frame.body()), Some(&b"hi"[..]));
    }

    #[test]
    fn lengths_and_kinds_that_cannot_be_are_refused() {
        let mut out = Vec::new();
        append(Kind::Ack, 0, 1, b"", &mut out);
        out[4] = 6;
        assert!(Frame::next(&out).is_err());
        out[..4].copy_from_slice(&3_u32.to_le_bytes());
        assert!(Frame::next(&out).is_err());
    }
}
