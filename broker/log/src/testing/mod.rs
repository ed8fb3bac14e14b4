//! A disk in memory that fails when it is told to, and a [`Recover`](crate::Recover) that keeps what it is given.
//!
//! For this crate's crash tests, the tests of its users and the simulator. Compiled with the feature `testing`.

mod collector;
mod fault_disk;
mod inode;
mod random;

pub use collector::{CollectedGroup, Collector};
pub use fault_disk::{FaultDisk, FaultFile};
pub use inode::Survival;
pub use random::Random;
