//! What a message costs, counted: instructions, allocations and system calls.
//!
//! Times on a shared machine differ by tens of per cent from run to run; these counts differ by less than one. So they can be compared with a
//! baseline on every change (`gates check`, docs/benchmarks.md), and the benches of the same paths (`benches/broker.rs`) say what they are in time.
//!
//! ```text
//!  case ──▶ Broker (a core, a log on real files, no sockets) ──▶ rounds
//!   │                                                              │ under valgrind, once N and once 2 N rounds
//!   └─ what is counted per round ◀── (count of 2 N) - (count of N) ┘
//! ```

pub mod baseline;
pub mod broker;
pub mod case;
pub mod counting;
pub mod error;
pub mod limits;
pub mod syscalls;
