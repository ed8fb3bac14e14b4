//! The only source of chance of a world: splitmix64, forked into one stream per concern.
//!
//! Each concern has a stream of its own, so that leaving a fault out (as `shrink` does) does not change what the others draw.

/// One stream of draws.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Starts from `seed`.
    pub(crate) fn new(seed: u64) -> Random {
        let mut random = Random(seed ^ 0x6a09_e667_f3bc_c909);
        random.next_u64();
        random
    }

    /// Another stream, told apart by `label`.
    pub(crate) fn fork(&self, label: u64) -> Random {
        Random::new(self.0 ^ label.wrapping_mul(0xff51_afd7_ed55_8ccd))
    }

    /// Any number.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next_u64() % end }
    }

    /// A place in a list of `len`, which is not empty.
    pub(crate) fn place(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number from `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// True in one of `odds` cases.
    pub(crate) fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of a list.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.place(list.len())]
    }

    /// The time to the next event of a Poisson process with this mean, at least 1.
    pub(crate) fn waiting(&mut self, mean: u64) -> u64 {
        // -ln(u) in 1/1024ths, by the position of the highest bit and a linear step between powers of two: exact enough, and the same everywhere.
        let drawn = self.next_u64() | 1;
        let zeros = u64::from(drawn.leading_zeros());
        let below = (drawn << zeros << 1) >> 54;
        let log2_in_1024ths = zeros * 1024 + 1024 - below;
        (mean.saturating_mul(log2_in_1024ths) / 1024 * 710 / 1024).max(1)
    }
}
