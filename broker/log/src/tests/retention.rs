//! Retention: what goes is needed by nobody, and whatever the moment of a crash, what is left opens.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{append, entry, open, settings};
use crate::checkpoint_files::checkpoint_name;
use crate::disk_trait::Disk;
use crate::ids::{GroupId, Index, SegmentId, Term};
use crate::log::Log;
use crate::recover::{Finding, Outcome};
use crate::retention::Retention;
use crate::segment::{LOG_FOLDER, segment_name};
use crate::settings::LogSettings;
use crate::testing::{Collector, FaultDisk, Survival};

const SEGMENT: u32 = 8 * 1024;
const GROUPS: core::ops::RangeInclusive<u32> = 1..=2;

fn kept(bytes: u64) -> LogSettings {
    LogSettings {
        retention: Retention { bytes, age_ms: 0 },
        ..settings(SEGMENT)
    }
}

fn body(group: u32, index: u64) -> Vec<u8> {
    vec![(group as u8) ^ (index as u8); 400]
}

/// Entries and checkpoints of two groups, from `from` on; returns the last index that was released to both before anything failed.
fn run(log: &mut Log<FaultDisk>, indexes: core::ops::RangeInclusive<u64>) -> u64 {
    let mut released = indexes.start() - 1;
    for index in indexes {
        for group in GROUPS {
            let entry = entry(index, 1, &body(group, index));
            log.submit(append(group, index, index - 1, vec![entry]));
        }
        if log.flush().is_err() {
            return released;
        }
        released = index;
        // The second group is checkpointed less often.
        for group in GROUPS.filter(|group| index.is_multiple_of(3 * u64::from(*group))) {
            if log
                .write_checkpoint(GroupId(group), Index(index), Term(1), &body(group, index))
                .is_err()
            {
                return released;
            }
        }
        if index.is_multiple_of(4) && log.prepare_segment().is_err() {
            return released;
        }
    }
    released
}

fn segments(disk: &FaultDisk) -> Vec<String> {
    let mut names = disk.list(LOG_FOLDER).expect("the disk works");
    names.sort();
    names
}

/// Every group is whole: a checkpoint, and every entry from there up to the last one.
fn check(found: &Collector, released: u64, context: &str) {
    if released == 0 {
        return;
    }
    for group in GROUPS {
        let collected = &found.groups[&GroupId(group)];
        let end = collected.end.as_ref().expect("told");
        assert_eq!(end.damage, None, "{context}, group {group}");
        assert!(
            end.last >= Index(released),
            "{context}, group {group}: {end:?}"
        );
        let checkpoint = collected.checkpoint.as_ref();
        if let Some((index, _, taken)) = checkpoint {
            assert_eq!(*taken, body(group, index.0), "{context}");
        }
        let checkpoint = checkpoint.map_or(0, |(index, ..)| index.0);
        let entries = collected.entries();
        let first = entries
            .first()
            .map_or(end.last.0 + 1, |entry| entry.index.0);
        assert!(
            first <= checkpoint + 1,
            "{context}, group {group}: {first} behind {checkpoint}"
        );
        let indexes = entries.iter().map(|entry| entry.index.0);
        assert!(indexes.eq(first..=end.last.0), "{context}, group {group}");
        for entry in entries {
            assert_eq!(
                entry.payload[..],
                body(group, entry.index.0)[..],
                "{context}"
            );
        }
    }
}

#[test]
fn a_crash_at_any_call_leaves_a_log_that_opens_whole_and_goes_on() {
    let settings = kept(3 * u64::from(SEGMENT));
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings);
    assert_eq!(run(&mut log, 1..=40), 40);
    assert!(log.first_kept() > SegmentId(5), "retention was at work");
    drop(log);
    for call in 1..=disk.calls() {
        let disk = FaultDisk::new();
        disk.crash_at(call);
        let released = match Log::open(disk.clone(), settings, &mut Collector::default()) {
            Ok((mut log, _)) => run(&mut log, 1..=40),
            Err(_) => 0,
        };
        let survivals = [Survival::Kept, Survival::Lost, Survival::Mixed(call)];
        let images = survivals.map(|survival| disk.lose_power(survival));
        for (image, how) in images.into_iter().chain([disk.kill()]).zip(0..) {
            let context = format!("call {call}, image {how}");
            let (mut log, recovery, found) = open(&image, settings);
            assert_ne!(
                recovery.outcome,
                Outcome::Damaged,
                "{context}: {recovery:?}"
            );
            check(&found, released, &context);
            let is_kept = |name: &String| **name >= segment_name(log.first_kept())[4..];
            assert!(segments(&image).iter().all(is_kept), "{context}");
            // The newest checkpoint of each group is lost: the older one and the log have everything.
            let spoilt = image.fork();
            for (group, collected) in &found.groups {
                if let Some((index, ..)) = &collected.checkpoint {
                    spoilt.rot(&checkpoint_name(*group, *index), |bytes| bytes[70] ^= 1);
                }
            }
            let (.., without_newest) = open(&spoilt, settings);
            check(
                &without_newest,
                released,
                &format!("{context}, older checkpoints"),
            );
            let last = found
                .groups
                .get(&GroupId(1))
                .map_or(0, |group| group.end.as_ref().expect("told").last.0);
            if how == 1 && call % 5 == 0 && last == released && last > 0 {
                let next = last + 1;
                assert_eq!(run(&mut log, next..=next + 20), next + 20, "{context}");
                drop(log);
                let (_, recovery, found) = open(&image.lose_power(Survival::Lost), settings);
                assert_ne!(recovery.outcome, Outcome::Damaged, "{context}, later");
                check(&found, next + 20, &format!("{context}, later"));
            }
        }
    }
}

#[test]
fn the_log_stays_at_its_bound_and_what_is_removed_stays_removed() {
    let settings = kept(4 * u64::from(SEGMENT));
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings);
    run(&mut log, 1..=200);
    // The bound, one segment ahead, and what the older checkpoint of the second group needs.
    assert!(segments(&disk).len() <= 7, "{:?}", segments(&disk));
    let first_kept = log.first_kept();
    log.close().expect("the disk works");
    let (log, recovery, found) = open(&disk.lose_power(Survival::Lost), settings);
    assert_eq!(recovery.outcome, Outcome::Clean);
    assert_eq!(log.first_kept(), first_kept);
    check(&found, 200, "opened again");
    assert!(found.groups[&GroupId(1)].entries()[0].index > Index(100));
}

#[test]
fn a_group_without_two_checkpoints_keeps_everything_from_its_first_entry_on_and_it_is_told() {
    let settings = kept(2 * u64::from(SEGMENT));
    let (mut log, ..) = open(&FaultDisk::new(), settings);
    log.submit(append(3, 1, 0, vec![entry(1, 1, b"a lonely one")]));
    log.flush().expect("the disk works");
    run(&mut log, 1..=80);
    assert_eq!(log.first_kept(), SegmentId(0));
    assert!(log.holding().contains(&GroupId(3)));
    for index in [1, 2] {
        if index == 2 {
            log.submit(append(3, 2, 1, vec![entry(2, 1, b"")]));
            log.flush().expect("the disk works");
        }
        assert_eq!(log.retain(), Ok(false), "one checkpoint is not two");
        log.write_checkpoint(GroupId(3), Index(index), Term(1), b"state")
            .expect("the disk works");
        log.flush().expect("the disk works");
    }
    assert!(!log.holding().contains(&GroupId(3)));
    assert_eq!(log.retain(), Ok(true));
    assert!(log.first_kept() > SegmentId(4));
}

#[test]
fn a_damaged_group_keeps_everything() {
    let settings = kept(2 * u64::from(SEGMENT));
    let disk = FaultDisk::new();
    let (mut log, ..) = open(
        &disk,
        LogSettings {
            retention: Retention::default(),
            ..settings
        },
    );
    run(&mut log, 1..=60);
    drop(log);
    disk.rot(&segment_name(SegmentId(5)), |bytes| bytes[5_000] ^= 1);
    let (mut log, recovery, _) = open(&disk.kill(), settings);
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert_eq!(log.holding(), [], "no checkpoint would help");
    assert_eq!(log.retain(), Ok(false));
}

#[test]
fn segments_go_when_they_ended_long_enough_ago_by_the_clock_of_their_successors() {
    let settings = LogSettings {
        retention: Retention {
            bytes: 0,
            age_ms: 1_000,
        },
        ..settings(SEGMENT)
    };
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings);
    log.tell_time(50_000);
    run(&mut log, 1..=30);
    let middle = log.active_segment();
    log.tell_time(50_500);
    run_on(&mut log, 31..=60);
    let last = log.active_segment();
    log.close().expect("the disk works");
    let (mut log, ..) = open(&disk, settings);
    // Two checkpoints of this life, for only what it knows to be whole counts.
    run(&mut log, 61..=78);
    log.tell_time(50_999);
    assert_eq!(log.retain(), Ok(false));
    log.tell_time(51_000);
    assert_eq!(log.retain(), Ok(true));
    assert_eq!(log.first_kept(), middle, "it was ended at 50,500");
    log.tell_time(51_499);
    assert_eq!(log.retain(), Ok(false));
    log.tell_time(51_500);
    assert_eq!(log.retain(), Ok(true));
    assert!(log.first_kept() >= last);
}

/// As [`run`], without checkpoints.
fn run_on(log: &mut Log<FaultDisk>, indexes: core::ops::RangeInclusive<u64>) {
    for index in indexes {
        for group in GROUPS {
            let entry = entry(index, 1, &body(group, index));
            log.submit(append(group, index, index - 1, vec![entry]));
        }
        log.flush().expect("the disk works");
    }
}

#[test]
fn files_that_a_removal_left_behind_do_not_exist_whichever_they_are() {
    let settings = kept(3 * u64::from(SEGMENT));
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings);
    run(&mut log, 1..=60);
    let first_kept = log.first_kept();
    drop(log);
    // Left-overs with a hole between them, one of them rotten: nobody looks.
    for (segment, byte) in [(1, 0), (2, 0xFF), (4, 7)] {
        let name = segment_name(SegmentId(segment));
        let file = disk.create(&name).expect("it was removed");
        disk.write_at(&file, 0, &[byte; 8_192])
            .expect("the disk works");
        disk.sync(&file).expect("the disk works");
    }
    disk.sync_directory(LOG_FOLDER).expect("the disk works");
    let (log, recovery, found) = open(&disk.kill(), settings);
    assert_eq!(recovery.outcome, Outcome::Unclean, "{recovery:?}");
    assert_eq!(log.first_kept(), first_kept);
    check(&found, 60, "left-overs");
}

#[test]
fn a_lost_segment_is_not_taken_for_a_removed_one() {
    let settings = kept(6 * u64::from(SEGMENT));
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings);
    run(&mut log, 1..=60);
    let lost = log.first_kept();
    assert!(lost > SegmentId(0));
    drop(log);
    let disk = disk.kill();
    disk.remove(&segment_name(lost)).expect("it is there");
    let (_, recovery, _) = open(&disk, settings);
    assert_eq!(recovery.outcome, Outcome::Damaged);
    assert!(
        recovery
            .findings
            .contains(&Finding::Missing { segment: lost })
    );
}

#[test]
fn a_bound_below_two_segments_does_not_begin_one_segment_after_the_other() {
    let (mut log, ..) = open(&FaultDisk::new(), kept(1));
    run(&mut log, 1..=30);
    let before = log.active_segment();
    // A partition in which nobody speaks makes an empty entry and a checkpoint of it whenever retention waits for it.
    for index in 31..=60 {
        for group in GROUPS {
            log.submit(append(group, index, index - 1, vec![entry(index, 1, b"")]));
        }
        log.flush().expect("the disk works");
        for group in GROUPS {
            log.write_checkpoint(GroupId(group), Index(index), Term(1), b"state")
                .expect("the disk works");
        }
        log.flush().expect("the disk works");
        log.retain().expect("the disk works");
    }
    assert!(log.active_segment().0 <= before.0 + 2, "two were filled");
    assert_eq!(log.first_kept().next(), log.active_segment());
}

/// What the disk may do to a STATE.
const ROTS: [fn(&mut [u8]); 3] = [
    |state| state[60] ^= 1,
    |state| state[2] ^= 1,
    |state| state.fill(0),
];

#[test]
fn without_one_state_checkpoints_and_entries_still_have_everything() {
    let settings = kept(3 * u64::from(SEGMENT));
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings);
    // A third group that speaks seldom: of what it said first only STATE tells.
    let speak = |log: &mut Log<FaultDisk>, index: u64| {
        log.submit(append(3, index, index - 1, vec![entry(index, 1, b"")]));
        log.flush().expect("the disk works");
        log.write_checkpoint(GroupId(3), Index(index), Term(1), b"quiet")
            .expect("the disk works");
    };
    speak(&mut log, 1);
    speak(&mut log, 2);
    run(&mut log, 1..=30);
    speak(&mut log, 3);
    run(&mut log, 31..=60);
    let (first, active) = (log.first_kept(), log.active_segment());
    assert!(first > SegmentId(0));
    drop(log);
    let rots = ROTS.iter().zip(0..);
    let places = (first.0..active.0).flat_map(|segment| {
        rots.clone()
            .map(move |(rot, number)| (segment, rot, number))
    });
    for (segment, rot, number) in places {
        let rotten = disk.kill();
        rotten.rot(&segment_name(SegmentId(segment)), |bytes| {
            rot(&mut bytes[4096..4096 + 352])
        });
        let (mut log, recovery, found) = open(&rotten, settings);
        assert_eq!(recovery.outcome, Outcome::Damaged, "it is told");
        check(&found, 60, &format!("segment {segment}, rot {number}"));
        let quiet = &found.groups[&GroupId(3)];
        assert_eq!(
            quiet.checkpoint,
            Some((Index(3), Term(1), b"quiet".to_vec()))
        );
        let end = quiet.end.as_ref().expect("told");
        assert_eq!(
            (end.last, end.damage),
            (Index(3), None),
            "segment {segment}, rot {number}"
        );
        run(&mut log, 61..=70);
        drop(log);
        let (_, _, found) = open(&rotten.lose_power(Survival::Lost), settings);
        check(
            &found,
            70,
            &format!("segment {segment}, rot {number}, later"),
        );
    }
}

#[test]
fn without_the_first_state_what_no_checkpoint_reaches_is_a_hole_behind_it() {
    let settings = kept(3 * u64::from(SEGMENT));
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings);
    run(&mut log, 1..=59);
    let (first, active) = (log.first_kept(), log.active_segment());
    drop(log);
    let rotten = disk.kill();
    // STATE, and what follows it, up to entries that the checkpoint does not reach.
    let mut holes = 0;
    for segment in first.0..active.0 {
        rotten.rot(&segment_name(SegmentId(segment)), |bytes| {
            bytes[4096..].fill(0)
        });
        let (_, recovery, found) = open(&rotten, settings);
        assert_eq!(recovery.outcome, Outcome::Damaged);
        for group in GROUPS {
            let found = &found.groups[&GroupId(group)];
            let checkpoint = found.checkpoint.as_ref().map_or(0, |(index, ..)| index.0);
            let damage = found.end.as_ref().expect("told").damage;
            if let Some(hole) = damage.and_then(|damage| damage.hole) {
                holes += 1;
                assert_eq!(hole, Index(checkpoint + 1), "group {group}");
            }
        }
    }
    assert!(holes > 0, "something was out of reach");
}
