//! JetStream: what is kept, by one server or by three.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use super::super::talk::Talk;
use super::node::Node;
use super::text::{self, Operation};
use crate::error::{StartError, Unsupported, WireError};
use crate::limits::READY_WITHIN;
use crate::server::{Place, Server};
use crate::target::{Ack, Durability, Event, Room, Since, Target, Wire};

/// The stream that keeps all rooms; a stream of many subjects is how rooms are kept there.
const STREAM: &str = "ROOMS";
/// Number of the request that creates it.
const CREATE: u64 = 0;
/// How often a cluster that has no leader yet is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// When JetStream syncs its files: `sync_interval` of nats-server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SyncInterval {
    /// Every two minutes.
    Default,
    /// Before each ack.
    Always,
}

/// JetStream as a log.
#[derive(Clone, Copy, Debug)]
pub struct JetStream {
    /// When it syncs.
    pub sync: SyncInterval,
    /// Servers, each with a replica: 1 or 3.
    pub replicas: u32,
}

impl JetStream {
    const fn own(self) -> &'static str {
        match self.sync {
            SyncInterval::Default => "",
            SyncInterval::Always => "sync_interval: always",
        }
    }
}

impl Target for JetStream {
    type Wire = JetStreamWire;

    fn name(&self) -> String {
        let sync = match self.sync {
            SyncInterval::Default => "default",
            SyncInterval::Always => "always",
        };
        format!("jetstream R{}, {sync}", self.replicas)
    }

    fn durability(&self) -> Durability {
        let is_synced = self.sync == SyncInterval::Always;
        let whose = if self.replicas == 1 {
            "its file"
        } else {
            "the file of a quorum"
        };
        let acked = if is_synced {
            format!("after a sync of {whose}")
        } else {
            format!("after a write to {whose}, which is synced every 2 minutes")
        };
        Durability {
            acked,
            synced_before_ack: is_synced,
            synced_before_delivery: is_synced,
        }
    }

    fn settings(&self) -> Vec<String> {
        let sync = match self.sync {
            SyncInterval::Default => "2m (default)",
            SyncInterval::Always => "always",
        };
        let replicas = self.replicas.to_string();
        super::node::in_words(&[
            ("sync_interval", sync),
            ("num_replicas", &replicas),
            ("storage", "file"),
        ])
    }

    fn start(&self, place: &Place) -> Result<Server, StartError> {
        let mut nodes = Vec::new();
        for _ in 0..self.replicas {
            let node = Node::alone()?.with_jetstream(self.own());
            let is_one_of_many = self.replicas > 1;
            nodes.push(if is_one_of_many {
                node.in_a_cluster()?
            } else {
                node
            });
        }
        super::node::start(&nodes, place)
    }

    /// Creates the stream. To ask for one that is there already, with the same settings, changes nothing.
    fn prepare(&self, server: &Server, _rooms: &[Room]) -> Result<(), StartError> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            match self.create(server) {
                // A cluster answers with an error, or not at all, until it has a leader.
                Err(_) if self.replicas > 1 && Instant::now() < until => {
                    thread::park_timeout(AGAIN);
                }
                created => return created,
            }
        }
    }

    fn wire(&self, number: u32) -> JetStreamWire {
        JetStreamWire::new(number)
    }
}

impl JetStream {
    fn create(&self, server: &Server) -> Result<(), StartError> {
        // A number that no connection of the generator has.
        let wire = JetStreamWire::new(u32::MAX);
        let mut talk = Talk::open("nats-server", server.addresses[0], wire)?;
        if self.replicas > 1 {
            talk.give_up_after(Duration::from_secs(3))?;
        }
        let request = format!(
            "{{\"name\":\"{STREAM}\",\"subjects\":[\"room.*\"],\"retention\":\"limits\",\
             \"storage\":\"file\",\"num_replicas\":{},\"max_msgs\":-1,\"max_bytes\":-1,\
             \"discard\":\"old\"}}",
            self.replicas
        );
        talk.say(|wire, out| {
            let subject: [&[u8]; 2] = [b"$JS.API.STREAM.CREATE.", STREAM.as_bytes()];
            wire.ask(&subject, CREATE, request.as_bytes(), out);
        });
        talk.hear(1, |event| matches!(event, Event::Acked { request: CREATE }))
    }
}

/// One connection. Acks come to an inbox of its own, whose last part is the request.
#[derive(Clone, Debug)]
pub struct JetStreamWire {
    /// `_INBOX.NUMBER.`
    inbox: String,
    is_ready: bool,
}

impl JetStreamWire {
    fn new(number: u32) -> Self {
        Self {
            inbox: format!("_INBOX.{number}."),
            is_ready: false,
        }
    }

    #[inline]
    fn ask(&self, subject: &[&[u8]], request: u64, payload: &[u8], out: &mut Vec<u8>) {
        let request = request.to_string();
        let reply: [&[u8]; 2] = [self.inbox.as_bytes(), request.as_bytes()];
        text::publish(subject, &reply, payload, out);
    }

    fn on_reply(&self, subject: &[u8], payload: &[u8], sink: &mut impl FnMut(Event<'_>)) {
        let request = subject.strip_prefix(self.inbox.as_bytes());
        let request = request.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        // The answer is JSON. An error is its field `error`, which no other answer has.
        let is_error = payload.windows(ERROR.len()).any(|window| window == ERROR);
        match request {
            Some(request) if !is_error => sink(Event::Acked { request }),
            _ => sink(Event::Refused),
        }
    }
}

const ERROR: &[u8] = b"\"error\":";

impl Wire for JetStreamWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        text::connect(out);
        write!(out, "SUB {}* 1\r\n", self.inbox).expect("a Vec takes all bytes");
    }

    fn subscribe(&mut self, _: &Room, _: Since, _: &mut Vec<u8>) -> Result<(), Unsupported> {
        Err(Unsupported("consumer that this harness speaks to"))
    }

    fn publish(&mut self, room: &Room, request: u64, _ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        self.ask(&[b"room.", room.name.as_bytes()], request, body, out);
    }

    fn keepalive(&mut self, out: &mut Vec<u8>) {
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
                Operation::Message { subject, payload } => self.on_reply(subject, payload, sink),
                Operation::Ping => out.extend_from_slice(b"PONG\r\n"),
                Operation::Pong if !self.is_ready => {
                    self.is_ready = true;
                    sink(Event::Ready);
                }
                Operation::Pong | Operation::Told => {}
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

    #[test]
    fn a_publish_names_where_its_ack_goes() {
        let room = Room {
            number: 3,
            name: "r0-3".to_owned(),
        };
        let mut wire = JetStreamWire::new(5);
        let words = said(|out| wire.publish(&room, 12, Ack::Wanted, b"hi", out));
        assert_eq!(words, "PUB room.r0-3 _INBOX.5.12 2\r\nhi\r\n");
        let opened = said(|out| wire.open(out));
        assert!(opened.ends_with("PING\r\nSUB _INBOX.5.* 1\r\n"), "{opened}");
    }

    #[test]
    fn acks_are_told_by_the_inbox_and_errors_by_their_field() {
        let transcript = b"INFO {}\r\nPONG\r\n\
            MSG _INBOX.5.12 1 26\r\n{\"stream\":\"ROOMS\",\"seq\":1}\r\n\
            MSG _INBOX.5.13 1 24\r\n{\"error\":{\"code\":503 } }\r\nPONG\r\n";
        let expected = ["Ready", "Acked 12", "Refused"];
        assert_eq!(heard(|| JetStreamWire::new(5), transcript), expected);
    }
}
