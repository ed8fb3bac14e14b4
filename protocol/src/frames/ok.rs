//! OK: the answer of a request that has no richer one.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::frames::CursorPosition;
use crate::ids::RequestId;
use crate::wire::{Fields, FrameWriter};

const EXTENSION_CURSOR: u16 = 2;

/// Done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ok_ {
    /// In answer to a CURSOR: where it stands, and where its room ends.
    pub cursor: Option<CursorAnswer>,
}

/// Where a cursor stands in its room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CursorAnswer {
    /// The cursor's position.
    pub position: CursorPosition,
    /// The room's committed head.
    pub head: CursorPosition,
}

impl CursorAnswer {
    /// Messages behind the cursor.
    #[must_use]
    pub const fn unread(&self) -> u64 {
        self.head.count.0.saturating_sub(self.position.count.0)
    }
}

impl Ok_ {
    /// An answer without more to say.
    pub const DONE: Ok_ = Ok_ { cursor: None };

    /// Reads an OK.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'_>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Ok)?;
        let mut cursor = None;
        Extensions::read(frame.body(), |extension| {
            if extension.tag != EXTENSION_CURSOR {
                return Ok(false);
            }
            cursor = Some(read_cursor(extension.value)?);
            Ok(true)
        })?;
        Ok(Ok_ { cursor })
    }

    /// Appends the frame; `id` is that of the request.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let mut writer = FrameWriter::new(out, Kind::Ok, 0, id, 0);
        if let Some(cursor) = self.cursor {
            let CursorAnswer { position, head } = cursor;
            let words = [position.seq.0, position.count.0, head.seq.0, head.count.0];
            writer.u16(EXTENSION_CURSOR).u16(32);
            words.into_iter().for_each(|word| {
                writer.u64(word);
            });
        }
        writer.finish();
    }
}

fn read_cursor(value: &[u8]) -> Result<CursorAnswer, DecodeError> {
    let (mut fields, rest) = Fields::fixed::<32>(value)?;
    if !rest.rest().is_empty() {
        return Err(DecodeError::BadValue("cursor"));
    }
    Ok(CursorAnswer {
        position: CursorPosition::read(&mut fields)?,
        head: CursorPosition::read(&mut fields)?,
    })
}
