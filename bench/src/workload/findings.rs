//! What a measurement found, before it becomes a run of a result.

use std::collections::BTreeMap;

use crate::drive::Used;
use crate::meter::{Latency, Meter, Point};
use crate::result::{Better, Metric};
use crate::verify::Verdict;

/// Figures, histograms, and what was wrong.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What was used.
    pub used: Used,
    /// The figures.
    pub metrics: Vec<Metric>,
    /// By kind.
    pub latency: BTreeMap<String, Latency>,
    /// By kind.
    pub series: BTreeMap<String, Vec<Point>>,
    /// What was wrong with the deliveries.
    pub verdict: Verdict,
    /// Whatever else a reader should know.
    pub notes: Vec<String>,
}

impl Findings {
    /// Findings without figures yet.
    #[must_use]
    pub fn new(used: Used, verdict: Verdict) -> Self {
        Self {
            used,
            verdict,
            ..Self::default()
        }
    }

    /// Adds a figure.
    pub fn metric(&mut self, name: &str, value: f64, unit: &str, better: Better) {
        self.metrics.push(Metric::new(name, value, unit, better));
    }

    /// Adds what a meter of `kind` (`delivery`, `ack`, ...) found: rate, rate by CPU time, latencies, series.
    pub fn meter(&mut self, kind: &str, plural: &str, meter: Meter) {
        let counted = meter.counted() as f64;
        let (latency, series) = meter.finish();
        if counted == 0.0 && latency.count == 0 {
            return;
        }
        let seconds = self.used.seconds.max(f64::MIN_POSITIVE);
        self.metric(
            &format!("{plural}_per_s"),
            counted / seconds,
            "1/s",
            Better::Higher,
        );
        let cpu_s = self.used.server_cpu_s;
        if cpu_s > 0.0 && counted > 0.0 {
            let name = format!("{plural}_per_cpu_s");
            self.metric(&name, counted / cpu_s, "1/s", Better::Higher);
            let name = format!("cpu_s_per_million_{plural}");
            self.metric(&name, cpu_s * 1e6 / counted, "s", Better::Lower);
        }
        for (name, value) in [
            ("p50", latency.p50_us),
            ("p90", latency.p90_us),
            ("p99", latency.p99_us),
            ("p999", latency.p999_us),
            ("max", latency.max_us),
        ] {
            self.metric(&format!("{kind}_{name}_us"), value, "us", Better::Lower);
        }
        self.latency.insert(kind.to_owned(), latency);
        self.series.insert(kind.to_owned(), series);
    }
}
