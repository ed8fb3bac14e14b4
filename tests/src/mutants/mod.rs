//! `cargo sim mutants`: does the simulator notice bugs that are planted into the product?
//!
//! | file | what it has |
//! |---|---|
//! | `asked` | the command line |
//! | `bug` | the bugs, by name |
//! | `worlds` | the worlds in which they are searched |
//! | `search` | worlds until a bug is caught |
//! | `catch` | how it was |
//! | `record` | where each was: `tests/mutants.txt` |
//! | `table` | the same for people, in docs/simulation.md |
//! | `check` | whether it still is, from there on |
//! | `clean` | the same worlds without a bug |
//!
//! Compiled with the feature `planted-bugs` only; without it, `launch` builds and runs a `sim` that has it.

#[cfg(feature = "planted-bugs")]
mod asked;
#[cfg(feature = "planted-bugs")]
mod bug;
#[cfg(feature = "planted-bugs")]
mod catch;
#[cfg(feature = "planted-bugs")]
mod check;
#[cfg(feature = "planted-bugs")]
mod clean;
#[cfg(not(feature = "planted-bugs"))]
mod launch;
#[cfg(any(feature = "planted-bugs", test))]
mod record;
#[cfg(feature = "planted-bugs")]
mod search;
#[cfg(any(feature = "planted-bugs", test))]
mod table;
#[cfg(feature = "planted-bugs")]
mod worlds;

#[cfg(feature = "planted-bugs")]
pub(crate) use asked::main;
#[cfg(not(feature = "planted-bugs"))]
pub(crate) use launch::main;
