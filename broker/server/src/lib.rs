//! Event loops, sockets, threads, signals and configuration around `antiphon_core`.
//!
//! This crate decides nothing about rooms, order or roles: it moves bytes between sockets and cores, jobs between cores,
//! log and readers, and tells the time.
//!
//! ```text
//!            acceptor ── sockets ──┐                        ┌── readers (2)
//!                                  ▼         read jobs ────▶│   mapped files
//!  clients ◀── sockets ──▶ core threads ◀──── answers ──────┘
//!                            │  ▲   ▲ │ lanes, one per ordered pair
//!                     append │  │   └─┘
//!                            ▼  │ persisted
//!                           log thread ◀── segments made ahead
//! ```
//!
//! | module | |
//! |---|---|
//! | [`config`] | settings: flags > environment > file > defaults |
//! | `start`, `node`, `recovery` | from a configuration to running threads, and their end |
//! | `core_thread` | the event loop: turn, reading, writing, closing |
//! | `input`, `connections` | bytes between socket and frames; the slab |
//! | `acceptor`, `places`, `refusal`, `listen`, `descriptors` | who may connect |
//! | `lanes`, `wake` | messages between cores, and waking only who sleeps |
//! | `log_thread`, `readers` | writing and reading the log |
//! | `signals`, `guard`, [`exit`] | how a process ends |
#![forbid(unsafe_code)]

mod acceptor;
mod affinity;
mod clock;
pub mod config;
mod connections;
mod core_thread;
mod descriptors;
mod error;
pub mod exit;
mod guard;
mod input;
mod lanes;
mod limits;
mod listen;
mod log_thread;
mod node;
mod phase;
mod places;
mod readers;
mod recovery;
mod refusal;
mod signals;
mod start;
mod wake;

pub use config::{Config, ConfigError, Loaded, Sources};
pub use error::{RunError, StartError};
pub use node::{Node, run, run_with};
