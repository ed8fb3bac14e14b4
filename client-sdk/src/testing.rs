//! The session without its driver, for a simulator that owns the clock and the network. Compiled with the feature `testing`.
//!
//! It is what the background thread of a [`Client`](crate::Client) runs, no more: the caller moves the bytes, keeps the time, and bounds what it pushes.
//! Times are milliseconds of a clock that never steps back; tickets are the caller's, ascending, never reused.

use std::io;

use antiphon_protocol::{CursorAnswer, Producer, ProducerSeq, RoomName, UserName};

use crate::check::Check;
use crate::cluster::Cluster;
use crate::cursor::{CursorMove, CursorName};
use crate::error::{ClientError, Misuse, PublishError, Rejection, SubscribeError};
use crate::history::{History, HistoryRange};
use crate::losses::Losses;
use crate::message::{Message, Receipt};
use crate::options::ClientOptions;
use crate::record::{Delivery, Position};
use crate::session::{Ask, Command, Event, Input, Mono, Output, Session, Ticket};
use crate::signal::Signal;
use crate::subscription::{Follow, RoomHead};

/// A client's whole state, driven by hand.
#[derive(Debug)]
pub struct BareSession(Session);

/// What a [`BareSession`] wants done, or tells.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// Connect to this address.
    Connect(String),
    /// Drop the connection at hand, or the attempt.
    Disconnect,
    /// The broker greeted, and this is the producer from now on.
    Welcomed(Producer),
    /// A connection, or an attempt, came to nothing; the session goes on trying.
    ConnectionFailed(ClientError),
    /// The end of a publish.
    Published(u64, Result<Receipt, PublishError>),
    /// Places of the outbox are free again.
    Released {
        /// Messages.
        messages: u32,
        /// Bytes.
        bytes: u64,
    },
    /// A subscription stands.
    Subscribed(u64, RoomHead, Position),
    /// A subscription is over.
    SubscriptionOver(u64, SubscribeError),
    /// A delivery, and what it counts as in [`BareSession::consumed`], in bytes.
    Delivered(u64, Delivery, u64),
    /// The end of a fetch.
    Fetched(u64, Result<History, ClientError>),
    /// The end of a ping; or a signal was sent, or never will be.
    Done(u64, Result<(), ClientError>),
    /// The end of a check.
    Checked(u64, Result<Check, ClientError>),
    /// Where a cursor stands.
    CursorAnswered(u64, Result<CursorAnswer, ClientError>),
    /// Which brokers there are.
    ClusterTold(u64, Result<Cluster, ClientError>),
    /// The broker refused a signal.
    SignalRefused(Rejection),
    /// The number asked for.
    ProducerSeq(u64, ProducerSeq),
    /// The session is over.
    Closed {
        /// Why.
        reason: ClientError,
        /// Messages without a final answer.
        unacked: u32,
    },
}

impl BareSession {
    /// A session that connects at its first input; `seed` is its only source of chance.
    ///
    /// # Errors
    /// The options hold names that are none.
    pub fn new(options: &ClientOptions, seed: u64) -> Result<BareSession, ClientError> {
        let user = UserName::try_from(options.user.as_str())
            .map_err(|_| Misuse::UserName(options.user.clone()))?;
        Session::new(options, user, seed).map(BareSession)
    }

    /// The connection asked for is up.
    pub fn connected(&mut self, now_ms: u64) {
        self.0.handle(Input::Connected, Mono(now_ms));
    }

    /// The connection asked for cannot be had.
    pub fn connect_failed(&mut self, kind: io::ErrorKind, now_ms: u64) {
        self.0.handle(Input::ConnectFailed(kind), Mono(now_ms));
    }

    /// Bytes came.
    pub fn received(&mut self, bytes: &[u8], now_ms: u64) {
        self.0.handle(Input::Received(bytes), Mono(now_ms));
    }

    /// The connection is gone.
    pub fn disconnected(&mut self, now_ms: u64) {
        self.0.handle(Input::Disconnected, Mono(now_ms));
    }

    /// The moment of [`BareSession::next_deadline`] has come.
    pub fn tick(&mut self, now_ms: u64) {
        self.0.handle(Input::Tick, Mono(now_ms));
    }

    /// Publishes.
    ///
    /// # Errors
    /// The room or the message is none.
    pub fn publish(
        &mut self,
        ticket: u64,
        room: &str,
        message: Message,
        now_ms: u64,
    ) -> Result<(), Misuse> {
        let command = Command::Publish {
            ticket: Ticket(ticket),
            room: room_name(room)?,
            outgoing: message.into_outgoing()?,
        };
        self.command(command, now_ms);
        Ok(())
    }

    /// The publisher waits no longer.
    pub fn give_up(&mut self, ticket: u64, now_ms: u64) {
        let ticket = Ticket(ticket);
        self.command(Command::GiveUp { ticket }, now_ms);
    }

    /// Follows a room.
    ///
    /// # Errors
    /// The room is none.
    pub fn subscribe(
        &mut self,
        ticket: u64,
        room: &str,
        follow: impl Into<Follow>,
        now_ms: u64,
    ) -> Result<(), Misuse> {
        let command = Command::Subscribe {
            ticket: Ticket(ticket),
            room: room_name(room)?,
            follow: follow.into(),
        };
        self.command(command, now_ms);
        Ok(())
    }

    /// The application took deliveries.
    pub fn consumed(&mut self, ticket: u64, records: u32, bytes: u64, now_ms: u64) {
        let command = Command::Consumed {
            ticket: Ticket(ticket),
            records,
            bytes,
        };
        self.command(command, now_ms);
    }

    /// The application took signals and cursors.
    pub fn heard(&mut self, ticket: u64, count: u32, now_ms: u64) {
        let ticket = Ticket(ticket);
        self.command(Command::Heard { ticket, count }, now_ms);
    }

    /// Signals.
    ///
    /// # Errors
    /// The room or the signal is none.
    pub fn signal(
        &mut self,
        ticket: u64,
        room: &str,
        signal: Signal,
        now_ms: u64,
    ) -> Result<(), Misuse> {
        signal.check()?;
        let command = Command::Signal {
            ticket: Ticket(ticket),
            room: room_name(room)?,
            signal,
        };
        self.command(command, now_ms);
        Ok(())
    }

    /// Moves a cursor.
    ///
    /// # Errors
    /// The room is none.
    pub fn set_cursor(
        &mut self,
        ticket: u64,
        room: &str,
        name: CursorName,
        to: CursorMove,
        now_ms: u64,
    ) -> Result<(), Misuse> {
        let room = room_name(room)?;
        let command = Command::Ask {
            ticket: Ticket(ticket),
            ask: Ask::Cursor { room, name, to },
        };
        self.command(command, now_ms);
        Ok(())
    }

    /// Compares what has come with what the broker has sent.
    pub fn check(&mut self, ticket: u64, now_ms: u64) {
        let ticket = Ticket(ticket);
        self.command(Command::Check { ticket }, now_ms);
    }

    /// Follows no longer.
    pub fn unsubscribe(&mut self, ticket: u64, now_ms: u64) {
        let ticket = Ticket(ticket);
        self.command(Command::Unsubscribe { ticket }, now_ms);
    }

    /// Reads history.
    ///
    /// # Errors
    /// The room is none.
    pub fn fetch(
        &mut self,
        ticket: u64,
        room: &str,
        range: HistoryRange,
        limit: u32,
        now_ms: u64,
    ) -> Result<(), Misuse> {
        let command = Command::Fetch {
            ticket: Ticket(ticket),
            room: room_name(room)?,
            range,
            limit,
        };
        self.command(command, now_ms);
        Ok(())
    }

    /// The asker of a fetch or subscribe waits no longer.
    pub fn cancel(&mut self, ticket: u64, now_ms: u64) {
        let ticket = Ticket(ticket);
        self.command(Command::Cancel { ticket }, now_ms);
    }

    /// The next thing to do or to know, until `None`.
    pub fn poll(&mut self) -> Option<Told> {
        self.0.poll().map(told)
    }

    /// Bytes for the socket.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.0.unsent()
    }

    /// The socket took this many of them.
    pub fn advance(&mut self, count: usize, now_ms: u64) {
        self.0.advance(count, Mono(now_ms));
    }

    /// When a tick is wanted at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.0.next_deadline().map(|at| at.0)
    }

    /// Connections lost so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.0.losses()
    }

    fn command(&mut self, command: Command, now_ms: u64) {
        self.0.handle(Input::Command(command), Mono(now_ms));
    }
}

fn told(output: Output) -> Told {
    let event = match output {
        Output::Connect(address) => return Told::Connect(address),
        Output::Disconnect => return Told::Disconnect,
        Output::Event(event) => event,
    };
    match event {
        Event::Welcomed(welcomed) => Told::Welcomed(welcomed.producer),
        Event::ConnectionFailed(error) => Told::ConnectionFailed(error),
        Event::Published(ticket, result) => Told::Published(ticket.0, result),
        Event::Released { messages, bytes } => Told::Released { messages, bytes },
        Event::Subscribed(ticket, head, position) => Told::Subscribed(ticket.0, head, position),
        Event::SubscriptionOver(ticket, error) => Told::SubscriptionOver(ticket.0, error),
        Event::Delivered(ticket, delivery) => {
            let bytes = delivery.held_bytes();
            Told::Delivered(ticket.0, delivery, bytes)
        }
        Event::Fetched(ticket, result) => Told::Fetched(ticket.0, result),
        Event::Done(ticket, result) => Told::Done(ticket.0, result),
        Event::Checked(ticket, result) => Told::Checked(ticket.0, result),
        Event::CursorAnswered(ticket, result) => Told::CursorAnswered(ticket.0, result),
        Event::ClusterTold(ticket, result) => Told::ClusterTold(ticket.0, result),
        Event::SignalRefused(rejection) => Told::SignalRefused(rejection),
        Event::ProducerSeq(ticket, number) => Told::ProducerSeq(ticket.0, number),
        Event::Closed { reason, unacked } => Told::Closed { reason, unacked },
    }
}

fn room_name(room: &str) -> Result<RoomName, Misuse> {
    RoomName::try_from(room).map_err(|_| Misuse::RoomName(room.into()))
}
