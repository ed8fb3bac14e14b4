//! A message on its way.

use std::time::{Duration, Instant};

use crate::driver::Flight;
use crate::error::PublishError;
use crate::message::Receipt;

/// A message that was taken over, and whose receipt is to come.
///
/// Dropping it does not take the message back. To wait for whichever of many comes first, give them to a
/// [`Receipts`](crate::Receipts).
///
/// ```
/// # use antiphon_testing::TestBroker;
/// # let broker = TestBroker::start();
/// # let client = broker.client("ann");
/// let first = client.publish_pipelined("lobby", "first")?;
/// let second = client.publish_pipelined("lobby", "second")?; // does not wait for the first
/// assert_eq!(first.wait()?.seq.0, 1);
/// assert_eq!(second.wait()?.seq.0, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "without its receipt nobody knows whether the message was published"]
pub struct Pending(pub(crate) Flight);

impl Pending {
    /// Waits for the receipt, until the publish deadline counted from the publish.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn wait(self) -> Result<Receipt, PublishError> {
        let deadline = self.0.deadline();
        self.wait_deadline(deadline)
    }

    /// Waits for the receipt until `deadline` instead.
    ///
    /// # Errors
    /// See [`PublishError`]. At the deadline a message that was never sent is taken back ([`PublishError::Timeout`]); of
    /// one that was sent nothing is known ([`PublishError::Unknown`]), and the client goes on trying to deliver it.
    pub fn wait_deadline(self, deadline: Instant) -> Result<Receipt, PublishError> {
        self.0.wait(deadline)
    }

    /// Waits for the receipt at most `timeout`, and gives nothing up if it has not come: for a thread that has to look at
    /// something else now and then. Afterwards the `Pending` is spent, as behind [`try_receipt`](Pending::try_receipt).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<Receipt, PublishError>> {
        self.0.look_until(Instant::now() + timeout)
    }

    /// The receipt, if it has come; afterwards the `Pending` is spent and answers `None`.
    #[must_use]
    pub fn try_receipt(&mut self) -> Option<Result<Receipt, PublishError>> {
        self.0.try_receipt()
    }
}
