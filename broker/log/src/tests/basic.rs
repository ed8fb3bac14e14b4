//! What a working disk shows.

use alloc::vec;
use alloc::vec::Vec;

use super::{append, entry, open, settings, vote};
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::recover::{Outcome, TermRun};
use crate::testing::{FaultDisk, Survival};

#[test]
fn a_fresh_directory_opens_and_what_is_flushed_is_read_back() {
    let disk = FaultDisk::new();
    let (mut log, recovery, _) = open(&disk, settings(64 * 1024));
    assert_eq!(
        (recovery.outcome, recovery.bytes_read, recovery.segments),
        (Outcome::Fresh, 0, 0)
    );
    log.submit(vote(1, 1, 3, 7, 0));
    log.submit(append(
        1,
        2,
        0,
        vec![entry(1, 3, b"one"), entry(2, 3, b"two")],
    ));
    log.submit(append(2, 1, 1, vec![entry(1, 1, b"other")]));
    let flushed = log.flush().expect("the disk works");
    assert_eq!(flushed.blocks, 4);
    assert_eq!(flushed.sync_end, log.sync_end());
    let persisted: Vec<_> = flushed
        .persisted
        .iter()
        .map(|group| (group.group.0, group.ready, group.positions.len()))
        .collect();
    assert_eq!(persisted, [(1, 2, 2), (2, 1, 1)]);
    log.submit(append(1, 3, 1, vec![entry(3, 3, b"three")]));
    let second = log.flush().expect("the disk works");
    drop(log);

    let (_, recovery, found) = open(&disk.lose_power(Survival::Lost), settings(64 * 1024));
    assert_eq!(recovery.outcome, Outcome::Unclean);
    assert_eq!(recovery.findings, []);
    assert_eq!(recovery.sync_end, second.sync_end);
    let one = &found.groups[&GroupId(1)];
    assert_eq!(
        one.committed,
        [(entry(1, 3, b"one"), flushed.persisted[0].positions[0].1)]
    );
    let end = one.end.as_ref().expect("each group is told once");
    assert_eq!(
        (
            end.hard_state.term,
            end.hard_state.vote,
            end.hard_state.commit
        ),
        (Term(3), 7, Index(1))
    );
    assert_eq!((end.first, end.last), (Index(1), Index(3)));
    assert_eq!(
        end.terms,
        [TermRun {
            first: Index(1),
            term: Term(3)
        }]
    );
    assert_eq!(end.damage, None);
    assert_eq!(
        end.unsettled[0],
        (entry(2, 3, b"two"), flushed.persisted[0].positions[1].1)
    );
    assert_eq!(
        end.unsettled[1],
        (entry(3, 3, b"three"), second.persisted[0].positions[0].1)
    );
    assert_eq!(found.groups[&GroupId(2)].committed.len(), 1);
}

#[test]
fn a_closed_log_opens_clean_in_the_same_segment() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(64 * 1024));
    log.submit(append(1, 1, 1, vec![entry(1, 1, b"one")]));
    log.close().expect("the disk works");
    for round in 2..10 {
        let disk = disk.lose_power(Survival::Lost);
        let (log, recovery, _) = open(&disk, settings(64 * 1024));
        assert_eq!(recovery.outcome, Outcome::Clean, "round {round}");
        assert_eq!(log.active_segment(), SegmentId(1));
    }
}

#[test]
fn a_full_segment_is_rolled_and_all_segments_are_read_once() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    for index in 1..=100 {
        log.submit(append(
            1,
            index,
            index - 1,
            vec![entry(index, 1, &[index as u8; 500])],
        ));
        log.flush().expect("the disk works");
    }
    log.close().expect("the disk works");
    let disk = disk.lose_power(Survival::Lost);
    let (log, recovery, found) = open(&disk, settings(8 * 1024));
    assert_eq!(recovery.outcome, Outcome::Clean);
    assert!(recovery.segments > 10);
    // The newest STATE, of one group, is looked at before for what is kept.
    let looked_at = 48 + 160;
    assert_eq!(
        recovery.bytes_read,
        looked_at + u64::from(recovery.segments) * 8 * 1024
    );
    assert_eq!(disk.bytes_read(), recovery.bytes_read);
    let entries = found.groups[&GroupId(1)].entries();
    let expected: Vec<_> = (1..=100)
        .map(|index| entry(index, 1, &[index as u8; 500]))
        .collect();
    assert_eq!(entries, expected);
    assert_eq!(found.groups[&GroupId(1)].committed.len(), 99);
    assert!(log.sync_end() > LogPosition::new(SegmentId(10), 0));
}

#[test]
fn an_override_replaces_the_suffix() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(64 * 1024));
    log.submit(append(
        1,
        1,
        0,
        vec![entry(1, 1, b"a"), entry(2, 1, b"b"), entry(3, 1, b"c")],
    ));
    log.flush().expect("the disk works");
    log.submit(append(1, 2, 1, vec![entry(2, 2, b"B")]));
    log.submit(append(1, 3, 2, vec![entry(3, 2, b"C")]));
    log.flush().expect("the disk works");
    let (_, _, found) = open(&disk.kill(), settings(64 * 1024));
    let group = &found.groups[&GroupId(1)];
    assert_eq!(
        group.entries(),
        [entry(1, 1, b"a"), entry(2, 2, b"B"), entry(3, 2, b"C")]
    );
    assert_eq!(group.committed.len(), 2);
}

#[test]
#[should_panic(expected = "INV-LOG-5")]
fn an_override_of_what_is_committed_is_a_bug() {
    let (mut log, ..) = open(&FaultDisk::new(), settings(64 * 1024));
    log.submit(append(1, 1, 1, vec![entry(1, 1, b"a")]));
    log.submit(append(1, 2, 1, vec![entry(1, 2, b"b")]));
    let _ = log.flush();
}

#[test]
fn one_flush_is_one_write_of_blocks_one_of_a_slot_and_one_sync() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(64 * 1024));
    let (calls, syncs) = (disk.calls(), disk.syncs());
    for group in 1..=5 {
        log.submit(append(
            group,
            1,
            0,
            (1..=4).map(|index| entry(index, 1, b"x")).collect(),
        ));
    }
    log.flush().expect("the disk works");
    assert_eq!((disk.calls() - calls, disk.syncs() - syncs), (3, 1));
    log.flush().expect("the disk works");
    log.idle_mark().expect("the disk works");
    assert_eq!(
        (disk.calls() - calls, disk.syncs() - syncs),
        (5, 1),
        "nothing queued: no sync; one unsynced mark"
    );
    log.idle_mark().expect("the disk works");
    assert_eq!(disk.calls() - calls, 5, "told already");
}
