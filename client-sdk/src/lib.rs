//! The client of the Antiphon broker: publish with a receipt that means durable, read rooms without missing anything.
//!
//! ```no_run
//! use antiphon_client::{Client, ClientOptions, Delivery, HistoryRange, Start};
//!
//! let client = Client::connect(ClientOptions::new("127.0.0.1:7411").user("ann"))?;
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
//! - Every wait has a deadline ([`ClientOptions`]), every buffer a bound that pushes back.
//!
//! # How it is built
//! `session` is a state machine without socket, thread, clock or randomness: everything is an argument. `driver` owns one
//! thread per [`Client`] with the socket and the clock, and moves bytes and answers between it and the callers.
#![forbid(unsafe_code)]

mod client;
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
mod record;
mod session;
mod subscription;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;

pub use antiphon_protocol::{
    Class, Code, Count, Device, GapReason, GoawayClass, Link, Namespace, Producer, ProducerSeq,
    RecordKind, RoomId, Seq, Timestamp,
};

pub use crate::client::{Client, CloseError};
pub use crate::error::{
    ClientError, Doubt, Misuse, PublishError, Rejection, SubscribeError, Violation,
};
pub use crate::headers::Headers;
pub use crate::history::{History, HistoryRange};
pub use crate::losses::Losses;
pub use crate::message::{Message, Receipt};
pub use crate::options::ClientOptions;
pub use crate::pending::Pending;
pub use crate::record::{Delivery, Gap, Position, Record};
pub use crate::subscription::{RoomHead, Start, Subscription};
