//! `cargo sim`; see docs/simulation.md.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    antiphon_tests::sim::main(&args)
}
