//! Redis pub/sub: at most once, to those who are there.

use super::resp::{self, Reply};
use crate::error::{StartError, Unsupported, WireError};
use crate::server::{Place, Server};
use crate::target::{Ack, Durability, Event, Room, Since, Target, Wire};

const OWN: [(&str, &str); 1] = [("appendonly", "no")];

/// Redis as a fan-out.
#[derive(Clone, Copy, Debug)]
pub struct PubSub;

impl Target for PubSub {
    type Wire = PubSubWire;

    fn name(&self) -> String {
        "redis pub/sub".to_owned()
    }

    fn durability(&self) -> Durability {
        Durability {
            acked: "when it was queued for the subscribers; kept nowhere".to_owned(),
            synced_before_ack: false,
            synced_before_delivery: false,
        }
    }

    fn settings(&self) -> Vec<String> {
        super::in_words(&OWN)
    }

    fn start(&self, place: &Place) -> Result<Server, StartError> {
        super::start(&OWN, place)
    }

    fn wire(&self, _number: u32) -> PubSubWire {
        PubSubWire::default()
    }
}

/// One connection. RESP3, since with RESP2 a connection that subscribes cannot publish.
#[derive(Clone, Copy, Debug, Default)]
pub struct PubSubWire {
    is_ready: bool,
    /// The request of the newest publish that was acked.
    acked: u64,
    /// Replies are switched off: nobody wants acks.
    is_silent: bool,
}

impl PubSubWire {
    fn on_reply(
        &mut self,
        reply: &Reply<'_>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<(), WireError> {
        match reply {
            Reply::Push(items) => match items.as_slice() {
                [Reply::Bulk(b"message"), _, Reply::Bulk(body)] => sink(Event::Delivered { body }),
                [Reply::Bulk(b"subscribe"), ..] => sink(Event::Subscribed),
                _ => {}
            },
            // The answer to HELLO is the only map, and the first of all.
            Reply::Array(_) if !self.is_ready => {
                self.is_ready = true;
                sink(Event::Ready);
            }
            Reply::Number(_) => {
                self.acked += 1;
                sink(Event::Acked {
                    request: self.acked,
                });
            }
            Reply::Error(text) if !self.is_ready => {
                let text = String::from_utf8_lossy(text).into_owned();
                return Err(WireError::Closed(text));
            }
            Reply::Error(_) => sink(Event::Refused),
            _ => {}
        }
        Ok(())
    }
}

impl Wire for PubSubWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        resp::command(&[b"HELLO", b"3"], out);
    }

    fn subscribe(
        &mut self,
        room: &Room,
        since: Since,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        if since == Since::Beginning {
            return Err(Unsupported("history of pub/sub"));
        }
        resp::command(&[b"SUBSCRIBE", room.name.as_bytes()], out);
        Ok(())
    }

    fn publish(&mut self, room: &Room, _request: u64, ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        if ack == Ack::Unwanted && !self.is_silent {
            // Spares it an answer to each PUBLISH; pushes come all the same.
            self.is_silent = true;
            resp::command(&[b"CLIENT", b"REPLY", b"OFF"], out);
        }
        resp::command(&[b"PUBLISH", room.name.as_bytes(), body], out);
    }

    #[inline]
    fn parse(
        &mut self,
        input: &[u8],
        _out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut used = 0;
        loop {
            if let Some((body, length)) = resp::message(&input[used..]) {
                used += length;
                sink(Event::Delivered { body });
            } else if let Some((reply, length)) = resp::next(&input[used..])? {
                used += length;
                self.on_reply(&reply, sink)?;
            } else {
                return Ok(used);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::transcript::{heard, said};
    use super::*;

    fn room() -> Room {
        Room {
            number: 1,
            name: "r0-1".to_owned(),
        }
    }

    #[test]
    fn a_connection_says_hello_subscribes_and_publishes_without_replies() {
        let mut wire = PubSubWire::default();
        let hello = said(|out| wire.open(out));
        assert_eq!(hello, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
        let subscribe = said(|out| {
            assert_eq!(wire.subscribe(&room(), Since::Now, out), Ok(()));
        });
        assert_eq!(subscribe, "*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nr0-1\r\n");
        let first = said(|out| wire.publish(&room(), 1, Ack::Unwanted, b"hi", out));
        let second = said(|out| wire.publish(&room(), 2, Ack::Unwanted, b"hi", out));
        let publish = "*3\r\n$7\r\nPUBLISH\r\n$4\r\nr0-1\r\n$2\r\nhi\r\n";
        let off = "*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n";
        assert_eq!(
            (first, second),
            (format!("{off}{publish}"), publish.to_owned())
        );
    }

    #[test]
    fn what_it_hears_is_told() {
        let transcript = b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n\
            >3\r\n$9\r\nsubscribe\r\n$4\r\nr0-1\r\n:1\r\n\
            >3\r\n$7\r\nmessage\r\n$4\r\nr0-1\r\n$2\r\nhi\r\n\
            :1\r\n-ERR no\r\n";
        let expected = ["Ready", "Subscribed", "Delivered hi", "Acked 1", "Refused"];
        assert_eq!(heard(PubSubWire::default, transcript), expected);
    }
}
