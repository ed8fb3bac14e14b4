//! Why nothing could be counted.

use std::io;

/// Why a count did not come about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// valgrind is not there.
    #[error("valgrind is needed (apt-get install valgrind): {0}")]
    NoValgrind(#[source] io::Error),
    /// The CPU lacks what the baseline was made with.
    #[error(
        "this CPU has no AVX2: programs choose other code on it, and counts cannot be compared"
    )]
    OtherCpu,
    /// A counted run failed.
    #[error("{what} failed: {told}")]
    Run {
        /// Which one.
        what: String,
        /// The end of what it said.
        told: String,
    },
    /// The program could not be started, watched or ended.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A baseline that cannot be read.
    #[error("the baseline's line {line} is not `name count`")]
    Baseline {
        /// From 1.
        line: usize,
    },
    /// What a broker sent is not what it was asked for.
    #[error("the broker answered {0}")]
    Answer(&'static str),
}

impl GateError {
    /// For `map_err`: what was tried.
    pub fn system(what: &'static str) -> impl Fn(io::Error) -> GateError {
        move |source| GateError::System { what, source }
    }
}
