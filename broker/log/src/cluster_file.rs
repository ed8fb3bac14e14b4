//! Cluster file `antiphon.cluster`: the members of the cluster that a data directory belongs to, and which directory each of them was met with.
//!
//! ```text
//!   0 magic "ANTCLUST" 8 bytes | 8 version u32 | 12 members u32 | 16 directory id u128 | 32 cluster u128
//!  48 members of (node u32 | reserved u32 = 0 | directory u128, 0: never met), ascending by node | crc u32 of all before it
//! ```
//!
//! Laid out in docs/peer-protocol.md, section 5.

use alloc::vec::Vec;

use antiphon_protocol::NodeId;

use crate::little_endian::{u32_at, u128_at};

/// Name of the file in the data directory.
pub const CLUSTER_FILE_NAME: &str = "antiphon.cluster";
/// Members of a cluster, this node among them.
pub const CLUSTER_MEMBERS_MAX: usize = 7;
const MAGIC: [u8; 8] = *b"ANTCLUST";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 48;
const MEMBER_BYTES: usize = 24;
const CRC_BYTES: usize = 4;

/// One member, as this directory knows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClusterMember {
    /// Its node id, not 0.
    pub node: NodeId,
    /// The id of its data directory; 0: it was never met.
    pub directory: u128,
}

/// What a data directory knows of its cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClusterFile {
    /// As in `antiphon.dir`.
    pub directory_id: u128,
    /// As in `antiphon.dir`.
    pub cluster: u128,
    /// 1 to [`CLUSTER_MEMBERS_MAX`], ascending by node.
    pub members: Vec<ClusterMember>,
}

/// Why bytes are not a cluster file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterFileError {
    /// Not as long as its members need.
    #[error("the cluster file is {found} bytes long, which no number of members makes")]
    Length {
        /// Bytes found.
        found: u64,
    },
    /// The first bytes are others.
    #[error("not a cluster file")]
    Magic,
    /// Made by another version of the program.
    #[error("the cluster file has version {found}, this program reads {VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// The checksum does not match: the file is damaged.
    #[error("the cluster file's checksum does not match")]
    Checksum,
    /// Fields are out of range although the checksum matches.
    #[error("the cluster file contradicts itself")]
    Malformed,
}

impl ClusterFile {
    /// The whole file.
    ///
    /// # Panics
    /// If what it says is not lawful (a bug: configuration is checked before).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.is_lawful(), "INV-DIR-3: a cluster has members");
        let mut out = Vec::with_capacity(file_bytes(self.members.len()));
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        // Lawful: at most 7.
        out.extend_from_slice(&(self.members.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.directory_id.to_le_bytes());
        out.extend_from_slice(&self.cluster.to_le_bytes());
        for member in &self.members {
            out.extend_from_slice(&member.node.0.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&member.directory.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// See [`ClusterFileError`]. Any bytes are answered, none panic.
    pub fn decode(file: &[u8]) -> Result<Self, ClusterFileError> {
        let length = ClusterFileError::Length {
            found: file.len() as u64,
        };
        if file.get(..8).ok_or(length)? != MAGIC {
            return Err(ClusterFileError::Magic);
        }
        let version = u32_at(file, 8).ok_or(length)?;
        if version != VERSION {
            return Err(ClusterFileError::Version { found: version });
        }
        let count = u32_at(file, 12).ok_or(length)? as usize;
        if count > CLUSTER_MEMBERS_MAX || file.len() != file_bytes(count) {
            return Err(length);
        }
        let crc_at = file.len() - CRC_BYTES;
        if u32_at(file, crc_at).ok_or(length)? != crc32c::crc32c(&file[..crc_at]) {
            return Err(ClusterFileError::Checksum);
        }
        let mut members = Vec::with_capacity(count);
        for member in file[HEAD_BYTES..crc_at].chunks_exact(MEMBER_BYTES) {
            if u32_at(member, 4) != Some(0) {
                return Err(ClusterFileError::Malformed);
            }
            members.push(ClusterMember {
                node: NodeId(u32_at(member, 0).ok_or(length)?),
                directory: u128_at(member, 8).ok_or(length)?,
            });
        }
        let read = ClusterFile {
            directory_id: u128_at(file, 16).ok_or(length)?,
            cluster: u128_at(file, 32).ok_or(length)?,
            members,
        };
        match read.is_lawful() {
            true => Ok(read),
            false => Err(ClusterFileError::Malformed),
        }
    }

    fn is_lawful(&self) -> bool {
        let members = &self.members;
        (1..=CLUSTER_MEMBERS_MAX).contains(&members.len())
            && self.cluster != 0
            && members[0].node != NodeId(0)
            && members.windows(2).all(|pair| pair[0].node < pair[1].node)
    }
}

const fn file_bytes(members: usize) -> usize {
    HEAD_BYTES + members * MEMBER_BYTES + CRC_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = concat!(
        "414e54434c5553540100000003000000",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "0100000000000000000102030405060708090a0b0c0d0e0f",
        "020000000000000000000000000000000000000000000000",
        "0500000000000000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "6d5df3ea",
    );

    fn sample() -> ClusterFile {
        let member = |node, directory| ClusterMember {
            node: NodeId(node),
            directory,
        };
        let directory_id = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100;
        ClusterFile {
            directory_id,
            cluster: 0x1f1e_1d1c_1b1a_1918_1716_1514_1312_1110,
            members: alloc::vec![
                member(1, directory_id),
                member(2, 0),
                member(5, u128::from_le_bytes([0xaa; 16])),
            ],
        }
    }

    #[test]
    fn a_cluster_file_has_these_bytes() {
        let bytes = sample().encode();
        let hex: alloc::string::String = bytes
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, GOLDEN);
        assert_eq!(ClusterFile::decode(&bytes), Ok(sample()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let file = sample().encode();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut broken = file.clone();
                broken[at] ^= 1 << bit;
                assert!(
                    ClusterFile::decode(&broken).is_err(),
                    "bit {bit} of byte {at}"
                );
            }
            assert!(ClusterFile::decode(&file[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_though_its_sum_is_right() {
        let bends: [fn(&mut Vec<u8>); 4] = [
            |file| file[32..48].fill(0),
            |file| file[48] = 0,
            |file| file[52] = 1,
            |file| file[72] = 1,
        ];
        for (number, bend) in bends.into_iter().enumerate() {
            let mut file = sample().encode();
            bend(&mut file);
            let crc_at = file.len() - 4;
            let crc = crc32c::crc32c(&file[..crc_at]);
            file[crc_at..].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(
                ClusterFile::decode(&file),
                Err(ClusterFileError::Malformed),
                "bend {number}"
            );
        }
    }

    #[test]
    fn another_version_is_told_whatever_follows() {
        let mut newer = sample().encode();
        newer[8] = 2;
        assert_eq!(
            ClusterFile::decode(&newer[..20]),
            Err(ClusterFileError::Version { found: 2 })
        );
    }
}
