//! A TCP proxy that does to connections what networks do: cuts, delays, chokes, dribbles, falls silent.
//!
//! ```text
//!                    up: client to server
//!   client ═════════▶ ┌──────────────────┐ ═════════▶ server
//!          ◀═════════ └──────────────────┘ ◀═════════
//!                    down: server to client
//! ```
//! One thread, bounded buffers, chances from a seed. The test commands it at run time, and each command is done when its call
//! returns: what a cut hits is cut then.
//!
//! | file | what it has |
//! |---|---|
//! | `manner` | how a direction passes bytes on, and how a connection ends |
//! | `frames` | where in a frame a stream stands, for cuts in the middle of one |
//! | `pipe` | one direction of one connection: its bytes, and when they may go on |
//! | `relay` | the loop: sockets, pipes, commands |

mod frames;
mod manner;
mod pipe;
mod relay;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use mio::Waker;

pub use manner::{End, Manner, Scope, Way};

/// What a test asks of the loop; each is answered.
#[derive(Debug)]
enum Command {
    /// Connections that come from now on go there.
    Upstream(SocketAddr),
    /// Open connections in the scope, and with [`Scope::All`] those to come, pass bytes on like this.
    Pass(Scope, Way, Manner),
    /// Connections in the scope end.
    Cut(Scope, End),
    /// New connections are reset at once, or taken again.
    Refuse(bool),
    /// Nothing is disturbed any more; connections that lost bytes end.
    Heal,
    /// Only the count of open connections is wanted.
    Count,
    /// The thread ends.
    Stop,
}

/// What passed and what was done, since the proxy began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Passed {
    /// Connections open now.
    pub open: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections ended by a command, those in the middle of a frame included.
    pub cuts: u64,
    /// Connections ended in the middle of a frame.
    pub cuts_in_frame: u64,
    /// Bytes passed on, both directions.
    pub bytes: u64,
    /// Bytes that were taken and never passed on.
    pub bytes_swallowed: u64,
}

/// A command, and where its answer goes.
type Asked = (Command, Sender<(u64, Passed)>);

/// A running proxy; it ends when dropped, and all connections with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    commands: Sender<Asked>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free loopback port and passes connections on to `upstream`. All chances come from `seed`.
    ///
    /// # Errors
    /// No socket, poller or thread is to be had.
    pub fn start(upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let (commands, asked) = mpsc::channel();
        let (relay, waker, address) = relay::Relay::new(upstream, seed, asked)?;
        let thread = thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || relay.run())?;
        Ok(Self {
            address,
            commands,
            waker,
            thread: Some(thread),
        })
    }

    /// Where clients connect; the same for the proxy's whole life.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that come from now on are passed on to this server.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.ask(Command::Upstream(upstream));
    }

    /// Changes how bytes of a direction are passed on; tells how many connections that concerns.
    pub fn pass(&self, scope: Scope, way: Way, manner: Manner) -> u64 {
        self.ask(Command::Pass(scope, way, manner)).0
    }

    /// Ends connections; tells how many. One that is to end in a frame is counted, though it ends when that frame passes.
    pub fn cut(&self, scope: Scope, end: End) -> u64 {
        self.ask(Command::Cut(scope, end)).0
    }

    /// Resets new connections at once (`true`) or takes them again.
    pub fn refuse(&self, refuses: bool) {
        self.ask(Command::Refuse(refuses));
    }

    /// Ends every disturbance. Connections of which bytes were swallowed are reset, since their streams have holes.
    pub fn heal(&self) -> u64 {
        self.ask(Command::Heal).0
    }

    /// What passed so far.
    pub fn passed(&self) -> Passed {
        self.ask(Command::Count).1
    }

    fn ask(&self, command: Command) -> (u64, Passed) {
        let (answer, answered) = mpsc::channel();
        let sent = self.commands.send((command, answer));
        let woken = self.waker.wake();
        // A loop that is gone has panicked, and said so; the test then fails by what does not arrive.
        if sent.is_err() || woken.is_err() {
            return Default::default();
        }
        answered.recv().unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ask(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            drop(thread.join());
        }
    }
}
