//! CURSORS: where the cursors of readers stand from here on.

use antiphon_protocol::limits::{CURSOR_NAME_BYTES_MAX, USER_NAME_BYTES_MAX};
use antiphon_protocol::{Count, RoomId, Seq, Timestamp};

use crate::item::{CURSORS_FIXED_BYTES, ITEM_HEAD_BYTES, ItemWriter, item_kind};
use crate::little_endian::{u32_at, u64_at};

/// Fixed fields of one entry; name and user follow.
const ENTRY_FIXED_BYTES: usize = 35;
/// Largest number of a scope.
const SCOPE_MAX: u8 = 1;

/// CURSORS: `entries u32 | reserved u32`, then per entry
/// `room id u64 | seq u64 | count u64 | time u64 | scope u8 | name_len u8 | user_len u8 | name | user`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CursorsItem<'a> {
    list: &'a [u8],
}

/// Where one cursor stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CursorMove<'a> {
    /// The room.
    pub room: RoomId,
    /// Seq of the last record read, >= 1.
    pub seq: Seq,
    /// Count of that record. <= seq
    pub count: Count,
    /// The partition's time when it was taken.
    pub time: Timestamp,
    /// Who is told: 0 the user's devices, 1 everybody in the room.
    pub scope: u8,
    /// The cursor's name, 1..=32 bytes.
    pub name: &'a [u8],
    /// Whose it is, 1..=64 bytes.
    pub user: &'a [u8],
}

impl CursorMove<'_> {
    fn is_lawful(&self) -> bool {
        let is_named = (1..=CURSOR_NAME_BYTES_MAX).contains(&self.name.len())
            && (1..=USER_NAME_BYTES_MAX).contains(&self.user.len());
        is_named && self.seq >= Seq(1) && self.count.0 <= self.seq.0 && self.scope <= SCOPE_MAX
    }
}

impl<'a> CursorsItem<'a> {
    /// Reads the fields; `None`: they contradict themselves.
    pub(super) fn read(fields: &'a [u8]) -> Option<Self> {
        let (entries, reserved) = (u32_at(fields, 0)?, u32_at(fields, 4)?);
        let list = fields.get(CURSORS_FIXED_BYTES..)?;
        let mut moves = CursorMoves { list };
        let mut found: u32 = 0;
        while !moves.list.is_empty() {
            moves.next()?;
            found = found.checked_add(1)?;
        }
        let is_lawful = found == entries && found != 0 && reserved == 0;
        is_lawful.then_some(CursorsItem { list })
    }

    /// The cursors that move.
    #[must_use]
    pub fn moves(&self) -> CursorMoves<'a> {
        CursorMoves { list: self.list }
    }
}

/// Iterates over the entries of a [`CursorsItem`].
#[derive(Clone, Debug)]
pub struct CursorMoves<'a> {
    list: &'a [u8],
}

impl<'a> Iterator for CursorMoves<'a> {
    type Item = CursorMove<'a>;

    fn next(&mut self) -> Option<CursorMove<'a>> {
        let list = self.list;
        let (name_len, user_len) = (usize::from(*list.get(33)?), usize::from(*list.get(34)?));
        let user_at = ENTRY_FIXED_BYTES + name_len;
        let entry = CursorMove {
            room: RoomId(u64_at(list, 0)?),
            seq: Seq(u64_at(list, 8)?),
            count: Count(u64_at(list, 16)?),
            time: Timestamp(u64_at(list, 24)?),
            scope: *list.get(32)?,
            name: list.get(ENTRY_FIXED_BYTES..user_at)?,
            user: list.get(user_at..user_at + user_len)?,
        };
        if !entry.is_lawful() {
            return None;
        }
        self.list = &list[user_at + user_len..];
        Some(entry)
    }
}

impl ItemWriter {
    /// Writes a CURSORS item; nothing if there are no `moves`.
    ///
    /// # Panics
    /// If one is not lawful (a bug: an edge checks names, admission positions).
    pub fn cursors<'s>(&mut self, moves: impl Iterator<Item = CursorMove<'s>>) {
        let at = self.len();
        self.head(item_kind::CURSORS, CURSORS_FIXED_BYTES);
        self.out.extend_from_slice(&[0; CURSORS_FIXED_BYTES]);
        let mut entries: u32 = 0;
        for entry in moves {
            assert!(
                entry.is_lawful(),
                "INV-ITEM-7: a cursor in an item has a lawful name and position"
            );
            for field in [entry.room.0, entry.seq.0, entry.count.0, entry.time.0] {
                self.out.extend_from_slice(&field.to_le_bytes());
            }
            let lengths = [entry.name.len() as u8, entry.user.len() as u8];
            self.out.push(entry.scope);
            self.out.extend_from_slice(&lengths);
            self.out.extend_from_slice(entry.name);
            self.out.extend_from_slice(entry.user);
            entries += 1;
        }
        if entries == 0 {
            self.out.truncate(at);
            return;
        }
        self.patch(at + ITEM_HEAD_BYTES, entries);
        self.close_at(at);
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;
    use crate::item::{Item, ItemError, Items};

    const MOVE: CursorMove<'static> = CursorMove {
        room: RoomId(0x0123_4567_89ab_cdef),
        seq: Seq(3),
        count: Count(2),
        time: Timestamp(5),
        scope: 1,
        name: b"read",
        user: b"ann",
    };

    fn written(moves: &[CursorMove<'_>]) -> Vec<u8> {
        let mut writer = ItemWriter::default();
        writer.cursors(moves.iter().copied());
        writer.finish()
    }

    #[test]
    fn the_item_has_these_bytes() {
        let payload = written(&[MOVE]);
        let hex: String = payload
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect();
        let golden = concat!(
            "3200000005000000",
            "0100000000000000",
            "efcdab8967452301",
            "0300000000000000",
            "0200000000000000",
            "0500000000000000",
            "010403",
            "72656164",
            "616e6e",
            "000000000000"
        );
        assert_eq!(hex, golden);
        assert!(written(&[]).is_empty());
    }

    #[test]
    fn moves_are_read_as_they_were_written() {
        let other = CursorMove {
            seq: Seq(9),
            scope: 0,
            name: b"n",
            user: b"bob",
            ..MOVE
        };
        let payload = written(&[MOVE, other]);
        let items: Vec<_> = Items::new(&payload).collect();
        let [Ok(Item::Cursors(item))] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!(item.moves().collect::<Vec<_>>(), [MOVE, other]);
    }

    #[test]
    fn every_contradiction_is_refused() {
        let good = written(&[MOVE]);
        let changes: [(usize, u8, &str); 7] = [
            (8, 2, "entries"),
            (12, 1, "reserved"),
            (24, 0, "seq 0"),
            (32, 4, "count above seq"),
            (48, 2, "scope"),
            (49, 0, "no name"),
            (50, 4, "user beyond the end"),
        ];
        for (at, value, what) in changes {
            let mut bad = good.clone();
            bad[at] = value;
            let read: Result<Vec<_>, _> = Items::new(&bad).collect();
            let expected = ItemError::Malformed { at: 0, kind: 5 };
            assert_eq!(read.err(), Some(expected), "{what}");
        }
    }
}
