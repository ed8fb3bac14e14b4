//! A broker inside a test: the real one, on a port of its own, with a private directory, gone when it is dropped.
//!
//! ```
//! use antiphon_client::Start;
//! use antiphon_testing::TestBroker;
//!
//! let mut broker = TestBroker::start();
//! let ann = broker.client("ann");
//! let mut reader = broker.client("bob").subscribe("lobby", Start::Live)?;
//!
//! ann.publish("lobby", "before")?;
//! broker.kill();      // as a process dies: nobody is told, nothing more is written
//! broker.restart();   // on the same data, at the same address
//! ann.publish("lobby", "after")?;
//!
//! let texts: Vec<String> = reader
//!     .by_ref()
//!     .take(2)
//!     .map(|delivery| delivery.map(|delivery| delivery.record().map_or_else(String::new, |record| record.text().into())))
//!     .collect::<Result<_, _>>()?;
//! assert_eq!(texts, ["before", "after"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it is built
//! ```text
//!  clients ──▶ door (one fixed port; can pause and cut) ──▶ node (a new port in each life) ──▶ temporary directory
//! ```
//! The door is what makes faults of the network possible without a line of test code in the broker, and what keeps the
//! address the same over restarts without a race for the port.
#![forbid(unsafe_code)]

mod broker;
mod door;

pub use antiphon_server::{Config, config};

pub use crate::broker::TestBroker;
