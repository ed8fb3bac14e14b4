//! Bodies that a partition writes: the next one of each is written on top of the last.

use crate::targets::bodies_behind;

/// Bodies of a partition that began empty, and of one that began with the first of these.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let empty = empty();
    let mut bodies = vec![empty.clone()];
    for _ in 0..3 {
        let last = bodies.last().cloned().unwrap_or_default();
        let behind = bodies_behind(&last);
        assert!(!behind.is_empty(), "no checkpoint was made");
        bodies.extend(behind);
    }
    let named = bodies.into_iter().enumerate();
    named
        .map(|(number, body)| (format!("{number}"), body))
        .collect()
}

/// Version 1, and three sections without rows: `docs/log-format.md`, "Checkpoint body".
fn empty() -> Vec<u8> {
    let mut body = 1_u32.to_le_bytes().to_vec();
    body.resize(8, 0);
    // Entry 1 of term 1; time and the birth that was forgotten are 0.
    for number in [1_u64, 1, 0, 0] {
        body.extend_from_slice(&number.to_le_bytes());
    }
    for section in 1..=3_u32 {
        body.extend_from_slice(&section.to_le_bytes());
        body.resize(body.len() + 12, 0);
    }
    body
}
