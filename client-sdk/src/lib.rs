//! The client of the Antiphon broker: publish with a receipt that means durable, read rooms without missing anything.
//!
//! ```
//! # use antiphon_testing::TestBroker;
//! # let broker = TestBroker::start();
//! # let address = broker.address().to_string();
//! use antiphon_client::{Client, ClientOptions, Delivery, HistoryRange, Start};
//!
//! // `address` is `127.0.0.1:7411` of a broker that was started with `antiphon serve`.
//! let client = Client::connect(ClientOptions::new(address).user("ann"))?;
//!
//! // Returns when the message is synced to disk; after a lost connection it is sent again and still stored once.
//! let receipt = client.publish("lobby", "hello")?;
//! println!("{} is record {} of the room", receipt.producer_seq, receipt.seq);
//!
//! // The past, then the present, as one contiguous stream whose every record is checked.
//! let mut lobby = client.subscribe("lobby", Start::Last(20))?;
//! if let Some(Ok(Delivery::Record(record))) = lobby.next() {
//!     println!("{}: {}", record.sender_text(), record.text());
//! }
//!
//! let past = client.history("lobby", HistoryRange::Latest, 100)?;
//! println!("{} records, the head is {}", past.records.len(), past.head_seq);
//! client.close(std::time::Duration::from_secs(5))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//! - A [`Receipt`] means that the record is durable, and tells its place for ever.
//! - Every message takes effect once, over retries, reconnects and restarts of the broker. Where that cannot be known any
//!   more the answer is [`PublishError::Unknown`], never a guess.
//! - A [`Subscription`] yields every record of its room once, in order, or an explicit [`Gap`]; a history that does not fit
//!   what was read before ends it with an error.
//! - Every wait has a deadline ([`ClientOptions`]), every buffer a bound that pushes back; signals are dropped at it, and counted.
//!
//! # Beside records
//! A subscription brings signals (typing, presence) and cursors (how far somebody has read) if it [`Follow`]s them;
//! [`Client::signal`] and [`Client::set_cursor`] send them, [`Client::cursor`] tells how much is unread, and [`Client::check`]
//! proves that nothing is missing. Edits, redactions, reactions and pins are messages that refer to another one:
//! [`Message::edit`], [`Message::redact`], [`Message::reaction`] and [`Message::pin`].
//!
//! # Threads or tasks
//! [`Client`] blocks and owns one thread. With the feature `tokio`, `AsyncClient` offers the same calls to tasks, and lives as
//! one task on the runtime that it was connected in. Both drive the same session, so everything said here holds for both.
//!
//! # Tests of your own
//! The crate `antiphon-testing` starts a real broker inside a test, and kills, pauses or cuts it.
//!
//! # How it is built
//! `session` is a state machine without socket, thread, clock or randomness: everything is an argument. `driver` owns the
//! socket and the clock, and moves bytes and answers between the session and the callers.
#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
mod async_client;
#[cfg(feature = "tokio")]
mod async_pending;
#[cfg(feature = "tokio")]
mod async_subscription;
mod check;
mod client;
mod cluster;
mod cursor;
mod driver;
mod error;
#[cfg(test)]
mod fake_broker;
mod headers;
mod history;
mod limits;
mod losses;
mod message;
mod options;
mod pending;
#[cfg(not(feature = "planted-bugs"))]
mod planted;
#[cfg(feature = "planted-bugs")]
pub mod planted;
mod receipts;
mod record;
mod session;
mod signal;
mod subscription;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;

pub use antiphon_protocol::{
    Class, Code, Count, CursorAnswer, CursorPosition, CursorScope, Device, GapReason, GoawayClass,
    Link, Namespace, NodeId, Producer, ProducerSeq, RecordKind, RoomId, Seq, Timestamp,
};

#[cfg(feature = "tokio")]
pub use crate::async_client::AsyncClient;
#[cfg(feature = "tokio")]
pub use crate::async_pending::AsyncPending;
#[cfg(feature = "tokio")]
pub use crate::async_subscription::AsyncSubscription;
pub use crate::check::Check;
pub use crate::client::{Client, CloseError};
pub use crate::cluster::{Cluster, ClusterNode};
pub use crate::cursor::{CursorMove, CursorMoved, CursorName};
pub use crate::error::{
    ClientError, Doubt, Misuse, PublishError, Rejection, SubscribeError, Violation,
};
pub use crate::headers::Headers;
pub use crate::history::{History, HistoryRange};
pub use crate::losses::Losses;
pub use crate::message::{Message, Receipt};
pub use crate::options::ClientOptions;
pub use crate::pending::Pending;
pub use crate::receipts::Receipts;
pub use crate::record::{Delivery, Gap, Position, PositionError, Record};
pub use crate::signal::{Signal, SignalHeard, SignalRefusals};
pub use crate::subscription::{Follow, RoomHead, Start, Subscription};
