//! `cargo sim mutants`: does the simulator notice bugs that are planted into the product?
//!
//! | file | what it has |
//! |---|---|
//! | `bug` | the bugs, by name |
//! | `catch` | how one was caught |
//! | `record` | where each was caught: `tests/mutants.txt` |
//! | `search` | worlds until one is caught |
//!
//! Compiled with the feature `planted-bugs` only; without it, `launch` builds and runs a `sim` that has it.

#[cfg(feature = "planted-bugs")]
mod bug;
#[cfg(feature = "planted-bugs")]
mod catch;
#[cfg(not(feature = "planted-bugs"))]
mod launch;
#[cfg(feature = "planted-bugs")]
mod record;
#[cfg(feature = "planted-bugs")]
mod search;

#[cfg(not(feature = "planted-bugs"))]
pub(crate) use launch::main;
#[cfg(feature = "planted-bugs")]
pub(crate) use search::main;
