//! The group of one voter, and the boundary around the library.

use alloc::vec::Vec;

use antiphon_log::{
    Append, Entry, EntryKind, GroupId, HardState, Index, LogPosition, Persisted, SegmentId, Term,
};
use antiphon_protocol::NodeId;
use bytes::Bytes;

use super::{NotProposed, Replica, ReplicaStart, election_ticks};
use crate::home::entry_places::EntryPlaces;
use crate::home::hot_tail::HotTail;
use crate::home::limits::{ELECTION_TICKS_MAX, ELECTION_TICKS_MIN};

const GROUP: GroupId = GroupId(1);

fn at(index: u64) -> LogPosition {
    LogPosition::new(
        SegmentId(1),
        u32::try_from(4_096 + 64 * index).expect("small"),
    )
}

fn entry(index: u64, term: u64) -> Entry {
    Entry {
        index: Index(index),
        term: Term(term),
        kind: EntryKind::Normal,
        payload: Bytes::from_static(b"items"),
    }
}

fn started(hard_state: HardState, unsettled: Vec<(Entry, LogPosition)>) -> Replica {
    Replica::start(ReplicaStart {
        node: NodeId(1),
        voters: alloc::vec![NodeId(1)],
        group: GROUP,
        seed: 5,
        uncommitted_bytes_max: 1 << 20,
        hard_state,
        applied: Index(0),
        hot: HotTail::new(Index(1), Index(0), Vec::new(), 1 << 20),
        places: EntryPlaces::default(),
        unsettled,
    })
}

fn persist(replica: &mut Replica, append: &Append) {
    let positions = append
        .entries
        .iter()
        .map(|entry| (entry.index, at(entry.index.0)))
        .collect();
    replica.persisted(&Persisted {
        group: GROUP,
        ready: append.ready,
        positions,
    });
}

/// Takes all work: appends, and indexes committed.
fn work(replica: &mut Replica) -> (Vec<Append>, Vec<u64>) {
    let mut appends = Vec::new();
    let mut committed = Vec::new();
    while let Some(work) = replica.work() {
        appends.extend(work.append);
        for entry in work.committed {
            committed.push(entry.index.0);
            replica.applied(entry.index, &[]);
        }
    }
    (appends, committed)
}

#[test]
fn a_lone_voter_leads_at_once_and_serves_when_its_first_entry_is_applied() {
    let mut replica = started(HardState::default(), Vec::new());
    assert!(!replica.needs_ticks() && !replica.is_serving());
    let (appends, committed) = work(&mut replica);
    let [append] = appends.as_slice() else {
        panic!("{appends:?}")
    };
    let hard_state = append.hard_state.expect("a vote");
    assert_eq!(
        (hard_state.term, hard_state.vote, append.urgent),
        (Term(1), 1, true)
    );
    assert_eq!(
        (append.entries.len(), append.entries[0].payload.len()),
        (1, 0)
    );
    assert!(committed.is_empty() && !replica.is_serving());
    persist(&mut replica, append);
    assert_eq!(work(&mut replica).1, [1]);
    assert!(replica.is_serving() && replica.is_idle());
}

#[test]
fn what_was_synced_and_not_known_to_be_committed_is_committed_by_the_next_term() {
    let unsettled = alloc::vec![(entry(1, 3), at(1)), (entry(2, 3), at(2))];
    // The term lies below that of the entries: it is raised, and no vote of it counts.
    let mut replica = started(
        HardState {
            term: Term(2),
            vote: 1,
            commit: Index(0),
        },
        unsettled,
    );
    let (appends, committed) = work(&mut replica);
    assert_eq!(appends[0].hard_state.map(|state| state.term), Some(Term(4)));
    assert!(committed.is_empty());
    persist(&mut replica, &appends[0]);
    assert_eq!(work(&mut replica).1, [1, 2, 3]);
}

#[test]
fn a_ready_without_blocks_is_persisted_with_its_predecessors() {
    let mut replica = started(HardState::default(), Vec::new());
    let first = work(&mut replica).0.remove(0);
    persist(&mut replica, &first);
    work(&mut replica);
    // Two entries under way; the ready that tells the first commit has no blocks and comes between their reports.
    assert_eq!(replica.propose(b"one".to_vec()), Ok((Index(2), Term(1))));
    let one = work(&mut replica).0.remove(0);
    assert_eq!(replica.propose(b"two".to_vec()), Ok((Index(3), Term(1))));
    let two = work(&mut replica).0.remove(0);
    assert_eq!((one.commit, two.commit), (Index(1), Index(1)));
    persist(&mut replica, &one);
    let (appends, committed) = work(&mut replica);
    assert_eq!((appends.len(), committed), (0, alloc::vec![2]));
    persist(&mut replica, &two);
    let (appends, committed) = work(&mut replica);
    assert_eq!((appends.len(), committed), (0, alloc::vec![3]));
    assert_eq!(replica.ready_persisted, replica.ready_newest);
}

#[test]
#[should_panic(expected = "INV-HOME-21")]
fn a_report_that_comes_twice_is_a_bug() {
    let mut replica = started(HardState::default(), Vec::new());
    let first = work(&mut replica).0.remove(0);
    persist(&mut replica, &first);
    persist(&mut replica, &first);
}

#[test]
fn after_a_panic_of_the_library_nothing_is_done_and_nothing_panics() {
    let mut replica = started(HardState::default(), Vec::new());
    replica.break_library();
    assert!(replica.is_broken() && !replica.is_serving() && replica.is_idle());
    assert_eq!(replica.propose(b"x".to_vec()), Err(NotProposed::Broken));
    assert!(replica.work().is_none() && replica.hot().is_none());
    replica.tick();
}

#[test]
fn election_timeouts_are_a_function_of_who_where_and_when() {
    let mut seen = [0_u32; ELECTION_TICKS_MAX];
    for term in 0..1_000 {
        let ticks = election_ticks(5, 1, GROUP, term);
        assert_eq!(ticks, election_ticks(5, 1, GROUP, term));
        seen[ticks] += 1;
    }
    assert!(seen[..ELECTION_TICKS_MIN].iter().all(|count| *count == 0));
    assert!(
        seen[ELECTION_TICKS_MIN..]
            .iter()
            .all(|count| (40..140).contains(count)),
        "{seen:?}"
    );
    assert_ne!(
        (0..9)
            .map(|node| election_ticks(5, node, GROUP, 1))
            .collect::<Vec<_>>(),
        (0..9)
            .map(|node| election_ticks(5, node, GroupId(2), 1))
            .collect::<Vec<_>>()
    );
}
