//! The digest by which a retry is told from another message under the same number.

use crate::codes::RecordKind;

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
