//! STATE: the first block of a segment, all that was durable when it was begun.
//!
//! Payload: `0 version u16 | 2 reserved u16 | 4 groups u32 | 8 previous_end u64`, in version 2 also `16 first_kept u32 | 20 reserved u32 |
//! 24 begun u64`, then the groups, ascending; each
//! `0 group u32 | 4 flags u32 | 8 term | 16 vote | 24 commit | 32 first | 40 last | 48 checkpoint index | 56 checkpoint
//! term | 64 hole (all u64) | 72 runs u16 | 74 membership_len u16 | 76 reserved u32 | 80 runs of (first u64, term u64)`,
//! then the membership, padded to 8.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::entry::HardState;
use crate::group::{GroupState, TermRuns};
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::limits::{BLOCK_PAYLOAD_BYTES_MAX, GROUPS_MAX, TERM_RUNS_MAX};
use crate::recover::TermRun;
use crate::retention::Kept;

/// Without what retention says: the only one as long as nothing was ever removed and nothing shall be.
const VERSION: u16 = 1;
/// With it.
const VERSION_KEPT: u16 = 2;
/// Before the groups, in version 2, which is the longer one.
const HEAD_KEPT_BYTES: usize = 32;
const GROUP_BYTES: usize = 80;
const RUN_BYTES: usize = 16;
const FLAG_HOLE: u32 = 1;
const FLAG_HARD_STATE_LOST: u32 = 2;

/// What STATE says of the segments.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct StateHead {
    /// Where the segment before this one ended; zero: there is none.
    pub(crate) previous_end: LogPosition,
    /// What is kept of those before it.
    pub(crate) kept: Kept,
}

/// STATE, decoded.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct SegmentState {
    /// Of the segments.
    pub(crate) head: StateHead,
    /// The groups, ascending. `runs` holds the newest runs only.
    pub(crate) groups: Vec<(GroupId, GroupState)>,
}

/// Length of the longest payload for so many groups.
pub(crate) const fn state_bytes_max(groups: usize) -> usize {
    HEAD_KEPT_BYTES + groups * (GROUP_BYTES + TERM_RUNS_MAX * RUN_BYTES)
}

const _: () = assert!(
    state_bytes_max(GROUPS_MAX) <= BLOCK_PAYLOAD_BYTES_MAX as usize,
    "STATE of all groups fits into one block"
);

/// The payload of STATE, as long as nothing is said of retention.
#[cfg(test)]
pub(crate) fn encode_state(
    previous_end: LogPosition,
    groups: &BTreeMap<GroupId, GroupState>,
) -> Vec<u8> {
    let kept = Kept::default();
    encode_state_head(StateHead { previous_end, kept }, groups)
}

/// The payload of STATE.
pub(crate) fn encode_state_head(
    head: StateHead,
    groups: &BTreeMap<GroupId, GroupState>,
) -> Vec<u8> {
    let StateHead { previous_end, kept } = head;
    let version = match kept == Kept::default() {
        true => VERSION,
        false => VERSION_KEPT,
    };
    assert!(
        groups.len() <= GROUPS_MAX,
        "INV-LOG-6: more groups than STATE can tell"
    );
    let mut out = Vec::with_capacity(state_bytes_max(groups.len()));
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&(groups.len() as u32).to_le_bytes());
    out.extend_from_slice(&previous_end.wire().to_le_bytes());
    if version == VERSION_KEPT {
        out.extend_from_slice(&kept.first.0.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&kept.begun_ms.to_le_bytes());
    }
    for (group, state) in groups {
        encode_group(&mut out, *group, state);
    }
    out
}

fn encode_group(out: &mut Vec<u8>, group: GroupId, state: &GroupState) {
    let hole = if state.hole.is_some() { FLAG_HOLE } else { 0 };
    let lost = if state.hard_state_lost {
        FLAG_HARD_STATE_LOST
    } else {
        0
    };
    let checkpoint = state.checkpoint.unwrap_or_default();
    let runs = state.runs.newest(TERM_RUNS_MAX);
    out.extend_from_slice(&group.0.to_le_bytes());
    out.extend_from_slice(&(hole | lost).to_le_bytes());
    for value in [
        state.hard_state.term.0,
        state.hard_state.vote,
        state.hard_state.commit.0,
        state.first.0,
        state.last.0,
        checkpoint.0.0,
        checkpoint.1.0,
        state.hole.unwrap_or_default().0,
    ] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(&(runs.len() as u16).to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    for run in runs {
        out.extend_from_slice(&run.first.0.to_le_bytes());
        out.extend_from_slice(&run.term.0.to_le_bytes());
    }
}

/// Decodes a payload; `None`: it is none of this version. Any bytes are answered, none panic.
pub(crate) fn decode_state(payload: &[u8]) -> Option<SegmentState> {
    let mut reader = Reader(payload);
    let version = reader.u16()?;
    let reserved = reader.u16()?;
    let count = reader.u32()? as usize;
    let previous_end = LogPosition::from_wire(reader.u64()?);
    let kept = match version {
        VERSION => Kept::default(),
        VERSION_KEPT => decode_kept(&mut reader)?,
        _ => return None,
    };
    if reserved != 0 || count > GROUPS_MAX || count * GROUP_BYTES > reader.0.len() {
        return None;
    }
    let mut groups: Vec<(GroupId, GroupState)> = Vec::with_capacity(count);
    for _ in 0..count {
        let (group, state) = decode_group(&mut reader)?;
        if groups.last().is_some_and(|(last, _)| *last >= group) {
            return None;
        }
        groups.push((group, state));
    }
    let head = StateHead { previous_end, kept };
    reader.0.is_empty().then_some(SegmentState { head, groups })
}

fn decode_kept(reader: &mut Reader<'_>) -> Option<Kept> {
    let first = SegmentId(reader.u32()?);
    let reserved = reader.u32()?;
    let begun_ms = reader.u64()?;
    (reserved == 0).then_some(Kept { first, begun_ms })
}

fn decode_group(reader: &mut Reader<'_>) -> Option<(GroupId, GroupState)> {
    let group = GroupId(reader.u32()?);
    let flags = reader.u32()?;
    let hard_state = HardState {
        term: Term(reader.u64()?),
        vote: reader.u64()?,
        commit: Index(reader.u64()?),
    };
    let (first, last) = (Index(reader.u64()?), Index(reader.u64()?));
    let checkpoint = (Index(reader.u64()?), Term(reader.u64()?));
    let hole = Index(reader.u64()?);
    let (runs, membership_len) = (reader.u16()?, reader.u16()?);
    let reserved = reader.u32()?;
    // What this version does not know is refused, so that a later one can give it a meaning.
    let is_known = flags & !(FLAG_HOLE | FLAG_HARD_STATE_LOST) == 0
        && (flags & FLAG_HOLE != 0 || hole == Index(0))
        && membership_len == 0
        && reserved == 0;
    if !is_known {
        return None;
    }
    let runs = decode_runs(reader, usize::from(runs))?;
    let state = GroupState {
        hard_state,
        first,
        last,
        runs: TermRuns::from_runs(runs),
        checkpoint: (checkpoint.0 > Index(0)).then_some(checkpoint),
        hole: (flags & FLAG_HOLE != 0).then_some(hole),
        hard_state_lost: flags & FLAG_HARD_STATE_LOST != 0,
    };
    Some((group, state))
}

fn decode_runs(reader: &mut Reader<'_>, count: usize) -> Option<Vec<TermRun>> {
    if count > TERM_RUNS_MAX {
        return None;
    }
    (0..count)
        .map(|_| {
            Some(TermRun {
                first: Index(reader.u64()?),
                term: Term(reader.u64()?),
            })
        })
        .collect()
}

/// Takes integers off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(*self.take(2)?.first_chunk()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::String;

    use proptest::prelude::*;

    use super::{SegmentState, StateHead, decode_state, encode_state, encode_state_head};
    use crate::entry::HardState;
    use crate::group::GroupState;
    use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
    use crate::retention::Kept;

    fn sample() -> BTreeMap<GroupId, GroupState> {
        let mut group = GroupState::default();
        for (index, term) in [(1, 1), (2, 1), (3, 4)] {
            group.append(Index(index), Term(term));
        }
        group.hard_state = HardState {
            term: Term(4),
            vote: 7,
            commit: Index(2),
        };
        group.checkpoint = Some((Index(1), Term(1)));
        let damaged = GroupState {
            hole: Some(Index(1)),
            hard_state_lost: true,
            ..GroupState::default()
        };
        BTreeMap::from([(GroupId(1), group), (GroupId(5), damaged)])
    }

    const GOLDEN: &str = concat!(
        "01000000020000003412000002000000",
        "0100000000000000",
        "0400000000000000",
        "0700000000000000",
        "0200000000000000",
        "0100000000000000",
        "0300000000000000",
        "0100000000000000",
        "0100000000000000",
        "0000000000000000",
        "0200000000000000",
        "0100000000000000",
        "0100000000000000",
        "0300000000000000",
        "0400000000000000",
        "0500000003000000",
        "0000000000000000",
        "0000000000000000",
        "0000000000000000",
        "0100000000000000",
        "0000000000000000",
        "0000000000000000",
        "0000000000000000",
        "0100000000000000",
        "0000000000000000",
    );

    #[test]
    fn state_has_these_bytes() {
        let previous_end = LogPosition::new(SegmentId(2), 0x1234);
        let bytes = encode_state(previous_end, &sample());
        let hex: String = bytes
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, GOLDEN);
        let groups = sample().into_iter().collect();
        assert_eq!(
            decode_state(&bytes),
            Some(SegmentState {
                head: StateHead {
                    previous_end,
                    kept: Kept::default()
                },
                groups
            })
        );
    }

    #[test]
    fn state_with_retention_has_these_bytes_more() {
        let head = StateHead {
            previous_end: LogPosition::new(SegmentId(9), 0x1234),
            kept: Kept {
                first: SegmentId(7),
                begun_ms: 0x0102_0304_0506,
            },
        };
        let bytes = encode_state_head(head, &sample());
        let hex: String = bytes
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect();
        let expected = [
            "02000000020000003412000009000000",
            "07000000000000000605040302010000",
            &GOLDEN[32..],
        ];
        assert_eq!(hex, expected.concat());
        let groups = sample().into_iter().collect();
        assert_eq!(decode_state(&bytes), Some(SegmentState { head, groups }));
        let mut changed = bytes;
        changed[20] = 1;
        assert_eq!(decode_state(&changed), None, "reserved");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(at in 0_usize..224, value: u8, cut in 0_usize..230) {
            let mut bytes = encode_state(LogPosition::ZERO, &sample());
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(cut);
            let _ = decode_state(&bytes);
        }
    }
}
