//! I14 from a real process: what the kernel was asked to write and to sync, as `strace` tells it, beside what a client was told.
//!
//! One client publishes one message after the other, each with a text of its own in it, so that the call that wrote it is known by its bytes. Nothing
//! of the log's format is read. All times are of the wall clock of this machine, which `strace` and the client share.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::seat::NODE;
use crate::history::{
    Actor, BodyHash, Client, Event, Head, History, Link, Op, Origin, Position, Producer,
    ProducerSeq, Room, Seq, User, What,
};

/// The client that publishes.
const PUBLISHER: Actor = Actor::Client(Client(1));

/// Bytes of a write that are told, so that the text of a short message is among them.
const TOLD_BYTES: &str = "600";

/// The words in front of a broker's command line under which strace notes its writes and syncs in a file.
pub fn tracing(into: &Path) -> Vec<OsString> {
    let words = [
        "strace",
        "-D",
        "-f",
        "-ttt",
        "-T",
        "-y",
        "-e",
        "signal=none",
    ];
    let mut words: Vec<OsString> = words.map(OsString::from).to_vec();
    words.extend(["-e", "trace=pwrite64,fdatasync", "-s", TOLD_BYTES, "-o"].map(OsString::from));
    words.push(into.into());
    words
}

/// The text that tells a message from all others.
pub fn mark(number: u64) -> String {
    format!("[message {number}]")
}

/// A publish, from the client's side.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    /// Which one; its text has [`mark`] in it.
    pub number: u64,
    /// Asked for, in ns since the epoch.
    pub asked_at: u64,
    /// Acked.
    pub acked_at: u64,
    /// Its place in the room.
    pub seq: u64,
}

/// A call that succeeded.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Call {
    began_at: u64,
    ended_at: u64,
    /// The segment's number.
    segment: u64,
    what: Did,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Did {
    Write { end: u64, told: String },
    Sync,
}

/// All that happened, in the order in which it did.
pub fn history(trace: &str, acks: &[Acked]) -> History {
    let mut events = Vec::new();
    let mut written: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for call in calls(trace) {
        let at = call.ended_at;
        let place = |offset: u64| Position((call.segment << 32) | offset);
        match call.what {
            Did::Write { end, told } => {
                written.entry(call.segment).or_default().push((at, end));
                let acked = acks.iter().filter(|ack| told.contains(&mark(ack.number)));
                events.extend(acked.map(|ack| Event {
                    at,
                    by: Actor::Node(NODE),
                    what: What::Written {
                        room: Room(1),
                        first: Seq(ack.seq),
                        next: Seq(ack.seq + 1),
                        end: place(end),
                    },
                }));
            }
            Did::Sync => {
                // Only what was written before the sync began is surely part of it.
                let writes = written.get(&call.segment).into_iter().flatten();
                let before = writes.filter(|(ended_at, _)| *ended_at <= call.began_at);
                let end = before.map(|(_, end)| *end).max().unwrap_or(0);
                let (from, end) = (place(0), place(end));
                let what = What::Synced { from, end };
                let by = Actor::Node(NODE);
                events.push(Event { at, by, what });
            }
        }
    }
    for ack in acks {
        events.extend(told_to_the_client(ack));
    }
    events.sort_by_key(|event| event.at);
    History {
        head: Head::new("strace of a broker", &[NODE]),
        events,
    }
}

fn told_to_the_client(ack: &Acked) -> [Event; 2] {
    let op = Op(ack.number);
    let origin = Origin {
        user: User(1),
        producer: Producer(1),
        producer_seq: ProducerSeq(ack.number),
    };
    let publish = What::Publish {
        op,
        room: Room(1),
        origin,
        body: BodyHash(ack.number),
    };
    let published = What::Published {
        op,
        seq: Seq(ack.seq),
        link: Link(0),
        time: 0,
        duplicate: false,
    };
    let event = |at, what| Event {
        at,
        by: PUBLISHER,
        what,
    };
    [event(ack.asked_at, publish), event(ack.acked_at, published)]
}

/// The calls of a trace that went to segments and did what they were asked to, by the time of their end.
fn calls(trace: &str) -> Vec<Call> {
    // By thread: when its call began, and with which words.
    let mut begun: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread, at, rest)) = parts(line) else {
            continue;
        };
        if let Some(words) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, (at, words));
        } else if rest.starts_with("<... ") {
            let begin = begun.remove(thread);
            calls.extend(begin.and_then(|(at, words)| call(at, words, rest)));
        } else {
            calls.extend(call(at, rest, rest));
        }
    }
    calls.sort_by_key(|call| call.ended_at);
    calls
}

/// Thread, time in ns, and what it says.
fn parts(line: &str) -> Option<(&str, u64, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (at, rest) = rest.trim_start().split_once(' ')?;
    Some((thread, nanos(at)?, rest))
}

/// Seconds with six digits behind the point.
fn nanos(text: &str) -> Option<u64> {
    let (seconds, micros) = text.split_once('.')?;
    let micros = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
    Some(micros * 1_000)
}

/// `pwrite64(8</d/0000000000000001.seg>, "...", 832, 4160) = 832 <0.000021>`, the end of it perhaps on another line.
fn call(began_at: u64, words: &str, end: &str) -> Option<Call> {
    let (_, outcome) = end.rsplit_once(" = ")?;
    let (result, time) = outcome.split_once(" <")?;
    let ended_at = began_at + nanos(time.trim_end_matches('>'))?;
    let (name, rest) = words.split_once('(')?;
    let (file, rest) = rest.split_once('>')?;
    let number = file.strip_suffix(".seg")?.rsplit('/').next()?;
    let segment = u64::from_str_radix(number, 16).ok()?;
    let what = match name {
        "fdatasync" if result == "0" => Did::Sync,
        "pwrite64" => {
            let written: u64 = result.parse().ok()?;
            let (told, numbers) = rest.rsplit_once('"')?;
            let numbers = numbers
                .split_once(')')
                .map_or(numbers, |(numbers, _)| numbers);
            let offset: u64 = numbers.rsplit_once(", ")?.1.parse().ok()?;
            Did::Write {
                end: offset + written,
                told: told.to_owned(),
            }
        }
        _ => return None,
    };
    Some(Call {
        began_at,
        ended_at,
        segment,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::{Invariant, check_all};

    const TRACE: &str = r#"70 10.000100 pwrite64(8</d/0000000000000001.seg>, "\1 [message 1] \2"..., 240, 5824) = 240 <0.000050>
71 10.000150 pwrite64(16</d/other.tmp>, "\0\0"..., 1048576, 0) = 1048576 <0.001000>
70 10.000200 fdatasync(8</d/0000000000000001.seg> <unfinished ...>
71 10.000300 fdatasync(9</d/0000000000000002.seg>) = -1 EIO (Input/output error) <0.000010>
70 10.000400 <... fdatasync resumed>)      = 0 <0.000200>
70 10.000500 +++ exited with 0 +++
"#;

    fn acked_at(micros: u64) -> [Acked; 1] {
        [Acked {
            number: 1,
            asked_at: 10_000_000_000,
            acked_at: 10_000_000_000 + micros * 1_000,
            seq: 4,
        }]
    }

    /// Acks compared, and those that came before their sync.
    fn judged(trace: &str, acks: &[Acked]) -> (u64, u64) {
        let report = check_all(&history(trace, acks));
        let is_it = |invariant| {
            let mut checks = report.checks.iter();
            checks
                .find(|check| check.invariant == invariant)
                .unwrap()
                .clone()
        };
        assert_eq!(is_it(Invariant::Shape).found, 0, "{report}");
        let check = is_it(Invariant::I14);
        (check.compared, check.found)
    }

    #[test]
    fn calls_are_read_with_their_beginning_and_their_end() {
        let at = |micros: u64| 10_000_000_000 + micros * 1_000;
        let write = Call {
            began_at: at(100),
            ended_at: at(150),
            segment: 1,
            what: Did::Write {
                end: 6_064,
                told: r#", "\1 [message 1] \2"#.to_owned(),
            },
        };
        let sync = Call {
            began_at: at(200),
            ended_at: at(400),
            segment: 1,
            what: Did::Sync,
        };
        assert_eq!(calls(TRACE), [write, sync]);
    }

    #[test]
    fn an_ack_behind_the_sync_is_good_and_one_before_its_end_is_not() {
        assert_eq!(judged(TRACE, &acked_at(450)), (1, 0));
        assert_eq!(judged(TRACE, &acked_at(350)), (1, 1));
    }

    #[test]
    fn a_sync_that_began_before_the_write_ended_does_not_count() {
        let early = TRACE.replace("10.000200 fdatasync", "10.000120 fdatasync");
        assert_eq!(judged(&early, &acked_at(450)), (1, 1));
    }

    #[test]
    fn an_ack_of_what_nobody_wrote_is_found() {
        let other = TRACE.replace("[message 1]", "[message 2]");
        assert_eq!(judged(&other, &acked_at(450)), (1, 1));
    }
}
