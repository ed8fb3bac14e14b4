//! Event loops, sockets, threads, signals and configuration around `antiphon_core`.
//!
//! This crate decides nothing about rooms, order or roles: it moves bytes between sockets and cores, jobs between cores,
//! log and readers, and tells the time. See docs/architecture.md.
#![forbid(unsafe_code)]

pub mod config;
mod error;
pub mod exit;
#[allow(dead_code)]
mod limits;
mod node;

pub use config::{Config, ConfigError, Loaded, Sources};
pub use error::{RunError, StartError};
pub use node::{Node, run};
