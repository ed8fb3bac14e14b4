//! Reading and writing little-endian fields: the only place that knows how numbers become bytes.

use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, Kind};
use crate::ids::RequestId;

/// Reads fields from the front of a slice. Every read checks; on a slice of known length the checks fold away.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Fields { rest: bytes }
    }

    /// Splits a body into its `N` fixed bytes and what follows.
    #[inline]
    pub(crate) fn fixed<const N: usize>(body: &'a [u8]) -> Result<(Self, Self), DecodeError> {
        let (fixed, rest) = body
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        Ok((Fields::new(fixed), Fields::new(rest)))
    }

    #[inline]
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.take::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.take().map(u16::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.take().map(u32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.take().map(u64::from_le_bytes)
    }

    /// Reads `N` reserved bytes that the sender must have left 0.
    #[inline]
    pub(crate) fn zeros<const N: usize>(&mut self) -> Result<(), DecodeError> {
        if self.take::<N>()? == [0; N] {
            Ok(())
        } else {
            Err(DecodeError::Reserved)
        }
    }

    /// Reads `N` reserved bytes whatever they are: a newer server may have given them a meaning.
    #[inline]
    pub(crate) fn skip<const N: usize>(&mut self) -> Result<(), DecodeError> {
        self.take::<N>().map(|_| ())
    }

    #[inline]
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) const fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// Appends one frame to a buffer; its length is put in when it is finished.
pub(crate) struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> FrameWriter<'a> {
    /// Starts a frame of `kind`; `bytes` is what will follow the header, if known.
    pub(crate) fn new(
        out: &'a mut Vec<u8>,
        kind: Kind,
        flags: u8,
        id: RequestId,
        bytes: usize,
    ) -> Self {
        FrameWriter::numbered(out, kind.wire(), flags, id, bytes)
    }

    /// [`FrameWriter::new`] for a kind by its number: those of peers are no [`Kind`].
    pub(crate) fn numbered(
        out: &'a mut Vec<u8>,
        kind: u8,
        flags: u8,
        id: RequestId,
        bytes: usize,
    ) -> Self {
        let start = out.len();
        out.reserve(bytes.saturating_add(FRAME_HEADER_BYTES));
        out.extend_from_slice(
            &FrameHeader {
                len: 0,
                kind,
                flags,
                id,
            }
            .to_bytes(),
        );
        FrameWriter { out, start }
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.out.push(value);
        self
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn zeros<const N: usize>(&mut self) -> &mut Self {
        self.bytes(&[0; N])
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Puts one extension; `value` must be shorter than 64 KiB.
    pub(crate) fn extension(&mut self, tag: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len());
        assert!(
            length.is_ok(),
            "INV-PROTO-4: an extension longer than its length field"
        );
        self.u16(tag).u16(length.unwrap_or(0)).bytes(value)
    }

    /// Puts in the length.
    pub(crate) fn finish(&mut self) {
        patch_length(self.out, self.start);
    }
}

/// Writes the length of the frame that started at `start` and ends with the buffer.
pub(crate) fn patch_length(out: &mut [u8], start: usize) {
    let length = out
        .len()
        .saturating_sub(start)
        .saturating_sub(FRAME_HEADER_BYTES);
    let length = u32::try_from(length);
    assert!(
        length.is_ok(),
        "INV-PROTO-5: a frame longer than its length field"
    );
    patch(out, start, length.unwrap_or(0).to_le_bytes());
}

/// Overwrites the `N` bytes at `at`, which are there.
#[inline]
pub(crate) fn patch<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    let place = out
        .get_mut(at..)
        .and_then(|tail| tail.first_chunk_mut::<N>());
    debug_assert!(
        place.is_some(),
        "INV-PROTO-6: a field patched outside its frame"
    );
    if let Some(place) = place {
        *place = bytes;
    }
}

/// The length of `part` as a field; the caller's types bound it.
pub(crate) fn length_u8(part: &[u8]) -> u8 {
    let length = u8::try_from(part.len());
    assert!(
        length.is_ok(),
        "INV-PROTO-7: a part longer than its length field"
    );
    length.unwrap_or(0)
}

/// See [`length_u8`].
pub(crate) fn length_u16(part: &[u8]) -> u16 {
    let length = u16::try_from(part.len());
    assert!(
        length.is_ok(),
        "INV-PROTO-7: a part longer than its length field"
    );
    length.unwrap_or(0)
}

/// See [`length_u8`].
pub(crate) fn length_u32(part: &[u8]) -> u32 {
    let length = u32::try_from(part.len());
    assert!(
        length.is_ok(),
        "INV-PROTO-7: a part longer than its length field"
    );
    length.unwrap_or(0)
}
