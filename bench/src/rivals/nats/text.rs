//! The client protocol of NATS: lines, and payloads behind some of them.
//!
//! Specification: <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

use crate::error::WireError;

/// The longest line before it must end: INFO is the longest that comes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a server says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation<'a> {
    Message {
        subject: &'a [u8],
        payload: &'a [u8],
    },
    Ping,
    Pong,
    /// INFO and +OK.
    Told,
    Error(&'a [u8]),
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
        let (subject, length) = message_head(arguments)?;
        let whole = head + length + 2;
        if input.len() < whole {
            return Ok(None);
        }
        let payload = &input[head..head + length];
        return Ok(Some((Operation::Message { subject, payload }, whole)));
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

/// `subject sid [reply] length`
#[inline]
fn message_head(arguments: &[u8]) -> Result<(&[u8], usize), WireError> {
    let told = || malformed("the head of a message");
    let subject_end = arguments.iter().position(|&byte| byte == b' ');
    let length_at = arguments.iter().rposition(|&byte| byte == b' ');
    let (Some(subject_end), Some(length_at)) = (subject_end, length_at) else {
        return Err(told());
    };
    let digits = std::str::from_utf8(&arguments[length_at + 1..]).map_err(|_| told())?;
    let length = digits.parse::<u32>().map_err(|_| told())?;
    Ok((&arguments[..subject_end], length as usize))
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
pub(super) fn connect(out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"lang\":\"bench\",\
          \"version\":\"1\",\"protocol\":1,\"echo\":true,\"headers\":false}\r\nPING\r\n",
    );
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
        let message = Operation::Message {
            subject: b"room.r0-1",
            payload: b"a\r\nb",
        };
        assert_eq!(next(input), Ok(Some((message, whole))));
        assert_eq!(next(&input[whole..]), Ok(Some((Operation::Ping, 6))));
        let with_reply = b"MSG a 1 _INBOX.2 0\r\n\r\n";
        let empty = Operation::Message {
            subject: b"a",
            payload: b"",
        };
        assert_eq!(next(with_reply), Ok(Some((empty, with_reply.len()))));
        assert!(next(b"MSG a\r\n").is_err());
        assert!(next(b"HELLO\r\n").is_err());
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
