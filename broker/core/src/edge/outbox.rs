//! What waits to be sent on one connection.
//!
//! Records are shared: the same bytes lie in the outboxes of all subscribers. Small control frames gather in a tail buffer, so that a hundred acks are
//! one piece. An empty outbox owns no memory.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use antiphon_protocol::{PubackBuilder, PubackEntry};
use bytes::Bytes;

/// Queued output of one connection, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The first piece; empty: there is none. It saves the queue's memory for the many that get one delivery a turn.
    front: Bytes,
    /// Further pieces; none is empty. Not empty only if `front` is not.
    pieces: VecDeque<Bytes>,
    /// Frames written in place, behind the pieces.
    tail: Vec<u8>,
    /// Bytes of the tail that are sent already; 0 unless there is no piece.
    tail_sent: usize,
    /// Bytes in pieces and unsent tail.
    bytes: usize,
    /// The tail ends with a PUBACK that may still grow; its length is not right until it is closed.
    puback: Option<PubackBuilder>,
}

impl Outbox {
    /// An empty outbox.
    pub const fn new() -> Outbox {
        Outbox {
            front: Bytes::new(),
            pieces: VecDeque::new(),
            tail: Vec::new(),
            tail_sent: 0,
            bytes: 0,
            puback: None,
        }
    }

    /// Bytes to be sent.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// What is to be sent, in order; no chunk is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let filled = |chunk: &&[u8]| !chunk.is_empty();
        let front = Some(&self.front[..]).filter(filled);
        let tail = Some(&self.tail[self.tail_sent..]).filter(filled);
        front
            .into_iter()
            .chain(self.pieces.iter().map(Bytes::as_ref))
            .chain(tail)
    }

    /// The first `count` bytes were sent.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.bytes, "INV-EDGE-1: more sent than there was");
        debug_assert!(
            self.puback.is_none(),
            "INV-EDGE-2: an unfinished frame was sent"
        );
        self.bytes -= count;
        let mut left = count;
        while left > 0 {
            if self.front.is_empty() {
                self.tail_sent += left;
                break;
            }
            if self.front.len() > left {
                let _ = self.front.split_to(left);
                return;
            }
            left -= self.front.len();
            self.front = self.pieces.pop_front().unwrap_or_default();
        }
        if self.bytes == 0 {
            self.tail.clear();
            self.tail_sent = 0;
        }
    }

    /// Queues shared bytes.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.seal_tail();
        self.bytes += bytes.len();
        self.append(bytes);
    }

    /// Queues shared bytes if the outbox then holds at most `bytes_max`, or held nothing before.
    #[inline]
    pub(crate) fn offer(&mut self, bytes: &Bytes, bytes_max: usize) -> bool {
        if self.bytes != 0 && self.bytes + bytes.len() > bytes_max {
            return false;
        }
        self.push(bytes.clone());
        true
    }

    /// Appends what `write` puts at the end of the buffer: whole frames.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.close_frame();
        let before = self.tail.len();
        write(&mut self.tail);
        debug_assert!(
            self.tail.len() >= before,
            "INV-EDGE-17: a frame writer only appends"
        );
        self.bytes += self.tail.len() - before;
    }

    /// Adds an entry to the PUBACK at the end, or starts one.
    pub(crate) fn puback(&mut self, entry: &PubackEntry) {
        let before = self.tail.len();
        self.puback
            .get_or_insert_default()
            .push(entry, &mut self.tail);
        self.bytes += self.tail.len() - before;
    }

    /// Closes the PUBACK that may still grow. Before anybody looks at the bytes.
    pub(crate) fn close_frame(&mut self) {
        if let Some(puback) = self.puback.take() {
            puback.finish(&mut self.tail);
        }
    }

    /// Drops all that is queued.
    pub(crate) fn clear(&mut self) {
        *self = Outbox::new();
    }

    /// Whether a frame that is written now would need new memory.
    pub(crate) fn needs_buffer(&self) -> bool {
        self.tail.capacity() == 0
    }

    /// Writes into `buffer` from now on. Only if [`Outbox::needs_buffer`].
    pub(crate) fn lend(&mut self, buffer: Vec<u8>) {
        debug_assert!(
            self.needs_buffer() && buffer.is_empty(),
            "INV-EDGE-18: a buffer is lent to who has none"
        );
        self.tail = buffer;
    }

    /// Gives the memory of an empty outbox back; the write buffer can be lent to another one.
    pub(crate) fn release(&mut self) -> Option<Vec<u8>> {
        if self.bytes != 0 {
            return None;
        }
        let buffer = mem::take(self).tail;
        (buffer.capacity() > 0).then_some(buffer)
    }

    /// Turns the tail into a piece, so that something can follow it.
    fn seal_tail(&mut self) {
        self.close_frame();
        if self.tail.is_empty() {
            return;
        }
        let mut piece = Bytes::from(mem::take(&mut self.tail));
        let sent = mem::take(&mut self.tail_sent);
        if sent > 0 {
            let _ = piece.split_to(sent);
        }
        if !piece.is_empty() {
            self.append(piece);
        }
    }

    fn append(&mut self, piece: Bytes) {
        if self.front.is_empty() {
            self.front = piece;
        } else {
            self.pieces.push_back(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(outbox: &Outbox) -> Vec<u8> {
        outbox.chunks().flatten().copied().collect()
    }

    #[test]
    fn control_frames_gather_in_one_piece_and_order_is_kept() {
        let mut outbox = Outbox::new();
        outbox.write(|out| out.extend_from_slice(b"ab"));
        outbox.write(|out| out.extend_from_slice(b"cd"));
        assert_eq!(outbox.chunks().count(), 1);
        outbox.push(Bytes::from_static(b"EF"));
        outbox.write(|out| out.push(b'g'));
        assert_eq!(all(&outbox), b"abcdEFg");
        assert_eq!(outbox.chunks().count(), 3);
        assert_eq!(outbox.len(), 7);
    }

    #[test]
    fn advance_by_any_steps_sends_every_byte_once() {
        for step in 1..=9 {
            let mut outbox = Outbox::new();
            outbox.write(|out| out.extend_from_slice(b"01"));
            outbox.push(Bytes::from_static(b"234"));
            outbox.write(|out| out.extend_from_slice(b"5678"));
            let mut sent = Vec::new();
            while !outbox.is_empty() {
                let take = step.min(outbox.len());
                sent.extend(all(&outbox).into_iter().take(take));
                outbox.advance(take);
            }
            assert_eq!(sent, b"012345678", "step {step}");
            assert_eq!(outbox.chunks().count(), 0);
        }
    }

    #[test]
    fn a_tail_sent_in_part_can_be_followed_by_a_piece() {
        let mut outbox = Outbox::new();
        outbox.write(|out| out.extend_from_slice(b"abcd"));
        outbox.advance(3);
        outbox.push(Bytes::from_static(b"EF"));
        outbox.write(|out| out.push(b'g'));
        assert_eq!(all(&outbox), b"dEFg");
        assert_eq!(outbox.len(), 4);
    }

    #[test]
    fn an_outbox_at_its_limit_refuses_and_keeps_what_it_has() {
        let mut outbox = Outbox::new();
        assert!(
            outbox.offer(&Bytes::from_static(&[1; 100]), 50),
            "an empty one takes any delivery"
        );
        assert!(!outbox.offer(&Bytes::from_static(&[2; 1]), 100));
        assert_eq!(outbox.len(), 100);
        outbox.advance(1);
        assert!(outbox.offer(&Bytes::from_static(&[2; 1]), 100));
    }

    #[test]
    fn an_idle_outbox_owns_nothing() {
        let mut outbox = Outbox::new();
        outbox.write(|out| out.extend_from_slice(&[0; 1_000]));
        outbox.push(Bytes::from_static(b"x"));
        outbox.advance(1_001);
        let buffer = outbox.release();
        assert!(buffer.is_none(), "the tail became a piece");
        assert_eq!(outbox.tail.capacity(), 0);
        assert_eq!(outbox.pieces.capacity(), 0);
    }
}
