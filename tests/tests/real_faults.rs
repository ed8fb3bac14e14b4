//! One short run of each family of faults: real broker, real SDK, real network stack.

use std::time::Duration;

use antiphon_tests::binary;
use antiphon_tests::real::{Family, Plan, available, check};

fn survives(family: Family, seed: u64, seconds: u64) {
    // What is missing on this machine has been said; without any fault left there is nothing to show.
    let faults = available(family.faults());
    if faults.is_empty() {
        return;
    }
    let plan = Plan {
        binary: binary::antiphon().unwrap(),
        seed,
        time: Duration::from_secs(seconds),
        faults,
    };
    let figure = check(&plan).unwrap_or_else(|error| panic!("{error}"));
    assert!(figure.acked > 0, "{figure}");
    assert!(!figure.faults.is_empty(), "{figure}");
}

#[test]
fn promises_hold_on_a_bad_network() {
    survives(Family::Network, 1, 5);
}

#[test]
fn promises_hold_when_processes_die() {
    survives(Family::Processes, 2, 5);
}

#[test]
fn promises_hold_when_system_calls_fail() {
    survives(Family::Calls, 3, 5);
}

#[test]
fn promises_hold_while_the_disk_is_full() {
    survives(Family::Disk, 4, 5);
}
