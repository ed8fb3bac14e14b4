//! A place where one thread waits for one answer of another.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Holds an answer from when it is known until it is taken.
#[derive(Debug)]
pub(crate) struct Waiter<T> {
    value: Mutex<Option<T>>,
    known: Condvar,
}

impl<T> Waiter<T> {
    pub(crate) fn new() -> Waiter<T> {
        Waiter {
            value: Mutex::new(None),
            known: Condvar::new(),
        }
    }

    /// Gives the answer; the first one counts, so that a late one cannot contradict it.
    pub(crate) fn complete(&self, value: T) {
        let mut place = self.value.lock();
        if place.is_none() {
            *place = Some(value);
        }
        self.known.notify_one();
    }

    /// Takes the answer, waiting for it at most until `deadline`.
    pub(crate) fn wait_until(&self, deadline: Instant) -> Option<T> {
        let mut place = self.value.lock();
        while place.is_none() {
            if self.known.wait_until(&mut place, deadline).timed_out() {
                break;
            }
        }
        place.take()
    }

    /// Takes the answer, waiting as long as it takes: for answers whose giver is bounded itself.
    pub(crate) fn wait(&self) -> T {
        let mut place = self.value.lock();
        loop {
            if let Some(value) = place.take() {
                return value;
            }
            self.known.wait(&mut place);
        }
    }

    /// Takes the answer if it is there.
    pub(crate) fn try_take(&self) -> Option<T> {
        self.value.lock().take()
    }
}
