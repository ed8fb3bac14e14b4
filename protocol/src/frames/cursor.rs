//! CURSOR: a reader's position in a room, kept by the broker.

use alloc::vec::Vec;

use crate::codes::CursorScope;
use crate::decode::RawFrame;
use crate::error::{DecodeError, Feature};
use crate::extensions::Extensions;
use crate::frame::Kind;
use crate::ids::{Count, RequestId, RoomId, Seq};
use crate::limits::{CURSOR_NAME_BYTES_MAX, USER_NAME_BYTES_MAX};
use crate::names::{RoomRef, check_name};
use crate::wire::{Fields, FrameWriter, length_u8};

const FIXED_BYTES: usize = 32;
const FLAG_SYNC: u8 = 1;
const FLAG_REMOVE: u8 = 2;

/// How far somebody has read: a record's own seq and count, so that unread messages are a subtraction.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct CursorPosition {
    /// The last record that was read; 0: none.
    pub seq: Seq,
    /// Its count: messages up to there.
    pub count: Count,
}

impl CursorPosition {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<CursorPosition, DecodeError> {
        Ok(CursorPosition {
            seq: Seq(fields.u64()?),
            count: Count(fields.u64()?),
        })
    }
}

/// Asks to move a cursor up to a position; seq 0 moves nothing and asks where it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cursor<'a> {
    /// Which room.
    pub room: RoomRef<'a>,
    /// Which of the user's cursors there: 1..=32 bytes.
    pub name: &'a str,
    /// Up to where. count <= seq
    pub position: CursorPosition,
    /// Who is told.
    pub scope: CursorScope,
    /// Whether the answer waits for the commit.
    pub is_sync: bool,
}

impl<'a> Cursor<'a> {
    /// Reads a CURSOR from a client.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect_request(Kind::Cursor)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let room_id = fixed.u64()?;
        let position = CursorPosition::read(&mut fixed)?;
        let (name_len, room_len, user_len) = (fixed.u8()?, fixed.u8()?, fixed.u8()?);
        let (scope, flags) = (CursorScope::from_wire(fixed.u8()?), fixed.u8()?);
        fixed.zeros::<3>()?;
        let name = check_name(parts.bytes(usize::from(name_len))?, CURSOR_NAME_BYTES_MAX)?;
        let room = RoomRef::decode(room_id, parts.bytes(usize::from(room_len))?)?;
        Extensions::check_unknown(parts.rest())?;
        if user_len != 0 || flags & !(FLAG_SYNC | FLAG_REMOVE) != 0 {
            return Err(DecodeError::Reserved);
        }
        if scope.name().is_none() {
            return Err(DecodeError::BadValue("scope"));
        }
        if position.count.0 > position.seq.0 {
            return Err(DecodeError::BadValue("count"));
        }
        if flags & FLAG_REMOVE != 0 {
            return Err(DecodeError::NotSupported(Feature::CursorRemove));
        }
        Ok(Cursor {
            room,
            name,
            position,
            scope,
            is_sync: flags & FLAG_SYNC != 0,
        })
    }

    /// Appends the frame.
    pub fn encode(&self, id: RequestId, out: &mut Vec<u8>) {
        let (room_id, room_len, room) = self.room.fields();
        let parts = self.name.len().saturating_add(room.len());
        let mut writer =
            FrameWriter::new(out, Kind::Cursor, 0, id, FIXED_BYTES.saturating_add(parts));
        let CursorPosition { seq, count } = self.position;
        writer.u64(room_id).u64(seq.0).u64(count.0);
        let name = self.name.as_bytes();
        let flags = if self.is_sync { FLAG_SYNC } else { 0 };
        writer.u8(length_u8(name)).u8(room_len).u8(0);
        writer.u8(self.scope.wire()).u8(flags).zeros::<3>();
        writer.bytes(name).bytes(room).finish();
    }
}

/// Tells a subscription that a cursor of its room has moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CursorMoved<'a> {
    /// Which room.
    pub room_id: RoomId,
    /// Whose cursor.
    pub user: &'a str,
    /// Which of theirs.
    pub name: &'a str,
    /// Where it stands.
    pub position: CursorPosition,
    /// Who is told.
    pub scope: CursorScope,
}

impl<'a> CursorMoved<'a> {
    /// Reads a CURSOR from a server.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn decode(frame: RawFrame<'a>) -> Result<Self, DecodeError> {
        frame.expect(Kind::Cursor)?;
        let (mut fixed, mut parts) = Fields::fixed::<FIXED_BYTES>(frame.body())?;
        let room_id = RoomId(fixed.u64()?);
        let position = CursorPosition::read(&mut fixed)?;
        let (name_len, room_len, user_len) = (fixed.u8()?, fixed.u8()?, fixed.u8()?);
        let scope = CursorScope::from_wire(fixed.u8()?);
        fixed.skip::<4>()?;
        let name = check_name(parts.bytes(usize::from(name_len))?, CURSOR_NAME_BYTES_MAX)?;
        let _room = parts.bytes(usize::from(room_len))?;
        let user = check_name(parts.bytes(usize::from(user_len))?, USER_NAME_BYTES_MAX)?;
        Extensions::check_unknown(parts.rest())?;
        if room_id.0 == 0 {
            return Err(DecodeError::BadValue("room"));
        }
        Ok(CursorMoved {
            room_id,
            user,
            name,
            position,
            scope,
        })
    }

    /// Appends the frame, a push.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (name, user) = (self.name.as_bytes(), self.user.as_bytes());
        let parts = name.len().saturating_add(user.len());
        let bytes = FIXED_BYTES.saturating_add(parts);
        let mut writer = FrameWriter::new(out, Kind::Cursor, 0, RequestId::PUSH, bytes);
        let CursorPosition { seq, count } = self.position;
        writer.u64(self.room_id.0).u64(seq.0).u64(count.0);
        writer.u8(length_u8(name)).u8(0).u8(length_u8(user));
        writer.u8(self.scope.wire()).zeros::<4>();
        writer.bytes(name).bytes(user).finish();
    }
}

/// One of my cursors, as SUBSCRIBED lists them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CursorEntry<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it stands.
    pub position: CursorPosition,
    /// Who is told when it moves.
    pub scope: CursorScope,
}

impl CursorEntry<'_> {
    /// Appends the entry to a list for [`CursorEntries::new`]; entries go in ascending by name.
    pub fn append(&self, list: &mut Vec<u8>) {
        list.extend_from_slice(&self.position.seq.0.to_le_bytes());
        list.extend_from_slice(&self.position.count.0.to_le_bytes());
        list.extend_from_slice(&[self.scope.wire(), length_u8(self.name.as_bytes())]);
        list.extend_from_slice(self.name.as_bytes());
    }
}

/// A list of cursors, checked: `seq u64, count u64, scope u8, name_len u8, name` back to back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CursorEntries<'a> {
    bytes: &'a [u8],
}

impl<'a> CursorEntries<'a> {
    /// No cursors.
    pub const NONE: CursorEntries<'static> = CursorEntries { bytes: &[] };

    /// The list in `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong with one of them.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Fields::new(bytes);
        while !rest.rest().is_empty() {
            read_entry(&mut rest)?;
        }
        Ok(CursorEntries { bytes })
    }

    /// The list as it travels.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for CursorEntries<'a> {
    type Item = CursorEntry<'a>;

    fn next(&mut self) -> Option<CursorEntry<'a>> {
        let mut rest = Fields::new(self.bytes);
        let entry = read_entry(&mut rest).ok()?;
        self.bytes = rest.rest();
        Some(entry)
    }
}

fn read_entry<'a>(fields: &mut Fields<'a>) -> Result<CursorEntry<'a>, DecodeError> {
    let position = CursorPosition::read(fields)?;
    let scope = CursorScope::from_wire(fields.u8()?);
    let length = usize::from(fields.u8()?);
    let name = check_name(fields.bytes(length)?, CURSOR_NAME_BYTES_MAX)?;
    Ok(CursorEntry {
        name,
        position,
        scope,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cursors_gives_its_entries_in_order_and_ends() {
        let entry = |name, seq| CursorEntry {
            name,
            position: CursorPosition {
                seq: Seq(seq),
                count: Count(1),
            },
            scope: CursorScope::MEMBERS,
        };
        let mut list = Vec::new();
        entry("a", 7).append(&mut list);
        entry("b", 9).append(&mut list);
        let entries: Vec<_> = CursorEntries::new(&list).unwrap().collect();
        assert_eq!(entries, [entry("a", 7), entry("b", 9)]);
        let mut none = CursorEntries::NONE;
        assert_eq!(none.next(), None);
        list.pop();
        assert_eq!(CursorEntries::new(&list), Err(DecodeError::Truncated));
    }
}
