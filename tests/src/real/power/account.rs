//! What is known of a disk over all its boots, as a history.

use std::collections::BTreeMap;

use super::guest::{ROOMS, Read, UNDER_WAY_MAX, body, boot_of};
use crate::audit::user_of;
use crate::history::{
    BodyHash, Client, Head, History, Link, Op, Origin, Producer, ProducerSeq, Range, Record, Room,
    Seq, User, What,
};
use crate::real::journal::Journal;
use crate::real::seat::NODE;

/// Who reads the rooms.
const READER: Client = Client(100);

/// One room's publisher in one boot.
#[derive(Debug, Default)]
struct Publisher {
    /// The head that the room had before. A room has one publisher, so its n-th message stands at head + n.
    head: u64,
    /// The highest seq that was acked or read.
    known: u64,
    /// Numbers up to this one were noted as asked for.
    asked: u64,
    /// Those without an answer.
    open: BTreeMap<u64, Op>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Account {
    journal: Journal,
    boot: u64,
    is_publishing: bool,
    publishers: BTreeMap<Room, Publisher>,
}

impl Account {
    pub(super) fn new(origin: &str) -> Self {
        Self {
            journal: Journal::new(Head::new(origin, &[NODE])),
            boot: 0,
            is_publishing: false,
            publishers: BTreeMap::new(),
        }
    }

    pub(super) fn boots(&mut self, boot: u64) {
        self.boot = boot;
    }

    /// A room was read, before anything is published in this boot. Gives how many of its records had no ack.
    pub(super) fn read(&mut self, room: Room, read: &[Read]) -> u64 {
        let op = self.journal.op();
        let range = Range::After(Seq(0));
        let limit = u32::MAX;
        let ask = What::Fetch {
            op,
            room,
            range,
            limit,
        };
        self.journal.client(READER, ask);
        let (head, records) = seen(read);
        let answer = What::Fetched {
            op,
            head,
            records,
            gaps: Vec::new(),
        };
        self.journal.client(READER, answer);
        let publisher = self.publishers.entry(room).or_default();
        publisher.head = head.0;
        let unacked = head.0.saturating_sub(publisher.known);
        publisher.known = head.0;
        unacked
    }

    /// A room was read, and nothing will follow.
    pub(super) fn read_last(&self, room: Room, read: &[Read]) {
        let (head, records) = seen(read);
        let gaps = Vec::new();
        let what = What::FinalRead {
            room,
            head,
            records,
            gaps,
        };
        self.journal.node(NODE, what);
    }

    /// Publishing begins; no cut will follow if it is the last boot.
    pub(super) fn publishes(&mut self, is_last: bool) {
        self.is_publishing = true;
        for room in (1..=ROOMS).map(Room) {
            let publisher = self.publishers.entry(room).or_default();
            (publisher.asked, publisher.open) = (0, BTreeMap::new());
            let op = self.journal.op();
            self.journal
                .client(client(room), What::Connect { op, node: NODE });
            let producer = Producer(self.boot);
            self.journal
                .client(client(room), What::Connected { op, producer });
        }
        if is_last {
            self.journal.world(What::Healed);
        }
    }

    pub(super) fn acked(&mut self, room: Room, seq: Seq, link: Link) {
        let head = self.publishers.entry(room).or_default().head;
        let number = seq.0.saturating_sub(head);
        self.asks(room, number);
        let publisher = self.publishers.entry(room).or_default();
        publisher.known = publisher.known.max(seq.0);
        // One that is not open: the broker gave a seq below the head. Shape sees an answer without a request.
        let op = publisher.open.remove(&number).unwrap_or(Op(0));
        let what = What::Published {
            op,
            seq,
            link,
            time: 0,
            duplicate: false,
        };
        self.journal.client(client(room), what);
    }

    /// Notes that all up to this number were asked for.
    fn asks(&mut self, room: Room, last: u64) {
        let boot = self.boot;
        let publisher = self.publishers.entry(room).or_default();
        for number in publisher.asked + 1..=last {
            let op = self.journal.op();
            let what = What::Publish {
                op,
                room,
                origin: origin(User(room.0), boot, number),
                body: BodyHash::of(body(room, boot, number).as_bytes()),
            };
            self.journal.client(client(room), what);
            publisher.open.insert(number, op);
        }
        publisher.asked = publisher.asked.max(last);
    }

    /// The power was cut: nobody knows of what was under way.
    pub(super) fn cut(&mut self) {
        if !std::mem::take(&mut self.is_publishing) {
            return;
        }
        for room in (1..=ROOMS).map(Room) {
            let asked = self.publishers.entry(room).or_default().asked;
            self.asks(room, asked + UNDER_WAY_MAX);
            let publisher = self.publishers.entry(room).or_default();
            for op in std::mem::take(&mut publisher.open).into_values() {
                self.journal.client(client(room), What::Unknown { op });
            }
            self.journal.client(client(room), What::Disconnected);
        }
    }

    /// All that was to be published is, and nothing is under way.
    pub(super) fn settles(&mut self) {
        self.is_publishing = false;
        self.journal.world(What::Settled);
    }

    /// Acks so far.
    pub(super) fn acks(&self) -> u64 {
        self.journal.counts().1
    }

    pub(super) fn finish(self) -> History {
        self.journal.finish()
    }
}

fn client(room: Room) -> Client {
    Client(room.0)
}

/// Producers are numbered by boots: the number that the broker draws is lost with a record that is lost.
fn origin(user: User, boot: u64, number: u64) -> Origin {
    Origin {
        user,
        producer: Producer(boot),
        producer_seq: ProducerSeq(number),
    }
}

/// The head of a room as it was read, and its records.
fn seen(read: &[Read]) -> (Seq, Vec<Record>) {
    let head = read.last().map_or(Seq(0), |last| last.seq);
    let record = |read: &Read| {
        let user = user_of(read.user.as_bytes());
        // A body that no boot published is found by its hash.
        let boot = boot_of(&read.text).unwrap_or(u64::MAX);
        Record {
            seq: read.seq,
            link: read.link,
            origin: origin(user, boot, read.producer_seq),
            body: BodyHash::of(read.text.as_bytes()),
        }
    };
    (head, read.iter().map(record).collect())
}
