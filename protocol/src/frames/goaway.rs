//! GOAWAY: the only prelude to a close.

use alloc::vec::Vec;

use super::{cut_text, read_text};
use crate::codes::{Code, GoawayClass};
use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::RequestId;
use crate::wire::{Fields, FrameWriter, length_u16};

const FIXED_BYTES: usize = 12;
const EXTENSION_ENDPOINTS: u16 = 2;

/// Why the connection closes, and what the client does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Goaway<'a> {
    /// For people.
    pub code: Code,
    /// For programs.
    pub class: GoawayClass,
    /// Come back no earlier, in ms.
    pub retry_after_ms: u32,
    /// For people; cut to 512 bytes when written.
    pub text: &'a str,
    /// Where to go instead, comma separated.
    pub endpoints: Option<&'a str>,
}

impl<'a> Goaway<'a> {
    /// A GOAWAY without delay or endpoints.
    #[must_use]
    pub const fn new(code: Code, class: GoawayClass, text: &'a str) -> Self {
        Goaway {
            code,
            class,
            retry_after_ms: 0,
            text,
            endpoints: None,
        }
    }

    /// Reads a GOAWAY.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Goaway)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let code = Code::from_wire(fixed.u16()?);
        let class = GoawayClass::from_wire(fixed.u8()?).ok_or(DecodeError::BadValue("class"))?;
        fixed.skip::<1>()?;
        let retry_after_ms = fixed.u32()?;
        let text = read_text(parts.bytes(usize::from(fixed.u16()?))?)?;
        let mut endpoints = None;
        Extensions::read(parts.rest(), |extension| {
            if extension.tag != EXTENSION_ENDPOINTS {
                return Ok(false);
            }
            endpoints = Some(read_text(extension.value)?);
            Ok(true)
        })?;
        Ok(Goaway {
            code,
            class,
            retry_after_ms,
            text,
            endpoints,
        })
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let text = cut_text(self.text).as_bytes();
        let mut writer = FrameWriter::new(
            out,
            Kind::Goaway,
            0,
            id,
            FIXED_BYTES.saturating_add(text.len()),
        );
        writer
            .u16(self.code.wire())
            .u8(self.class.wire())
            .zeros::<1>()
            .u32(self.retry_after_ms);
        writer.u16(length_u16(text)).zeros::<2>().bytes(text);
        if let Some(endpoints) = self.endpoints {
            writer.extension(EXTENSION_ENDPOINTS, endpoints.as_bytes());
        }
        writer.finish();
    }
}
