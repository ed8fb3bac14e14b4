//! How a client connects, waits and bounds itself.

use std::time::Duration;

use antiphon_protocol::{Device, Namespace, Producer, ProducerSeq};

use crate::limits;

/// Everything a [`Client`](crate::Client) can be told before it connects.
///
/// ```
/// use std::time::Duration;
/// use antiphon_client::ClientOptions;
///
/// let options = ClientOptions::new("127.0.0.1:7411")
///     .address("127.0.0.1:7401")
///     .user("ann")
///     .request_deadline(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct ClientOptions {
    pub(crate) addresses: Vec<String>,
    pub(crate) user: String,
    pub(crate) namespace: Namespace,
    pub(crate) device: Device,
    pub(crate) keepalive: Duration,
    pub(crate) client_name: String,
    pub(crate) producer: ProducerChoice,
    pub(crate) producer_seqs: Vec<(String, ProducerSeq)>,
    pub(crate) connect_timeout: Duration,
    pub(crate) connect_deadline: Duration,
    pub(crate) request_deadline: Duration,
    pub(crate) publish_deadline: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) bounds: Bounds,
}

/// Where the client's producer comes from, and whether it may change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProducerChoice {
    /// Drawn by the broker; replaced by a new one whenever exactly-once asks for it.
    Automatic,
    /// Drawn by the broker at the first connection, then kept for good.
    Keep,
    /// Named by the application and kept for good.
    Named(Producer),
}

/// How long to wait between two attempts to connect, or to repeat a refused request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Backoff {
    /// Upper end of the first wait.
    pub(crate) first: Duration,
    /// Upper end of every wait; a longer `retry_after` of the broker wins.
    pub(crate) max: Duration,
}

/// What the client may hold in memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) outbox_messages: u32,
    pub(crate) outbox_bytes: u64,
    pub(crate) subscription_records: u32,
    pub(crate) subscription_bytes: u64,
}

impl ClientOptions {
    /// A client of the broker at `address` (`host:port`).
    pub fn new(address: impl Into<String>) -> ClientOptions {
        ClientOptions {
            addresses: vec![address.into()],
            user: "anonymous".into(),
            namespace: Namespace(0),
            device: Device(0),
            keepalive: Duration::ZERO,
            client_name: concat!("antiphon-client/", env!("CARGO_PKG_VERSION")).into(),
            producer: ProducerChoice::Automatic,
            producer_seqs: Vec::new(),
            connect_timeout: limits::CONNECT_TIMEOUT,
            connect_deadline: Duration::ZERO,
            request_deadline: limits::REQUEST_DEADLINE,
            publish_deadline: limits::PUBLISH_DEADLINE,
            backoff: Backoff {
                first: limits::BACKOFF_FIRST,
                max: limits::BACKOFF_MAX,
            },
            bounds: Bounds {
                outbox_messages: limits::OUTBOX_MESSAGES,
                outbox_bytes: limits::OUTBOX_BYTES,
                subscription_records: limits::SUBSCRIPTION_RECORDS,
                subscription_bytes: limits::SUBSCRIPTION_BYTES,
            },
        }
    }

    /// One more address of the same broker; they are tried in turn.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// The user to act as: 1 to 64 bytes without control characters.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// The tenant; 0 is the only one a broker without tenants knows.
    #[must_use]
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Tells this device of the user apart from the others; 0 lets the broker draw a number.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// How often to send something at least; zero takes the broker's default.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Duration) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// Name and version of the program, told to the broker; cut at 64 bytes.
    #[must_use]
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = name.into();
        self
    }

    /// Goes on with a producer that an earlier client was issued ([`Client::producer`](crate::Client::producer)).
    ///
    /// The client keeps it whatever happens. Together with the same numbers for the same messages (see
    /// [`producer_seqs`](Self::producer_seqs) and [`Message::producer_seq`](crate::Message::producer_seq)) a program that
    /// was killed can publish everything again: what the broker has is answered by its first receipt, flagged
    /// [`duplicate`](crate::Receipt::duplicate). A broker accepts a producer for 7 days after its birth.
    #[must_use]
    pub fn producer(mut self, producer: Producer) -> Self {
        self.producer = ProducerChoice::Named(producer);
        self
    }

    /// Lets the broker draw the producer, but never changes it afterwards, so that it is worth storing.
    ///
    /// Without this (and without [`producer`](Self::producer)) the client takes a new producer by itself when the old one
    /// is 6 days old, or when only a new one keeps "exactly once" true.
    #[must_use]
    pub fn keep_producer(mut self) -> Self {
        if self.producer == ProducerChoice::Automatic {
            self.producer = ProducerChoice::Keep;
        }
        self
    }

    /// The last number that a resumed producer has used in each room; rooms not named here start at 1.
    #[must_use]
    pub fn producer_seqs<R: Into<String>>(
        mut self,
        last: impl IntoIterator<Item = (R, ProducerSeq)>,
    ) -> Self {
        self.producer_seqs
            .extend(last.into_iter().map(|(room, seq)| (room.into(), seq)));
        self
    }

    /// How long one address may take to accept the connection and greet.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long [`Client::connect`](crate::Client::connect) keeps trying. Zero (the default): every address once.
    #[must_use]
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect_deadline = deadline;
        self
    }

    /// How long subscribe, history and ping may take, reconnects included.
    #[must_use]
    pub fn request_deadline(mut self, deadline: Duration) -> Self {
        self.request_deadline = deadline;
        self
    }

    /// How long a publish may take, the wait for a free place in the outbox and reconnects included.
    #[must_use]
    pub fn publish_deadline(mut self, deadline: Duration) -> Self {
        self.publish_deadline = deadline;
        self
    }

    /// The longest first wait and the longest wait at all between attempts; waits are jittered and double.
    #[must_use]
    pub fn backoff(mut self, first: Duration, max: Duration) -> Self {
        self.backoff = Backoff {
            first,
            max: max.max(first),
        };
        self
    }

    /// How many unacked messages, and how many bytes of them, the client holds before publish blocks.
    #[must_use]
    pub fn outbox_bounds(mut self, messages: u32, bytes: u64) -> Self {
        self.bounds.outbox_messages = messages.max(1);
        self.bounds.outbox_bytes = bytes.max(1);
        self
    }

    /// How many undelivered records, and how many bytes of them, each subscription holds before it pauses.
    #[must_use]
    pub fn subscription_bounds(mut self, records: u32, bytes: u64) -> Self {
        self.bounds.subscription_records = records.max(1);
        self.bounds.subscription_bytes = bytes.max(1);
        self
    }
}
