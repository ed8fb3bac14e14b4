//! Does the faults, one after the other, and ends each.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fault::Fault;
use super::journal::Journal;
use super::server::{EXIT_STORAGE, Server};
use crate::history::{self, What};
use crate::proxy::{End, Manner, Scope, Way};
use crate::sim::random::Random;

/// How often a fault that lasts looks whether the broker is still alive.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a broker that is to end by an injected fault may take; if it had too little to do it is killed.
const INJECTED_WITHIN: Duration = Duration::from_secs(4);

/// Name of the file that fills a file system, beside the broker's own.
const FILLING: &str = "filling";

/// See the module.
#[derive(Debug)]
pub(crate) struct Nemesis {
    pub(crate) server: Server,
    pub(crate) journal: Arc<Journal>,
    pub(crate) dice: Random,
    /// One for each client.
    pub(crate) crashes: Vec<Arc<AtomicBool>>,
    /// How often each was done.
    pub(crate) done: BTreeMap<Fault, u64>,
    /// Faults that made the broker end, as they should.
    pub(crate) ends: u64,
    pub(crate) last_id: u64,
}

impl Nemesis {
    /// Faults from the list until the time is over.
    pub(crate) fn work(&mut self, faults: &[Fault], time: Duration) -> io::Result<()> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            let pause = self.millis(50, 600);
            self.hold(pause)?;
            if faults.is_empty() {
                continue;
            }
            let fault = Fault::draw(faults, &mut self.dice);
            self.strike(fault)?;
        }
        Ok(())
    }

    /// One fault, from its beginning to its end.
    pub(crate) fn strike(&mut self, fault: Fault) -> io::Result<()> {
        self.last_id += 1;
        let told = history::Fault {
            id: self.last_id,
            name: fault.name().to_owned(),
        };
        self.journal.world(What::FaultStart(told.clone()));
        *self.done.entry(fault).or_insert(0) += 1;
        let done = self.act(fault);
        self.journal.world(What::FaultStop(told));
        done.map_err(|error| io::Error::other(format!("fault {fault}: {error}")))
    }

    fn act(&mut self, fault: Fault) -> io::Result<()> {
        match fault {
            Fault::Reset => self.cut(End::Reset),
            Fault::Finish => self.cut(End::Finish),
            Fault::CutInFrame => {
                let way = self.way();
                self.cut(End::InFrame(way));
            }
            Fault::Delay => {
                let most = self.millis(2, 60);
                let least = Duration::from_millis(1);
                self.pass(Manner::Delay { least, most })?;
            }
            Fault::Throttle => {
                let bytes_a_second = self.dice.between(2_000, 60_000) as u32;
                self.pass(Manner::Throttle { bytes_a_second })?;
            }
            Fault::Dribble => {
                let pause = Duration::from_micros(self.dice.between(50, 1_000));
                self.pass(Manner::Dribble { pause })?;
            }
            Fault::HalfOpen => self.pass(Manner::Swallow)?,
            Fault::ZeroWindow => self.pass(Manner::Hold)?,
            Fault::Refuse => {
                self.server.proxy.refuse(true);
                self.server.proxy.cut(Scope::All, End::Reset);
                let time = self.millis(200, 1_000);
                self.hold(time)?;
                self.server.proxy.heal();
            }
            Fault::ClientCrash => {
                let place = self.dice.place(self.crashes.len());
                self.crashes[place].store(true, Ordering::Relaxed);
            }
            Fault::Kill => {
                self.server.kill()?;
                self.down();
                self.server.start(None)?;
            }
            Fault::Pause => {
                let time = self.millis(200, 4_500);
                self.server.signal(Signal::STOP)?;
                thread::park_timeout(time);
                self.server.signal(Signal::CONT)?;
            }
            Fault::Restart => {
                self.server.stop()?;
                self.server.start(None)?;
            }
            Fault::SlowSync => {
                let micros = self.dice.between(5_000, 80_000);
                self.server.kill()?;
                let injection = format!("fdatasync:delay_enter={micros}");
                self.server.start(Some(&injection))?;
                let time = self.millis(500, 2_000);
                self.hold(time)?;
                self.server.kill()?;
                self.server.start(None)?;
            }
            Fault::SyncError => {
                let when = self.dice.between(1, 80);
                self.inject(&format!("fdatasync:error=EIO:when={when}"))?;
            }
            Fault::WriteKill => {
                let when = self.dice.between(1, 120);
                self.inject(&format!("pwrite64:signal=KILL:when={when}"))?;
            }
            Fault::DiskFull => self.fill_disk()?,
        }
        Ok(())
    }

    fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.dice.between(least, most))
    }

    fn way(&mut self) -> Way {
        self.dice.pick(&[Way::Up, Way::Down, Way::Both])
    }

    fn scope(&mut self) -> Scope {
        self.dice
            .pick(&[Scope::All, Scope::Percent(50), Scope::Percent(25)])
    }

    fn cut(&mut self, end: End) {
        let scope = self.scope();
        self.server.proxy.cut(scope, end);
    }

    fn pass(&mut self, manner: Manner) -> io::Result<()> {
        let (scope, way) = (self.scope(), self.way());
        self.server.proxy.pass(scope, way, manner);
        let time = self.millis(200, 2_000);
        self.hold(time)?;
        self.server.proxy.heal();
        Ok(())
    }

    /// Lets time pass while the broker is to live.
    pub(crate) fn hold(&mut self, time: Duration) -> io::Result<()> {
        let deadline = Instant::now() + time;
        loop {
            self.server.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::park_timeout(left.min(LOOK_EVERY));
        }
    }

    /// No broker for a moment, or for none.
    fn down(&mut self) {
        let time = self.dice.pick(&[0, 0, 100, 500]);
        thread::park_timeout(Duration::from_millis(time));
    }

    /// A life of the broker that ends by what is injected into its calls, and then one without.
    fn inject(&mut self, injection: &str) -> io::Result<()> {
        self.server.kill()?;
        if let Err(error) = self.server.start(Some(injection)) {
            // Hit while it opened its log.
            if !error.to_string().contains("did not become ready") {
                return Err(error);
            }
            self.ends += 1;
            return self.server.start(None);
        }
        match self.server.ends_within(INJECTED_WITHIN)? {
            Some(status) => {
                let is_right = status.code() == Some(EXIT_STORAGE) || status.signal() == Some(9);
                if !is_right {
                    return Err(io::Error::other(format!("{injection}: {status}")));
                }
                self.ends += 1;
            }
            None => self.server.kill()?,
        }
        self.server.start(None)
    }

    /// Nothing can be written for a while. A broker that needs space may end, with its code for that; it comes back when there
    /// is space.
    fn fill_disk(&mut self) -> io::Result<()> {
        let filling = self.server.directory.join(FILLING);
        fill(&filling)?;
        let time = self.millis(500, 2_500);
        let ended = self.server.ends_within(time)?;
        fs::remove_file(&filling)?;
        match ended {
            None => Ok(()),
            Some(status) if status.code() == Some(EXIT_STORAGE) => {
                self.ends += 1;
                self.server.start(None)
            }
            Some(status) => Err(io::Error::other(format!("on a full disk: {status}"))),
        }
    }
}

/// Writes a file until nothing goes any more.
pub(crate) fn fill(path: &PathBuf) -> io::Result<()> {
    let mut file = File::create(path)?;
    for bytes in [1 << 20, 4_096, 1] {
        let block = vec![0; bytes];
        while file.write_all(&block).is_ok() {}
    }
    Ok(())
}
