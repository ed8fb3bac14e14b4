//! A run: a broker, its clients, faults from a seed, and the verdict of the checkers.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, BufWriter};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_disk::{DataDirectory, NewDirectory};
use antiphon_log::LogSettings;
use antiphon_protocol::NodeId;
use tempfile::TempDir;

use super::crowd::{Crowd, PROGRESS, direct, rooms};
use super::fault::Fault;
use super::historian::final_read;
use super::journal::Journal;
use super::means::{Means, Mounted};
use super::nemesis::Nemesis;
use super::seat::{NODE, room_name};
use super::server::Server;
use crate::audit;
use crate::broker::SMALL;
use crate::checkers::{Invariant, Report, check_all};
use crate::history::{self, Head, History, Seq, What};
use crate::proxy::Proxy;
use crate::sim::random::Random;

/// Work without faults before the clients finish: what was hit must get going again by itself.
const CALM: Duration = Duration::from_millis(1_500);

/// The file system of a run with a full disk.
const DISK_SIZE: &str = "160m";

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `antiphon` binary.
    pub binary: PathBuf,
    /// All chances come from it; times are those of the machine, so that two runs of a seed differ in detail.
    pub seed: u64,
    /// Of work under faults.
    pub time: Duration,
    /// Faults to choose from. Those whose means are missing must have been taken out.
    pub faults: Vec<Fault>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// For the last line.
    pub figure: Figure,
    /// What the checkers say.
    pub report: Report,
    /// Everything that happened.
    pub history: History,
}

/// The numbers of a run, or of several.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// Wall time of everything.
    pub seconds: f64,
    /// Publishes asked for, repetitions included.
    pub publishes: u64,
    /// Acks.
    pub acked: u64,
    /// How often each fault was done.
    pub faults: BTreeMap<Fault, u64>,
    /// Ends of the broker that an injected fault caused, as it should.
    pub ends: u64,
    /// Starts of the broker after its first one.
    pub restarts: u64,
    /// Connections through the proxy.
    pub connections: u64,
    /// Violations found.
    pub anomalies: u64,
}

impl Figure {
    /// Adds up.
    pub fn add(&mut self, other: &Figure) {
        self.seconds += other.seconds;
        self.publishes += other.publishes;
        self.acked += other.acked;
        self.ends += other.ends;
        self.restarts += other.restarts;
        self.connections += other.connections;
        self.anomalies += other.anomalies;
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_insert(0) += count;
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} s, {} publishes, {} acked, {} connections, faults:",
            self.seconds, self.publishes, self.acked, self.connections
        )?;
        for (fault, count) in &self.faults {
            write!(f, " {fault} {count}")?;
        }
        write!(
            f,
            "; {} restarts, {} ends as injected, {} anomalies",
            self.restarts, self.ends, self.anomalies
        )
    }
}

/// Runs it in a folder of its own.
///
/// # Errors
/// A process does what it should not: the text says what, with the end of the broker's log. A broken promise is no error, but
/// in the report.
pub fn run(plan: &Plan) -> io::Result<Outcome> {
    let began = Instant::now();
    let home = tempfile::tempdir()?;
    match live(plan, &home) {
        Ok(mut outcome) => {
            outcome.figure.seconds = began.elapsed().as_secs_f64();
            Ok(outcome)
        }
        Err(error) => {
            let kept = home.keep();
            Err(io::Error::other(format!(
                "SEED={}: {error}\nkept: {}",
                plan.seed,
                kept.display()
            )))
        }
    }
}

fn live(plan: &Plan, home: &TempDir) -> io::Result<Outcome> {
    let data = home.path().join("data");
    let needs_mount = plan
        .faults
        .iter()
        .any(|fault| fault.needs() == Some(Means::Mount));
    let _mounted = if needs_mount {
        fs::create_dir(&data)?;
        Some(Mounted::tmpfs(&data, DISK_SIZE)?)
    } else {
        None
    };
    let mut head = Head::new(&format!("real SEED={}", plan.seed), &[NODE]);
    head.progress_ns = u64::try_from(PROGRESS.as_nanos()).unwrap_or(u64::MAX);
    let journal = Arc::new(Journal::new(head));
    let dice = Random::new(plan.seed);
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let proxy = Arc::new(Proxy::start(nowhere, dice.fork(1).next_u64())?);
    let args = SMALL.map(String::from).to_vec();
    let mut server = Server::new(plan.binary.clone(), data.clone(), args, proxy.clone());
    server.start(None)?;
    let crowd = Crowd::new(&journal, &proxy, &dice);
    let mut nemesis = Nemesis {
        server,
        journal: journal.clone(),
        dice: dice.fork(2),
        crashes: crowd.crashes.clone(),
        done: BTreeMap::new(),
        ends: 0,
        last_id: 0,
    };
    let worked = nemesis.work(&plan.faults, plan.time);
    if worked.is_ok() {
        proxy.heal();
        journal.world(What::Healed);
        nemesis.hold(CALM)?;
    }
    let settled = worked.and_then(|()| crowd.settle(&journal, nemesis.server.address()?));
    let ended = crowd.end();
    settled.and(ended)?;
    read_wire(&journal, nemesis.server.address()?)?;
    nemesis.server.stop()?;
    read_disk(&journal, &data, &home.path().join("copy"))?;
    let (publishes, acked) = journal.counts();
    let figure = Figure {
        publishes,
        acked,
        faults: std::mem::take(&mut nemesis.done),
        ends: nemesis.ends,
        restarts: nemesis.server.restarts,
        connections: proxy.passed().connections,
        ..Figure::default()
    };
    drop(nemesis);
    judge(figure, journal)
}

fn judge(mut figure: Figure, journal: Arc<Journal>) -> io::Result<Outcome> {
    let history = Arc::into_inner(journal)
        .map(Journal::finish)
        .ok_or_else(|| io::Error::other("somebody still writes the history"))?;
    let report = check_all(&history);
    figure.anomalies = report.checks.iter().map(|check| check.found).sum();
    Ok(Outcome {
        figure,
        report,
        history,
    })
}

/// Every room over the wire, past the proxy.
fn read_wire(journal: &Journal, broker: SocketAddr) -> io::Result<()> {
    let sdk = direct(broker)?;
    for room in rooms() {
        final_read(journal, &sdk, room).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Every room from the disk of a broker that is gone, as no broker tells it.
fn read_disk(journal: &Journal, data: &Path, copy: &Path) -> io::Result<()> {
    copy_folder(data, copy)?;
    let new = NewDirectory {
        node: NodeId(1),
        partitions: 1,
    };
    let directory = DataDirectory::open(copy, new).map_err(io::Error::other)?;
    let file = directory.file();
    let mut settings = LogSettings::new(file.directory_id);
    settings.partitions = file.partitions;
    let mut held = audit::rooms(directory.disk(), settings).map_err(io::Error::other)?;
    for room in rooms() {
        let records = held.remove(&room_name(room)).unwrap_or_default();
        let head = records.last().map_or(Seq(0), |last| last.seq);
        let gaps = Vec::new();
        journal.node(
            NODE,
            What::FinalRead {
                room,
                head,
                records,
                gaps,
            },
        );
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Runs it, prints what it came to, and leaves the history where it can be looked at if a promise is broken.
///
/// # Errors
/// As [`run`]; or a promise is broken, or one was not put to the test.
pub fn check(plan: &Plan) -> io::Result<Figure> {
    println!("SEED={} faults={}", plan.seed, Names(&plan.faults));
    let outcome = run(plan)?;
    println!("SEED={}: {}", plan.seed, outcome.figure);
    let not_shown = outcome.report.silent();
    // Nobody traces the broker's writes, so nothing can be said of the order of syncs and acks; and these clients send no signals and keep no cursors.
    let is_complete = not_shown == [Invariant::I14, Invariant::I15, Invariant::I16];
    if outcome.report.is_good() && is_complete {
        return Ok(outcome.figure);
    }
    let path = std::env::temp_dir().join(format!("antiphon-real-{}.ndjson", plan.seed));
    history::write(
        &outcome.history,
        &mut BufWriter::new(fs::File::create(&path)?),
    )?;
    Err(io::Error::other(format!(
        "SEED={}\n{}\nhistory: {}",
        plan.seed,
        outcome.report,
        path.display()
    )))
}

/// Faults by name, for a line.
#[derive(Debug)]
pub struct Names<'a>(pub &'a [Fault]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{fault}")?;
        }
        Ok(())
    }
}
