//! The cursors of one partition, as its log says.
//!
//! A cursor belongs to (room, user, name); a user has a few in a room, so those stand in one short list. Ordered by these keys, so that checkpoints
//! are the same bytes everywhere.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use antiphon_protocol::{Count, CursorPosition, RoomId, Seq, Timestamp, UserName};

/// Where one cursor stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Cursor {
    /// 1..=32 bytes.
    pub(crate) name: Box<str>,
    /// Seq of the last record read, >= 1, and its count.
    pub(crate) seq: Seq,
    pub(crate) count: Count,
    /// The partition's time when it was taken.
    pub(crate) time: Timestamp,
    /// As in the log.
    pub(crate) scope: u8,
}

impl Cursor {
    /// Its position.
    pub(crate) fn position(&self) -> CursorPosition {
        CursorPosition {
            seq: self.seq,
            count: self.count,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursors {
    /// Each list ascending by name, never empty.
    map: BTreeMap<(RoomId, UserName), Vec<Cursor>>,
    /// How many each user has.
    per_user: BTreeMap<UserName, u32>,
    len: usize,
}

impl Cursors {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many a user has in the partition.
    pub(crate) fn count_of(&self, user: &UserName) -> u32 {
        self.per_user.get(user).copied().unwrap_or(0)
    }

    /// The cursors of a user in a room, ascending by name.
    pub(crate) fn of(&self, room: RoomId, user: &UserName) -> &[Cursor] {
        self.map
            .get(&(room, user.clone()))
            .map_or(&[], Vec::as_slice)
    }

    /// One cursor.
    pub(crate) fn find(&self, room: RoomId, user: &UserName, name: &str) -> Option<&Cursor> {
        let list = self.of(room, user);
        let at = place(list, name).ok()?;
        Some(&list[at])
    }

    /// Sets where a cursor stands.
    pub(crate) fn set(&mut self, room: RoomId, user: UserName, cursor: Cursor) {
        let list = self.map.entry((room, user.clone())).or_default();
        match place(list, &cursor.name) {
            Ok(at) => list[at] = cursor,
            Err(at) => {
                list.insert(at, cursor);
                self.len += 1;
                *self.per_user.entry(user).or_default() += 1;
            }
        }
    }

    /// All of them in the order of (room, user, name).
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoomId, &UserName, &Cursor)> {
        self.map
            .iter()
            .flat_map(|((room, user), list)| list.iter().map(move |cursor| (*room, user, cursor)))
    }
}

fn place(list: &[Cursor], name: &str) -> Result<usize, usize> {
    list.binary_search_by(|cursor| cursor.name.as_bytes().cmp(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_kept_apart_and_in_order_and_counted_once() {
        let user = |name: &str| UserName::try_from(name).expect("lawful");
        let cursor = |name: &str, seq| Cursor {
            name: name.into(),
            seq: Seq(seq),
            count: Count(1),
            time: Timestamp(5),
            scope: 0,
        };
        let mut cursors = Cursors::default();
        cursors.set(RoomId(2), user("ann"), cursor("read", 1));
        cursors.set(RoomId(1), user("bob"), cursor("read", 2));
        cursors.set(RoomId(1), user("ann"), cursor("z", 3));
        cursors.set(RoomId(1), user("ann"), cursor("read", 4));
        cursors.set(RoomId(1), user("ann"), cursor("z", 5));
        assert_eq!(cursors.len(), 4);
        assert_eq!(
            (
                cursors.count_of(&user("ann")),
                cursors.count_of(&user("eve"))
            ),
            (3, 0)
        );
        let seen: Vec<u64> = cursors.iter().map(|(_, _, cursor)| cursor.seq.0).collect();
        assert_eq!(seen, [4, 5, 2, 1]);
        let found = cursors.find(RoomId(1), &user("ann"), "z");
        assert_eq!(found.map(|cursor| cursor.seq), Some(Seq(5)));
        assert_eq!(cursors.find(RoomId(1), &user("ann"), "y"), None);
    }
}
