//! What the application wants of a session, and what it may be told.

use std::collections::{BTreeMap, BTreeSet};

use antiphon_client::testing::{BareSession, Told};
use antiphon_client::{Delivery, HistoryRange, Message, Position, Start};
use antiphon_protocol::{Link, ProducerSeq, Seq, Timestamp};

use super::server::ROOMS;
use crate::script::Script;

/// Messages in an outbox at most: a driver bounds what it pushes.
const HELD_MAX: u32 = 64;
const BODY_BYTES: [usize; 4] = [0, 10, 500, 6_000];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Application {
    tickets: u64,
    /// Published, and no outcome yet.
    publishes: BTreeSet<u64>,
    fetches: BTreeSet<u64>,
    /// The seq that each subscription has next, once it is known.
    subscriptions: BTreeMap<u64, Option<Seq>>,
    /// Deliveries that were not taken yet: how many, and their bytes.
    untaken: BTreeMap<u64, (u32, u64)>,
    /// Places of the outbox taken.
    held: u32,
    is_closed: bool,
    heard: Option<Position>,
    /// Numbers may be demanded.
    keeps_producer: bool,
}

impl Application {
    pub(super) fn new(keeps_producer: bool) -> Application {
        Application {
            keeps_producer,
            ..Application::default()
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// `what u8 | how u8`.
    pub(super) fn want(&mut self, script: &mut Script<'_>, session: &mut BareSession, now: u64) {
        let (what, how) = (script.byte(), script.byte());
        let room = ROOMS[usize::from(how & 1)];
        self.tickets += 1;
        let ticket = self.tickets;
        match what & 7 {
            0..=2 if self.held < HELD_MAX && !self.is_closed => {
                let mut message = Message::new(vec![how; BODY_BYTES[usize::from(how >> 1 & 3)]]);
                if how & 8 != 0 {
                    message = message.expect_seq(Seq(u64::from(how >> 4)));
                }
                if what & 8 != 0 && self.keeps_producer {
                    message = message.producer_seq(ProducerSeq(u64::from(how >> 4)));
                }
                self.held += 1;
                self.publishes.insert(ticket);
                let pushed = session.publish(ticket, room, message, now);
                pushed.expect("a lawful message");
            }
            3 if !self.is_closed => {
                self.subscriptions.insert(ticket, None);
                let start = self.start(how);
                let asked = session.subscribe(ticket, room, start, now);
                asked.expect("a lawful room");
            }
            4 if !self.is_closed => {
                self.fetches.insert(ticket);
                let limit = 1 + u32::from(how >> 5) * 40;
                let asked = session.fetch(ticket, room, range(how), limit, now);
                asked.expect("a lawful room");
            }
            5 => self.take_deliveries(how, session, now),
            6 => self.leave(how, session, now),
            7 => {
                if let Some(&ticket) = pick(&self.publishes, how) {
                    session.give_up(ticket, now);
                }
            }
            _ => {}
        }
    }

    fn start(&self, how: u8) -> Start {
        match how >> 1 & 7 {
            0 | 1 => Start::Live,
            2 => Start::Beginning,
            3 => Start::Last(u64::from(how >> 4)),
            4 => Start::Time(Timestamp(u64::from(how >> 4))),
            5 => Start::After(Position {
                seq: Seq(u64::from(how >> 4)),
                link: Link(0),
            }),
            _ => self.heard.map_or(Start::Live, Start::After),
        }
    }

    fn take_deliveries(&mut self, how: u8, session: &mut BareSession, now: u64) {
        let count = self.untaken.len().max(1);
        let untaken = self.untaken.iter_mut().nth(usize::from(how) % count);
        if let Some((&ticket, untaken)) = untaken {
            let (records, bytes) = std::mem::take(untaken);
            session.consumed(ticket, records, bytes, now);
        }
    }

    fn leave(&mut self, how: u8, session: &mut BareSession, now: u64) {
        if how & 2 == 0 {
            let tickets: BTreeSet<u64> = self.subscriptions.keys().copied().collect();
            if let Some(&ticket) = pick(&tickets, how) {
                self.subscriptions.remove(&ticket);
                self.untaken.remove(&ticket);
                session.unsubscribe(ticket, now);
            }
        } else if let Some(&ticket) = pick(&self.fetches, how) {
            self.fetches.remove(&ticket);
            session.cancel(ticket, now);
        }
    }

    /// Something is told.
    pub(super) fn take(&mut self, told: &Told) {
        assert!(!self.is_closed, "told after the end: {told:?}");
        match told {
            Told::Published(ticket, _) => {
                assert!(
                    self.publishes.remove(ticket),
                    "publish {ticket} ended twice"
                );
            }
            Told::Released { messages, .. } => {
                let left = self.held.checked_sub(*messages);
                self.held = left.expect("no more places come back than were taken");
            }
            Told::Subscribed(ticket, _, position) => {
                let next = self.subscriptions.get_mut(ticket);
                let next = next.expect("a subscription that is over stands");
                assert!(next.is_none(), "subscription {ticket} stands twice");
                *next = Some(Seq(position.seq.0 + 1));
            }
            Told::Delivered(ticket, delivery, bytes) => self.delivered(*ticket, delivery, *bytes),
            Told::SubscriptionOver(ticket, _) => {
                let was = self.subscriptions.remove(ticket);
                assert!(was.is_some(), "subscription {ticket} ended twice");
            }
            Told::Fetched(ticket, _) => {
                assert!(self.fetches.remove(ticket), "fetch {ticket} ended twice");
            }
            Told::Closed { .. } => self.is_closed = true,
            Told::Connect(_) | Told::Disconnect | Told::Welcomed(_) => {}
            Told::ConnectionFailed(_) | Told::Done(..) | Told::ProducerSeq(..) => {}
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn delivered(&mut self, ticket: u64, delivery: &Delivery, bytes: u64) {
        let next = self.subscriptions.get_mut(&ticket);
        let next = next.expect("a subscription that is over delivers");
        let (from, position) = match delivery {
            Delivery::Record(record) => (record.seq, record.position()),
            Delivery::Gap(gap) => (gap.from, gap.position()),
            other => panic!("nobody asked for {other:?}"),
        };
        assert_eq!(Some(from), *next, "each seq once, in order, and no holes");
        assert!(position.seq >= from);
        // Behind an open-ended gap nothing comes any more.
        *next = position.seq.0.checked_add(1).map(Seq);
        self.heard = Some(position);
        let untaken = self.untaken.entry(ticket).or_default();
        untaken.0 += 1;
        untaken.1 += bytes;
    }

    /// Waits for nothing any longer.
    pub(super) fn give_up(&mut self, session: &mut BareSession, now: u64) {
        for ticket in self.publishes.clone() {
            session.give_up(ticket, now);
        }
        for ticket in std::mem::take(&mut self.fetches) {
            session.cancel(ticket, now);
        }
    }

    /// Every publish has its outcome.
    pub(super) fn check_over(&self) {
        assert!(
            self.publishes.is_empty() || self.is_closed,
            "given up without an outcome: {:?}",
            self.publishes
        );
    }
}

fn range(how: u8) -> HistoryRange {
    let seq = Seq(u64::from(how >> 4 & 7));
    match how >> 1 & 7 {
        0 | 1 => HistoryRange::Latest,
        2 => HistoryRange::Before(seq),
        3 => HistoryRange::Around(seq),
        4 => HistoryRange::Time(Timestamp(seq.0)),
        _ => HistoryRange::After(seq),
    }
}

fn pick(tickets: &BTreeSet<u64>, choice: u8) -> Option<&u64> {
    tickets
        .iter()
        .nth(usize::from(choice >> 2) % tickets.len().max(1))
}
