//! The handle that a task holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_protocol::{Device, Producer, ProducerSeq};

use crate::async_pending::AsyncPending;
use crate::async_subscription::AsyncSubscription;
use crate::client::{CloseError, room_name};
use crate::driver::{self, Closing, Feed, Flight, Handle};
use crate::error::{ClientError, PublishError};
use crate::history::{History, HistoryRange};
use crate::losses::Losses;
use crate::message::{Message, Receipt};
use crate::options::ClientOptions;
use crate::subscription::Start;

/// A session with a broker, for programs on a tokio runtime: as [`Client`](crate::Client), with calls to `.await`.
///
/// One task of the runtime drives one connection; there is no thread beside the runtime's own. The runtime needs its I/O and
/// time drivers (`enable_all`). Clones share the session; it ends with [`close`](AsyncClient::close), or when the last clone
/// and the last [`AsyncSubscription`] and [`AsyncPending`] are gone.
///
/// **Cancellation.** Every call may be dropped at any time. A request (`subscribe`, `history`, `ping`) is taken back. A
/// `publish` that still waits for a place in the outbox is not published; one that has its place is published all the same,
/// in the order of its room, and only its receipt is lost.
///
/// **Pushing back.** While the outbox is full `publish` waits, within its deadline; a subscription holds no more than its
/// bounds. Both are set in [`ClientOptions`].
///
/// ```
/// # use antiphon_testing::TestBroker;
/// # let broker = TestBroker::start();
/// # let address = broker.address().to_string();
/// use antiphon_client::{AsyncClient, ClientOptions, HistoryRange, Start};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let client = AsyncClient::connect(ClientOptions::new(address).user("ann")).await?;
/// let receipt = client.publish("lobby", "hello").await?; // durable
/// let mut lobby = client.subscribe("lobby", Start::Last(10)).await?; // a Stream
/// assert_eq!(lobby.next().await.ok_or("over")??.position(), receipt.position().ok_or("none")?);
/// let past = client.history("lobby", HistoryRange::Latest, 100).await?;
/// assert_eq!(past.head_seq, receipt.seq);
/// client.close(std::time::Duration::from_secs(5)).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AsyncClient {
    handle: Arc<Handle>,
}

impl AsyncClient {
    /// Connects and waits for the broker's greeting; from then on a task of this runtime drives the connection.
    ///
    /// # Errors
    /// [`ClientError::Connect`]: no address answered (once round, or until
    /// [`connect_deadline`](ClientOptions::connect_deadline)). [`ClientError::Goaway`]: the broker does not take this
    /// session. [`ClientError::Misuse`]: the user name is none. [`ClientError::System`]: no randomness, or no runtime.
    ///
    /// # Panics
    /// The runtime has no I/O or time driver.
    pub async fn connect(options: ClientOptions) -> Result<AsyncClient, ClientError> {
        let (handle, opening) = driver::start_task(options)?;
        std::future::poll_fn(|context| opening.poll(context)).await?;
        Ok(AsyncClient { handle })
    }

    /// Publishes and waits until the message is durable.
    ///
    /// Waits for a free place in the outbox first, if need be; both within
    /// [`publish_deadline`](ClientOptions::publish_deadline).
    ///
    /// # Errors
    /// See [`PublishError`]: `is_retryable` means that it certainly was not published, `is_unknown` that nobody can tell.
    pub async fn publish(
        &self,
        room: &str,
        message: impl Into<Message>,
    ) -> Result<Receipt, PublishError> {
        self.publish_pipelined(room, message).await?.wait().await
    }

    /// Publishes without waiting for the receipt, so that many messages are on their way at once.
    ///
    /// The messages of a room keep the order in which they got their places, whatever happens. Waits while the outbox is full.
    ///
    /// # Errors
    /// [`PublishError::Misuse`], [`TooLarge`](PublishError::TooLarge), [`Backpressure`](PublishError::Backpressure) and
    /// [`Closed`](PublishError::Closed); the others come from the [`AsyncPending`].
    pub async fn publish_pipelined(
        &self,
        room: &str,
        message: impl Into<Message>,
    ) -> Result<AsyncPending, PublishError> {
        let publish = driver::prepare(&self.handle, room_name(room)?, message.into())?;
        Flight::begin_async(&self.handle, publish)
            .await
            .map(AsyncPending)
    }

    /// Follows a room: from now on, from a position, or with some of its past first, as one contiguous stream.
    ///
    /// A room that does not exist yet can be subscribed to; its first record will come. One subscription per room and
    /// client.
    ///
    /// # Errors
    /// As of [`Client::subscribe`](crate::Client::subscribe).
    pub async fn subscribe(
        &self,
        room: &str,
        start: Start,
    ) -> Result<AsyncSubscription, ClientError> {
        let opening = driver::open(&self.handle, room_name(room)?, start)?;
        Feed::answer(&self.handle, opening)
            .await
            .map(AsyncSubscription)
    }

    /// Reads at most `limit` records of a room's past, and no more than the broker gives at a time.
    ///
    /// # Errors
    /// As of [`Client::history`](crate::Client::history).
    pub async fn history(
        &self,
        room: &str,
        range: HistoryRange,
        limit: u32,
    ) -> Result<History, ClientError> {
        driver::history(&self.handle, room_name(room)?, range, limit)?
            .answer()
            .await
    }

    /// The time until the broker answers; it has then taken everything sent before on this connection.
    ///
    /// # Errors
    /// [`ClientError::Disconnected`], [`ClientError::Timeout`], [`ClientError::Closed`].
    pub async fn ping(&self) -> Result<Duration, ClientError> {
        let asked = Instant::now();
        driver::ping(&self.handle)?.answer().await?;
        Ok(asked.elapsed())
    }

    /// The last producer number given to a message of this room, `ProducerSeq(0)` if none was.
    ///
    /// # Errors
    /// [`ClientError::Misuse`] if `room` is no room name, [`ClientError::Timeout`], [`ClientError::Closed`].
    pub async fn producer_seq(&self, room: &str) -> Result<ProducerSeq, ClientError> {
        driver::producer_seq(&self.handle, room_name(room)?)?
            .answer()
            .await
    }

    /// The producer under which this client publishes now.
    #[must_use]
    pub fn producer(&self) -> Producer {
        self.handle.welcomed().producer
    }

    /// The device number, drawn by the broker if none was given.
    #[must_use]
    pub fn device(&self) -> Device {
        self.handle.welcomed().device
    }

    /// The user, as the broker knows it.
    #[must_use]
    pub fn user(&self) -> String {
        self.handle.welcomed().user.clone()
    }

    /// How many connections this client has lost so far, and how much was unacked on them.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.handle.shared.losses()
    }

    /// The largest body that the broker takes, in bytes.
    #[must_use]
    pub fn body_bytes_max(&self) -> u32 {
        self.handle.welcomed().body_bytes_max
    }

    /// The most records that one [`history`](AsyncClient::history) returns.
    #[must_use]
    pub fn history_records_max(&self) -> u32 {
        self.handle.welcomed().fetch_records_max
    }

    /// Takes no more messages, waits until all are acked, and ends the session for every clone.
    ///
    /// Dropped before its end, it goes on by itself, without a limit to its patience as long as a handle lives.
    ///
    /// # Errors
    /// [`CloseError`] if messages were still unacked when `patience` was over; each of them ends as
    /// [`PublishError::Unknown`] or, if it was never sent, as [`PublishError::Closed`].
    pub async fn close(self, patience: Duration) -> Result<(), CloseError> {
        Closing::new(&self.handle).answer(patience).await
    }
}
