//! The client protocol of NATS: lines, and payloads behind some of them.
//!
//! Specification: <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

use std::io::Write;

use crate::error::WireError;

/// The longest line before it must end: INFO is the longest that comes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a server says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation<'a> {
    Message(Message<'a>),
    Ping,
    Pong,
    /// INFO and +OK.
    Told,
    Error(&'a [u8]),
}

/// MSG or HMSG.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Message<'a> {
    pub(super) subject: &'a [u8],
    /// Where an answer goes; empty: none is wanted.
    pub(super) reply: &'a [u8],
    /// `NATS/1.0 ...`, with its blank line; empty: none.
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// The first whole operation of `input` and its length.
#[inline]
pub(super) fn next(input: &[u8]) -> Result<Option<(Operation<'_>, usize)>, WireError> {
    let Some(end) = input.iter().position(|&byte| byte == b'\r') else {
        if input.len() > LINE_BYTES_MAX {
            return Err(malformed("a line without an end"));
        }
        return Ok(None);
    };
    let (line, head) = (&input[..end], end + 2);
    if input.len() < head {
        return Ok(None);
    }
    if let Some(arguments) = line.strip_prefix(b"MSG ") {
        return message(arguments, false, &input[head..], head);
    }
    if let Some(arguments) = line.strip_prefix(b"HMSG ") {
        return message(arguments, true, &input[head..], head);
    }
    let operation = match line {
        b"PING" => Operation::Ping,
        b"PONG" => Operation::Pong,
        b"+OK" => Operation::Told,
        line if line.starts_with(b"INFO ") => Operation::Told,
        line if line.starts_with(b"-ERR") => Operation::Error(line),
        _ => return Err(malformed("an unknown operation")),
    };
    Ok(Some((operation, head)))
}

/// `subject sid [reply] [headers' length] length`, and what stands behind that line, which ends at `head`.
#[inline]
fn message<'a>(
    arguments: &'a [u8],
    has_headers: bool,
    behind: &'a [u8],
    head: usize,
) -> Result<Option<(Operation<'a>, usize)>, WireError> {
    let told = || malformed("the head of a message");
    let mut words = arguments.split(|&byte| byte == b' ');
    let mut last = || words.next_back().and_then(number).ok_or_else(told);
    let length = last()?;
    let headers_length = if has_headers { last()? } else { 0 };
    let subject = words.next().ok_or_else(told)?;
    words.next().ok_or_else(told)?;
    let reply = words.next().unwrap_or_default();
    if behind.len() < length + 2 {
        return Ok(None);
    }
    let split = behind[..length].split_at_checked(headers_length);
    let (headers, payload) = split.ok_or_else(told)?;
    let message = Message {
        subject,
        reply,
        headers,
        payload,
    };
    Ok(Some((Operation::Message(message), head + length + 2)))
}

#[inline]
fn number(digits: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.parse::<u32>().ok().map(|number| number as usize)
}

/// The value of a header.
pub(super) fn header<'a>(headers: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(headers).ok()?;
    let mut lines = text.split("\r\n");
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// The status in the first line of headers: 0 if it has none.
pub(super) fn status(headers: &[u8]) -> u32 {
    let text = std::str::from_utf8(headers).unwrap_or_default();
    let word = text.split_whitespace().nth(1);
    // Without a status the next word is the name of a header.
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Appends a publish; `reply` may be empty.
#[inline]
pub(super) fn publish(subject: &[&[u8]], reply: &[&[u8]], payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"PUB ");
    subject.iter().for_each(|part| out.extend_from_slice(part));
    out.push(b' ');
    if !reply.is_empty() {
        reply.iter().for_each(|part| out.extend_from_slice(part));
        out.push(b' ');
    }
    out.extend_from_slice(payload.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// What a client says first. The PING is answered once the CONNECT was taken.
pub(super) fn connect(takes_headers: bool, out: &mut Vec<u8>) {
    write!(
        out,
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"lang\":\"bench\",\
         \"version\":\"1\",\"protocol\":1,\"echo\":true,\"headers\":{takes_headers},\
         \"no_responders\":{takes_headers}}}\r\nPING\r\n"
    )
    .expect("a Vec takes all bytes");
}

fn malformed(what: &str) -> WireError {
    WireError::Malformed(format!("NATS: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_when_they_are_whole() {
        let input = b"MSG room.r0-1 3 4\r\na\r\nb\r\nPING\r\n";
        let whole = input.len() - 6;
        for cut in 0..whole {
            assert_eq!(next(&input[..cut]), Ok(None), "{cut} bytes");
        }
        let message = |subject, reply, headers, payload| {
            Operation::Message(Message {
                subject,
                reply,
                headers,
                payload,
            })
        };
        let plain = message(b"room.r0-1", b"", b"", b"a\r\nb");
        assert_eq!(next(input), Ok(Some((plain, whole))));
        assert_eq!(next(&input[whole..]), Ok(Some((Operation::Ping, 6))));
        let with_reply = b"MSG a 1 _INBOX.2 0\r\n\r\n";
        let empty = message(b"a", b"_INBOX.2", b"", b"");
        assert_eq!(next(with_reply), Ok(Some((empty, with_reply.len()))));
        let with_headers = b"HMSG a 1 b 16 18\r\nNATS/1.0\r\nX:\r\n\r\nhi\r\n";
        let headed = message(b"a", b"b", b"NATS/1.0\r\nX:\r\n\r\n", b"hi");
        assert_eq!(next(with_headers), Ok(Some((headed, with_headers.len()))));
        assert!(next(b"HMSG a 1 9 3\r\nabc\r\n").is_err());
        assert!(next(b"MSG a\r\n").is_err());
        assert!(next(b"HELLO\r\n").is_err());
    }

    #[test]
    fn headers_have_a_status_or_names() {
        let named = b"NATS/1.0\r\nNats-Sequence: 41\r\nNats-Subject: a\r\n\r\n";
        assert_eq!(header(named, "Nats-Sequence"), Some("41"));
        assert_eq!(header(named, "Nats"), None);
        assert_eq!(status(named), 0);
        assert_eq!(status(b"NATS/1.0 204 EOB\r\n\r\n"), 204);
    }

    #[test]
    fn a_publish_names_subject_reply_and_length() {
        let mut out = Vec::new();
        publish(&[b"room.", b"r0"], &[], b"hi", &mut out);
        publish(&[b"room.", b"r0"], &[b"_INBOX.", b"7"], b"", &mut out);
        assert_eq!(
            out,
            b"PUB room.r0 2\r\nhi\r\nPUB room.r0 _INBOX.7 0\r\n\r\n"
        );
    }
}
