//! The broker of a run, over all its lives, behind the proxy.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::means::strace;
use crate::broker::BrokerProcess;
use crate::proxy::Proxy;

/// A broker that is asked to stop takes no longer than its drain time of 10 s and its last sync.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Exit code of a broker whose log failed (broker/server/src/exit.rs).
pub(crate) const EXIT_STORAGE: i32 = 74;

/// See the module.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) binary: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) proxy: Arc<Proxy>,
    broker: Option<BrokerProcess>,
    /// Starts after the first one.
    pub(crate) restarts: u64,
    has_started: bool,
}

impl Server {
    pub(crate) fn new(
        binary: PathBuf,
        directory: PathBuf,
        args: Vec<String>,
        proxy: Arc<Proxy>,
    ) -> Self {
        Self {
            binary,
            directory,
            args,
            proxy,
            broker: None,
            restarts: 0,
            has_started: false,
        }
    }

    /// Starts the broker; with an injection of strace, if one is given.
    pub(crate) fn start(&mut self, injection: Option<&str>) -> io::Result<()> {
        let front = injection.map(strace).unwrap_or_default();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let broker = BrokerProcess::start_under(
            &front,
            &self.binary,
            &self.directory,
            anywhere,
            &self.args,
        )?;
        self.proxy.set_upstream(broker.address());
        self.broker = Some(broker);
        self.restarts += u64::from(std::mem::replace(&mut self.has_started, true));
        Ok(())
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.broker
            .as_ref()
            .map(BrokerProcess::address)
            .ok_or_else(|| io::Error::other("no broker runs"))
    }

    fn running(&mut self) -> io::Result<&mut BrokerProcess> {
        self.broker
            .as_mut()
            .ok_or_else(|| io::Error::other("no broker runs"))
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        self.running()?.signal(signal)
    }

    /// How the broker ended, if it has; it is gone then.
    pub(crate) fn ends_within(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let status = self.running()?.ends_within(patience)?;
        if status.is_some() {
            self.broker = None;
        }
        Ok(status)
    }

    /// Whether it still runs; an end that nothing explains is an error.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        let broker = self.running()?;
        match broker.ended()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!(
                "the broker ended by itself, {status}\n{}",
                broker.log_end()
            ))),
        }
    }

    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.broker.take().map_or(Ok(()), BrokerProcess::kill)
    }

    /// SIGTERM; it is to end with code 0.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        let log = self.log_end();
        match self.ends_within(STOP_WITHIN)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(io::Error::other(format!("stopped, and {status}\n{log}"))),
            None => Err(io::Error::other(format!(
                "does not stop within {} s\n{}",
                STOP_WITHIN.as_secs(),
                self.log_end()
            ))),
        }
    }

    pub(crate) fn log_end(&self) -> String {
        let broker = self.broker.as_ref();
        broker.map_or_else(String::new, BrokerProcess::log_end)
    }
}
