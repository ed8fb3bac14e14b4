//! Fuzz targets: arbitrary bytes against everything that reads bytes. docs/fuzzing.md tells how to run them.
//!
//! A [`Target`] is a function that takes any bytes and panics if a promise is broken. The same function runs in two places: under a coverage-guided
//! engine (`cargo fuzzing run`), which looks for bytes that reach new code, and in `cargo test`, over the kept corpus and seeded mutations of it.
#![forbid(unsafe_code)]

mod corpus;
mod mutate;
mod script;
mod seeds;
mod targets;

pub use corpus::{Kept, corpus_folder, kept};
pub use mutate::Mutator;
pub use seeds::seeds;
pub use targets::{PROBE_FOUND, TARGETS, Target, target};
