//! What stands at the start of every body: who published it as which number, and when it was meant to be sent.
//!
//! ```text
//!  0       4       8               16              24      28      32
//!  +-------+-------+---------------+---------------+-------+-------+----------
//!  | magic | stream| number        | intended      | length| sum   | filler ...
//!  | u32   | u32   | u64, from 1   | u64, ns       | u32   | u32   |
//!  +-------+-------+---------------+---------------+-------+-------+----------
//! ```
//! Little endian; `length` is that of the body, `sum` the crc32c of the 28 bytes before it. A *stream* is one publisher in one
//! room: the unit within which every system promises an order.

use crate::clock::Nanos;

/// Bytes of a stamp, and so of the smallest body.
pub const STAMP_BYTES: usize = 32;

const MAGIC: u32 = u32::from_le_bytes(*b"ABb1");
const SUMMED_BYTES: usize = 28;

/// Number of a stream, dense from 0 in a run.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Stream(pub u32);

/// The stamp of one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp {
    /// Publisher and room.
    pub stream: Stream,
    /// Dense from 1 in its stream.
    pub number: u64,
    /// When it was meant to be sent.
    pub intended: Nanos,
}

impl Stamp {
    /// Writes the stamp over the start of `body`, which is as long as the body will be.
    ///
    /// # Panics
    /// `body` is shorter than [`STAMP_BYTES`].
    #[inline]
    pub fn write(&self, body: &mut [u8]) {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let place: &mut [u8; STAMP_BYTES] = body
            .first_chunk_mut()
            .expect("options refuse bodies shorter than a stamp");
        place[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        place[4..8].copy_from_slice(&self.stream.0.to_le_bytes());
        place[8..16].copy_from_slice(&self.number.to_le_bytes());
        place[16..24].copy_from_slice(&self.intended.0.to_le_bytes());
        place[24..28].copy_from_slice(&length.to_le_bytes());
        let sum = crc32c::crc32c(&place[..SUMMED_BYTES]);
        place[SUMMED_BYTES..].copy_from_slice(&sum.to_le_bytes());
    }

    /// The stamp of a body as it came back; `None` if it is not whole, not ours, or not as it was sent.
    #[must_use]
    #[inline]
    pub fn read(body: &[u8]) -> Option<Stamp> {
        let stamp: &[u8; STAMP_BYTES] = body.first_chunk()?;
        let sum = crc32c::crc32c(&stamp[..SUMMED_BYTES]);
        let lawful = u32_at(stamp, 0) == MAGIC
            && u32_at(stamp, 24) as usize == body.len()
            && u32_at(stamp, SUMMED_BYTES) == sum;
        lawful.then(|| Stamp {
            stream: Stream(u32_at(stamp, 4)),
            number: u64_at(stamp, 8),
            intended: Nanos(u64_at(stamp, 16)),
        })
    }
}

#[inline]
fn u32_at(stamp: &[u8; STAMP_BYTES], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&stamp[at..at + 4]);
    u32::from_le_bytes(bytes)
}

#[inline]
fn u64_at(stamp: &[u8; STAMP_BYTES], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&stamp[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        stream: Stream(7),
        number: 41,
        intended: Nanos(1_000),
    };

    #[test]
    fn what_is_written_is_read() {
        let mut body = [b'.'; 128];
        STAMP.write(&mut body);
        assert_eq!(Stamp::read(&body), Some(STAMP));
    }

    #[test]
    fn any_flipped_bit_of_a_stamp_and_any_other_length_is_found() {
        let mut body = [b'.'; 40];
        STAMP.write(&mut body);
        for bit in 0..STAMP_BYTES * 8 {
            let mut bad = body;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Stamp::read(&bad), None, "bit {bit}");
        }
        assert_eq!(Stamp::read(&body[..39]), None);
        assert_eq!(Stamp::read(&body[..20]), None);
    }
}
