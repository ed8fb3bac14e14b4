//! Session: the SDK's state, told anything by a broker, while its application publishes, follows and reads, and connections come and go.
//!
//! Input: steps; see [`step`]. Promised of whatever a broker says:
//! - no panic; what the client says are frames that a broker can read, HELLO first, within the limits of WELCOME;
//! - each publish, fetch and subscription ends once, and nothing is told of it after; nothing follows the session's end;
//! - a subscription has each seq once, in order, and gaps say what is missing;
//! - places of the outbox are given back once, and a ticked deadline has passed;
//! - given up, every publish has an outcome.

mod application;
mod server;

use antiphon_client::ClientOptions;
use antiphon_client::testing::{BareSession, Told};

use crate::script::Script;
use application::Application;
use server::Server;

/// Steps of one input.
const STEPS_MAX: usize = 500;
/// Most ticks that one deadline takes: each may let a message, a subscription or a fetch go.
const TICKS_MAX: usize = 2_000;
/// Longer than anything that a session waits for by itself.
const PATIENCE_MS: u64 = 120_000;

/// The connection, as its driver knows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Line {
    Down,
    Dialling,
    Up,
}

struct World {
    session: BareSession,
    application: Application,
    server: Server,
    line: Line,
    now_ms: u64,
}

pub(super) fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let how = script.byte();
    let mut options = ClientOptions::new("127.0.0.1:1")
        .user("ann")
        .subscription_bounds(4, 2_048);
    if how & 1 == 1 {
        options = options.address("127.0.0.2:1");
    }
    if how & 2 == 2 {
        options = options.keep_producer();
    }
    let mut world = World {
        session: BareSession::new(&options, u64::from(how)).expect("lawful options"),
        application: Application::new(how & 2 == 2),
        server: Server::new(),
        line: Line::Down,
        now_ms: 1_000,
    };
    world.tick();
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        step(&mut script, &mut world);
        world.drain();
    }
    world.end();
}

/// `what u8`, then what it needs.
fn step(script: &mut Script<'_>, world: &mut World) {
    let what = script.byte();
    let now_ms = world.now_ms;
    match what & 15 {
        0..=3 => {
            let application = &mut world.application;
            application.want(script, &mut world.session, now_ms);
        }
        4 => world.connect(script.byte()),
        5 => world.read_client(usize::from(script.byte()) * 16),
        6 => {
            let ms = u64::from(script.byte());
            world.now_ms += ms * ms;
            world.tick();
        }
        7 => {
            let count = script.below(64);
            let bytes = script.bytes(count);
            world.server.raw(bytes);
        }
        8 => {
            let (back, mask) = (script.byte(), script.byte());
            world.server.spoil(usize::from(back), mask);
        }
        9 => world.send_server(usize::from(script.byte())),
        _ => {
            world.read_client(usize::MAX);
            world.server.phrase(script);
            if what & 32 == 0 {
                world.send_server(usize::MAX);
            }
        }
    }
}

impl World {
    /// What was dialled answers, or what is up breaks.
    fn connect(&mut self, choice: u8) {
        match self.line {
            Line::Down => {}
            Line::Dialling if choice & 7 == 0 => {
                self.line = Line::Down;
                let kind = std::io::ErrorKind::ConnectionRefused;
                self.session.connect_failed(kind, self.now_ms);
            }
            Line::Dialling => {
                self.line = Line::Up;
                self.server.accept();
                self.session.connected(self.now_ms);
            }
            Line::Up => {
                self.line = Line::Down;
                self.session.disconnected(self.now_ms);
            }
        }
    }

    /// The socket takes up to `count` bytes of the client's.
    fn read_client(&mut self, count: usize) {
        let unsent = self.session.unsent();
        let count = count.min(unsent.len());
        if self.line == Line::Up && count > 0 {
            self.server.receive(&unsent[..count]);
            self.session.advance(count, self.now_ms);
            self.drain();
        }
    }

    /// The client reads up to `count` bytes of the server's.
    fn send_server(&mut self, count: usize) {
        if self.line == Line::Up {
            let bytes = self.server.take(count);
            self.session.received(&bytes, self.now_ms);
        }
    }

    /// Ticks until no deadline has come.
    fn tick(&mut self) {
        for _ in 0..TICKS_MAX {
            let is_due = self
                .session
                .next_deadline()
                .is_some_and(|at_ms| at_ms <= self.now_ms);
            if !is_due || self.application.is_closed() {
                return;
            }
            self.session.tick(self.now_ms);
            self.drain();
        }
        panic!("a deadline that was ticked comes again and again");
    }

    fn drain(&mut self) {
        while let Some(told) = self.session.poll() {
            match &told {
                Told::Connect(_) => {
                    assert_ne!(self.line, Line::Up, "dialled while a connection is up");
                    self.line = Line::Dialling;
                }
                Told::Disconnect => self.line = Line::Down,
                _ => {}
            }
            self.application.take(&told);
        }
    }

    /// The application gives up on everything, and no broker answers any more.
    fn end(&mut self) {
        self.application.give_up(&mut self.session, self.now_ms);
        self.drain();
        let end_ms = self.now_ms + PATIENCE_MS;
        while self.now_ms < end_ms {
            if self.line == Line::Dialling {
                self.connect(0);
                self.drain();
            }
            let next = self.session.next_deadline().unwrap_or(end_ms);
            self.now_ms = next.max(self.now_ms + 1).min(end_ms);
            self.tick();
        }
        self.application.check_over();
    }
}
