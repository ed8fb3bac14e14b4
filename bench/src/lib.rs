//! The load harness, and what the benches of single functions measure with.
//!
//! `antiphon bench` runs the harness: a generator over plain sockets ([`target`] is its border to what it measures), workloads,
//! results. `cargo bench -p antiphon-bench` runs the criterion benches, which judge one function each. The method is in
//! docs/benchmarks.md.

#![forbid(unsafe_code)]

pub mod acks;
pub mod affinity;
pub mod antiphon;
pub mod clock;
pub mod compare;
pub mod drive;
pub mod error;
pub mod generator;
pub mod limits;
pub mod machine;
pub mod message;
pub mod meter;
pub mod pace;
pub mod port;
pub mod progress;
pub mod report;
pub mod result;
pub mod rivals;
pub mod run;
pub mod server;
pub mod stage;
pub mod stamp;
pub mod statistics;
pub mod target;
pub mod traffic;
pub mod usage;
pub mod verify;
pub mod workload;
