//! A client: a real session of the SDK, the thread that drives it, and an application on top.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use antiphon_client::testing::{BareSession, Told};
use antiphon_client::{
    ClientError, ClientOptions, Delivery, HistoryRange, Message, Producer, ProducerSeq,
    PublishError, Receipt, Seq, Start, SubscribeError,
};

use super::limits::DIAL_TIMEOUT;
use super::link::{Link, ServerSide, Stage};
use super::pipe::Pipe;
use super::queue::{Event, MILLI, Micros, SECOND};
use super::swarm::Role;
use super::tap::Tap;
use super::turning::delay;
use super::world::World;

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) role: Role,
    pub(crate) user: u32,
    /// Which session of this client.
    pub(crate) life: u64,
    session: BareSession,
    /// The connection at hand.
    pub(crate) link: Option<u64>,
    /// Which attempt to connect is under way; attempts before it mean nothing.
    attempt: u64,
    is_dialling: bool,
    wake_at: Option<Micros>,
    /// Its thread does not run before.
    pub(crate) paused_until: Micros,
    /// Its application takes nothing before.
    pub(crate) stalled_until: Micros,
    pub(crate) tap: Tap,
    pub(crate) app: App,
}

/// What the application knows.
#[derive(Debug, Default)]
pub(crate) struct App {
    last_ticket: u64,
    bodies: u64,
    /// Publishes without an end, with their time.
    pub(crate) open: BTreeMap<u64, (usize, Micros)>,
    /// Places of the outbox taken: messages without an end, and those that were given up and are still on their way.
    held: u32,
    /// Tickets not given up yet, oldest first.
    patience: VecDeque<(Micros, u64)>,
    /// Subscriptions by ticket.
    pub(crate) subs: BTreeMap<u64, Sub>,
    /// Fetches without an end.
    pub(crate) fetches: BTreeMap<u64, usize>,
    /// Rooms to follow again, from when on.
    again: VecDeque<(Micros, usize, Start)>,
    /// The session's producer, and the last number acked per room.
    producer: Option<Producer>,
    acked: BTreeMap<usize, u64>,
    /// A publish ended without an ack: which numbers are taken is not known.
    has_doubt: bool,
    is_over: bool,
}

/// A subscription as its application sees it.
#[derive(Debug)]
pub(crate) struct Sub {
    pub(crate) room: usize,
    /// Behind what it goes on; `None`: not known yet.
    pub(crate) at: Option<Seq>,
    position: Option<antiphon_client::Position>,
    /// Delivered and not taken: records and what they count as.
    waiting: VecDeque<u64>,
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
    /// A client of that role joins.
    pub(crate) fn add_client(&mut self, role: Role) -> usize {
        let number = self.clients.len();
        let user = number as u32;
        let session = new_session(&role, user, None, self.dice.seeds.next_u64());
        self.clients.push(Client {
            role,
            user,
            life: 0,
            session,
            link: None,
            attempt: 0,
            is_dialling: false,
            wake_at: None,
            paused_until: 0,
            stalled_until: 0,
            tap: Tap::new(number as u32),
            app: App::default(),
        });
        self.begin_client(number);
        number
    }

    fn begin_client(&mut self, number: usize) {
        let life = self.clients[number].life;
        let follows = self.clients[number].role.follows.clone();
        for room in follows {
            let start = self.start_of();
            self.follow(number, room, start);
        }
        let wait = self.dice.apps.below(SECOND);
        self.queue.after(
            wait,
            Event::App {
                client: number,
                life,
            },
        );
        self.wake_client(number);
    }

    fn start_of(&mut self) -> Start {
        match self.dice.apps.below(3) {
            0 => Start::Live,
            1 => Start::Last(self.dice.apps.below(30)),
            _ => Start::Beginning,
        }
    }

    /// The thread of a client has something to do.
    pub(crate) fn wake_client(&mut self, number: usize) {
        let wait = 1 + self.dice.threads.below(self.choices.wake_max);
        let at = self.queue.now() + wait;
        self.wake_client_at(number, at);
    }

    fn wake_client_at(&mut self, number: usize, at: Micros) {
        let client = &mut self.clients[number];
        let at = at.max(client.paused_until);
        if client.wake_at.is_none_or(|wake_at| at < wake_at) {
            client.wake_at = Some(at);
            self.queue.at(at, Event::Client { client: number });
        }
    }

    pub(crate) fn on_client(&mut self, number: usize) {
        let now = self.queue.now();
        let client = &mut self.clients[number];
        if client.wake_at != Some(now) {
            return;
        }
        client.wake_at = None;
        if client.app.is_over {
            return;
        }
        if client.paused_until > now {
            let at = client.paused_until;
            self.wake_client_at(number, at);
            return;
        }
        self.client_reads(number);
        let now_ms = self.client_ms();
        self.clients[number].session.tick(now_ms);
        self.drain_client(number);
        self.client_writes(number);
        self.drain_client(number);
        let client = &self.clients[number];
        if let Some(deadline) = client.session.next_deadline() {
            let at = now
                + deadline
                    .saturating_sub(now_ms)
                    .saturating_mul(MILLI)
                    .min(1 << 50);
            self.wake_client_at(number, at.max(now + MILLI));
        }
    }

    fn client_reads(&mut self, number: usize) {
        let now_ms = self.client_ms();
        for _ in 0..8 {
            let Some(link_number) = self.clients[number].link else {
                return;
            };
            let Some(link) = self.links.get_mut(&link_number) else {
                return;
            };
            if link.client_is_broken || link.down.is_at_end() {
                self.client_lost(number);
                return;
            }
            let mut bytes = Vec::new();
            let most = 1 + self.dice.net.below(link.down.grain) as usize;
            if link.down.read(most, &mut bytes) == 0 {
                return;
            }
            let is_more = link.down.is_readable();
            self.tap_down(number, &bytes);
            self.clients[number].session.received(&bytes, now_ms);
            self.drain_client(number);
            self.unblock_server(link_number);
            if !is_more {
                return;
            }
        }
        self.wake_client(number);
    }

    /// The socket says that the connection is gone.
    fn client_lost(&mut self, number: usize) {
        let now_ms = self.client_ms();
        self.client_hangs_up(number);
        self.clients[number].session.disconnected(now_ms);
        self.drain_client(number);
    }

    fn client_writes(&mut self, number: usize) {
        let now = self.queue.now();
        let now_ms = self.client_ms();
        while let Some(link_number) = self.clients[number].link {
            let Some(link) = self.links.get_mut(&link_number) else {
                return;
            };
            let unsent = self.clients[number].session.unsent();
            if unsent.is_empty() {
                return;
            }
            let mut count = unsent.len().min(link.up.room());
            if count == 0 {
                link.up.is_blocked = true;
                return;
            }
            if count > 1 && self.dice.net.one_in(16) {
                count = 1 + self.dice.net.place(count - 1);
            }
            let bytes = unsent[..count].to_vec();
            let arrival = now + delay(&self.choices.net_delay, &mut self.dice.net);
            let at = link.up.write(&bytes, arrival);
            let event = Event::Arrive {
                link: link_number,
                up: true,
            };
            self.queue.at(at, event);
            self.tap_up(number, &bytes);
            self.clients[number].session.advance(count, now_ms);
            self.drain_client(number);
        }
    }

    fn drain_client(&mut self, number: usize) {
        while !self.clients[number].app.is_over
            && let Some(told) = self.clients[number].session.poll()
        {
            match told {
                Told::Connect(_) => self.dial(number),
                Told::Disconnect => {
                    self.clients[number].is_dialling = false;
                    self.clients[number].attempt += 1;
                    self.client_hangs_up(number);
                }
                told => self.client_told(number, told),
            }
        }
    }

    // ---- connections --------------------------------------------------------------------------------------------------------------------------

    fn dial(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.attempt += 1;
        client.is_dialling = true;
        let attempt = client.attempt;
        let wait = delay(&self.choices.net_delay, &mut self.dice.net) * 2;
        let node = &self.nodes[0];
        let is_dark = node.is_dark && node.process.is_none();
        let is_lost = is_dark || self.queue.now() < node.refuses_until;
        let wait = if is_lost { DIAL_TIMEOUT } else { wait };
        self.queue.after(
            wait,
            Event::Dial {
                client: number,
                attempt,
            },
        );
    }

    pub(crate) fn on_dial(&mut self, number: usize, attempt: u64) {
        let now_ms = self.client_ms();
        let client = &mut self.clients[number];
        if client.attempt != attempt || !client.is_dialling || client.app.is_over {
            return;
        }
        client.is_dialling = false;
        let node = 0;
        let is_refused = self.queue.now() < self.nodes[node].refuses_until;
        let life = self.nodes[node].life;
        let cores = usize::from(self.choices.cores);
        let core = self.dice.threads.place(cores);
        let Some(process) = self.nodes[node].process.as_mut().filter(|_| !is_refused) else {
            let kind = std::io::ErrorKind::ConnectionRefused;
            self.clients[number].session.connect_failed(kind, now_ms);
            self.tally.dials_failed += 1;
            self.drain_client(number);
            self.wake_client(number);
            return;
        };
        self.last_link += 1;
        let link_number = self.last_link;
        process.seats[core].accepted.push_back(link_number);
        let capacity = self.choices.pipe_bytes;
        let grain = self.dice.net.pick(&[4_096, 64 * 1024, 64 * 1024, 100]);
        let link = Link {
            node,
            life,
            core,
            client: number,
            up: Pipe::new(capacity, grain),
            down: Pipe::new(capacity, grain),
            server: ServerSide {
                stage: Stage::Waiting,
                conn: antiphon_core::ConnId {
                    slot: 0,
                    generation: 0,
                },
                held: Vec::new(),
                is_paused: false,
                is_queued: false,
                is_flushing: false,
                is_broken: false,
            },
            client_holds: true,
            client_is_broken: false,
        };
        self.links.insert(link_number, link);
        self.clients[number].link = Some(link_number);
        self.tally.connections += 1;
        self.tap_begin(number);
        self.wake(node, core);
        self.clients[number].session.connected(now_ms);
        self.drain_client(number);
        self.wake_client(number);
    }

    /// The client closes its socket.
    fn client_hangs_up(&mut self, number: usize) {
        let Some(link_number) = self.clients[number].link.take() else {
            return;
        };
        self.tap_end(number);
        let now = self.queue.now();
        let Some(link) = self.links.get_mut(&link_number) else {
            return;
        };
        link.client_holds = false;
        if link.is_over() {
            self.links.remove(&link_number);
            return;
        }
        if link.up.is_dead {
            return;
        }
        // Its end behind what it sent, or a reset that overtakes it.
        let arrival = now + delay(&self.choices.net_delay, &mut self.dice.net);
        if self.dice.net.one_in(2) {
            let at = link.up.end(arrival);
            let event = Event::Arrive {
                link: link_number,
                up: true,
            };
            self.queue.at(at, event);
        } else {
            let event = Event::Break {
                link: link_number,
                server: true,
            };
            self.queue.at(arrival, event);
        }
    }

    // ---- lives --------------------------------------------------------------------------------------------------------------------------------

    /// The client's process dies; another one begins after a while.
    pub(crate) fn kill_client(&mut self, number: usize) {
        self.client_hangs_up(number);
        self.end_session(number);
    }

    fn end_session(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if client.app.is_over {
            return;
        }
        client.app.is_over = true;
        client.is_dialling = false;
        client.attempt += 1;
        let life = client.life;
        let wait = 10 * MILLI + self.dice.apps.waiting(SECOND);
        self.queue.after(
            wait,
            Event::Reborn {
                client: number,
                life,
            },
        );
    }

    pub(crate) fn on_reborn(&mut self, number: usize, life: u64) {
        if self.clients[number].life != life {
            return;
        }
        let seed = self.dice.seeds.next_u64();
        let client = &mut self.clients[number];
        let app = std::mem::take(&mut client.app);
        let unacked = app.open.len() as u64;
        client.life += 1;
        // A producer can be kept only by who knows its numbers: all it sent was acked.
        let resumes = client.role.keeps_producer && unacked == 0 && !app.has_doubt;
        let resumed = app.producer.filter(|_| resumes).map(|producer| {
            let numbers: Vec<(String, ProducerSeq)> = app
                .acked
                .iter()
                .map(|(room, number)| (self.choices.rooms[*room].clone(), ProducerSeq(*number)))
                .collect();
            (producer, numbers)
        });
        self.trace.line(self.queue.now(), || {
            format!(
                "client {number}: session {} begins, going on with {resumed:?}",
                client.life
            )
        });
        client.app.last_ticket = app.last_ticket;
        client.app.bodies = app.bodies;
        if resumed.is_some() {
            client.app.acked = app.acked;
        }
        client.session = new_session(&client.role, client.user, resumed, seed);
        self.tally.sessions += 1;
        self.tally.unknown += unacked;
        self.begin_client(number);
    }

    // ---- the application ----------------------------------------------------------------------------------------------------------------------

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

    fn app_publishes(&mut self, number: usize) {
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

    fn app_gives_up(&mut self, number: usize) {
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

    fn app_fetches(&mut self, number: usize) {
        let now_ms = self.client_ms();
        let apps = &mut self.dice.apps;
        let room = apps.place(self.choices.rooms.len());
        let range = match apps.below(3) {
            0 => HistoryRange::Latest,
            1 => HistoryRange::Before(Seq(1 + apps.below(400))),
            _ => HistoryRange::After(Seq(apps.below(400))),
        };
        let limit = 1 + apps.below(200) as u32;
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
    fn app_roams(&mut self, number: usize) {
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

    fn app_follows_again(&mut self, number: usize) {
        let now = self.queue.now();
        let again = &mut self.clients[number].app.again;
        let (due, later): (VecDeque<_>, VecDeque<_>) =
            again.drain(..).partition(|(at, ..)| *at <= now);
        *again = later;
        for (_, room, start) in due {
            self.follow(number, room, start);
        }
    }

    fn follow(&mut self, number: usize, room: usize, start: Start) {
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
    fn app_takes(&mut self, number: usize) {
        let now_ms = self.client_ms();
        let client = &mut self.clients[number];
        if client.stalled_until > self.queue.now() {
            return;
        }
        let most = match client.role.takes {
            0 => usize::MAX,
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

    fn client_told(&mut self, number: usize, told: Told) {
        let now = self.queue.now();
        match told {
            Told::Connect(_) | Told::Disconnect => {}
            Told::Welcomed(producer) => {
                self.trace
                    .line(now, || format!("client {number}: welcomed as {producer:?}"));
                let app = &mut self.clients[number].app;
                if app.producer.is_some_and(|before| before != producer) {
                    app.acked.clear();
                }
                app.producer = Some(producer);
            }
            Told::ConnectionFailed(error) => {
                self.tally.connection_failed(&error);
                self.trace.line(now, || {
                    format!("client {number}: connection failed: {error}")
                });
                if let ClientError::Protocol(violation) = &error {
                    use antiphon_client::Violation;
                    let is_silence = matches!(violation, Violation::Silent | Violation::NoWelcome);
                    if !is_silence && !self.trouble.has_destroyed() {
                        self.fail(format!(
                            "client {number}: the broker broke the protocol: {violation}"
                        ));
                    }
                }
            }
            Told::Published(ticket, result) => self.app_published(number, ticket, result),
            Told::Released { messages, .. } => {
                let app = &mut self.clients[number].app;
                match app.held.checked_sub(messages) {
                    Some(held) => app.held = held,
                    None => self.fail(format!(
                        "client {number}: more places given back than taken"
                    )),
                }
            }
            Told::Ponged(..) | Told::ProducerSeq(..) => {}
            Told::Subscribed(ticket, _, position) => {
                if let Some(sub) = self.clients[number].app.subs.get_mut(&ticket) {
                    sub.at = Some(position.seq);
                    sub.position = Some(position);
                    sub.is_announced = true;
                }
            }
            Told::SubscriptionOver(ticket, error) => {
                self.app_subscription_over(number, ticket, &error);
            }
            Told::Delivered(ticket, delivery, bytes) => {
                self.app_delivered(number, ticket, &delivery, bytes);
            }
            Told::Fetched(ticket, result) => {
                self.clients[number].app.fetches.remove(&ticket);
                self.tally.fetched(&result);
                if let Err(error) = result {
                    self.app_fetch_failed(number, &error);
                }
            }
            Told::Closed { reason, .. } => {
                self.trace
                    .line(now, || format!("client {number}: closed: {reason}"));
                self.tally.closed(&reason);
                self.end_session(number);
            }
        }
    }

    fn app_fetch_failed(&mut self, number: usize, error: &ClientError) {
        if let ClientError::Protocol(violation) = error
            && !self.trouble.has_destroyed()
        {
            self.fail(format!(
                "client {number}: a fetch broke the protocol: {violation}"
            ));
        }
    }

    fn app_published(&mut self, number: usize, ticket: u64, result: Result<Receipt, PublishError>) {
        let now = self.queue.now();
        let app = &mut self.clients[number].app;
        self.trace.mix(ticket);
        let Some((room, since)) = app.open.remove(&ticket) else {
            self.fail(format!("client {number}: publish {ticket} ended twice"));
            return;
        };
        match result {
            Ok(receipt) => {
                self.trace.mix(receipt.seq.0 ^ receipt.link.0);
                let acked = app.acked.entry(room).or_default();
                *acked = (*acked).max(receipt.producer_seq.0);
                self.tally.acked += 1;
                self.tally.ack_us += now - since;
            }
            Err(error) => {
                self.trace.line(now, || {
                    format!("client {number}: publish {ticket}: {error}")
                });
                self.clients[number].app.has_doubt = true;
                self.tally.publish_error(&error);
                if let PublishError::ProducerConflict(_) = error {
                    self.fail(format!("client {number}: publish {ticket}: {error}"));
                }
            }
        }
    }

    fn app_subscription_over(&mut self, number: usize, ticket: u64, error: &SubscribeError) {
        let now = self.queue.now();
        self.trace.line(now, || {
            format!("client {number}: subscription {ticket}: {error}")
        });
        self.tally.subscribe_error(error);
        let may_lose = self.trouble.has_destroyed();
        let client = &mut self.clients[number];
        let Some(sub) = client.app.subs.remove(&ticket) else {
            return;
        };
        client
            .app
            .again
            .push_back((now + SECOND, sub.room, Start::Beginning));
        let is_wrong = matches!(
            error,
            SubscribeError::Protocol(_)
                | SubscribeError::Diverged { .. }
                | SubscribeError::Misuse(_)
        );
        if is_wrong && !may_lose {
            self.fail(format!(
                "client {number}: subscription {ticket} of room {}: {error}",
                sub.room
            ));
        }
    }

    fn app_delivered(&mut self, number: usize, ticket: u64, delivery: &Delivery, bytes: u64) {
        self.tally.deliveries += 1;
        let position = delivery.position();
        self.trace.mix(position.link.0);
        let takes_all = self.clients[number].role.takes == 0;
        let may_gap = self.trouble.has_destroyed();
        let Some(sub) = self.clients[number].app.subs.get_mut(&ticket) else {
            return;
        };
        sub.waiting.push_back(bytes);
        sub.at = Some(position.seq);
        sub.position = Some(position);
        if let Delivery::Gap(gap) = delivery {
            self.tally.gaps += 1;
            if !may_gap {
                self.fail(format!("client {number}: a gap out of nothing: {gap:?}"));
                return;
            }
        }
        if takes_all && self.dice.apps.one_in(4) {
            self.app_takes(number);
        }
    }
}

impl App {
    fn ticket(&mut self) -> u64 {
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

/// A session of this user; with a producer, one that goes on with it.
fn new_session(
    role: &Role,
    user: u32,
    resumed: Option<(Producer, Vec<(String, ProducerSeq)>)>,
    seed: u64,
) -> BareSession {
    let mut options = ClientOptions::new("node-1")
        .user(format!("user-{user}"))
        .keepalive(Duration::from_millis(role.keepalive_ms))
        .connect_deadline(Duration::from_secs(3_600))
        .subscription_bounds(role.subscription_records, 1 << 20);
    if role.keeps_producer {
        options = options.keep_producer();
    }
    if let Some((producer, numbers)) = resumed {
        options = options.producer(producer).producer_seqs(numbers);
    }
    BareSession::new(&options, seed).expect("names of the world are names")
}
