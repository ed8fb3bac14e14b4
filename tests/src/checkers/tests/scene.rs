//! A faultless broker with its clients, as a writer of good histories.

use std::collections::BTreeMap;

use crate::history::{
    Actor, BodyHash, Client, Event, Fault, Head, History, Link, Node, Op, Origin, Position,
    Producer, ProducerSeq, Range, Record, Room, Seq, Start, User, Way, What, codes,
};

/// How an attempt to publish ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// Stored, acked.
    Acked,
    /// Stored, the ack was lost.
    AckLost,
    /// Not stored, and nobody knows.
    RequestLost,
    /// Refused for good.
    Refused,
}

#[derive(Debug, Default)]
struct Person {
    connected: bool,
    /// Last number per room.
    numbers: BTreeMap<Room, u64>,
    /// Open subscriptions.
    subs: BTreeMap<Room, Op>,
    /// Last record seen per room.
    positions: BTreeMap<Room, (Seq, Link)>,
    /// Without an answer.
    pending: BTreeMap<Room, (Origin, BodyHash)>,
}

/// Everything that is true, and the history so far.
#[derive(Debug)]
pub(super) struct Scene {
    head: Head,
    events: Vec<Event>,
    ops: u64,
    bodies: u64,
    log_end: u64,
    rooms: BTreeMap<Room, Vec<Record>>,
    people: BTreeMap<Client, Person>,
}

impl Scene {
    pub(super) fn new(nodes: u32, clients: u32) -> Self {
        let nodes: Vec<_> = (1..=nodes).map(Node).collect();
        let mut scene = Self {
            head: Head::new("scene", &nodes),
            events: Vec::new(),
            ops: 0,
            bodies: 0,
            log_end: 4096,
            rooms: BTreeMap::new(),
            people: BTreeMap::new(),
        };
        scene.start();
        for client in 1..=clients {
            scene.people.insert(Client(client), Person::default());
            scene.connect(Client(client));
        }
        scene
    }

    fn note(&mut self, by: Actor, what: What) {
        let at = self.events.len() as u64 * 1_000_000;
        self.events.push(Event { at, by, what });
    }

    fn by(&mut self, client: Client, what: What) {
        self.note(Actor::Client(client), what);
    }

    fn world(&mut self, what: What) {
        self.note(Actor::World, what);
    }

    fn op(&mut self) -> Op {
        self.ops += 1;
        Op(self.ops)
    }

    fn nodes(&self) -> Vec<Actor> {
        self.head.nodes.iter().copied().map(Actor::Node).collect()
    }

    fn person(&mut self, client: Client) -> &mut Person {
        self.people.entry(client).or_default()
    }

    fn start(&mut self) {
        let log_end = Position(self.log_end);
        for node in self.nodes() {
            self.note(node, What::Started { log_end });
        }
    }

    fn connect(&mut self, client: Client) {
        let op = self.op();
        let node = self.head.nodes[0];
        self.by(client, What::Connect { op, node });
        let producer = Producer(u64::from(client.0) * 10);
        self.by(client, What::Connected { op, producer });
        self.person(client).connected = true;
    }

    /// The next message of this client, or the one again that has no answer.
    pub(super) fn publish(&mut self, client: Client, room: Room, fate: Fate) {
        let again = self.person(client).pending.get(&room).copied();
        let (origin, body) = again.unwrap_or_else(|| self.fresh(client, room));
        // A refusal of what may be stored is not one.
        let fate = match (again, fate) {
            (Some(_), Fate::Refused) => Fate::Acked,
            _ => fate,
        };
        let op = self.op();
        self.by(
            client,
            What::Publish {
                op,
                room,
                origin,
                body,
            },
        );
        match fate {
            Fate::Refused => {
                let (code, hint) = (3, 0);
                self.by(client, What::Failed { op, code, hint });
                return;
            }
            Fate::RequestLost => {
                self.person(client).pending.insert(room, (origin, body));
                self.by(client, What::Unknown { op });
                return;
            }
            Fate::Acked | Fate::AckLost => {}
        }
        self.person(client)
            .numbers
            .insert(room, origin.producer_seq.0);
        let (record, duplicate) = self.store(room, origin, body);
        if fate == Fate::AckLost {
            self.person(client).pending.insert(room, (origin, body));
            self.by(client, What::Unknown { op });
        } else {
            self.person(client).pending.remove(&room);
            self.acked(client, op, room, record, duplicate);
        }
        self.deliver(room, Way::Live);
    }

    fn fresh(&mut self, client: Client, room: Room) -> (Origin, BodyHash) {
        self.bodies += 1;
        let body = BodyHash::of(&self.bodies.to_le_bytes());
        let number = self.person(client).numbers.get(&room).copied().unwrap_or(0) + 1;
        let origin = Origin {
            user: User(client.0),
            producer: Producer(u64::from(client.0) * 10),
            producer_seq: ProducerSeq(number),
        };
        (origin, body)
    }

    fn acked(&mut self, client: Client, op: Op, room: Room, record: Record, duplicate: bool) {
        let Record { seq, link, .. } = record;
        let node = Actor::Node(self.head.nodes[0]);
        self.note(node, What::AckSent { room, seq });
        let time = seq.0 * 10;
        let acked = What::Published {
            op,
            seq,
            link,
            time,
            duplicate,
        };
        self.by(client, acked);
    }

    fn store(&mut self, room: Room, origin: Origin, body: BodyHash) -> (Record, bool) {
        let records = self.rooms.entry(room).or_default();
        if let Some(old) = records.iter().find(|record| record.origin == origin) {
            return (*old, true);
        }
        let seq = Seq(records.len() as u64 + 1);
        let before = records.last().map_or(u64::from(room.0), |last| last.link.0);
        let link = Link(BodyHash::of(&(before ^ body.0).to_le_bytes()).0);
        let record = Record {
            seq,
            link,
            origin,
            body,
        };
        records.push(record);
        let from = Position(self.log_end);
        self.log_end += 128;
        let end = Position(self.log_end);
        for node in self.nodes() {
            let (first, next) = (seq, seq.next());
            let written = What::Written {
                room,
                first,
                next,
                end,
            };
            self.note(node, written);
            self.note(node, What::Synced { from, end });
        }
        (record, false)
    }

    /// Everything new to every open subscription of the room.
    fn deliver(&mut self, room: Room, way: Way) {
        let records = self.rooms.get(&room).cloned().unwrap_or_default();
        let clients: Vec<_> = self.people.keys().copied().collect();
        for client in clients {
            let person = self.person(client);
            let Some(sub) = person.subs.get(&room).copied() else {
                continue;
            };
            let seen = person.positions.get(&room).map_or(0, |(seq, _)| seq.0);
            if seen == 0 && records.len() == 1 {
                // It waited for the room.
                let subscribed = What::Subscribed {
                    op: sub,
                    head: Seq(0),
                    next: Seq(1),
                    link: Link(7),
                };
                self.by(client, subscribed);
            }
            for record in records.iter().filter(|record| record.seq.0 > seen) {
                let record = *record;
                self.by(client, What::Deliver { sub, record, way });
                let position = (record.seq, record.link);
                self.person(client).positions.insert(room, position);
            }
        }
    }

    pub(super) fn subscribe(&mut self, client: Client, room: Room, start: Start) {
        let op = self.op();
        self.by(client, What::Subscribe { op, room, start });
        let records = self.rooms.get(&room).cloned().unwrap_or_default();
        let head = Seq(records.len() as u64);
        let at = match start {
            Start::Live => head,
            Start::After { seq, .. } => seq,
            Start::Last(count) => Seq(head.0.saturating_sub(count)),
            Start::Time(_) | Start::Cursor(_) => panic!("the scene has neither"),
        };
        let known = records.iter().find(|record| record.seq == at);
        let link = known.map_or(Link(0), |record| record.link);
        let next = at.next();
        let subscribed = What::Subscribed {
            op,
            head,
            next,
            link,
        };
        self.by(client, subscribed);
        let person = self.person(client);
        person.subs.insert(room, op);
        person.positions.insert(room, (at, link));
        self.deliver(room, Way::CatchUp);
    }

    pub(super) fn unsubscribe(&mut self, client: Client, room: Room) {
        if let Some(sub) = self.person(client).subs.remove(&room) {
            self.person(client).positions.remove(&room);
            self.by(client, What::Ended { sub });
        }
    }

    pub(super) fn fetch(&mut self, client: Client, room: Room, range: Range, limit: u32) {
        let op = self.op();
        let asked = What::Fetch {
            op,
            room,
            range,
            limit,
        };
        self.by(client, asked);
        let Some(all) = self.rooms.get(&room).cloned() else {
            let (code, hint) = (codes::NOT_FOUND, 0);
            self.by(client, What::Failed { op, code, hint });
            return;
        };
        let limit = limit as usize;
        let last = |end: usize| all[end.saturating_sub(limit)..end].to_vec();
        let records = match range {
            Range::Latest => last(all.len()),
            Range::Before(seq) => last(all.len().min((seq.0 as usize).saturating_sub(1))),
            Range::Around(_) | Range::Time(_) => panic!("the scene has neither"),
            Range::After(seq) => all
                .iter()
                .skip(seq.0 as usize)
                .take(limit)
                .copied()
                .collect(),
        };
        let (head, gaps) = (Seq(all.len() as u64), Vec::new());
        let fetched = What::Fetched {
            op,
            head,
            records,
            gaps,
        };
        self.by(client, fetched);
    }

    /// What goes around records: Bob signals thrice, and twice with a key, of which the first comes too late; Ann, who hears it, has a cursor at 4.
    ///
    /// Their ops are from 1001 and 1101 on.
    pub(super) fn beside(&mut self, ann: Client, bob: Client, room: Room) {
        let sub = self.person(ann).subs[&room];
        for (at, (key, number)) in [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)]
            .into_iter()
            .enumerate()
        {
            let (op, via) = (Op(1_001 + at as u64), 77);
            let signal = What::Signal {
                op,
                room,
                via,
                key,
                number,
            };
            self.by(bob, signal);
            if (key, number) != (1, 1) {
                let signalled = What::Signalled {
                    sub,
                    via,
                    key,
                    number,
                    dropped: 0,
                };
                self.by(ann, signalled);
            }
        }
        let (user, name) = (User(ann.0), 1);
        let head = Seq(self.rooms[&room].len() as u64);
        for (op, seq) in [(Op(1_101), Seq(4)), (Op(1_102), Seq(0))] {
            let cursor = What::Cursor {
                op,
                room,
                user,
                name,
                seq,
                count: seq.0,
                sync: true,
            };
            self.by(ann, cursor);
            let at = What::CursorAt {
                op,
                seq: Seq(4),
                count: 4,
                head,
                head_count: head.0,
            };
            self.by(ann, at);
        }
        let sub = self.person(bob).subs[&room];
        let moved = What::CursorMoved {
            sub,
            user,
            name,
            seq: Seq(4),
            count: 4,
        };
        self.by(bob, moved);
    }

    /// All nodes are killed and come back; the clients return and resume.
    pub(super) fn restart(&mut self) {
        let fault = Fault {
            id: self.ops,
            name: "kill".to_owned(),
        };
        self.world(What::FaultStart(fault.clone()));
        let clients: Vec<_> = self.people.keys().copied().collect();
        for client in &clients {
            self.person(*client).connected = false;
            self.by(*client, What::Disconnected);
        }
        for node in self.nodes() {
            let how = "kill".to_owned();
            self.note(node, What::Stopped { how });
        }
        let op = self.op();
        let node = self.head.nodes[0];
        self.by(clients[0], What::Connect { op, node });
        let (code, hint) = (0, 0);
        self.by(clients[0], What::Failed { op, code, hint });
        self.start();
        self.world(What::FaultStop(fault));
        for client in clients {
            self.connect(client);
            let positions = self.person(client).positions.clone();
            for (room, (seq, link)) in positions {
                self.subscribe(client, room, Start::After { seq, link });
            }
        }
    }

    /// Everything is healed, answered, settled and read.
    pub(super) fn finish(mut self) -> History {
        self.world(What::Healed);
        let clients: Vec<_> = self.people.keys().copied().collect();
        for client in clients {
            let pending = self.person(client).pending.clone();
            for room in pending.into_keys() {
                self.publish(client, room, Fate::Acked);
            }
            self.publish(client, Room(1), Fate::Acked);
        }
        self.world(What::Settled);
        for (room, records) in self.rooms.clone() {
            for node in self.nodes() {
                let read = What::FinalRead {
                    room,
                    head: Seq(records.len() as u64),
                    records: records.clone(),
                    gaps: Vec::new(),
                };
                self.note(node, read);
            }
        }
        History {
            head: self.head,
            events: self.events,
        }
    }
}
