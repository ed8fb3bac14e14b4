//! Buffers that travel: filled by a reader thread, shared by outboxes, and back here when the last one lets go.

use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::limits::{READ_BUFFERS_KEPT, READ_SLICE_BYTES_MAX};

/// A bounded stock of empty buffers.
#[derive(Debug)]
pub(crate) struct Pool {
    back: Sender<Vec<u8>>,
    stock: Receiver<Vec<u8>>,
}

/// A filled buffer on loan.
#[derive(Debug)]
struct Loan {
    buffer: Vec<u8>,
    pool: Arc<Pool>,
}

impl Pool {
    pub(crate) fn new() -> Arc<Self> {
        let (back, stock) = bounded(READ_BUFFERS_KEPT);
        Arc::new(Self { back, stock })
    }

    /// An empty buffer, used before if there is one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.stock.try_recv().unwrap_or_default()
    }

    /// Makes a filled buffer shareable. A small content is copied out: it would keep a large buffer for as long as a slow
    /// client takes it.
    pub(crate) fn share(self: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        if buffer.len() < buffer.capacity() / 4 {
            let bytes = Bytes::copy_from_slice(&buffer);
            self.give_back(buffer);
            return bytes;
        }
        Bytes::from_owner(Loan {
            buffer,
            pool: Arc::clone(self),
        })
    }

    /// Keeps a buffer unless there are enough, or it grew for one very large record.
    fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= 2 * READ_SLICE_BYTES_MAX {
            buffer.clear();
            // Full: freed.
            let _ = self.back.try_send(buffer);
        }
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_when_its_last_holder_lets_go() {
        let pool = Pool::new();
        let mut buffer = pool.take();
        buffer.extend_from_slice(&[7; 1_000]);
        let capacity = buffer.capacity();
        let shared = pool.share(buffer);
        let slice = shared.slice(10..20);
        drop(shared);
        assert_eq!(pool.take().capacity(), 0, "still on loan");
        assert_eq!(&slice[..], &[7; 10]);
        drop(slice);
        let again = pool.take();
        assert_eq!((again.len(), again.capacity()), (0, capacity));
    }

    #[test]
    fn a_small_content_does_not_hold_a_large_buffer() {
        let pool = Pool::new();
        let mut buffer = Vec::with_capacity(10_000);
        buffer.push(1);
        let shared = pool.share(buffer);
        assert_eq!(pool.take().capacity(), 10_000);
        assert_eq!(&shared[..], &[1]);
    }

    #[test]
    fn no_more_buffers_are_kept_than_the_limit_and_no_giant_ones() {
        let pool = Pool::new();
        for _ in 0..READ_BUFFERS_KEPT + 5 {
            pool.give_back(Vec::with_capacity(16));
        }
        assert_eq!(pool.stock.len(), READ_BUFFERS_KEPT);
        let pool = Pool::new();
        pool.give_back(Vec::with_capacity(2 * READ_SLICE_BYTES_MAX + 1));
        assert_eq!(pool.stock.len(), 0);
    }
}
