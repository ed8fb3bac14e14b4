//! A disk that fills up: the log says so while it can still write, and says when there is space again.

use alloc::vec;

use super::{append, entry, open, settings, vote};
use crate::ids::{GroupId, Index, Term};
use crate::log::Log;
use crate::settings::LogSettings;
use crate::testing::FaultDisk;

const SEGMENT: u32 = 16 * 1024;
const RESERVE: u64 = 12 * 1024;

fn kept() -> LogSettings {
    LogSettings {
        reserve_bytes: RESERVE,
        resume_bytes: 2 * RESERVE,
        ..settings(SEGMENT)
    }
}

/// As the log thread does after each flush: orders the next segment, then looks. A segment that cannot be made is no failure.
fn is_full(log: &mut Log<FaultDisk>) -> bool {
    let _ = log.prepare_segment();
    log.look_at_space().is_full
}

/// Publishes until the log says stop, each record acked before the next; returns how many there are.
fn fill(log: &mut Log<FaultDisk>) -> u64 {
    let mut index = 0;
    while !is_full(log) {
        index += 1;
        log.submit(append(
            1,
            index,
            index - 1,
            vec![entry(index, 1, &[7; 700])],
        ));
        log.flush().expect("nothing fails before the log says stop");
    }
    index
}

#[test]
fn the_log_says_stop_while_all_of_the_reserve_can_be_written() {
    // Disks of every size between four segments and six: the mark is met in the middle of a segment, or just after a roll.
    for capacity in (4 * u64::from(SEGMENT)..6 * u64::from(SEGMENT)).step_by(1_000) {
        let disk = FaultDisk::new();
        disk.set_capacity(Some(capacity));
        let (mut log, ..) = open(&disk, kept());
        let records = fill(&mut log);
        assert!(records > 20, "{capacity}: {records} records");
        // A segment's last blocks may leave a gap as long as one of them, and a new one begins with a page and STATE.
        let mut written = 5 * 1024;
        for ready in 1.. {
            log.submit(vote(2, ready, ready, 1, 0));
            let flushed = log.flush().unwrap_or_else(|error| {
                panic!("{capacity}: {error} after {written} bytes of the reserve")
            });
            written += flushed.bytes;
            assert!(is_full(&mut log), "{capacity}: nothing has become free");
            if written >= RESERVE {
                break;
            }
        }
        log.close().expect("an END mark fits");
        disk.set_capacity(None);
        let (_, recovery, found) = open(&disk, kept());
        assert_eq!(recovery.outcome, crate::recover::Outcome::Clean);
        assert_eq!(found.groups[&GroupId(1)].entries().len() as u64, records);
    }
}

#[test]
fn a_checkpoint_is_written_out_of_the_reserve() {
    let disk = FaultDisk::new();
    disk.set_capacity(Some(6 * u64::from(SEGMENT) + 4_000));
    let (mut log, ..) = open(&disk, kept());
    let records = fill(&mut log);
    log.write_checkpoint(GroupId(1), Index(records), Term(1), &[1; 2_000])
        .expect("there is space for it");
    log.flush().expect("and for the block that names it");
}

#[test]
fn publishes_are_called_back_only_when_more_is_free_than_where_they_were_stopped() {
    let disk = FaultDisk::new();
    let capacity = 5 * u64::from(SEGMENT);
    disk.set_capacity(Some(capacity));
    let (mut log, ..) = open(&disk, kept());
    fill(&mut log);
    let left = log.look_at_space().left_bytes.expect("the disk tells");
    let mark = u64::from(SEGMENT) + 2 * RESERVE;
    assert!(left < u64::from(SEGMENT) + RESERVE);
    disk.set_capacity(Some(capacity + mark - left - 1));
    assert!(is_full(&mut log), "a byte is missing");
    disk.set_capacity(Some(capacity + mark - left));
    assert!(!is_full(&mut log));
    disk.set_capacity(Some(capacity + mark - left - 1));
    assert!(
        !is_full(&mut log),
        "it is a mark for those who were stopped"
    );
}

#[test]
fn a_segment_under_way_is_neither_missing_nor_there_twice() {
    let disk = FaultDisk::new();
    disk.set_capacity(Some(8 * u64::from(SEGMENT)));
    let (mut log, ..) = open(&disk, kept());
    let before = log.look_at_space().left_bytes;
    let maker = log.segment_maker().expect("none is ready");
    assert_eq!(log.look_at_space().left_bytes, before);
    let made = maker.make();
    assert_eq!(log.look_at_space().left_bytes, before);
    log.adopt(made);
    assert_eq!(log.look_at_space().left_bytes, before);
}

#[test]
fn what_the_log_itself_takes_is_known_without_asking_the_disk() {
    let disk = FaultDisk::new();
    disk.set_capacity(Some(9 * u64::from(SEGMENT)));
    let (mut log, ..) = open(&disk, kept());
    log.look_at_space();
    for index in 1..=100 {
        log.submit(append(
            1,
            index,
            index - 1,
            vec![entry(index, 1, &[7; 700])],
        ));
        log.flush().expect("there is space");
        // Made ahead, made elsewhere, or made by the roll itself.
        match index % 7 {
            0 => drop(log.prepare_segment()),
            3 => {
                if let Some(maker) = log.segment_maker() {
                    log.adopt(maker.make());
                }
            }
            _ => {}
        }
        let weighed = log.weigh_space();
        assert_eq!(log.look_at_space(), weighed, "after {index} records");
    }
    assert!(log.active_segment() > crate::ids::SegmentId(4));
}

#[test]
fn without_a_reserve_or_a_disk_that_tells_nobody_is_refused() {
    let disk = FaultDisk::new();
    let none = LogSettings {
        reserve_bytes: 0,
        ..kept()
    };
    let (mut log, ..) = open(&disk, none);
    disk.set_capacity(Some(0));
    let space = log.look_at_space();
    assert!(!space.is_full && space.left_bytes.is_some());
    let (mut log, ..) = open(&FaultDisk::new(), kept());
    let space = log.look_at_space();
    assert_eq!((space.left_bytes, space.is_full), (None, false));
}
