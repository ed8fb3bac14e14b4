//! What is counted: each case is a broker in a certain state, and rounds that do the same thing to it again and again.

use antiphon_core::ConnId;
use antiphon_protocol::{
    Ack, ClientFrame, Fetch, FetchRange, ProducerSeq, Publish, ReadLevel, RecordKind, RequestId,
    RoomId, RoomRef, Seq, ServerFrame, Signal, Wants, limits, next_frame,
};

use crate::broker::{Broker, Client};
use crate::limits::{
    BATCH_MESSAGES, BODY_BYTES, MEMBERS, PAGE_RECORDS, ROOMS, ROOMS_PER_CONNECTION,
    SIGNAL_ROUND_MS, SUBSCRIBERS,
};

const ROOM: &str = "a room with a name";
const USER: &str = "sixteen-byte-use";

/// What is fed in each round, by connection.
type Rounds = Vec<Vec<(ConnId, Vec<u8>)>>;

/// One thing that a broker does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Case {
    /// PUBLISH frames are decoded, nothing else.
    Decode,
    /// A connection publishes in bulk: decode, admit, stamp, append, commit, apply, ack.
    Publish,
    /// The same for a message that is alone.
    PublishOne,
    /// One record to the subscribers of one room, up to the bytes of each send.
    Fanout,
    /// Many records to the subscribers of one room.
    FanoutBatch,
    /// One record in each of many rooms to the members of each, which share their connections.
    Rooms,
    /// One signal to the subscribers of one room.
    Signals,
    /// A page of the newest records of a room.
    History,
    /// A connection that says hello, subscribes, and stays.
    Connect,
}

/// A case that is ready to run so many rounds.
#[derive(Debug)]
pub struct Scene {
    case: Case,
    broker: Broker,
    /// What is fed in each round.
    rounds: Rounds,
    next: usize,
}

impl Case {
    /// All of them.
    pub const ALL: [Case; 9] = [
        Case::Decode,
        Case::Publish,
        Case::PublishOne,
        Case::Fanout,
        Case::FanoutBatch,
        Case::Rooms,
        Case::Signals,
        Case::History,
        Case::Connect,
    ];

    /// Its name in the baseline.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Case::Decode => "decode",
            Case::Publish => "publish",
            Case::PublishOne => "publish-one",
            Case::Fanout => "fanout",
            Case::FanoutBatch => "fanout-batch",
            Case::Rooms => "rooms",
            Case::Signals => "signals",
            Case::History => "history",
            Case::Connect => "connect",
        }
    }

    /// The case of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Case> {
        Case::ALL.into_iter().find(|case| case.name() == name)
    }

    /// What is counted, and how many of it a round has.
    #[must_use]
    pub const fn units(self) -> (&'static str, usize) {
        match self {
            Case::Decode => ("frame", BATCH_MESSAGES),
            Case::Publish => ("message", BATCH_MESSAGES),
            Case::PublishOne => ("message", 1),
            Case::Fanout | Case::Signals => ("delivery", SUBSCRIBERS),
            Case::FanoutBatch => ("delivery", SUBSCRIBERS * BATCH_MESSAGES),
            Case::Rooms => ("delivery", ROOMS * MEMBERS),
            Case::History => ("page", 1),
            Case::Connect => ("connection", 1),
        }
    }

    /// Rounds that are counted: enough that the rare things (ticks, checkpoints, buffers that grow) weigh little.
    #[must_use]
    pub const fn rounds(self) -> usize {
        match self {
            Case::Decode | Case::Publish => 200,
            Case::PublishOne | Case::History => 400,
            Case::Fanout | Case::Signals => 100,
            Case::FanoutBatch | Case::Rooms => 50,
            // As many as are there when it begins: tables then double once in each half.
            Case::Connect => 512,
        }
    }

    /// The broker in its state, with what `rounds` rounds are fed.
    #[must_use]
    pub fn scene(self, rounds: usize) -> Scene {
        let mut broker = Broker::start();
        let rounds = match self {
            Case::Decode | Case::Publish => {
                Publisher::new(&mut broker, &[ROOM]).rounds(rounds, BATCH_MESSAGES)
            }
            Case::PublishOne => Publisher::new(&mut broker, &[ROOM]).rounds(rounds, 1),
            Case::Fanout => crowd(&mut broker, Wants::RECORDS).rounds(rounds, 1),
            Case::FanoutBatch => crowd(&mut broker, Wants::RECORDS).rounds(rounds, BATCH_MESSAGES),
            Case::Rooms => one_each(rounds, &mut broker),
            Case::Signals => signals(rounds, &mut broker),
            Case::History => pages(rounds, &mut broker),
            Case::Connect => vec![Vec::new(); rounds],
        };
        Scene {
            case: self,
            broker,
            rounds,
            next: 0,
        }
    }
}

impl Scene {
    /// Runs the next `count` rounds.
    ///
    /// # Panics
    /// If they were not prepared, or the broker does not do what the case is about.
    pub fn run(&mut self, count: usize) {
        for _ in 0..count {
            let round = self.next;
            self.next += 1;
            match self.case {
                Case::Decode => decode(&self.rounds[round][0].1),
                Case::Connect => self.connect(round),
                _ => self.feed(round),
            }
        }
        assert!(
            self.broker.is_clean(),
            "{}: all are answered and told",
            self.case.name()
        );
    }

    /// How many rounds are prepared and did not run.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rounds.len() - self.next
    }

    fn feed(&mut self, round: usize) {
        if self.case == Case::Signals {
            self.broker.pass(SIGNAL_ROUND_MS);
        }
        let (_, sends_before) = self.broker.sent();
        for (conn, bytes) in &self.rounds[round] {
            self.broker.feed(*conn, bytes);
        }
        self.broker.settle();
        let (_, sends) = self.broker.sent();
        let expected = match self.case {
            // The subscribers, and the publisher, who is acked.
            Case::Fanout | Case::FanoutBatch => SUBSCRIBERS + 1,
            Case::Signals => SUBSCRIBERS,
            // Every connection is a member of some room, and one of them publishes.
            Case::Rooms => ROOMS + 1,
            _ => 1,
        };
        assert_eq!(
            sends - sends_before,
            expected as u64,
            "{}: one send for each who is told something",
            self.case.name()
        );
    }

    fn connect(&mut self, round: usize) {
        let client = self.broker.connect(USER);
        let room = format!("room {}", round % 16);
        self.broker.subscribe(client, &room, Wants::RECORDS);
        assert!(!self.broker.last_sent().is_empty(), "it is answered");
    }
}

fn decode(mut bytes: &[u8]) {
    let mut bodies = 0;
    while let Some(frame) = next_frame(bytes, limits::FRAME_BYTES_MAX).expect("lawful") {
        bytes = &bytes[frame.whole.len()..];
        let Ok(ClientFrame::Publish(publish)) = ClientFrame::decode(frame) else {
            panic!("not a publish");
        };
        bodies += publish.body.len();
    }
    assert_eq!(bodies, BATCH_MESSAGES * BODY_BYTES);
}

/// A publisher, and those who hear it.
fn crowd(broker: &mut Broker, wants: Wants) -> Publisher {
    // First: nobody is live in a room that does not exist.
    let publisher = Publisher::new(broker, &[ROOM]);
    for _ in 0..SUBSCRIBERS {
        let client = broker.connect(USER);
        broker.subscribe(client, ROOM, wants);
    }
    publisher
}

/// A client that has published once to each of its rooms, and goes on by their numbers, as clients do.
struct Publisher {
    client: Client,
    rooms: Vec<RoomId>,
    /// Of its last publish to each room.
    number: u64,
}

impl Publisher {
    fn new(broker: &mut Broker, names: &[&str]) -> Publisher {
        let client = broker.connect(USER);
        let mut bytes = Vec::new();
        for name in names {
            publish(client, RoomRef::Name(name), 1, &mut bytes);
        }
        broker.feed(client.conn, &bytes);
        broker.settle();
        let rooms = acked(broker.last_sent());
        assert_eq!(rooms.len(), names.len(), "all are acked");
        Publisher {
            client,
            rooms,
            number: 1,
        }
    }

    /// The next publish to each room.
    fn next(&mut self, out: &mut Vec<u8>) {
        self.number += 1;
        for &room in &self.rooms {
            publish(self.client, RoomRef::Id(room), self.number, out);
        }
    }

    /// Rounds of `count` publishes to each room.
    fn rounds(mut self, rounds: usize, count: usize) -> Rounds {
        (0..rounds)
            .map(|_| {
                let mut bytes = Vec::new();
                (0..count).for_each(|_| self.next(&mut bytes));
                vec![(self.client.conn, bytes)]
            })
            .collect()
    }
}

fn acked(bytes: &[u8]) -> Vec<RoomId> {
    let frame = next_frame(bytes, limits::FRAME_BYTES_MAX)
        .expect("a broker sends frames")
        .expect("a whole one");
    match ServerFrame::decode(frame) {
        Ok(ServerFrame::Puback(puback)) => puback.entries().map(|entry| entry.room_id).collect(),
        other => panic!("not acked: {other:?}"),
    }
}

/// Rounds of one publish to each of the rooms. Connection `c` is in the rooms `c..c + ROOMS_PER_CONNECTION`, so each room has as many members.
fn one_each(rounds: usize, broker: &mut Broker) -> Rounds {
    let names: Vec<String> = (0..ROOMS)
        .map(|room| format!("room number {room}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let publisher = Publisher::new(broker, &names);
    for number in 0..ROOMS {
        let client = broker.connect(USER);
        for beside in 0..ROOMS_PER_CONNECTION {
            broker.subscribe(client, names[(number + beside) % ROOMS], Wants::RECORDS);
        }
    }
    publisher.rounds(rounds, 1)
}

fn signals(rounds: usize, broker: &mut Broker) -> Rounds {
    let wants = Wants {
        signals: true,
        ..Wants::RECORDS
    };
    let from = crowd(broker, wants).client;
    let mut bytes = Vec::new();
    let signal = Signal {
        room: RoomRef::Name(ROOM),
        name: "note",
        key: b"",
        value: &[b'x'; BODY_BYTES],
    };
    signal.encode(RequestId(9), &mut bytes);
    vec![vec![(from.conn, bytes)]; rounds]
}

fn pages(rounds: usize, broker: &mut Broker) -> Rounds {
    for round in Publisher::new(broker, &[ROOM]).rounds(4, BATCH_MESSAGES) {
        for (conn, bytes) in round {
            broker.feed(conn, &bytes);
        }
        broker.settle();
    }
    let from = broker.connect(USER);
    let mut bytes = Vec::new();
    let fetch = Fetch {
        room: RoomRef::Name(ROOM),
        range: FetchRange::Latest,
        limit: PAGE_RECORDS,
        read: ReadLevel::Any,
        token: 0,
    };
    fetch.encode(RequestId(9), &mut bytes);
    vec![vec![(from.conn, bytes)]; rounds]
}

fn publish(from: Client, room: RoomRef<'_>, number: u64, out: &mut Vec<u8>) {
    let publish = Publish {
        room,
        producer: from.producer,
        producer_seq: ProducerSeq(number),
        kind: RecordKind::MESSAGE,
        codec: 0,
        ack: Ack::Committed,
        expect_seq: Seq(0),
        headers: &[],
        body: &[b'x'; BODY_BYTES],
    };
    publish.encode(RequestId(number), out);
}
