//! SUBSCRIBE: one verb for live, resume, and history followed by live.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::{DecodeError, Feature};
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::{Link, RequestId, Seq, Timestamp};
use crate::limits::CURSOR_NAME_BYTES_MAX;
use crate::names::{RoomRef, check_name};
use crate::wire::{Fields, FrameWriter};

const FIXED_BYTES: usize = 32;
const EXTENSION_WANTS: u16 = 2;
const EXTENSION_CURSOR: u16 = 4;

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start<'a> {
    /// Behind the head.
    Live,
    /// Behind this record; seq 0 is the beginning.
    After {
        /// The last seq seen.
        seq: Seq,
        /// Its link; 0: do not check.
        link: Link,
    },
    /// With the last n records.
    Last(u64),
    /// With the first record, of those that are kept, whose time is at or above this one.
    Time(Timestamp),
    /// Behind the position of my cursor with this name; there is none: with the first record.
    Cursor(&'a str),
}

/// What a subscription wants besides records; bits that nobody here knows are passed over.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wants {
    /// SIGNAL.
    pub signals: bool,
    /// CURSOR, and a list of my cursors in SUBSCRIBED.
    pub cursors: bool,
}

impl Wants {
    /// Records alone.
    pub const RECORDS: Wants = Wants {
        signals: false,
        cursors: false,
    };
    const SIGNALS: u32 = 1;
    const CURSORS: u32 = 2;

    fn decode(value: &[u8]) -> Result<Wants, DecodeError> {
        let bits: [u8; 4] = value
            .try_into()
            .map_err(|_| DecodeError::BadValue("wants"))?;
        let bits = u32::from_le_bytes(bits);
        Ok(Wants {
            signals: bits & Self::SIGNALS != 0,
            cursors: bits & Self::CURSORS != 0,
        })
    }

    const fn bits(self) -> u32 {
        let signals = if self.signals { Self::SIGNALS } else { 0 };
        let cursors = if self.cursors { Self::CURSORS } else { 0 };
        signals | cursors
    }
}

/// Asks for a room's records from a position on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subscribe<'a> {
    /// Which room.
    pub room: RoomRef<'a>,
    /// From where.
    pub start: Start<'a>,
    /// What else.
    pub wants: Wants,
}

impl<'a> Subscribe<'a> {
    /// Asks for records alone.
    #[must_use]
    pub const fn new(room: RoomRef<'a>, start: Start<'a>) -> Self {
        let wants = Wants::RECORDS;
        Subscribe { room, start, wants }
    }

    /// Reads a SUBSCRIBE.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect_request(Kind::Subscribe)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let (room_id, position, link) = (fixed.u64()?, fixed.u64()?, fixed.u64()?);
        let (interest, start, mode, room_len) =
            (fixed.u32()?, fixed.u8()?, fixed.u8()?, fixed.u8()?);
        fixed.zeros::<1>()?;
        let room = RoomRef::decode(room_id, parts.bytes(usize::from(room_len))?)?;
        let (mut wants, mut cursor) = (Wants::RECORDS, None);
        Extensions::read(parts.rest(), |extension| match extension.tag {
            EXTENSION_WANTS => {
                wants = Wants::decode(extension.value)?;
                Ok(true)
            }
            EXTENSION_CURSOR => {
                cursor = Some(check_name(extension.value, CURSOR_NAME_BYTES_MAX)?);
                Ok(true)
            }
            _ => Ok(false),
        })?;
        if interest != 0 {
            return Err(DecodeError::NotSupported(Feature::Interest));
        }
        match mode {
            0 => {}
            1 => return Err(DecodeError::NotSupported(Feature::Mode)),
            _ => return Err(DecodeError::BadValue("mode")),
        }
        let start = read_start(start, position, link, cursor)?;
        Ok(Subscribe { room, start, wants })
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let (room_id, room_len, room) = self.room.fields();
        let (start, position, link) = match self.start {
            Start::Live => (0, 0, 0),
            Start::After { seq, link } => (1, seq.0, link.0),
            Start::Last(count) => (2, count, 0),
            Start::Time(time) => (3, time.0, 0),
            Start::Cursor(_) => (4, 0, 0),
        };
        let mut writer = FrameWriter::new(
            out,
            Kind::Subscribe,
            0,
            id,
            FIXED_BYTES.saturating_add(room.len()),
        );
        writer.u64(room_id).u64(position).u64(link);
        writer
            .u32(0)
            .u8(start)
            .u8(0)
            .u8(room_len)
            .zeros::<1>()
            .bytes(room);
        if self.wants != Wants::RECORDS {
            writer.extension(EXTENSION_WANTS, &self.wants.bits().to_le_bytes());
        }
        if let Start::Cursor(name) = self.start {
            writer.extension(EXTENSION_CURSOR, name.as_bytes());
        }
        writer.finish();
    }
}

/// The start that these fields say; the name of a cursor stands in an extension, exactly if it is needed.
fn read_start(
    start: u8,
    position: u64,
    link: u64,
    cursor: Option<&str>,
) -> Result<Start<'_>, DecodeError> {
    match (start, position, link, cursor) {
        (0, 0, 0, None) => Ok(Start::Live),
        (1, seq, link, None) => Ok(Start::After {
            seq: Seq(seq),
            link: Link(link),
        }),
        (2, count, 0, None) => Ok(Start::Last(count)),
        (3, time, 0, None) => Ok(Start::Time(Timestamp(time))),
        (4, 0, 0, Some(name)) => Ok(Start::Cursor(name)),
        (0..=3, _, _, Some(_)) | (4, _, _, None) => Err(DecodeError::BadValue("cursor")),
        (0..=4, _, _, _) => Err(DecodeError::BadValue("position")),
        _ => Err(DecodeError::BadValue("start")),
    }
}
