//! Which CPU a thread or a process stays on, and how the kernel weighs the processes of a run.

use std::fs;
use std::io;
use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Number of a CPU, as the kernel counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cpu(pub usize);

/// The CPUs this process may use, ascending.
///
/// # Errors
/// The kernel does not tell.
pub fn allowed() -> io::Result<Vec<Cpu>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&cpu| set.is_set(cpu))
        .map(Cpu)
        .collect())
}

/// Keeps the calling thread on `cpu`; what it starts afterwards inherits that.
///
/// # Errors
/// There is no such CPU, or it is not ours.
pub fn pin(cpu: Cpu) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu.0);
    Ok(sched_setaffinity(None, &set)?)
}

/// Runs `start` on a short-lived thread that is kept on `cpu`, so that a process it starts is, too, from its first instruction.
///
/// # Errors
/// Those of `start`, or of pinning.
pub fn on<T: Send>(
    cpu: Option<Cpu>,
    start: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let Some(cpu) = cpu else { return start() };
    thread::scope(|scope| {
        let started = scope.spawn(move || {
            pin(cpu)?;
            start()
        });
        started
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the starting thread panicked")))
    })
}

/// Weighs the session of process `pid` like an important one, if that is permitted; see docs/benchmarks.md, "Noise".
///
/// Returns whether the kernel took it.
pub fn raise_autogroup(pid: u32) -> bool {
    fs::write(format!("/proc/{pid}/autogroup"), "-10").is_ok()
}

/// CPUs of the machine that are online.
#[must_use]
pub fn online() -> usize {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let is_one = |line: &&str| {
        let rest = line.strip_prefix("cpu");
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    stat.lines().filter(is_one).count()
}

/// Lets this process, and what it starts from now on, have as many descriptors as it may.
///
/// # Errors
/// The kernel refuses.
pub fn raise_descriptors() -> io::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        raised,
    )?)
}
