//! A history: what happened in a run, as clients, brokers and the world saw it.
//!
//! The simulator and the harness of real processes both write this, and the checkers read nothing else. The order of
//! events in the list is the order in which they happened: a client notes an invocation before it sends and an outcome
//! after it received it, so "a before b" in the list is never later than in truth. The lines are described in
//! docs/history.md.

mod event;
mod ids;
mod lines;
mod outcome;
mod recorder;

pub use event::{Actor, Event, What};
pub use ids::{
    BodyHash, Client, Link, Node, Op, Origin, Position, Producer, ProducerSeq, Room, Seq, User,
};
pub use lines::{BadHistory, read, write};
pub use outcome::{Fault, GapRange, Range, Record, Start, Way, Why, codes, gap_reasons};
pub use recorder::Recorder;

use serde::{Deserialize, Serialize};

/// The version of the line format that this crate writes. It reads those before it, too: each has all events of the one before.
pub const FORMAT_VERSION: u32 = 2;

/// What holds for the whole history; the first line of a file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Head {
    /// [`FORMAT_VERSION`].
    #[serde(rename = "antiphon_history")]
    pub version: u32,
    /// How to get the same run again: a seed, a command; for people.
    pub origin: String,
    /// Every broker that holds replicas. Each is to be read at the end (I1).
    pub nodes: Vec<Node>,
    /// Replicas of a record, at least 1; a majority of them must have synced it before its ack (I14).
    pub replicas: u32,
    /// How long after [`What::Healed`] an answer may take (I12), in ns.
    pub progress_ns: u64,
}

impl Head {
    /// The head of a run with these nodes, each of which holds a replica of everything; 10 s for progress.
    pub fn new(origin: &str, nodes: &[Node]) -> Self {
        Self {
            version: FORMAT_VERSION,
            origin: origin.to_owned(),
            nodes: nodes.to_vec(),
            replicas: u32::try_from(nodes.len()).unwrap_or(u32::MAX).max(1),
            progress_ns: 10_000_000_000,
        }
    }
}

/// A whole run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct History {
    /// What holds for all of it.
    pub head: Head,
    /// What happened, in order; times never fall.
    pub events: Vec<Event>,
}
