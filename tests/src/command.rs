//! The `antiphon` command, run to its end.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

/// How to call the command: which binary, which broker.
#[derive(Clone, Debug)]
pub struct Antiphon {
    binary: PathBuf,
    broker: SocketAddr,
}

/// What a call came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ran {
    /// The exit code; `None`: ended by a signal.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Antiphon {
    /// Calls of `binary` talk to `broker`.
    pub fn new(binary: impl Into<PathBuf>, broker: SocketAddr) -> Self {
        Self {
            binary: binary.into(),
            broker,
        }
    }

    /// The call, not yet started; without the caller's `ANTIPHON_*` variables.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.binary);
        let ours = std::env::vars_os()
            .map(|(name, _)| name)
            .filter(|name| name.to_string_lossy().starts_with("ANTIPHON_"));
        for name in ours {
            command.env_remove(name);
        }
        command
            .env("ANTIPHON_ADDR", self.broker.to_string())
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<Ran> {
        self.command(args).output().map(Ran::from)
    }

    /// Runs it to its end with this on its stdin.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run_with(
        &self,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        stdin: &[u8],
    ) -> io::Result<Ran> {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (pipe, bytes) = (child.stdin.take(), stdin.to_vec());
        // A command may answer before it has read all: writing and reading go side by side.
        let writer = thread::spawn(move || pipe.map_or(Ok(()), |mut pipe| pipe.write_all(&bytes)));
        let output = child.wait_with_output()?;
        // The command may have ended without reading all; its exit code tells.
        drop(writer.join());
        Ok(output.into())
    }

    /// Starts it with its stdout and stderr piped.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<Child> {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
