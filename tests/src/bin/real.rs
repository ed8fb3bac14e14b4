//! `cargo real`: real processes under faults; docs/faults.md tells more.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    antiphon_tests::real::main(env::args().skip(1))
}
