//! The load harness, and what the benches of single functions measure with.
//!
//! `antiphon bench` runs the harness: a generator over plain sockets ([`target`] is its border to what it measures), workloads,
//! results. `cargo bench -p antiphon-bench` runs the criterion benches, which judge one function each. The method is in
//! docs/benchmarks.md.

#![forbid(unsafe_code)]

pub mod affinity;
pub mod antiphon;
pub mod error;
pub mod limits;
pub mod message;
pub mod server;
pub mod target;
