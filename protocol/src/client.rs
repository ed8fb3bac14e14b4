//! What a client may send.

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::frame::Kind;
use crate::frames::{
    Cursor, Fetch, Hello, MetadataRequest, Ping, Pong, Publish, Signal, Subscribe, Unsubscribe,
};

/// A frame from a client, checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClientFrame<'a> {
    /// Who I am.
    Hello(Hello<'a>),
    /// Are you there.
    Ping(Ping),
    /// I am.
    Pong(Pong),
    /// A record to be.
    Publish(Publish<'a>),
    /// Send me a room.
    Subscribe(Subscribe<'a>),
    /// No more of this room.
    Unsubscribe(Unsubscribe<'a>),
    /// History.
    Fetch(Fetch<'a>),
    /// A position.
    Cursor(Cursor<'a>),
    /// Something for those who are there.
    Signal(Signal<'a>),
    /// Which nodes there are.
    Metadata(MetadataRequest),
}

impl<'a> ClientFrame<'a> {
    /// Reads a frame that a client sent.
    ///
    /// # Errors
    /// [`DecodeError`]; its code and hint make the ERROR.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        let number = frame.header.kind;
        match Kind::from_wire(number)? {
            Kind::Publish => Publish::decode(frame).map(ClientFrame::Publish),
            Kind::Ping => Ping::decode(frame).map(ClientFrame::Ping),
            Kind::Pong => Pong::decode(frame).map(ClientFrame::Pong),
            Kind::Subscribe => Subscribe::decode(frame).map(ClientFrame::Subscribe),
            Kind::Unsubscribe => Unsubscribe::decode_request(frame).map(ClientFrame::Unsubscribe),
            Kind::Fetch => Fetch::decode(frame).map(ClientFrame::Fetch),
            Kind::Cursor => Cursor::decode(frame).map(ClientFrame::Cursor),
            Kind::Signal => Signal::decode(frame).map(ClientFrame::Signal),
            Kind::Metadata => MetadataRequest::decode(frame).map(ClientFrame::Metadata),
            Kind::Hello => Hello::decode(frame).map(ClientFrame::Hello),
            Kind::Welcome | Kind::Goaway | Kind::Ok | Kind::Error | Kind::Puback => {
                Err(DecodeError::WrongDirection(number))
            }
            Kind::Subscribed | Kind::Record | Kind::Gap | Kind::Page => {
                Err(DecodeError::WrongDirection(number))
            }
            Kind::Auth | Kind::Flow | Kind::Sync | Kind::Consume | Kind::Settle | Kind::State => {
                Err(DecodeError::KindNotServed(number))
            }
        }
    }
}
