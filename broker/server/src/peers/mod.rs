//! The peer thread: between the cores of this node and those of the others.
//!
//! ```text
//!  cores ── Outgoing ──▶ ┌────────┐ ── dialling: one peering to each other node ──▶
//!        ◀── PeerNews ── │ peers  │ ◀── accepting: one peering from each other node
//!                        └────────┘
//! ```
//! Messages have one direction at a time: what a core says passes the peerings that this node dialled, what others say comes in over those that they
//! dialled. Nothing here waits for a core and no core waits here: what does not fit is dropped, and Raft sends it again. docs/peer-protocol.md has
//! the bytes.

mod accepting;
mod dialling;
mod ports;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use antiphon_core::{Now, SlotMap};
use antiphon_disk::{ClusterBook, Meeting};
use antiphon_protocol::NodeId;
use antiphon_protocol::peer::{ClusterId, DirectoryId, Life};
use crossbeam_channel::Receiver;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

pub(crate) use ports::{CoreDoor, Outgoing, PeerNews, PeerPort};

use crate::clock::Clock;
use crate::limits::{PEER_EVENTS_MAX, PEER_LOOK_MS, PEER_OUTGOING_MAX};
use crate::peers::accepting::Accepting;
use crate::peers::dialling::Dialling;
use crate::wake::Sleeper;

const LISTENER: Token = Token(0);
const WAKE: Token = Token(1);
/// Token of the first peering that was dialled; those that were accepted begin at twice it.
const PEERINGS: usize = 1_024;

/// Who this node is among its peers.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node: NodeId,
    pub(crate) cluster: ClusterId,
    pub(crate) directory: DirectoryId,
    pub(crate) life: Life,
    pub(crate) voters_digest: u64,
    pub(crate) partitions: u16,
    /// The other nodes, and where they listen for peers.
    pub(crate) others: Vec<(NodeId, SocketAddr)>,
}

/// What the peer thread has of the cluster: who it is, whom it met, how it reaches the cores.
#[derive(Debug)]
struct Common {
    me: Identity,
    book: ClusterBook,
    map: SlotMap,
    doors: Vec<CoreDoor>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Peers {
    poll: Poll,
    sleeper: Arc<Sleeper>,
    stop: Arc<AtomicBool>,
    clock: Clock,
    outgoing: Receiver<Outgoing>,
    common: Common,
    dialling: Vec<Dialling>,
    accepting: Accepting,
    /// Connections whose turn of reading ended before their bytes did.
    hungry: Vec<Token>,
}

/// The running peer thread.
#[derive(Debug)]
pub(crate) struct PeersHandle {
    stop: Arc<AtomicBool>,
    sleeper: Arc<Sleeper>,
    thread: Option<JoinHandle<()>>,
}

impl PeersHandle {
    /// Ends it; its sockets are closed then.
    pub(crate) fn end(mut self) {
        self.stop.store(true, Ordering::Release);
        self.sleeper.wake();
        if let Some(thread) = self.thread.take() {
            // A panic there has ended the process already.
            let _ = thread.join();
        }
    }
}

impl Peers {
    /// The thread's state, which does not run yet, and where cores put what they have to say.
    pub(crate) fn new(
        listener: TcpListener,
        me: Identity,
        book: ClusterBook,
        map: SlotMap,
        doors: Vec<CoreDoor>,
        clock: Clock,
    ) -> io::Result<(Peers, PeerPort)> {
        let poll = Poll::new()?;
        let sleeper = Arc::new(Sleeper::new(poll.registry(), WAKE)?);
        let (port, outgoing) = ports::between(&sleeper);
        let mut accepting = Accepting::new(listener);
        poll.registry()
            .register(&mut accepting.listener, LISTENER, Interest::READABLE)?;
        let others = me.others.iter().enumerate();
        let dialling = others
            .map(|(place, (node, address))| Dialling::new(*node, *address, PEERINGS + place))
            .collect();
        let peers = Peers {
            poll,
            sleeper,
            stop: Arc::new(AtomicBool::new(false)),
            clock,
            outgoing,
            common: Common {
                me,
                book,
                map,
                doors,
            },
            dialling,
            accepting,
            hungry: Vec::new(),
        };
        Ok((peers, port))
    }

    /// Starts it.
    pub(crate) fn start(self) -> io::Result<PeersHandle> {
        let (stop, sleeper) = (Arc::clone(&self.stop), Arc::clone(&self.sleeper));
        let thread = crate::guard::spawn("peers".to_owned(), move || self.run())?;
        Ok(PeersHandle {
            stop,
            sleeper,
            thread: Some(thread),
        })
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(PEER_EVENTS_MAX);
        while !self.stop.load(Ordering::Acquire) {
            self.wait(&mut events);
            let now = self.clock.now();
            for token in std::mem::take(&mut self.hungry) {
                self.on_token(token, now);
            }
            events
                .iter()
                .for_each(|event| self.on_token(event.token(), now));
            self.take_outgoing();
            let registry = self.poll.registry();
            for peering in &mut self.dialling {
                peering.pass_time(&mut self.common, registry, now);
            }
            self.accepting.pass_time(now);
            self.common.doors.iter_mut().for_each(CoreDoor::wake);
        }
    }

    fn on_token(&mut self, token: Token, now: Now) {
        let common = &mut self.common;
        let has_more = match token {
            WAKE => false,
            LISTENER => {
                self.accepting.accept(self.poll.registry(), now);
                false
            }
            Token(number) if number >= 2 * PEERINGS => {
                self.accepting.read(number - 2 * PEERINGS, common, now)
            }
            Token(number) => {
                let peering = self.dialling.get_mut(number - PEERINGS);
                peering.is_some_and(|peering| peering.read(common, now))
            }
        };
        if has_more {
            self.hungry.push(token);
        }
    }

    /// What the cores have to say, as far as it came in one turn: no more than the queue holds.
    fn take_outgoing(&mut self) {
        for Outgoing { to, messages } in self.outgoing.try_iter().take(PEER_OUTGOING_MAX) {
            let peering = self.dialling.iter_mut().find(|one| one.node == to);
            let is_taken = peering.is_some_and(|peering| peering.push(&messages));
            if !is_taken {
                self.common.tell_lost(to);
            }
        }
    }

    fn wait(&mut self, events: &mut Events) {
        let (stop, outgoing) = (&self.stop, &self.outgoing);
        let may_sleep = self.hungry.is_empty()
            && self
                .sleeper
                .may_sleep(|| !stop.load(Ordering::Acquire) && outgoing.is_empty());
        let timeout = if may_sleep { PEER_LOOK_MS } else { 0 };
        if let Err(error) = self.poll.poll(events, Some(Duration::from_millis(timeout)))
            && error.kind() != io::ErrorKind::Interrupted
        {
            panic!("INV-SRV-3: waiting with an own poller cannot fail: {error}");
        }
        self.sleeper.awake();
    }
}

impl Common {
    /// What was sent to `node` may be lost.
    fn tell_lost(&mut self, node: NodeId) {
        for door in &mut self.doors {
            door.put(PeerNews::Lost(node));
        }
    }

    /// Whether `node` is on the disk on which it was first met, which is on ours when this says so.
    fn is_met(&mut self, node: NodeId, directory: DirectoryId) -> bool {
        match self.book.meet(node, directory.0) {
            Ok(Meeting::Known) => true,
            Ok(meeting) => {
                tracing::error!(%node, ?meeting, "peer_on_other_directory");
                false
            }
            Err(error) => {
                tracing::error!(%node, %error, "peer_not_written_down");
                false
            }
        }
    }
}
