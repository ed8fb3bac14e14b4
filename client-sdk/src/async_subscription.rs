//! A room, followed by a task.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use crate::driver::Feed;
use crate::error::SubscribeError;
use crate::record::{Delivery, Position};
use crate::subscription::RoomHead;

/// The records of a room, one after the other, each exactly once, as a [`Stream`].
///
/// Everything that is said of [`Subscription`](crate::Subscription) holds: each record is checked, lost connections are
/// healed unseen, a slow application pauses the subscription and nothing else. After an error it is over.
///
/// **Cancellation.** A delivery leaves the subscription only when it is handed out, so `next` and `next_timeout` may be
/// dropped at any time (in a `select!`, say) and nothing is lost.
///
/// ```
/// # use antiphon_testing::TestBroker;
/// # let broker = TestBroker::start();
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use antiphon_client::{AsyncClient, Start};
///
/// let client = AsyncClient::connect(broker.options("ann")).await?;
/// let mut lobby = client.subscribe("lobby", Start::Live).await?;
/// client.publish("lobby", "hello").await?;
/// if let Some(delivery) = lobby.next().await {
///     println!("{:?}", delivery?.record());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AsyncSubscription(pub(crate) Feed);

impl AsyncSubscription {
    /// The room as it was at the beginning.
    #[must_use]
    pub fn head(&self) -> &RoomHead {
        &self.0.head
    }

    /// The position behind the last record yielded; give it to [`Start::After`](crate::Start::After) to go on later.
    #[must_use]
    pub fn position(&self) -> Position {
        self.0.position
    }

    /// The next delivery, as long as it takes; `None` behind the error that ended the subscription.
    pub async fn next(&mut self) -> Option<Result<Delivery, SubscribeError>> {
        poll_fn(|context| self.poll_delivery(context)).await
    }

    /// Waits at most `timeout` for the next delivery; `Ok(None)`: none came.
    ///
    /// # Errors
    /// Why the subscription is over; again at every further call.
    pub async fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Delivery>, SubscribeError> {
        let next = poll_fn(|context| self.0.poll_next(context));
        tokio::time::timeout(timeout, next)
            .await
            .unwrap_or(Ok(None))
    }

    fn poll_delivery(
        &mut self,
        context: &Context<'_>,
    ) -> Poll<Option<Result<Delivery, SubscribeError>>> {
        if self.0.is_over {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(self.0.poll_next(context));
        self.0.is_over = next.is_err();
        Poll::Ready(next.transpose())
    }
}

impl Stream for AsyncSubscription {
    type Item = Result<Delivery, SubscribeError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_delivery(context)
    }
}
