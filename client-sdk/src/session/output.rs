//! What comes out of a session.

use antiphon_protocol::{CursorAnswer, Device, Producer, ProducerSeq};

use crate::check::Check;
use crate::cluster::Cluster;
use crate::error::{ClientError, PublishError, Rejection, SubscribeError};
use crate::history::History;
use crate::message::Receipt;
use crate::record::{Delivery, Position};
use crate::session::input::Ticket;
use crate::subscription::RoomHead;

/// One thing for the driver to do. Bytes to send are not among them: they wait in one flat buffer.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// Connect to this address; answer with `Connected` or `ConnectFailed`.
    Connect(String),
    /// Drop the connection at hand, or the attempt; no answer.
    Disconnect,
    /// Something for the application.
    Event(Event),
}

/// What the application learns.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// The broker greeted; again after every reconnect.
    Welcomed(Welcomed),
    /// An attempt to connect, or a connection, came to nothing; the session goes on trying.
    ConnectionFailed(ClientError),
    /// The end of a publish.
    Published(Ticket, Result<Receipt, PublishError>),
    /// These places of the outbox are free again.
    Released { messages: u32, bytes: u64 },
    /// The subscription stands, and goes on behind this position.
    Subscribed(Ticket, RoomHead, Position),
    /// The subscription cannot be had, or is over.
    SubscriptionOver(Ticket, SubscribeError),
    /// The next delivery of a subscription.
    Delivered(Ticket, Delivery),
    /// The end of a fetch.
    Fetched(Ticket, Result<History, ClientError>),
    /// The end of a ping; or a signal was sent, or never will be.
    Done(Ticket, Result<(), ClientError>),
    /// The end of a check.
    Checked(Ticket, Result<Check, ClientError>),
    /// Where a cursor stands.
    CursorAnswered(Ticket, Result<CursorAnswer, ClientError>),
    /// Which brokers there are.
    ClusterTold(Ticket, Result<Cluster, ClientError>),
    /// The broker refused a signal.
    SignalRefused(Rejection),
    /// The number asked for.
    ProducerSeq(Ticket, ProducerSeq),
    /// The session is over; nothing follows.
    Closed { reason: ClientError, unacked: u32 },
}

/// What the broker told in its greeting.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Welcomed {
    /// The producer of the session.
    pub(crate) producer: Producer,
    /// The user as the broker knows it.
    pub(crate) user: String,
    /// The device number.
    pub(crate) device: Device,
    /// Largest frame, its header not counted.
    pub(crate) frame_bytes_max: u32,
    /// Largest body of a message.
    pub(crate) body_bytes_max: u32,
    /// Largest headers of a message.
    pub(crate) headers_bytes_max: u32,
    /// Most records of one fetch.
    pub(crate) fetch_records_max: u32,
}
