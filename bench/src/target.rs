//! The border between the generator and what it measures: one [`Target`] a system, one [`Wire`] a connection.
//!
//! The generator opens plain sockets and knows no protocol. A [`Target`] starts its system and makes a [`Wire`] for each
//! connection; the wire turns the generator's wishes into bytes and the system's bytes into [`Event`]s. Everything on the hot
//! path is dispatched statically and writes into buffers that the generator keeps.
//!
//! A new system under test is one file with these two traits; see [`crate::antiphon`] for an example.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::error::{StartError, Unsupported, WireError};
use crate::server::{Place, Server};

/// A system under test, with the settings that it runs with.
pub trait Target: Sync {
    /// How its connections speak.
    type Wire: Wire;

    /// What it is called in tables and results, such as `antiphon, records`.
    fn name(&self) -> String;

    /// What its acks and deliveries are worth.
    fn durability(&self) -> Durability;

    /// The settings that matter, each as `key = value`; they go into the result.
    fn settings(&self) -> Vec<String>;

    /// Starts it on loopback with a private directory, and waits until it takes connections.
    ///
    /// # Errors
    /// [`StartError`]: it is not installed, or it did not become ready.
    fn start(&self, place: &Place) -> Result<Server, StartError>;

    /// Makes whatever the rooms need before the first connection, such as streams or queues. Blocking is fine.
    ///
    /// # Errors
    /// [`StartError`] if the system refuses.
    fn prepare(&self, _server: &Server, _rooms: &[Room]) -> Result<(), StartError> {
        Ok(())
    }

    /// The wire of connection `number` (from 0) of this run.
    fn wire(&self, number: u32) -> Self::Wire;

    /// Where connection `number` goes. One address: there; several: in turn.
    fn address(&self, server: &Server, number: u32) -> SocketAddr {
        server.addresses[number as usize % server.addresses.len()]
    }
}

/// What an answer means when it arrives. Told beside every figure.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Durability {
    /// When the system acks, in words: `after fdatasync of the log`.
    pub acked: String,
    /// Whether what is acked has been synced to a disk before.
    pub synced_before_ack: bool,
    /// Whether what is delivered has been synced to a disk before.
    pub synced_before_delivery: bool,
}

/// A room, channel, subject, topic or queue of the system.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Room {
    /// Dense from 0 in a run.
    pub number: u32,
    /// Letters, digits and `-`, at most 64 bytes: a lawful name everywhere.
    pub name: String,
}

/// Whether the generator counts acks of a publish.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ack {
    /// [`Event::Acked`] must follow.
    Wanted,
    /// No ack is asked for; an [`Event::Acked`] that comes all the same is ignored.
    Unwanted,
}

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Since {
    /// With what is published from now on.
    Now,
    /// With the oldest message that is kept: catch-up.
    Beginning,
}

/// The client's side of one connection: a codec with the little state that its protocol needs.
///
/// Thousands live at once, so keep it small. All methods append to `out`, which goes to the socket in order; `out` may hold
/// bytes of earlier calls.
pub trait Wire {
    /// What is said first, right after the socket is connected. [`Event::Ready`] comes when the system has answered.
    fn open(&mut self, out: &mut Vec<u8>);

    /// Asks for a room's messages. Each call is answered by one [`Event::Subscribed`].
    ///
    /// # Errors
    /// [`Unsupported`]: the system has no such thing.
    fn subscribe(
        &mut self,
        room: &Room,
        since: Since,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported>;

    /// Publishes. `request` rises by one with each publish of this connection, from 1.
    fn publish(&mut self, room: &Room, request: u64, ack: Ack, body: &[u8], out: &mut Vec<u8>);

    /// Asks for the last `limit` messages of a room; [`Event::History`] with this request ends the answer.
    ///
    /// # Errors
    /// [`Unsupported`]: the system has no history.
    fn history(
        &mut self,
        _room: &Room,
        _limit: u32,
        _request: u64,
        _out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        Err(Unsupported("history"))
    }

    /// Shows those in a room that somebody types; nothing answers, and nothing comes of it where the system has no such thing.
    fn signal(&mut self, _room: &Room, _out: &mut Vec<u8>) {}

    /// Called every few seconds on every connection: what the protocol wants said by a silent client.
    fn keepalive(&mut self, _out: &mut Vec<u8>) {}

    /// Reads whole frames from the start of `input` and says how many bytes they were; the rest comes again, with more behind it.
    /// What the protocol wants answered at once (a PING, a step of a handshake) goes to `out`.
    ///
    /// # Errors
    /// [`WireError`]: the run is over.
    fn parse(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, WireError>;
}

/// What a connection heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event<'a> {
    /// The handshake is done.
    Ready,
    /// One subscription stands: what is published from now on will be delivered.
    Subscribed,
    /// The publish with this request is acked, at the target's [`Durability`]. An ack for many is one event each.
    Acked {
        /// As given to [`Wire::publish`].
        request: u64,
    },
    /// A message of a subscription. Which room, publisher and number: the body tells.
    Delivered {
        /// As published.
        body: &'a [u8],
    },
    /// A message inside an answer to [`Wire::history`], oldest or newest first.
    HistoryItem {
        /// As published.
        body: &'a [u8],
    },
    /// The end of an answer to [`Wire::history`].
    History {
        /// As given to [`Wire::history`].
        request: u64,
    },
    /// Somebody showed something that is kept nowhere.
    Signalled,
    /// A publish or request was refused; counted as an error.
    Refused,
}
