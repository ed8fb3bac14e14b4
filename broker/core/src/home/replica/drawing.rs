//! Numbers that look drawn, and are functions of who, where and when: so a run can be repeated.

use antiphon_log::GroupId;

use crate::home::limits::{ELECTION_TICKS_MAX, ELECTION_TICKS_MIN};

/// Ticks before an election: a pure function of who, where and when.
pub(super) fn election_ticks(seed: u64, node: u64, group: GroupId, term: u64) -> usize {
    let parts = [node, u64::from(group.0), term];
    let mixed = parts.into_iter().fold(seed, mixed);
    let span = (ELECTION_TICKS_MAX - ELECTION_TICKS_MIN) as u64;
    ELECTION_TICKS_MIN + usize::try_from(mixed % span).unwrap_or(0)
}

/// splitmix64 of one more part.
pub(super) fn mixed(before: u64, part: u64) -> u64 {
    let mut mixed = (before ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
