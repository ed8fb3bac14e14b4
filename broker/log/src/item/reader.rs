//! Reading items: total, any bytes give items and then at most one error.

use antiphon_protocol::{Count, Link, Namespace, Producer, RoomId, Seq};

use crate::item::{
    CursorsItem, EXPIRE_FIXED_BYTES, EraseItem, ExpireItem, ITEM_ALIGN, ITEM_HEAD_BYTES, Item,
    ItemError, RECORDS_FIXED_BYTES, ROOM_FIXED_BYTES, RecordsItem, RoomItem, item_kind,
};
use crate::little_endian::{u32_at, u64_at};

/// Iterates over the items of one payload, in order; ends after the first error.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    payload: &'a [u8],
    /// Where the next item starts; `payload.len()` when there is none.
    at: usize,
}

impl<'a> Items<'a> {
    /// Reads `payload`, the whole payload of one entry.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Self {
        Items { payload, at: 0 }
    }

    /// Where the next item starts, in bytes from the start of the payload.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    fn read(&mut self) -> Result<Item<'a>, ItemError> {
        let at = self.at;
        let cut = ItemError::Cut { at };
        let len = u32_at(self.payload, at).ok_or(cut)? as usize;
        let head = self.payload.get(at..at + ITEM_HEAD_BYTES).ok_or(cut)?;
        let fields_at = at + ITEM_HEAD_BYTES;
        let end = fields_at.checked_add(len).ok_or(cut)?;
        let fields = self.payload.get(fields_at..end).ok_or(cut)?;
        let padded_end = end.checked_next_multiple_of(ITEM_ALIGN).ok_or(cut)?;
        let padding = self.payload.get(end..padded_end).ok_or(cut)?;
        let kind = head[4];
        let malformed = ItemError::Malformed { at, kind };
        if head[5..] != [0; 3] || padding.iter().any(|byte| *byte != 0) {
            return Err(malformed);
        }
        let item = match kind {
            item_kind::ROOM => room(fields).map(Item::Room),
            item_kind::RECORDS => records(fields, fields_at).map(Item::Records),
            item_kind::EXPIRE => expire(fields).map(Item::Expire),
            item_kind::CURSORS => CursorsItem::read(fields).map(Item::Cursors),
            item_kind::ERASE => EraseItem::read(fields).map(Item::Erase),
            _ => return Err(ItemError::UnknownKind { at, kind }),
        };
        self.at = padded_end;
        item.ok_or(malformed)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, ItemError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.payload.len() {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.at = self.payload.len();
        }
        Some(item)
    }
}

impl core::iter::FusedIterator for Items<'_> {}

fn room(fields: &[u8]) -> Option<RoomItem<'_>> {
    let name_len = usize::from(*fields.get(12)?);
    let name = fields.get(ROOM_FIXED_BYTES..)?;
    let lawful = name_len != 0 && name.len() == name_len;
    lawful.then_some(RoomItem {
        room: RoomId(u64_at(fields, 0)?),
        namespace: Namespace(u32_at(fields, 8)?),
        name,
    })
}

fn records(fields: &[u8], fields_at: usize) -> Option<RecordsItem<'_>> {
    let records_len = u32_at(fields, 32)? as usize;
    let reserved = u32_at(fields, 36)?;
    let records = fields.get(RECORDS_FIXED_BYTES..)?;
    let first = Seq(u64_at(fields, 8)?);
    let lawful = records.len() == records_len
        && records_len != 0
        && records_len.is_multiple_of(ITEM_ALIGN)
        && reserved == 0
        && first >= Seq(1);
    lawful.then_some(RecordsItem {
        room: RoomId(u64_at(fields, 0)?),
        first,
        count_before: Count(u64_at(fields, 16)?),
        link_before: Link(u64_at(fields, 24)?),
        records,
        offset: fields_at + RECORDS_FIXED_BYTES,
    })
}

fn expire(fields: &[u8]) -> Option<ExpireItem<'_>> {
    let entries = u32_at(fields, 8)?;
    let reserved = u32_at(fields, 12)?;
    let mut expired = Expired {
        list: fields.get(EXPIRE_FIXED_BYTES..)?,
    };
    let list = expired.list;
    let mut found: u32 = 0;
    while !expired.list.is_empty() {
        expired.next()?;
        found = found.checked_add(1)?;
    }
    let lawful = found == entries && found != 0 && reserved == 0;
    lawful.then_some(ExpireItem {
        room: RoomId(u64_at(fields, 0)?),
        list,
    })
}

impl<'a> ExpireItem<'a> {
    /// The producers that leave, each with its sender's name.
    #[must_use]
    pub fn expired(&self) -> Expired<'a> {
        Expired { list: self.list }
    }
}

/// Iterates over the entries of an [`ExpireItem`].
#[derive(Clone, Debug)]
pub struct Expired<'a> {
    list: &'a [u8],
}

impl<'a> Iterator for Expired<'a> {
    type Item = (Producer, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let producer = Producer(u64_at(self.list, 0)?);
        let sender_len = usize::from(*self.list.get(8)?);
        let sender = self.list.get(9..9 + sender_len)?;
        if sender.is_empty() {
            return None;
        }
        self.list = &self.list[9 + sender_len..];
        Some((producer, sender))
    }
}
