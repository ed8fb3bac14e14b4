//! One run: the system is started, measured by a pinned thread, and stopped.

use std::thread;

use crate::affinity;
use crate::error::BenchError;
use crate::progress::{Phase, Progress};
use crate::result::Run;
use crate::server::Server;
use crate::stage::{Options, Stage};
use crate::stamp::STAMP_BYTES;
use crate::target::Target;
use crate::workload::{Findings, Workload};

/// Starts `target`, measures `workload` once, and stops it.
///
/// # Errors
/// The system does not start, a connection breaks, or the options are unlawful.
pub fn run<T: Target>(
    target: &T,
    workload: &Workload,
    options: &Options,
    pair: u32,
    progress: &Progress,
) -> Result<Run, BenchError> {
    let findings = on_a_stage(target, options, progress, |server| {
        let stage = stage(target, server, options, progress, "r0");
        workload.measure(&stage)
    })?;
    Ok(describe(target, workload, options, pair, findings))
}

/// Starts `target` and calls `measure` on the generator's thread, which is pinned.
pub(crate) fn on_a_stage<T: Target, R: Send>(
    target: &T,
    options: &Options,
    progress: &Progress,
    measure: impl FnOnce(&Server) -> Result<R, BenchError> + Send,
) -> Result<R, BenchError> {
    if options.body_bytes < STAMP_BYTES {
        let told = format!("a body has at least {STAMP_BYTES} bytes: its stamp");
        return Err(BenchError::Usage(told));
    }
    progress.enter(Phase::Starting);
    affinity::raise_descriptors()?;
    let server = target.start(&options.place())?;
    let generator_cpu = options.cpus.map(|(_, generator)| generator);
    thread::scope(|scope| {
        let measured = scope.spawn(|| {
            if let Some(cpu) = generator_cpu {
                affinity::pin(cpu)?;
            }
            measure(&server)
        });
        measured
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub(crate) fn stage<'a, T: Target>(
    target: &'a T,
    server: &'a Server,
    options: &'a Options,
    progress: &'a Progress,
    prefix: &str,
) -> Stage<'a, T> {
    Stage {
        target,
        server,
        options,
        progress,
        prefix: prefix.to_owned(),
    }
}

/// Findings with all that a reader needs to judge them.
pub(crate) fn describe<T: Target>(
    target: &T,
    workload: &Workload,
    options: &Options,
    pair: u32,
    findings: Findings,
) -> Run {
    let mut configuration = workload.configuration();
    configuration.insert("body_bytes".to_owned(), options.body_bytes.to_string());
    let pinned = if options.cpus.is_some() { "yes" } else { "no" };
    configuration.insert("pinned".to_owned(), pinned.to_owned());
    Run {
        workload: workload.name().to_owned(),
        target: target.name(),
        pair,
        configuration,
        settings: target.settings(),
        durability: target.durability(),
        seconds: findings.used.seconds,
        metrics: findings.metrics,
        latency: findings.latency,
        series: findings.series,
        verdict: findings.verdict,
        memory: findings.used.memory,
        generator: findings.used.generator,
        notes: findings.notes,
    }
}
