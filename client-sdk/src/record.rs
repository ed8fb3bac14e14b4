//! What a reader receives: records, gaps, and the position from which reading can go on.

use std::fmt;
use std::str::FromStr;

use antiphon_protocol::{
    Count, CursorPosition, Device, GapReason, Link, Producer, ProducerSeq, RecordKind, RoomId, Seq,
    Timestamp,
};
use bytes::Bytes;

use crate::cursor::CursorMoved;
use crate::headers::Headers;
use crate::signal::SignalHeard;

/// Where a reader stands in a room: the last record it has, and the rolling hash of the room up to there.
///
/// Store it and give it to [`Start::After`](crate::Start::After): the broker refuses to go on if its history is another one.
/// As a text it is `SEQ:LINK`.
///
/// ```
/// use antiphon_client::{Link, Position, Seq};
///
/// let position = Position { seq: Seq(41), link: Link(0xfe) };
/// assert_eq!(position.to_string(), "41:00000000000000fe");
/// assert_eq!("41:00000000000000fe".parse(), Ok(position));
/// assert!("41:fe".parse::<Position>().is_err());
/// assert!("+1:00000000000000fe".parse::<Position>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Position {
    /// The last record seen; `Seq(0)` is the place before the first one.
    pub seq: Seq,
    /// The link of that record; `Link(0)` means that it is not known and not checked.
    pub link: Link,
}

impl Position {
    /// The place before the first record of any room.
    pub const BEGINNING: Position = Position {
        seq: Seq(0),
        link: Link(0),
    };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:016x}", self.seq.0, self.link.0)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    /// Reads what `Display` writes: `SEQ:LINK`, the link as 16 hexadecimal digits.
    fn from_str(text: &str) -> Result<Position, PositionError> {
        let (seq, link) = text.split_once(':').ok_or(PositionError)?;
        let is_link = link.len() == 16 && link.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !is_link || !seq.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(PositionError);
        }
        Ok(Position {
            seq: Seq(seq.parse().map_err(|_| PositionError)?),
            link: Link(u64::from_str_radix(link, 16).map_err(|_| PositionError)?),
        })
    }
}

/// A text is no position.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a position is SEQ:LINK, the link as 16 hexadecimal digits")]
#[non_exhaustive]
pub struct PositionError;

/// One entry of a room, checked: its bytes match their checksum and its link follows from the record before it.
///
/// `headers` and `body` share one allocation; cloning a record is cheap.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// The room.
    pub room_id: RoomId,
    /// Its place in the room, dense from 1.
    pub seq: Seq,
    /// How many messages (kind 0) the room holds up to and with this record.
    pub count: Count,
    /// When the broker admitted it; never falls within a room.
    pub time: Timestamp,
    /// The rolling hash of the room up to and with this record.
    pub link: Link,
    /// Who published it, as a session.
    pub producer: Producer,
    /// The producer's own number for it.
    pub producer_seq: ProducerSeq,
    /// Which of the sender's devices.
    pub device: Device,
    /// What it is; 0 is a message.
    pub kind: RecordKind,
    /// How the body is coded; opaque to the broker, 0 is not at all.
    pub codec: u8,
    /// The body was removed by a redaction, so the link was taken on trust.
    pub is_erased: bool,
    /// The user who published it, as the broker knows it.
    pub sender: Bytes,
    /// Its headers.
    pub headers: Headers,
    /// Its body.
    pub body: Bytes,
}

impl Record {
    /// The position after this record.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            seq: self.seq,
            link: self.link,
        }
    }

    /// Where a cursor stands that has read up to this record.
    #[must_use]
    pub fn cursor_position(&self) -> CursorPosition {
        CursorPosition {
            seq: self.seq,
            count: self.count,
        }
    }

    /// The sender's name as text.
    #[must_use]
    pub fn sender_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.sender)
    }

    /// The body as text, with replacement characters where it is none.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// Records that will not come, and why; reading goes on behind it, checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Gap {
    /// The room.
    pub room_id: RoomId,
    /// The first record that is missing.
    pub from: Seq,
    /// The last record that is missing (inclusive, as on the wire).
    pub to: Seq,
    /// The link of the last record that is missing.
    pub link: Link,
    /// Why.
    pub reason: GapReason,
}

impl Gap {
    /// Whether the gap has no known end: the log is damaged there, and nobody knows how many records followed, if any.
    #[must_use]
    pub fn is_open_ended(&self) -> bool {
        self.to >= Seq::LAST
    }

    /// The position behind the gap.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            seq: self.to,
            link: self.link,
        }
    }
}

/// What a subscription yields.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Delivery {
    /// The next record.
    Record(Record),
    /// The next records are not to be had.
    Gap(Gap),
    /// Somebody in the room signals. Only to a subscription that asked for [`signals`](crate::Follow::signals).
    Signal(SignalHeard),
    /// This many signals are lost: they came while this subscription, its connection or its application was not quick enough.
    /// (Those of a time without connection, or in which the subscription was paused, nobody counts.)
    SignalsDropped(u32),
    /// Somebody's cursor stands here now. Only to a subscription that asked for [`cursors`](crate::Follow::cursors): first, and
    /// after each reconnect, one's own as they stand, then all that one may see as they move. The newest position counts, and
    /// may be told twice.
    Cursor(CursorMoved),
}

impl Delivery {
    /// The position behind it; `None` if it is beside the records.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match self {
            Delivery::Record(record) => Some(record.position()),
            Delivery::Gap(gap) => Some(gap.position()),
            Delivery::Signal(_) | Delivery::SignalsDropped(_) | Delivery::Cursor(_) => None,
        }
    }

    /// The record; `None` if this is something else.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Delivery::Record(record) => Some(record),
            _ => None,
        }
    }

    /// What it costs in a subscription's buffer.
    pub(crate) fn held_bytes(&self) -> u64 {
        let inline = std::mem::size_of::<Delivery>();
        let shared = match self {
            Delivery::Record(record) => {
                record.sender.len() + record.headers.as_bytes().len() + record.body.len()
            }
            _ => 0,
        };
        (inline + shared) as u64
    }
}
