//! When to look at a connection again: a timing wheel of one turn.
//!
//! Each connection is in the wheel exactly once from accept to close. What is due is not decided here: whoever looks works the real deadlines out and
//! puts the connection back. So a deadline that moves costs nothing, and a check that comes a little late is the only price.

use alloc::vec::Vec;
use core::mem;

use crate::core::ConnId;

/// Width of a bucket, in ms.
const BUCKET_MS: u64 = 128;
/// One bit each in `filled`.
const BUCKETS: usize = 64;
/// No check can be put further ahead than this, in ms.
pub(super) const HORIZON_MS: u64 = BUCKET_MS * (BUCKETS as u64 - 2);

#[derive(Debug)]
pub(super) struct Wheel {
    buckets: Vec<Vec<ConnId>>,
    /// Bit i: bucket i is not empty.
    filled: u64,
    /// All buckets before this one (counted from the clock's zero) have been taken out.
    next: u64,
}

impl Wheel {
    pub(super) fn new(now_ms: u64) -> Wheel {
        Wheel {
            buckets: (0..BUCKETS).map(|_| Vec::new()).collect(),
            filled: 0,
            next: now_ms / BUCKET_MS,
        }
    }

    /// Puts a connection in, to come out at `at_ms` or up to one bucket later, and never later than the horizon.
    pub(super) fn put(&mut self, conn: ConnId, at_ms: u64) {
        let bucket = at_ms
            .div_ceil(BUCKET_MS)
            .clamp(self.next, self.next + BUCKETS as u64 - 1);
        let place = place(bucket);
        self.buckets[place].push(conn);
        self.filled |= 1 << place;
    }

    /// When the next bucket is due.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        if self.filled == 0 {
            return None;
        }
        let ahead = self
            .filled
            .rotate_right(place(self.next) as u32)
            .trailing_zeros();
        Some((self.next + u64::from(ahead)) * BUCKET_MS)
    }

    /// Takes out the oldest bucket that is due.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<Vec<ConnId>> {
        self.catch_up(now_ms);
        let due = self.next_deadline().filter(|&at| at <= now_ms);
        let Some(at) = due else {
            // Nothing is due: the wheel may turn up to now, as no bucket before is filled.
            self.next = self.next.max(now_ms / BUCKET_MS);
            return None;
        };
        let bucket = at / BUCKET_MS;
        let place = place(bucket);
        self.next = bucket + 1;
        self.filled &= !(1 << place);
        Some(mem::take(&mut self.buckets[place]))
    }

    /// After more than a turn of the wheel all that is in it is due: it moves, in order, into the turn that ends now. So what is put back goes behind
    /// now, and nothing is looked at once for each turn that was missed.
    fn catch_up(&mut self, now_ms: u64) {
        let oldest = (now_ms / BUCKET_MS).saturating_sub(BUCKETS as u64 - 1);
        if oldest <= self.next {
            return;
        }
        let moved = place(oldest - self.next);
        self.buckets.rotate_right(moved);
        self.filled = self.filled.rotate_left(moved as u32);
        self.next = oldest;
    }

    /// Gives the memory of a bucket taken out back, for the next ones.
    pub(super) fn give_back(&mut self, mut bucket: Vec<ConnId>) {
        bucket.clear();
        if let Some(empty) = self
            .buckets
            .iter_mut()
            .find(|bucket| bucket.capacity() == 0)
        {
            *empty = bucket;
        }
    }
}

fn place(bucket: u64) -> usize {
    (bucket % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn conn(slot: u32) -> ConnId {
        ConnId {
            slot,
            generation: 0,
        }
    }

    #[test]
    fn what_is_put_in_comes_out_once_not_early_and_at_most_a_bucket_late() {
        let mut wheel = Wheel::new(1_000_000);
        let mut due = [0; 200];
        for slot in 0..200u32 {
            due[slot as usize] = 1_000_000 + u64::from(slot) * 37;
            wheel.put(conn(slot), due[slot as usize]);
        }
        let mut seen = vec![];
        while let Some(now) = wheel.next_deadline() {
            while let Some(bucket) = wheel.take_due(now) {
                for conn in bucket {
                    let at = due[conn.slot as usize];
                    assert!(at <= now && now < at + BUCKET_MS, "{at} came out at {now}");
                    seen.push(conn.slot);
                }
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn a_far_deadline_comes_out_at_the_horizon() {
        let mut wheel = Wheel::new(0);
        wheel.put(conn(1), 1_000_000);
        assert_eq!(
            wheel.next_deadline(),
            Some((BUCKETS as u64 - 1) * BUCKET_MS)
        );
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let mut wheel = Wheel::new(0);
        wheel.put(conn(1), 500);
        assert_eq!(wheel.take_due(100), None);
        wheel.put(conn(2), 90_000);
        assert_eq!(wheel.take_due(1_000_000), Some(vec![conn(1)]));
        assert_eq!(wheel.take_due(1_000_000), Some(vec![conn(2)]));
        assert_eq!(wheel.take_due(1_000_000), None);
        wheel.put(conn(3), 1_000_100);
        assert_eq!(wheel.take_due(1_000_300), Some(vec![conn(3)]));
    }

    #[test]
    fn after_a_long_sleep_each_connection_is_looked_at_once_and_in_order() {
        const HOUR_MS: u64 = 3_600_000;
        let mut wheel = Wheel::new(0);
        (0..100).for_each(|slot| wheel.put(conn(slot), u64::from(slot) * 80));
        let mut looks = vec![];
        while let Some(due) = wheel.take_due(HOUR_MS) {
            due.iter()
                .for_each(|&conn| wheel.put(conn, HOUR_MS + HORIZON_MS));
            looks.extend(due);
        }
        assert_eq!(looks, (0..100).map(conn).collect::<Vec<_>>());
    }
}
