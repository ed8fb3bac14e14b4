//! The rivals, and what the kernel leaves possible: systems that do a part of what Antiphon does, driven by the same generator.
//!
//! One folder or file a system: how it is started with the settings that its own documentation recommends for this load, and what
//! its protocol looks like on raw sockets. None of their client libraries is involved.

pub mod floor;
pub mod found;
pub mod install;
pub mod mosquitto;
pub mod nats;
pub mod plan;
pub mod rabbitmq;
pub mod redis;
pub mod signals;
pub mod system;
mod talk;
pub mod tournament;
#[cfg(test)]
mod transcript;
