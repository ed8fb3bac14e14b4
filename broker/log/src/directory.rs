//! Directory file `antiphon.dir`: what a data directory is, written once when it is made.
//!
//! ```text
//!   0 magic "ANTIPHON" 8 bytes | 8 version u32 | 12 partitions u32 | 16 directory id u128 | 32 node u32
//!  36 version 1: reserved 24 bytes = 0 | version 2: cluster u128, reserved 8 bytes = 0 | 60 crc u32 of bytes 0..60
//! ```
//!
//! The version is that of the whole directory: a program that finds another one touches nothing. Version 1 is the directory of a node alone,
//! version 2 that of a member of a cluster: who knows only the first must not lead groups alone that have other voters.

use antiphon_protocol::NodeId;

use crate::little_endian::{u32_at, u128_at};

/// Name of the file in the data directory.
pub const DIRECTORY_FILE_NAME: &str = "antiphon.dir";
/// First bytes of the file.
pub const DIRECTORY_MAGIC: [u8; 8] = *b"ANTIPHON";
/// Version of all formats in the directory of a node alone.
pub const DIRECTORY_VERSION: u32 = 1;
/// Version of all formats in the directory of a member of a cluster, and the highest version read.
pub const DIRECTORY_VERSION_MEMBER: u32 = 2;
/// Length of the file, in bytes.
pub const DIRECTORY_FILE_BYTES: usize = 64;
const CLUSTER_AT: usize = 36;
const RESERVED_AT: usize = 52;
const CRC_AT: usize = 60;

/// What a data directory is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DirectoryFile {
    /// Drawn at random when the directory was made; every file in it repeats it.
    pub directory_id: u128,
    /// The node it belongs to.
    pub node: NodeId,
    /// Number of partitions, >= 1; it never changes.
    pub partitions: u32,
    /// The cluster it belongs to, not 0; `None`: it is that of a node alone.
    pub cluster: Option<u128>,
}

/// Why bytes are not a directory file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryFileError {
    /// Not [`DIRECTORY_FILE_BYTES`] long.
    #[error("directory file is {found} bytes long instead of {DIRECTORY_FILE_BYTES}")]
    Length {
        /// Bytes found.
        found: u64,
    },
    /// The first bytes are not [`DIRECTORY_MAGIC`].
    #[error("not a directory file")]
    Magic,
    /// Made by another version of the program.
    #[error(
        "the directory has format version {found}, this program reads up to {DIRECTORY_VERSION_MEMBER}"
    )]
    Version {
        /// The version found.
        found: u32,
    },
    /// The checksum does not match: the file is damaged.
    #[error("directory file's checksum does not match")]
    Checksum,
    /// Fields are out of range although the checksum matches.
    #[error("directory file contradicts itself")]
    Malformed,
}

impl DirectoryFile {
    /// The whole file.
    ///
    /// # Panics
    /// If there is no partition, or the cluster is 0 (a bug: configuration is checked before).
    #[must_use]
    pub fn encode(&self) -> [u8; DIRECTORY_FILE_BYTES] {
        assert!(
            self.partitions >= 1,
            "INV-DIR-1: a directory has partitions"
        );
        assert!(
            self.cluster != Some(0),
            "INV-DIR-2: a cluster's id is not 0"
        );
        let version = match self.cluster {
            None => DIRECTORY_VERSION,
            Some(_) => DIRECTORY_VERSION_MEMBER,
        };
        let mut out = [0; DIRECTORY_FILE_BYTES];
        out[0..8].copy_from_slice(&DIRECTORY_MAGIC);
        out[8..12].copy_from_slice(&version.to_le_bytes());
        out[12..16].copy_from_slice(&self.partitions.to_le_bytes());
        out[16..32].copy_from_slice(&self.directory_id.to_le_bytes());
        out[32..36].copy_from_slice(&self.node.0.to_le_bytes());
        out[CLUSTER_AT..RESERVED_AT].copy_from_slice(&self.cluster.unwrap_or(0).to_le_bytes());
        let crc = crc32c::crc32c(&out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// See [`DirectoryFileError`]. Any bytes are answered, none panic.
    pub fn decode(file: &[u8]) -> Result<Self, DirectoryFileError> {
        let length = DirectoryFileError::Length {
            found: file.len() as u64,
        };
        if file.get(..8).ok_or(length)? != DIRECTORY_MAGIC {
            return Err(DirectoryFileError::Magic);
        }
        let version = u32_at(file, 8).ok_or(length)?;
        if !(DIRECTORY_VERSION..=DIRECTORY_VERSION_MEMBER).contains(&version) {
            return Err(DirectoryFileError::Version { found: version });
        }
        if file.len() != DIRECTORY_FILE_BYTES {
            return Err(length);
        }
        if u32_at(file, CRC_AT).ok_or(length)? != crc32c::crc32c(&file[..CRC_AT]) {
            return Err(DirectoryFileError::Checksum);
        }
        let partitions = u32_at(file, 12).ok_or(length)?;
        let cluster = u128_at(file, CLUSTER_AT).ok_or(length)?;
        let is_member = version == DIRECTORY_VERSION_MEMBER;
        let has_strange = file[RESERVED_AT..CRC_AT].iter().any(|byte| *byte != 0);
        if partitions == 0 || has_strange || is_member != (cluster != 0) {
            return Err(DirectoryFileError::Malformed);
        }
        Ok(DirectoryFile {
            directory_id: u128_at(file, 16).ok_or(length)?,
            node: NodeId(u32_at(file, 32).ok_or(length)?),
            partitions,
            cluster: is_member.then_some(cluster),
        })
    }
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::NodeId;
    use proptest::prelude::*;

    use super::{DIRECTORY_FILE_BYTES, DirectoryFile, DirectoryFileError};

    const SAMPLE: DirectoryFile = DirectoryFile {
        directory_id: 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100,
        node: NodeId(1),
        partitions: 16,
        cluster: None,
    };
    const MEMBER: DirectoryFile = DirectoryFile {
        cluster: Some(0x1f1e_1d1c_1b1a_1918_1716_1514_1312_1110),
        ..SAMPLE
    };
    const GOLDEN: &str = concat!(
        "414e544950484f4e0100000010000000000102030405060708090a0b0c0d0e0f",
        "01000000000000000000000000000000000000000000000000000000e9ea4ab3",
    );
    const GOLDEN_MEMBER: &str = concat!(
        "414e544950484f4e0200000010000000000102030405060708090a0b0c0d0e0f",
        "01000000101112131415161718191a1b1c1d1e1f000000000000000078214d9f",
    );

    #[test]
    fn a_directory_file_has_these_bytes() {
        for (sample, golden) in [(SAMPLE, GOLDEN), (MEMBER, GOLDEN_MEMBER)] {
            let hex: alloc::string::String = sample
                .encode()
                .iter()
                .map(|byte| alloc::format!("{byte:02x}"))
                .collect();
            assert_eq!(hex, golden);
            assert_eq!(DirectoryFile::decode(&sample.encode()), Ok(sample));
        }
    }

    #[test]
    fn a_member_without_a_cluster_and_a_node_alone_with_one_contradict_themselves() {
        for (mut file, version) in [(SAMPLE.encode(), 2_u8), (MEMBER.encode(), 1)] {
            file[8] = version;
            let crc = crc32c::crc32c(&file[..60]);
            file[60..].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(
                DirectoryFile::decode(&file),
                Err(DirectoryFileError::Malformed)
            );
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        every_bend_is_found(&SAMPLE.encode());
        every_bend_is_found(&MEMBER.encode());
    }

    fn every_bend_is_found(file: &[u8; DIRECTORY_FILE_BYTES]) {
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut broken = *file;
                broken[at] ^= 1 << bit;
                assert!(
                    DirectoryFile::decode(&broken).is_err(),
                    "bit {bit} of byte {at}"
                );
            }
            assert!(DirectoryFile::decode(&file[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_version_is_told_whatever_follows() {
        let mut newer = [0xee; DIRECTORY_FILE_BYTES + 30];
        newer[..8].copy_from_slice(b"ANTIPHON");
        newer[8..12].copy_from_slice(&3_u32.to_le_bytes());
        assert_eq!(
            DirectoryFile::decode(&newer),
            Err(DirectoryFileError::Version { found: 3 })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..100), magic: bool) {
            if magic && bytes.len() >= 12 {
                bytes[..12].copy_from_slice(&SAMPLE.encode()[..12]);
            }
            prop_assert!(DirectoryFile::decode(&bytes).is_err());
        }
    }
}
