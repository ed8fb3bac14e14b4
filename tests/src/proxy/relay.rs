//! The loop of the proxy: sockets, pipes, commands.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use rustix::net::sockopt::set_socket_linger;

use super::manner::{End, Manner, Scope, Way};
use super::pipe::{Next, Pipe};
use super::{Asked, Command, Passed};
use crate::sim::random::Random;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);

/// Connections at a time; more are reset.
const LINKS_MAX: usize = 1_024;

/// Bytes of one read.
const READ_BYTES: usize = 16 * 1024;

/// Reads and writes of one direction in one turn, so that a busy connection does not keep the others waiting.
const STEPS_A_TURN: usize = 16;

/// One connection to the proxy and its connection to the server.
#[derive(Debug)]
struct Link {
    client: TcpStream,
    server: TcpStream,
    up: Pipe,
    down: Pipe,
}

/// What a direction's turn came to.
enum Turned {
    /// Call again then, if at all.
    Waits(Option<Instant>),
    /// There may be more to do at once.
    Busy,
    /// The connection is to be ended with RST.
    Broken,
    /// As `Broken`, in the middle of a frame as was asked.
    CutInFrame,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Relay {
    poll: Poll,
    listener: TcpListener,
    upstream: SocketAddr,
    asked: Receiver<Asked>,
    links: BTreeMap<usize, Link>,
    last_link: usize,
    /// How connections to come pass bytes on.
    up: Manner,
    down: Manner,
    refuses: bool,
    dice: Random,
    passed: Passed,
    buffer: Vec<u8>,
    is_over: bool,
}

impl Relay {
    pub(crate) fn new(
        upstream: SocketAddr,
        seed: u64,
        asked: Receiver<Asked>,
    ) -> io::Result<(Self, Waker, SocketAddr)> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let relay = Self {
            poll,
            listener,
            upstream,
            asked,
            links: BTreeMap::new(),
            last_link: 0,
            up: Manner::Clear,
            down: Manner::Clear,
            refuses: false,
            dice: Random::new(seed),
            passed: Passed::default(),
            buffer: vec![0; READ_BYTES],
            is_over: false,
        };
        Ok((relay, waker, address))
    }

    /// Runs until it is told to stop. Every link has its turn whenever anything happens: there are few of them.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(256);
        let mut timeout = None;
        while !self.is_over {
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    panic!("the proxy cannot poll: {error}")
                }
                _ => {}
            }
            self.obey();
            self.accept();
            timeout = self.turn();
        }
    }

    fn obey(&mut self) {
        while let Ok((command, answer)) = self.asked.try_recv() {
            let count = self.command(command);
            self.answer(&answer, count);
        }
    }

    fn answer(&mut self, answer: &Sender<(u64, Passed)>, count: u64) {
        self.passed.open = self.links.len() as u64;
        // Who asked waits; if it does not, nobody needs to know.
        let _ = answer.send((count, self.passed));
    }

    fn command(&mut self, command: Command) -> u64 {
        match command {
            Command::Upstream(upstream) => self.upstream = upstream,
            Command::Pass(scope, way, manner) => return self.pass(scope, way, manner),
            Command::Cut(scope, end) => return self.cut(scope, end),
            Command::Refuse(refuses) => self.refuses = refuses,
            Command::Heal => {
                self.refuses = false;
                return self.pass(Scope::All, Way::Both, Manner::Clear);
            }
            Command::Count => {}
            Command::Stop => self.is_over = true,
        }
        0
    }

    fn chosen(&mut self, scope: Scope) -> Vec<usize> {
        let all: Vec<usize> = self.links.keys().copied().collect();
        match scope {
            Scope::All => all,
            Scope::Percent(percent) => all
                .into_iter()
                .filter(|_| self.dice.percent(u64::from(percent)))
                .collect(),
        }
    }

    fn pass(&mut self, scope: Scope, way: Way, manner: Manner) -> u64 {
        let (is_up, is_down) = (way != Way::Down, way != Way::Up);
        if scope == Scope::All {
            self.up = if is_up { manner } else { self.up };
            self.down = if is_down { manner } else { self.down };
        }
        let chosen = self.chosen(scope);
        for number in &chosen {
            let Some(link) = self.links.get_mut(number) else {
                continue;
            };
            if is_up {
                link.up.set(manner);
            }
            if is_down {
                link.down.set(manner);
            }
            // Its stream has a hole: nothing that follows means anything.
            let has_hole = (is_up && link.up.swallowed > 0) || (is_down && link.down.swallowed > 0);
            if has_hole && manner != Manner::Swallow {
                self.end(*number, true);
            }
        }
        chosen.len() as u64
    }

    fn cut(&mut self, scope: Scope, end: End) -> u64 {
        let chosen = self.chosen(scope);
        for number in &chosen {
            match end {
                End::Reset => self.end(*number, true),
                End::Finish => self.end(*number, false),
                End::InFrame(way) => {
                    if let Some(link) = self.links.get_mut(number) {
                        if way != Way::Down {
                            link.up.cut_in_frame(&mut self.dice);
                        }
                        if way != Way::Up {
                            link.down.cut_in_frame(&mut self.dice);
                        }
                    }
                    continue;
                }
            }
            self.passed.cuts += 1;
        }
        chosen.len() as u64
    }

    /// Ends a connection on both sides.
    fn end(&mut self, number: usize, resets: bool) {
        let Some(mut link) = self.links.remove(&number) else {
            return;
        };
        self.passed.bytes_swallowed += link.up.swallowed + link.down.swallowed;
        for stream in [&mut link.client, &mut link.server] {
            if resets {
                make_reset(stream);
            }
            // Closed a moment later in any case.
            let _ = self.poll.registry().deregister(stream);
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((client, _)) => {
                    if self.refuses || self.links.len() >= LINKS_MAX {
                        make_reset(&client);
                        continue;
                    }
                    self.passed.connections += 1;
                    // A server that cannot even be asked is told like one that refuses.
                    if let Err((client, _)) = self.connect(client) {
                        make_reset(&client);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The client is gone already, or descriptors are short: the next event tries again.
                Err(_) => return,
            }
        }
    }

    fn connect(&mut self, mut client: TcpStream) -> Result<(), (TcpStream, io::Error)> {
        let mut server = match TcpStream::connect(self.upstream) {
            Ok(server) => server,
            Err(error) => return Err((client, error)),
        };
        let number = self.last_link + 1;
        let registered = register(self.poll.registry(), &mut client, number * 2)
            .and_then(|()| register(self.poll.registry(), &mut server, number * 2 + 1));
        if let Err(error) = registered {
            return Err((client, error));
        }
        self.last_link = number;
        let link = Link {
            client,
            server,
            up: Pipe::new(self.up),
            down: Pipe::new(self.down),
        };
        self.links.insert(number, link);
        Ok(())
    }

    /// Gives each direction a turn; tells how long the poll may sleep.
    fn turn(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let mut wakes: Option<Instant> = None;
        let mut ended = Vec::new();
        for (number, link) in &mut self.links {
            let Link {
                client,
                server,
                up,
                down,
            } = link;
            let mut state = (&mut self.dice, &mut self.passed, self.buffer.as_mut_slice());
            let turned = [
                flow(client, server, up, now, &mut state),
                flow(server, client, down, now, &mut state),
            ];
            let mut is_ended = up.is_shut && down.is_shut;
            let mut resets = false;
            for turned in turned {
                match turned {
                    Turned::Waits(at) => {
                        wakes = [wakes, at].into_iter().flatten().min();
                    }
                    Turned::Busy => wakes = Some(now),
                    Turned::Broken => (is_ended, resets) = (true, true),
                    Turned::CutInFrame => {
                        (is_ended, resets) = (true, true);
                        self.passed.cuts += 1;
                        self.passed.cuts_in_frame += 1;
                    }
                }
            }
            if is_ended {
                ended.push((*number, resets));
            }
        }
        for (number, resets) in ended {
            self.end(number, resets);
        }
        wakes.map(|at| at.saturating_duration_since(Instant::now()))
    }
}

fn register(registry: &Registry, stream: &mut TcpStream, token: usize) -> io::Result<()> {
    // Pieces go as they are: that is the point of a dribble.
    stream.set_nodelay(true)?;
    registry.register(
        stream,
        Token(token),
        Interest::READABLE | Interest::WRITABLE,
    )
}

/// Closing it then sends RST instead of FIN.
fn make_reset(stream: &TcpStream) {
    // A socket that is gone needs no reset.
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}

/// Moves bytes of one direction as far as they may go now.
fn flow(
    from: &mut TcpStream,
    to: &mut TcpStream,
    pipe: &mut Pipe,
    now: Instant,
    (dice, passed, buffer): &mut (&mut Random, &mut Passed, &mut [u8]),
) -> Turned {
    for _ in 0..STEPS_A_TURN {
        let mut is_idle = true;
        if !pipe.is_ended {
            let room = pipe.room().min(buffer.len());
            match from.read(&mut buffer[..room]) {
                // Nothing was asked for.
                Ok(0) if room == 0 => {}
                Ok(0) => {
                    pipe.is_ended = true;
                    is_idle = false;
                }
                Ok(count) => {
                    pipe.take(&buffer[..count], now, dice);
                    is_idle = false;
                }
                Err(error) if is_later(&error) => {}
                // Who falls silent does not tell of a reset either.
                Err(_) if pipe.is_silent() => pipe.is_ended = true,
                Err(_) => return Turned::Broken,
            }
        }
        match pipe.next(now) {
            Next::Write(count) => match to.write(&pipe.front()[..count]) {
                Ok(count) => {
                    pipe.wrote(count, now);
                    passed.bytes += count as u64;
                    is_idle = false;
                }
                Err(error) if is_later(&error) => {}
                Err(_) => return Turned::Broken,
            },
            Next::Cut => {
                assert!(pipe.is_inside_frame(), "a cut in a frame is one");
                return Turned::CutInFrame;
            }
            Next::End => {
                pipe.is_shut = true;
                if to.shutdown(Shutdown::Write).is_err() {
                    return Turned::Broken;
                }
            }
            Next::At(at) if is_idle => return Turned::Waits(Some(at)),
            Next::At(_) => {}
            Next::Nothing if is_idle => return Turned::Waits(None),
            Next::Nothing => {}
        }
        if is_idle {
            return Turned::Waits(None);
        }
    }
    Turned::Busy
}

/// An event will tell when it can go on. A socket that is not connected yet is such a case.
fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected
    )
}
