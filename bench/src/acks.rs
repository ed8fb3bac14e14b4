//! Publishes of one connection that wait for their acks.

use std::collections::VecDeque;

use crate::clock::Nanos;

/// Requests rise by one with each publish, so a queue with a base is a map.
#[derive(Debug, Default)]
pub struct Acks {
    /// Request of the first place.
    base: u64,
    places: VecDeque<Option<Waiting>>,
    waiting: u64,
    again: u64,
}

/// A publish without an ack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// When it was meant to be sent.
    pub intended: Nanos,
    /// Who published: an index of the workload's.
    pub source: u32,
}

impl Acks {
    /// `request` waits from now on. It is higher than all before.
    pub fn wait(&mut self, request: u64, waiting: Waiting) {
        if self.places.is_empty() {
            self.base = request;
        }
        // Requests of other kinds lie between.
        while self.base + (self.places.len() as u64) < request {
            self.places.push_back(None);
        }
        self.places.push_back(Some(waiting));
        self.waiting += 1;
    }

    /// The ack of `request` has come; `None`, and counted, if nothing waits for it.
    #[inline]
    pub fn ack(&mut self, request: u64) -> Option<Waiting> {
        let at = request.checked_sub(self.base);
        let place = at.and_then(|at| self.places.get_mut(usize::try_from(at).ok()?));
        let Some(waiting) = place.and_then(Option::take) else {
            self.again += 1;
            return None;
        };
        self.waiting -= 1;
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.base += 1;
        }
        Some(waiting)
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Acks that nobody waited for.
    #[must_use]
    pub fn again(&self) -> u64 {
        self.again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Waiting {
        Waiting {
            intended: Nanos(nanos),
            source: 0,
        }
    }

    #[test]
    fn acks_come_in_any_order_and_once() {
        let mut acks = Acks::default();
        for request in [3, 4, 7] {
            acks.wait(request, at(request));
        }
        assert_eq!(acks.ack(4), Some(at(4)));
        assert_eq!(acks.ack(4), None);
        assert_eq!(acks.ack(5), None);
        assert_eq!(acks.ack(8), None);
        assert_eq!(acks.ack(2), None);
        assert_eq!(acks.ack(3), Some(at(3)));
        assert_eq!(acks.ack(7), Some(at(7)));
        assert_eq!((acks.waiting(), acks.again()), (0, 4));
    }
}
