//! A message on its way.

use std::sync::Arc;
use std::time::Instant;

use crate::driver::{Handle, Waiter};
use crate::error::{Doubt, PublishError};
use crate::limits::GIVE_UP_GRACE;
use crate::message::Receipt;
use crate::session::{Command, Ticket};

/// A message that was taken over, and whose receipt is to come.
///
/// Dropping it does not take the message back.
#[derive(Debug)]
#[must_use = "without its receipt nobody knows whether the message was published"]
pub struct Pending {
    pub(crate) handle: Arc<Handle>,
    pub(crate) ticket: Ticket,
    pub(crate) waiter: Arc<Waiter<Result<Receipt, PublishError>>>,
    pub(crate) deadline: Instant,
}

impl Pending {
    /// Waits for the receipt, until the publish deadline counted from the publish.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn wait(self) -> Result<Receipt, PublishError> {
        let deadline = self.deadline;
        self.wait_deadline(deadline)
    }

    /// Waits for the receipt until `deadline` instead.
    ///
    /// # Errors
    /// See [`PublishError`]. At the deadline a message that was never sent is taken back ([`PublishError::Timeout`]); of
    /// one that was sent nothing is known ([`PublishError::Unknown`]), and the client goes on trying to deliver it.
    pub fn wait_deadline(self, deadline: Instant) -> Result<Receipt, PublishError> {
        if let Some(result) = self.waiter.wait_until(deadline) {
            return result;
        }
        // The session alone knows whether the message was sent; it answers at once unless its thread is stuck.
        self.handle.post(Command::GiveUp {
            ticket: self.ticket,
        });
        let grace = Instant::now() + GIVE_UP_GRACE;
        self.waiter
            .wait_until(grace)
            .unwrap_or(Err(PublishError::Unknown(Doubt::Deadline)))
    }

    /// The receipt, if it has come; afterwards the `Pending` is spent and answers `None`.
    #[must_use]
    pub fn try_receipt(&mut self) -> Option<Result<Receipt, PublishError>> {
        self.waiter.try_take()
    }
}
