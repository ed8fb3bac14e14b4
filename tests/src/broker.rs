//! A broker in a process of its own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A broker opens even a large directory faster than this.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How often a wait for the end of a process looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Arguments of `serve` for tests: small segments, so that making them does not take longer than the test, and rolls happen.
pub const SMALL: [&str; 6] = [
    "--set",
    "data.segment_bytes=4MiB",
    "--set",
    "data.reserve_bytes=8MiB",
    "--set",
    "data.resume_bytes=16MiB",
];

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct BrokerProcess {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl BrokerProcess {
    /// Starts `antiphon serve` on `directory` and waits until it says that it is ready. `listen` may have port 0.
    ///
    /// `args` are further arguments of `serve`, such as [`SMALL`]. Its log goes to `broker.log` beside the directory.
    ///
    /// # Errors
    /// The process does not start, or ends or stays silent instead of becoming ready; the text carries the end of its log.
    pub fn start(
        binary: &Path,
        directory: &Path,
        listen: SocketAddr,
        args: &[impl AsRef<OsStr>],
    ) -> io::Result<Self> {
        Self::start_under(&[], binary, directory, listen, args)
    }

    /// As [`BrokerProcess::start`], with a program and its arguments in front that becomes the broker, as `strace -D` does:
    /// the process started must be the broker itself in the end, for it is the one that is signalled.
    ///
    /// # Errors
    /// As for `start`.
    pub fn start_under(
        front: &[OsString],
        binary: &Path,
        directory: &Path,
        listen: SocketAddr,
        args: &[impl AsRef<OsStr>],
    ) -> io::Result<Self> {
        let log = directory.with_file_name("broker.log");
        let stderr = File::options().create(true).append(true).open(&log)?;
        let mut words = front.iter().map(OsString::as_os_str);
        let mut command = match words.next() {
            Some(program) => {
                let mut command = Command::new(program);
                command.args(words).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        let mut child = command
            .args(["--json", "serve", "--data"])
            .arg(directory)
            .arg("--listen")
            .arg(listen.to_string())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()?;
        let stdout = child.stdout.take();
        // From here on the child is killed if anything goes wrong.
        let mut broker = Self {
            child,
            address: listen,
            log,
        };
        broker.address = match stdout.and_then(ready_address) {
            Some(address) => address,
            None => return Err(broker.never_ready()),
        };
        Ok(broker)
    }

    /// Where it listens: the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    ///
    /// # Errors
    /// Its number is none, which no system gives.
    pub fn pid(&self) -> io::Result<Pid> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| io::Error::other("no such process"))
    }

    /// Sends a signal; the process is not waited for.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// How it ended, if it does by then.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn ends_within(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// It had ended before, by itself.
    pub fn kill(mut self) -> io::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(io::Error::other(format!(
                "the broker had ended by itself, {status}\n{}",
                self.log_end()
            )));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// The process cannot be signalled or waited for.
    pub fn stop(mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.child.wait()
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let from = log.len().saturating_sub(4_000);
        String::from_utf8_lossy(&log[from..]).into_owned()
    }

    fn never_ready(&mut self) -> io::Error {
        drop(self.child.kill());
        let status = self.child.wait();
        io::Error::other(format!(
            "the broker did not become ready: {status:?}\n{}",
            self.log_end()
        ))
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits for `{"event":"ready","address":...}` on the broker's stdout, and lets the rest of it run dry on a thread.
fn ready_address(stdout: ChildStdout) -> Option<SocketAddr> {
    let (said, listening) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if event["event"] == "ready" {
                let address = event["address"]
                    .as_str()
                    .and_then(|address| address.parse().ok());
                // Nobody waits any more: the broker was ready before, or is given up.
                let _ = said.send(address);
            }
        }
    });
    listening.recv_timeout(READY_WITHIN).ok().flatten()
}
