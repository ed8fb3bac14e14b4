//! ERROR: a request refused. It never closes the connection.

use alloc::vec::Vec;

use super::{cut_text, read_text};
use crate::codes::{Class, Code};
use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::RequestId;
use crate::wire::{Fields, FrameWriter, length_u16};

const FIXED_BYTES: usize = 20;

/// Why the request with this frame's id was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ErrorFrame<'a> {
    /// For people.
    pub code: Code,
    /// For programs.
    pub class: Class,
    /// Try again no earlier, in ms.
    pub retry_after_ms: u32,
    /// Per code; 0 if none.
    pub hint: u64,
    /// For people; cut to 512 bytes when written.
    pub text: &'a str,
}

impl<'a> ErrorFrame<'a> {
    /// An ERROR of the code's usual class, without delay, hint or text.
    #[must_use]
    pub const fn new(code: Code) -> Self {
        ErrorFrame {
            code,
            class: code.class(),
            retry_after_ms: 0,
            hint: 0,
            text: "",
        }
    }

    /// The answer to a frame that was refused.
    #[must_use]
    pub const fn refusing(error: &DecodeError) -> Self {
        let code = error.code();
        ErrorFrame {
            code,
            class: code.class(),
            retry_after_ms: 0,
            hint: error.hint(),
            text: "",
        }
    }

    /// Reads an ERROR.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Error)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let code = Code::from_wire(fixed.u16()?);
        let class = Class::from_wire(fixed.u8()?).ok_or(DecodeError::BadValue("class"))?;
        fixed.skip::<1>()?;
        let (retry_after_ms, hint) = (fixed.u32()?, fixed.u64()?);
        let text = read_text(parts.bytes(usize::from(fixed.u16()?))?)?;
        Extensions::check_unknown(parts.rest())?;
        Ok(ErrorFrame {
            code,
            class,
            retry_after_ms,
            hint,
            text,
        })
    }

    /// Appends the frame; `id` is that of the request.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let text = cut_text(self.text).as_bytes();
        let mut writer = FrameWriter::new(
            out,
            Kind::Error,
            0,
            id,
            FIXED_BYTES.saturating_add(text.len()),
        );
        writer
            .u16(self.code.wire())
            .u8(self.class.wire())
            .zeros::<1>()
            .u32(self.retry_after_ms)
            .u64(self.hint);
        writer
            .u16(length_u16(text))
            .zeros::<2>()
            .bytes(text)
            .finish();
    }
}
