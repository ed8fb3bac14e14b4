//! A record as `sub` and `history` print it.
//!
//! For people: `12  2018-04-10 18:02:17  ann: hello`. With `--json`: one object, whose `position` is what `--after` takes.

use std::borrow::Cow;
use std::fmt;

use antiphon_client::{Gap, Record, RecordKind};
use serde::Serialize;

use crate::chat_line::At;
use crate::failure::Failure;
use crate::output::{Output, note};

#[derive(Serialize)]
struct RecordObject<'a> {
    room: &'a str,
    seq: u64,
    position: String,
    /// When its author sent it, as far as he told; else as `time`.
    at: At,
    /// When the broker admitted it.
    time: At,
    user: Cow<'a, str>,
    text: Cow<'a, str>,
    /// The body in hex, if it is no UTF-8 and `text` only resembles it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(skip_serializing_if = "is_message")]
    kind: u8,
    /// The record of the room that this one is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    refers_to: Option<u64>,
    /// It was redacted: text and headers are gone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    erased: bool,
    producer: u64,
    producer_seq: u64,
}

#[derive(Serialize)]
struct GapObject<'a> {
    room: &'a str,
    gap: GapRange,
}

#[derive(Serialize)]
struct GapRange {
    from: u64,
    to: u64,
    reason: String,
    position: String,
}

/// Prints a record.
pub(crate) fn print_record(
    output: &mut Output,
    room: &str,
    record: &Record,
) -> Result<(), Failure> {
    if output.is_json() {
        return output.object(&RecordObject {
            room,
            seq: record.seq.0,
            position: record.position().to_string(),
            at: sent_at(record),
            time: At(record.time.0),
            user: record.sender_text(),
            text: record.text(),
            hex: std::str::from_utf8(&record.body)
                .is_err()
                .then(|| hex(&record.body)),
            kind: record.kind.wire(),
            refers_to: record.headers.reply_to().map(|seq| seq.0),
            erased: record.is_erased,
            producer: record.producer.0,
            producer_seq: record.producer_seq.0,
        });
    }
    let at = sent_at(record).to_rfc3339().unwrap_or_else(|| "?".into());
    let (user, text) = (output.shown(&record.sender), output.shown(&record.body));
    let label = label(record);
    output.line(format_args!(
        "{:>6}  {at}  {user}{label}: {text}",
        record.seq.0
    ))
}

/// What a line says of a record that is no plain message, in front of its text.
pub(crate) fn label(record: &Record) -> String {
    let target = match record.headers.reply_to() {
        Some(seq) => seq.to_string(),
        None => "?".into(),
    };
    match record.kind {
        _ if record.is_erased => " [erased]".into(),
        RecordKind::MESSAGE => String::new(),
        RecordKind::EDIT => format!(" [edit of {target}]"),
        RecordKind::REDACT => format!(" [took {target} back]"),
        RecordKind::REACTION => format!(" [reaction to {target}]"),
        RecordKind::PIN => format!(" [pin of {target}]"),
        kind => format!(" [kind {kind}]"),
    }
}

/// Tells of records that are not to be had: as data with `--json`, else on stderr.
pub(crate) fn print_gap(output: &mut Output, room: &str, gap: &Gap) -> Result<(), Failure> {
    if output.is_json() {
        let position = gap.position().to_string();
        let gap = GapRange {
            from: gap.from.0,
            to: gap.to.0,
            reason: gap.reason.to_string(),
            position,
        };
        return output.object(&GapObject { room, gap });
    }
    output.flush()?;
    if gap.is_open_ended() {
        note(format_args!(
            "-- records from {} on, if there were any, are lost: {} --",
            gap.from, gap.reason
        ));
        return Ok(());
    }
    note(format_args!(
        "-- records {} to {} are not to be had: {} --",
        gap.from, gap.to, gap.reason
    ));
    Ok(())
}

/// When its author sent it, or, if he did not tell, when the broker admitted it.
pub(crate) fn sent_at(record: &Record) -> At {
    At(record.headers.origin_time().unwrap_or(record.time).0)
}

fn is_message(kind: &u8) -> bool {
    *kind == RecordKind::MESSAGE.wire()
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
