//! The acceptor: a thread that takes connections from the kernel and deals them out to the cores.
//!
//! ```text
//!  Listening --no place, no descriptor, cores busy--> Resting --retry timer, or a place came back--> Listening
//! ```
//! While it rests, the listener is not registered: new connections wait in the kernel's backlog and cost us nothing. With a
//! registered listener a process that is out of descriptors would be woken for every connection that it cannot accept.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use antiphon_core::channel::Exchange;
use antiphon_core::lane::Claim;
use crossbeam_channel::{Sender, TrySendError};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use crate::limits::{ACCEPT_BURST_MAX, ACCEPT_RETRY_MS, ACCEPT_TELL_SECONDS, NOTSENT_LOWAT_BYTES};
use crate::places::{NoPlace, Place, Places};
use crate::refusal;
use crate::wake::Sleeper;

const LISTENER: Token = Token(0);
/// What a wake of the acceptor appears as.
pub(crate) const WAKE: Token = Token(1);

/// A connection on its way to its core.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) socket: TcpStream,
    pub(crate) place: Place,
    pub(crate) claim: Claim,
}

/// Where a core takes its new connections.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) sockets: Sender<Accepted>,
    pub(crate) sleeper: Arc<Sleeper>,
}

/// The acceptor's state.
#[derive(Debug)]
pub(crate) struct Acceptor {
    poll: Poll,
    listener: TcpListener,
    places: Arc<Places>,
    exchange: Arc<Exchange>,
    doors: Vec<Door>,
    sleeper: Arc<Sleeper>,
    stop: Arc<AtomicBool>,
    /// Accepted, and its core's door was full.
    held: Option<Accepted>,
    /// The last pause was written to the log, so its end will be.
    is_pause_told: bool,
    /// No pause is written to the log before.
    next_tell: Option<Instant>,
}

/// What a burst of accepts ended with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Burst {
    /// The kernel has no more.
    Dry,
    /// There may be more, and it is others' turn.
    More,
    /// Something has run out; looking again later.
    Rest(Shortage),
}

/// What has run out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shortage {
    Places,
    Descriptors,
    Doors,
}

impl Acceptor {
    /// An acceptor that waits with `poll`, of which `sleeper` is the wake.
    pub(crate) fn new(
        poll: Poll,
        listener: TcpListener,
        places: Arc<Places>,
        exchange: Arc<Exchange>,
        doors: Vec<Door>,
        sleeper: Arc<Sleeper>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            poll,
            listener,
            places,
            exchange,
            doors,
            sleeper,
            stop,
            held: None,
            is_pause_told: false,
            next_tell: None,
        }
    }

    /// Accepts until told to stop. The listener is closed when this returns: the kernel refuses whoever comes after.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(4);
        let mut is_registered = false;
        let mut is_resting = false;
        while !self.stop.load(Ordering::Acquire) {
            match self.burst() {
                Burst::More => continue,
                Burst::Dry => {
                    if is_resting && std::mem::take(&mut self.is_pause_told) {
                        tracing::info!(connections = self.places.taken(), "accept_resumed");
                    }
                    is_resting = false;
                    is_registered = is_registered || self.register();
                }
                Burst::Rest(shortage) => {
                    if !is_resting {
                        self.tell(shortage);
                    }
                    is_resting = true;
                    is_registered = is_registered && !self.deregister();
                }
            }
            self.wait(&mut events, is_registered);
        }
    }

    fn wait(&mut self, events: &mut Events, is_registered: bool) {
        // Edge-triggered: what arrived between the last accept and the registration is reported by the registration itself.
        let timeout = (!is_registered).then(|| Duration::from_millis(ACCEPT_RETRY_MS));
        let stop = &self.stop;
        if !self.sleeper.may_sleep(|| !stop.load(Ordering::Acquire)) {
            return;
        }
        if let Err(error) = self.poll.poll(events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            panic!("INV-SRV-3: waiting with an own poller cannot fail: {error}");
        }
        self.sleeper.awake();
    }

    fn burst(&mut self) -> Burst {
        if let Some(held) = self.held.take()
            && let Err(held) = self.hand_over(held)
        {
            self.held = Some(held);
            return Burst::Rest(Shortage::Doors);
        }
        for _ in 0..ACCEPT_BURST_MAX {
            if self.places.is_full() {
                return Burst::Rest(Shortage::Places);
            }
            match self.listener.accept() {
                Ok((socket, address)) => {
                    if let Some(shortage) = self.admit(socket, address) {
                        return Burst::Rest(shortage);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Burst::Dry,
                Err(error) if is_shortage(&error) => return Burst::Rest(Shortage::Descriptors),
                // The peer gave up while it waited, or the network has news about it: the next one may be fine.
                Err(_) => {}
            }
        }
        Burst::More
    }

    fn admit(&mut self, socket: TcpStream, address: SocketAddr) -> Option<Shortage> {
        let place = match self.places.take(address.ip()) {
            Ok(place) => place,
            Err(no_place) => {
                tracing::debug!(%address, ?no_place, "connection_refused");
                let limit = match no_place {
                    NoPlace::Node => self.places.max(),
                    NoPlace::Address { max } => max,
                };
                refusal::too_many(socket, limit);
                return None;
            }
        };
        if let Err(error) = prepare(&socket) {
            // The peer is gone already.
            tracing::debug!(%error, "connection_lost_before_use");
            return None;
        }
        let claim = self.exchange.claim();
        match self.hand_over(Accepted {
            socket,
            place,
            claim,
        }) {
            Ok(()) => None,
            Err(held) => {
                self.held = Some(held);
                Some(Shortage::Doors)
            }
        }
    }

    fn hand_over(&self, accepted: Accepted) -> Result<(), Accepted> {
        let door = &self.doors[usize::from(accepted.place.core())];
        match door.sockets.try_send(accepted) {
            Ok(()) => {
                door.sleeper.wake();
                Ok(())
            }
            Err(TrySendError::Full(accepted)) => Err(accepted),
            // The core has ended, so the node has: its connections are closed.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    fn register(&mut self) -> bool {
        let registered =
            self.poll
                .registry()
                .register(&mut self.listener, LISTENER, Interest::READABLE);
        if let Err(error) = &registered {
            tracing::warn!(%error, "listener_not_registered");
        }
        registered.is_ok()
    }

    fn deregister(&mut self) -> bool {
        self.poll.registry().deregister(&mut self.listener).is_ok()
    }

    /// Tells the operator; not each time that a full node loses and finds a client.
    fn tell(&mut self, shortage: Shortage) {
        let now = Instant::now();
        if self.next_tell.is_some_and(|at| now < at) {
            return;
        }
        self.next_tell = Some(now + Duration::from_secs(ACCEPT_TELL_SECONDS));
        self.is_pause_told = true;
        let (connections, max) = (self.places.taken(), self.places.max());
        match shortage {
            Shortage::Places => tracing::warn!(connections, max, "accept_paused_connections_max"),
            Shortage::Descriptors => {
                tracing::warn!(connections, max, "accept_paused_no_descriptors")
            }
            Shortage::Doors => tracing::warn!(connections, max, "accept_paused_cores_busy"),
        }
    }
}

/// Small frames leave at once, and the kernel holds little for a slow reader.
fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_notsent_lowat(NOTSENT_LOWAT_BYTES)
}

/// Out of descriptors (of the process or the system) or of memory for sockets.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| shortages.contains(&errno))
}
