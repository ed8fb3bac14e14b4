//! Where a run took place.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine, as far as a reader of a result needs it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Machine {
    /// Model of the CPU.
    pub cpu: String,
    /// CPUs that the harness may use.
    pub cpus: usize,
    /// Memory, in bytes.
    pub memory: u64,
    /// Kernel release.
    pub kernel: String,
    /// File system of the data directories.
    pub file_system: String,
    /// Whether CPU time may be stolen by a hypervisor.
    pub is_virtual: bool,
}

impl Machine {
    /// This machine, with data directories under `parent`.
    #[must_use]
    pub fn this(parent: &Path) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |key: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let flags = field("flags").unwrap_or_default();
        Self {
            cpu: field("model name").unwrap_or_default(),
            cpus: crate::affinity::allowed().map_or(0, |cpus| cpus.len()),
            memory: memory_bytes().unwrap_or_default(),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            file_system: file_system(parent).unwrap_or_default(),
            is_virtual: flags.split_whitespace().any(|flag| flag == "hypervisor"),
        }
    }
}

/// Commit of the sources around the working directory, with `+` if they were changed since; empty outside of a checkout.
#[must_use]
pub fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return String::new();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let plus = if changed.is_none_or(|text| text.is_empty()) {
        ""
    } else {
        "+"
    };
    format!("{commit}{plus}")
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1_024)
}

/// The type of the mount with the longest path above `folder`.
fn file_system(folder: &Path) -> Option<String> {
    let folder = fs::canonicalize(folder).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(at, _)| folder.starts_with(at))
        // The later of two mounts on one place hides the earlier.
        .max_by_key(|(at, _)| at.len())?;
    Some(mount.1.to_owned())
}
