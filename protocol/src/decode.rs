//! Cutting a stream of bytes into whole frames.

use crate::codes::Code;
use crate::error::DecodeError;
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, Kind};
use crate::ids::RequestId;

/// Why nothing after this point of the stream can be understood: GOAWAY and close.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BrokenStream {
    /// The length exceeds the limit of the connection's state.
    #[error("a frame of {len} bytes is longer than {len_max}")]
    TooLarge {
        /** Announced, in bytes. */
        len: u32,
        /** Allowed, in bytes. */
        len_max: u32,
    },
    /// The reserved field of the header is not 0: these bytes are no frame.
    #[error("reserved header field is {value}")]
    Reserved {
        /** What stood there. */
        value: u16,
    },
}

impl BrokenStream {
    /// The code of the GOAWAY.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            BrokenStream::TooLarge { .. } => Code::TOO_LARGE,
            BrokenStream::Reserved { .. } => Code::BAD_FRAME,
        }
    }
}

/// One whole frame whose contents are not looked at yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RawFrame<'a> {
    /// Its header, decoded.
    pub header: FrameHeader,
    /// All its bytes, the header included: `FRAME_HEADER_BYTES + header.len` of them.
    pub whole: &'a [u8],
}

impl<'a> RawFrame<'a> {
    /// The bytes after the header.
    #[must_use]
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.whole.get(FRAME_HEADER_BYTES..).unwrap_or_default()
    }

    /// Refuses a frame of another kind.
    #[inline]
    pub(crate) fn expect(&self, kind: Kind) -> Result<(), DecodeError> {
        if self.header.kind == kind.wire() {
            Ok(())
        } else {
            Err(DecodeError::BadValue("kind"))
        }
    }

    /// Refuses a frame of another kind, and a request that could not be answered.
    #[inline]
    pub(crate) fn expect_request(&self, kind: Kind) -> Result<(), DecodeError> {
        self.expect(kind)?;
        if self.header.id == RequestId::PUSH {
            Err(DecodeError::ZeroId)
        } else {
            Ok(())
        }
    }
}

/// The first frame of `input` if it is whole; `None` if more bytes are needed.
///
/// The length is checked as soon as the header is there, so a peer never makes anybody wait for, or make room for,
/// a frame that will be refused. Nothing is copied or allocated.
///
/// # Errors
/// [`BrokenStream`] if the header is unlawful. The stream cannot be read on.
#[inline]
pub fn next_frame(input: &[u8], len_max: u32) -> Result<Option<RawFrame<'_>>, BrokenStream> {
    let Some(head) = input.first_chunk::<FRAME_HEADER_BYTES>() else {
        return Ok(None);
    };
    let (header, reserved) = FrameHeader::from_bytes(head);
    if reserved != 0 {
        return Err(BrokenStream::Reserved { value: reserved });
    }
    if header.len > len_max {
        return Err(BrokenStream::TooLarge {
            len: header.len,
            len_max,
        });
    }
    Ok(input
        .get(..total_bytes(header.len))
        .map(|whole| RawFrame { header, whole }))
}

/// How many bytes the frame that `input` starts with wants in all: those of its header while that is not whole.
///
/// Meaningful after [`next_frame`] found the header lawful; never allocate by it.
#[must_use]
pub fn needed(input: &[u8]) -> usize {
    match input.first_chunk::<FRAME_HEADER_BYTES>() {
        None => FRAME_HEADER_BYTES,
        Some(head) => total_bytes(FrameHeader::from_bytes(head).0.len),
    }
}

const fn total_bytes(len: u32) -> usize {
    (len as usize).saturating_add(FRAME_HEADER_BYTES)
}
