//! Writing items: records are built in place, exactly once, at the end of the payload.

use alloc::vec::Vec;

use antiphon_protocol::{
    Count, Link, Namespace, Producer, RecordFields, RoomId, Seq, append_record,
};

use crate::item::{
    EXPIRE_FIXED_BYTES, ITEM_ALIGN, ITEM_HEAD_BYTES, RECORDS_FIXED_BYTES, ROOM_FIXED_BYTES,
    item_kind,
};

/// Builds the payload of one entry.
///
/// Items are written in the order of the calls. Between [`begin_records`](ItemWriter::begin_records) and
/// [`end_records`](ItemWriter::end_records) only records of that room may be appended.
#[derive(Debug, Default)]
pub struct ItemWriter {
    pub(super) out: Vec<u8>,
    open: Option<OpenRecords>,
}

/// The RECORDS item that is being filled.
#[derive(Debug)]
struct OpenRecords {
    /// Where its head stands in the payload.
    at: usize,
    room: RoomId,
    first: Seq,
    /// Seq that the next record must have.
    next: Seq,
    /// Link of the record before `next`.
    link: Link,
}

/// What a finished RECORDS item holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordsWritten {
    /// Seq of its first record.
    pub first: Seq,
    /// Seq after its last record.
    pub next: Seq,
    /// Link of its last record.
    pub link: Link,
    /// Where the records start and end, in bytes from the start of the payload.
    pub records: (usize, usize),
}

impl ItemWriter {
    /// Writes into `buffer`, which is cleared first: its capacity is what is reused.
    #[must_use]
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        ItemWriter {
            out: buffer,
            open: None,
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Writes a ROOM item: `room` exists from here on under `name`.
    pub fn room(&mut self, room: RoomId, namespace: Namespace, name: &[u8]) {
        let name_len =
            u8::try_from(name.len()).expect("INV-ITEM-1: a room name has at most 255 bytes");
        assert!(name_len != 0, "INV-ITEM-1: a room name is never empty");
        self.head(item_kind::ROOM, ROOM_FIXED_BYTES + name.len());
        self.out.extend_from_slice(&room.0.to_le_bytes());
        self.out.extend_from_slice(&namespace.0.to_le_bytes());
        self.out.push(name_len);
        self.out.extend_from_slice(name);
        self.pad();
    }

    /// Writes an EXPIRE item for `expired` producers of `room`; nothing if there are none.
    pub fn expire<'s>(
        &mut self,
        room: RoomId,
        expired: impl Iterator<Item = (Producer, &'s [u8])>,
    ) {
        let at = self.out.len();
        self.head(item_kind::EXPIRE, EXPIRE_FIXED_BYTES);
        self.out.extend_from_slice(&room.0.to_le_bytes());
        self.out.extend_from_slice(&[0; 8]);
        let mut entries: u32 = 0;
        for (producer, sender) in expired {
            let sender_len =
                u8::try_from(sender.len()).expect("INV-ITEM-2: a sender has at most 255 bytes");
            assert!(sender_len != 0, "INV-ITEM-2: a sender is never empty");
            self.out.extend_from_slice(&producer.0.to_le_bytes());
            self.out.push(sender_len);
            self.out.extend_from_slice(sender);
            entries += 1;
        }
        if entries == 0 {
            self.out.truncate(at);
            return;
        }
        self.patch(at + ITEM_HEAD_BYTES + 8, entries);
        self.close_at(at);
    }

    /// Starts a RECORDS item: `first` is the seq its first record will have, the rest describes the record before.
    pub fn begin_records(
        &mut self,
        room: RoomId,
        first: Seq,
        count_before: Count,
        link_before: Link,
    ) {
        assert!(first >= Seq(1), "INV-ITEM-3: seqs start at 1");
        let at = self.out.len();
        self.head(item_kind::RECORDS, RECORDS_FIXED_BYTES);
        for field in [room.0, first.0, count_before.0, link_before.0, 0] {
            self.out.extend_from_slice(&field.to_le_bytes());
        }
        self.open = Some(OpenRecords {
            at,
            room,
            first,
            next: first,
            link: link_before,
        });
    }

    /// Appends one record to the open RECORDS item and returns its link.
    ///
    /// # Panics
    /// If no item is open, or the record is not the next of its room (a bug in admission).
    pub fn record(&mut self, fields: &RecordFields<'_>) -> Link {
        let open = self
            .open
            .as_mut()
            .expect("INV-ITEM-4: records are appended between begin and end");
        assert!(
            fields.room_id == open.room && fields.seq == open.next,
            "INV-ITEM-3: records of an item are consecutive"
        );
        open.link = append_record(&mut self.out, fields, open.link);
        open.next = Seq(open.next.0 + 1);
        debug_assert!(
            self.out.len().is_multiple_of(ITEM_ALIGN),
            "INV-ITEM-5: records are padded to 8"
        );
        open.link
    }

    /// Ends the open RECORDS item.
    ///
    /// # Panics
    /// If none is open or it holds no record (a bug in admission).
    pub fn end_records(&mut self) -> RecordsWritten {
        let open = self.open.take().expect("INV-ITEM-4: an item is ended once");
        assert!(
            open.next > open.first,
            "INV-ITEM-4: a RECORDS item is never empty"
        );
        let start = open.at + ITEM_HEAD_BYTES + RECORDS_FIXED_BYTES;
        let records_len = u32::try_from(self.out.len() - start)
            .expect("INV-ITEM-6: a payload is far below 4 GiB");
        self.patch(start - 8, records_len);
        self.close_at(open.at);
        RecordsWritten {
            first: open.first,
            next: open.next,
            link: open.link,
            records: (start, self.out.len()),
        }
    }

    /// The payload.
    ///
    /// # Panics
    /// If a RECORDS item is still open.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        assert!(
            self.open.is_none(),
            "INV-ITEM-4: every item is ended before the payload is used"
        );
        self.out
    }

    pub(super) fn head(&mut self, kind: u8, len: usize) {
        assert!(self.open.is_none(), "INV-ITEM-4: items do not nest");
        let len = u32::try_from(len).expect("INV-ITEM-6: a payload is far below 4 GiB");
        self.out.extend_from_slice(&len.to_le_bytes());
        self.out.extend_from_slice(&[kind, 0, 0, 0]);
    }

    /// Sets the length of the item at `at`, which ends here, and pads it.
    pub(super) fn close_at(&mut self, at: usize) {
        let len = u32::try_from(self.out.len() - at - ITEM_HEAD_BYTES)
            .expect("INV-ITEM-6: a payload is far below 4 GiB");
        self.patch(at, len);
        self.pad();
    }

    fn pad(&mut self) {
        self.out
            .resize(self.out.len().next_multiple_of(ITEM_ALIGN), 0);
    }

    pub(super) fn patch(&mut self, at: usize, value: u32) {
        self.out[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}
