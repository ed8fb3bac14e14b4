//! ERASE: records that are served without headers and body from here on.

use antiphon_protocol::{RoomId, Seq};

use crate::item::{ERASE_FIXED_BYTES, ITEM_HEAD_BYTES, ItemWriter, item_kind};
use crate::little_endian::{u32_at, u64_at};

/// Length of one entry.
const ENTRY_BYTES: usize = 16;

/// ERASE: `entries u32 | reserved u32`, then per entry `room id u64 | seq u64`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EraseItem<'a> {
    list: &'a [u8],
}

impl<'a> EraseItem<'a> {
    /// Reads the fields; `None`: they contradict themselves.
    pub(super) fn read(fields: &'a [u8]) -> Option<Self> {
        let (entries, reserved) = (u32_at(fields, 0)?, u32_at(fields, 4)?);
        let item = EraseItem {
            list: fields.get(ERASE_FIXED_BYTES..)?,
        };
        let is_whole = item.list.len() == (entries as usize).checked_mul(ENTRY_BYTES)?;
        let is_lawful = is_whole && entries != 0 && reserved == 0;
        (is_lawful && item.erased().all(|(_, seq)| seq >= Seq(1))).then_some(item)
    }

    /// The records: the room of each, and its seq there, >= 1.
    pub fn erased(&self) -> impl Iterator<Item = (RoomId, Seq)> + use<'a> {
        self.list
            .chunks_exact(ENTRY_BYTES)
            .filter_map(|entry| Some((RoomId(u64_at(entry, 0)?), Seq(u64_at(entry, 8)?))))
    }
}

impl ItemWriter {
    /// Writes an ERASE item; nothing if there are no `records`.
    ///
    /// # Panics
    /// If a seq is 0 (a bug of admission).
    pub fn erase(&mut self, records: impl Iterator<Item = (RoomId, Seq)>) {
        let at = self.len();
        self.head(item_kind::ERASE, ERASE_FIXED_BYTES);
        self.out.extend_from_slice(&[0; ERASE_FIXED_BYTES]);
        let mut entries: u32 = 0;
        for (room, seq) in records {
            assert!(
                seq >= Seq(1),
                "INV-ITEM-8: what is erased is a record, and seqs start at 1"
            );
            self.out.extend_from_slice(&room.0.to_le_bytes());
            self.out.extend_from_slice(&seq.0.to_le_bytes());
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

    const ROOM: RoomId = RoomId(0x0123_4567_89ab_cdef);

    fn written(records: &[(RoomId, Seq)]) -> Vec<u8> {
        let mut writer = ItemWriter::default();
        writer.erase(records.iter().copied());
        writer.finish()
    }

    #[test]
    fn the_item_has_these_bytes() {
        let payload = written(&[(ROOM, Seq(3)), (RoomId(1), Seq(7))]);
        let hex: String = payload
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect();
        let golden = concat!(
            "2800000006000000",
            "0200000000000000",
            "efcdab8967452301",
            "0300000000000000",
            "0100000000000000",
            "0700000000000000",
        );
        assert_eq!(hex, golden);
        assert!(written(&[]).is_empty());
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let records = [(ROOM, Seq(3)), (RoomId(1), Seq(u64::MAX))];
        let payload = written(&records);
        let items: Vec<_> = Items::new(&payload).collect();
        let [Ok(Item::Erase(item))] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!(item.erased().collect::<Vec<_>>(), records);
    }

    #[test]
    fn every_contradiction_is_refused() {
        let good = written(&[(ROOM, Seq(3)), (ROOM, Seq(4))]);
        let changes: [(usize, u8, &str); 5] = [
            (8, 1, "fewer entries than there are"),
            (8, 3, "more entries than there are"),
            (12, 1, "reserved"),
            (24, 0, "seq 0"),
            (0, 0x20, "half an entry"),
        ];
        for (at, value, what) in changes {
            let mut bad = good.clone();
            bad[at] = value;
            let read: Result<Vec<_>, _> = Items::new(&bad).collect();
            let expected = ItemError::Malformed { at: 0, kind: 6 };
            assert_eq!(read.err(), Some(expected), "{what}");
        }
    }
}
