//! Pinning core threads to CPUs.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPUs this process may use, ascending; empty if nothing is to be pinned.
#[derive(Debug)]
pub(crate) struct Pins {
    cpus: Vec<usize>,
}

/// One thread's CPU, or none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pin(Option<usize>);

impl Pins {
    pub(crate) fn new(is_wanted: bool) -> Self {
        let allowed = is_wanted.then(|| sched_getaffinity(None).ok()).flatten();
        let cpus = allowed.map_or_else(Vec::new, |set| {
            (0..CpuSet::MAX_CPU)
                .filter(|cpu| set.is_set(*cpu))
                .collect()
        });
        Self { cpus }
    }

    /// The CPU of core thread `core`; with more cores than CPUs several share one.
    pub(crate) fn of(&self, core: u16) -> Pin {
        let count = self.cpus.len().max(1);
        Pin(self.cpus.get(usize::from(core) % count).copied())
    }
}

impl Pin {
    /// Pins the calling thread. One that cannot be pinned runs anywhere.
    pub(crate) fn apply(self) {
        let Some(cpu) = self.0 else { return };
        let mut set = CpuSet::new();
        set.set(cpu);
        if let Err(error) = sched_setaffinity(None, &set) {
            tracing::warn!(cpu, %error, "core_not_pinned");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_pinned_round_robin_and_unpinned_ones_are_left_alone() {
        let pins = Pins { cpus: vec![2, 5] };
        assert_eq!(
            [pins.of(0), pins.of(1), pins.of(2)],
            [Pin(Some(2)), Pin(Some(5)), Pin(Some(2))]
        );
        assert_eq!(Pins::new(false).of(0), Pin(None));
    }
}
