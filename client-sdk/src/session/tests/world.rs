//! A session and a broker in one thread, with a network between them that a seed drives.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use antiphon_protocol::{HeadersBuilder, ProducerSeq, RecordKind, RoomName, UserName};

use crate::error::PublishError;
use crate::fake_broker::{Broker, Random};
use crate::message::Receipt;
use crate::options::ClientOptions;
use crate::record::{Delivery, Position};
use crate::session::{Command, Event, Input, Mono, Outgoing, Output, Session, Ticket};
use crate::subscription::Start;

/// How often the network fails, in percent of the steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NetworkFaults {
    pub(crate) drop_connection: u64,
    pub(crate) refuse_connection: u64,
}

/// What one subscription has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) room: String,
    pub(crate) deliveries: Vec<Delivery>,
    /// Deliveries not yet reported as consumed.
    pub(crate) unread: Vec<Delivery>,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) session: Session,
    pub(crate) broker: Broker,
    pub(crate) random: Random,
    pub(crate) faults: NetworkFaults,
    pub(crate) now: Mono,
    connection: Option<u64>,
    to_broker: Vec<u8>,
    to_client: Vec<u8>,
    last_ticket: u64,
    /// Events that are not outcomes or deliveries, in order.
    pub(crate) events: Vec<Event>,
    pub(crate) published: Vec<(Ticket, String, String)>,
    pub(crate) outcomes: BTreeMap<Ticket, Result<Receipt, PublishError>>,
    pub(crate) subscriptions: BTreeMap<Ticket, Seen>,
    pub(crate) released: u32,
}

pub(crate) fn room(name: &str) -> RoomName {
    RoomName::try_from(name).expect("a lawful name")
}

pub(crate) fn outgoing(body: &str, number: Option<u64>) -> Outgoing {
    Outgoing {
        kind: RecordKind::MESSAGE,
        codec: 0,
        headers: HeadersBuilder::new().finish(),
        body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        expect_seq: antiphon_protocol::Seq(0),
        number: number.map(ProducerSeq),
    }
}

impl World {
    pub(crate) fn new(seed: u64, options: &ClientOptions) -> World {
        let user = UserName::try_from("ann").expect("a lawful name");
        World {
            session: Session::new(options, user, seed).expect("lawful options"),
            broker: Broker::new(seed ^ 1),
            random: Random(seed ^ 2),
            faults: NetworkFaults::default(),
            now: Mono(1),
            connection: None,
            to_broker: Vec::new(),
            to_client: Vec::new(),
            last_ticket: 0,
            events: Vec::new(),
            published: Vec::new(),
            outcomes: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            released: 0,
        }
    }

    /// One that is connected and greeted.
    pub(crate) fn open(seed: u64, options: &ClientOptions) -> World {
        let mut world = World::new(seed, options);
        world.settle();
        assert!(
            matches!(world.events.first(), Some(Event::Welcomed(_))),
            "{:?}",
            world.events
        );
        world
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.session.handle(input, self.now);
        self.drain();
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    pub(crate) fn publish(&mut self, name: &str, body: &str) -> Ticket {
        self.publish_numbered(name, body, None)
    }

    pub(crate) fn publish_numbered(
        &mut self,
        name: &str,
        body: &str,
        number: Option<u64>,
    ) -> Ticket {
        let ticket = self.ticket();
        self.published
            .push((ticket, name.to_owned(), body.to_owned()));
        self.command(Command::Publish {
            ticket,
            room: room(name),
            outgoing: outgoing(body, number),
        });
        ticket
    }

    pub(crate) fn subscribe(&mut self, name: &str, start: Start) -> Ticket {
        let ticket = self.ticket();
        self.subscriptions.insert(
            ticket,
            Seen {
                room: name.to_owned(),
                ..Seen::default()
            },
        );
        self.command(Command::Subscribe {
            ticket,
            room: room(name),
            follow: start.into(),
        });
        ticket
    }

    /// The application reads everything of a subscription.
    pub(crate) fn read(&mut self, ticket: Ticket) {
        let Some(seen) = self.subscriptions.get_mut(&ticket) else {
            return;
        };
        let unread = std::mem::take(&mut seen.unread);
        let bytes = unread.iter().map(Delivery::held_bytes).sum();
        if !unread.is_empty() {
            self.command(Command::Consumed {
                ticket,
                records: unread.len() as u32,
                bytes,
            });
        }
    }

    /// The connection fails; what was on its way is lost.
    pub(crate) fn cut(&mut self) {
        if self.close() {
            self.input(Input::Disconnected);
        }
    }

    fn close(&mut self) -> bool {
        self.to_broker.clear();
        self.to_client.clear();
        let Some(connection) = self.connection.take() else {
            return false;
        };
        self.broker.disconnect(connection);
        true
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connect(_) => {
                    if self.random.percent(self.faults.refuse_connection) {
                        self.input(Input::ConnectFailed(ErrorKind::ConnectionRefused));
                    } else {
                        self.connection = Some(self.broker.connect());
                        self.input(Input::Connected);
                    }
                }
                Output::Disconnect => drop(self.close()),
                Output::Event(event) => self.on_event(event),
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Published(ticket, result) => {
                let before = self.outcomes.insert(ticket, result);
                assert!(before.is_none(), "a publish ended twice");
            }
            Event::Released { messages, .. } => self.released += messages,
            Event::Delivered(ticket, delivery) => {
                let seen = self
                    .subscriptions
                    .get_mut(&ticket)
                    .expect("a subscription of ours");
                assert!(delivery.position().is_some(), "records alone");
                seen.deliveries.push(delivery.clone());
                seen.unread.push(delivery);
            }
            other => self.events.push(other),
        }
    }

    /// Moves some bytes in both directions and lets the broker do something.
    pub(crate) fn step(&mut self) {
        match self.random.below(4) {
            0 => self.carry_up(),
            1 => drop(self.broker.step()),
            2 => self.carry_down(),
            _ => {
                self.now = self.now.plus(self.random.below(30));
                self.input(Input::Tick);
            }
        }
        if self.random.percent(self.faults.drop_connection) {
            self.cut();
        }
    }

    fn carry_up(&mut self) {
        let Some(connection) = self.connection else {
            return;
        };
        let unsent = self.session.unsent();
        let count = 1 + self.random.below(unsent.len() as u64) as usize;
        let taken = unsent.get(..count).unwrap_or_default().to_vec();
        self.session.advance(taken.len(), self.now);
        self.broker.receive(connection, &taken);
        self.drain();
    }

    fn carry_down(&mut self) {
        let Some(connection) = self.connection else {
            return;
        };
        match self.broker.send(connection) {
            Some(bytes) => self.to_client.extend(bytes),
            None => return self.cut(),
        }
        let count = 1 + self.random.below(self.to_client.len() as u64) as usize;
        let count = count.min(self.to_client.len());
        let taken: Vec<u8> = self.to_client.drain(..count).collect();
        if !taken.is_empty() {
            self.input(Input::Received(&taken));
        }
    }

    /// Runs without faults until nothing moves any more but the clock.
    pub(crate) fn settle(&mut self) {
        self.faults = NetworkFaults::default();
        self.broker.faults = Default::default();
        for _ in 0..20_000 {
            let tickets: Vec<Ticket> = self.subscriptions.keys().copied().collect();
            tickets.into_iter().for_each(|ticket| self.read(ticket));
            self.step();
            if self.is_settled() {
                return;
            }
        }
        panic!("does not settle: {self:#?}");
    }

    fn is_settled(&mut self) -> bool {
        let Some(connection) = self.connection else {
            return false;
        };
        if self.broker.waiting() > 0
            || !self.session.unsent().is_empty()
            || !self.to_client.is_empty()
        {
            return false;
        }
        let all_ended = self
            .published
            .iter()
            .all(|(ticket, ..)| self.outcomes.contains_key(ticket));
        let is_quiet = self.broker.send(connection).is_some_and(|bytes| {
            self.to_client.extend(&bytes);
            bytes.is_empty()
        });
        let is_open = matches!(self.session.state, crate::session::state::State::Open(_));
        is_open
            && all_ended
            && is_quiet
            && self.session.outbox.len() == 0
            && self.readers_are_current()
    }

    fn readers_are_current(&self) -> bool {
        self.subscriptions.values().all(|seen| {
            let head = self.broker.room(&seen.room).map_or(0, |room| room.head().0);
            let first = seen.deliveries.first();
            first.is_none_or(|_| self.position(seen).seq.0 == head)
        })
    }

    pub(crate) fn position(&self, seen: &Seen) -> Position {
        seen.deliveries
            .last()
            .and_then(Delivery::position)
            .unwrap_or(Position::BEGINNING)
    }

    /// The one outcome of a publish.
    pub(crate) fn outcome(&self, ticket: Ticket) -> &Result<Receipt, PublishError> {
        self.outcomes
            .get(&ticket)
            .unwrap_or_else(|| panic!("publish {ticket:?} has no outcome"))
    }

    pub(crate) fn bodies(&self, name: &str) -> Vec<String> {
        self.broker
            .room(name)
            .map_or_else(Vec::new, |room| room.bodies())
    }
}
