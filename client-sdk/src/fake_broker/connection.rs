//! One connection of the model.

use std::collections::BTreeMap;

use antiphon_protocol::{
    Assembler, ClientFrame, Code, Count, CursorEntries, Device, ErrorFrame, Features, Fetch,
    FetchRange, Gap, GapReason, Goaway, GoawayClass, Hello, NodeId, Ok_, Page, PageHead, Producer,
    RequestId, RoomId, RoomRef, Seq, Start, Subscribe, Subscribed, Timestamp, Wants, Welcome,
};

use crate::fake_broker::beside::Push;
use crate::fake_broker::{Broker, OwnedPublish, Room, Waiting};

/// A small generator (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 up to `end`, exclusive; 0 if there is nothing to choose.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// What the broker knows of one connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) out: Vec<u8>,
    pub(crate) is_closing: bool,
    /// Answers to publishes, not sent yet.
    pub(crate) answers: Vec<Vec<u8>>,
    assembler: Assembler,
    session: Option<(String, Producer)>,
    /// Next record of each subscribed room.
    pub(crate) subscriptions: BTreeMap<RoomId, Seq>,
    wants: BTreeMap<RoomId, Wants>,
    /// Subscribed rooms that do not exist yet.
    awaited: Vec<(RequestId, String, Wants)>,
}

impl Connection {
    pub(crate) fn receive(&mut self, number: u64, bytes: &[u8], broker: &mut Broker) {
        let mut assembler = std::mem::take(&mut self.assembler);
        let mut rest = bytes;
        while let Some(raw) = assembler
            .next(&mut rest, 1024 * 1024)
            .expect("a client keeps the stream whole")
        {
            // Behind a goodbye nothing is read.
            if self.is_closing {
                continue;
            }
            let id = raw.header.id;
            match ClientFrame::decode(raw).expect("a client sends lawful frames") {
                ClientFrame::Hello(hello) => self.greet(id, &hello, broker),
                ClientFrame::Ping(ping) => self.pong(id, ping.nonce, broker),
                ClientFrame::Signal(signal) => self.signal(id, &signal, broker),
                ClientFrame::Cursor(cursor) => self.cursor(id, &cursor, broker),
                ClientFrame::Metadata(_) => self.metadata(id),
                ClientFrame::Publish(publish) => {
                    let (user, producer) = self.session.clone().expect("HELLO comes first");
                    assert_eq!(
                        publish.producer, producer,
                        "a publish of another session's producer"
                    );
                    let waiting = Waiting {
                        connection: number,
                        id,
                        user,
                        publish: OwnedPublish::from(&publish),
                    };
                    let pipe = broker.pipes.entry(number).or_default();
                    pipe.push_back(waiting);
                    assert!(
                        pipe.len() <= broker.in_flight_max as usize,
                        "more in flight than told"
                    );
                }
                ClientFrame::Subscribe(subscribe) => self.subscribe(id, &subscribe, broker),
                ClientFrame::Unsubscribe(unsubscribe) => {
                    match unsubscribe.room {
                        RoomRef::Id(id) => drop(self.subscriptions.remove(&id)),
                        RoomRef::Name(name) => {
                            self.awaited.retain(|(_, awaited, _)| awaited != name);
                            if let Some(room) = broker.room(name) {
                                self.subscriptions.remove(&room.id);
                            }
                        }
                    }
                    Ok_::DONE.encode(id, &mut self.out);
                }
                ClientFrame::Fetch(fetch) => self.fetch(id, &fetch, broker),
                other => panic!("no client sends {other:?}"),
            }
        }
        self.assembler = assembler;
    }

    fn greet(&mut self, id: RequestId, hello: &Hello<'_>, broker: &mut Broker) {
        assert!(self.session.is_none(), "a second HELLO");
        if hello
            .producer
            .is_some_and(|producer| broker.expired.contains(&producer))
            && broker.random.percent(50)
        {
            let goaway = Goaway::new(Code::PRODUCER_EXPIRED, GoawayClass::Terminal, "too old");
            goaway.encode(RequestId::PUSH, &mut self.out);
            self.is_closing = true;
            return;
        }
        let producer = hello.producer.unwrap_or_else(|| {
            broker.producers += 1;
            Producer::new(broker.time, broker.producers)
        });
        // A newer connection of the same session ends the older one.
        for other in broker.connections.values_mut() {
            if other
                .session
                .as_ref()
                .is_some_and(|(_, known)| *known == producer)
            {
                let goaway = Goaway::new(Code::REPLACED, GoawayClass::Terminal, "replaced");
                goaway.encode(RequestId::PUSH, &mut other.out);
                other.is_closing = true;
            }
        }
        let welcome = Welcome {
            features: hello.features
                & (Features::SIGNALS | Features::CURSORS | Features::DIGESTS | Features::METADATA),
            producer,
            server_time: broker.time,
            node: NodeId(1),
            device: hello.device.unwrap_or(Device(7)),
            keepalive_ms: broker.keepalive_ms,
            frame_bytes_max: 1024 * 1024,
            body_bytes_max: 256 * 1024,
            headers_bytes_max: 4_096,
            in_flight_max: broker.in_flight_max,
            subscriptions_max: 100,
            requests_max: broker.requests_max,
            fetch_records_max: 100,
            version: 1,
            room_bytes_max: 255,
            user: hello.user,
        };
        welcome.encode(id, &mut self.out);
        self.session = Some((hello.user.to_owned(), producer));
    }

    pub(crate) fn user(&self) -> String {
        self.session.clone().expect("HELLO comes first").0
    }

    pub(crate) fn push(&mut self, push: &Push) {
        let wants = self.wants.get(&push.room).copied().unwrap_or_default();
        if self.subscriptions.contains_key(&push.room) && (push.is_wanted)(wants) {
            self.out.extend_from_slice(&push.frame);
        }
    }

    pub(crate) fn refuses(&mut self, id: RequestId, broker: &mut Broker) -> bool {
        let refuses = broker.random.percent(broker.faults.refuse_requests);
        if refuses {
            ErrorFrame::new(Code::UNAVAILABLE).encode(id, &mut self.out);
        }
        refuses
    }

    fn subscribe(&mut self, id: RequestId, subscribe: &Subscribe<'_>, broker: &mut Broker) {
        if self.refuses(id, broker) {
            return;
        }
        let found = broker
            .rooms
            .iter()
            .find(|(name, room)| match subscribe.room {
                RoomRef::Id(id) => room.id == id,
                RoomRef::Name(wanted) => *name == wanted,
            });
        match (found, subscribe.room) {
            (Some((_, room)), _) => {
                let mut start = subscribe.start;
                if let Start::Cursor(name) = start {
                    let place = (room.id, self.user(), name.to_owned());
                    let position = broker.cursors.get(&place).copied().unwrap_or_default();
                    let link = antiphon_protocol::Link(0);
                    let seq = position.seq;
                    start = Start::After { seq, link };
                }
                let list = if subscribe.wants.cursors {
                    self.list_cursors(room.id, broker)
                } else {
                    Vec::new()
                };
                self.wants.insert(room.id, subscribe.wants);
                self.place(id, start, room, &list);
            }
            (None, RoomRef::Name(name)) => {
                Subscribed::NO_ROOM.encode(id, &mut self.out);
                let awaited = (id, name.to_owned(), subscribe.wants);
                self.awaited.push(awaited);
            }
            (None, RoomRef::Id(_)) => ErrorFrame::new(Code::NOT_FOUND).encode(id, &mut self.out),
        }
    }

    fn place(&mut self, id: RequestId, start: Start<'_>, room: &Room, cursors: &[u8]) {
        let head = room.head();
        let next = match start {
            Start::Live => head.next(),
            Start::Last(n) => Seq(head.0.saturating_sub(n) + 1),
            Start::After { seq, link } => {
                if seq > head || (seq.0 > 0 && link.0 != 0 && room.link(seq) != link) {
                    return ErrorFrame {
                        hint: head.0,
                        ..ErrorFrame::new(Code::DIVERGED)
                    }
                    .encode(id, &mut self.out);
                }
                seq.next()
            }
            Start::Time(_) | Start::Cursor(_) => {
                return ErrorFrame::new(Code::NOT_SUPPORTED).encode(id, &mut self.out);
            }
        };
        let (user, producer) = self.session.clone().expect("HELLO comes first");
        let subscribed = Subscribed {
            room_id: room.id,
            head_seq: head,
            head_count: Count(head.0),
            head_link: room.link(head),
            head_time: Timestamp(1),
            first_seq: room.first_kept,
            next_seq: next,
            link: room.link(next.previous()),
            producer_seq: room.last_number(&user, producer),
            role: 0,
            cursors: CursorEntries::new(cursors).expect("a lawful list"),
        };
        subscribed.encode(id, &mut self.out);
        self.subscriptions.insert(room.id, next);
    }

    fn fetch(&mut self, id: RequestId, fetch: &Fetch<'_>, broker: &mut Broker) {
        if self.refuses(id, broker) {
            return;
        }
        let RoomRef::Name(name) = fetch.room else {
            panic!("the client fetches by name")
        };
        let Some(room) = broker.room(name) else {
            return ErrorFrame::new(Code::NOT_FOUND).encode(id, &mut self.out);
        };
        let (head, limit) = (room.head().0, u64::from(fetch.limit));
        let (first, end) = match fetch.range {
            FetchRange::Latest => (head.saturating_sub(limit) + 1, head + 1),
            FetchRange::Before(seq) => (
                seq.0.min(head + 1).saturating_sub(limit).max(1),
                seq.0.min(head + 1),
            ),
            FetchRange::After(seq) => (seq.0 + 1, (seq.0 + 1 + limit).min(head + 1)),
            FetchRange::Around(seq) => {
                let from = seq.0.saturating_sub(limit / 2).clamp(1, head + 1);
                let end = seq.0.saturating_sub(limit / 2) + limit;
                (from, end.clamp(from, head + 1))
            }
            FetchRange::Time(_) => {
                return ErrorFrame::new(Code::NOT_SUPPORTED).encode(id, &mut self.out);
            }
        };
        // Pages of three, so that an answer has several.
        let mut from = first;
        loop {
            let to = (from + 3).min(end).max(from);
            let link = room.link(Seq(from.saturating_sub(1).min(head)));
            let page = PageHead {
                room_id: room.id,
                link,
                head_seq: Seq(head),
                token: 0,
                first_seq: room.first_kept,
            };
            let draft = Page::begin(&mut self.out, id, &page);
            for seq in from..to {
                self.out
                    .extend_from_slice(&room.records[seq as usize - 1].frame);
            }
            draft.finish(&mut self.out, (to - from) as u32, to >= end);
            if to >= end {
                return;
            }
            from = to;
        }
    }

    /// Queues answers to publishes, in any order if some are kept back.
    pub(crate) fn answer(&mut self, random: &mut Random, keep_back: u64) {
        for answer in std::mem::take(&mut self.answers) {
            if random.percent(keep_back) {
                self.answers.push(answer);
            } else {
                self.out.extend(answer);
            }
        }
    }

    /// Queues what subscribers have not seen; rooms that have come to be are announced first.
    pub(crate) fn fan_out(&mut self, rooms: &BTreeMap<String, Room>) {
        for (id, name, wants) in std::mem::take(&mut self.awaited) {
            let Some(room) = rooms.get(&name) else {
                self.awaited.push((id, name, wants));
                continue;
            };
            let start = Start::After {
                seq: Seq(0),
                link: antiphon_protocol::Link(0),
            };
            self.wants.insert(room.id, wants);
            self.place(id, start, room, &[]);
        }
        for (room_id, next) in &mut self.subscriptions {
            let Some(room) = rooms.values().find(|room| room.id == *room_id) else {
                continue;
            };
            if *next < room.first_kept {
                let to = room.first_kept.previous();
                let gap = Gap {
                    room_id: *room_id,
                    from: *next,
                    to,
                    link: room.link(to),
                    reason: GapReason::RETENTION,
                };
                gap.encode(RequestId::PUSH, &mut self.out);
                *next = room.first_kept;
            }
            while *next <= room.head() {
                self.out
                    .extend_from_slice(&room.records[next.0 as usize - 1].frame);
                *next = next.next();
            }
        }
    }
}
