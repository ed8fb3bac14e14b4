//! The broker without its input and output: sessions, rooms, partitions, replicas and fan-out of one core.
//!
//! Everything here is driven from outside: [`Core`] takes frames, lane messages, disk reports and the time as arguments and gives back [`Output`]s.
//! It knows no socket, thread, clock, file or random source, so that a whole cluster runs in one thread of a test, from a seed.
//!
//! The crate has two halves that meet only in [`lane`] and [`channel`]: `edge` owns the connections of this core, `home` owns the partitions that live
//! on this core. They speak through messages even when they sit on the same core, so one code path serves both cases.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod channel;
pub mod lane;
pub mod limits;

mod boundary;
mod checkpoint_queue;
mod core;
mod edge;
mod home;
mod identity;
mod lanes;
mod leading;
mod map;
mod membership;
#[cfg(not(feature = "planted-bugs"))]
mod planted;
#[cfg(feature = "planted-bugs")]
pub mod planted;
mod read;
#[cfg(test)]
mod world;

pub use crate::checkpoint_queue::CheckpointQueue;
pub use crate::core::{
    ConnId, Core, CoreConfig, CoreEvent, CoreId, CoreStats, Flow, HashState, Now, Output,
};
pub use crate::edge::EdgeStats;
pub use crate::edge::outbox::Outbox;
pub use crate::home::{Condition, HomeStats, PartitionSeed, Recovering, ReplicaStatus, Unsound};
pub use crate::map::SlotMap;
pub use crate::membership::{Member, Membership};
pub use crate::read::{
    CheckpointJob, EntryAnswer, EntryJob, HomeRead, PageRoute, ReadAnswer, ReadFailure, ReadJob,
    ReadPurpose, ReadRecords, SliceRoute,
};
