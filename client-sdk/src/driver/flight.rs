//! A message that was taken over, until its receipt.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use antiphon_protocol::RoomName;

use crate::driver::answer::Answer;
use crate::driver::shared::{Handle, Publish};
use crate::error::{Doubt, Misuse, PublishError};
use crate::limits::{GIVE_UP_GRACE, PUBLISH_FIXED_BYTES};
use crate::message::{Message, Receipt};
use crate::options::ProducerChoice;
use crate::session::{Command, Outgoing, Ticket, Welcomed};

type ReceiptAnswer = Arc<Answer<Result<Receipt, PublishError>>>;

/// A message on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    handle: Arc<Handle>,
    ticket: Ticket,
    answer: ReceiptAnswer,
    deadline: Instant,
}

/// Looks at a message before it asks for a place, so that one that the broker would refuse never takes a number.
pub(crate) fn prepare(
    handle: &Handle,
    room: RoomName,
    message: Message,
) -> Result<Publish, PublishError> {
    let number = message.producer_seq;
    if number.is_some() && handle.options().producer == ProducerChoice::Automatic {
        return Err(Misuse::ProducerNotKept.into());
    }
    let outgoing = message.into_outgoing()?;
    check_size(&outgoing, &room, &handle.welcomed())?;
    Ok(Publish {
        bytes: outgoing.held_bytes(&room),
        room,
        outgoing,
        answer: Arc::new(Answer::new()),
    })
}

impl Flight {
    /// Takes a message over into the outbox, waiting for a place within the client's publish deadline.
    pub(crate) fn begin(handle: &Arc<Handle>, publish: Publish) -> Result<Flight, PublishError> {
        let deadline = Instant::now() + handle.options().publish_deadline;
        let answer = Arc::clone(&publish.answer);
        let ticket = handle.shared.publish(publish, deadline)?;
        Ok(Flight {
            handle: Arc::clone(handle),
            ticket,
            answer,
            deadline,
        })
    }

    /// The end of the publish deadline.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Waits for the receipt until `deadline`; gives up then.
    pub(crate) fn wait(self, deadline: Instant) -> Result<Receipt, PublishError> {
        if let Some(result) = self.answer.wait_until(deadline) {
            return result;
        }
        self.give_up();
        let answer = self.answer.wait_until(Instant::now() + GIVE_UP_GRACE);
        answer.unwrap_or(Err(PublishError::Unknown(Doubt::Deadline)))
    }

    /// Waits for the receipt until `deadline`, without giving up then.
    pub(crate) fn look_until(&self, deadline: Instant) -> Option<Result<Receipt, PublishError>> {
        self.answer.wait_until(deadline)
    }

    /// The receipt, if it has come.
    pub(crate) fn try_receipt(&self) -> Option<Result<Receipt, PublishError>> {
        self.answer.try_take()
    }

    /// Wakes `waker` once the receipt is there.
    pub(crate) fn wake_when_known(&self, waker: Waker) {
        self.answer.wake_when_known(waker);
    }

    /// The session alone knows whether the message was sent; it answers at once unless its driver is stuck.
    fn give_up(&self) {
        self.handle.post(Command::GiveUp {
            ticket: self.ticket,
        });
    }
}

#[cfg(feature = "tokio")]
mod tasks {
    //! The same, for a task.

    use std::future::poll_fn;

    use tokio::time::{Instant as Deadline, timeout, timeout_at};

    use super::*;

    /// A task that waits for a place; dropped, it waits no longer.
    struct Waiting<'a> {
        handle: &'a Handle,
        task: Option<Ticket>,
    }

    impl Drop for Waiting<'_> {
        fn drop(&mut self) {
            if let Some(task) = self.task {
                self.handle.shared.leave(task);
            }
        }
    }

    impl Flight {
        /// As [`Flight::begin`]. Dropped before its end, the message is not published.
        pub(crate) async fn begin_async(
            handle: &Arc<Handle>,
            publish: Publish,
        ) -> Result<Flight, PublishError> {
            let deadline = Instant::now() + handle.options().publish_deadline;
            let answer = Arc::clone(&publish.answer);
            let mut publish = Some(publish);
            let mut waiting = Waiting { handle, task: None };
            let place = poll_fn(|context| {
                let waker = context.waker();
                handle
                    .shared
                    .poll_publish(&mut publish, &mut waiting.task, waker)
            });
            let ticket = timeout_at(Deadline::from_std(deadline), place)
                .await
                .unwrap_or(Err(PublishError::Backpressure))?;
            Ok(Flight {
                handle: Arc::clone(handle),
                ticket,
                answer,
                deadline,
            })
        }

        /// As [`Flight::wait`]. Dropped before its end, the message is published all the same.
        pub(crate) async fn receipt(self, deadline: Instant) -> Result<Receipt, PublishError> {
            let answer = || poll_fn(|context| self.answer.poll(context));
            if let Ok(result) = timeout_at(Deadline::from_std(deadline), answer()).await {
                return result;
            }
            self.give_up();
            let answer = timeout(GIVE_UP_GRACE, answer()).await;
            answer.unwrap_or(Err(PublishError::Unknown(Doubt::Deadline)))
        }
    }
}

fn check_size(
    outgoing: &Outgoing,
    room: &RoomName,
    welcomed: &Welcomed,
) -> Result<(), PublishError> {
    let (body, headers) = (outgoing.body.len() as u64, outgoing.headers.len() as u64);
    let frame = PUBLISH_FIXED_BYTES + room.as_bytes().len() as u64 + headers + body;
    let parts = [
        ("body", body, welcomed.body_bytes_max),
        ("headers", headers, welcomed.headers_bytes_max),
        ("frame", frame, welcomed.frame_bytes_max),
    ];
    for (part, bytes, bytes_max) in parts {
        let bytes_max = u64::from(bytes_max);
        if bytes > bytes_max {
            return Err(PublishError::TooLarge {
                part,
                bytes,
                bytes_max,
            });
        }
    }
    Ok(())
}
