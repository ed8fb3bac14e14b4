//! A history as lines of JSON: the head, then one event a line (docs/history.md).

use std::io::{self, BufRead, Write};

use crate::history::{Event, FORMAT_VERSION, Head, History};

/// Why a file is no history.
#[derive(Debug)]
pub enum BadHistory {
    /// It could not be read.
    Io(io::Error),
    /// It is empty.
    Empty,
    /// Another version wrote it.
    Version(u32),
    /// A line (from 1) is not what it should be.
    Line {
        /// Which one.
        line: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
}

impl std::error::Error for BadHistory {}

impl std::fmt::Display for BadHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::Empty => f.write_str("has no line"),
            Self::Version(version) => {
                write!(f, "has version {version}; known are 1 to {FORMAT_VERSION}")
            }
            Self::Line { line, error } => write!(f, "line {line}: {error}"),
        }
    }
}

/// Writes the lines. Give a buffered writer.
///
/// # Errors
/// Those of the writer.
pub fn write(history: &History, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &history.head)?;
    out.write_all(b"\n")?;
    for event in &history.events {
        serde_json::to_writer(&mut *out, &(event.at, event.by, &event.what))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Reads the lines back.
///
/// # Errors
/// All of [`BadHistory`].
pub fn read(input: impl BufRead) -> Result<History, BadHistory> {
    let mut lines = input.lines();
    let first = lines.next().ok_or(BadHistory::Empty)?;
    let head = parse_head(&first.map_err(BadHistory::Io)?)?;
    let mut events = Vec::new();
    for (at, text) in lines.enumerate() {
        let text = text.map_err(BadHistory::Io)?;
        let (at, by, what) = serde_json::from_str(&text).map_err(|error| BadHistory::Line {
            line: at + 2,
            error,
        })?;
        events.push(Event { at, by, what });
    }
    Ok(History { head, events })
}

fn parse_head(text: &str) -> Result<Head, BadHistory> {
    let head: Head =
        serde_json::from_str(text).map_err(|error| BadHistory::Line { line: 1, error })?;
    if (1..=FORMAT_VERSION).contains(&head.version) {
        Ok(head)
    } else {
        Err(BadHistory::Version(head.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{
        Actor, BodyHash, Client, Fault, GapRange, Link, Node, Op, Origin, Position, Producer,
        ProducerSeq, Range, Record, Room, Seq, Start, User, Way, What, Why,
    };

    const HEAD: &str =
        r#"{"antiphon_history":2,"origin":"x","nodes":[1],"replicas":1,"progress_ns":10000000000}"#;

    fn origin() -> Origin {
        (User(1), Producer(10), ProducerSeq(3)).into()
    }

    fn record() -> Record {
        (Seq(5), Link(6), origin(), BodyHash(u64::MAX)).into()
    }

    fn gap() -> GapRange {
        (Seq(1), Seq(2), 5).into()
    }

    /// Every event and its text. A new event is to be put here; the texts of old ones never change.
    fn golden() -> Vec<(What, &'static str)> {
        let (op, sub, room, seq, link) = (Op(9), Op(9), Room(1), Seq(5), Link(6));
        let (head, next, first, end) = (Seq(5), Seq(6), Seq(5), Position(8));
        let (body, node, producer) = (BodyHash(7), Node(1), Producer(10));
        let (origin, record, gap) = (origin(), record(), gap());
        let fault = Fault {
            id: 1,
            name: "kill".to_owned(),
        };
        let how = "kill".to_owned();
        let start = Start::After { seq, link };
        let (records, gaps) = (vec![record], vec![gap]);
        let read = (records.clone(), gaps.clone());
        vec![
            (
                What::Connect { op, node },
                r#"{"connect":{"op":9,"node":1}}"#,
            ),
            (
                What::Connected { op, producer },
                r#"{"connected":{"op":9,"producer":10}}"#,
            ),
            (What::Disconnected, r#""disconnected""#),
            (What::Closed, r#""closed""#),
            (
                What::Publish {
                    op,
                    room,
                    origin,
                    body,
                },
                r#"{"publish":{"op":9,"room":1,"origin":[1,10,3],"body":7}}"#,
            ),
            (
                What::Published {
                    op,
                    seq,
                    link,
                    time: 50,
                    duplicate: true,
                },
                r#"{"published":{"op":9,"seq":5,"link":6,"time":50,"duplicate":true}}"#,
            ),
            (
                What::Subscribe { op, room, start },
                r#"{"subscribe":{"op":9,"room":1,"start":{"after":{"seq":5,"link":6}}}}"#,
            ),
            (
                What::Subscribe {
                    op,
                    room,
                    start: Start::Live,
                },
                r#"{"subscribe":{"op":9,"room":1,"start":"live"}}"#,
            ),
            (
                What::Subscribe {
                    op,
                    room,
                    start: Start::Last(3),
                },
                r#"{"subscribe":{"op":9,"room":1,"start":{"last":3}}}"#,
            ),
            (
                What::Subscribed {
                    op,
                    head,
                    next,
                    link,
                },
                r#"{"subscribed":{"op":9,"head":5,"next":6,"link":6}}"#,
            ),
            (What::Ended { sub }, r#"{"ended":{"sub":9}}"#),
            (
                What::Subscribe {
                    op,
                    room,
                    start: Start::Time(70),
                },
                r#"{"subscribe":{"op":9,"room":1,"start":{"time":70}}}"#,
            ),
            (
                What::Subscribe {
                    op,
                    room,
                    start: Start::Cursor(2),
                },
                r#"{"subscribe":{"op":9,"room":1,"start":{"cursor":2}}}"#,
            ),
            (
                What::Fetch {
                    op,
                    room,
                    range: Range::Around(seq),
                    limit: 4,
                },
                r#"{"fetch":{"op":9,"room":1,"range":{"around":5},"limit":4}}"#,
            ),
            (
                What::Fetch {
                    op,
                    room,
                    range: Range::Time(70),
                    limit: 4,
                },
                r#"{"fetch":{"op":9,"room":1,"range":{"time":70},"limit":4}}"#,
            ),
            (What::Expect { op, seq }, r#"{"expect":{"op":9,"seq":5}}"#),
            (
                What::Signal {
                    op,
                    room,
                    via: 3,
                    key: 1,
                    number: 2,
                },
                r#"{"signal":{"op":9,"room":1,"via":3,"key":1,"number":2}}"#,
            ),
            (
                What::Signalled {
                    sub,
                    via: 3,
                    key: 1,
                    number: 2,
                    dropped: 4,
                },
                r#"{"signalled":{"sub":9,"via":3,"key":1,"number":2,"dropped":4}}"#,
            ),
            (
                What::Cursor {
                    op,
                    room,
                    user: User(1),
                    name: 2,
                    seq,
                    count: 4,
                    sync: true,
                },
                r#"{"cursor":{"op":9,"room":1,"user":1,"name":2,"seq":5,"count":4,"sync":true}}"#,
            ),
            (
                What::CursorAt {
                    op,
                    seq,
                    count: 4,
                    head: next,
                    head_count: 5,
                },
                r#"{"cursor_at":{"op":9,"seq":5,"count":4,"head":6,"head_count":5}}"#,
            ),
            (
                What::CursorMoved {
                    sub,
                    user: User(1),
                    name: 2,
                    seq,
                    count: 4,
                },
                r#"{"cursor_moved":{"sub":9,"user":1,"name":2,"seq":5,"count":4}}"#,
            ),
            (
                What::Fetch {
                    op,
                    room,
                    range: Range::Before(seq),
                    limit: 4,
                },
                r#"{"fetch":{"op":9,"room":1,"range":{"before":5},"limit":4}}"#,
            ),
            (
                What::Fetch {
                    op,
                    room,
                    range: Range::Latest,
                    limit: 4,
                },
                r#"{"fetch":{"op":9,"room":1,"range":"latest","limit":4}}"#,
            ),
            (
                What::Fetched {
                    op,
                    head,
                    records,
                    gaps,
                },
                r#"{"fetched":{"op":9,"head":5,"records":[[5,6,[1,10,3],18446744073709551615]],"gaps":[[1,2,5]]}}"#,
            ),
            (
                What::Failed {
                    op,
                    code: 4,
                    hint: 1,
                },
                r#"{"failed":{"op":9,"code":4,"hint":1}}"#,
            ),
            (What::Unknown { op }, r#"{"unknown":{"op":9}}"#),
            (
                What::Deliver {
                    sub,
                    record,
                    way: Way::CatchUp,
                },
                r#"{"deliver":{"sub":9,"record":[5,6,[1,10,3],18446744073709551615],"way":"catch_up"}}"#,
            ),
            (
                What::Gap { sub, gap, link },
                r#"{"gap":{"sub":9,"gap":[1,2,5],"link":6}}"#,
            ),
            (
                What::Broken {
                    sub,
                    seq,
                    why: Why::Link,
                },
                r#"{"broken":{"sub":9,"seq":5,"why":"link"}}"#,
            ),
            (
                What::Started { log_end: end },
                r#"{"started":{"log_end":8}}"#,
            ),
            (What::Stopped { how }, r#"{"stopped":{"how":"kill"}}"#),
            (
                What::Written {
                    room,
                    first,
                    next,
                    end,
                },
                r#"{"written":{"room":1,"first":5,"next":6,"end":8}}"#,
            ),
            (
                What::Synced {
                    from: Position(0),
                    end,
                },
                r#"{"synced":{"from":0,"end":8}}"#,
            ),
            (
                What::AckSent { room, seq },
                r#"{"ack_sent":{"room":1,"seq":5}}"#,
            ),
            (
                What::FinalRead {
                    room,
                    head,
                    records: read.0,
                    gaps: read.1,
                },
                r#"{"final_read":{"room":1,"head":5,"records":[[5,6,[1,10,3],18446744073709551615]],"gaps":[[1,2,5]]}}"#,
            ),
            (
                What::FaultStart(fault.clone()),
                r#"{"fault_start":{"id":1,"name":"kill"}}"#,
            ),
            (
                What::FaultStop(fault),
                r#"{"fault_stop":{"id":1,"name":"kill"}}"#,
            ),
            (What::Healed, r#""healed""#),
            (What::Settled, r#""settled""#),
        ]
    }

    #[test]
    fn every_event_has_its_text_and_is_read_back() {
        let actors = [Actor::Client(Client(3)), Actor::Node(Node(1)), Actor::World];
        let names = ["c3", "n1", "w"];
        let golden = golden();
        let mut text = format!("{HEAD}\n");
        let mut events = Vec::new();
        for (at, (what, json)) in golden.into_iter().enumerate() {
            text += &format!("[{at},\"{}\",{json}]\n", names[at % 3]);
            let by = actors[at % 3];
            let at = at as u64;
            events.push(Event { at, by, what });
        }
        let head = Head::new("x", &[Node(1)]);
        let history = History { head, events };
        let mut lines = Vec::new();
        write(&history, &mut lines).unwrap();
        assert_eq!(String::from_utf8(lines).unwrap(), text);
        assert_eq!(read(text.as_bytes()).unwrap(), history);
    }

    #[test]
    fn what_is_no_history_is_refused_with_its_line() {
        let told = |text: &str| read(text.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(told(""), Err("has no line".to_owned()));
        let of = |version| HEAD.replace(":2,\"origin", &format!(":{version},\"origin"));
        let refused = |version| Err(format!("has version {version}; known are 1 to 2"));
        assert_eq!(told(&of(3)).map(|_| ()), refused(3));
        assert_eq!(told(&of(0)).map(|_| ()), refused(0));
        assert_eq!(told(&of(1)).map(|history| history.head.version), Ok(1));
        for bad in [
            r#"[1,"x3","healed"]"#,
            r#"[1,"w","heald"]"#,
            r#"[1,"w"]"#,
            "",
            "{",
        ] {
            let error = told(&format!("{HEAD}\n[0,\"w\",\"healed\"]\n{bad}\n")).unwrap_err();
            assert!(error.starts_with("line 3: "), "{bad}: {error}");
        }
    }
}
