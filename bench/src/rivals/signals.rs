//! Our own broker, by signals: what is told to those who are there and kept nowhere. The like of what NATS core, Redis pub/sub and
//! MQTT at QoS 0 do.

use std::net::SocketAddr;

use antiphon_protocol::{
    Features, Hello, Kind, Ping, Pong, RequestId, RoomRef, ServerFrame, Signal, SignalPush, Start,
    Subscribe, Wants, limits, next_frame,
};

use super::talk::Talk;
use crate::antiphon::Antiphon;
use crate::error::{StartError, Unsupported, WireError};
use crate::server::{Place, Server};
use crate::target::{Ack, Durability, Event, Room, Since, Target, Wire};

/// Silence that a client of the harness may keep, in ms.
const KEEPALIVE_MS: u32 = 60_000;
/// Rooms made at once; below the publishes that a connection may have under way.
const ROOMS_AT_ONCE: usize = 500;
/// What the signals are about.
const NAME: &str = "m";

/// A broker of ours, spoken to in signals without keys.
#[derive(Clone, Debug)]
pub struct Signals {
    /// The broker.
    pub broker: Antiphon,
}

impl Target for Signals {
    type Wire = SignalsWire;

    fn name(&self) -> String {
        self.broker.name().replace("records", "signals")
    }

    fn durability(&self) -> Durability {
        Durability {
            acked: "never: a signal is told to those who are there, and kept nowhere".to_owned(),
            synced_before_ack: false,
            synced_before_delivery: false,
        }
    }

    fn settings(&self) -> Vec<String> {
        self.broker.settings()
    }

    fn start(&self, place: &Place) -> Result<Server, StartError> {
        self.broker.start(place)
    }

    /// A record into each room: nobody is live in a room that does not exist.
    fn prepare(&self, server: &Server, rooms: &[Room]) -> Result<(), StartError> {
        // A number that no connection of the generator has.
        let wire = self.broker.wire(u32::MAX);
        let address: SocketAddr = server.addresses[0];
        let mut talk = Talk::open("antiphon", address, wire)?;
        let mut request = 0;
        for some in rooms.chunks(ROOMS_AT_ONCE) {
            for room in some {
                request += 1;
                talk.say(|wire, out| wire.publish(room, request, Ack::Wanted, b"made", out));
            }
            talk.hear(some.len(), |event| matches!(event, Event::Acked { .. }))?;
        }
        Ok(())
    }

    fn wire(&self, number: u32) -> SignalsWire {
        SignalsWire {
            number,
            requests: 0,
        }
    }
}

/// One connection that sends and hears signals.
#[derive(Clone, Copy, Debug)]
pub struct SignalsWire {
    number: u32,
    /// Ids of HELLO and SUBSCRIBE; those of signals are never answered unless refused.
    requests: u64,
}

impl SignalsWire {
    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }
}

fn malformed(error: impl std::fmt::Display) -> WireError {
    WireError::Malformed(error.to_string())
}

impl Wire for SignalsWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        let user = format!("load-user-{:06}", self.number);
        let hello = Hello {
            keepalive_ms: KEEPALIVE_MS,
            features: Features::SIGNALS,
            ..Hello::new(&user)
        };
        let id = self.next_request();
        hello.encode(id, out);
    }

    fn subscribe(
        &mut self,
        room: &Room,
        since: Since,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        if since == Since::Beginning {
            return Err(Unsupported("catch-up of signals"));
        }
        let mut subscribe = Subscribe::new(RoomRef::Name(&room.name), Start::Live);
        subscribe.wants = Wants {
            signals: true,
            ..Wants::RECORDS
        };
        let id = self.next_request();
        subscribe.encode(id, out);
        Ok(())
    }

    fn publish(&mut self, room: &Room, request: u64, _ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        let signal = Signal {
            room: RoomRef::Name(&room.name),
            name: NAME,
            key: &[],
            value: body,
        };
        signal.encode(RequestId(request), out);
    }

    fn keepalive(&mut self, out: &mut Vec<u8>) {
        Ping { nonce: 0 }.encode(RequestId::PUSH, out);
    }

    #[inline]
    fn parse(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut used = 0;
        while let Some(frame) =
            next_frame(&input[used..], limits::FRAME_BYTES_MAX).map_err(malformed)?
        {
            used += frame.whole.len();
            if frame.header.kind == Kind::Signal.wire() {
                let push = SignalPush::decode(frame).map_err(malformed)?;
                if let Some(signal) = push.signal {
                    sink(Event::Delivered { body: signal.value });
                }
                continue;
            }
            let id = frame.header.id;
            match ServerFrame::decode(frame).map_err(malformed)? {
                ServerFrame::Welcome(welcome) if welcome.features.has(Features::SIGNALS) => {
                    sink(Event::Ready);
                }
                ServerFrame::Welcome(_) => {
                    return Err(WireError::Closed("it serves no signals".to_owned()));
                }
                ServerFrame::Subscribed(_) => sink(Event::Subscribed),
                ServerFrame::Ping(ping) => Pong {
                    nonce: ping.nonce,
                    digest: None,
                }
                .encode(id, out),
                ServerFrame::Error(_) | ServerFrame::Gap(_) | ServerFrame::Unsubscribe(_) => {
                    sink(Event::Refused);
                }
                ServerFrame::Goaway(goaway) => {
                    return Err(WireError::Closed(format!("{goaway:?}")));
                }
                _ => {}
            }
        }
        Ok(used)
    }
}
