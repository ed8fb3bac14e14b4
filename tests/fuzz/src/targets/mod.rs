//! The targets, one file each.

mod checkpoint;
mod config;
mod frames;
mod probe;
mod segments;
mod session;
mod transcript;

pub(crate) use checkpoint::bodies_behind;

/// Something that reads bytes, and what it promises about any of them.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As on the command line, and the folder of its corpus.
    pub name: &'static str,
    /// Longest input that makes sense, in bytes.
    pub bytes_max: usize,
    /// Seeded mutations in a plain test run: as many as take a second or two unoptimised.
    pub mutations: usize,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "frames",
        bytes_max: 4_096,
        mutations: 20_000,
        run: frames::run,
    },
    Target {
        name: "transcript",
        bytes_max: 2_048,
        mutations: 400,
        run: transcript::run,
    },
    Target {
        name: "segments",
        bytes_max: 512,
        mutations: 600,
        run: segments::run,
    },
    Target {
        name: "session",
        bytes_max: 1_024,
        mutations: 3_000,
        run: session::run,
    },
    Target {
        name: "checkpoint",
        bytes_max: 2_048,
        mutations: 2_000,
        run: checkpoint::run,
    },
    Target {
        name: "config",
        bytes_max: 2_048,
        mutations: 1_000,
        run: config::run,
    },
];

/// Not one of the targets: it breaks its promise behind comparisons that only an engine with coverage gets through.
const PROBE: Target = Target {
    name: "probe",
    bytes_max: 64,
    mutations: 0,
    run: probe::run,
};

/// What the probe says when somebody got through.
pub const PROBE_FOUND: &str = probe::FOUND;

/// The target of that name, or the probe.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    let probe = (name == PROBE.name).then_some(&PROBE);
    probe.or_else(|| TARGETS.iter().find(|target| target.name == name))
}
