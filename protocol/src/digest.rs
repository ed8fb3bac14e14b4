//! Digests: that of a message, by which a retry is told from another one under the same number, and that of a position,
//! by which a client knows that it missed nothing.

use xxhash_rust::xxh3::xxh3_64;

use crate::codes::RecordKind;
use crate::ids::{RoomId, Seq};

/// xxh3_64(room id le, seq le): what one room adds, by XOR, to the digest of a PONG.
#[must_use]
pub fn position_digest(room: RoomId, seq: Seq) -> u64 {
    let both = (u128::from(seq.0) << 64) | u128::from(room.0);
    xxh3_64(&both.to_le_bytes())
}

/// crc32c over record_kind, codec, headers_len (u16 le), headers, body (docs/protocol.md, section 5).
#[must_use]
pub fn publish_digest(kind: RecordKind, codec: u8, headers: &[u8], body: &[u8]) -> u32 {
    let [low, high] = (headers.len() as u16).to_le_bytes();
    debug_assert!(
        headers.len() <= usize::from(u16::MAX),
        "INV-PROTO-7: headers longer than their length field"
    );
    let digest = crc32c::crc32c(&[kind.wire(), codec, low, high]);
    let digest = if headers.is_empty() {
        digest
    } else {
        crc32c::crc32c_append(digest, headers)
    };
    crc32c::crc32c_append(digest, body)
}
