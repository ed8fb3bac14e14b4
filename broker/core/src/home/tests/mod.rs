//! Home driven whole, with a toy log in place of the disk: what is persisted, and when, is the test's choice.

mod clocks;
mod cluster;
mod cluster_questions;
mod cluster_runs;
mod cursors;
mod damage;
mod exactly_once;
mod full_disk;
mod lanes;
mod limits;
mod publishing;
mod reading;
mod real_log;
mod redacting;
mod restart;
mod retention;
mod toy_log;
pub(super) mod world;
