//! Our own broker as a system under test.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use antiphon_protocol::{
    Ack as WireAck, Features, Fetch, FetchRange, Hello, Kind, Link, Page, PageItem, Ping, Pong,
    Producer, ProducerSeq, Puback, Publish, RawFrame, ReadLevel, Record, RecordKind, RequestId,
    RoomId, RoomRef, Seq, ServerFrame, Signal, Start, Subscribe, limits, next_frame,
};
use serde_json::Value;

use crate::error::{StartError, Unsupported, WireError};
use crate::port::Ports;
use crate::server::{Place, Process, Server};
use crate::target::{Ack, Durability, Event, Room, Since, Target, Wire};

/// Silence that a client of the harness may keep, in ms: the most that is granted, so that idle connections stay idle.
const KEEPALIVE_MS: u32 = 60_000;

/// A broker of ours, as a binary.
#[derive(Clone, Debug)]
pub struct Antiphon {
    /// The `antiphon` program.
    pub binary: PathBuf,
    /// Further settings of `serve`, each as KEY=VALUE.
    pub settings: Vec<String>,
    /// What stands in tables behind `antiphon`; empty: nothing.
    pub label: String,
    /// A broker that runs already, and is neither started nor stopped; `None`: one is started.
    pub running: Option<SocketAddr>,
    /// Whether its connections show and hear signals beside records.
    pub signals: bool,
}

impl Antiphon {
    /// A broker with the default settings.
    #[must_use]
    pub fn new(binary: PathBuf) -> Self {
        Self {
            binary,
            settings: Vec::new(),
            label: String::new(),
            running: None,
            signals: false,
        }
    }

    fn sets(&self, place: &Place) -> Vec<String> {
        let mut sets = Vec::new();
        // One CPU, one event loop; the default counts CPUs.
        if place.cpu.is_some() {
            sets.push("threads.cores=1".to_owned());
        }
        sets.extend(self.settings.iter().cloned());
        sets
    }
}

impl Target for Antiphon {
    type Wire = AntiphonWire;

    fn name(&self) -> String {
        if self.label.is_empty() {
            "antiphon, records".to_owned()
        } else {
            format!("antiphon {}, records", self.label)
        }
    }

    fn durability(&self) -> Durability {
        Durability {
            acked: "after fdatasync of the log and commit".to_owned(),
            synced_before_ack: true,
            synced_before_delivery: true,
        }
    }

    fn settings(&self) -> Vec<String> {
        self.settings.clone()
    }

    fn start(&self, place: &Place) -> Result<Server, StartError> {
        let directory = tempfile::Builder::new()
            .prefix("antiphon-bench-")
            .tempdir_in(&place.parent)?;
        if let Some(address) = self.running {
            return Ok(Server {
                addresses: vec![address],
                processes: Vec::new(),
                ports: Ports::default(),
                directory,
            });
        }
        let mut command = Command::new(&self.binary);
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_string_lossy().starts_with("ANTIPHON_")) {
            command.env_remove(name);
        }
        command.args(["--json", "serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(directory.path().join("data"));
        for set in self.sets(place) {
            command.arg("--set").arg(set);
        }
        let (process, address) = Process::spawn_until(
            &command,
            "antiphon",
            "build it: cargo build --release",
            directory.path(),
            place,
            ready_address,
        )?;
        Ok(Server {
            addresses: vec![address],
            processes: vec![process],
            ports: Ports::default(),
            directory,
        })
    }

    fn wire(&self, number: u32) -> AntiphonWire {
        AntiphonWire::new(number, self.signals)
    }
}

/// The address in `{"event":"ready","address":...}`.
fn ready_address(line: &str) -> Option<SocketAddr> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "ready")
        .then(|| event["address"].as_str()?.parse().ok())
        .flatten()
}

/// One connection to a broker of ours.
#[derive(Debug)]
pub struct AntiphonWire {
    number: u32,
    /// Whether it shows and hears signals.
    signals: bool,
    producer: Producer,
    /// Ids of our own requests; those of publishes and fetches are the generator's, marked by [`OURS`] not being set.
    requests: u64,
    /// What is published to, by the room's number. Empty on a connection that only listens.
    rooms: HashMap<u32, Published, foldhash::fast::FixedState>,
    /// First publishes to rooms, which go by name: request and number of the room. The ack tells the room's id.
    named: Vec<(u64, u32)>,
    /// SUBSCRIBEs without a room: their second SUBSCRIBED is no news. Few, and gone when the room comes into being.
    roomless: Vec<u64>,
}

/// A request of the wire's own: HELLO and SUBSCRIBE.
const OURS: u64 = 1 << 63;
/// A FETCH, so that its id never equals that of a publish.
const FETCH: u64 = 1 << 62;

/// What a connection knows of a room that it publishes to.
#[derive(Clone, Copy, Debug, Default)]
struct Published {
    /// 0: not told yet.
    room_id: RoomId,
    producer_seq: u64,
}

impl AntiphonWire {
    fn new(number: u32, signals: bool) -> Self {
        Self {
            number,
            signals,
            producer: Producer(0),
            requests: 0,
            rooms: HashMap::default(),
            named: Vec::new(),
            roomless: Vec::new(),
        }
    }

    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(OURS | self.requests)
    }

    fn on_acks(&mut self, puback: Puback<'_>, sink: &mut impl FnMut(Event<'_>)) {
        for entry in puback.entries() {
            if !self.named.is_empty() {
                self.learn(entry.request.0, entry.room_id);
            }
            sink(Event::Acked {
                request: entry.request.0,
            });
        }
    }

    fn learn(&mut self, request: u64, room_id: RoomId) {
        if let Some(at) = self.named.iter().position(|&(named, _)| named == request) {
            let (_, room) = self.named.swap_remove(at);
            self.rooms.entry(room).or_default().room_id = room_id;
        }
    }

    fn on_subscribed(&mut self, id: RequestId, room_id: RoomId, sink: &mut impl FnMut(Event<'_>)) {
        if let Some(at) = self.roomless.iter().position(|&request| request == id.0) {
            self.roomless.swap_remove(at);
            return;
        }
        if room_id == RoomId(0) {
            self.roomless.push(id.0);
        }
        sink(Event::Subscribed);
    }

    fn on_page(
        id: RequestId,
        page: &Page<'_>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<(), WireError> {
        for item in page.items() {
            match item.map_err(malformed)? {
                PageItem::Record(record) => sink(Event::HistoryItem {
                    body: record.body(),
                }),
                PageItem::Gap(_) => sink(Event::Refused),
            }
        }
        if page.last {
            sink(Event::History {
                request: id.0 & !FETCH,
            });
        }
        Ok(())
    }

    /// Everything but a record, which is most of what comes.
    fn on_frame(
        &mut self,
        frame: RawFrame<'_>,
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<(), WireError> {
        let id = frame.header.id;
        match ServerFrame::decode(frame).map_err(malformed)? {
            ServerFrame::Puback(puback) => self.on_acks(puback, sink),
            ServerFrame::Welcome(welcome) => {
                self.producer = welcome.producer;
                sink(Event::Ready);
            }
            ServerFrame::Subscribed(subscribed) => {
                self.on_subscribed(id, subscribed.room_id, sink);
            }
            ServerFrame::Signal(_) => sink(Event::Signalled),
            ServerFrame::Page(page) => Self::on_page(id, &page, sink)?,
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
        Ok(())
    }
}

fn malformed(error: impl std::fmt::Display) -> WireError {
    WireError::Malformed(error.to_string())
}

impl Wire for AntiphonWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        // 16 bytes: what the memory of an idle connection is quoted for.
        let user = format!("load-user-{:06}", self.number);
        let features = if self.signals {
            Features::SIGNALS
        } else {
            Features::default()
        };
        let hello = Hello {
            keepalive_ms: KEEPALIVE_MS,
            features,
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
        let start = match since {
            Since::Now => Start::Live,
            Since::Beginning => Start::After {
                seq: Seq(0),
                link: Link(0),
            },
        };
        let mut subscribe = Subscribe::new(RoomRef::Name(&room.name), start);
        subscribe.wants.signals = self.signals;
        let id = self.next_request();
        subscribe.encode(id, out);
        Ok(())
    }

    fn publish(&mut self, room: &Room, request: u64, ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        let published = self.rooms.entry(room.number).or_default();
        published.producer_seq += 1;
        let is_first = published.producer_seq == 1;
        if is_first {
            self.named.push((request, room.number));
        }
        let publish = Publish {
            room: if published.room_id == RoomId(0) {
                RoomRef::Name(&room.name)
            } else {
                RoomRef::Id(published.room_id)
            },
            producer: self.producer,
            producer_seq: ProducerSeq(published.producer_seq),
            kind: RecordKind::MESSAGE,
            codec: 0,
            expect_seq: Seq(0),
            // The ack of the first one is for us: it tells the room's id.
            ack: if is_first || ack == Ack::Wanted {
                WireAck::Committed
            } else {
                WireAck::None
            },
            headers: &[],
            body,
        };
        publish.encode(RequestId(request), out);
    }

    fn history(
        &mut self,
        room: &Room,
        limit: u32,
        request: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        let fetch = Fetch {
            room: RoomRef::Name(&room.name),
            range: FetchRange::Latest,
            limit,
            read: ReadLevel::Any,
            token: 0,
        };
        fetch.encode(RequestId(FETCH | request), out);
        Ok(())
    }

    fn signal(&mut self, room: &Room, out: &mut Vec<u8>) {
        if !self.signals {
            return;
        }
        let typing = Signal {
            room: RoomRef::Name(&room.name),
            name: "typing",
            key: b"typing",
            value: &[],
        };
        let id = self.next_request();
        typing.encode(id, out);
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
            if frame.header.kind == Kind::Record.wire() {
                let record = Record::parse_unchecked_crc(frame.whole).map_err(malformed)?;
                sink(Event::Delivered {
                    body: record.body(),
                });
            } else {
                self.on_frame(frame, out, sink)?;
            }
        }
        Ok(used)
    }
}
