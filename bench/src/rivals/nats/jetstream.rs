//! JetStream: what is kept, by one server or by three.

use std::thread;
use std::time::{Duration, Instant};

use super::super::talk::Talk;
use super::jetstream_wire::JetStreamWire;
use super::node::Node;
use crate::error::StartError;
use crate::limits::READY_WITHIN;
use crate::port::Ports;
use crate::server::{Place, Server};
use crate::target::{Durability, Event, Room, Target};

/// The stream that keeps all rooms; a stream of many subjects is how rooms are kept there.
pub(super) const STREAM: &str = "ROOMS";
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
        let (mut nodes, mut ports) = (Vec::new(), Ports::default());
        for _ in 0..self.replicas {
            let node = Node::alone(&mut ports)?.with_jetstream(self.own());
            let is_one_of_many = self.replicas > 1;
            nodes.push(if is_one_of_many {
                node.in_a_cluster(&mut ports)?
            } else {
                node
            });
        }
        super::node::start(&nodes, ports, place)
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
            talk.give_up_after(Duration::from_secs(3));
        }
        let request = format!(
            "{{\"name\":\"{STREAM}\",\"subjects\":[\"room.*\"],\"retention\":\"limits\",\
             \"storage\":\"file\",\"num_replicas\":{},\"max_msgs\":-1,\"max_bytes\":-1,\
             \"discard\":\"old\",\"allow_direct\":true}}",
            self.replicas
        );
        talk.say(|wire, out| {
            let subject: [&[u8]; 2] = [b"$JS.API.STREAM.CREATE.", STREAM.as_bytes()];
            wire.ask(&subject, "0", request.as_bytes(), out);
        });
        talk.hear(1, |event| matches!(event, Event::Acked { request: 0 }))
    }
}
