//! RESP3, as far as a client needs it that publishes, subscribes, and adds to streams.
//!
//! Specification: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::io::Write;

use crate::error::WireError;

/// Levels of arrays inside arrays; XREVRANGE has three.
const DEPTH_MAX: usize = 8;

/// One reply or push, read just deep enough.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply<'a> {
    /// `+text`
    Simple(&'a [u8]),
    /// `-text`
    Error(&'a [u8]),
    /// `:number`
    Number(i64),
    /// `$length`, bytes
    Bulk(&'a [u8]),
    /// `_`, or a bulk or array of length -1.
    Null,
    /// `*`, `~`, `%` (as keys and values in turn)
    Array(Vec<Reply<'a>>),
    /// `>`: nobody asked for it.
    Push(Vec<Reply<'a>>),
}

/// The first whole reply of `input` and its length.
pub(super) fn next(input: &[u8]) -> Result<Option<(Reply<'_>, usize)>, WireError> {
    let mut reader = Reader { input, at: 0 };
    Ok(reader.reply(0)?.map(|reply| (reply, reader.at)))
}

/// The payload of `>3 message CHANNEL PAYLOAD`, which is nearly all that a subscriber hears, and the length of it all.
/// `None`: something else, or not whole; [`next`] tells.
#[inline]
pub(super) fn message(input: &[u8]) -> Option<(&[u8], usize)> {
    const HEAD: &[u8] = b">3\r\n$7\r\nmessage\r\n";
    let mut reader = Reader {
        input,
        at: input.starts_with(HEAD).then_some(HEAD.len())?,
    };
    let mut bulk = || match reader.line().ok()?? {
        [b'$', digits @ ..] => reader.bytes(number(digits)?).ok()?,
        _ => None,
    };
    bulk()?;
    let payload = bulk()?;
    Some((payload, reader.at))
}

/// Appends a command.
#[inline]
pub(super) fn command(words: &[&[u8]], out: &mut Vec<u8>) {
    head(b'*', words.len(), out);
    for word in words {
        head(b'$', word.len(), out);
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[inline]
fn head(kind: u8, number: usize, out: &mut Vec<u8>) {
    out.push(kind);
    write!(out, "{number}").expect("a Vec takes all bytes");
    out.extend_from_slice(b"\r\n");
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply<'a>>, WireError> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let (&kind, rest) = line.split_first().ok_or_else(|| malformed("no type"))?;
        let length = || number(rest).ok_or_else(|| malformed("a length that is no number"));
        Ok(Some(match kind {
            b'+' => Reply::Simple(rest),
            b'-' => Reply::Error(rest),
            b':' => Reply::Number(number(rest).ok_or_else(|| malformed("no number"))?),
            b'_' => Reply::Null,
            b'$' | b'*' if rest == b"-1" => Reply::Null,
            b'$' => match self.bytes(length()?)? {
                Some(bytes) => Reply::Bulk(bytes),
                None => return Ok(None),
            },
            b'*' | b'~' | b'%' | b'>' => {
                let pairs = if kind == b'%' { 2 } else { 1 };
                let Some(items) = self.items(length()?.saturating_mul(pairs), depth)? else {
                    return Ok(None);
                };
                if kind == b'>' {
                    Reply::Push(items)
                } else {
                    Reply::Array(items)
                }
            }
            _ => return Err(malformed("an unknown type")),
        }))
    }

    fn items(&mut self, count: i64, depth: usize) -> Result<Option<Vec<Reply<'a>>>, WireError> {
        if depth == DEPTH_MAX || count < 0 {
            return Err(malformed(
                "an array that is too deep, or of negative length",
            ));
        }
        let mut items = Vec::new();
        for _ in 0..count {
            match self.reply(depth + 1)? {
                Some(item) => items.push(item),
                None => return Ok(None),
            }
        }
        Ok(Some(items))
    }

    /// Up to the next CR LF, without them.
    #[inline]
    fn line(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        let rest = &self.input[self.at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\r') else {
            return Ok(None);
        };
        match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => {
                self.at += end + 2;
                Ok(Some(&rest[..end]))
            }
            Some(_) => Err(malformed("a line that ends in CR only")),
        }
    }

    /// `count` bytes and CR LF.
    #[inline]
    fn bytes(&mut self, count: i64) -> Result<Option<&'a [u8]>, WireError> {
        let count = usize::try_from(count).map_err(|_| malformed("a negative length"))?;
        let rest = &self.input[self.at..];
        if rest.len() < count + 2 {
            return Ok(None);
        }
        self.at += count + 2;
        Ok(Some(&rest[..count]))
    }
}

#[inline]
fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn malformed(what: &str) -> WireError {
    WireError::Malformed(format!("RESP: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_bulks() {
        let mut out = Vec::new();
        command(&[b"PUBLISH", b"r0-1", b"a\r\nb"], &mut out);
        assert_eq!(
            out,
            b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nr0-1\r\n$4\r\na\r\nb\r\n"
        );
    }

    #[test]
    fn replies_are_read_when_they_are_whole() -> Result<(), WireError> {
        let input = b"*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nb\r\n$4\r\na\r\nb\r\n:7\r\n";
        let expected = Reply::Array(vec![
            Reply::Bulk(b"1-0"),
            Reply::Array(vec![Reply::Bulk(b"b"), Reply::Bulk(b"a\r\nb")]),
        ]);
        let whole = input.len() - 4;
        for cut in 0..whole {
            assert_eq!(next(&input[..cut])?, None, "{cut} bytes");
        }
        assert_eq!(next(input)?, Some((expected, whole)));
        assert_eq!(next(&input[whole..])?, Some((Reply::Number(7), 4)));
        assert_eq!(next(b"$-1\r\n")?, Some((Reply::Null, 5)));
        assert!(next(b"?\r\n").is_err());
        // As many pairs as there are numbers: never whole.
        assert_eq!(next(b"%9223372036854775807\r\n")?, None);
        Ok(())
    }

    #[test]
    fn the_short_way_reads_what_the_long_one_does() {
        let input = b">3\r\n$7\r\nmessage\r\n$4\r\nr0-1\r\n$2\r\nhi\r\n+OK\r\n";
        let whole = input.len() - 5;
        assert_eq!(message(input), Some((&b"hi"[..], whole)));
        for cut in 0..whole {
            assert_eq!(message(&input[..cut]), None, "{cut} bytes");
        }
        let push = vec![
            Reply::Bulk(b"message"),
            Reply::Bulk(b"r0-1"),
            Reply::Bulk(b"hi"),
        ];
        assert_eq!(next(input), Ok(Some((Reply::Push(push), whole))));
        assert_eq!(message(b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"), None);
    }
}
