//! A place where one answer is awaited: by a thread, by a task, or by a [`Receipts`](crate::Receipts) among many.

use std::task::Waker;
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Holds an answer from when it is known until it is taken.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    place: Mutex<Place<T>>,
    known: Condvar,
}

#[derive(Debug)]
struct Place<T> {
    value: Option<T>,
    /// Who does not block, and is to be told.
    waker: Option<Waker>,
}

impl<T> Answer<T> {
    pub(crate) fn new() -> Answer<T> {
        Answer {
            place: Mutex::new(Place {
                value: None,
                waker: None,
            }),
            known: Condvar::new(),
        }
    }

    /// Gives the answer; the first one counts, so that a late one cannot contradict it.
    pub(crate) fn complete(&self, value: T) {
        let mut place = self.place.lock();
        if place.value.is_none() {
            place.value = Some(value);
        }
        let waker = place.waker.take();
        drop(place);
        self.known.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the answer, waiting for it at most until `deadline`.
    pub(crate) fn wait_until(&self, deadline: Instant) -> Option<T> {
        let mut place = self.place.lock();
        while place.value.is_none() {
            if self.known.wait_until(&mut place, deadline).timed_out() {
                break;
            }
        }
        place.value.take()
    }

    /// Takes the answer, waiting as long as it takes: for answers whose giver is bounded itself.
    pub(crate) fn wait(&self) -> T {
        let mut place = self.place.lock();
        loop {
            if let Some(value) = place.value.take() {
                return value;
            }
            self.known.wait(&mut place);
        }
    }

    /// Takes the answer if it is there; else the context is woken when it is.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<T> {
        let mut place = self.place.lock();
        match place.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                place.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Wakes `waker` once the answer is there, also if it is by now.
    pub(crate) fn wake_when_known(&self, waker: Waker) {
        let mut place = self.place.lock();
        if place.value.is_some() {
            drop(place);
            waker.wake();
        } else {
            place.waker = Some(waker);
        }
    }

    /// Takes the answer if it is there.
    pub(crate) fn try_take(&self) -> Option<T> {
        self.place.lock().value.take()
    }
}
