//! What a workload runs on: a started system, a generator, options.

use std::path::PathBuf;
use std::time::Duration;

use crate::affinity::{self, Cpu};
use crate::clock::{Clock, Nanos};
use crate::drive::Phases;
use crate::error::BenchError;
use crate::generator::{Ears, Generator};
use crate::limits::{CONNECTS_AT_ONCE, STALLED_AFTER};
use crate::progress::{Phase, Progress};
use crate::server::{Place, Server};
use crate::target::{Event, Room, Since, Target};

/// How runs are made, whatever the workload.
#[derive(Clone, Debug)]
pub struct Options {
    /// CPUs of the system and of the generator; `None`: the kernel decides.
    pub cpus: Option<(Cpu, Cpu)>,
    /// Under which the system's private directory is made.
    pub parent: PathBuf,
    /// Lengths of the phases.
    pub phases: Phases,
    /// Bytes of a message's body, the stamp included.
    pub body_bytes: usize,
}

impl Options {
    /// The first two CPUs that this process may use, if there are two; a second of warm-up, five of measurement, 128 bytes.
    ///
    /// # Errors
    /// The kernel does not tell the CPUs.
    pub fn new(parent: PathBuf) -> std::io::Result<Self> {
        let cpus = match affinity::allowed()?.as_slice() {
            [server, generator, ..] => Some((*server, *generator)),
            _ => None,
        };
        Ok(Self {
            cpus,
            parent,
            phases: Phases {
                warm_up: Duration::from_secs(1),
                measure: Duration::from_secs(5),
                drain: Duration::from_secs(10),
            },
            body_bytes: 128,
        })
    }

    /// Where the system runs.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            cpu: self.cpus.map(|(server, _)| server),
            parent: self.parent.clone(),
        }
    }
}

/// A started system, and how to measure it. Several measurements may follow each other on one stage.
#[derive(Debug)]
pub struct Stage<'a, T: Target> {
    /// The system.
    pub target: &'a T,
    /// Its processes.
    pub server: &'a Server,
    /// How.
    pub options: &'a Options,
    /// Who looks on.
    pub progress: &'a Progress,
    /// Stands in front of the names of rooms, so that two measurements share none.
    pub prefix: String,
}

impl<'a, T: Target> Stage<'a, T> {
    /// `count` rooms, made ready by the target.
    ///
    /// # Errors
    /// The system refuses.
    pub fn rooms(&self, count: u32) -> Result<Vec<Room>, BenchError> {
        let rooms: Vec<_> = (0..count)
            .map(|number| Room {
                number,
                name: format!("{}-{number}", self.prefix),
            })
            .collect();
        self.target.prepare(self.server, &rooms)?;
        Ok(rooms)
    }

    /// A generator with `count` connections that are ready.
    ///
    /// # Errors
    /// The system refuses.
    pub fn connect(&self, count: u32) -> Result<Generator<'a, T>, BenchError> {
        self.progress.enter(Phase::Preparing);
        let mut generator =
            Generator::new(self.target, self.server, self.progress, Clock::start())?;
        generator.connect(count, CONNECTS_AT_ONCE)?;
        Ok(generator)
    }

    /// Subscribes each pair, and waits until all subscriptions stand.
    ///
    /// # Errors
    /// The system refuses, or falls silent.
    pub fn subscribe<'r>(
        &self,
        generator: &mut Generator<'a, T>,
        pairs: impl Iterator<Item = (u32, &'r Room)>,
    ) -> Result<(), BenchError> {
        let mut asked = 0;
        let mut counter = Counter::default();
        for (connection, room) in pairs {
            generator.subscribe(connection, room, Since::Now)?;
            asked += 1;
            if asked % 1_000 == 0 {
                generator.turn(Duration::ZERO, &mut counter)?;
            }
        }
        wait_for(generator, &mut counter, asked, "subscriptions", |counter| {
            counter.subscribed
        })
    }

    /// The processes of the system.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.server.pids()
    }
}

/// Counts what connections hear.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    pub(crate) subscribed: u64,
    refused: u64,
}

impl Ears for Counter {
    fn hear(&mut self, _connection: u32, event: Event<'_>, _now: Nanos) {
        match event {
            Event::Subscribed => self.subscribed += 1,
            Event::Refused => self.refused += 1,
            _ => {}
        }
    }
}

/// Turns until `have` says `want`.
///
/// # Errors
/// [`BenchError::Stalled`] if `have` does not move for [`STALLED_AFTER`].
pub(crate) fn wait_for<T: Target, E: Ears>(
    generator: &mut Generator<'_, T>,
    ears: &mut E,
    want: u64,
    what: &'static str,
    have: impl Fn(&E) -> u64,
) -> Result<(), BenchError> {
    let mut newest = (have(ears), generator.clock().now());
    while have(ears) < want {
        generator.turn(Duration::from_millis(50), ears)?;
        let now = generator.clock().now();
        let had = have(ears);
        if had != newest.0 {
            newest = (had, now);
        }
        if Duration::from_nanos(now.since(newest.1)) > STALLED_AFTER {
            return Err(BenchError::Stalled {
                what,
                have: had,
                want,
                seconds: STALLED_AFTER.as_secs(),
            });
        }
    }
    Ok(())
}
