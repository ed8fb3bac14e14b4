//! A running broker: its threads, and how they end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use antiphon_disk::{DataDirectory, FileDisk};
use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::admin::AdminHandle;
use crate::config::Config;
use crate::error::{RunError, StartError};
use crate::log_thread::LogJob;
use crate::peers::PeersHandle;
use crate::phase::{Phase, PhaseCell};
use crate::readers::Readers;
use crate::signals::{Asked, SignalWatch};
use crate::start;
use crate::wake::Sleeper;

/// What a thread tells the node.
#[derive(Debug)]
pub(crate) enum Report {
    /// A core has no connection and nothing under way any more.
    Drained,
    /// The log thread has ended without an END mark.
    LogFailed {
        /// Why.
        told: String,
    },
}

/// A running broker.
///
/// Dropped without [`Node::stop`], it ends without waiting for its clients; the log is closed properly even so.
/// [`Node::kill`] ends it as a process dies.
///
/// ```
/// use antiphon_server::{Config, Node};
///
/// let directory = tempfile::tempdir()?;
/// let mut config = Config::default();
/// config.listen.address = "127.0.0.1:0".parse()?;
/// config.data.directory = directory.path().to_path_buf();
/// let node = Node::start(config)?;
/// println!("clients connect to {}", node.address());
/// node.stop()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) drain: Duration,
    pub(crate) phase: Arc<PhaseCell>,
    pub(crate) acceptor: AcceptorHandle,
    pub(crate) cores: Vec<CoreHandle>,
    pub(crate) readers: Option<Readers>,
    pub(crate) peers: Option<PeersHandle>,
    pub(crate) admin: Option<AdminHandle>,
    pub(crate) log: LogHandle,
    pub(crate) reports: Receiver<Report>,
    /// Unlocked last of all.
    pub(crate) directory: DataDirectory,
}

/// The acceptor thread.
#[derive(Debug)]
pub(crate) struct AcceptorHandle {
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) sleeper: Arc<Sleeper>,
    pub(crate) thread: Option<JoinHandle<()>>,
}

/// A core thread.
#[derive(Debug)]
pub(crate) struct CoreHandle {
    pub(crate) sleeper: Arc<Sleeper>,
    pub(crate) thread: Option<JoinHandle<()>>,
}

/// The log thread.
pub(crate) struct LogHandle {
    pub(crate) jobs: Sender<LogJob<FileDisk>>,
    pub(crate) thread: Option<JoinHandle<()>>,
}

impl Node {
    /// Opens the data directory, recovers, starts all threads and listens.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running or locked.
    pub fn start(config: Config) -> Result<Self, StartError> {
        start::start(&config)
    }

    /// Where clients connect: with port 0 configured, the port that was free.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin port is, if there is one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// Stops gracefully: GOAWAY to all, last answers out, everything synced, END mark.
    ///
    /// # Errors
    /// [`RunError::Storage`] if the log failed before or during the stop: then there is no END mark.
    pub fn stop(mut self) -> Result<(), RunError> {
        let drain = self.drain;
        self.end(drain)
    }

    /// Ends as if the process had been killed: nobody is told, nothing more is written, there is no END mark. For tests.
    ///
    /// What was acked is on the disk; what was under way is lost or kept, as with a process that dies. The page cache
    /// survives, so this does not stand for a power failure.
    pub fn kill(mut self) {
        // The log first: whatever the cores still do in their last turn, nothing of it is kept or acked.
        let _ = self.log.jobs.send(LogJob::Abandon);
        join(&mut self.log.thread);
        self.raise(Phase::Killed);
        // The rest is what a dropped node does: there is no log any more that could be closed.
    }

    /// Ends everything, from the clients inwards. Done twice, the second time finds nothing to do.
    ///
    /// 1. The acceptor: nobody new comes.
    /// 2. Cores drain: answers and GOAWAYs go out. They all go on turning until the last one is done, since any of them may
    ///    be the home of a room that another one's client waits for.
    /// 3. Cores, then readers.
    /// 4. The log, which by now has everything: flush, END mark.
    fn end(&mut self, drain: Duration) -> Result<(), RunError> {
        if let Some(admin) = self.admin.take() {
            admin.end();
        }
        self.acceptor.stop.store(true, Ordering::Release);
        self.acceptor.sleeper.wake();
        join(&mut self.acceptor.thread);
        let mut failed = self.drain_cores(drain);
        self.raise(Phase::Stopping);
        for core in &mut self.cores {
            join(&mut core.thread);
        }
        // Followers hear of the last commits as long as there are cores.
        if let Some(peers) = self.peers.take() {
            peers.end();
        }
        if let Some(readers) = self.readers.take() {
            readers.join();
        }
        // The log thread has ended already if it failed.
        let _ = self.log.jobs.send(LogJob::Close);
        join(&mut self.log.thread);
        failed = failed.or_else(|| self.reports.try_iter().find_map(failure_of));
        match failed {
            None => Ok(()),
            Some(told) => Err(RunError::Storage { told }),
        }
    }

    /// Waits until all cores have drained, the time is over or the log has failed; in the last case tells why.
    fn drain_cores(&mut self, drain: Duration) -> Option<String> {
        if drain.is_zero() || self.phase.now() != Phase::Running {
            return None;
        }
        self.raise(Phase::Draining);
        let deadline = Instant::now() + drain;
        let mut waiting_for = self.cores.len();
        while waiting_for > 0 {
            match self.reports.recv_deadline(deadline) {
                Ok(Report::Drained) => waiting_for -= 1,
                Ok(report) => return failure_of(report),
                Err(_) => {
                    tracing::warn!(cores = waiting_for, "drain_incomplete");
                    return None;
                }
            }
        }
        None
    }

    fn raise(&self, phase: Phase) {
        self.phase.raise(phase);
        for core in &self.cores {
            core.sleeper.wake();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.end(Duration::ZERO) {
            tracing::error!(%error, "node_ended");
        }
        tracing::debug!(directory = %self.directory.path().display(), "directory_released");
    }
}

/// Runs a broker until SIGTERM or SIGINT ends it gracefully; a second one ends the process at once.
///
/// # Errors
/// Why it did not start, or why it ended otherwise. [`RunError::exit_code`] is the process's exit code.
pub fn run(config: Config) -> Result<(), RunError> {
    run_with(config, |_| ())
}

/// As [`run`], and calls `ready` with the address once clients can connect there.
///
/// # Errors
/// As [`run`].
pub fn run_with(config: Config, ready: impl FnOnce(SocketAddr)) -> Result<(), RunError> {
    let (asked, signals) = bounded::<Asked>(1);
    // Before the node: a signal while the log is recovered is not lost.
    let _watch = SignalWatch::start(asked).map_err(|source| StartError::System {
        what: "a signal handler",
        source,
    })?;
    let mut node = Node::start(config)?;
    ready(node.address());
    select! {
        recv(signals) -> asked => {
            let signal = asked.map(|asked| asked.signal).unwrap_or_default();
            tracing::info!(signal, "stopping");
            let stopped = node.stop();
            tracing::info!("stopped");
            stopped
        }
        recv(node.reports) -> report => {
            let ended = node.end(Duration::ZERO);
            match report.ok().and_then(failure_of) {
                Some(told) => Err(RunError::Storage { told }),
                None => ended,
            }
        }
    }
}

fn failure_of(report: Report) -> Option<String> {
    match report {
        Report::LogFailed { told } => Some(told),
        Report::Drained => None,
    }
}

fn join(thread: &mut Option<JoinHandle<()>>) {
    if let Some(thread) = thread.take() {
        // A panic there has ended the process already.
        let _ = thread.join();
    }
}
