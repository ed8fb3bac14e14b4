//! A client: a real session of the SDK and the thread that drives it. What it says to its application is heard in `told`, what that does is in `app`.

use antiphon_client::Start;
use antiphon_client::testing::{BareSession, Told};

use super::app::App;
use super::network::delay;
use super::queue::{Event, MILLI, Micros, SECOND};
use super::raw::Raw;
use super::sessions::new_session;
use super::swarm::Role;
use super::tap::Tap;
use super::world::World;

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) role: Role,
    pub(crate) user: u32,
    /// The session's number in the history: another one for each life.
    pub(crate) no: u32,
    /// Which session of this client.
    pub(crate) life: u64,
    pub(crate) session: BareSession,
    /// The node that it tries, or is connected to.
    pub(crate) node: usize,
    /// It was told to go elsewhere.
    pub(crate) moves: bool,
    /// Speaks frames instead, without the SDK; the session is not used then.
    pub(crate) raw: Option<Raw>,
    /// The connection at hand.
    pub(crate) link: Option<u64>,
    /// Which attempt to connect is under way; attempts before it mean nothing.
    pub(crate) attempt: u64,
    pub(crate) is_dialling: bool,
    pub(crate) wake_at: Option<Micros>,
    /// Its thread does not run before.
    pub(crate) paused_until: Micros,
    /// Its application takes nothing before.
    pub(crate) stalled_until: Micros,
    pub(crate) tap: Tap,
    pub(crate) app: App,
}

/// Its thread speaks to the one or the other.
impl Client {
    fn tick(&mut self, now_ms: u64) {
        match &mut self.raw {
            Some(raw) => raw.tick(now_ms),
            None => self.session.tick(now_ms),
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        match &self.raw {
            Some(raw) => raw.next_deadline(),
            None => self.session.next_deadline(),
        }
    }

    fn received(&mut self, bytes: &[u8], now_ms: u64) {
        match &mut self.raw {
            Some(raw) => raw.received(bytes, now_ms),
            None => self.session.received(bytes, now_ms),
        }
    }

    fn disconnected(&mut self, now_ms: u64) {
        match &mut self.raw {
            Some(raw) => raw.end(),
            None => self.session.disconnected(now_ms),
        }
    }

    fn unsent(&self) -> &[u8] {
        match &self.raw {
            Some(raw) => raw.unsent(),
            None => self.session.unsent(),
        }
    }

    fn advance(&mut self, count: usize, now_ms: u64) {
        match &mut self.raw {
            Some(raw) => raw.advance(count, now_ms),
            None => self.session.advance(count, now_ms),
        }
    }

    fn poll(&mut self) -> Option<Told> {
        match &mut self.raw {
            Some(raw) => raw.poll(),
            None => self.session.poll(),
        }
    }

    /// The attempt to connect has succeeded.
    pub(crate) fn connected(&mut self, now_ms: u64) {
        match &mut self.raw {
            Some(raw) => raw.connected(now_ms),
            None => self.session.connected(now_ms),
        }
    }

    /// It has not.
    pub(crate) fn connect_failed(&mut self, now_ms: u64) {
        let kind = std::io::ErrorKind::ConnectionRefused;
        match &mut self.raw {
            Some(raw) => raw.end(),
            None => self.session.connect_failed(kind, now_ms),
        }
    }
}

impl World {
    /// A client of that role joins.
    pub(crate) fn add_client(&mut self, role: Role) -> usize {
        let number = self.clients.len();
        let user = number as u32;
        let session = new_session(&role, user, None, self.dice.seeds.next_u64());
        let raw = role.is_raw.then(|| self.new_raw(&role, user));
        self.last_client += 1;
        self.clients.push(Client {
            role,
            user,
            no: self.last_client,
            life: 0,
            session,
            node: number % self.nodes.len(),
            moves: false,
            raw,
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

    pub(crate) fn begin_client(&mut self, number: usize) {
        let life = self.clients[number].life;
        let mut follows = self.clients[number].role.follows.clone();
        if self.clients[number].raw.is_some() {
            // It asks when it is greeted.
            follows.clear();
        }
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

    pub(crate) fn start_of(&mut self) -> Start {
        match self.dice.apps.below(4) {
            0 => Start::Live,
            1 => Start::Last(self.dice.apps.below(30)),
            2 => Start::Time(antiphon_protocol::Timestamp(self.time_near(0))),
            _ => Start::Beginning,
        }
    }

    /// The thread of a client has something to do.
    pub(crate) fn wake_client(&mut self, number: usize) {
        let wait = 1 + self.dice.threads.below(self.choices.wake_max);
        let at = self.queue.now() + wait;
        self.wake_client_at(number, at);
    }

    pub(crate) fn wake_client_at(&mut self, number: usize, at: Micros) {
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
        self.clients[number].tick(now_ms);
        self.drain_client(number);
        self.client_writes(number);
        self.drain_client(number);
        let client = &self.clients[number];
        if let Some(deadline) = client.next_deadline() {
            let at = now
                + deadline
                    .saturating_sub(now_ms)
                    .saturating_mul(MILLI)
                    .min(1 << 50);
            self.wake_client_at(number, at.max(now + MILLI));
        }
    }

    pub(crate) fn client_reads(&mut self, number: usize) {
        let now = self.queue.now();
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
            let most = 1 + self.dice.net.below(link.down.grain(now)) as usize;
            let mut bytes = std::mem::take(&mut self.scratch);
            bytes.clear();
            if link.down.read(most, &mut bytes) == 0 {
                self.scratch = bytes;
                return;
            }
            let is_more = link.down.is_readable();
            self.tap_down(number, &bytes);
            self.clients[number].received(&bytes, now_ms);
            self.scratch = bytes;
            self.drain_client(number);
            self.unblock_server(link_number);
            if std::mem::take(&mut self.clients[number].moves) {
                return self.client_lost(number);
            }
            if !is_more {
                return;
            }
        }
        self.wake_client(number);
    }

    /// The socket says that the connection is gone.
    pub(crate) fn client_lost(&mut self, number: usize) {
        let now_ms = self.client_ms();
        self.client_hangs_up(number);
        self.clients[number].disconnected(now_ms);
        self.drain_client(number);
    }

    pub(crate) fn client_writes(&mut self, number: usize) {
        let now = self.queue.now();
        let now_ms = self.client_ms();
        while let Some(link_number) = self.clients[number].link {
            let Some(link) = self.links.get_mut(&link_number) else {
                return;
            };
            let unsent = self.clients[number].unsent();
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
            let mut bytes = std::mem::take(&mut self.scratch);
            bytes.clear();
            bytes.extend_from_slice(&unsent[..count]);
            let arrival = now + delay(&self.choices.net_delay, &mut self.dice.net);
            let at = link.up.write(&bytes, arrival);
            let event = Event::Arrive {
                link: link_number,
                up: true,
            };
            self.queue.at(at, event);
            self.tap_up(number, &bytes);
            self.scratch = bytes;
            self.clients[number].advance(count, now_ms);
            self.drain_client(number);
        }
    }

    pub(crate) fn drain_client(&mut self, number: usize) {
        while !self.clients[number].app.is_over
            && let Some(told) = self.clients[number].poll()
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
        self.raw_heard(number);
    }

    pub(crate) fn new_raw(&mut self, role: &Role, user: u32) -> Raw {
        let via = self.dice.seeds.next_u64();
        Raw::new(format!("user-{user}"), role.keepalive_ms, via)
    }
}
