//! Medians, and intervals around ratios that do not believe in bell curves.

/// The median; 0 of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// A ratio, and where it lies with some certainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub ratio: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How often such an interval holds the truth, 0..=1; 0 for a single run, which has no interval.
    pub coverage: f64,
}

/// The median of the ratios `a / b` of pairs, with the sign-based interval: between two order statistics, whatever the
/// distribution. The wanted coverage is 95 %; five pairs reach 93.75 % (their whole range), fewer less.
#[must_use]
pub fn paired(pairs: &[(f64, f64)]) -> Interval {
    let mut ratios: Vec<f64> = pairs.iter().map(|(a, b)| a / b).collect();
    ratios.sort_by(f64::total_cmp);
    let count = ratios.len();
    let ratio = median(&ratios);
    if count < 2 {
        return single(ratio);
    }
    // Cut as many from both ends as leaves 95 %.
    let mut cut = 0;
    while cut + 1 < count / 2 && sign_coverage(count, cut + 1) >= 0.95 {
        cut += 1;
    }
    Interval {
        ratio,
        low: ratios[cut],
        high: ratios[count - 1 - cut],
        coverage: sign_coverage(count, cut),
    }
}

/// The chance that the true median lies between the order statistics that remain when `cut` are cut from both ends.
fn sign_coverage(count: usize, cut: usize) -> f64 {
    // P(at most `cut` of `count` fair coins fall on one side), twice.
    let mut below = 0.0;
    let mut choose = 1.0;
    for k in 0..=cut {
        below += choose;
        choose = choose * (count - k) as f64 / (k + 1) as f64;
    }
    (1.0 - 2.0 * below / 2f64.powi(i32::try_from(count).unwrap_or(i32::MAX))).max(0.0)
}

/// The ratio of the medians of runs that were not paired, with the bootstrap's interval of 95 %.
#[must_use]
pub fn unpaired(a: &[f64], b: &[f64]) -> Interval {
    let ratio = median(a) / median(b);
    if a.len() < 2 || b.len() < 2 {
        return single(ratio);
    }
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| median(&random.resample(a)) / median(&random.resample(b)))
        .collect();
    ratios.sort_by(f64::total_cmp);
    Interval {
        ratio,
        low: ratios[RESAMPLES / 40],
        high: ratios[RESAMPLES - 1 - RESAMPLES / 40],
        coverage: 0.95,
    }
}

const RESAMPLES: usize = 4_000;

fn single(ratio: f64) -> Interval {
    Interval {
        ratio,
        low: ratio,
        high: ratio,
        coverage: 0.0,
    }
}

/// xorshift: the same runs give the same interval.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }

    fn resample(&mut self, values: &[f64]) -> Vec<f64> {
        (0..values.len())
            .map(|_| values[self.below(values.len())])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn five_pairs_give_their_range_and_say_what_it_is_worth() {
        let pairs = [(2.0, 1.0), (3.0, 2.0), (1.8, 1.0), (2.2, 1.0), (1.9, 1.0)];
        let found = paired(&pairs);
        assert_eq!((found.ratio, found.low, found.high), (1.9, 1.5, 2.2));
        assert_eq!(found.coverage, 0.9375);
    }

    #[test]
    fn more_pairs_cut_the_ends_as_far_as_the_coverage_allows() {
        let pairs: Vec<_> = (1..=10).map(|n| (f64::from(n), 1.0)).collect();
        let found = paired(&pairs);
        // Ten pairs: the second to the ninth cover 97.85 %, the third to the eighth only 89 %.
        assert_eq!((found.low, found.high), (2.0, 9.0));
        assert!((found.coverage - 0.978_515_625).abs() < 1e-9);
    }

    #[test]
    fn the_bootstrap_finds_a_clear_difference_and_no_unclear_one() {
        let slow = [100.0, 101.0, 99.0, 100.5, 99.5];
        let fast = [120.0, 121.0, 119.0, 120.5, 119.5];
        let clear = unpaired(&fast, &slow);
        assert!(clear.low > 1.1 && clear.high < 1.3, "{clear:?}");
        let none = unpaired(&slow, &slow);
        assert!(none.low <= 1.0 && none.high >= 1.0, "{none:?}");
        assert_eq!(unpaired(&[1.0], &[2.0]).coverage, 0.0);
    }
}
