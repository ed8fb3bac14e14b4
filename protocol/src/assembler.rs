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
        self.held.drain(..self.used);
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
