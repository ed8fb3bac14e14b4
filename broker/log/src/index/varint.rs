//! Variable-length integers of our own memory: seven bits a byte, low bits first, the high bit says that more follow.

use alloc::vec::Vec;

/// Appends `value`, in 1 to 10 bytes.
pub(super) fn push(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a value off the front of `bytes`, which [`push`] wrote.
pub(super) fn take(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let (byte, rest) = bytes
            .split_first()
            .expect("INV-INDEX-5: a run decodes as it was encoded");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{push, take};

    #[test]
    fn values_come_back_in_as_few_bytes_as_they_need() {
        for (value, len) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (16_383, 2),
            (16_384, 3),
            (u64::MAX, 10),
        ] {
            let mut bytes = Vec::new();
            push(&mut bytes, value);
            assert_eq!(bytes.len(), len, "{value}");
            assert_eq!(take(&mut bytes.as_slice()), value);
        }
    }
}
