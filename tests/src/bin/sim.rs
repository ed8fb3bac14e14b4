//! `cargo sim`; see docs/simulation.md.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A world allocates all the time, in one thread.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    antiphon_tests::sim::main(&args)
}
