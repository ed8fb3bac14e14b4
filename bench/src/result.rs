//! `result.json`: what a call of the harness found. The format is described in docs/benchmarks.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::machine::Machine;
use crate::meter::{Latency, Point};
use crate::target::Durability;
use crate::usage::Memory;
use crate::verify::Verdict;

/// What the field `format` says.
pub const FORMAT: &str = "antiphon-bench";
/// Version of the format; a reader refuses a higher one.
pub const VERSION: u32 = 1;

/// One call of the harness.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ResultFile {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Seconds since the epoch.
    pub started_at: u64,
    /// The words of the command line.
    pub command: Vec<String>,
    /// Of the sources, see [`crate::machine::commit`].
    pub commit: String,
    /// Build profile of the generator: `release` or `debug`.
    pub profile: String,
    /// Where.
    pub machine: Machine,
    /// In the order in which they ran.
    pub runs: Vec<Run>,
}

/// One run of one workload against one system.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Run {
    /// Name of the workload.
    pub workload: String,
    /// Name of the system.
    pub target: String,
    /// Which pair of runs it belongs to, from 0.
    pub pair: u32,
    /// The options of the workload.
    pub configuration: BTreeMap<String, String>,
    /// Settings of the system.
    pub settings: Vec<String>,
    /// What acks and deliveries are worth.
    pub durability: Durability,
    /// Length of the measurement, in seconds.
    pub seconds: f64,
    /// The figures, each with its unit and which way is better.
    pub metrics: Vec<Metric>,
    /// By kind: `delivery`, `ack`, `history`, `connect`, `subscribe`.
    pub latency: BTreeMap<String, Latency>,
    /// By the same kinds.
    pub series: BTreeMap<String, Vec<Point>>,
    /// What was wrong with the deliveries.
    pub verdict: Verdict,
    /// Memory of the system at the end of the measurement.
    pub memory: Memory,
    /// How hard the generator worked, and what the machine did meanwhile.
    pub generator: Load,
    /// Whatever else a reader should know.
    pub notes: Vec<String>,
}

/// What the generator had to spare.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Load {
    /// CPU time of the generator's thread by elapsed time. Near 1 while it spins, which an open loop does.
    pub cpu_share: f64,
    /// The share of time in which it had something to do. Near 1: it was the bottleneck, and the figures are its own.
    pub busy_share: f64,
    /// CPU time taken away by the hypervisor, as a share of all CPUs' time.
    pub stolen_share: f64,
}

/// One figure of a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Metric {
    /// Stable name, such as `deliveries_per_s`.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its unit, for people: `1/s`, `us`, `bytes`.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
}

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// It is only told.
    Neither,
}

impl Metric {
    /// A figure.
    #[must_use]
    pub fn new(name: &str, value: f64, unit: &str, better: Better) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            better,
        }
    }
}

impl Run {
    /// The figure with this name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        let metric = self.metrics.iter().find(|metric| metric.name == name)?;
        Some(metric.value)
    }

    /// What makes two runs comparable: the workload and its options.
    #[must_use]
    pub fn key(&self) -> String {
        let options = self.configuration.iter();
        let options: Vec<_> = options
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        format!("{} {}", self.workload, options.join(" "))
    }
}

impl ResultFile {
    /// Reads a file of this or an older version.
    ///
    /// # Errors
    /// [`BenchError::File`]; [`BenchError::Usage`] if it is no result, or of a newer version.
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        Self::read_as(path)
    }

    /// Reads such a file as a type that has more fields than a result.
    ///
    /// # Errors
    /// As [`ResultFile::read`].
    pub fn read_as<T: DeserializeOwned>(path: &Path) -> Result<T, BenchError> {
        let text = fs::read(path).map_err(|error| BenchError::File {
            path: path.to_owned(),
            error,
        })?;
        let told = |what: &str| BenchError::Usage(format!("{}: {what}", path.display()));
        let head: Head = serde_json::from_slice(&text)
            .map_err(|error| told(&format!("no result of this harness: {error}")))?;
        if head.format != FORMAT {
            return Err(told("no result of this harness"));
        }
        if head.version > VERSION {
            return Err(told("written by a newer harness"));
        }
        serde_json::from_slice(&text).map_err(|error| told(&error.to_string()))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`BenchError::File`].
    pub fn write(&self, path: &Path) -> Result<(), BenchError> {
        write(self, path)
    }
}

/// Writes `value` as JSON for people and programs.
///
/// # Errors
/// [`BenchError::File`].
pub fn write(value: &impl Serialize, path: &Path) -> Result<(), BenchError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(std::io::Error::from)?;
    text.push(b'\n');
    fs::write(path, text).map_err(|error| BenchError::File {
        path: path.to_owned(),
        error,
    })
}

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}
