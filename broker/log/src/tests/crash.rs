//! Crash points: the process ends at each write, sync, rename and directory sync of a workload, the power goes or not,
//! and what is read afterwards is a prefix that holds everything that was reported durable.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::script::{Released, Script};
use super::{append, entry, open, settings};
use crate::ids::{GroupId, LogPosition, SegmentId};
use crate::log::Log;
use crate::recover::{Finding, GroupRecovery, Outcome, Recovery};
use crate::segment::segment_name;
use crate::settings::LogSettings;
use crate::testing::{CollectedGroup, Collector, FaultDisk, Random, Survival};

const SEGMENT_BYTES: u32 = 8 * 1024;

/// Runs the script up to the crash; `None`: the log did not even open.
fn run_until(script: &Script, settings: LogSettings, call: u64) -> (FaultDisk, Released) {
    let disk = FaultDisk::new();
    disk.crash_at(call);
    let released = match Log::open(disk.clone(), settings, &mut Collector::default()) {
        Ok((log, _)) => script.run(log).0,
        Err(_) => Released::new(),
    };
    (disk, released)
}

/// What two openings must agree on, short enough to be shown.
fn told(found: &Collector) -> Vec<String> {
    let sum = |told: String| crc32c::crc32c(told.as_bytes());
    let told = |(id, group): (&GroupId, &CollectedGroup)| {
        let end = group.end.clone().unwrap_or_default();
        let contents = sum(alloc::format!("{:?} {:?}", group.committed, end.unsettled));
        let GroupRecovery {
            hard_state,
            first,
            last,
            terms,
            damage,
            ..
        } = end;
        let checkpoint = group.checkpoint.as_ref().map(|checkpoint| checkpoint.0);
        alloc::format!(
            "{id} {hard_state:?} {first}..={last} {terms:?} {checkpoint:?} {damage:?} {contents}"
        )
    };
    found.groups.iter().map(told).collect()
}

fn check(
    script: &Script,
    released: &Released,
    recovery: &Recovery,
    found: &Collector,
    context: &str,
) {
    assert_ne!(
        recovery.outcome,
        Outcome::Damaged,
        "{context}: {recovery:?}"
    );
    if let Err(error) = script.check(found, released) {
        panic!("{context}: {error}\n{recovery:?}");
    }
}

/// Opens, checks, and opens again after the power went right behind it.
fn check_image(
    script: &Script,
    settings: LogSettings,
    image: &FaultDisk,
    released: &Released,
    context: &str,
) {
    let (log, recovery, found) = open(image, settings);
    check(script, released, &recovery, &found, context);
    drop(log);
    let survivals = [Survival::Kept, Survival::Lost, Survival::Mixed(1)];
    let survival = survivals[context.len() % survivals.len()];
    let (_, again, found_again) = open(&image.lose_power(survival), settings);
    assert_eq!(
        told(&found),
        told(&found_again),
        "{context}, opened again after {survival:?}\n{recovery:?}\n{again:?}"
    );
}

/// Every way in which the next process may find the disk.
fn images(disk: &FaultDisk, seed: u64) -> Vec<(String, FaultDisk)> {
    let mixed = |draw: u64| Survival::Mixed(seed.wrapping_mul(3).wrapping_add(draw));
    let survivals = [Survival::Kept, Survival::Lost, mixed(0), mixed(1), mixed(2)];
    let lost = survivals
        .iter()
        .map(|survival| (alloc::format!("{survival:?}"), disk.lose_power(*survival)));
    lost.chain([(String::from("killed"), disk.kill())])
        .collect()
}

fn crash_everywhere(seed: u64, settings: LogSettings) -> u64 {
    let script = Script::generate(seed, 60);
    let disk = FaultDisk::new();
    let (log, ..) = open(&disk, settings);
    let (released, log) = script.run(log);
    log.expect("nothing fails without a fault")
        .close()
        .expect("nothing fails without a fault");
    let (_, recovery, found) = open(&disk.lose_power(Survival::Lost), settings);
    assert_eq!(recovery.outcome, Outcome::Clean);
    check(&script, &released, &recovery, &found, "no fault");
    let calls = disk.calls();
    for call in 1..=calls {
        let (disk, released) = run_until(&script, settings, call);
        for (how, image) in images(&disk, call) {
            check_image(
                &script,
                settings,
                &image,
                &released,
                &alloc::format!("seed {seed}, crash at call {call}, {how}"),
            );
        }
    }
    calls
}

#[test]
fn whatever_the_moment_of_a_crash_what_was_released_is_read_back_in_order() {
    let calls = crash_everywhere(0, settings(SEGMENT_BYTES));
    assert!(calls > 100, "an idle script proves nothing: {calls} calls");
}

#[test]
fn with_larger_segments_the_same_holds() {
    crash_everywhere(1, settings(2 * SEGMENT_BYTES));
}

#[test]
fn without_mark_slots_the_same_holds() {
    crash_everywhere(
        2,
        LogSettings {
            mark_slots: false,
            ..settings(SEGMENT_BYTES)
        },
    );
}

/// Six lives, one after the other, each ended by a crash at a call drawn from the seed, some while opening.
#[test]
fn a_log_that_lives_on_after_crashes_never_brings_anything_back() {
    let settings = settings(SEGMENT_BYTES);
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut disk = FaultDisk::new();
        let (mut script, mut released) = (Script::default(), Released::new());
        for life in 0..6 {
            let (call, draw) = (1 + random.below(150), random.next_u64());
            disk.crash_at(call);
            let mut found = Collector::default();
            if let Ok((log, recovery)) = Log::open(disk.clone(), settings, &mut found) {
                check(
                    &script,
                    &released,
                    &recovery,
                    &found,
                    &alloc::format!("seed {seed}, life {life}"),
                );
                script = Script::after(&found, draw, 40);
                released = script.run(log).0;
            }
            disk = images(&disk, draw).swap_remove(random.below(6) as usize).1;
        }
    }
}

/// Sectors of one unsynced write persist in any order: its second block may be there without its first.
#[test]
fn what_stands_behind_a_tear_never_comes_back() {
    let settings = settings(64 * 1024);
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings);
    log.submit(append(1, 1, 0, vec![entry(1, 1, &[1; 464])]));
    let torn = log.flush().expect("the disk works").sync_end.offset() as usize;
    log.submit(append(
        1,
        2,
        0,
        vec![entry(2, 1, &[2; 464]), entry(3, 1, &[3; 464])],
    ));
    disk.crash_at(disk.calls() + 3);
    assert!(
        log.flush().is_err(),
        "the power goes in the middle of the sync"
    );
    let disk = disk.lose_power(Survival::Kept);
    disk.rot(&segment_name(SegmentId(1)), |bytes| {
        bytes[torn..torn + 512].fill(0)
    });

    let (mut log, recovery, found) = open(&disk, settings);
    assert_eq!(recovery.outcome, Outcome::Unclean);
    assert_eq!(
        recovery.findings,
        [Finding::Torn {
            at: LogPosition::new(SegmentId(1), torn as u32)
        }]
    );
    assert_eq!(found.groups[&GroupId(1)].entries().len(), 1);
    log.submit(append(1, 1, 0, vec![entry(2, 2, &[4; 464])]));
    log.flush().expect("the disk works");
    let (.., found) = open(&disk.kill(), settings);
    assert_eq!(
        found.groups[&GroupId(1)].entries(),
        [entry(1, 1, &[1; 464]), entry(2, 2, &[4; 464])]
    );
}

#[test]
fn a_crash_while_opening_changes_nothing() {
    let script = Script::generate(7, 60);
    let settings = settings(SEGMENT_BYTES);
    for call in (20..200).step_by(9) {
        let (disk, released) = run_until(&script, settings, call);
        let image = disk.lose_power(Survival::Mixed(call));
        let (_, recovery, found) = open(&image.fork(), settings);
        check(&script, &released, &recovery, &found, "first");
        for second in 1.. {
            let disk = image.fork();
            disk.crash_at(second);
            let is_open = Log::open(disk.clone(), settings, &mut Collector::default()).is_ok();
            for (how, image) in images(&disk, second) {
                let (_, _, found_again) = open(&image, settings);
                assert_eq!(
                    told(&found),
                    told(&found_again),
                    "call {call}, then call {second}, {how}"
                );
            }
            if is_open {
                break;
            }
        }
    }
}
