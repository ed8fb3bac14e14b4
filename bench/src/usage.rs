//! What processes used, as the kernel tells in /proc.

use std::fs;

use serde::{Deserialize, Serialize};

/// CPU time and memory of some processes at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time of all their threads, in ns.
    pub cpu_ns: u64,
    /// Memory of theirs.
    pub memory: Memory,
}

/// Memory, in bytes, from smaps_rollup.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Memory {
    /// Resident, shared files included.
    pub rss: u64,
    /// Resident and private to the process: heap, stacks.
    pub anonymous: u64,
}

/// What these processes have used so far. One that is gone counts nothing.
#[must_use]
pub fn usage(pids: &[u32]) -> Usage {
    Usage {
        cpu_ns: pids.iter().copied().map(cpu_ns).sum(),
        memory: memory(pids),
    }
}

/// CPU time of all threads of `pid`, in ns: `schedstat` is exact, `stat` counts ticks and covers threads that have ended.
#[must_use]
pub fn cpu_ns(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let exact = tasks
        .filter_map(|task| schedstat(&fs::read_to_string(task.path().join("schedstat")).ok()?))
        .sum::<u64>();
    let ticks = fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat_ticks(&stat))
        .unwrap_or_default();
    // The larger one: threads that ended are in the ticks only.
    exact.max(
        ticks
            .saturating_mul(NANOS_PER_TICK)
            .saturating_sub(2 * NANOS_PER_TICK),
    )
}

/// CPU time of the calling thread, in ns.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| schedstat(&text))
        .unwrap_or_default()
}

/// The kernel tells ticks of 10 ms to user space, whatever its own are.
const NANOS_PER_TICK: u64 = 10_000_000;

fn schedstat(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// utime + stime: fields 14 and 15. The name in parentheses may hold anything, so count from its end.
fn stat_ticks(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Memory of these processes.
#[must_use]
pub fn memory(pids: &[u32]) -> Memory {
    let mut sum = Memory::default();
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        sum.rss += kilobytes(&text, "Rss:") * 1_024;
        sum.anonymous += kilobytes(&text, "Anonymous:") * 1_024;
    }
    sum
}

fn kilobytes(text: &str, key: &str) -> u64 {
    text.lines()
        .find_map(|line| {
            let value = line.strip_prefix(key)?;
            value.trim().strip_suffix("kB")?.trim().parse().ok()
        })
        .unwrap_or_default()
}

/// CPU time that the hypervisor gave to others, of all CPUs, in ns since the start of the machine.
#[must_use]
pub fn stolen_ns() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let steal = stat
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(8)?.parse::<u64>().ok());
    steal.unwrap_or_default().saturating_mul(NANOS_PER_TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 12 34 0 0 20 0 1 0 5 6 7";
        assert_eq!(stat_ticks(stat), Some(46));
    }

    #[test]
    fn the_rollup_is_read_by_its_keys() {
        let text = "00400000-7ffd [rollup]\nRss:    1234 kB\nPss: 9 kB\nAnonymous:   56 kB\n";
        assert_eq!(
            (kilobytes(text, "Rss:"), kilobytes(text, "Anonymous:")),
            (1234, 56)
        );
    }

    #[test]
    fn this_process_has_used_something() {
        let used = usage(&[std::process::id()]);
        assert!(used.cpu_ns > 0 && used.memory.anonymous > 0, "{used:?}");
        assert!(thread_cpu_ns() > 0);
    }
}
