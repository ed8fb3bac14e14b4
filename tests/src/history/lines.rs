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
                write!(f, "has version {version}; known is {FORMAT_VERSION}")
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
    if head.version == FORMAT_VERSION {
        Ok(head)
    } else {
        Err(BadHistory::Version(head.version))
    }
}
