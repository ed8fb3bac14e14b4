//! Images that no log of ours has written: opening answers, never panics, never hands over wrong bytes.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::script::Script;
use super::{DIRECTORY, append, entry, open, settings};
use crate::block::{BlockHead, BlockKind, BlockSeed, encode_block};
use crate::disk_trait::Disk;
use crate::entry::{Entry, EntryKind};
use crate::group::{GroupState, TermRuns};
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::log::Log;
use crate::recover::{Finding, Outcome, Recovery, TermRun};
use crate::segment::{SegmentHeader, segment_name};
use crate::state::encode_state;
use crate::testing::{Collector, FaultDisk, Survival};

const SEGMENT_BYTES: u32 = 8 * 1024;

/// A block with a right checksum and any content.
#[derive(Clone, Debug)]
struct Forged {
    kind: BlockKind,
    group: u32,
    index: u64,
    term: u64,
    commit: u64,
    claims: u32,
    payload: Vec<u8>,
}

fn small_or_any() -> impl Strategy<Value = u64> {
    prop_oneof![9 => 0_u64..8, 1 => any::<u64>()]
}

fn forged() -> impl Strategy<Value = Forged> {
    let kind = prop_oneof![
        6 => Just(BlockKind::Append(EntryKind::Normal)),
        2 => Just(BlockKind::HardState),
        1 => Just(BlockKind::State),
        1 => Just(BlockKind::Checkpoint),
        1 => Just(BlockKind::Mark),
        1 => Just(BlockKind::End),
    ];
    let payload = prop_oneof![4 => Just(vec![0; 8]), 1 => prop::collection::vec(any::<u8>(), 0..40), 1 => state()];
    let numbers = (
        0_u32..4,
        small_or_any(),
        small_or_any(),
        small_or_any(),
        any::<u32>(),
    );
    // Fields that a kind does not have make the log refuse at once: seldom, so that more is read.
    (kind, numbers, payload, 0..20).prop_map(
        |(kind, (group, index, term, commit, claims), mut payload, odd)| {
            let mut forged = Forged {
                kind,
                group,
                index,
                term,
                commit,
                claims,
                payload: Vec::new(),
            };
            if odd > 0 {
                forged.keep_known_fields(&mut payload);
            }
            Forged { payload, ..forged }
        },
    )
}

impl Forged {
    fn keep_known_fields(&mut self, payload: &mut Vec<u8>) {
        match self.kind {
            BlockKind::Append(_) => return,
            BlockKind::HardState => payload.resize(8, 0),
            BlockKind::Checkpoint => {
                *payload = vec![0; 16];
                return;
            }
            BlockKind::Mark | BlockKind::End => payload.clear(),
            BlockKind::State => {}
        }
        self.index = 0;
        if self.kind != BlockKind::HardState {
            (self.group, self.term, self.commit) = (0, 0, 0);
        }
    }
}

fn group_state() -> impl Strategy<Value = GroupState> {
    let numbers = [(); 7].map(|()| small_or_any());
    let runs = prop::collection::vec((small_or_any(), small_or_any()), 0..8);
    (numbers, runs, any::<bool>(), any::<bool>()).prop_map(
        |(numbers, runs, has_hole, hard_state_lost)| {
            let [term, vote, commit, first, last, checkpoint, hole] = numbers;
            GroupState {
                hard_state: crate::HardState {
                    term: Term(term),
                    vote,
                    commit: Index(commit),
                },
                first: Index(first),
                last: Index(last),
                runs: TermRuns::from_runs(
                    runs.into_iter()
                        .map(|(first, term)| TermRun {
                            first: Index(first),
                            term: Term(term),
                        })
                        .collect(),
                ),
                checkpoint: Some((Index(checkpoint), Term(1))),
                hole: has_hole.then_some(Index(hole)),
                hard_state_lost,
            }
        },
    )
}

fn state() -> impl Strategy<Value = Vec<u8>> {
    let groups = prop::collection::btree_map((0_u32..4).prop_map(GroupId), group_state(), 0..4);
    (groups, small_or_any()).prop_map(|(groups, previous)| {
        encode_state(LogPosition::from_wire(previous << 32 | 4_200), &groups)
    })
}

/// Gives back where its blocks end.
fn write_segment(
    disk: &FaultDisk,
    segment: SegmentId,
    state: &[u8],
    blocks: &[Forged],
) -> LogPosition {
    let header = SegmentHeader {
        segment,
        directory_id: DIRECTORY,
        segment_bytes: SEGMENT_BYTES,
    };
    let mut bytes = header.encode().to_vec();
    bytes.resize(4_096, 0);
    let seed = BlockSeed::new(DIRECTORY, segment);
    let put = |bytes: &mut Vec<u8>, head: &BlockHead, payload: &[u8]| {
        if bytes.len() + payload.len() + 64 < SEGMENT_BYTES as usize {
            encode_block(
                bytes,
                head,
                payload,
                LogPosition::new(segment, bytes.len() as u32),
                seed,
            );
        }
    };
    put(
        &mut bytes,
        &BlockHead::mark(BlockKind::State, LogPosition::ZERO),
        state,
    );
    for block in blocks {
        let at = LogPosition::new(segment, bytes.len() as u32);
        let head = BlockHead {
            kind: block.kind,
            group: GroupId(block.group),
            sync_end: LogPosition::from_wire(u64::from(block.claims) << 8).min(at),
            index: Index(block.index),
            term: Term(block.term),
            commit: Index(block.commit),
            len: 0,
        };
        put(&mut bytes, &head, &block.payload);
    }
    let end = LogPosition::new(segment, bytes.len() as u32);
    bytes.resize(SEGMENT_BYTES as usize, 0);
    let file = disk.create(&segment_name(segment)).expect("it is new");
    disk.write_at(&file, 0, &bytes).expect("the disk works");
    end
}

fn forged_append(group: u32, index: u64, term: u64, commit: u64) -> Forged {
    Forged {
        kind: BlockKind::Append(EntryKind::Normal),
        group,
        index,
        term,
        commit,
        claims: 0,
        payload: b"entry".to_vec(),
    }
}

fn forged_vote(group: u32, term: u64) -> Forged {
    Forged {
        kind: BlockKind::HardState,
        payload: vec![0; 8],
        ..forged_append(group, 0, term, 0)
    }
}

/// Opens twice: told each time, at the cost of group 1 alone.
fn assert_contradiction(disk: &FaultDisk) {
    let (recovery, found) = live_on(disk).expect("it opens");
    assert_eq!(recovery.outcome, Outcome::Damaged);
    let told = |finding: &Finding| {
        matches!(
            finding,
            Finding::Contradiction {
                group: GroupId(1),
                ..
            }
        )
    };
    assert!(recovery.findings.iter().any(told), "{recovery:?}");
    let damage = |group| {
        let found = found.groups.get(&GroupId(group));
        found.and_then(|found| found.end.as_ref()?.damage)
    };
    assert!(damage(1).is_some(), "{found:?}");
    assert_eq!(damage(2), None);
}

#[test]
fn a_term_that_falls_contradicts_what_stands_before_it() {
    let disk = FaultDisk::new();
    let state = encode_state(LogPosition::ZERO, &BTreeMap::new());
    let blocks = [
        forged_append(2, 1, 1, 0),
        forged_vote(1, 5),
        forged_vote(1, 4),
    ];
    write_segment(&disk, SegmentId(1), &state, &blocks);
    assert_contradiction(&disk);
}

#[test]
fn an_override_of_what_was_committed_contradicts_it() {
    let disk = FaultDisk::new();
    let state = encode_state(LogPosition::ZERO, &BTreeMap::new());
    let blocks = [
        forged_append(2, 1, 1, 0),
        forged_append(1, 1, 1, 0),
        forged_append(1, 2, 1, 1),
        forged_append(1, 1, 2, 0),
    ];
    write_segment(&disk, SegmentId(1), &state, &blocks);
    assert_contradiction(&disk);
}

#[test]
fn a_state_whose_term_is_below_that_of_the_blocks_before_it_contradicts_them() {
    let disk = FaultDisk::new();
    let state = encode_state(LogPosition::ZERO, &BTreeMap::new());
    let blocks = [forged_append(2, 1, 1, 0), forged_vote(1, 5)];
    let end = write_segment(&disk, SegmentId(1), &state, &blocks);
    let told = GroupState {
        hard_state: crate::HardState {
            term: Term(3),
            vote: 0,
            commit: Index(0),
        },
        ..GroupState::default()
    };
    let state = encode_state(end, &BTreeMap::from([(GroupId(1), told)]));
    write_segment(&disk, SegmentId(2), &state, &[]);
    assert_contradiction(&disk);
}

/// Opens, goes on with every group that may, closes, opens again.
fn live_on(disk: &FaultDisk) -> Option<(Recovery, Collector)> {
    let mut found = Collector::default();
    let (mut log, recovery) = Log::open(disk.clone(), settings(SEGMENT_BYTES), &mut found).ok()?;
    for (group, found) in &found.groups {
        let end = found.end.clone().expect("each group is told once");
        let is_whole = end.damage.is_none_or(|damage| damage.hole.is_none());
        if is_whole && end.last.0 < u64::MAX {
            assert_eq!(end.hard_state.commit, end.hard_state.commit.min(end.last));
            log.submit(append(
                group.0,
                1,
                0,
                vec![entry(end.last.0 + 1, end.hard_state.term.0, b"on")],
            ));
        }
    }
    log.close().expect("the disk works");
    let (_, again, found_again) = open(&disk.lose_power(Survival::Lost), settings(SEGMENT_BYTES));
    assert!(
        recovery.outcome != Outcome::Damaged || again.outcome == Outcome::Damaged,
        "damage is not forgotten"
    );
    for (group, found) in &found.groups {
        let hole = |collector: &Collector| collector.groups.get(group)?.end.as_ref()?.damage?.hole;
        let is_healed = found
            .end
            .as_ref()
            .is_some_and(|end| end.damage.is_some_and(|damage| damage.hole.is_some()))
            && hole(&found_again).is_none();
        assert!(!is_healed, "group {group} was healed by being opened");
    }
    Some((recovery, found))
}

/// What is done to a file.
#[derive(Clone, Debug)]
enum Rot {
    Flip { at: usize, mask: u8 },
    Zero { from: usize, len: usize },
    Copy { from: usize, to: usize, len: usize },
    Truncate { len: usize },
    Grow { by: usize },
}

fn rot() -> impl Strategy<Value = (prop::sample::Index, Rot)> {
    let at = || 0..SEGMENT_BYTES as usize;
    let rot = prop_oneof![
        4 => (at(), 1_u8..).prop_map(|(at, mask)| Rot::Flip { at, mask }),
        2 => (at(), 1..3_000_usize).prop_map(|(from, len)| Rot::Zero { from, len }),
        2 => (at(), at(), 1..2_000_usize).prop_map(|(from, to, len)| Rot::Copy { from, to, len }),
        1 => at().prop_map(|len| Rot::Truncate { len }),
        1 => (1..9_000_usize).prop_map(|by| Rot::Grow { by }),
    ];
    (any::<prop::sample::Index>(), rot)
}

impl Rot {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        match *self {
            Rot::Flip { at, mask } if at < len => bytes[at] ^= mask,
            Rot::Zero { from, len: count } if from < len => {
                bytes[from..len.min(from + count)].fill(0)
            }
            Rot::Copy {
                from,
                to,
                len: count,
            } if from.max(to) < len => {
                let count = count.min(len - from.max(to));
                bytes.copy_within(from..from + count, to);
            }
            Rot::Truncate { len } => bytes.truncate(len),
            Rot::Grow { by } => bytes.resize(len + by, 0x5A),
            _ => {}
        }
    }
}

/// A log of several segments and groups with checkpoints.
struct Sample {
    files: Vec<(String, Vec<u8>)>,
    entries: BTreeMap<GroupId, Vec<Entry>>,
}

fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let disk = FaultDisk::new();
        let (log, ..) = open(&disk, settings(SEGMENT_BYTES));
        let log = Script::generate(3, 80).run(log).1.expect("the disk works");
        drop(log);
        let files = disk
            .names()
            .into_iter()
            .map(|name| (name.clone(), disk.content(&name)))
            .collect();
        let (.., found) = open(&disk.kill(), settings(SEGMENT_BYTES));
        let entries = found
            .groups
            .iter()
            .map(|(group, found)| (*group, found.entries()))
            .collect();
        Sample { files, entries }
    })
}

/// Found with many more: see the tests of `damage`, where each stands for itself.
const CASES: u32 = 300;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn forged_blocks_are_answered(
        states in [state(), state()],
        first in prop::collection::vec(forged(), 0..20),
        second in prop::collection::vec(forged(), 0..20),
    ) {
        let disk = FaultDisk::new();
        write_segment(&disk, SegmentId(1), &states[0], &first);
        write_segment(&disk, SegmentId(2), &states[1], &second);
        live_on(&disk);
    }

    #[test]
    fn rotten_images_are_answered_and_never_give_wrong_bytes(rots in prop::collection::vec(rot(), 1..6)) {
        let Sample { files, entries } = sample();
        let disk = FaultDisk::new();
        let mut files = files.clone();
        for (which, rot) in &rots {
            let which = which.index(files.len());
            rot.apply(&mut files[which].1);
        }
        for (name, bytes) in &files {
            let file = disk.create(name).expect("it is new");
            disk.write_at(&file, 0, bytes).expect("the disk works");
        }
        if let Some((_, found)) = live_on(&disk) {
            for (group, found) in &found.groups {
                let whole = &entries[group];
                for (at, (read, _)) in found.committed.iter().enumerate() {
                    prop_assert_eq!(read.index, Index(at as u64 + 1));
                    prop_assert_eq!(Some(read), whole.get(at));
                }
            }
        }
    }
}
