//! OK: the answer of a request that has no richer one.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::RequestId;
use crate::wire::FrameWriter;

/// Done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ok_;

impl Ok_ {
    /// Reads an OK.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'_>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Ok)?;
        Extensions::check_unknown(frame.body())?;
        Ok(Ok_)
    }

    /// Appends the frame; `id` is that of the request.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        FrameWriter::new(out, Kind::Ok, 0, id, 0).finish();
    }
}
