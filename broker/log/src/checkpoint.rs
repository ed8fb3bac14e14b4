//! Checkpoint file: one partition's state up to one entry, as one file.
//!
//! ```text
//!   0 magic "ANTCHKPT" 8 bytes | 8 version u32 | 12 group u32 | 16 directory id u128 | 32 index u64 | 40 term u64
//!  48 body_len u32 | 52 crc u32 | 56 reserved 8 bytes = 0 | 64 body
//! ```
//!
//! The body is the partition's to define; here it is bytes under a checksum. The file is written aside, synced, renamed
//! and its directory synced, so a name that exists means a whole file; the checksum finds what rots later, and then the
//! older generation serves. crc32c covers bytes 0..52, then 56 up to the end of the body.

use alloc::vec::Vec;

use crate::little_endian::{u32_at, u64_at, u128_at};
use crate::{GroupId, Index, Term};

/// First bytes of every checkpoint file.
pub const CHECKPOINT_MAGIC: [u8; 8] = *b"ANTCHKPT";
/// Version of the file around the body; the body has its own.
pub const CHECKPOINT_VERSION: u32 = 1;
/// Length of the header, in bytes.
pub const CHECKPOINT_HEADER_BYTES: usize = 64;
/// Where the checksum stands; it covers all but itself.
const CRC_AT: usize = 52;

/// One partition's state after applying the entry `(index, term)`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Checkpoint<'a> {
    /// The directory it was written in: a file carried over from another one is refused.
    pub directory_id: u128,
    /// The partition's group.
    pub group: GroupId,
    /// The last entry applied.
    pub index: Index,
    /// That entry's term.
    pub term: Term,
    /// The state, opaque here.
    pub body: &'a [u8],
}

/// Why a file is not a checkpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Shorter than its header, or not as long as the header says.
    #[error("checkpoint is {found} bytes long instead of {expected}")]
    Length {
        /// Bytes in the file.
        found: u64,
        /// Bytes announced; the header's own length if not even that is there.
        expected: u64,
    },
    /// The first bytes are not [`CHECKPOINT_MAGIC`].
    #[error("not a checkpoint file")]
    Magic,
    /// Written by another version of the format.
    #[error("checkpoint has format version {found}, this program reads {CHECKPOINT_VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// The checksum does not match: the file is damaged.
    #[error("checkpoint's checksum does not match")]
    Checksum,
    /// Reserved bytes are not zero although the checksum matches.
    #[error("checkpoint's reserved bytes are not zero")]
    Reserved,
}

impl<'a> Checkpoint<'a> {
    /// The whole file.
    ///
    /// # Panics
    /// If the body is 4 GiB or longer (a bug: a partition's state is far below).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let body_len =
            u32::try_from(self.body.len()).expect("INV-CKPT-1: a checkpoint's body is below 4 GiB");
        let mut out = Vec::with_capacity(CHECKPOINT_HEADER_BYTES + self.body.len());
        out.extend_from_slice(&CHECKPOINT_MAGIC);
        out.extend_from_slice(&CHECKPOINT_VERSION.to_le_bytes());
        out.extend_from_slice(&self.group.0.to_le_bytes());
        out.extend_from_slice(&self.directory_id.to_le_bytes());
        out.extend_from_slice(&self.index.0.to_le_bytes());
        out.extend_from_slice(&self.term.0.to_le_bytes());
        out.extend_from_slice(&body_len.to_le_bytes());
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(self.body);
        let crc = checksum(&out, CRC_AT);
        out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// See [`CheckpointError`]. Any bytes are answered, none panic.
    pub fn decode(file: &'a [u8]) -> Result<Self, CheckpointError> {
        let found = file.len() as u64;
        let short = CheckpointError::Length {
            found,
            expected: CHECKPOINT_HEADER_BYTES as u64,
        };
        let (header, body) = file
            .split_at_checked(CHECKPOINT_HEADER_BYTES)
            .ok_or(short)?;
        if header[..8] != CHECKPOINT_MAGIC {
            return Err(CheckpointError::Magic);
        }
        let version = u32_at(header, 8).ok_or(short)?;
        if version != CHECKPOINT_VERSION {
            return Err(CheckpointError::Version { found: version });
        }
        let body_len = u32_at(header, 48).ok_or(short)?;
        if body.len() as u64 != u64::from(body_len) {
            let expected = CHECKPOINT_HEADER_BYTES as u64 + u64::from(body_len);
            return Err(CheckpointError::Length { found, expected });
        }
        if u32_at(header, CRC_AT).ok_or(short)? != checksum(file, CRC_AT) {
            return Err(CheckpointError::Checksum);
        }
        if header[CRC_AT + 4..] != [0; 8] {
            return Err(CheckpointError::Reserved);
        }
        Ok(Checkpoint {
            directory_id: u128_at(header, 16).ok_or(short)?,
            group: GroupId(u32_at(header, 12).ok_or(short)?),
            index: Index(u64_at(header, 32).ok_or(short)?),
            term: Term(u64_at(header, 40).ok_or(short)?),
            body,
        })
    }
}

/// crc32c of all of `file` but the four bytes at `crc_at`.
pub(crate) fn checksum(file: &[u8], crc_at: usize) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&file[..crc_at]), &file[crc_at + 4..])
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::{CHECKPOINT_HEADER_BYTES, Checkpoint, CheckpointError};
    use crate::{GroupId, Index, Term};

    const SAMPLE: Checkpoint<'static> = Checkpoint {
        directory_id: 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100,
        group: GroupId(3),
        index: Index(0x1122),
        term: Term(7),
        body: b"state",
    };
    const GOLDEN: &str = concat!(
        "414e5443484b50540100000003000000000102030405060708090a0b0c0d0e0f",
        "2211000000000000070000000000000005000000432850360000000000000000",
        "7374617465",
    );

    fn hex(bytes: &[u8]) -> alloc::string::String {
        bytes
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn a_checkpoint_has_these_bytes() {
        assert_eq!(hex(&SAMPLE.encode()), GOLDEN);
        assert_eq!(Checkpoint::decode(&SAMPLE.encode()), Ok(SAMPLE));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let file = SAMPLE.encode();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut broken = file.clone();
                broken[at] ^= 1 << bit;
                assert!(
                    Checkpoint::decode(&broken).is_err(),
                    "bit {bit} of byte {at}"
                );
            }
        }
    }

    #[test]
    fn every_cut_is_found_and_told() {
        let file = SAMPLE.encode();
        for end in 0..file.len() {
            let expected = if end < CHECKPOINT_HEADER_BYTES {
                CHECKPOINT_HEADER_BYTES
            } else {
                file.len()
            };
            let length = CheckpointError::Length {
                found: end as u64,
                expected: expected as u64,
            };
            assert_eq!(Checkpoint::decode(&file[..end]), Err(length));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..200), magic: bool) {
            if magic && bytes.len() >= 12 {
                bytes[..12].copy_from_slice(&SAMPLE.encode()[..12]);
            }
            prop_assert!(Checkpoint::decode(&bytes).is_err());
        }

        #[test]
        fn what_is_written_is_read(group: u32, index: u64, term: u64, id: u128, body: Vec<u8>) {
            let (group, index, term) = (GroupId(group), Index(index), Term(term));
            let checkpoint = Checkpoint { directory_id: id, group, index, term, body: &body };
            let file = checkpoint.encode();
            prop_assert_eq!(Checkpoint::decode(&file), Ok(checkpoint));
        }
    }
}
