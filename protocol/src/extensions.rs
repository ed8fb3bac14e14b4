//! Tagged extensions at the end of a frame: how the protocol grows without new layouts.
//!
//! `tag u16 | length u16 | bytes`, tags rising. An unknown even tag may be ignored, an unknown odd one may not.

use crate::error::DecodeError;
use crate::wire::Fields;

/// One extension of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extension<'a> {
    /// Its number, per frame kind.
    pub tag: u16,
    /// Its bytes.
    pub value: &'a [u8],
}

impl Extension<'_> {
    /// Whether a reader that does not know the tag must refuse the frame.
    #[must_use]
    pub const fn is_critical(&self) -> bool {
        self.tag & 1 == 1
    }
}

/// The extensions of a frame in order; ends after the first error.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    last: Option<u16>,
}

impl<'a> Extensions<'a> {
    /// The extensions in `bytes`, the end of a frame.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Extensions {
            rest: bytes,
            last: None,
        }
    }

    /// Checks all; `known` looks at each and says whether it knows the tag.
    #[inline]
    pub(crate) fn read(
        bytes: &'a [u8],
        mut known: impl FnMut(Extension<'a>) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        if bytes.is_empty() {
            return Ok(());
        }
        for extension in Extensions::new(bytes) {
            let extension = extension?;
            if !known(extension)? && extension.is_critical() {
                return Err(DecodeError::UnknownExtension(extension.tag));
            }
        }
        Ok(())
    }

    /// Checks the extensions of a frame that has none of its own yet.
    #[inline]
    pub(crate) fn check_unknown(bytes: &'a [u8]) -> Result<(), DecodeError> {
        Extensions::read(bytes, |_| Ok(false))
    }

    fn step(&mut self) -> Result<Extension<'a>, DecodeError> {
        let extension = read_tagged(&mut self.rest).ok_or(DecodeError::Extensions)?;
        if self.last.is_some_and(|last| last >= extension.tag) {
            return Err(DecodeError::Extensions);
        }
        self.last = Some(extension.tag);
        Ok(extension)
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.rest = &[];
        }
        Some(step)
    }
}

/// Takes one `tag, length, bytes` from the front; `None` if it is cut short.
pub(crate) fn read_tagged<'a>(rest: &mut &'a [u8]) -> Option<Extension<'a>> {
    let mut fields = Fields::new(rest);
    let tag = fields.u16().ok()?;
    let length = fields.u16().ok()?;
    let value = fields.bytes(usize::from(length)).ok()?;
    *rest = fields.rest();
    Some(Extension { tag, value })
}
