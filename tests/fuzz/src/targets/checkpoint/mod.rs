//! Checkpoint: a partition's state as bytes, with anything in them.
//!
//! Input: the body, as `docs/log-format.md` has it; the entry that it is of is taken from its head. Promised of any body:
//! - it is taken or refused, whatever the tables are seeded with;
//! - a partition that begins with one that was taken goes on: a client is greeted, its publishes and cursors are answered;
//! - what the partition then writes as its own checkpoint is taken again.

mod node;

use antiphon_core::Recovering;
use antiphon_log::{Checkpoint, GroupId, GroupRecovery, HardState, Index, Recover, Term};

use node::Node;

/// The only partition's group.
const GROUP: GroupId = GroupId(1);
const DIRECTORY: u128 = 0xC4EC;

pub(super) fn run(input: &[u8]) {
    let (index, term) = entry_of(input);
    let one = recover(input, index, term, 1);
    let two = recover(input, index, term, 2);
    assert_eq!(one.is_some(), two.is_some(), "taken by one seed only");
    let Some(recovering) = one else { return };
    if index.0 > u64::from(u32::MAX) || term.0 > u64::from(u32::MAX) {
        // No log ever gets there.
        return;
    }
    let written = Node::start(recovering, index).converse(input.len());
    for job in written {
        let again = recover(&job.bytes, job.index, job.term, 3);
        assert!(again.is_some(), "what was written is not taken");
    }
}

/// The bodies that a partition writes if it begins with this one; for seeds.
pub(crate) fn bodies_behind(body: &[u8]) -> Vec<Vec<u8>> {
    let (index, term) = entry_of(body);
    let Some(recovering) = recover(body, index, term, 1) else {
        return Vec::new();
    };
    let written = Node::start(recovering, index).converse(body.len());
    written.iter().map(|job| job.bytes.to_vec()).collect()
}

/// The entry that a body says it is of.
fn entry_of(body: &[u8]) -> (Index, Term) {
    let number = |at: usize| {
        let bytes = body.get(at..).and_then(|rest| rest.first_chunk::<8>());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    (Index(number(8)), Term(number(16)))
}

/// What recovery makes of the body; `None`: refused.
fn recover(body: &[u8], index: Index, term: Term, seed: u64) -> Option<Recovering> {
    let mut recovering = Recovering::new(1, seed);
    let checkpoint = Checkpoint {
        directory_id: DIRECTORY,
        group: GROUP,
        index,
        term,
        body,
    };
    if !recovering.checkpoint(GROUP, &checkpoint) {
        return None;
    }
    let end = GroupRecovery {
        hard_state: HardState {
            term,
            vote: 1,
            commit: index,
        },
        first: index.next(),
        last: index,
        checkpoint: Some((index, term)),
        ..GroupRecovery::default()
    };
    recovering.group(GROUP, end);
    Some(recovering)
}
