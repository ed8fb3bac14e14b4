//! What a run measures: latencies, rates, and how both went over time.
//!
//! Two windows that differ: *rates* count what arrives while the measurement runs; *latencies* belong to what was meant to be sent
//! while it ran, whenever it arrived. So a system that stalls cannot hide the messages that it is late with.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock::{Nanos, nanos};
use crate::limits::{LATENCY_NANOS_MAX, POINT};

/// Latencies and counts of one kind of thing: deliveries, acks, history reads.
#[derive(Debug)]
pub struct Meter {
    from: Nanos,
    until: Nanos,
    total: Histogram<u64>,
    slice: Histogram<u64>,
    slice_until: Nanos,
    slice_count: u64,
    series: Vec<Point>,
    counted: u64,
}

/// One step of a time series.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Point {
    /// End of the step, in seconds since the measurement began.
    pub at_s: f64,
    /// What arrived, per second.
    pub per_s: f64,
    /// Median latency in us; 0 if nothing arrived.
    pub p50_us: f64,
    /// 99th percentile in us.
    pub p99_us: f64,
    /// Longest in us.
    pub max_us: f64,
}

/// A histogram in numbers. All times in us.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Half is faster.
    pub p50_us: f64,
    /// 90 % are faster.
    pub p90_us: f64,
    /// 99 % are faster.
    pub p99_us: f64,
    /// 99.9 % are faster.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// The histogram: upper ends and counts of buckets that grow by a tenth; empty ones left out.
    pub buckets: Vec<Bucket>,
}

/// One bucket of a [`Latency`].
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Bucket {
    /// Upper end, in us.
    pub upto_us: f64,
    /// How many.
    pub count: u64,
}

impl Meter {
    /// A meter that measures nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            from: Nanos(u64::MAX),
            until: Nanos(u64::MAX),
            total: histogram(),
            slice: histogram(),
            slice_until: Nanos(u64::MAX),
            slice_count: 0,
            series: Vec::new(),
            counted: 0,
        }
    }

    /// Measures from `from` until `until`, which lie ahead.
    pub fn measure(&mut self, from: Nanos, until: Nanos) {
        self.from = from;
        self.until = until;
        self.slice_until = from.plus(POINT);
    }

    /// Something that was meant to be sent at `intended` has arrived at `now`.
    #[inline]
    pub fn arrive(&mut self, intended: Nanos, now: Nanos) {
        if now >= self.from && now < self.until {
            if now >= self.slice_until {
                self.close_slices(now);
            }
            self.counted += 1;
            self.slice_count += 1;
            if intended < self.from {
                return;
            }
        } else if intended < self.from || intended >= self.until {
            return;
        }
        self.slice.saturating_record(now.since(intended));
    }

    /// What arrived while the measurement ran.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// The end: the histogram and the series.
    #[must_use]
    pub fn finish(mut self) -> (Latency, Vec<Point>) {
        if self.until != Nanos(u64::MAX) && self.slice_until <= self.until {
            self.close_slices(self.until);
        }
        self.merge();
        (summary(&self.total), self.series)
    }

    #[cold]
    fn close_slices(&mut self, now: Nanos) {
        while self.slice_until <= now {
            let step = POINT.as_secs_f64();
            let at = Duration::from_nanos(self.slice_until.since(self.from));
            self.series.push(Point {
                at_s: at.as_secs_f64(),
                per_s: self.slice_count as f64 / step,
                p50_us: micros(quantile(&self.slice, 0.5)),
                p99_us: micros(quantile(&self.slice, 0.99)),
                max_us: micros(self.slice.max()),
            });
            self.merge();
            self.slice_count = 0;
            self.slice_until = Nanos(self.slice_until.0.saturating_add(nanos(POINT)));
        }
    }

    fn merge(&mut self) {
        self.total
            .add(&self.slice)
            .expect("both histograms have the same bounds");
        self.slice.reset();
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

/// Three digits from a nanosecond to an hour.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, 3).expect("the bounds are lawful")
}

fn quantile(histogram: &Histogram<u64>, quantile: f64) -> u64 {
    if histogram.is_empty() {
        0
    } else {
        histogram.value_at_quantile(quantile)
    }
}

/// ns as us.
#[must_use]
pub fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

fn summary(histogram: &Histogram<u64>) -> Latency {
    let at = |q| micros(quantile(histogram, q));
    let buckets = histogram
        .iter_log(1_000, 1.1)
        .filter(|step| step.count_since_last_iteration() > 0)
        .map(|step| Bucket {
            upto_us: micros(step.value_iterated_to()),
            count: step.count_since_last_iteration(),
        })
        .collect();
    Latency {
        count: histogram.len(),
        mean_us: histogram.mean() / 1e3,
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: micros(histogram.max()),
        buckets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn rates_count_arrivals_and_latencies_count_intentions() {
        let mut meter = Meter::new();
        meter.measure(Nanos(SECOND), Nanos(2 * SECOND));
        // Warm-up, arrived in the window: counted, no latency.
        meter.arrive(Nanos(0), Nanos(SECOND + 1));
        // Inside.
        meter.arrive(Nanos(SECOND + 1_000), Nanos(SECOND + 6_000));
        // Sent inside, very late: not in the rate, but in the latencies.
        meter.arrive(Nanos(2 * SECOND - 1), Nanos(5 * SECOND));
        // Neither.
        meter.arrive(Nanos(2 * SECOND), Nanos(2 * SECOND + 5));
        assert_eq!(meter.counted(), 2);
        let (latency, series) = meter.finish();
        assert_eq!(latency.count, 2);
        assert!((latency.p50_us - 5.0).abs() < 0.01, "{latency:?}");
        assert!((latency.max_us - 3e6).abs() < 1e4, "{latency:?}");
        assert_eq!(series.len(), 4);
        assert_eq!(series[0].per_s, 8.0);
        assert_eq!(series[3].per_s, 0.0);
    }
}
