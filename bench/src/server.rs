//! Processes of a system under test: started pinned, in a session of their own, and gone when dropped, or when we are gone.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::affinity::{self, Cpu};
use crate::error::StartError;
use crate::limits::READY_WITHIN;
use crate::port::Ports;

/// Where a system runs: which CPU, which folder.
#[derive(Clone, Debug)]
pub struct Place {
    /// The CPU that all threads of the system stay on; `None`: any.
    pub cpu: Option<Cpu>,
    /// Under which private directories are made. On a disk, not in memory, if anything is to be durable.
    pub parent: PathBuf,
}

/// A running system: its processes, its private directory, its addresses. All of it goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it takes clients; one, or one a node.
    pub addresses: Vec<SocketAddr>,
    /// Dropped, and so killed, before the directory.
    pub processes: Vec<Process>,
    /// Of its addresses; nobody else gets them before it is gone.
    pub ports: Ports,
    /// What it keeps; removed at the end.
    pub directory: TempDir,
}

impl Server {
    /// The processes by number, for /proc.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::pid).collect()
    }
}

/// One process, killed by its number when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// `None` only while the process is being started.
    guard: Option<Guard>,
    program: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` at its place, with stdout and stderr in `NAME.log` inside `directory`.
    ///
    /// It leads a session of its own if `setsid` is installed, so that the kernel schedules it as a group apart from ours.
    ///
    /// # Errors
    /// [`StartError::Missing`] with `advice` if there is no such program.
    pub fn spawn(
        command: &Command,
        name: &str,
        advice: &str,
        directory: &Path,
        place: &Place,
    ) -> Result<Self, StartError> {
        let log = directory.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let mut command = in_a_session(command);
        command.stdout(out.try_clone()?).stderr(out);
        Self::launch(command, log, advice, place).map(|(process, _)| process)
    }

    /// As [`Process::spawn`], but reads stdout until `ready` makes something of a line.
    ///
    /// # Errors
    /// Also [`StartError::NotReady`].
    pub fn spawn_until<T: Send + 'static>(
        command: &Command,
        name: &str,
        advice: &str,
        directory: &Path,
        place: &Place,
        ready: impl Fn(&str) -> Option<T> + Send + 'static,
    ) -> Result<(Self, T), StartError> {
        let log = directory.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let mut command = in_a_session(command);
        command.stdout(Stdio::piped()).stderr(out);
        let (process, stdout) = Self::launch(command, log, advice, place)?;
        let (said, told) = mpsc::channel();
        thread::spawn(move || {
            // The rest of it runs dry here.
            for line in BufReader::new(stdout?).lines().map_while(Result::ok) {
                if let Some(value) = ready(&line) {
                    // Nobody waits any more: the process was given up.
                    let _ = said.send(value);
                }
            }
            Some(())
        });
        match told.recv_timeout(READY_WITHIN) {
            Ok(value) => Ok((process, value)),
            Err(error) => Err(process.not_ready(&error.to_string())),
        }
    }

    fn launch(
        mut command: Command,
        log: PathBuf,
        advice: &str,
        place: &Place,
    ) -> Result<(Self, Option<std::process::ChildStdout>), StartError> {
        let program = program_of(&command);
        command.stdin(Stdio::null());
        let spawned = affinity::on(place.cpu, move || command.spawn());
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StartError::Missing {
                    program,
                    advice: advice.to_owned(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let stdout = child.stdout.take();
        let mut process = Process {
            child,
            guard: None,
            program,
            log,
        };
        process.guard = Some(Guard::over(process.pid())?);
        affinity::raise_autogroup(process.pid());
        Ok((process, stdout))
    }

    /// Waits until somebody takes connections at `address`.
    ///
    /// # Errors
    /// [`StartError::NotReady`]: nobody in time, or the process has ended.
    pub fn wait_listening(&mut self, address: SocketAddr) -> Result<(), StartError> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > until => {
                    return Err(self.not_ready(&error.to_string()));
                }
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.not_ready(&format!("ended with {status}")));
            }
            // Not a synchronisation: how often to look. `park_timeout` because nobody wakes us.
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The error of a system that is not there, with the end of its log.
    #[must_use]
    pub fn not_ready(&self, reason: &str) -> StartError {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log[log.len().saturating_sub(2_000)..]).into_owned();
        StartError::NotReady {
            program: self.program.clone(),
            reason: reason.to_owned(),
            log,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Kills a process if we end without having done so: by a second Ctrl-C, a SIGKILL, an abort. In its session of its own nothing else
/// would reach it.
///
/// A shell that waits for a line from us: if its input ends without one, nobody is left who could kill.
#[derive(Debug)]
struct Guard {
    shell: Child,
}

impl Guard {
    fn over(pid: u32) -> io::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", "read -r line || kill -9 \"$0\""])
            .arg(pid.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The Ctrl-C of a terminal is for us alone.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The process is gone, and its number may soon be another's.
        if let Some(mut input) = self.shell.stdin.take() {
            drop(input.write_all(b"\n"));
        }
        drop(self.shell.wait());
    }
}

/// The program as the caller named it: `setsid` is ours.
fn program_of(command: &Command) -> String {
    let named = if command.get_program() == "setsid" {
        command.get_args().next()
    } else {
        Some(command.get_program())
    };
    named.unwrap_or_default().to_string_lossy().into_owned()
}

/// The same command behind `setsid`, which becomes it and keeps the process number.
fn in_a_session(command: &Command) -> Command {
    let program = command.get_program();
    // A missing program must be our error, not that of setsid.
    let wrap = find("setsid").is_some() && find(program).is_some();
    let mut wrapped = Command::new(if wrap { OsStr::new("setsid") } else { program });
    if wrap {
        wrapped.arg(program);
    }
    wrapped.args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(key, value),
            None => wrapped.env_remove(key),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        wrapped.current_dir(directory);
    }
    wrapped
}

/// Where `program` is: itself if it is a path, else the first on PATH.
#[must_use]
pub fn find(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let program = Path::new(program.as_ref());
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn sleeper(directory: &Path) -> Result<Process, StartError> {
        let mut sleep = Command::new("sleep");
        sleep.arg("60");
        let place = Place {
            cpu: None,
            parent: directory.to_owned(),
        };
        Process::spawn(&sleep, "sleep", "it is in coreutils", directory, &place)
    }

    #[test]
    fn a_process_is_killed_once_nobody_is_left_who_would_end_it() -> Result<(), StartError> {
        let directory = tempfile::tempdir()?;
        let mut process = sleeper(directory.path())?;
        let mut guard = process.guard.take().expect("it has been started");
        // What the kernel does with our end of the pipe when we are gone.
        drop(guard.shell.stdin.take());
        assert_eq!(process.child.wait()?.signal(), Some(9));
        Ok(())
    }

    #[test]
    fn a_guard_that_is_told_that_all_is_well_kills_nobody() -> Result<(), StartError> {
        let directory = tempfile::tempdir()?;
        let mut process = sleeper(directory.path())?;
        drop(process.guard.take());
        assert_eq!(process.child.try_wait()?, None);
        Ok(())
    }
}
