//! One boot of the guest: a group of processes, and the lines of its console.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::guest::{self, Told};
use super::needs::{self, KERNEL};

/// Memory of the guest; the archive is in it twice while it boots.
const MEMORY: &str = "mem=320M";

/// Whatever the guest does next, it tells of it within this.
const TELLS_WITHIN: Duration = Duration::from_secs(120);

/// What a boot is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders {
    /// Its number on this disk, from 1.
    pub(super) boot: u64,
    /// Publishes per room.
    pub(super) publishes_max: u64,
    /// From this sync on they are only claimed.
    pub(super) lies_from: Option<u64>,
    /// So long after publishing began the disk fails.
    pub(super) fails_after: Option<Duration>,
}

/// A guest that runs.
#[derive(Debug)]
pub(super) struct Machine {
    child: Child,
    lines: Receiver<String>,
}

impl Machine {
    /// Boots it from the archive `initrd`, with `disk`; what it keeps beside goes to `home`.
    pub(super) fn boot(
        home: &Path,
        initrd: &Path,
        disk: &Path,
        orders: Orders,
    ) -> io::Result<Self> {
        let kernel = needs::find(KERNEL).ok_or_else(|| io::Error::other(KERNEL))?;
        let mut command = Command::new(kernel);
        command
            .arg(MEMORY)
            .arg(format!("initrd={}", initrd.display()))
            .arg(format!("ubda={}", disk.display()))
            .arg(format!("uml_dir={}/", home.display()))
            .args(["con0=null,fd:1", "con=null", "ssl=null"])
            .args(["rdinit=/init", "quiet", "loglevel=1"])
            .arg(format!("AT_BOOT={}", orders.boot))
            .arg(format!("AT_ROOMS={}", guest::ROOMS))
            .arg(format!("AT_MOST={}", orders.publishes_max));
        if let Some(sync) = orders.lies_from {
            command.arg(format!("AT_LIE={sync}"));
        }
        if let Some(after) = orders.fails_after {
            command.arg(format!("AT_ERRORS={}", after.as_micros()));
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let (tell, lines) = mpsc::channel();
        if let Some(console) = child.stdout.take() {
            thread::spawn(move || listen(console, |line| tell.send(line).is_ok()));
        }
        Ok(Self { child, lines })
    }

    /// What it tells next; `None`: it has ended.
    pub(super) fn next(&mut self) -> io::Result<Option<Told>> {
        match self.lines.recv_timeout(TELLS_WITHIN) {
            Ok(line) => Ok(Some(guest::understand(&line))),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(io::Error::other(format!(
                "the guest said nothing for {} s",
                TELLS_WITHIN.as_secs()
            ))),
        }
    }

    /// What it tells until that time, if anything.
    pub(super) fn next_until(&mut self, deadline: Instant) -> Option<Told> {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = self.lines.recv_timeout(left).ok()?;
        Some(guest::understand(&line))
    }

    /// The power goes: kernel and all. Gives what it had told by then.
    pub(super) fn cut(mut self) -> io::Result<Vec<Told>> {
        self.kill();
        self.child.wait()?;
        // The console ends with the last process that holds it.
        Ok(self
            .lines
            .iter()
            .map(|line| guest::understand(&line))
            .collect())
    }

    fn kill(&self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // Gone already: nothing to kill.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
        drop(self.child.wait());
    }
}

fn listen(console: ChildStdout, mut tell: impl FnMut(String) -> bool) {
    let mut console = BufReader::new(console);
    let mut line = Vec::new();
    // A line without its end was cut off: what it says is not told.
    while matches!(console.read_until(b'\n', &mut line), Ok(count) if count > 0) {
        if line.ends_with(b"\n") && !tell(String::from_utf8_lossy(&line).into_owned()) {
            return;
        }
        line.clear();
    }
}
