//! Mosquitto: MQTT 3.1.1 at QoS 0 or 1.

mod packet;

use std::collections::VecDeque;
use std::fs;
use std::process::Command;

use self::packet::Packet;
use super::install::Program;
use crate::error::{StartError, Unsupported, WireError};
use crate::port::Ports;
use crate::server::{Place, Process, Server};
use crate::target::{Ack, Durability, Event, Room, Since, Target, Wire};

/// Silence that a client may keep, in seconds; the generator speaks every 20.
const KEEPALIVE_S: u16 = 120;

/// As in mosquitto.conf(5), <https://mosquitto.org/man/mosquitto-conf-5.html>.
const SETTINGS: [(&str, &str); 6] = [
    ("allow_anonymous", "true"),
    ("persistence", "false"),
    // 0: no limit. By default it drops what waits for a slow client beyond 1,000 messages, and QoS 1 beyond 20 in flight waits.
    ("max_queued_messages", "0"),
    ("max_inflight_messages", "0"),
    // "reduce latency ... at the cost of more packets": as all others here.
    ("set_tcp_nodelay", "true"),
    ("sys_interval", "0"),
];

/// Mosquitto.
#[derive(Clone, Copy, Debug)]
pub struct Mosquitto {
    /// Quality of service of publishes and subscriptions, 0 or 1.
    pub qos: u8,
}

impl Target for Mosquitto {
    type Wire = MosquittoWire;

    fn name(&self) -> String {
        format!("mosquitto, qos {}", self.qos)
    }

    fn durability(&self) -> Durability {
        let acked = if self.qos == 0 {
            "never; kept nowhere"
        } else {
            "when it was queued in memory for the subscribers"
        };
        Durability {
            acked: acked.to_owned(),
            synced_before_ack: false,
            synced_before_delivery: false,
        }
    }

    fn settings(&self) -> Vec<String> {
        let settings = SETTINGS.iter().map(|(key, value)| format!("{key} {value}"));
        settings.collect()
    }

    fn start(&self, place: &Place) -> Result<Server, StartError> {
        let directory = tempfile::Builder::new()
            .prefix("mosquitto-bench-")
            .tempdir_in(&place.parent)?;
        let mut ports = Ports::default();
        let address = ports.take()?;
        let mut text = format!("listener {} 127.0.0.1\n", address.port());
        // As root it would change to a user who cannot read the private directory.
        text.push_str("user root\n");
        for setting in self.settings() {
            text.push_str(&setting);
            text.push('\n');
        }
        let file = directory.path().join("mosquitto.conf");
        fs::write(&file, text)?;
        let mut command = Command::new(Program::Mosquitto.path());
        command.arg("-c").arg(file);
        let mut process = Process::spawn(
            &command,
            "mosquitto",
            Program::Mosquitto.advice(),
            directory.path(),
            place,
        )?;
        process.wait_listening(address)?;
        Ok(Server {
            addresses: vec![address],
            processes: vec![process],
            ports,
            directory,
        })
    }

    fn wire(&self, number: u32) -> MosquittoWire {
        MosquittoWire {
            number,
            qos: self.qos,
            id: 0,
            waiting: VecDeque::new(),
        }
    }
}

/// One connection.
#[derive(Clone, Debug)]
pub struct MosquittoWire {
    number: u32,
    qos: u8,
    /// The newest packet id; 16 bits that go round, without 0.
    id: u16,
    /// Publishes at QoS 1 without a PUBACK: id and request. Mosquitto acks in order.
    waiting: VecDeque<(u16, u64)>,
}

impl MosquittoWire {
    fn next_id(&mut self) -> u16 {
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.id
    }

    fn on_puback(&mut self, id: u16, sink: &mut impl FnMut(Event<'_>)) {
        match self.waiting.iter().position(|&(waits, _)| waits == id) {
            Some(at) => {
                if let Some((_, request)) = self.waiting.remove(at) {
                    sink(Event::Acked { request });
                }
            }
            None => sink(Event::Refused),
        }
    }
}

impl Wire for MosquittoWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        packet::connect(&format!("load-{}", self.number), KEEPALIVE_S, out);
    }

    fn subscribe(
        &mut self,
        room: &Room,
        since: Since,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        if since == Since::Beginning {
            return Err(Unsupported("history"));
        }
        let id = self.next_id();
        packet::subscribe(id, &room.name, self.qos, out);
        Ok(())
    }

    fn publish(&mut self, room: &Room, request: u64, _ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        if self.qos == 0 {
            return packet::publish(&room.name, None, body, out);
        }
        let id = self.next_id();
        self.waiting.push_back((id, request));
        packet::publish(&room.name, Some(id), body, out);
    }

    fn keepalive(&mut self, out: &mut Vec<u8>) {
        packet::pingreq(out);
    }

    #[inline]
    fn parse(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut used = 0;
        while let Some((packet, length)) = packet::next(&input[used..])? {
            used += length;
            match packet {
                Packet::Publish { id, body } => {
                    if id != 0 {
                        packet::puback(id, out);
                    }
                    sink(Event::Delivered { body });
                }
                Packet::Puback(id) => self.on_puback(id, sink),
                Packet::Connack(0) => sink(Event::Ready),
                Packet::Connack(code) => {
                    return Err(WireError::Closed(format!("CONNACK with code {code}")));
                }
                Packet::Suback(0x80) => sink(Event::Refused),
                Packet::Suback(_) => sink(Event::Subscribed),
                Packet::Pingresp => {}
            }
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::super::transcript::heard;
    use super::*;

    fn wire() -> MosquittoWire {
        let room = Room {
            number: 0,
            name: "r0".to_owned(),
        };
        let mut wire = Mosquitto { qos: 1 }.wire(0);
        let mut out = Vec::new();
        wire.publish(&room, 40, Ack::Wanted, b"a", &mut out);
        wire.publish(&room, 41, Ack::Wanted, b"b", &mut out);
        wire
    }

    #[test]
    fn acks_go_to_the_publish_with_their_id() {
        let transcript = b"\x20\x02\0\0\x90\x03\0\x01\x01\x30\x06\0\x02r0hi\
            \x40\x02\0\x02\x40\x02\0\x01\xd0\0\x40\x02\0\x09\x90\x03\0\x01\x80";
        let expected = [
            "Ready",
            "Subscribed",
            "Delivered hi",
            "Acked 41",
            "Acked 40",
            "Refused",
            "Refused",
        ];
        assert_eq!(heard(wire, transcript), expected);
    }

    #[test]
    fn a_delivery_at_qos_1_is_answered() -> Result<(), WireError> {
        let mut out = Vec::new();
        let used = wire().parse(b"\x32\x08\0\x02r0\0\x07hi", &mut out, &mut |_| {})?;
        assert_eq!((used, out), (10, b"\x40\x02\0\x07".to_vec()));
        Ok(())
    }
}
