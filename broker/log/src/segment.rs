//! Segment files: their names and their first page.
//!
//! ```text
//! offset 0      header: 0 magic | 8 version u16 | 10 reserved u16 | 12 segment u32 | 16 directory id u128
//!               | 32 segment_bytes u32 | 36 reserved u32 | 40 crc u32 of bytes 0..40
//! offset 1,024  mark slot 0
//! offset 2,048  mark slot 1
//! offset 4,096  blocks
//! ```

use alloc::format;
use alloc::string::String;

use crate::block::BlockSeed;
use crate::ids::{LogPosition, SegmentId};
use crate::limits::{SECTOR_BYTES, SEGMENT_HEADER_BYTES};

/// Folder of the segments.
pub const LOG_FOLDER: &str = "log";
/// First bytes of every segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"ANTISEG\0";
/// Version of segments, blocks and marks.
pub const SEGMENT_VERSION: u16 = 1;
/// Length of the header.
const HEADER_BYTES: usize = 44;
const CRC_AT: usize = 40;

const SLOT_MAGIC: u32 = u32::from_le_bytes(*b"MARK");
const SLOT_BYTES: usize = 32;
const SLOTS_AT: [u32; 2] = [1_024, 2_048];
const _: () = assert!(
    HEADER_BYTES as u32 <= SECTOR_BYTES,
    "the header is written whole"
);
const _: () =
    assert!(SLOTS_AT[0].is_multiple_of(SECTOR_BYTES) && SLOTS_AT[1].is_multiple_of(SECTOR_BYTES));
const _: () = assert!(SLOTS_AT[1] + SECTOR_BYTES <= SEGMENT_HEADER_BYTES);

/// The header of a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SegmentHeader {
    /// Its number.
    pub segment: SegmentId,
    /// The data directory it belongs to.
    pub directory_id: u128,
    /// Length of the file.
    pub segment_bytes: u32,
}

/// Why a file does not start like a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HeaderError {
    /// Damaged, or no segment at all.
    #[error("the segment's header is damaged")]
    Damaged,
    /// Of a newer version.
    #[error("the segment has format version {0}")]
    Version(u16),
    /// Reserved bytes are not zero although the checksum is right: of a version that gives them a meaning.
    #[error("the segment's header has reserved bytes that are not zero")]
    Reserved,
}

impl SegmentHeader {
    /// The first bytes of the file.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..10].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment.0.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.directory_id.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.segment_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Decodes the start of a file.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn decode(file: &[u8]) -> Result<SegmentHeader, HeaderError> {
        let bytes: &[u8; HEADER_BYTES] = file.first_chunk().ok_or(HeaderError::Damaged)?;
        if bytes[..8] != SEGMENT_MAGIC
            || bytes[CRC_AT..] != crc32c::crc32c(&bytes[..CRC_AT]).to_le_bytes()
        {
            return Err(HeaderError::Damaged);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != SEGMENT_VERSION {
            return Err(HeaderError::Version(version));
        }
        if bytes[10..12] != [0; 2] || bytes[36..40] != [0; 4] {
            return Err(HeaderError::Reserved);
        }
        let mut directory_id = [0; 16];
        directory_id.copy_from_slice(&bytes[16..32]);
        Ok(SegmentHeader {
            segment: SegmentId(u32::from_le_bytes([
                bytes[12], bytes[13], bytes[14], bytes[15],
            ])),
            directory_id: u128::from_le_bytes(directory_id),
            segment_bytes: u32::from_le_bytes([bytes[32], bytes[33], bytes[34], bytes[35]]),
        })
    }
}

/// Name of a segment, with its folder.
#[must_use]
pub fn segment_name(segment: SegmentId) -> String {
    format!("{LOG_FOLDER}/{:016x}.seg", segment.0)
}

/// Name of a segment being made, with its folder.
pub(crate) fn temporary_name(segment: SegmentId) -> String {
    format!("{LOG_FOLDER}/{:016x}.tmp", segment.0)
}

/// The number in a segment's file name (without its folder); `None`: it is no segment's name.
#[must_use]
pub fn parse_segment_name(name: &str) -> Option<SegmentId> {
    parse_name(name, ".seg")
}

/// The number in the name of a segment being made.
pub(crate) fn parse_temporary_name(name: &str) -> Option<SegmentId> {
    parse_name(name, ".tmp")
}

fn parse_name(name: &str, suffix: &str) -> Option<SegmentId> {
    let digits = name.strip_suffix(suffix)?;
    let lower = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if digits.len() != 16 || !lower {
        return None;
    }
    let id = u32::try_from(u64::from_str_radix(digits, 16).ok()?).ok()?;
    (id > 0).then_some(SegmentId(id))
}

/// One of the two marks in a segment's first page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MarkSlot {
    /// Everything below was durable.
    pub(crate) sync_end: LogPosition,
    /// How many marks the segment had before this one.
    pub(crate) count: u64,
}

/// What the two slots of a segment hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct MarkSlots {
    /// The newest valid one.
    pub(crate) newest: Option<MarkSlot>,
    /// A slot holds something else than zeros or a mark.
    pub(crate) is_damaged: bool,
    /// A slot is right and has reserved bytes that are not zero: of a version that gives them a meaning.
    pub(crate) is_unknown: bool,
}

impl MarkSlot {
    /// Where it is written.
    pub(crate) const fn offset(&self) -> u32 {
        SLOTS_AT[(self.count % 2) as usize]
    }

    pub(crate) fn encode(&self, segment: SegmentId, seed: BlockSeed) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..4].copy_from_slice(&SLOT_MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sync_end.wire().to_le_bytes());
        bytes[16..24].copy_from_slice(&self.count.to_le_bytes());
        let crc = slot_sum(&bytes, LogPosition::new(segment, self.offset()), seed);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; SLOT_BYTES], at: LogPosition, seed: BlockSeed) -> Option<MarkSlot> {
        if bytes[..4] != SLOT_MAGIC.to_le_bytes()
            || bytes[4..8] != slot_sum(bytes, at, seed).to_le_bytes()
        {
            return None;
        }
        let sync_end = LogPosition::from_wire(u64::from_le_bytes(*bytes[8..16].first_chunk()?));
        let slot = MarkSlot {
            sync_end,
            count: u64::from_le_bytes(*bytes[16..24].first_chunk()?),
        };
        (slot.offset() == at.offset() && sync_end.segment() <= at.segment()).then_some(slot)
    }
}

impl MarkSlots {
    /// Reads the slots out of a segment's file.
    pub(crate) fn read(file: &[u8], segment: SegmentId, seed: BlockSeed) -> MarkSlots {
        let mut slots = MarkSlots::default();
        for at in SLOTS_AT {
            let bytes = file
                .get(at as usize..)
                .and_then(|bytes| bytes.first_chunk::<SLOT_BYTES>());
            let Some(bytes) = bytes else { continue };
            let slot = MarkSlot::decode(bytes, LogPosition::new(segment, at), seed);
            slots.is_unknown |= slot.is_some() && bytes[24..] != [0; 8];
            slots.is_damaged |= slot.is_none() && bytes.iter().any(|byte| *byte != 0);
            if slot.is_some_and(|slot| slots.newest.is_none_or(|newest| newest.count < slot.count))
            {
                slots.newest = slot;
            }
        }
        slots
    }

    /// The highest `sync_end` told; zero if none is.
    pub(crate) fn marked(&self) -> LogPosition {
        self.newest.map_or(LogPosition::ZERO, |slot| slot.sync_end)
    }

    /// The mark to write next.
    pub(crate) fn next(&self, sync_end: LogPosition) -> MarkSlot {
        MarkSlot {
            sync_end,
            count: self.newest.map_or(0, |slot| slot.count.wrapping_add(1)),
        }
    }
}

fn slot_sum(bytes: &[u8; SLOT_BYTES], at: LogPosition, seed: BlockSeed) -> u32 {
    crc32c::crc32c_append(
        crc32c::crc32c_append(seed.start(), &bytes[8..]),
        &at.wire().to_le_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use super::{
        HeaderError, MarkSlot, MarkSlots, SegmentHeader, parse_segment_name, segment_name,
    };
    use crate::block::BlockSeed;
    use crate::ids::{LogPosition, SegmentId};

    const DIRECTORY: u128 = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100;

    fn hex(bytes: &[u8]) -> String {
        bytes
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn a_header_has_these_bytes() {
        let header = SegmentHeader {
            segment: SegmentId(3),
            directory_id: DIRECTORY,
            segment_bytes: 65_536,
        };
        assert_eq!(hex(&header.encode()), HEADER_GOLDEN);
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_found() {
        let header = SegmentHeader {
            segment: SegmentId(3),
            directory_id: DIRECTORY,
            segment_bytes: 65_536,
        };
        for at in 0..header.encode().len() * 8 {
            let mut bytes = header.encode();
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::Damaged));
        }
    }

    #[test]
    fn slots_have_these_bytes_and_the_newest_counts() {
        let seed = BlockSeed::new(DIRECTORY, SegmentId(3));
        let at = |offset| LogPosition::new(SegmentId(3), offset);
        let older = MarkSlot {
            sync_end: at(4_200),
            count: 6,
        };
        let newer = MarkSlot {
            sync_end: at(4_300),
            count: 7,
        };
        assert_eq!(hex(&older.encode(SegmentId(3), seed)), SLOT_GOLDEN);
        assert_eq!((older.offset(), newer.offset()), (1_024, 2_048));
        let mut file = vec![0; 4_096];
        file[1_024..1_056].copy_from_slice(&older.encode(SegmentId(3), seed));
        file[2_048..2_080].copy_from_slice(&newer.encode(SegmentId(3), seed));
        let read = |file: &[u8]| MarkSlots::read(file, SegmentId(3), seed);
        assert_eq!(
            read(&file),
            MarkSlots {
                newest: Some(newer),
                ..MarkSlots::default()
            }
        );
        assert_eq!(read(&file).next(at(4_400)).offset(), 1_024);
        file[2_050] ^= 1;
        assert_eq!(
            read(&file),
            MarkSlots {
                newest: Some(older),
                is_damaged: true,
                is_unknown: false
            }
        );
        assert_eq!(read(&[0; 4_096]), MarkSlots::default());
    }

    #[test]
    fn names_are_exact() {
        assert_eq!(segment_name(SegmentId(0x1f)), "log/000000000000001f.seg");
        assert_eq!(
            parse_segment_name("000000000000001f.seg"),
            Some(SegmentId(0x1f))
        );
        for name in [
            "000000000000001F.seg",
            "1f.seg",
            "000000000000001f.tmp",
            "0000000000000000.seg",
            "0000000100000000.seg",
        ] {
            assert_eq!(parse_segment_name(name), None, "{name}");
        }
    }

    const HEADER_GOLDEN: &str =
        "414e5449534547000100000003000000000102030405060708090a0b0c0d0e0f0000010000000000950b16d0";
    const SLOT_GOLDEN: &str = "4d41524b6ca26bf4681000000300000006000000000000000000000000000000";
}
