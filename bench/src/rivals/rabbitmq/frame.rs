//! AMQP 0-9-1, as far as a client needs it that publishes with confirms and consumes.
//!
//! Specification: <https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf>; confirms:
//! <https://www.rabbitmq.com/docs/confirms>.

use crate::error::WireError;

/// The first bytes of a connection.
pub(super) const PROTOCOL: &[u8] = b"AMQP\0\0\x09\x01";
/// The one channel that each connection uses.
pub(super) const CHANNEL: u16 = 1;
/// Type, channel, length.
const HEAD_BYTES: usize = 7;
const END: u8 = 0xCE;

/// Numbers of frame types.
pub(super) const METHOD: u8 = 1;
pub(super) const HEADER: u8 = 2;
pub(super) const BODY: u8 = 3;
pub(super) const HEARTBEAT: u8 = 8;

/// Class of `basic`, as its content header says.
pub(super) const BASIC: u16 = 60;

/// A method, as class and number.
pub(super) type Method = (u16, u16);
pub(super) const CONNECTION_START: Method = (10, 10);
pub(super) const CONNECTION_START_OK: Method = (10, 11);
pub(super) const CONNECTION_TUNE: Method = (10, 30);
pub(super) const CONNECTION_TUNE_OK: Method = (10, 31);
pub(super) const CONNECTION_OPEN: Method = (10, 40);
pub(super) const CONNECTION_OPEN_OK: Method = (10, 41);
pub(super) const CONNECTION_CLOSE: Method = (10, 50);
pub(super) const CHANNEL_OPEN: Method = (20, 10);
pub(super) const CHANNEL_OPEN_OK: Method = (20, 11);
pub(super) const CHANNEL_CLOSE: Method = (20, 40);
pub(super) const QUEUE_DECLARE: Method = (50, 10);
pub(super) const QUEUE_DECLARE_OK: Method = (50, 11);
pub(super) const QUEUE_BIND: Method = (50, 20);
pub(super) const QUEUE_BIND_OK: Method = (50, 21);
pub(super) const BASIC_CONSUME: Method = (60, 20);
pub(super) const BASIC_CONSUME_OK: Method = (60, 21);
pub(super) const BASIC_PUBLISH: Method = (60, 40);
pub(super) const BASIC_DELIVER: Method = (60, 60);
pub(super) const BASIC_ACK: Method = (60, 80);
pub(super) const BASIC_NACK: Method = (60, 120);
pub(super) const CONFIRM_SELECT: Method = (85, 10);
pub(super) const CONFIRM_SELECT_OK: Method = (85, 11);

/// One frame: type and payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) payload: &'a [u8],
}

/// The first whole frame of `input` and its length.
#[inline]
pub(super) fn next(input: &[u8]) -> Result<Option<(Frame<'_>, usize)>, WireError> {
    let Some(head) = input.first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    if head == b"AMQP\0\0\x09" {
        return Err(malformed("it speaks another version"));
    }
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let whole = HEAD_BYTES + length + 1;
    let Some(frame) = input.get(..whole) else {
        return Ok(None);
    };
    if frame[whole - 1] != END {
        return Err(malformed("a frame without its end"));
    }
    let payload = &frame[HEAD_BYTES..whole - 1];
    let kind = head[0];
    Ok(Some((Frame { kind, payload }, whole)))
}

/// Class and number of a method, and its arguments.
#[inline]
pub(super) fn method(payload: &[u8]) -> Result<(Method, &[u8]), WireError> {
    match payload {
        [a, b, c, d, arguments @ ..] => {
            let class = u16::from_be_bytes([*a, *b]);
            Ok(((class, u16::from_be_bytes([*c, *d])), arguments))
        }
        _ => Err(malformed("a method without a name")),
    }
}

/// A short string at the start of `arguments`, and what follows.
pub(super) fn short(arguments: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let split = arguments.split_first();
    split
        .and_then(|(&length, rest)| rest.split_at_checked(usize::from(length)))
        .ok_or_else(|| malformed("a string that ends early"))
}

/// Appends frames.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    #[inline]
    pub(super) fn frame(kind: u8, channel: u16, out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(kind);
        out.extend_from_slice(&channel.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        Self { out, start }
    }

    #[inline]
    pub(super) fn method(method: Method, channel: u16, out: &'a mut Vec<u8>) -> Self {
        Self::frame(METHOD, channel, out)
            .u16(method.0)
            .u16(method.1)
    }

    #[inline]
    pub(super) fn u8(self, value: u8) -> Self {
        self.out.push(value);
        self
    }

    #[inline]
    pub(super) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    #[inline]
    pub(super) fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    #[inline]
    pub(super) fn short(self, text: &[u8]) -> Self {
        let length = u8::try_from(text.len()).expect("names are short");
        self.u8(length).bytes(text)
    }

    /// A long string, or a table that is already laid out.
    pub(super) fn long(self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).expect("tables are short");
        self.u32(length).bytes(bytes)
    }

    #[inline]
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        self
    }

    #[inline]
    pub(super) fn end(self) {
        let payload = self.out.len() - self.start - HEAD_BYTES;
        let length = u32::try_from(payload).expect("frames are short");
        let at = self.start + 3;
        self.out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        self.out.push(END);
    }
}

/// A table with one entry, both strings.
pub(super) fn entry(key: &str, value: &str) -> Vec<u8> {
    let mut table = Vec::new();
    table.push(u8::try_from(key.len()).expect("keys are short"));
    table.extend_from_slice(key.as_bytes());
    table.push(b'S');
    let length = u32::try_from(value.len()).expect("values are short");
    table.extend_from_slice(&length.to_be_bytes());
    table.extend_from_slice(value.as_bytes());
    table
}

pub(super) fn malformed(what: &str) -> WireError {
    WireError::Malformed(format!("AMQP: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_is_written_when_it_is_whole() -> Result<(), WireError> {
        let mut out = Vec::new();
        Writer::method(BASIC_PUBLISH, CHANNEL, &mut out)
            .u16(0)
            .short(b"")
            .short(b"r0")
            .u8(0)
            .end();
        let expected = b"\x01\0\x01\0\0\0\x0b\0\x3c\0\x28\0\0\0\x02r0\0\xce";
        assert_eq!(out, expected);
        for cut in 0..out.len() {
            assert_eq!(next(&out[..cut])?, None, "{cut} bytes");
        }
        let payload = &expected[HEAD_BYTES..expected.len() - 1];
        let frame = Frame {
            kind: METHOD,
            payload,
        };
        assert_eq!(next(&out)?, Some((frame, out.len())));
        assert_eq!(method(payload)?, (BASIC_PUBLISH, &b"\0\0\0\x02r0\0"[..]));
        Ok(())
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(next(b"\x08\0\0\0\0\0\0\xcf").is_err());
        assert!(next(b"AMQP\0\0\x09\x01").is_err());
        assert!(method(b"\0\x3c\0").is_err());
        assert!(short(b"\x05abc").is_err());
    }

    #[test]
    fn a_table_names_key_type_and_value() {
        assert_eq!(entry("x", "quorum"), b"\x01xS\0\0\0\x06quorum");
    }
}
