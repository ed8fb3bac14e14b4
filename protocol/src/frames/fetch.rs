//! FETCH: history.

use alloc::vec::Vec;

use crate::decode::RawFrame;
use crate::error::DecodeError;
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::{RequestId, Seq, Timestamp};
use crate::names::RoomRef;
use crate::wire::{Fields, FrameWriter};

const FIXED_BYTES: usize = 32;

/// Which records; always answered in ascending order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FetchRange {
    /// The last `limit`.
    Latest,
    /// `limit` records right below this seq.
    Before(Seq),
    /// `limit` records right above this seq.
    After(Seq),
    /// `limit` records: half of them, rounded down, right below this seq, the others from it on.
    Around(Seq),
    /// `limit` records from the first on whose time is at or above this one.
    Time(Timestamp),
}

/// How fresh the answer must be. On one node all three are equal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ReadLevel {
    /// As the asked node knows it.
    #[default]
    Any = 0,
    /// At least as fresh as `token`.
    AtLeast = 1,
    /// As of now.
    Linearizable = 2,
}

/// Asks for a piece of a room's history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fetch<'a> {
    /// Which room.
    pub room: RoomRef<'a>,
    /// Which records.
    pub range: FetchRange,
    /// At most so many; 1..=fetch_records_max, of which the upper end is checked by the session.
    pub limit: u32,
    /// How fresh.
    pub read: ReadLevel,
    /// Of a PAGE or a later answer that must be visible; 0: none.
    pub token: u64,
}

impl<'a> Fetch<'a> {
    /// Reads a FETCH.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect_request(Kind::Fetch)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let (room_id, position, limit) = (fixed.u64()?, fixed.u64()?, fixed.u32()?);
        let (range, read, room_len) = (fixed.u8()?, fixed.u8()?, fixed.u8()?);
        fixed.zeros::<1>()?;
        let token = fixed.u64()?;
        let room = RoomRef::decode(room_id, parts.bytes(usize::from(room_len))?)?;
        Extensions::check_unknown(parts.rest())?;
        if limit == 0 {
            return Err(DecodeError::BadValue("limit"));
        }
        let range = match (range, position) {
            (0, 0) => FetchRange::Latest,
            (0, _) => return Err(DecodeError::BadValue("position")),
            (1, seq) => FetchRange::Before(Seq(seq)),
            (2, seq) => FetchRange::After(Seq(seq)),
            (3, seq) => FetchRange::Around(Seq(seq)),
            (4, time) => FetchRange::Time(Timestamp(time)),
            _ => return Err(DecodeError::BadValue("range")),
        };
        let read = match read {
            0 => ReadLevel::Any,
            1 => ReadLevel::AtLeast,
            2 => ReadLevel::Linearizable,
            _ => return Err(DecodeError::BadValue("read")),
        };
        Ok(Fetch {
            room,
            range,
            limit,
            read,
            token,
        })
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let (room_id, room_len, room) = self.room.fields();
        let (range, position) = match self.range {
            FetchRange::Latest => (0, 0),
            FetchRange::Before(seq) => (1, seq.0),
            FetchRange::After(seq) => (2, seq.0),
            FetchRange::Around(seq) => (3, seq.0),
            FetchRange::Time(time) => (4, time.0),
        };
        let mut writer = FrameWriter::new(
            out,
            Kind::Fetch,
            0,
            id,
            FIXED_BYTES.saturating_add(room.len()),
        );
        writer
            .u64(room_id)
            .u64(position)
            .u32(self.limit)
            .u8(range)
            .u8(self.read as u8);
        writer
            .u8(room_len)
            .zeros::<1>()
            .u64(self.token)
            .bytes(room)
            .finish();
    }
}
