//! The application on top of a session: it publishes, reads, comes and goes, and takes what is delivered in its own time.

use std::collections::{BTreeMap, VecDeque};

use antiphon_client::{HistoryRange, Message, Producer, Seq, Start};

use super::queue::{Event, MILLI, Micros, SECOND};
use super::world::World;

/// What the application knows.
#[derive(Debug, Default)]
pub(crate) struct App {
    pub(crate) last_ticket: u64,
    pub(crate) bodies: u64,
    /// Publishes without an end, with their time.
    pub(crate) open: BTreeMap<u64, (usize, Micros)>,
    /// Places of the outbox taken: messages without an end, and those that were given up and are still on their way.
    pub(crate) held: u32,
    /// Tickets not given up yet, oldest first.
    pub(crate) patience: VecDeque<(Micros, u64)>,
    /// Subscriptions by ticket.
    pub(crate) subs: BTreeMap<u64, Sub>,
    /// Fetches without an end.
    pub(crate) fetches: BTreeMap<u64, usize>,
    /// Rooms to follow again, from when on.
    pub(crate) again: VecDeque<(Micros, usize, Start)>,
    /// The session's producer, and the last number acked per room.
    pub(crate) producer: Option<Producer>,
    pub(crate) acked: BTreeMap<usize, u64>,
    /// A publish ended without an ack: which numbers are taken is not known.
    pub(crate) has_doubt: bool,
    pub(crate) is_over: bool,
}

/// A subscription as its application sees it.
#[derive(Debug)]
pub(crate) struct Sub {
    pub(crate) room: usize,
    /// Behind what it goes on; `None`: not known yet.
    pub(crate) at: Option<Seq>,
    pub(crate) position: Option<antiphon_client::Position>,
    /// Delivered and not taken: records and what they count as.
    pub(crate) waiting: VecDeque<u64>,
    pub(crate) is_announced: bool,
}

/// What an application does next.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Publish,
    Fetch,
    Roam,
    Take,
}

impl World {
    pub(crate) fn on_app(&mut self, number: usize, life: u64) {
        let now = self.queue.now();
        let client = &self.clients[number];
        if client.life != life || client.app.is_over {
            return;
        }
        if client.paused_until > now {
            let at = client.paused_until;
            let client = number;
            self.queue.at(at, Event::App { client, life });
            return;
        }
        let role = &client.role;
        let mut deeds = Vec::new();
        let every = [
            (Deed::Publish, role.publish_every),
            (Deed::Fetch, role.fetch_every),
            (Deed::Roam, role.roam_every),
            (Deed::Take, 20 * MILLI),
        ];
        // One Poisson process for all: the mean of the sum, then which one.
        let rates: Vec<(Deed, u64)> = every
            .into_iter()
            .filter(|(deed, every)| *every > 0 && (!self.is_calm || matches!(deed, Deed::Take)))
            .map(|(deed, every)| (deed, 1_000 * SECOND / every))
            .collect();
        let total: u64 = rates.iter().map(|(_, rate)| rate).sum();
        let mut drawn = self.dice.apps.below(total);
        for (deed, rate) in &rates {
            if drawn < *rate {
                deeds.push(*deed);
                break;
            }
            drawn -= rate;
        }
        let wait = self.dice.apps.waiting(1_000 * SECOND / total.max(1));
        self.queue.after(
            wait,
            Event::App {
                client: number,
                life,
            },
        );
        for deed in deeds {
            match deed {
                Deed::Take if self.clients[number].raw.is_some() => {}
                _ if self.clients[number].raw.is_some() => self.raw_acts(number),
                Deed::Publish => self.app_publishes(number),
                Deed::Fetch => self.app_fetches(number),
                Deed::Roam => self.app_roams(number),
                Deed::Take => self.app_takes(number),
            }
        }
        self.app_follows_again(number);
        self.app_gives_up(number);
        self.drain_client(number);
        self.wake_client(number);
    }

    pub(crate) fn app_publishes(&mut self, number: usize) {
        let now = self.queue.now();
        let now_ms = self.client_ms();
        let burst = 1 + self.dice.apps.below(self.clients[number].role.burst);
        for _ in 0..burst {
            let client = &mut self.clients[number];
            if client.app.held >= client.role.window as u32 {
                return;
            }
            let room = self.dice.apps.place(self.choices.rooms.len());
            client.app.bodies += 1;
            let mut body = format!("{} {}", client.user, client.app.bodies).into_bytes();
            let bytes = if self.dice.apps.one_in(8) {
                self.dice.apps.below(self.choices.body_bytes_max)
            } else {
                self.dice.apps.below(120)
            };
            body.resize(body.len().max(bytes as usize), b'.');
            let ticket = client.app.ticket();
            client.app.open.insert(ticket, (room, now));
            client.app.held += 1;
            if client.role.patience > 0 {
                let until = now + client.role.patience;
                client.app.patience.push_back((until, ticket));
            }
            self.tally.publishes += 1;
            let name = &self.choices.rooms[room];
            let pushed = client
                .session
                .publish(ticket, name, Message::from(body), now_ms);
            if let Err(misuse) = pushed {
                self.fail(format!("client {number}: {misuse}"));
            }
        }
    }

    /// Nobody gives up in the calm: everything is to be answered then.
    pub(crate) fn app_gives_up(&mut self, number: usize) {
        if self.is_calm {
            return;
        }
        let now = self.queue.now();
        let now_ms = self.client_ms();
        while let Some((until, ticket)) = self.clients[number].app.patience.front().copied()
            && until <= now
        {
            let client = &mut self.clients[number];
            client.app.patience.pop_front();
            if client.app.open.contains_key(&ticket) {
                client.session.give_up(ticket, now_ms);
            }
        }
    }

    pub(crate) fn app_fetches(&mut self, number: usize) {
        let now_ms = self.client_ms();
        let apps = &mut self.dice.apps;
        let room = apps.place(self.choices.rooms.len());
        let seq = Seq(1 + apps.below(400));
        let range = match apps.below(5) {
            0 => HistoryRange::Latest,
            1 => HistoryRange::Before(seq),
            2 => HistoryRange::After(Seq(seq.0 - 1)),
            3 => HistoryRange::Around(seq),
            _ => HistoryRange::Time(antiphon_protocol::Timestamp(self.time_near(number))),
        };
        let limit = 1 + self.dice.apps.below(200) as u32;
        let client = &mut self.clients[number];
        if client.app.fetches.len() >= 8 {
            return;
        }
        let ticket = client.app.ticket();
        client.app.fetches.insert(ticket, room);
        let name = &self.choices.rooms[room];
        let asked = client.session.fetch(ticket, name, range, limit, now_ms);
        if let Err(misuse) = asked {
            self.fail(format!("client {number}: {misuse}"));
        }
    }

    /// Leaves a room, or comes back to one.
    pub(crate) fn app_roams(&mut self, number: usize) {
        let now = self.queue.now();
        let now_ms = self.client_ms();
        let subs: Vec<u64> = self.clients[number].app.subs.keys().copied().collect();
        if subs.is_empty() {
            return;
        }
        let ticket = subs[self.dice.apps.place(subs.len())];
        let wait = self.dice.apps.waiting(SECOND);
        let goes_on = self.dice.apps.one_in(2);
        let other = self.start_of();
        let client = &mut self.clients[number];
        let Some(sub) = client.app.subs.remove(&ticket) else {
            return;
        };
        client.session.unsubscribe(ticket, now_ms);
        let start = match sub.position.filter(|_| goes_on) {
            Some(position) => Start::After(position),
            None => other,
        };
        client.app.again.push_back((now + wait, sub.room, start));
    }

    pub(crate) fn app_follows_again(&mut self, number: usize) {
        let now = self.queue.now();
        let again = &mut self.clients[number].app.again;
        let (due, later): (VecDeque<_>, VecDeque<_>) =
            again.drain(..).partition(|(at, ..)| *at <= now);
        *again = later;
        for (_, room, start) in due {
            self.follow(number, room, start);
        }
    }

    pub(crate) fn follow(&mut self, number: usize, room: usize, start: Start) {
        let now_ms = self.client_ms();
        let client = &mut self.clients[number];
        let ticket = client.app.ticket();
        client.app.subs.insert(
            ticket,
            Sub {
                room,
                at: None,
                position: None,
                waiting: VecDeque::new(),
                is_announced: false,
            },
        );
        let name = &self.choices.rooms[room];
        if let Err(misuse) = client.session.subscribe(ticket, name, start, now_ms) {
            self.fail(format!("client {number}: {misuse}"));
        }
    }

    /// Takes what was delivered, as much as this application does at a time.
    pub(crate) fn app_takes(&mut self, number: usize) {
        let now_ms = self.client_ms();
        let client = &mut self.clients[number];
        if client.stalled_until > self.queue.now() {
            return;
        }
        let most = match client.role.takes {
            0 => usize::MAX,
            _ if self.is_calm && !client.role.stays_slow => usize::MAX,
            takes if self.is_calm => takes * 20,
            takes => takes,
        };
        let mut taken = Vec::new();
        for (ticket, sub) in &mut client.app.subs {
            let count = sub.waiting.len().min(most);
            let bytes: u64 = sub.waiting.drain(..count).sum();
            if count > 0 {
                taken.push((*ticket, count as u32, bytes));
            }
        }
        for (ticket, records, bytes) in taken {
            client.session.consumed(ticket, records, bytes, now_ms);
        }
    }
}

impl App {
    pub(crate) fn ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// What it waits for, for people.
    pub(crate) fn waits_for(&self) -> String {
        format!(
            "{} publishes, {} places, {} fetches, {} rooms to follow, over: {}",
            self.open.len(),
            self.held,
            self.fetches.len(),
            self.again.len(),
            self.is_over
        )
    }

    /// Whether it waits for something.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_over
            || self.held > 0
            || !self.open.is_empty()
            || !self.fetches.is_empty()
            || !self.again.is_empty()
    }
}
