//! Writes and syncs that fail: final, and never taken for done by the next life.

use alloc::vec;

use super::script::Script;
use super::{append, entry, open, settings};
use crate::disk_trait::{DiskError, DiskErrorKind, DiskOp};
use crate::error::LogError;
use crate::ids::{GroupId, Index, SegmentId, Term};
use crate::log::Log;
use crate::recover::Outcome;
use crate::testing::{Collector, FaultDisk, Survival};

/// Fails each call in turn; checks what the next process reads, from the cache of a living machine and after a power loss.
fn fail_everywhere(seed: u64, kind: DiskErrorKind) {
    let settings = settings(8 * 1024);
    let script = Script::generate(seed, 60);
    let disk = FaultDisk::new();
    let (log, ..) = open(&disk, settings);
    script.run(log).1.expect("nothing fails without a fault");
    for call in 1..=disk.calls() {
        let disk = FaultDisk::new();
        disk.fail_at(call, kind);
        let Ok((log, _)) = Log::open(disk.clone(), settings, &mut Collector::default()) else {
            continue;
        };
        let (released, _) = script.run(log);
        for image in [
            disk.kill(),
            disk.lose_power(Survival::Kept),
            disk.lose_power(Survival::Lost),
            disk.lose_power(Survival::Mixed(call)),
        ] {
            let (_, recovery, found) = open(&image, settings);
            assert_ne!(
                recovery.outcome,
                Outcome::Damaged,
                "call {call}: {recovery:?}"
            );
            if let Err(error) = script.check(&found, &released) {
                panic!("{kind:?} at call {call}: {error}");
            }
        }
    }
}

#[test]
fn a_failing_call_never_loses_what_was_released() {
    fail_everywhere(11, DiskErrorKind::Io);
}

#[test]
fn a_full_disk_at_any_call_never_loses_what_was_released() {
    fail_everywhere(12, DiskErrorKind::Full);
}

#[test]
fn a_failed_sync_is_final_and_what_looks_written_is_not_believed() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(64 * 1024));
    log.submit(append(1, 1, 0, vec![entry(1, 1, b"one")]));
    log.flush().expect("the disk works");
    log.submit(append(1, 2, 1, vec![entry(2, 1, b"two")]));
    disk.fail_at(disk.calls() + 3, DiskErrorKind::Io);
    let failed = LogError::Disk(DiskError {
        op: DiskOp::Sync,
        kind: DiskErrorKind::Io,
    });
    assert_eq!(log.flush().err(), Some(failed));
    assert_eq!(log.flush().err(), Some(LogError::Failed));
    assert_eq!(log.idle_mark().err(), Some(LogError::Failed));
    assert_eq!(log.prepare_segment().err(), Some(LogError::Failed));
    assert_eq!(
        log.write_checkpoint(GroupId(1), Index(1), Term(1), b"")
            .err(),
        Some(LogError::Failed)
    );
    assert_eq!(log.close().err(), Some(LogError::Failed));
    // The kernel shows the pages as clean, with the second entry on them; the device has never seen it.
    let (_, recovery, found) = open(&disk.kill(), settings(64 * 1024));
    assert_eq!(recovery.outcome, Outcome::Unclean);
    assert_eq!(found.groups[&GroupId(1)].entries(), [entry(1, 1, b"one")]);
}

#[test]
fn a_disk_that_is_full_stops_the_segment_ahead_but_not_the_log() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    disk.set_capacity(Some(8 * 1024 + 4_000));
    let full = LogError::Disk(DiskError {
        op: DiskOp::Reserve,
        kind: DiskErrorKind::Full,
    });
    assert_eq!(log.prepare_segment(), Err(full));
    assert_eq!(
        disk.names(),
        ["log/0000000000000001.seg"],
        "the space is given back"
    );
    for index in 1..=3 {
        log.submit(append(
            1,
            index,
            index - 1,
            vec![entry(index, 1, &[1; 1_000])],
        ));
        log.flush().expect("the segment has room");
    }
    log.submit(append(1, 4, 3, vec![entry(4, 1, &[1; 1_000])]));
    assert_eq!(log.flush().err(), Some(full), "a roll is needed");
    disk.set_capacity(None);
    let (mut log, _, found) = open(&disk.kill(), settings(8 * 1024));
    assert_eq!(found.groups[&GroupId(1)].entries().len(), 3);
    assert_eq!(log.prepare_segment(), Ok(true));
    log.submit(append(1, 1, 3, vec![entry(4, 1, &[1; 1_000])]));
    log.flush().expect("there is space again");
    assert!(log.active_segment() > SegmentId(1));
}

#[test]
fn a_checkpoint_that_finds_the_disk_full_leaves_the_log_running() {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(8 * 1024));
    log.submit(append(1, 1, 1, vec![entry(1, 1, b"one")]));
    log.flush().expect("the disk works");
    disk.set_capacity(Some(8 * 1024));
    let full = LogError::Disk(DiskError {
        op: DiskOp::Write,
        kind: DiskErrorKind::Full,
    });
    assert_eq!(
        log.write_checkpoint(GroupId(1), Index(1), Term(1), b"state"),
        Err(full)
    );
    assert_eq!(disk.names().len(), 1, "the temporary file is gone");
    log.submit(append(1, 2, 1, vec![entry(2, 1, b"two")]));
    log.flush().expect("the log goes on");
}

#[test]
fn an_entry_beyond_the_limits_is_refused() {
    let (mut log, ..) = open(&FaultDisk::new(), settings(8 * 1024));
    log.submit(append(1, 1, 0, vec![entry(1, 1, &[0; 8 * 1024])]));
    let expected = LogError::EntryTooLarge {
        group: GroupId(1),
        bytes: 8 * 1024,
        bytes_max: 8 * 1024,
    };
    assert_eq!(log.flush().err(), Some(expected));
    let (mut log, ..) = open(&FaultDisk::new(), settings(4 * 1024 * 1024));
    log.submit(append(1, 1, 0, vec![entry(1, 1, &vec![0; 1_310_721])]));
    let expected = LogError::EntryTooLarge {
        group: GroupId(1),
        bytes: 1_310_721,
        bytes_max: 1_310_720,
    };
    assert_eq!(log.flush().err(), Some(expected));
}
