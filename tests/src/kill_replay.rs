//! The spine's proof: a chat file is replayed while the broker is killed again and again, and comes back complete and in order.
//!
//! ```text
//! replay FILE ──TCP──> broker  x killed with SIGKILL at 1/(n+1), 2/(n+1), ... of the file, each time with publishes unacked
//!                        │     > log verify: clean or torn, never damaged
//!                        └──── started again on the same port and directory
//! replay ends, replay FILE again: nothing but duplicates
//! export == FILE, per room, byte for byte, in order
//! ```

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::broker::BrokerProcess;
use crate::chat::Chat;
use crate::port::Reserved;

/// Kills at one step of the plan until one finds a publish unacked.
const KILL_ATTEMPTS: u32 = 8;

/// The replay says something at least this often while the broker lives; longer silence is a hang.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `antiphon` binary.
    pub binary: PathBuf,
    /// NDJSON, plain or gzip.
    pub file: PathBuf,
    /// How many times the broker is killed with publishes unacked.
    pub kills: u32,
    /// Further arguments of `antiphon serve`.
    pub serve_args: Vec<String>,
    /// Further arguments of `antiphon replay`.
    pub replay_args: Vec<String>,
}

/// One kill, and what it met.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kill {
    /// Lines acked as far as the replay had said before the kill.
    pub acked: u64,
    /// Publishes sent and not acked when the replay lost its connections.
    pub unacked: u64,
    /// What `log verify` said about the directory before the restart.
    pub verdict: String,
    /// From the start of the process until it was ready.
    pub restart_ms: u128,
}

/// What came of it. That it was returned at all means that the export equals the file.
#[derive(Clone, Debug)]
pub struct Report {
    /// Lines of the file, all of them exported.
    pub lines: usize,
    /// Rooms of the file.
    pub rooms: usize,
    /// Each kill.
    pub kills: Vec<Kill>,
    /// What the replay said at its end.
    pub replay: Summary,
    /// What a second replay of the same file said: nothing but duplicates.
    pub repeated: Summary,
}

/// What `antiphon --json replay` prints at its end.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    /// Publishes acked, duplicates included.
    pub acked: u64,
    /// Publishes that the broker already had.
    pub duplicates: u64,
    /// Connections that were opened again after a loss.
    pub reconnects: u64,
}

/// What `antiphon --json replay` says on stderr as it goes.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Progress {
        acked: u64,
        lines: u64,
    },
    Outage {
        unacked: u64,
    },
    #[serde(other)]
    Other,
}

/// Does it. `home` is an empty folder; it holds the data directory, the broker's log, and the replay's state.
///
/// # Errors
/// A process fails, or the broker gives back something else than it was given: the text says what.
pub fn run(plan: &Plan, home: &Path) -> io::Result<Report> {
    let file = copied(&plan.file, home)?;
    let expected = Chat::open(&file)?;
    let data = home.join("data");
    let port = Reserved::new()?;
    let listen = port.address();
    let broker = BrokerProcess::start(&plan.binary, &data, listen, &plan.serve_args)?;
    let mut replay = Replay::start(plan, &file, listen)?;
    let mut world = World {
        plan,
        data,
        listen,
        broker: Some(broker),
        kills: Vec::new(),
    };
    for step in 1..=plan.kills {
        world.kill_in_flight(&mut replay, step)?;
    }
    let summary = replay.finish()?;
    check(summary.acked == expected.lines() as u64, || {
        format!("replay acked {summary:?} of {} lines", expected.lines())
    })?;
    let repeated = Replay::start(plan, &file, listen)?.finish()?;
    check(repeated.duplicates == repeated.acked, || {
        format!("a repeated replay published something: {repeated:?}")
    })?;
    world.compare_export(&expected)?;
    world.stop()?;
    let (lines, rooms) = (expected.lines(), expected.rooms().len());
    Ok(Report {
        lines,
        rooms,
        kills: world.kills,
        replay: summary,
        repeated,
    })
}

/// The broker's side.
struct World<'a> {
    plan: &'a Plan,
    data: PathBuf,
    listen: SocketAddr,
    broker: Option<BrokerProcess>,
    kills: Vec<Kill>,
}

impl World<'_> {
    /// Kills at `step` of the plan. Between two bursts everything may be acked: that kill proves less and does not count, another follows a bit later.
    fn kill_in_flight(&mut self, replay: &mut Replay, step: u32) -> io::Result<()> {
        for attempt in 0..KILL_ATTEMPTS {
            let place = f64::from(step) + f64::from(attempt) / f64::from(KILL_ATTEMPTS);
            let acked = replay.wait_until_acked(place / f64::from(self.plan.kills + 1))?;
            let kill = self.kill_and_restart(replay, acked)?;
            if kill.unacked > 0 {
                self.kills.push(kill);
                return Ok(());
            }
        }
        Err(io::Error::other(format!(
            "nothing was unacked at {KILL_ATTEMPTS} kills from step {step} on"
        )))
    }

    fn kill_and_restart(&mut self, replay: &mut Replay, acked: u64) -> io::Result<Kill> {
        let broker = self
            .broker
            .take()
            .ok_or_else(|| io::Error::other("no broker runs"))?;
        broker.kill()?;
        let unacked = replay.wait_for_outage()?;
        let verdict = self.verify()?;
        let started = Instant::now();
        self.broker = Some(BrokerProcess::start(
            &self.plan.binary,
            &self.data,
            self.listen,
            &self.plan.serve_args,
        )?);
        Ok(Kill {
            acked,
            unacked,
            verdict,
            restart_ms: started.elapsed().as_millis(),
        })
    }

    /// `log verify` on the directory: clean or torn, never damaged.
    fn verify(&self) -> io::Result<String> {
        let output = Command::new(&self.plan.binary)
            .args(["log", "verify"])
            .arg(&self.data)
            .output()?;
        let text = succeeded("log verify", &output)?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    fn compare_export(&self, expected: &Chat) -> io::Result<()> {
        let output = Command::new(&self.plan.binary)
            .args(["--addr", &self.listen.to_string(), "export", "--data"])
            .arg(&self.data)
            .output()?;
        succeeded("export", &output)?;
        let found = Chat::read(output.stdout.as_slice())?;
        match expected.difference(&found) {
            None => Ok(()),
            Some(difference) => Err(io::Error::other(format!(
                "the export is not the file: {difference}"
            ))),
        }
    }

    fn stop(&mut self) -> io::Result<()> {
        let broker = self
            .broker
            .take()
            .ok_or_else(|| io::Error::other("no broker runs"))?;
        let status = broker.stop()?;
        check(status.success(), || {
            format!("the broker did not stop cleanly: {status}")
        })?;
        self.verify().map(drop)
    }
}

/// A running `antiphon replay`; killed when dropped.
struct Replay {
    child: Child,
    events: Receiver<Event>,
    /// Everything else that it wrote to stderr.
    acked: u64,
}

impl Replay {
    fn start(plan: &Plan, file: &Path, broker: SocketAddr) -> io::Result<Self> {
        let mut child = Command::new(&plan.binary)
            .args(["--json", "--addr", &broker.to_string(), "replay"])
            .args(&plan.replay_args)
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child
            .stderr
            .take()
            .ok_or_else(|| io::Error::other("the replay has no stderr"))?;
        Ok(Self {
            child,
            events: events(stderr),
            acked: 0,
        })
    }

    /// Waits until this share of all lines is acked; returns how many are.
    fn wait_until_acked(&mut self, share: f64) -> io::Result<u64> {
        loop {
            if let Event::Progress { acked, lines } = self.next_event()? {
                self.acked = acked;
                if acked as f64 >= share * lines as f64 {
                    return Ok(acked);
                }
            }
        }
    }

    /// Waits until the replay notices that its connections are lost; returns how many publishes were unacked.
    fn wait_for_outage(&mut self) -> io::Result<u64> {
        loop {
            match self.next_event()? {
                Event::Outage { unacked } => return Ok(unacked),
                Event::Progress { acked, .. } => self.acked = acked,
                Event::Other => {}
            }
        }
    }

    fn next_event(&mut self) -> io::Result<Event> {
        self.events
            .recv_timeout(SILENCE_MAX)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => {
                    io::Error::other(format!("the replay is silent since {} acks", self.acked))
                }
                RecvTimeoutError::Disconnected => io::Error::other(format!(
                    "the replay ended early, after {} acks: kill fewer times or give a longer file",
                    self.acked
                )),
            })
    }

    /// Waits for its end, which must be a good one.
    fn finish(mut self) -> io::Result<Summary> {
        while self.next_event().is_ok() {}
        let stdout = self
            .child
            .stdout
            .take()
            .map(io::read_to_string)
            .transpose()?
            .unwrap_or_default();
        let status = self.child.wait()?;
        check(status.success(), || format!("the replay failed: {status}"))?;
        Ok(serde_json::from_str(&stdout)?)
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads events on a thread, so that waiting for one can have a deadline; passes on what is no event.
fn events(stderr: ChildStderr) -> Receiver<Event> {
    let (said, listening) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                // The listener may have seen enough; the pipe is read on, or the replay would block.
                Ok(event) => {
                    let _ = said.send(event);
                }
                Err(_) => eprintln!("replay: {line}"),
            }
        }
    });
    listening
}

/// The replay keeps its state beside the file, so it works on a copy.
fn copied(file: &Path, home: &Path) -> io::Result<PathBuf> {
    let name = file
        .file_name()
        .ok_or_else(|| io::Error::other("the file has no name"))?;
    let copy = home.join(name);
    fs::copy(file, &copy)?;
    Ok(copy)
}

fn succeeded<'a>(what: &str, output: &'a Output) -> io::Result<std::borrow::Cow<'a, str>> {
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    check(output.status.success(), || {
        format!("{what} ended with {}: {stdout}\n{stderr}", output.status)
    })?;
    Ok(stdout)
}

fn check(is_so: bool, otherwise: impl FnOnce() -> String) -> io::Result<()> {
    if is_so {
        Ok(())
    } else {
        Err(io::Error::other(otherwise()))
    }
}
