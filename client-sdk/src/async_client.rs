//! The handle that a task holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_protocol::{CursorAnswer, Device, Producer, ProducerSeq};

use crate::async_pending::AsyncPending;
use crate::async_subscription::AsyncSubscription;
use crate::check::Check;
use crate::client::{CloseError, room_name};
use crate::cluster::Cluster;
use crate::cursor::CursorMove;
use crate::driver::{self, Closing, Feed, Flight, Handle};
use crate::error::{ClientError, PublishError};
use crate::history::{History, HistoryRange};
use crate::losses::Losses;
use crate::message::{Message, Receipt};
use crate::options::ClientOptions;
use crate::signal::{Signal, SignalRefusals};
use crate::subscription::Follow;

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
/// assert_eq!(lobby.next().await.ok_or("over")??.position(), receipt.position());
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
        follow: impl Into<Follow>,
    ) -> Result<AsyncSubscription, ClientError> {
        let opening = driver::open(&self.handle, room_name(room)?, follow.into())?;
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

    /// Tells those who are in a room now; nobody who is away gets it, and nothing keeps it.
    ///
    /// Returns when it is on its way. The broker answers refusals alone (no such room; more than 64 a second), so they are
    /// counted in [`signal_refusals`](AsyncClient::signal_refusals). To hear signals, [`Follow::signals`](crate::Follow::signals).
    ///
    /// # Errors
    /// [`ClientError::Disconnected`] and [`ClientError::Backpressure`]: not sent, as it matters now or never.
    /// [`ClientError::Misuse`], [`ClientError::Timeout`], [`ClientError::Closed`].
    pub async fn signal(&self, room: &str, signal: Signal) -> Result<(), ClientError> {
        driver::signal(&self.handle, room_name(room)?, signal)?
            .answer()
            .await
    }

    /// How many signals the broker has refused so far, and why the last one.
    #[must_use]
    pub fn signal_refusals(&self) -> SignalRefusals {
        self.handle.shared.signal_refusals()
    }

    /// Where my cursor with this name stands in a room, as it is committed, and where the room ends.
    ///
    /// # Errors
    /// As of [`set_cursor`](AsyncClient::set_cursor).
    pub async fn cursor(&self, room: &str, name: &str) -> Result<CursorAnswer, ClientError> {
        driver::cursor(&self.handle, room_name(room)?, name, CursorMove::ASK)?
            .answer()
            .await
    }

    /// Moves my cursor with this name up to a record that was read; all devices of a user share it.
    ///
    /// It never goes back: the answer tells where it stands. A private cursor is told to the user's own devices, one for
    /// [`members`](CursorMove::members) to everybody in the room who asked for [`cursors`](crate::Follow::cursors). The broker
    /// writes cursors down every 2 s; with [`sync`](CursorMove::sync) the answer comes after that.
    ///
    /// # Errors
    /// [`ClientError::Rejected`] (code CONFLICT: above the room's head, or no record has that count; NOT_FOUND: no such room;
    /// LIMIT: too many cursors), [`ClientError::Misuse`], [`ClientError::Timeout`], [`ClientError::Closed`].
    pub async fn set_cursor(
        &self,
        room: &str,
        name: &str,
        to: impl Into<CursorMove>,
    ) -> Result<CursorAnswer, ClientError> {
        driver::cursor(&self.handle, room_name(room)?, name, to.into())?
            .answer()
            .await
    }

    /// Proves that nothing is missing: the broker sums up what it has sent, the client what has come.
    ///
    /// If all [is complete](Check::is_complete), every record that was committed in a subscribed room before this call has come to
    /// the client (and waits in its [`AsyncSubscription`](crate::AsyncSubscription), if it was not taken yet). Else ask again a little later.
    /// The client checks by itself, too, once a keepalive, and connects anew if the sums differ.
    ///
    /// # Errors
    /// [`ClientError::Protocol`]: the sums differ, and the client connects anew. [`ClientError::NotServed`]: the broker is older.
    /// [`ClientError::Disconnected`], [`ClientError::Timeout`], [`ClientError::Closed`].
    pub async fn check(&self) -> Result<Check, ClientError> {
        driver::check(&self.handle)?.answer().await
    }

    /// Which brokers there are, and who leads what.
    ///
    /// # Errors
    /// [`ClientError::Rejected`], [`ClientError::Timeout`], [`ClientError::Closed`].
    pub async fn cluster(&self) -> Result<Cluster, ClientError> {
        driver::cluster(&self.handle)?.answer().await
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
