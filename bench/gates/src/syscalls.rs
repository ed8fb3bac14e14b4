//! Counting the system calls of a real broker, by valgrind, which needs no right to trace.
//!
//! Its threads run one at a time there, and its client waits for all answers before it goes on, so a round is nearly the same calls each time. As
//! elsewhere a run of N rounds is taken from one of 2 N.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use antiphon_protocol::{
    Ack, Hello, Producer, ProducerSeq, Publish, RecordKind, RequestId, RoomRef, Seq, ServerFrame,
    Start, Subscribe, limits, next_frame,
};

use crate::baseline::{Count, Counts};
use crate::counting::no_valgrind;
use crate::error::GateError;
use crate::limits::{ANSWER_SECONDS_MAX, BODY_BYTES};

/// Rounds of the shorter run.
const ROUNDS: u64 = 100;
/// Those who hear the room.
const LISTENERS: u64 = 4;
/// Calls that move messages. Waits and wakes come as threads meet, so their number is not the same each time; the others are not per message.
const MOVING: [&str; 4] = ["recvfrom", "sendto", "pwrite64", "fdatasync"];

/// System calls of the broker `program` for messages that come one by one, and for bulks.
///
/// # Errors
/// valgrind is not there, or the broker does not answer.
pub fn count(program: &Path) -> Result<Counts, GateError> {
    let mut counts = Counts::new();
    for (name, messages) in [("one-by-one", 1), ("in-bulk", 64)] {
        let (once, twice) = (
            calls(program, messages, ROUNDS)?,
            calls(program, messages, 2 * ROUNDS)?,
        );
        for call in MOVING {
            let of = |calls: &BTreeMap<String, u64>| calls.get(call).copied().unwrap_or(0);
            let value = of(&twice).saturating_sub(of(&once)) as f64 / ROUNDS as f64;
            let unit = format!("per round of {messages}, {LISTENERS} deliveries each");
            counts.insert(format!("{name}/{call}"), Count { value, unit });
        }
    }
    Ok(counts)
}

/// All calls of one run, by name.
fn calls(program: &Path, messages: u64, rounds: u64) -> Result<BTreeMap<String, u64>, GateError> {
    let place = tempfile::tempdir().map_err(GateError::system("a directory for a moment"))?;
    let trace = place.path().join("trace");
    let mut broker = Broker::start(program, place.path(), &trace)?;
    converse(broker.address, messages, rounds)?;
    broker.stop()?;
    let trace = std::fs::read(&trace).map_err(GateError::system("reading the trace"))?;
    let mut calls = BTreeMap::new();
    for line in String::from_utf8_lossy(&trace).lines() {
        if let Some(name) = call_of(line) {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    Ok(calls)
}

/// The name in `SYSCALL[17,2](45) sys_recvfrom ( ...`.
fn call_of(line: &str) -> Option<&str> {
    let (_, name) = line.strip_prefix("SYSCALL[")?.split_once(") ")?;
    let name = name.trim_start().strip_prefix("sys_")?;
    name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .next()
}

/// A broker under valgrind; killed when dropped.
struct Broker {
    child: Child,
    address: SocketAddr,
}

impl Broker {
    fn start(program: &Path, place: &Path, trace: &Path) -> Result<Broker, GateError> {
        let mut log_file = std::ffi::OsString::from("--log-file=");
        log_file.push(trace);
        let mut child = Command::new("valgrind")
            .args(["--tool=none", "--trace-syscalls=yes"])
            .arg(log_file)
            .arg(program)
            .args(["--json", "serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(place.join("data"))
            .args(["--set", "threads.cores=1", "--set", "admin.enabled=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(no_valgrind)?;
        let stdout = child.stdout.take();
        let mut broker = Broker {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = stdout
                .into_iter()
                .flat_map(|out| BufReader::new(out).lines());
            for line in lines.map_while(Result::ok) {
                if let Some(address) = ready_address(&line) {
                    // Nobody waits any more: then nobody needs it.
                    let _ = tell.send(address);
                }
            }
        });
        broker.address = told
            .recv_timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
            .map_err(|_| GateError::Answer("nothing: it did not become ready"))?;
        Ok(broker)
    }

    /// Ends it as an operator does, so that the trace is whole.
    fn stop(&mut self) -> Result<(), GateError> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| GateError::system("ending the broker")(error.into()))?;
        self.child
            .wait()
            .map_err(GateError::system("ending the broker"))?;
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in `{"address":"127.0.0.1:7000","event":"ready"}`.
fn ready_address(line: &str) -> Option<SocketAddr> {
    if !line.contains("\"event\":\"ready\"") {
        return None;
    }
    let address = line.split_once("\"address\":\"")?.1;
    address.split('"').next()?.parse().ok()
}

/// Publishes and waits for all that follows, round by round.
fn converse(address: SocketAddr, messages: u64, rounds: u64) -> Result<(), GateError> {
    const ROOM: &str = "counted";
    let mut publisher = Client::connect(address)?;
    publisher.publish(ROOM, 1)?;
    publisher.hear(1)?;
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        let mut listener = Client::connect(address)?;
        let mut out = Vec::new();
        Subscribe::new(RoomRef::Name(ROOM), Start::Live).encode(RequestId(2), &mut out);
        listener.say(&out)?;
        listener.hear(1)?;
        listeners.push(listener);
    }
    for _ in 0..rounds {
        publisher.publish(ROOM, messages)?;
        publisher.hear(messages)?;
        for listener in &mut listeners {
            listener.hear(messages)?;
        }
    }
    Ok(())
}

/// A client that waits.
struct Client {
    socket: TcpStream,
    producer: Producer,
    published: u64,
    held: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Result<Client, GateError> {
        let socket = TcpStream::connect(address).map_err(GateError::system("connecting"))?;
        let patience = Some(Duration::from_secs(ANSWER_SECONDS_MAX));
        socket
            .set_read_timeout(patience)
            .map_err(GateError::system("a deadline"))?;
        socket
            .set_nodelay(true)
            .map_err(GateError::system("no delay"))?;
        let mut client = Client {
            socket,
            producer: Producer(0),
            published: 0,
            held: Vec::new(),
        };
        let mut out = Vec::new();
        Hello::new("sixteen-byte-use").encode(RequestId(1), &mut out);
        client.say(&out)?;
        client.hear(1)?;
        Ok(client)
    }

    fn publish(&mut self, room: &str, count: u64) -> Result<(), GateError> {
        let mut out = Vec::new();
        for _ in 0..count {
            self.published += 1;
            let publish = Publish {
                room: RoomRef::Name(room),
                producer: self.producer,
                producer_seq: ProducerSeq(self.published),
                kind: RecordKind::MESSAGE,
                codec: 0,
                ack: Ack::Committed,
                expect_seq: Seq(0),
                headers: &[],
                body: &[b'x'; BODY_BYTES],
            };
            publish.encode(RequestId(self.published + 1), &mut out);
        }
        self.say(&out)
    }

    fn say(&mut self, bytes: &[u8]) -> Result<(), GateError> {
        self.socket
            .write_all(bytes)
            .map_err(GateError::system("saying something"))
    }

    /// Waits for `count` answers: WELCOME, SUBSCRIBED, acks and records count one each.
    fn hear(&mut self, count: u64) -> Result<(), GateError> {
        let mut left = count;
        let mut buffer = [0; 64 * 1024];
        loop {
            left = left
                .checked_sub(self.take()?)
                .ok_or(GateError::Answer("more than it was asked for"))?;
            if left == 0 {
                return Ok(());
            }
            let read = self
                .socket
                .read(&mut buffer)
                .map_err(GateError::system("hearing something"))?;
            if read == 0 {
                return Err(GateError::Answer("by closing the connection"));
            }
            self.held.extend_from_slice(&buffer[..read]);
        }
    }

    /// Takes the whole frames that are there; how many answers they are.
    fn take(&mut self) -> Result<u64, GateError> {
        let (mut used, mut answers) = (0, 0);
        while let Some(frame) = next_frame(&self.held[used..], limits::FRAME_BYTES_MAX)
            .map_err(|_| GateError::Answer("something else than frames"))?
        {
            used += frame.whole.len();
            answers += match ServerFrame::decode(frame) {
                Ok(ServerFrame::Welcome(welcome)) => {
                    self.producer = welcome.producer;
                    1
                }
                Ok(ServerFrame::Subscribed(_) | ServerFrame::Record(_)) => 1,
                Ok(ServerFrame::Puback(puback)) => puback.entries().count() as u64,
                Ok(ServerFrame::Ping(_)) => 0,
                _ => return Err(GateError::Answer("something else than it was asked for")),
            };
        }
        self.held.drain(..used);
        Ok(answers)
    }
}

/// Where cargo puts the broker of a build for development.
#[must_use]
pub fn usual_program() -> PathBuf {
    PathBuf::from("target/debug/antiphon")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_in_a_trace() {
        let line =
            "SYSCALL[1234,2]( 45) sys_recvfrom ( 9, 0x1ffe, 65536, 0, 0x0, 0x0 ) --> [async] ... ";
        assert_eq!(call_of(line), Some("recvfrom"));
        assert_eq!(
            call_of("SYSCALL[1234,1](  1) sys_write ( 1 )"),
            Some("write")
        );
        assert_eq!(
            call_of("SYSCALL[1234,1](  1) ... [async] --> Success"),
            None
        );
        assert_eq!(call_of("==17== HEAP SUMMARY"), None);
    }

    #[test]
    fn a_brokers_address_is_found() {
        let line = r#"{"address":"127.0.0.1:7123","data":"here","event":"ready"}"#;
        assert_eq!(
            ready_address(line),
            Some(SocketAddr::from(([127, 0, 0, 1], 7123)))
        );
        assert_eq!(ready_address(r#"{"event":"stopped"}"#), None);
    }
}
