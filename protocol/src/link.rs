//! The rolling link without building the bytes it hashes.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::ids::Link;

/// Up to this many bytes are copied to the stack and hashed at once, which is faster than the streaming state.
const ONE_SHOT_BYTES_MAX: usize = 504;

/// The link after a record whose hashed bytes (room id up to the end of the body) are `hashed`.
pub(crate) fn link_after(before: Link, hashed: &[u8]) -> Link {
    let first = before.0.to_le_bytes();
    let mut buffer = [0_u8; ONE_SHOT_BYTES_MAX + 8];
    let (head, tail) = buffer.split_at_mut(8);
    if let Some(place) = tail.get_mut(..hashed.len()) {
        head.copy_from_slice(&first);
        place.copy_from_slice(hashed);
        let length = hashed.len().saturating_add(8);
        return Link(xxh3_64(buffer.get(..length).unwrap_or_default()));
    }
    let mut hasher = Xxh3::new();
    hasher.update(&first);
    hasher.update(hashed);
    Link(hasher.digest())
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn hashing_in_one_shot_and_in_pieces_is_the_same_around_the_limit() {
        for length in [0, 1, 68, 503, 504, 505, 5_000] {
            let hashed: Vec<u8> = (0..length).map(|at: u32| at as u8).collect();
            let plain = [&7_u64.to_le_bytes(), hashed.as_slice()].concat();
            assert_eq!(
                link_after(Link(7), &hashed),
                Link(xxh3_64(&plain)),
                "{length}"
            );
        }
    }
}
