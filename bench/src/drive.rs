//! The course of a measurement: warm-up, measurement, drain; and what the system and the generator used meanwhile.

use std::time::Duration;

use crate::clock::{Nanos, nanos};
use crate::error::BenchError;
use crate::generator::{Ears, Generator};
use crate::progress::{Phase, Progress};
use crate::result::Load as GeneratorLoad;
use crate::target::Target;
use crate::usage::{self, Memory};

/// What a generator is driven with.
pub trait Load<T: Target>: Ears {
    /// Load starts at `start`; what happens in `from..until` counts.
    fn begin(&mut self, start: Nanos, from: Nanos, until: Nanos);

    /// Publishes what is due at `now`; when the next thing is due, if that does not hang on an event.
    ///
    /// # Errors
    /// The system cannot do what the workload needs.
    fn feed(
        &mut self,
        generator: &mut Generator<'_, T>,
        now: Nanos,
    ) -> Result<Option<Nanos>, BenchError>;

    /// Nothing more is published.
    fn stop(&mut self);

    /// How much of what was published has not come yet.
    fn outstanding(&self) -> u64;

    /// How many events came, for the progress bar.
    fn events(&self) -> u64;
}

/// The lengths of the phases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phases {
    /// Load is on and nothing counts.
    pub warm_up: Duration,
    /// What happens counts.
    pub measure: Duration,
    /// At most so long what is under way may take to arrive.
    pub drain: Duration,
}

/// What was used while a measurement ran.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Length of the measurement.
    pub seconds: f64,
    /// CPU time of the system, in seconds.
    pub server_cpu_s: f64,
    /// Memory of the system at the end.
    pub memory: Memory,
    /// The generator.
    pub generator: GeneratorLoad,
}

/// Longest wait of one turn.
const TURN: Duration = Duration::from_millis(50);
/// The kernel wakes us by the millisecond; closer than this we look again and again.
const SPIN_BELOW: Duration = Duration::from_millis(2);

/// A measurement of what the system and the generator use, from its start to [`Probe::finish`].
#[derive(Debug)]
pub struct Probe {
    pids: Vec<u32>,
    at: Nanos,
    server_cpu_ns: u64,
    own_cpu_ns: u64,
    stolen_ns: u64,
    busy: Duration,
}

impl Probe {
    /// From now on.
    pub fn start<T: Target>(generator: &Generator<'_, T>, pids: Vec<u32>) -> Self {
        Self {
            server_cpu_ns: pids.iter().copied().map(usage::cpu_ns).sum(),
            own_cpu_ns: usage::thread_cpu_ns(),
            stolen_ns: usage::stolen_ns(),
            busy: generator.busy(),
            at: generator.clock().now(),
            pids,
        }
    }

    /// Until now.
    pub fn finish<T: Target>(self, generator: &Generator<'_, T>) -> Used {
        let elapsed_ns = generator.clock().now().since(self.at).max(1);
        let server_cpu_ns: u64 = self.pids.iter().copied().map(usage::cpu_ns).sum();
        let own_cpu_ns = usage::thread_cpu_ns().saturating_sub(self.own_cpu_ns);
        let stolen_ns = usage::stolen_ns().saturating_sub(self.stolen_ns);
        let busy_ns = nanos(generator.busy().saturating_sub(self.busy));
        let cpus = crate::affinity::online().max(1) as f64;
        let share = |ns: u64| ns as f64 / elapsed_ns as f64;
        Used {
            seconds: elapsed_ns as f64 / 1e9,
            server_cpu_s: server_cpu_ns.saturating_sub(self.server_cpu_ns) as f64 / 1e9,
            memory: usage::memory(&self.pids),
            generator: GeneratorLoad {
                cpu_share: share(own_cpu_ns).min(1.0),
                busy_share: share(busy_ns).min(1.0),
                stolen_share: share(stolen_ns) / cpus,
            },
        }
    }
}

/// Drives `load` through its phases.
///
/// # Errors
/// A connection broke.
pub fn drive<T: Target>(
    generator: &mut Generator<'_, T>,
    load: &mut impl Load<T>,
    phases: Phases,
    pids: Vec<u32>,
    progress: &Progress,
) -> Result<Used, BenchError> {
    let clock = generator.clock();
    let start = clock.now();
    let from = start.plus(phases.warm_up);
    let until = from.plus(phases.measure);
    load.begin(start, from, until);
    progress.enter(Phase::WarmUp);
    drive_until(generator, load, from, progress)?;
    progress.enter(Phase::Measuring);
    let probe = Probe::start(generator, pids);
    drive_until(generator, load, until, progress)?;
    let used = probe.finish(generator);
    load.stop();
    progress.enter(Phase::Draining);
    drain(generator, load, phases.drain, progress)?;
    Ok(used)
}

fn drive_until<T: Target>(
    generator: &mut Generator<'_, T>,
    load: &mut impl Load<T>,
    until: Nanos,
    progress: &Progress,
) -> Result<(), BenchError> {
    let start = generator.clock().now();
    loop {
        let now = generator.clock().now();
        if now >= until {
            return Ok(());
        }
        let due = load.feed(generator, now)?.unwrap_or(until).min(until);
        generator.turn(wait_for(due.since(now)), load)?;
        progress.step(now.since(start), until.since(start));
        progress.count(load.events());
    }
}

/// How long a turn may wait if something is due in `nanos`.
fn wait_for(nanos: u64) -> Duration {
    let wait = Duration::from_nanos(nanos);
    if wait < SPIN_BELOW {
        Duration::ZERO
    } else {
        (wait - Duration::from_millis(1)).min(TURN)
    }
}

fn drain<T: Target>(
    generator: &mut Generator<'_, T>,
    load: &mut impl Load<T>,
    longest: Duration,
    progress: &Progress,
) -> Result<(), BenchError> {
    let until = generator.clock().now().plus(longest);
    let all = load.outstanding();
    while load.outstanding() > 0 && generator.clock().now() < until {
        generator.turn(TURN, load)?;
        progress.step(all - load.outstanding().min(all), all);
        progress.count(load.events());
    }
    // A duplicate of the last message comes right behind it.
    generator.turn(Duration::from_millis(20), load)
}
