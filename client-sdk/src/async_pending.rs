//! A message on its way, for a task.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Instant;

use crate::driver::Flight;
use crate::error::PublishError;
use crate::message::Receipt;

/// A message that was taken over, and whose receipt is to come; `.await` it.
///
/// Dropping it does not take the message back: it is published all the same, and only nobody learns of it.
///
/// ```
/// # use antiphon_testing::TestBroker;
/// # use antiphon_client::AsyncClient;
/// # let broker = TestBroker::start();
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let client = AsyncClient::connect(broker.options("ann")).await?;
/// let first = client.publish_pipelined("lobby", "first").await?;
/// let second = client.publish_pipelined("lobby", "second").await?; // does not wait for the first
/// assert_eq!(first.await?.seq.0, 1);
/// assert_eq!(second.await?.seq.0, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "without its receipt nobody knows whether the message was published"]
pub struct AsyncPending(pub(crate) Flight);

impl AsyncPending {
    /// Waits for the receipt, until the publish deadline counted from the publish.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn wait(self) -> Result<Receipt, PublishError> {
        let deadline = self.0.deadline();
        self.wait_deadline(deadline).await
    }

    /// Waits for the receipt until `deadline` instead.
    ///
    /// # Errors
    /// See [`PublishError`]. At the deadline a message that was never sent is taken back ([`PublishError::Timeout`]); of
    /// one that was sent nothing is known ([`PublishError::Unknown`]), and the client goes on trying to deliver it.
    pub async fn wait_deadline(self, deadline: Instant) -> Result<Receipt, PublishError> {
        self.0.receipt(deadline).await
    }

    /// The receipt, if it has come; afterwards the `AsyncPending` is spent and answers `None`.
    #[must_use]
    pub fn try_receipt(&mut self) -> Option<Result<Receipt, PublishError>> {
        self.0.try_receipt()
    }
}

impl IntoFuture for AsyncPending {
    type Output = Result<Receipt, PublishError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// As [`wait`](AsyncPending::wait).
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}
