//! One connection with one channel.

use std::collections::VecDeque;

use super::Use;
use super::frame::{self, BASIC, CHANNEL, Method, Writer};
use crate::error::{Unsupported, WireError};
use crate::target::{Ack, Event, Room, Since, Wire};

/// Longest body of one frame: what servers offer, less the frame around it.
const BODY_FRAME_BYTES_MAX: usize = 131_072 - 8;
/// Properties of a message: only its delivery mode.
const HAS_DELIVERY_MODE: u16 = 1 << 12;
const PERSISTENT: u8 = 2;
const EXCHANGE: &[u8] = b"amq.direct";
const NO_ACK: u8 = 0b0010;
const EXCLUSIVE: u8 = 0b0100;
const AUTO_DELETE: u8 = 0b1000;
const DURABLE: u8 = 0b0010;

/// One connection to RabbitMQ.
#[derive(Clone, Debug)]
pub struct RabbitWire {
    used: Use,
    is_consuming: bool,
    /// Publishes since confirms were switched on: the next one's tag less one.
    published: u64,
    /// Publishes without a confirm: tag and request, ascending.
    waiting: VecDeque<(u64, u64)>,
    /// What is missing of the body that is being read, and what has come of it.
    missing: u64,
    partial: Vec<u8>,
}

impl RabbitWire {
    pub(super) fn new(used: Use) -> Self {
        Self {
            used,
            is_consuming: false,
            published: 0,
            waiting: VecDeque::new(),
            missing: 0,
            partial: Vec::new(),
        }
    }

    /// Declares the durable queue of a room; answered by [`Event::Subscribed`].
    pub(super) fn declare(&mut self, name: &str, out: &mut Vec<u8>) {
        let kind = match self.used {
            Use::Quorum => "quorum",
            Use::Classic | Use::Exchange => "classic",
        };
        Writer::method(frame::QUEUE_DECLARE, CHANNEL, out)
            .u16(0)
            .short(name.as_bytes())
            .u8(DURABLE)
            .long(&frame::entry("x-queue-type", kind))
            .end();
    }

    fn on_method(
        &mut self,
        method: Method,
        arguments: &[u8],
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<(), WireError> {
        match method {
            frame::BASIC_DELIVER => {}
            frame::BASIC_ACK | frame::BASIC_NACK => {
                self.on_confirm(method == frame::BASIC_ACK, arguments, sink)?;
            }
            frame::CONNECTION_START => start_ok(out),
            frame::CONNECTION_TUNE => tune_ok(arguments, out)?,
            frame::CONNECTION_OPEN_OK => {
                let writer = Writer::method(frame::CHANNEL_OPEN, CHANNEL, out);
                writer.short(b"").end();
            }
            frame::CHANNEL_OPEN_OK if self.used == Use::Exchange => sink(Event::Ready),
            frame::CHANNEL_OPEN_OK => {
                Writer::method(frame::CONFIRM_SELECT, CHANNEL, out)
                    .u8(0)
                    .end();
            }
            frame::CONFIRM_SELECT_OK => sink(Event::Ready),
            frame::QUEUE_BIND_OK => sink(Event::Subscribed),
            frame::QUEUE_DECLARE_OK if self.used != Use::Exchange => sink(Event::Subscribed),
            frame::QUEUE_DECLARE_OK | frame::BASIC_CONSUME_OK => {}
            frame::CONNECTION_CLOSE | frame::CHANNEL_CLOSE => {
                let (text, _) = frame::short(arguments.get(2..).unwrap_or_default())?;
                let text = String::from_utf8_lossy(text).into_owned();
                return Err(WireError::Closed(text));
            }
            (class, number) => {
                return Err(frame::malformed(&format!("method {class}.{number}")));
            }
        }
        Ok(())
    }

    /// `tag u64, multiple bit`
    fn on_confirm(
        &mut self,
        is_ack: bool,
        arguments: &[u8],
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<(), WireError> {
        let (tag, rest) = arguments
            .split_first_chunk()
            .ok_or_else(|| frame::malformed("a confirm without a tag"))?;
        let tag = u64::from_be_bytes(*tag);
        let is_multiple = rest.first().is_some_and(|bits| bits & 1 == 1);
        let mut settle = |(_, request)| {
            sink(if is_ack {
                Event::Acked { request }
            } else {
                Event::Refused
            });
        };
        if is_multiple {
            let count = self.waiting.partition_point(|&(waits, _)| waits <= tag);
            self.waiting.drain(..count).for_each(&mut settle);
        } else if let Ok(at) = self.waiting.binary_search_by_key(&tag, |&(waits, _)| waits) {
            self.waiting.remove(at).into_iter().for_each(&mut settle);
        }
        Ok(())
    }

    fn on_body(&mut self, part: &[u8], sink: &mut impl FnMut(Event<'_>)) -> Result<(), WireError> {
        let length = part.len() as u64;
        if length > self.missing {
            return Err(frame::malformed("a body longer than its header says"));
        }
        let is_whole = self.partial.is_empty() && length == self.missing;
        self.missing -= length;
        if is_whole {
            sink(Event::Delivered { body: part });
            return Ok(());
        }
        self.partial.extend_from_slice(part);
        if self.missing == 0 {
            sink(Event::Delivered {
                body: &self.partial,
            });
            self.partial.clear();
        }
        Ok(())
    }
}

fn start_ok(out: &mut Vec<u8>) {
    Writer::method(frame::CONNECTION_START_OK, 0, out)
        // Our own properties: none.
        .long(b"")
        .short(b"PLAIN")
        .long(b"\0guest\0guest")
        .short(b"en_US")
        .end();
}

/// Takes the server's limits as they are, without heartbeats, and opens the virtual host.
fn tune_ok(arguments: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let limits = arguments.get(..6);
    let limits = limits.ok_or_else(|| frame::malformed("a tune that ends early"))?;
    Writer::method(frame::CONNECTION_TUNE_OK, 0, out)
        .bytes(limits)
        .u16(0)
        .end();
    Writer::method(frame::CONNECTION_OPEN, 0, out)
        .short(b"/")
        .short(b"")
        .u8(0)
        .end();
    Ok(())
}

impl Wire for RabbitWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(frame::PROTOCOL);
    }

    /// The first one makes the connection's queue, which all its rooms are bound to. An empty queue name means the newest queue of
    /// the channel.
    fn subscribe(
        &mut self,
        room: &Room,
        since: Since,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        if since == Since::Beginning || self.used != Use::Exchange {
            return Err(Unsupported("history, and readers that do not compete"));
        }
        if !self.is_consuming {
            self.is_consuming = true;
            Writer::method(frame::QUEUE_DECLARE, CHANNEL, out)
                .u16(0)
                .short(b"")
                .u8(EXCLUSIVE | AUTO_DELETE)
                .long(b"")
                .end();
            Writer::method(frame::BASIC_CONSUME, CHANNEL, out)
                .u16(0)
                .short(b"")
                .short(b"c")
                .u8(NO_ACK)
                .long(b"")
                .end();
        }
        Writer::method(frame::QUEUE_BIND, CHANNEL, out)
            .u16(0)
            .short(b"")
            .short(EXCHANGE)
            .short(room.name.as_bytes())
            .u8(0)
            .long(b"")
            .end();
        Ok(())
    }

    fn publish(&mut self, room: &Room, request: u64, _ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        let is_kept = self.used != Use::Exchange;
        if is_kept {
            self.published += 1;
            self.waiting.push_back((self.published, request));
        }
        // The default exchange, which is nameless, leads to the queue with the name of the key.
        let exchange = if is_kept { &b""[..] } else { EXCHANGE };
        Writer::method(frame::BASIC_PUBLISH, CHANNEL, out)
            .u16(0)
            .short(exchange)
            .short(room.name.as_bytes())
            .u8(0)
            .end();
        let header = Writer::frame(frame::HEADER, CHANNEL, out)
            .u16(BASIC)
            .u16(0)
            .u64(body.len() as u64);
        if is_kept {
            header.u16(HAS_DELIVERY_MODE).u8(PERSISTENT).end();
        } else {
            header.u16(0).end();
        }
        for part in body.chunks(BODY_FRAME_BYTES_MAX) {
            Writer::frame(frame::BODY, CHANNEL, out).bytes(part).end();
        }
    }

    #[inline]
    fn parse(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut used = 0;
        while let Some((frame, length)) = frame::next(&input[used..])? {
            used += length;
            match frame.kind {
                frame::METHOD => {
                    let (method, arguments) = frame::method(frame.payload)?;
                    self.on_method(method, arguments, out, sink)?;
                }
                frame::HEADER => {
                    let length = frame.payload.get(4..).and_then(|rest| rest.first_chunk());
                    let length = length.ok_or_else(|| frame::malformed("a short header"))?;
                    self.missing = u64::from_be_bytes(*length);
                }
                frame::BODY => self.on_body(frame.payload, sink)?,
                frame::HEARTBEAT => {}
                kind => return Err(frame::malformed(&format!("a frame of type {kind}"))),
            }
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::transcript::heard;
    use super::*;

    fn method(method: Method, arguments: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Writer::method(method, CHANNEL, &mut out)
            .bytes(arguments)
            .end();
        out
    }

    #[test]
    fn a_connection_is_opened_step_by_step() -> Result<(), WireError> {
        let mut wire = RabbitWire::new(Use::Quorum);
        let mut out = Vec::new();
        wire.open(&mut out);
        assert_eq!(out, b"AMQP\0\0\x09\x01");
        let steps: [(Method, &[u8], &[u8]); 4] = [
            (
                frame::CONNECTION_START,
                b"",
                b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US",
            ),
            (
                frame::CONNECTION_TUNE,
                b"\x07\xff\0\x02\0\0\0\x3c",
                b"\0\x0a\0\x1f\x07\xff\0\x02\0\0\0\0",
            ),
            (frame::CONNECTION_OPEN_OK, b"\0", b"\0\x14\0\x0a\0"),
            (frame::CHANNEL_OPEN_OK, b"\0\0\0\0", b"\0\x55\0\x0a\0"),
        ];
        for (name, arguments, answer) in steps {
            out.clear();
            let mut events = 0;
            wire.parse(&method(name, arguments), &mut out, &mut |_| events += 1)?;
            let first = frame::next(&out)?.map(|(frame, _)| frame.payload);
            assert_eq!((first, events), (Some(answer), 0), "{name:?}");
        }
        let ready = method(frame::CONFIRM_SELECT_OK, b"");
        let mut events = Vec::new();
        wire.parse(&ready, &mut out, &mut |event| {
            events.push(event == Event::Ready)
        })?;
        assert_eq!(events, [true]);
        Ok(())
    }

    #[test]
    fn confirms_of_one_and_of_many_go_to_their_publishes() {
        let room = Room {
            number: 0,
            name: "r0".to_owned(),
        };
        let make = || {
            let mut wire = RabbitWire::new(Use::Classic);
            let mut out = Vec::new();
            for request in 11..=15 {
                wire.publish(&room, request, Ack::Wanted, b"hi", &mut out);
            }
            wire
        };
        let mut transcript = method(frame::BASIC_ACK, b"\0\0\0\0\0\0\0\x02\0");
        transcript.extend(method(frame::BASIC_ACK, b"\0\0\0\0\0\0\0\x04\x01"));
        transcript.extend(method(frame::BASIC_NACK, b"\0\0\0\0\0\0\0\x05\0"));
        let expected = ["Acked 12", "Acked 11", "Acked 13", "Acked 14", "Refused"];
        assert_eq!(heard(make, &transcript), expected);
    }

    #[test]
    fn a_delivery_may_come_in_several_bodies() {
        let mut transcript = method(frame::BASIC_DELIVER, b"\x01c\0");
        let header = |size: u64| {
            let mut out = Vec::new();
            Writer::frame(frame::HEADER, CHANNEL, &mut out)
                .u16(BASIC)
                .u16(0)
                .u64(size)
                .u16(0)
                .end();
            out
        };
        let body = |part: &[u8]| {
            let mut out = Vec::new();
            Writer::frame(frame::BODY, CHANNEL, &mut out)
                .bytes(part)
                .end();
            out
        };
        transcript.extend([header(2), body(b"hi")].concat());
        transcript.extend([header(5), body(b"in"), body(b" 2"), body(b"!")].concat());
        transcript.extend(method(
            frame::CHANNEL_CLOSE,
            b"\x01\x94\x09NOT_FOUND\0\0\0\0",
        ));
        let expected = [
            "Delivered hi",
            "Delivered in 2!",
            "the server ended the connection: NOT_FOUND",
        ];
        assert_eq!(
            heard(|| RabbitWire::new(Use::Exchange), &transcript),
            expected
        );
    }

    #[test]
    fn a_publish_is_a_method_a_header_and_a_body() {
        let room = Room {
            number: 0,
            name: "r0".to_owned(),
        };
        let mut out = Vec::new();
        RabbitWire::new(Use::Quorum).publish(&room, 1, Ack::Wanted, b"hi", &mut out);
        let expected = b"\x01\0\x01\0\0\0\x0b\0\x3c\0\x28\0\0\0\x02r0\0\xce\
            \x02\0\x01\0\0\0\x0f\0\x3c\0\0\0\0\0\0\0\0\0\x02\x10\0\x02\xce\
            \x03\0\x01\0\0\0\x02hi\xce";
        assert_eq!(out, expected);
    }
}
