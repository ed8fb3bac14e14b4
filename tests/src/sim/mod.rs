//! A world in a seed: brokers and clients in one thread, in virtual time, under faults, the same every time.
//!
//! docs/simulation.md tells how to run it, to read a trace, to add a fault and to add a checker.
//!
//! | file | what it has |
//! |---|---|
//! | `command` | the command line |
//! | `run` | a seed from its beginning to its verdict |
//! | `swarm`, `stress` | what kind of world a seed is |
//! | `world`, `queue`, `random`, `trace` | what happens next, by chance and all the same |
//! | `node`, `lives` | a broker and its processes |
//! | `logging`, `making`, `reading_log` | its log thread, those that make files for the log, its reader threads |
//! | `turning`, `reading`, `writing` | a core thread's turn |
//! | `link`, `pipe`, `network` | the network |
//! | `peering`, `replicas`, `peer_trouble` | several nodes: the network between them, what must hold of their replicas, what goes wrong |
//! | `client`, `dialling`, `sessions` | a session of the SDK, its thread, its connections and its lives |
//! | `app`, `told` | the application: what it does and what it hears |
//! | `raw`, `raw_acts` | a client that speaks frames without the SDK, and its application |
//! | `fault`, `trouble` | what goes wrong |
//! | `tap`, `tap_beside`, `acks`, `watch`, `audit` | what sockets carry and what disks are given and hold, as history for the checkers |
//! | `tally` | what was met |

mod acks;
mod app;
mod audit;
mod client;
mod command;
mod dialling;
mod fault;
mod judging;
mod limits;
mod link;
mod lives;
mod logging;
mod making;
mod network;
mod node;
mod panics;
mod peer_trouble;
mod peering;
mod pipe;
mod queue;
pub(crate) mod random;
mod raw;
mod raw_acts;
mod reading;
mod reading_log;
mod replicas;
mod run;
mod sessions;
mod stress;
mod swarm;
mod tally;
mod tap;
mod tap_beside;
mod told;
mod trace;
mod trouble;
mod turning;
mod watch;
mod world;
mod writing;

pub use command::main;
pub use run::{Finder, Finding, Verdict};
pub use stress::Stress;

/// A world for a test.
#[derive(Clone, Debug)]
pub struct TestWorld(swarm::Plan);

impl TestWorld {
    /// The world of `seed`, with faults for so many virtual seconds.
    #[must_use]
    pub fn new(seed: u64, seconds: u64) -> TestWorld {
        TestWorld(swarm::Plan {
            seconds,
            ..swarm::Plan::new(seed)
        })
    }

    /// The same with so many nodes.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> TestWorld {
        self.0.nodes = nodes;
        self
    }

    /// The same with one thing stressed.
    #[must_use]
    pub fn under(mut self, stress: Stress) -> TestWorld {
        self.0.stress = Some(stress);
        self
    }

    /// The same without these faults, by name; names of no fault are passed over.
    #[must_use]
    pub fn without(mut self, faults: &[&str]) -> TestWorld {
        let faults = faults.iter().filter_map(|name| fault::Fault::named(name));
        self.0.without.extend(faults);
        self
    }
}

/// Runs a world to its end; tells everything that is wrong in it, and who found it.
#[must_use]
pub fn run(world: &TestWorld) -> Verdict {
    panics::remember();
    run::run(&world.0)
}

/// Runs a world; gives the number of its trace.
///
/// # Errors
/// What is wrong in it.
pub fn check(world: &TestWorld) -> Result<u64, String> {
    let verdict = run(world);
    match verdict.failure() {
        None => Ok(verdict.trace),
        Some(failure) => Err(failure),
    }
}
