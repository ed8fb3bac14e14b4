//! Frames out of reads that end anywhere.
//!
//! Whole frames are handed out as views into the read itself. Only what is left over is copied, so an idle connection
//! holds no buffer, and a half frame costs the bytes that came, not the bytes that it announced.

use alloc::vec::Vec;

use crate::decode::{BrokenStream, RawFrame, needed, next_frame};

/// What one connection has received and not yet handled.
///
/// ```
/// use antiphon_protocol::{Assembler, Ping, RequestId};
///
/// let mut bytes = Vec::new();
/// Ping { nonce: 5 }.encode(RequestId(1), &mut bytes);
/// let (first, second) = bytes.split_at(3);
///
/// let mut assembler = Assembler::new();
/// let mut read = first;
/// assert_eq!(assembler.next(&mut read, 8_192), Ok(None));
/// let mut read = second;
/// let frame = assembler.next(&mut read, 8_192).unwrap().unwrap();
/// assert_eq!(Ping::decode(frame), Ok(Ping { nonce: 5 }));
/// assert_eq!(assembler.next(&mut read, 8_192), Ok(None));
/// assert!(!assembler.is_partial());
/// ```
#[derive(Debug, Default)]
pub struct Assembler {
    /// Bytes of earlier reads; those before `used` were handed out. used <= held.len().
    held: Vec<u8>,
    used: usize,
}

impl Assembler {
    /// One that holds nothing.
    #[must_use]
    pub const fn new() -> Self {
        Assembler {
            held: Vec::new(),
            used: 0,
        }
    }

    /// The next whole frame of what is held followed by `input`; `input` is cut by what was taken.
    ///
    /// On `None` all of `input` has been taken. Call again with the same `input` until then; a caller that stops
    /// earlier gives the rest to [`Assembler::keep`].
    ///
    /// # Errors
    /// [`BrokenStream`]; the stream cannot be read on.
    pub fn next<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b [u8],
        len_max: u32,
    ) -> Result<Option<RawFrame<'a>>, BrokenStream> {
        self.release();
        if self.held.is_empty() {
            let Some(frame) = next_frame(input, len_max)? else {
                self.keep(core::mem::take(input));
                return Ok(None);
            };
            *input = input.get(frame.whole.len()..).unwrap_or_default();
            return Ok(Some(frame));
        }
        // First the header, then the rest: the length is checked before a byte behind the header is taken.
        for _ in 0..2 {
            let held = self.held.get(self.used..).unwrap_or_default();
            if next_frame(held, len_max)?.is_none() {
                let want = needed(held).saturating_sub(held.len()).min(input.len());
                let (taken, rest) = input.split_at_checked(want).unwrap_or_default();
                *input = rest;
                self.keep(taken);
            }
        }
        let held = self.held.get(self.used..).unwrap_or_default();
        let frame = next_frame(held, len_max)?;
        self.used = self
            .used
            .saturating_add(frame.map_or(0, |frame| frame.whole.len()));
        debug_assert!(
            self.used <= self.held.len(),
            "INV-PROTO-10: handed out more than was held"
        );
        debug_assert!(
            frame.is_some() || input.is_empty(),
            "INV-PROTO-11: a frame waits for bytes that are there"
        );
        Ok(frame)
    }

    /// Takes over bytes that cannot be handled now.
    pub fn keep(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.held.drain(..self.used.min(self.held.len()));
        self.used = 0;
        self.held.extend_from_slice(bytes);
    }

    /// Whether bytes are held: the start of a frame, or frames that were kept.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.held_bytes() != 0
    }

    /// How many bytes are held and not handed out.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.len().saturating_sub(self.used)
    }

    /// Gives the buffer back once all of it was handed out.
    pub fn release(&mut self) {
        if self.used == self.held.len() && self.held.capacity() != 0 {
            *self = Assembler::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameHeader, Kind, Ping, RequestId};

    fn frame(len: usize) -> Vec<u8> {
        let mut bytes = FrameHeader {
            len: len as u32,
            kind: Kind::Ping.wire(),
            flags: 0,
            id: RequestId(1),
        }
        .to_bytes()
        .to_vec();
        bytes.resize(16 + len, 0xAB);
        bytes
    }

    #[test]
    fn whole_frames_are_views_into_the_read_and_nothing_is_held() {
        let bytes = [frame(8), frame(0)].concat();
        let mut assembler = Assembler::new();
        let mut read = bytes.as_slice();
        let first = assembler
            .next(&mut read, 100)
            .unwrap()
            .unwrap()
            .whole
            .as_ptr();
        assert_eq!(first, bytes.as_ptr());
        assert!(assembler.next(&mut read, 100).unwrap().is_some());
        assert_eq!(assembler.next(&mut read, 100), Ok(None));
        assert_eq!(
            (assembler.is_partial(), assembler.held.capacity()),
            (false, 0)
        );
    }

    #[test]
    fn a_half_frame_holds_the_bytes_that_came_and_gives_the_buffer_back() {
        let bytes = frame(1_000_000);
        let mut assembler = Assembler::new();
        for byte in &bytes[..100] {
            assert_eq!(
                assembler.next(&mut core::slice::from_ref(byte), 1_000_000),
                Ok(None)
            );
        }
        assert_eq!(assembler.held_bytes(), 100);
        assert!(
            assembler.held.capacity() < 1_000,
            "room for what came, not for what was announced"
        );
        let mut read = &bytes[100..];
        assert_eq!(
            assembler.next(&mut read, 1_000_000).unwrap().unwrap().whole,
            bytes
        );
        assert_eq!(assembler.next(&mut read, 1_000_000), Ok(None));
        assert_eq!(assembler.held.capacity(), 0);
    }

    #[test]
    fn a_length_over_the_limit_is_refused_at_the_last_byte_of_its_header() {
        let bytes = frame(101);
        let mut assembler = Assembler::new();
        assert_eq!(assembler.next(&mut &bytes[..15], 100), Ok(None));
        let mut read = &bytes[15..];
        let broken = assembler.next(&mut read, 100);
        assert_eq!(
            broken,
            Err(BrokenStream::TooLarge {
                len: 101,
                len_max: 100
            })
        );
        assert_eq!(
            assembler.held_bytes(),
            16,
            "not a byte behind the header was taken"
        );
    }

    #[test]
    fn a_limit_raised_between_two_frames_holds_for_the_second() {
        let bytes = [frame(8), frame(500)].concat();
        let mut assembler = Assembler::new();
        let mut read = bytes.as_slice();
        assert!(assembler.next(&mut read, 100).unwrap().is_some());
        assert!(assembler.next(&mut read, 500).unwrap().is_some());
    }

    #[test]
    fn what_a_paused_caller_keeps_comes_first_when_it_goes_on() {
        let mut bytes = Vec::new();
        (0..5_u64).for_each(|nonce| Ping { nonce }.encode(RequestId(1), &mut bytes));
        let (now, later) = bytes.split_at(60);
        let mut assembler = Assembler::new();
        let mut read = now;
        let first = assembler.next(&mut read, 100).unwrap().unwrap();
        assert_eq!(Ping::decode(first), Ok(Ping { nonce: 0 }));
        assembler.keep(read);
        assert_eq!(assembler.held_bytes(), 36);
        let mut read: &[u8] = &[];
        let second = assembler.next(&mut read, 100).unwrap().unwrap();
        assert_eq!(Ping::decode(second), Ok(Ping { nonce: 1 }));
        let mut read = later;
        for nonce in 2..5 {
            let frame = assembler.next(&mut read, 100).unwrap().unwrap();
            assert_eq!(Ping::decode(frame), Ok(Ping { nonce }));
        }
        assert_eq!(assembler.next(&mut read, 100), Ok(None));
        assert!(!assembler.is_partial());
    }
}
