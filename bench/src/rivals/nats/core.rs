//! NATS core: at most once, to those who are there.

use std::collections::VecDeque;
use std::io::Write;

use super::node::Node;
use super::text::{self, Operation};
use crate::error::{StartError, Unsupported, WireError};
use crate::port::Ports;
use crate::server::{Place, Server};
use crate::target::{Ack, Durability, Event, Room, Since, Target, Wire};

/// NATS as a fan-out.
#[derive(Clone, Copy, Debug)]
pub struct Core;

impl Target for Core {
    type Wire = CoreWire;

    fn name(&self) -> String {
        "nats core".to_owned()
    }

    fn durability(&self) -> Durability {
        Durability {
            acked: "never; kept nowhere".to_owned(),
            synced_before_ack: false,
            synced_before_delivery: false,
        }
    }

    fn settings(&self) -> Vec<String> {
        super::node::in_words(&[])
    }

    fn start(&self, place: &Place) -> Result<Server, StartError> {
        let mut ports = Ports::default();
        let node = Node::alone(&mut ports)?;
        super::node::start(&[node], ports, place)
    }

    fn wire(&self, _number: u32) -> CoreWire {
        CoreWire::default()
    }
}

/// What the next PONG answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pinged {
    Connect,
    Subscribe,
    Keepalive,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub struct CoreWire {
    pinged: VecDeque<Pinged>,
    subscriptions: u32,
}

impl Wire for CoreWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        self.pinged.push_back(Pinged::Connect);
        text::connect(false, out);
    }

    fn subscribe(
        &mut self,
        room: &Room,
        since: Since,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        if since == Since::Beginning {
            return Err(Unsupported("history of core subjects"));
        }
        self.subscriptions += 1;
        self.pinged.push_back(Pinged::Subscribe);
        let (name, sid) = (&room.name, self.subscriptions);
        write!(out, "SUB room.{name} {sid}\r\nPING\r\n").expect("a Vec takes all bytes");
        Ok(())
    }

    fn publish(&mut self, room: &Room, _request: u64, _ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        text::publish(&[b"room.", room.name.as_bytes()], &[], body, out);
    }

    fn keepalive(&mut self, out: &mut Vec<u8>) {
        self.pinged.push_back(Pinged::Keepalive);
        out.extend_from_slice(b"PING\r\n");
    }

    #[inline]
    fn parse(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut used = 0;
        while let Some((operation, length)) = text::next(&input[used..])? {
            used += length;
            match operation {
                Operation::Message(message) => sink(Event::Delivered {
                    body: message.payload,
                }),
                Operation::Ping => out.extend_from_slice(b"PONG\r\n"),
                Operation::Pong => match self.pinged.pop_front() {
                    Some(Pinged::Connect) => sink(Event::Ready),
                    Some(Pinged::Subscribe) => sink(Event::Subscribed),
                    Some(Pinged::Keepalive) => {}
                    None => return Err(WireError::Malformed("a PONG to nothing".to_owned())),
                },
                Operation::Told => {}
                Operation::Error(text) => {
                    let text = String::from_utf8_lossy(text).into_owned();
                    return Err(WireError::Closed(text));
                }
            }
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::transcript::{heard, said};
    use super::*;

    fn asked() -> (CoreWire, String) {
        let room = Room {
            number: 0,
            name: "r0-0".to_owned(),
        };
        let mut wire = CoreWire::default();
        said(|out| wire.open(out));
        let words = said(|out| {
            assert_eq!(wire.subscribe(&room, Since::Now, out), Ok(()));
            wire.publish(&room, 1, Ack::Unwanted, b"hi", out);
            wire.keepalive(out);
        });
        (wire, words)
    }

    #[test]
    fn what_it_says() {
        let expected = "SUB room.r0-0 1\r\nPING\r\nPUB room.r0-0 2\r\nhi\r\nPING\r\n";
        assert_eq!(asked().1, expected);
    }

    #[test]
    fn pongs_answer_in_order_and_a_ping_is_answered() -> Result<(), WireError> {
        let transcript = b"INFO {\"server_id\":\"X\"}\r\nPONG\r\nPONG\r\n\
            MSG room.r0-0 1 2\r\nhi\r\nPING\r\nPONG\r\n-ERR 'Slow Consumer'\r\n";
        let expected = [
            "Ready",
            "Subscribed",
            "Delivered hi",
            "the server ended the connection: -ERR 'Slow Consumer'",
        ];
        assert_eq!(heard(|| asked().0, transcript), expected);
        let mut out = Vec::new();
        let used = CoreWire::default().parse(b"PING\r\n", &mut out, &mut |_| {})?;
        assert_eq!((used, out), (6, b"PONG\r\n".to_vec()));
        Ok(())
    }
}
