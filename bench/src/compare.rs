//! Two sets of runs side by side: which figures moved, how surely, and whether that is too much.

use std::collections::BTreeMap;

use crate::result::{Better, Run};
use crate::statistics::{Interval, median, paired, unpaired};

/// One figure of one workload in two sets of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Workload and options.
    pub key: String,
    /// Name of the figure.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// Median of the first set.
    pub a: f64,
    /// Median of the second set.
    pub b: f64,
    /// `a / b`.
    pub interval: Interval,
}

/// Figures that are compared and judged: rates, costs, the middle and the near tail. Rarer events (`p999`, `max`) are told by
/// results, but say more about the machine than about the system.
const JUDGED: [&str; 5] = [
    "_per_s",
    "_per_cpu_s",
    "_p50_us",
    "_p99_us",
    "_bytes_per_connection",
];

impl Comparison {
    /// Whether `a` is worse than `b` by more than `threshold` (0.05: 5 %), and all of the interval says that it is worse.
    #[must_use]
    pub fn is_regression(&self, threshold: f64) -> bool {
        let Interval {
            ratio, low, high, ..
        } = self.interval;
        match self.better {
            Better::Higher => ratio < 1.0 - threshold && high < 1.0,
            Better::Lower => ratio > 1.0 + threshold && low > 1.0,
            Better::Neither => false,
        }
    }

    /// Whether all of the interval says that `a` is better.
    #[must_use]
    pub fn is_better(&self) -> bool {
        match self.better {
            Better::Higher => self.interval.low > 1.0,
            Better::Lower => self.interval.high < 1.0,
            Better::Neither => false,
        }
    }
}

/// Compares runs `a` with runs `b` of the same workloads and options, figure by figure. Workloads that only one side has are left out.
///
/// `are_pairs`: run n of one side ran next to run n of the other, so that what troubled both cancels out.
#[must_use]
pub fn compare(a: &[Run], b: &[Run], are_pairs: bool) -> Vec<Comparison> {
    let mut found = Vec::new();
    let theirs = by_key(b);
    for (key, ours) in by_key(a) {
        let Some(theirs) = theirs.get(&key) else {
            continue;
        };
        let judged = ours[0]
            .metrics
            .iter()
            .filter(|metric| JUDGED.iter().any(|end| metric.name.ends_with(end)));
        for metric in judged.filter(|metric| metric.better != Better::Neither) {
            let of = |runs: &[&Run]| -> Vec<f64> {
                let values = runs.iter().filter_map(|run| run.metric(&metric.name));
                values.filter(|value| *value > 0.0).collect()
            };
            let (a, b) = (of(&ours), of(theirs));
            if a.is_empty() || b.is_empty() {
                continue;
            }
            let interval = if are_pairs && a.len() == b.len() {
                let pairs: Vec<_> = a.iter().copied().zip(b.iter().copied()).collect();
                paired(&pairs)
            } else {
                unpaired(&a, &b)
            };
            found.push(Comparison {
                key: key.clone(),
                metric: metric.name.clone(),
                unit: metric.unit.clone(),
                better: metric.better,
                a: median(&a),
                b: median(&b),
                interval,
            });
        }
    }
    found
}

fn by_key(runs: &[Run]) -> BTreeMap<String, Vec<&Run>> {
    let mut map = BTreeMap::<_, Vec<_>>::new();
    for run in runs {
        map.entry(run.key()).or_default().push(run);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Metric;
    use crate::target::Durability;

    fn run(value: f64) -> Run {
        Run {
            workload: "fanout".to_owned(),
            target: "x".to_owned(),
            pair: 0,
            configuration: BTreeMap::new(),
            settings: Vec::new(),
            durability: Durability {
                acked: String::new(),
                synced_before_ack: false,
                synced_before_delivery: false,
            },
            seconds: 1.0,
            metrics: vec![
                Metric::new("deliveries_per_s", value, "1/s", Better::Higher),
                Metric::new("delivery_max_us", 1.0, "us", Better::Lower),
            ],
            latency: BTreeMap::new(),
            series: BTreeMap::new(),
            verdict: Default::default(),
            memory: Default::default(),
            generator: Default::default(),
            notes: Vec::new(),
        }
    }

    fn runs(values: &[f64]) -> Vec<Run> {
        values.iter().copied().map(run).collect()
    }

    #[test]
    fn a_slowdown_of_ten_percent_in_pairs_is_a_regression_and_noise_is_none() {
        let old = runs(&[100.0, 90.0, 110.0, 95.0, 105.0]);
        let slow = runs(&[90.0, 81.0, 99.5, 85.0, 95.0]);
        let found = compare(&slow, &old, true);
        assert_eq!(found.len(), 1);
        assert!(found[0].is_regression(0.05), "{found:?}");
        let noise = runs(&[97.0, 93.0, 108.0, 96.0, 103.0]);
        let found = compare(&noise, &old, true);
        assert!(!found[0].is_regression(0.05), "{found:?}");
    }

    #[test]
    fn other_options_are_not_compared() {
        let mut other = run(50.0);
        other
            .configuration
            .insert("subscribers".to_owned(), "7".to_owned());
        assert!(compare(&[other], &runs(&[100.0]), false).is_empty());
    }
}
