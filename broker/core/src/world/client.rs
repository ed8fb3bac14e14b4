//! A client that believes nothing: it checks every seq, every link and every ack that it gets.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use std::string::{String, ToString};

use antiphon_protocol::{
    Ack, Code, Fetch, FetchRange, Hello, Link, PageItem, Producer, ProducerSeq, Publish, ReadLevel,
    RecordKind, RequestId, RoomId, RoomRef, Seq, ServerFrame, Start, Subscribe, Unsubscribe,
    next_frame,
};

use crate::core::ConnId;

/// What a client knows of a room it publishes to.
#[derive(Debug, Default)]
struct Voice {
    /// Sent, or to be sent again, and not acked; by producer_seq.
    unacked: BTreeMap<u64, Vec<u8>>,
    /// producer_seq -> (room, seq).
    acked: BTreeMap<u64, (RoomId, Seq)>,
    /// Publishes sent on this connection that have no answer.
    in_flight: u32,
    /// Some answer was not final: send all again once nothing is in flight.
    must_resend: bool,
}

/// What a client knows of a room it listens to.
#[derive(Clone, Copy, Debug)]
struct Ear {
    room: RoomId,
    next: Seq,
    link: Link,
}

/// What a request was.
#[derive(Clone, Debug)]
enum Asked {
    Publish(String, u64),
    Subscribe(String),
    Unsubscribe(String),
    Fetch(Option<(Seq, Link)>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) user: String,
    pub(super) core: usize,
    pub(super) conn: ConnId,
    pub(super) is_paused: bool,
    pub(super) is_connected: bool,
    /// Frames to be read by the server.
    pub(super) to_send: VecDeque<Vec<u8>>,
    /// Bytes on their way to the client.
    pub(super) socket: VecDeque<u8>,
    inbox: Vec<u8>,
    producer: Option<Producer>,
    requests: u64,
    asked: BTreeMap<u64, Asked>,
    voices: BTreeMap<String, Voice>,
    /// What is (to be) listened to: `None` until the first SUBSCRIBED with a room.
    ears: BTreeMap<String, Option<Ear>>,
    pub(super) records: u64,
    pub(super) goaways: Vec<Code>,
}

impl Client {
    pub(super) fn new(user: &str, core: usize, conn: ConnId) -> Client {
        let mut client = Client {
            user: user.to_string(),
            core,
            conn,
            is_paused: false,
            is_connected: true,
            to_send: VecDeque::new(),
            socket: VecDeque::new(),
            inbox: Vec::new(),
            producer: None,
            requests: 0,
            asked: BTreeMap::new(),
            voices: BTreeMap::new(),
            ears: BTreeMap::new(),
            records: 0,
            goaways: Vec::new(),
        };
        client.hello();
        client
    }

    fn hello(&mut self) {
        let mut out = Vec::new();
        Hello {
            producer: self.producer,
            ..Hello::new(&self.user)
        }
        .encode(RequestId(u64::MAX), &mut out);
        self.to_send.push_back(out);
    }

    /// Comes back on another connection: says who it is, listens on, sends again.
    pub(super) fn reconnect(&mut self, core: usize, conn: ConnId) {
        (self.core, self.conn) = (core, conn);
        (self.is_paused, self.is_connected) = (false, true);
        self.to_send.clear();
        self.socket.clear();
        self.inbox.clear();
        self.asked.clear();
        self.hello();
        for (room, ear) in self.ears.clone() {
            let start = match ear {
                None => Start::Live,
                Some(ear) => Start::After {
                    seq: ear.next.previous(),
                    link: if ear.next.0 == 1 { Link(0) } else { ear.link },
                },
            };
            self.ask_subscribe(&room, start);
        }
        for voice in self.voices.values_mut() {
            voice.in_flight = 0;
            voice.must_resend = true;
        }
        self.resend();
    }

    fn request(&mut self, asked: Asked) -> RequestId {
        self.requests += 1;
        self.asked.insert(self.requests, asked);
        RequestId(self.requests)
    }

    /// Publishes a body nobody else publishes.
    pub(super) fn publish(&mut self, room: &str, bytes: usize) {
        if self.producer.is_none() {
            return;
        }
        let voice = self.voices.entry(room.to_string()).or_default();
        let seq = voice.acked.len() as u64 + voice.unacked.len() as u64 + 1;
        let mut body = std::format!("{} {} {}", self.user, room, seq).into_bytes();
        body.resize(body.len().max(bytes), b'.');
        voice.unacked.insert(seq, body);
        if !voice.must_resend {
            self.send_publish(room, seq);
        }
    }

    fn send_publish(&mut self, room: &str, seq: u64) {
        let id = self.request(Asked::Publish(room.to_string(), seq));
        let voice = self.voices.get_mut(room).unwrap();
        voice.in_flight += 1;
        let known = voice
            .acked
            .values()
            .next()
            .map(|(room, _)| *room)
            .filter(|_| seq.is_multiple_of(3));
        let publish = Publish {
            room: known.map_or(RoomRef::Name(room), RoomRef::Id),
            producer: self.producer.unwrap(),
            producer_seq: ProducerSeq(seq),
            kind: RecordKind::MESSAGE,
            codec: 0,
            ack: Ack::Committed,
            expect_seq: antiphon_protocol::Seq(0),
            headers: &[],
            body: &voice.unacked[&seq],
        };
        let mut out = Vec::new();
        publish.encode(id, &mut out);
        self.to_send.push_back(out);
    }

    /// Sends again what has to be.
    fn resend(&mut self) {
        if self.producer.is_none() {
            return;
        }
        let rooms: Vec<String> = self
            .voices
            .iter()
            .filter(|(_, voice)| voice.must_resend && voice.in_flight == 0)
            .map(|(room, _)| room.clone())
            .collect();
        for room in rooms {
            let voice = self.voices.get_mut(&room).unwrap();
            voice.must_resend = false;
            for seq in voice.unacked.keys().copied().collect::<Vec<_>>() {
                self.send_publish(&room, seq);
            }
        }
    }

    pub(super) fn subscribe(&mut self, room: &str, last: Option<u64>) {
        self.ears.entry(room.to_string()).or_insert(None);
        self.ask_subscribe(room, last.map_or(Start::Live, Start::Last));
    }

    fn ask_subscribe(&mut self, room: &str, start: Start) {
        let id = self.request(Asked::Subscribe(room.to_string()));
        let mut out = Vec::new();
        Subscribe::new(RoomRef::Name(room), start).encode(id, &mut out);
        self.to_send.push_back(out);
    }

    pub(super) fn unsubscribe(&mut self, room: &str) {
        let id = self.request(Asked::Unsubscribe(room.to_string()));
        let mut out = Vec::new();
        Unsubscribe {
            room: RoomRef::Name(room),
            code: Code::NONE,
        }
        .encode(id, &mut out);
        self.to_send.push_back(out);
    }

    pub(super) fn fetch(&mut self, room: &str, limit: u32) {
        let id = self.request(Asked::Fetch(None));
        let mut out = Vec::new();
        let range = if limit.is_multiple_of(2) {
            FetchRange::Latest
        } else {
            FetchRange::After(Seq(0))
        };
        Fetch {
            room: RoomRef::Name(room),
            range,
            limit,
            read: ReadLevel::Any,
            token: 0,
        }
        .encode(id, &mut out);
        self.to_send.push_back(out);
    }

    /// Takes up to `count` bytes from the socket and handles the frames in them.
    pub(super) fn receive(&mut self, count: usize) {
        let count = count.min(self.socket.len());
        self.inbox.extend(self.socket.drain(..count));
        let inbox = core::mem::take(&mut self.inbox);
        let mut rest = &inbox[..];
        while let Some(frame) = next_frame(rest, 1024 * 1024).unwrap() {
            rest = &rest[frame.whole.len()..];
            self.handle(frame.header.id.0, &ServerFrame::decode(frame).unwrap());
        }
        self.inbox = rest.to_vec();
        self.resend();
    }

    fn handle(&mut self, id: u64, frame: &ServerFrame<'_>) {
        match frame {
            ServerFrame::Welcome(welcome) => self.producer = Some(welcome.producer),
            ServerFrame::Goaway(goaway) => self.goaways.push(goaway.code),
            ServerFrame::Ping(_) | ServerFrame::Pong(_) => {}
            ServerFrame::Puback(puback) => {
                for entry in puback.entries() {
                    self.acked(entry.request.0, entry.room_id, entry.seq);
                }
            }
            ServerFrame::Error(error) => self.refused(id, error.code),
            ServerFrame::Subscribed(subscribed) => self.subscribed(id, subscribed),
            ServerFrame::Record(record) => {
                let ear = self
                    .ears
                    .values_mut()
                    .flatten()
                    .find(|ear| ear.room == record.room_id());
                let ear = ear.unwrap_or_else(|| {
                    panic!("a record of a room that is not listened to: {record:?}")
                });
                assert_eq!(
                    record.seq(),
                    ear.next,
                    "{} {}: every seq once, in order",
                    self.user,
                    ear.room
                );
                assert!(
                    record.verify_link(ear.link),
                    "{}: the link proves it",
                    self.user
                );
                (ear.next, ear.link) = (record.seq().next(), record.link());
                self.records += 1;
            }
            ServerFrame::Ok(_) => match self.asked.remove(&id) {
                Some(Asked::Unsubscribe(room)) => {
                    self.ears.remove(&room);
                }
                other => panic!("OK for {other:?}"),
            },
            ServerFrame::Page(page) => self.page(id, page),
            other => panic!("not expected: {other:?}"),
        }
    }

    fn acked(&mut self, id: u64, room_id: RoomId, seq: Seq) {
        let Some(Asked::Publish(room, number)) = self.asked.remove(&id) else {
            panic!("an ack for nothing")
        };
        let voice = self.voices.get_mut(&room).unwrap();
        voice.in_flight -= 1;
        let _ = voice.unacked.remove(&number);
        let before = voice.acked.insert(number, (room_id, seq));
        assert!(
            before.is_none_or(|before| seq.0 == 0 || before == (room_id, seq)),
            "a publish has one seq"
        );
    }

    fn refused(&mut self, id: u64, code: Code) {
        match self.asked.remove(&id) {
            Some(Asked::Publish(room, _)) => {
                assert!(code.class().is_retryable(), "{}: {code}", self.user);
                let voice = self.voices.get_mut(&room).unwrap();
                voice.in_flight -= 1;
                voice.must_resend = true;
            }
            Some(Asked::Unsubscribe(_) | Asked::Fetch(_)) => assert_eq!(code, Code::NOT_FOUND),
            Some(Asked::Subscribe(_)) => assert_eq!(code, Code::REPLACED),
            other => panic!("{other:?} refused with {code}"),
        }
    }

    fn subscribed(&mut self, id: u64, subscribed: &antiphon_protocol::Subscribed) {
        let Some(Asked::Subscribe(room)) = self.asked.get(&id).cloned() else {
            panic!("SUBSCRIBED for nothing")
        };
        let ear = self.ears.entry(room).or_insert(None);
        if subscribed.room_id.0 != 0 {
            *ear = Some(Ear {
                room: subscribed.room_id,
                next: subscribed.next_seq,
                link: subscribed.link,
            });
        }
    }

    fn page(&mut self, id: u64, page: &antiphon_protocol::Page<'_>) {
        let Some(Asked::Fetch(known)) = self.asked.get_mut(&id) else {
            panic!("a page for nothing")
        };
        let mut at = *known;
        assert!(
            at.is_none_or(|(_, link)| link == page.head.link),
            "pages join"
        );
        let mut count = 0;
        for item in page.items() {
            let PageItem::Record(record) = item.unwrap() else {
                panic!("no gaps here")
            };
            assert!(record.verify_link(at.map_or(page.head.link, |(_, link)| link)));
            assert!(at.is_none_or(|(seq, _)| seq.next() == record.seq()));
            at = Some((record.seq(), record.link()));
            count += 1;
        }
        assert_eq!(count, page.count);
        *known = at;
        if page.last {
            self.asked.remove(&id);
        }
    }

    /// Nothing is under way from the client's view.
    pub(super) fn is_settled(&self) -> bool {
        self.to_send.is_empty()
            && self.socket.is_empty()
            && self.voices.values().all(|voice| voice.unacked.is_empty())
    }

    /// What is acked: (room, seq, body start).
    pub(super) fn acks(&self) -> impl Iterator<Item = (RoomId, Seq, String)> + '_ {
        self.voices.iter().flat_map(move |(room, voice)| {
            voice.acked.iter().map(move |(number, (id, seq))| {
                (*id, *seq, std::format!("{} {room} {number}", self.user))
            })
        })
    }

    /// Rooms listened to, and how far.
    pub(super) fn heard(&self) -> impl Iterator<Item = (RoomId, Seq)> {
        self.ears.values().flatten().map(|ear| (ear.room, ear.next))
    }

    /// Requests that have no answer.
    pub(super) fn unanswered(&self) -> usize {
        let is_open = |asked: &&Asked| !matches!(asked, Asked::Subscribe(_));
        self.asked.values().filter(is_open).count()
    }
}
