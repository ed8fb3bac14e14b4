//! A model of a broker for tests: rooms in memory, docs/protocol.md section 5 to the letter, and faults on demand.
//!
//! It is sans-IO, too: `receive` takes a connection's bytes, `step` admits one waiting publish, `send` gives bytes back.
//! Publishes wait in a pipe per connection that outlives it, so that an attempt of a lost connection can take effect later.

mod beside;
mod connection;
mod room;
mod server;

use std::collections::{BTreeMap, VecDeque};

use antiphon_protocol::{
    Code, CursorPosition, ErrorFrame, Goaway, GoawayClass, Namespace, Producer, PubackBuilder,
    PubackEntry, RequestId, RoomId, RoomName, Seq, Slot, Timestamp,
};

use beside::Push;
pub(crate) use connection::{Connection, Random};
use room::Admission;
pub(crate) use room::{OwnedPublish, Room};
pub(crate) use server::Server;

/// How often what goes wrong, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A publish is refused for now.
    pub(crate) refuse: u64,
    /// A publish is refused for good, whatever became of an earlier attempt.
    pub(crate) refuse_for_good: u64,
    /// Before a publish is admitted, its producer's state is lost and its birth is too long ago.
    pub(crate) expire: u64,
    /// A SUBSCRIBE or FETCH is refused for now.
    pub(crate) refuse_requests: u64,
    /// The answer to a publish is kept back, so that later ones overtake it.
    pub(crate) keep_back: u64,
    /// What waits of a lost connection is dropped instead of admitted later.
    pub(crate) drop_pipe: u64,
}

/// A publish that was received and not yet looked at.
#[derive(Debug)]
struct Waiting {
    connection: u64,
    id: RequestId,
    user: String,
    publish: OwnedPublish,
}

/// The broker.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) time: Timestamp,
    pub(crate) in_flight_max: u32,
    pub(crate) requests_max: u32,
    pub(crate) keepalive_ms: u32,
    rooms: BTreeMap<String, Room>,
    connections: BTreeMap<u64, Connection>,
    pipes: BTreeMap<u64, VecDeque<Waiting>>,
    expired: Vec<Producer>,
    last_connection: u64,
    /// Producers drawn so far.
    pub(crate) producers: u32,
    cursors: BTreeMap<(RoomId, String, String), CursorPosition>,
    pushes: Vec<Push>,
    /// The next digest is wrong by this much.
    pub(crate) miscounts: u64,
    /// The next PONG has no digest, as if another one were under way.
    pub(crate) is_counting_for_another: bool,
}

impl Broker {
    pub(crate) fn new(seed: u64) -> Broker {
        Broker {
            random: Random(seed),
            faults: Faults::default(),
            time: Timestamp(1_700_000_000_000),
            in_flight_max: 16,
            requests_max: 2,
            keepalive_ms: 5_000,
            rooms: BTreeMap::new(),
            connections: BTreeMap::new(),
            pipes: BTreeMap::new(),
            expired: Vec::new(),
            last_connection: 0,
            producers: 0,
            cursors: BTreeMap::new(),
            pushes: Vec::new(),
            miscounts: 0,
            is_counting_for_another: false,
        }
    }

    pub(crate) fn connect(&mut self) -> u64 {
        self.last_connection += 1;
        self.connections
            .insert(self.last_connection, Connection::default());
        self.last_connection
    }

    /// The connection is gone; what waits in its pipe may still be admitted.
    pub(crate) fn disconnect(&mut self, connection: u64) {
        self.connections.remove(&connection);
        if self.random.percent(self.faults.drop_pipe)
            && let Some(pipe) = self.pipes.get_mut(&connection)
        {
            let kept = self.random.below(pipe.len() as u64 + 1);
            pipe.truncate(kept as usize);
        }
    }

    /// Bytes came over a connection.
    pub(crate) fn receive(&mut self, connection: u64, bytes: &[u8]) {
        let Some(mut state) = self.connections.remove(&connection) else {
            return;
        };
        state.receive(connection, bytes, self);
        self.connections.insert(connection, state);
        self.push();
    }

    /// Hands pushes out to the subscriptions that want them.
    pub(crate) fn push(&mut self) {
        for push in std::mem::take(&mut self.pushes) {
            for connection in self.connections.values_mut() {
                connection.push(&push);
            }
        }
    }

    /// Bytes for a connection; `None`: the broker has closed it.
    pub(crate) fn send(&mut self, connection: u64) -> Option<Vec<u8>> {
        let state = self.connections.get_mut(&connection)?;
        state.fan_out(&self.rooms);
        state.answer(&mut self.random, self.faults.keep_back);
        let bytes = std::mem::take(&mut state.out);
        if bytes.is_empty() && state.is_closing {
            self.connections.remove(&connection);
            return None;
        }
        Some(bytes)
    }

    pub(crate) fn room(&self, name: &str) -> Option<&Room> {
        self.rooms.get(name)
    }

    pub(crate) fn room_mut(&mut self, name: &str) -> &mut Room {
        let counter = self.rooms.len() as u64 + 1;
        self.rooms.entry(name.to_owned()).or_insert_with(|| {
            let slot = Slot::of(
                Namespace(0),
                &RoomName::try_from(name).expect("a lawful name"),
            );
            Room::new(RoomId::new(slot, counter).expect("a lawful counter"))
        })
    }

    /// A record of somebody else.
    pub(crate) fn append(&mut self, room: &str, body: &[u8]) {
        let time = self.time;
        self.room_mut(room).append_foreign(time, body);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.pipes.values().map(VecDeque::len).sum()
    }

    /// Tells every connection to go away.
    pub(crate) fn goaway(&mut self, code: Code, class: GoawayClass, retry_after_ms: u32) {
        for connection in self.connections.values_mut() {
            let goaway = Goaway {
                retry_after_ms,
                ..Goaway::new(code, class, "told to")
            };
            goaway.encode(RequestId::PUSH, &mut connection.out);
            connection.is_closing = true;
        }
    }

    /// Admits (or refuses) the first publish of one pipe.
    pub(crate) fn step(&mut self) -> bool {
        self.pipes.retain(|_, pipe| !pipe.is_empty());
        let chosen = self.random.below(self.pipes.len().max(1) as u64) as usize;
        let Some(pipe) = self.pipes.values_mut().nth(chosen) else {
            return false;
        };
        let Some(waiting) = pipe.pop_front() else {
            return false;
        };
        self.admit(&waiting);
        true
    }

    fn admit(&mut self, waiting: &Waiting) {
        if self.random.percent(self.faults.refuse) {
            let code =
                [Code::LIMIT, Code::UNAVAILABLE, Code::INTERNAL][self.random.below(3) as usize];
            return self.refuse(waiting, code, 0);
        }
        if self.random.percent(self.faults.refuse_for_good) {
            return self.refuse(waiting, Code::FORBIDDEN, 0);
        }
        let producer = waiting.publish.producer;
        if self.random.percent(self.faults.expire) && !self.expired.contains(&producer) {
            self.expired.push(producer);
            self.rooms
                .values_mut()
                .for_each(|room| room.forget(producer));
        }
        let name = match &waiting.publish.room {
            Ok(name) => name.clone(),
            Err(id) => match self.rooms.iter().find(|(_, room)| room.id == *id) {
                Some((name, _)) => name.clone(),
                None => return self.refuse(waiting, Code::NOT_FOUND, 0),
            },
        };
        let (time, is_young) = (self.time, !self.expired.contains(&producer));
        let room = self.room_mut(&name);
        let room_id = room.id;
        match room.admit(&waiting.user, &waiting.publish, time, is_young) {
            Admission::Refused(code, hint) => self.refuse(waiting, code, hint),
            Admission::Stored {
                seq,
                link,
                duplicate,
            } => {
                let entry = PubackEntry {
                    request: waiting.id,
                    room_id,
                    producer_seq: waiting.publish.producer_seq,
                    seq,
                    link,
                    time,
                    duplicate,
                };
                if let Some(connection) = self.connections.get_mut(&waiting.connection) {
                    let mut builder = PubackBuilder::default();
                    let mut answer = Vec::new();
                    builder.push(&entry, &mut answer);
                    builder.finish(&mut answer);
                    connection.answers.push(answer);
                }
            }
        }
        self.rooms.retain(|_, room| room.head() != Seq(0));
    }

    fn refuse(&mut self, waiting: &Waiting, code: Code, hint: u64) {
        let retry_after_ms = if code == Code::LIMIT { 20 } else { 0 };
        if let Some(connection) = self.connections.get_mut(&waiting.connection) {
            let mut answer = Vec::new();
            ErrorFrame {
                retry_after_ms,
                hint,
                ..ErrorFrame::new(code)
            }
            .encode(waiting.id, &mut answer);
            connection.answers.push(answer);
        }
    }
}
