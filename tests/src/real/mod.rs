//! Real processes: the broker's binary and the SDK, through a bad network, under faults from a seed, judged by the same checkers
//! as simulated worlds.
//!
//! ```text
//!   publishers, followers,           proxy              antiphon serve
//!   a historian (threads,  ═══════▶ (crate::proxy) ═══▶ (a process; killed, paused, ═══▶ data directory
//!   the blocking SDK)                                    traced by strace)                (a full disk)
//!        │ what they asked and got                                                            │ read at the end
//!        └──────────────▶ history (docs/history.md) ◀─────────────────────────────────────────┘
//! ```
//! docs/faults.md tells how to run it and what each fault is.
//!
//! | file | what it has |
//! |---|---|
//! | `command` | the command line |
//! | `run` | a run from its beginning to its verdict |
//! | `crowd`, `seat`, `publisher`, `follower`, `historian` | clients |
//! | `stage` | how far the run is |
//! | `journal` | where all of them note what happens |
//! | `fault`, `nemesis` | what goes wrong |
//! | `means` | what some faults need of the machine |
//! | `server` | the broker, over all its lives |
//! | `traced` | a broker's writes and syncs, as the kernel saw them |
//! | `power` | a kernel whose power is cut |

mod command;
mod crowd;
mod fault;
mod follower;
mod historian;
mod journal;
pub mod means;
mod nemesis;
mod power;
mod publisher;
mod run;
mod seat;
mod server;
mod stage;
pub mod traced;

pub use command::{available, main};
pub use fault::{Family, Fault};
pub use run::{Figure, Names, Outcome, Plan, check, run};
