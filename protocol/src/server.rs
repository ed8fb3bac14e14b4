//! What a server may send.

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::frame::Kind;
use crate::frames::{
    CursorMoved, ErrorFrame, Gap, Goaway, Metadata, Ok_, Page, Ping, Pong, Puback, SignalPush,
    Subscribed, Unsubscribe, Welcome,
};
use crate::record::Record;

/// A frame from a server, checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ServerFrame<'a> {
    /// Who you are, and every limit.
    Welcome(Welcome<'a>),
    /// Are you there.
    Ping(Ping),
    /// I am.
    Pong(Pong),
    /// The connection will close.
    Goaway(Goaway<'a>),
    /// Done.
    Ok(Ok_),
    /// Refused.
    Error(ErrorFrame<'a>),
    /// Durable.
    Puback(Puback<'a>),
    /// From here on.
    Subscribed(Subscribed<'a>),
    /// No more of this room.
    Unsubscribe(Unsubscribe<'a>),
    /// A record.
    Record(Record<'a>),
    /// Records that will not come.
    Gap(Gap),
    /// A piece of history.
    Page(Page<'a>),
    /// A cursor has moved.
    Cursor(CursorMoved<'a>),
    /// From those who are there.
    Signal(SignalPush<'a>),
    /// Which nodes there are.
    Metadata(Metadata<'a>),
}

impl<'a> ServerFrame<'a> {
    /// Reads a frame that a server sent.
    ///
    /// # Errors
    /// [`DecodeError`]. [`DecodeError::UnknownKind`] and [`DecodeError::KindNotServed`] come from a newer server and
    /// may be ignored; the others mean that the connection cannot be trusted.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        let number = frame.header.kind;
        match Kind::from_wire(number)? {
            Kind::Record => Record::parse(frame.whole).map(ServerFrame::Record),
            Kind::Puback => Puback::decode(frame).map(ServerFrame::Puback),
            Kind::Ping => Ping::decode(frame).map(ServerFrame::Ping),
            Kind::Pong => Pong::decode(frame).map(ServerFrame::Pong),
            Kind::Gap => Gap::decode(frame).map(ServerFrame::Gap),
            Kind::Page => Page::decode(frame).map(ServerFrame::Page),
            Kind::Ok => Ok_::decode(frame).map(ServerFrame::Ok),
            Kind::Error => ErrorFrame::decode(frame).map(ServerFrame::Error),
            Kind::Subscribed => Subscribed::decode(frame).map(ServerFrame::Subscribed),
            Kind::Unsubscribe => Unsubscribe::decode(frame).map(ServerFrame::Unsubscribe),
            Kind::Welcome => Welcome::decode(frame).map(ServerFrame::Welcome),
            Kind::Goaway => Goaway::decode(frame).map(ServerFrame::Goaway),
            Kind::Cursor => CursorMoved::decode(frame).map(ServerFrame::Cursor),
            Kind::Signal => SignalPush::decode(frame).map(ServerFrame::Signal),
            Kind::Metadata => Metadata::decode(frame).map(ServerFrame::Metadata),
            Kind::Hello | Kind::Publish | Kind::Subscribe | Kind::Fetch => {
                Err(DecodeError::WrongDirection(number))
            }
            Kind::Auth | Kind::Flow | Kind::Sync | Kind::Consume | Kind::Settle | Kind::State => {
                Err(DecodeError::KindNotServed(number))
            }
        }
    }
}
