//! A lock for engines: does coverage feedback work?

/// Said by the panic behind the lock.
pub(super) const FOUND: &str = "got through the probe";
/// Found by chance in one of 2^64 inputs; by an engine that is told what was compared, at once.
const KEY: u64 = 0x5EED_0FA1_10C4_57E1;

pub(super) fn run(input: &[u8]) {
    let Some((head, key)) = input.split_first_chunk::<3>() else {
        return;
    };
    // One after the other: each step is an edge of its own.
    if head[0] == b'A' && head[1] == b'N' && head[2] == b'T' {
        let key = key.first_chunk::<8>().map(|key| u64::from_le_bytes(*key));
        assert!(key != Some(KEY), "{FOUND}");
    }
}
