//! What a subscription has received and its application has not yet taken.

use std::collections::VecDeque;
use std::task::Waker;
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::SubscribeError;
use crate::limits::BESIDE_HELD;
use crate::options::Bounds;
use crate::record::Delivery;
use crate::session::{Command, Ticket};

/// Between the driver, which fills it, and one subscription, which empties it.
///
/// It has no bound of its own: the session counts what it delivered against what was reported as consumed, and stops.
#[derive(Debug)]
pub(crate) struct Deliveries {
    inner: Mutex<Inner>,
    changed: Condvar,
    report_records: u32,
    report_bytes: u64,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Delivery>,
    end: Option<SubscribeError>,
    /// Who does not block, and is to be told.
    waker: Option<Waker>,
    unreported_records: u32,
    unreported_bytes: u64,
    /// Signals and cursors.
    unreported_heard: u32,
}

impl Deliveries {
    pub(crate) fn new(bounds: Bounds) -> Deliveries {
        Deliveries {
            inner: Mutex::default(),
            changed: Condvar::new(),
            // Below the half at which the session resumes, or a pause could last for ever.
            report_records: (bounds.subscription_records / 4).max(1),
            report_bytes: (bounds.subscription_bytes / 4).max(1),
        }
    }

    /// Appends one delivery.
    pub(crate) fn push(&self, delivery: Delivery) {
        let mut inner = self.inner.lock();
        inner.queue.push_back(delivery);
        self.tell(inner);
    }

    /// Nothing more will come; what is queued can still be taken.
    pub(crate) fn end(&self, error: SubscribeError) {
        let mut inner = self.inner.lock();
        if inner.end.is_none() {
            inner.end = Some(error);
        }
        self.tell(inner);
    }

    /// Moves all that is queued into `taken`, waiting for something at most until `deadline`; false: nothing came.
    pub(crate) fn take_until(
        &self,
        deadline: Option<Instant>,
        taken: &mut VecDeque<Delivery>,
    ) -> Result<bool, SubscribeError> {
        let mut inner = self.inner.lock();
        loop {
            if !inner.queue.is_empty() {
                std::mem::swap(&mut inner.queue, taken);
                return Ok(true);
            }
            if let Some(error) = &inner.end {
                return Err(error.clone());
            }
            match deadline {
                None => self.changed.wait(&mut inner),
                Some(deadline) => {
                    if self.changed.wait_until(&mut inner, deadline).timed_out()
                        && inner.queue.is_empty()
                    {
                        return inner.end.clone().map_or(Ok(false), Err);
                    }
                }
            }
        }
    }

    /// Moves all that is queued into `taken`, or has the context woken when there is something.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_take(
        &self,
        context: &Context<'_>,
        taken: &mut VecDeque<Delivery>,
    ) -> Poll<Result<(), SubscribeError>> {
        let mut inner = self.inner.lock();
        if !inner.queue.is_empty() {
            std::mem::swap(&mut inner.queue, taken);
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = &inner.end {
            return Poll::Ready(Err(error.clone()));
        }
        inner.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn tell(&self, mut inner: MutexGuard<'_, Inner>) {
        let waker = inner.waker.take();
        drop(inner);
        self.changed.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Counts what the application took; now and then there is enough to tell the session.
    pub(crate) fn consumed(&self, ticket: Ticket, delivery: &Delivery) -> Option<Command> {
        let mut inner = self.inner.lock();
        if delivery.position().is_none() {
            inner.unreported_heard += 1;
            if inner.unreported_heard < BESIDE_HELD / 4 {
                return None;
            }
            let count = std::mem::take(&mut inner.unreported_heard);
            return Some(Command::Heard { ticket, count });
        }
        inner.unreported_records += 1;
        inner.unreported_bytes += delivery.held_bytes();
        if inner.unreported_records < self.report_records
            && inner.unreported_bytes < self.report_bytes
        {
            return None;
        }
        let records = std::mem::take(&mut inner.unreported_records);
        let bytes = std::mem::take(&mut inner.unreported_bytes);
        Some(Command::Consumed {
            ticket,
            records,
            bytes,
        })
    }
}
