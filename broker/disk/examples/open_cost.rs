//! Counts the bytes that opening a log reads, for 64 MiB and 1 GiB of entries; fails if it is more than the bound.
//!
//! `cargo run --release -p antiphon-disk --example open_cost` (needs 1.3 GiB in the temporary directory)

#[path = "../tests/cost/mod.rs"]
mod cost;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut is_within = true;
    println!(
        "entries MiB | segment files | checkpoint files | read at open | bound: newest checkpoint + one scan"
    );
    for mib in [64, 1_024] {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let cost = cost::measure(temp.path(), mib * 1024 * 1024);
        println!(
            "{mib} | {} | {} | {} | {}",
            cost.log, cost.checkpoints, cost.read, cost.bound
        );
        is_within &= cost.read <= cost.bound && cost.read == cost.told;
    }
    if is_within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
