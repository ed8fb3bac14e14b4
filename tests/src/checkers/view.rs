//! What several checkers need of a history, collected in one pass.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

use crate::checkers::EventNo;
use crate::history::{
    Actor, BodyHash, Client, Event, GapRange, History, Node, Op, Origin, Record, Room, Seq, What,
};

/// For what is looked up only, and never gone through: a history has hundreds of thousands of events.
pub(crate) type Map<K, V> = HashMap<K, V, FixedState>;
/// The same without values.
pub(crate) type Set<K> = HashSet<K, FixedState>;

/// A request and its outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Who asked.
    pub(crate) by: Actor,
    /// The event that asked.
    pub(crate) invoked: EventNo,
    /// The first event that answered.
    pub(crate) outcome: Option<EventNo>,
}

/// One try to publish a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// The event that tried.
    pub(crate) invoked: EventNo,
    /// With which body.
    pub(crate) body: BodyHash,
    /// The event that answered.
    pub(crate) outcome: Option<EventNo>,
}

/// A message's identity.
pub(crate) type Message = (Room, Origin);

/// Somebody learned what stands at a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    /// By which event.
    pub(crate) event: EventNo,
    /// In which room.
    pub(crate) room: Room,
    /// What; never with seq 0.
    pub(crate) record: Record,
    /// By an ack: then origin and body are what was sent, not what was stored.
    pub(crate) by_ack: bool,
}

/// An ack of a message; its seq may be 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    /// PUBACK came with this event.
    pub(crate) event: EventNo,
    /// Of which message.
    pub(crate) message: Message,
    /// At which place, 0 if not told.
    pub(crate) seq: Seq,
    /// The record's time, 0 if not told.
    pub(crate) time: u64,
    /// Whether it says that it is not the first.
    pub(crate) duplicate: bool,
}

/// What one node holds of one room at the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FinalRead<'a> {
    pub(crate) event: EventNo,
    pub(crate) node: Node,
    pub(crate) room: Room,
    pub(crate) records: &'a [Record],
    pub(crate) gaps: &'a [GapRange],
}

/// A history and what was collected from it.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) history: &'a History,
    pub(crate) requests: Map<Op, Request>,
    pub(crate) attempts: Map<Message, Vec<Attempt>>,
    /// In order of events.
    pub(crate) sightings: Vec<Sighting>,
    /// In order of events.
    pub(crate) acks: Vec<Ack>,
    pub(crate) final_reads: Vec<FinalRead<'a>>,
}

impl<'a> View<'a> {
    /// Collects in one pass over the events, and one over the requests.
    pub(crate) fn new(history: &'a History) -> Self {
        let mut view = Self {
            history,
            requests: Map::default(),
            attempts: Map::default(),
            sightings: Vec::new(),
            acks: Vec::new(),
            final_reads: Vec::new(),
        };
        for (event, happened) in view.events() {
            view.take(event, happened);
        }
        for (event, happened) in view.events() {
            view.attempt(event, &happened.what);
        }
        view
    }

    /// All events with their numbers.
    pub(crate) fn events(&self) -> impl Iterator<Item = (EventNo, &'a Event)> + use<'a> {
        let events = self.history.events.iter().enumerate();
        events.map(|(at, event)| (EventNo(at), event))
    }

    /// The event with this number.
    pub(crate) fn event(&self, event: EventNo) -> &'a Event {
        &self.history.events[event.0]
    }

    /// What a request asked.
    pub(crate) fn asked(&self, op: Op) -> Option<(EventNo, &'a What)> {
        let request = self.requests.get(&op)?;
        Some((request.invoked, &self.event(request.invoked).what))
    }

    fn take(&mut self, event: EventNo, happened: &'a Event) {
        match &happened.what {
            What::Connect { op, .. }
            | What::Publish { op, .. }
            | What::Subscribe { op, .. }
            | What::Fetch { op, .. }
            | What::Signal { op, .. }
            | What::Cursor { op, .. } => {
                let request = Request {
                    by: happened.by,
                    invoked: event,
                    outcome: None,
                };
                self.requests.entry(*op).or_insert(request);
            }
            What::Connected { op, .. }
            | What::Subscribed { op, .. }
            | What::CursorAt { op, .. }
            | What::Failed { op, .. }
            | What::Unknown { op } => self.answered(*op, event),
            What::Published { op, .. } => {
                self.answered(*op, event);
                self.acked(event, &happened.what);
            }
            What::Fetched { op, records, .. } => {
                self.answered(*op, event);
                if let Some((_, What::Fetch { room, .. })) = self.asked(*op) {
                    self.seen(event, *room, records);
                }
            }
            What::Deliver { sub, record, .. } => {
                if let Some((_, What::Subscribe { room, .. })) = self.asked(*sub) {
                    self.seen(event, *room, std::slice::from_ref(record));
                }
            }
            What::FinalRead { .. } => self.finally(event, happened),
            _ => {}
        }
    }

    fn answered(&mut self, op: Op, event: EventNo) {
        if let Some(request) = self.requests.get_mut(&op) {
            request.outcome.get_or_insert(event);
        }
    }

    fn seen(&mut self, event: EventNo, room: Room, records: &[Record]) {
        let placed = records.iter().filter(|record| record.seq != Seq(0));
        self.sightings.extend(placed.map(|record| Sighting {
            event,
            room,
            record: *record,
            by_ack: false,
        }));
    }

    fn acked(&mut self, event: EventNo, what: &What) {
        let What::Published {
            op,
            seq,
            link,
            time,
            duplicate,
        } = *what
        else {
            return;
        };
        let Some((
            _,
            &What::Publish {
                room, origin, body, ..
            },
        )) = self.asked(op)
        else {
            return;
        };
        self.acks.push(Ack {
            event,
            message: (room, origin),
            seq,
            time,
            duplicate,
        });
        if seq != Seq(0) {
            let record = Record {
                seq,
                link,
                origin,
                body,
            };
            self.sightings.push(Sighting {
                event,
                room,
                record,
                by_ack: true,
            });
        }
    }

    fn finally(&mut self, event: EventNo, happened: &'a Event) {
        let (
            Actor::Node(node),
            What::FinalRead {
                room,
                records,
                gaps,
                ..
            },
        ) = (happened.by, &happened.what)
        else {
            return;
        };
        self.seen(event, *room, records);
        self.final_reads.push(FinalRead {
            event,
            node,
            room: *room,
            records,
            gaps,
        });
    }

    fn attempt(&mut self, invoked: EventNo, what: &What) {
        if let What::Publish {
            op,
            room,
            origin,
            body,
        } = *what
        {
            let outcome = self.requests.get(&op).and_then(|request| request.outcome);
            let attempts = self.attempts.entry((room, origin)).or_default();
            attempts.push(Attempt {
                invoked,
                body,
                outcome,
            });
        }
    }

    /// The client of an event, if a client it was.
    pub(crate) fn client(event: &Event) -> Option<Client> {
        match event.by {
            Actor::Client(client) => Some(client),
            Actor::Node(_) | Actor::World => None,
        }
    }
}
