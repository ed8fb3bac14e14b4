//! MQTT 3.1.1, as far as a client needs it that publishes and subscribes at QoS 0 or 1.
//!
//! Specification: <https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html>.

use crate::error::WireError;

/// A packet from the server, its type in the upper half of the first byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Packet<'a> {
    /// 2, with its return code; 0: accepted.
    Connack(u8),
    /// 3; `id` is 0 at QoS 0.
    Publish { id: u16, body: &'a [u8] },
    /// 4
    Puback(u16),
    /// 9, with the first return code; 0x80: refused.
    Suback(u8),
    /// 13
    Pingresp,
}

/// The first whole packet of `input` and its length.
#[inline]
pub(super) fn next(input: &[u8]) -> Result<Option<(Packet<'_>, usize)>, WireError> {
    let Some((length, head)) = remaining_length(input)? else {
        return Ok(None);
    };
    let whole = head + length;
    let Some(rest) = input.get(head..whole) else {
        return Ok(None);
    };
    let packet = match (input[0] >> 4, rest) {
        (2, [_, code]) => Packet::Connack(*code),
        (3, rest) => publish_in(input[0], rest)?,
        (4, &[high, low]) => Packet::Puback(u16::from_be_bytes([high, low])),
        (9, [_, _, code, ..]) => Packet::Suback(*code),
        (13, []) => Packet::Pingresp,
        (kind, _) => return Err(malformed(&format!("a packet of type {kind}"))),
    };
    Ok(Some((packet, whole)))
}

#[inline]
fn publish_in(first: u8, rest: &[u8]) -> Result<Packet<'_>, WireError> {
    let told = || malformed("a publish that ends early");
    let (length, rest) = rest.split_first_chunk().ok_or_else(told)?;
    let topic = usize::from(u16::from_be_bytes(*length));
    let rest = rest.get(topic..).ok_or_else(told)?;
    if first & 0b0110 == 0 {
        return Ok(Packet::Publish { id: 0, body: rest });
    }
    let (id, body) = rest.split_first_chunk().ok_or_else(told)?;
    let id = u16::from_be_bytes(*id);
    Ok(Packet::Publish { id, body })
}

/// The length of what follows, 7 bits a byte, and where that starts.
#[inline]
fn remaining_length(input: &[u8]) -> Result<Option<(usize, usize)>, WireError> {
    let mut length = 0;
    for (at, &byte) in input.iter().enumerate().skip(1).take(4) {
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    if input.len() > 4 {
        return Err(malformed("a length of more than four bytes"));
    }
    Ok(None)
}

/// CONNECT with a clean session.
pub(super) fn connect(client: &str, keepalive_s: u16, out: &mut Vec<u8>) {
    head(0x10, 10 + 2 + client.len(), out);
    text("MQTT", out);
    // Level 4, clean session.
    out.extend_from_slice(&[4, 2]);
    out.extend_from_slice(&keepalive_s.to_be_bytes());
    text(client, out);
}

/// SUBSCRIBE to one topic.
pub(super) fn subscribe(id: u16, topic: &str, qos: u8, out: &mut Vec<u8>) {
    head(0x82, 2 + 2 + topic.len() + 1, out);
    out.extend_from_slice(&id.to_be_bytes());
    text(topic, out);
    out.push(qos);
}

/// PUBLISH; `id` is `None` at QoS 0.
#[inline]
pub(super) fn publish(topic: &str, id: Option<u16>, body: &[u8], out: &mut Vec<u8>) {
    let (first, id_bytes) = if id.is_some() { (0x32, 2) } else { (0x30, 0) };
    head(first, 2 + topic.len() + id_bytes + body.len(), out);
    text(topic, out);
    if let Some(id) = id {
        out.extend_from_slice(&id.to_be_bytes());
    }
    out.extend_from_slice(body);
}

/// PUBACK.
#[inline]
pub(super) fn puback(id: u16, out: &mut Vec<u8>) {
    head(0x40, 2, out);
    out.extend_from_slice(&id.to_be_bytes());
}

/// PINGREQ.
pub(super) fn pingreq(out: &mut Vec<u8>) {
    head(0xc0, 0, out);
}

#[inline]
fn head(first: u8, mut length: usize, out: &mut Vec<u8>) {
    out.push(first);
    while length > 0x7f {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn text(text: &str, out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("names are short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn malformed(what: &str) -> WireError {
    WireError::Malformed(format!("MQTT: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_read_as_it_is_written_when_it_is_whole() -> Result<(), WireError> {
        for (id, body) in [(None, vec![b'x'; 3]), (Some(513), vec![b'y'; 200])] {
            let mut out = Vec::new();
            publish("r0-1", id, &body, &mut out);
            for cut in 0..out.len() {
                assert_eq!(next(&out[..cut])?, None, "{cut} bytes");
            }
            let id = id.unwrap_or_default();
            let packet = Packet::Publish { id, body: &body };
            assert_eq!(next(&out)?, Some((packet, out.len())));
        }
        Ok(())
    }

    #[test]
    fn packets_are_as_specified() {
        let mut out = Vec::new();
        connect("c7", 60, &mut out);
        subscribe(1, "r0", 1, &mut out);
        publish("r0", Some(2), b"hi", &mut out);
        puback(3, &mut out);
        pingreq(&mut out);
        let expected = b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02c7\
            \x82\x07\0\x01\0\x02r0\x01\
            \x32\x08\0\x02r0\0\x02hi\
            \x40\x02\0\x03\xc0\0";
        assert_eq!(out, expected);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(next(b"\x30\xff\xff\xff\xff\x01").is_err());
        assert!(next(b"\x30\x01\0").is_err());
        assert!(next(b"\xf0\0").is_err());
    }
}
