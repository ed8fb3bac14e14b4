//! The handle that an application holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_protocol::{CursorAnswer, Device, Producer, ProducerSeq, RoomName};

use crate::check::Check;
use crate::cluster::Cluster;
use crate::cursor::CursorMove;
use crate::driver::{self, Closing, Feed, Flight, Handle};
use crate::error::{ClientError, Misuse, PublishError};
use crate::history::{History, HistoryRange};
use crate::losses::Losses;
use crate::message::{Message, Receipt};
use crate::options::ClientOptions;
use crate::pending::Pending;
use crate::session::Welcomed;
use crate::signal::{Signal, SignalRefusals};
use crate::subscription::{Follow, Subscription};

/// A session with a broker: publishes, subscribes and reads, over as many connections as it takes.
///
/// One background thread drives one connection. When it is lost the client connects again by itself, sends again what was
/// not acked (the broker admits it once) and resumes every subscription behind its last record. Clones share the session;
/// it ends with [`close`](Client::close), or when the last clone and the last [`Subscription`] and [`Pending`] are gone.
///
/// ```
/// # use antiphon_testing::TestBroker;
/// # let broker = TestBroker::start();
/// # let address = broker.address().to_string();
/// use antiphon_client::{Client, ClientOptions, Start};
///
/// // `address` is `127.0.0.1:7411` of a broker that was started with `antiphon serve`.
/// let client = Client::connect(ClientOptions::new(address).user("ann"))?;
/// let receipt = client.publish("lobby", "hello")?;
/// println!("durable as {}", receipt.seq);
/// for delivery in client.subscribe("lobby", Start::Last(10))?.take(1) {
///     println!("{:?}", delivery?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    handle: Arc<Handle>,
}

impl Client {
    /// Connects and waits for the broker's greeting.
    ///
    /// # Errors
    /// [`ClientError::Connect`]: no address answered (once round, or until
    /// [`connect_deadline`](ClientOptions::connect_deadline)). [`ClientError::Goaway`]: the broker does not take this
    /// session. [`ClientError::Misuse`]: the user name is none. [`ClientError::System`]: no thread, poll or randomness.
    pub fn connect(options: ClientOptions) -> Result<Client, ClientError> {
        let (handle, opening) = driver::start_thread(options)?;
        opening.wait()?;
        Ok(Client { handle })
    }

    /// Publishes and waits until the message is durable.
    ///
    /// Waits for a free place in the outbox first, if need be; both within
    /// [`publish_deadline`](ClientOptions::publish_deadline).
    ///
    /// # Errors
    /// See [`PublishError`]: `is_retryable` means that it certainly was not published, `is_unknown` that nobody can tell.
    pub fn publish(
        &self,
        room: &str,
        message: impl Into<Message>,
    ) -> Result<Receipt, PublishError> {
        self.publish_pipelined(room, message)?.wait()
    }

    /// Publishes without waiting for the receipt, so that many messages are on their way at once.
    ///
    /// The messages of a room keep their order whatever happens. Blocks while the outbox is full.
    ///
    /// ```
    /// # use antiphon_testing::TestBroker;
    /// # let broker = TestBroker::start();
    /// # let client = broker.client("ann");
    /// let pending: Vec<_> =
    ///     (0..100).map(|n| client.publish_pipelined("lobby", format!("{n}"))).collect::<Result<_, _>>()?;
    /// for receipt in pending {
    ///     receipt.wait()?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PublishError::Misuse`], [`TooLarge`](PublishError::TooLarge), [`Backpressure`](PublishError::Backpressure) and
    /// [`Closed`](PublishError::Closed); the others come from [`Pending::wait`].
    pub fn publish_pipelined(
        &self,
        room: &str,
        message: impl Into<Message>,
    ) -> Result<Pending, PublishError> {
        let publish = driver::prepare(&self.handle, room_name(room)?, message.into())?;
        Flight::begin(&self.handle, publish).map(Pending)
    }

    /// Follows a room: from now on, from a position, or with some of its past first, as one contiguous stream.
    ///
    /// A room that does not exist yet can be subscribed to; its first record will come. One subscription per room and
    /// client. Signals and cursors come along if they are asked for: see [`Follow`].
    ///
    /// # Errors
    /// [`ClientError::Diverged`] (the broker's history is not the one of the position), [`ClientError::Rejected`],
    /// [`ClientError::Misuse`] (subscribed already, no room name), [`ClientError::Timeout`], [`ClientError::Closed`].
    pub fn subscribe(
        &self,
        room: &str,
        follow: impl Into<Follow>,
    ) -> Result<Subscription, ClientError> {
        let opening = driver::open(&self.handle, room_name(room)?, follow.into())?;
        Feed::wait(&self.handle, opening).map(Subscription)
    }

    /// Reads at most `limit` records of a room's past.
    ///
    /// The broker answers at most some thousands of them at a time
    /// ([`history_records_max`](Client::history_records_max)); a larger `limit` is cut down to that.
    ///
    /// # Errors
    /// [`ClientError::Rejected`] (code NOT_FOUND: no such room), [`ClientError::HistoryTooLarge`],
    /// [`ClientError::Protocol`], [`ClientError::Timeout`], [`ClientError::Closed`], [`ClientError::Misuse`].
    pub fn history(
        &self,
        room: &str,
        range: HistoryRange,
        limit: u32,
    ) -> Result<History, ClientError> {
        driver::history(&self.handle, room_name(room)?, range, limit)?.wait()
    }

    /// The time until the broker answers; it has then taken everything sent before on this connection.
    ///
    /// # Errors
    /// [`ClientError::Disconnected`], [`ClientError::Timeout`], [`ClientError::Closed`].
    pub fn ping(&self) -> Result<Duration, ClientError> {
        let asked = Instant::now();
        driver::ping(&self.handle)?.wait()?;
        Ok(asked.elapsed())
    }

    /// Tells those who are in a room now; nobody who is away gets it, and nothing keeps it.
    ///
    /// Returns when it is on its way. The broker answers refusals alone (no such room; more than 64 a second), so they are
    /// counted in [`signal_refusals`](Client::signal_refusals). To hear signals, [`Follow::signals`](crate::Follow::signals).
    ///
    /// # Errors
    /// [`ClientError::Disconnected`] and [`ClientError::Backpressure`]: not sent, as it matters now or never.
    /// [`ClientError::Misuse`], [`ClientError::Timeout`], [`ClientError::Closed`].
    pub fn signal(&self, room: &str, signal: Signal) -> Result<(), ClientError> {
        driver::signal(&self.handle, room_name(room)?, signal)?.wait()
    }

    /// How many signals the broker has refused so far, and why the last one.
    #[must_use]
    pub fn signal_refusals(&self) -> SignalRefusals {
        self.handle.shared.signal_refusals()
    }

    /// Where my cursor with this name stands in a room, as it is committed, and where the room ends.
    ///
    /// ```
    /// # use antiphon_testing::TestBroker;
    /// # let broker = TestBroker::start();
    /// # let client = broker.client("ann");
    /// use antiphon_client::{Delivery, Start};
    ///
    /// # for n in 0..3 { client.publish("lobby", format!("{n}"))?; }
    /// assert_eq!(client.cursor("lobby", "read")?.unread(), 3);
    /// let mut lobby = client.subscribe("lobby", Start::Beginning)?;
    /// if let Some(Delivery::Record(record)) = lobby.next().transpose()? {
    ///     assert_eq!(client.set_cursor("lobby", "read", &record)?.unread(), 2);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As of [`set_cursor`](Client::set_cursor).
    pub fn cursor(&self, room: &str, name: &str) -> Result<CursorAnswer, ClientError> {
        driver::cursor(&self.handle, room_name(room)?, name, CursorMove::ASK)?.wait()
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
    pub fn set_cursor(
        &self,
        room: &str,
        name: &str,
        to: impl Into<CursorMove>,
    ) -> Result<CursorAnswer, ClientError> {
        driver::cursor(&self.handle, room_name(room)?, name, to.into())?.wait()
    }

    /// Proves that nothing is missing: the broker sums up what it has sent, the client what has come.
    ///
    /// If all [is complete](Check::is_complete), every record that was committed in a subscribed room before this call has come to
    /// the client (and waits in its [`Subscription`](crate::Subscription), if it was not taken yet). Else ask again a little later.
    /// The client checks by itself, too, once a keepalive, and connects anew if the sums differ.
    ///
    /// # Errors
    /// [`ClientError::Protocol`]: the sums differ, and the client connects anew. [`ClientError::NotServed`]: the broker is older.
    /// [`ClientError::Disconnected`], [`ClientError::Timeout`], [`ClientError::Closed`].
    pub fn check(&self) -> Result<Check, ClientError> {
        driver::check(&self.handle)?.wait()
    }

    /// Which brokers there are, and who leads what.
    ///
    /// # Errors
    /// [`ClientError::Rejected`], [`ClientError::Timeout`], [`ClientError::Closed`].
    pub fn cluster(&self) -> Result<Cluster, ClientError> {
        driver::cluster(&self.handle)?.wait()
    }

    /// The producer under which this client publishes now.
    ///
    /// Worth storing only if the client keeps it: [`ClientOptions::keep_producer`].
    #[must_use]
    pub fn producer(&self) -> Producer {
        self.welcomed().producer
    }

    /// The last producer number given to a message of this room, `ProducerSeq(0)` if none was.
    ///
    /// # Errors
    /// [`ClientError::Misuse`] if `room` is no room name, [`ClientError::Timeout`], [`ClientError::Closed`].
    pub fn producer_seq(&self, room: &str) -> Result<ProducerSeq, ClientError> {
        driver::producer_seq(&self.handle, room_name(room)?)?.wait()
    }

    /// How many connections this client has lost so far, and how much was unacked on them.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.handle.shared.losses()
    }

    /// The device number, drawn by the broker if none was given.
    #[must_use]
    pub fn device(&self) -> Device {
        self.welcomed().device
    }

    /// The user, as the broker knows it.
    #[must_use]
    pub fn user(&self) -> String {
        self.welcomed().user.clone()
    }

    /// The largest body that the broker takes, in bytes.
    #[must_use]
    pub fn body_bytes_max(&self) -> u32 {
        self.welcomed().body_bytes_max
    }

    /// The most records that one [`history`](Client::history) returns.
    #[must_use]
    pub fn history_records_max(&self) -> u32 {
        self.welcomed().fetch_records_max
    }

    /// Takes no more messages, waits until all are acked, and ends the session for every clone.
    ///
    /// # Errors
    /// [`CloseError`] if messages were still unacked when `patience` was over; each of them ends as
    /// [`PublishError::Unknown`] or, if it was never sent, as [`PublishError::Closed`].
    pub fn close(self, patience: Duration) -> Result<(), CloseError> {
        Closing::new(&self.handle).wait(patience)
    }

    fn welcomed(&self) -> Arc<Welcomed> {
        self.handle.welcomed()
    }
}

pub(crate) fn room_name(room: &str) -> Result<RoomName, Misuse> {
    RoomName::try_from(room).map_err(|_| Misuse::RoomName(room.into()))
}

/// The client is closed, and some messages have no receipt.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("closed with {unacked} messages unacked")]
#[non_exhaustive]
pub struct CloseError {
    /// How many.
    pub unacked: u32,
}
