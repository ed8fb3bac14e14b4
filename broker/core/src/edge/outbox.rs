//! What waits to be sent on one connection.
//!
//! Records are shared: the same bytes lie in the outboxes of all subscribers. Small control frames gather in a tail buffer, so that a hundred acks are
//! one piece. An empty outbox owns no memory: what it takes to queue something is lent to it from [`Spare`] and given back once all is sent.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use antiphon_protocol::{PubackBuilder, PubackEntry};
use bytes::Bytes;

use crate::limits::{
    SPARE_BUFFER_BYTES_MAX, SPARE_BUFFERS_MAX, SPARE_PIECES_MAX, SPARE_QUEUES_MAX,
    SPARE_WIDE_PIECES_MAX, SPARE_WIDE_QUEUES_MAX,
};

/// Queued output of one connection, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// `None` while nothing is queued, but for the moment between the last byte sent and [`Outbox::release`].
    queue: Option<Box<Queue>>,
}

const _: () = assert!(size_of::<Outbox>() == 8, "most connections are idle");

/// What an outbox is while it has something to send.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The first piece; empty: there is none. It saves the pieces' memory for the many that get one delivery a turn.
    front: Bytes,
    /// Further pieces; none is empty. Not empty only if `front` is not.
    pieces: VecDeque<Bytes>,
    /// Frames written in place, behind the pieces.
    tail: Vec<u8>,
    /// Bytes of the tail that are sent already; 0 unless there is no piece.
    tail_sent: usize,
    /// Bytes in pieces and unsent tail.
    bytes: usize,
    /// Bytes sent that nobody has taken into account yet.
    sent: usize,
    /// The tail ends with a PUBACK that may still grow; its length is not right until it is closed.
    puback: Option<PubackBuilder>,
}

/// Memory for outboxes that have something to say again: no allocation per turn for who says something every turn.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    /// All empty. <= SPARE_QUEUES_MAX
    #[allow(clippy::vec_box, reason = "the boxes are what is kept")]
    queues: Vec<Box<Queue>>,
    /// Write buffers, all empty. <= SPARE_BUFFERS_MAX
    buffers: Vec<Vec<u8>>,
}

impl Outbox {
    /// An empty outbox.
    pub const fn new() -> Outbox {
        Outbox { queue: None }
    }

    /// Bytes to be sent.
    pub fn len(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Whether nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is to be sent, in order; no chunk is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.queue.iter().flat_map(|queue| queue.chunks())
    }

    /// The first `count` bytes were sent.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "INV-EDGE-1: more sent than there was");
        if let Some(queue) = &mut self.queue {
            queue.advance(count);
        }
    }

    /// The queue to add to.
    #[inline]
    pub(crate) fn queue(&mut self, spare: &mut Spare) -> &mut Queue {
        self.queue
            .get_or_insert_with(|| spare.queues.pop().unwrap_or_default())
    }

    /// The queue to write frames to.
    pub(crate) fn writer(&mut self, spare: &mut Spare) -> &mut Queue {
        if self.queue.is_none() {
            self.queue = spare.queues.pop().or_else(|| Some(Box::default()));
        }
        let queue = self.queue.get_or_insert_default();
        if queue.tail.capacity() == 0 {
            queue.tail = spare.buffers.pop().unwrap_or_default();
        }
        queue
    }

    /// Closes the PUBACK that may still grow. Before anybody looks at the bytes.
    pub(crate) fn close_frame(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.close_frame();
        }
    }

    /// How many bytes were sent since this was asked last.
    pub(crate) fn take_sent(&mut self) -> usize {
        let queue = self.queue.as_mut();
        queue.map_or(0, |queue| mem::take(&mut queue.sent))
    }

    /// Gives the memory of an empty outbox back.
    pub(crate) fn release(&mut self, spare: &mut Spare) {
        if self.is_empty()
            && let Some(queue) = self.queue.take()
        {
            spare.keep(queue);
        }
    }
}

impl Spare {
    fn keep(&mut self, mut queue: Box<Queue>) {
        debug_assert!(
            queue.bytes == 0 && queue.front.is_empty() && queue.puback.is_none(),
            "INV-EDGE-18: what is lent is empty"
        );
        let mut buffer = mem::take(&mut queue.tail);
        if buffer.capacity() > 0
            && buffer.capacity() <= SPARE_BUFFER_BYTES_MAX
            && self.buffers.len() < SPARE_BUFFERS_MAX
        {
            buffer.clear();
            self.buffers.push(buffer);
        }
        let pieces_max = if self.queues.len() < SPARE_WIDE_QUEUES_MAX {
            SPARE_WIDE_PIECES_MAX
        } else {
            SPARE_PIECES_MAX
        };
        if queue.pieces.capacity() > pieces_max {
            queue.pieces = VecDeque::new();
        }
        if self.queues.len() < SPARE_QUEUES_MAX {
            queue.front = Bytes::new();
            (queue.tail_sent, queue.sent) = (0, 0);
            self.queues.push(queue);
        }
    }
}

impl Queue {
    fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let filled = |chunk: &&[u8]| !chunk.is_empty();
        let front = Some(&self.front[..]).filter(filled);
        let tail = Some(&self.tail[self.tail_sent..]).filter(filled);
        front
            .into_iter()
            .chain(self.pieces.iter().map(Bytes::as_ref))
            .chain(tail)
    }

    fn advance(&mut self, count: usize) {
        debug_assert!(
            self.puback.is_none(),
            "INV-EDGE-2: an unfinished frame was sent"
        );
        self.bytes -= count;
        self.sent += count;
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
    #[inline]
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.seal_tail();
        self.bytes += bytes.len();
        self.append(bytes);
    }

    /// Appends what `write` puts at the end of the buffer: whole frames. How many bytes that are.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        self.close_frame();
        let before = self.tail.len();
        write(&mut self.tail);
        debug_assert!(
            self.tail.len() >= before,
            "INV-EDGE-17: a frame writer only appends"
        );
        let added = self.tail.len() - before;
        self.bytes += added;
        added
    }

    /// Adds an entry to the PUBACK at the end, or starts one. How many bytes that are.
    pub(crate) fn puback(&mut self, entry: &PubackEntry) -> usize {
        let before = self.tail.len();
        self.puback
            .get_or_insert_default()
            .push(entry, &mut self.tail);
        let added = self.tail.len() - before;
        self.bytes += added;
        added
    }

    fn close_frame(&mut self) {
        if let Some(puback) = self.puback.take() {
            puback.finish(&mut self.tail);
        }
    }

    /// Turns the tail into a piece, so that something can follow it.
    fn seal_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        self.close_frame();
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

    /// An outbox with its spare memory.
    #[derive(Default)]
    struct Lent(Outbox, Spare);

    impl Lent {
        fn write(&mut self, bytes: &[u8]) {
            let added = self
                .0
                .writer(&mut self.1)
                .write(|out| out.extend_from_slice(bytes));
            assert_eq!(added, bytes.len());
        }

        fn push(&mut self, bytes: &'static [u8]) {
            self.0.queue(&mut self.1).push(Bytes::from_static(bytes));
        }
    }

    fn all(outbox: &Outbox) -> Vec<u8> {
        outbox.chunks().flatten().copied().collect()
    }

    #[test]
    fn control_frames_gather_in_one_piece_and_order_is_kept() {
        let mut it = Lent::default();
        it.write(b"ab");
        it.write(b"cd");
        assert_eq!(it.0.chunks().count(), 1);
        it.push(b"EF");
        it.write(b"g");
        assert_eq!(all(&it.0), b"abcdEFg");
        assert_eq!(it.0.chunks().count(), 3);
        assert_eq!(it.0.len(), 7);
    }

    #[test]
    fn advance_by_any_steps_sends_every_byte_once() {
        for step in 1..=9 {
            let mut it = Lent::default();
            it.write(b"01");
            it.push(b"234");
            it.write(b"5678");
            let mut sent = Vec::new();
            while !it.0.is_empty() {
                let take = step.min(it.0.len());
                sent.extend(all(&it.0).into_iter().take(take));
                it.0.advance(take);
            }
            assert_eq!(sent, b"012345678", "step {step}");
            assert_eq!(it.0.chunks().count(), 0);
            assert_eq!((it.0.take_sent(), it.0.take_sent()), (9, 0));
        }
    }

    #[test]
    fn a_tail_sent_in_part_can_be_followed_by_a_piece() {
        let mut it = Lent::default();
        it.write(b"abcd");
        it.0.advance(3);
        it.push(b"EF");
        it.write(b"g");
        assert_eq!(all(&it.0), b"dEFg");
        assert_eq!(it.0.len(), 4);
    }

    #[test]
    fn an_idle_outbox_owns_nothing_and_its_memory_is_lent_again() {
        let mut it = Lent::default();
        for _ in 0..3 {
            it.write(&[0; 1_000]);
            it.0.advance(500);
            it.0.release(&mut it.1);
            assert!(it.0.queue.is_some(), "not empty yet");
            it.0.advance(500);
            it.0.release(&mut it.1);
            assert!(it.0.queue.is_none());
            assert_eq!((it.1.queues.len(), it.1.buffers.len()), (1, 1));
        }
        it.push(b"x");
        assert_eq!(it.1.queues.len(), 0);
        it.0.advance(1);
        it.0.release(&mut it.1);
        assert_eq!((it.1.queues.len(), it.1.buffers.len()), (1, 1));
    }

    #[test]
    fn places_for_many_pieces_are_kept_in_the_first_queues_only() {
        let mut spare = Spare::default();
        let mut outboxes: Vec<Outbox> = (0..SPARE_WIDE_QUEUES_MAX + 1)
            .map(|_| Outbox::new())
            .collect();
        for outbox in &mut outboxes {
            let queue = outbox.queue(&mut spare);
            (0..SPARE_WIDE_PIECES_MAX).for_each(|_| queue.push(Bytes::from_static(b"x")));
        }
        for outbox in &mut outboxes {
            outbox.advance(SPARE_WIDE_PIECES_MAX);
            outbox.release(&mut spare);
        }
        let last = spare.queues.pop().map(|queue| queue.pieces.capacity());
        assert_eq!(last, Some(0));
        let mut kept = spare.queues.iter().map(|queue| queue.pieces.capacity());
        assert!(kept.all(|places| places == SPARE_WIDE_PIECES_MAX));
    }

    #[test]
    fn spare_memory_is_bounded() {
        let mut spare = Spare::default();
        let mut outboxes: Vec<Outbox> = (0..SPARE_QUEUES_MAX + 10).map(|_| Outbox::new()).collect();
        for outbox in &mut outboxes {
            let queue = outbox.writer(&mut spare);
            let _ = queue.write(|out| out.resize(100, 0));
        }
        for outbox in &mut outboxes {
            outbox.advance(100);
            outbox.release(&mut spare);
        }
        assert_eq!(
            (spare.queues.len(), spare.buffers.len()),
            (SPARE_QUEUES_MAX, SPARE_BUFFERS_MAX)
        );
        let mut big = Outbox::new();
        spare.buffers.clear();
        let _ = big
            .writer(&mut spare)
            .write(|out| out.resize(SPARE_BUFFER_BYTES_MAX + 1, 0));
        big.advance(SPARE_BUFFER_BYTES_MAX + 1);
        big.release(&mut spare);
        assert_eq!(spare.buffers.len(), 0, "too large to be kept");
    }
}
