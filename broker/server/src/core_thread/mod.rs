//! A core thread: one event loop that owns connections and the partitions at home on it.
//!
//! ```text
//!  turn:  wait -> new sockets, lanes, log reports, read answers -> read sockets -> time -> core.turn -> outputs -> flush
//! ```
//! Nothing in a turn blocks but the wait. There are no timers that collect work: a turn sends all it has at its end, so a
//! quiet node answers at once and a busy one makes long turns and big batches by itself.

mod closing;
mod outputs;
mod ports;
mod reading;
mod writing;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{ConnId, Core, CoreId, Now};
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

pub(crate) use ports::{PeerEnds, Persistence, Ports};

use crate::acceptor::Accepted;
use crate::admin::cells::Counted;
use crate::clock::Clock;
use crate::connections::{Connection, Connections, Reading, Writing, id_of, token_of};
use crate::limits::{
    EVENTS_MAX, FLUSH_TURN_SOCKETS_MAX, HANDOVER_RETRY_MS, READ_BUFFER_BYTES, SEND_BUFFER_BYTES,
};
use crate::node::Report;
use crate::phase::Phase;
use crate::wake::Sleeper;

/// What a wake of a core appears as. No connection has this token: it would be the 2^32nd in its slot.
pub(crate) const WAKE: Token = Token(usize::MAX);

/// One core thread's state.
pub(crate) struct CoreThread {
    me: CoreId,
    core: Core,
    poll: Poll,
    sleeper: Arc<Sleeper>,
    clock: Clock,
    ports: Ports,
    connections: Connections,
    queues: Queues,
    buffers: Buffers,
    drain: Drain,
    /// `sent` or `disconnected` was called since the last turn of the core's state: it may have something to say.
    owes_turn: bool,
    /// See [`Counted`].
    flushes: u64,
    sends: u64,
}

/// Connections that wait for something of this thread.
#[derive(Debug, Default)]
struct Queues {
    /// To be read; each is [`Reading::Queued`].
    read: VecDeque<ConnId>,
    /// To be flushed; each is [`Writing::Queued`].
    flush: VecDeque<ConnId>,
    /// Being closed, with the time at which patience ends; ascending.
    closing: VecDeque<(u64, ConnId)>,
    /// Not read because all connections together hold too much input; the first is next.
    starved: VecDeque<ConnId>,
    /// The one that is read to the end of its frame even so.
    favoured: Option<ConnId>,
}

/// Buffers that all connections share, one after the other.
#[derive(Debug)]
struct Buffers {
    read: Box<[u8]>,
    send: Vec<u8>,
    /// Memory of all `Input`s, in bytes.
    held_bytes: usize,
    /// Above: connections with a started frame are not read.
    held_bytes_max: usize,
}

/// How far the end is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Drain {
    No,
    Asked,
    Done,
}

impl CoreThread {
    /// A core that waits with `poll`, of which `sleeper` is the wake.
    pub(crate) fn new(
        me: CoreId,
        core: Core,
        poll: Poll,
        sleeper: Arc<Sleeper>,
        clock: Clock,
        ports: Ports,
    ) -> Self {
        let buffers = Buffers {
            read: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            send: Vec::with_capacity(SEND_BUFFER_BYTES),
            held_bytes: 0,
            held_bytes_max: ports.input_bytes_max,
        };
        Self {
            me,
            core,
            poll,
            sleeper,
            clock,
            ports,
            connections: Connections::default(),
            queues: Queues::default(),
            buffers,
            drain: Drain::No,
            flushes: 0,
            sends: 0,
            owes_turn: true,
        }
    }

    /// Turns until the node stops. All sockets are closed when this returns.
    ///
    /// One whole turn is made after the stop was seen: clients that were not drained are told at least, all of them.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut has_more = true;
        let mut is_last = false;
        while !is_last {
            self.wait(&mut events, has_more);
            let phase = self.ports.phase.now();
            if phase == Phase::Killed {
                break;
            }
            is_last = phase == Phase::Stopping;
            let flushes_max = if is_last {
                usize::MAX
            } else {
                FLUSH_TURN_SOCKETS_MAX
            };
            has_more = self.turn(&events, flushes_max);
        }
        let connections = self.connections.len();
        tracing::debug!(core = self.me.0, connections, "core_stopped");
    }

    /// One turn, with so many sockets flushed at most; true: there is more to do.
    fn turn(&mut self, events: &Events, flushes_max: usize) -> bool {
        let now = self.clock.now();
        events.iter().for_each(|event| self.on_event(event));
        self.take_messages(now);
        self.read_sockets(now);
        self.pass_time(now);
        self.owes_turn = false;
        let core_has_more = self.core.turn(now);
        self.put_out(now);
        self.ports.lanes.wake();
        if let Some(ends) = &mut self.ports.peers {
            ends.port.wake();
        }
        self.flush_sockets(flushes_max, now);
        self.report_drained();
        self.ports.cell.tell(|| Counted {
            core: self.core.stats(),
            flushes: self.flushes,
            sends: self.sends,
        });
        core_has_more || self.has_work()
    }

    /// Waits for events: not at all if there is work, else until something arrives or the next deadline.
    fn wait(&mut self, events: &mut Events, has_more: bool) {
        let may_sleep = !has_more && {
            let (ports, me, drain) = (&self.ports, self.me, self.drain);
            self.sleeper
                .may_sleep(|| !ports.has_news(me) && !has_new_phase(ports.phase.now(), drain))
        };
        let timeout = if may_sleep {
            self.until_deadline()
        } else {
            Some(Duration::ZERO)
        };
        if let Err(error) = self.poll.poll(events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            panic!("INV-SRV-3: waiting with an own poller cannot fail: {error}");
        }
        self.sleeper.awake();
    }

    /// Time to the next deadline: of the core's state, of a closing connection, or of a job that the log thread or
    /// the reader threads could not take. `None`: there is none.
    fn until_deadline(&self) -> Option<Duration> {
        let now = self.clock.now().mono_ms;
        let closing = self.queues.closing.front().map(|(at, _)| *at);
        let is_waiting = self.ports.log.is_waiting() || self.ports.readers.is_waiting();
        let retry = is_waiting.then_some(now + HANDOVER_RETRY_MS);
        let deadlines = [self.core.next_deadline(), closing, retry];
        let at = deadlines.into_iter().flatten().min()?;
        // A poller rounds up to whole milliseconds, so it never returns just before the deadline.
        Some(Duration::from_millis(at.saturating_sub(now)))
    }

    fn has_work(&mut self) -> bool {
        let has_queued = !self.queues.read.is_empty() || !self.queues.flush.is_empty();
        self.owes_turn || has_queued || self.can_feed_starved()
    }

    fn on_event(&mut self, event: &Event) {
        if event.token() == WAKE {
            return;
        }
        let id = id_of(event.token());
        // An event may still name a connection that was closed earlier in this turn.
        let Some(connection) = self.connections.by_id(id) else {
            return;
        };
        connection.is_read_closed |= event.is_read_closed();
        if connection.reading == Reading::Waiting
            && (event.is_readable() || event.is_read_closed() || event.is_error())
        {
            connection.reading = Reading::Queued;
            self.queues.read.push_back(id);
        }
        if connection.writing == Writing::Blocked && (event.is_writable() || event.is_error()) {
            connection.writing = Writing::Queued;
            self.queues.flush.push_back(id);
        }
    }

    fn pass_time(&mut self, now: Now) {
        if self
            .core
            .next_deadline()
            .is_some_and(|at| at <= now.mono_ms)
        {
            self.core.tick(now);
        }
        self.close_overdue(now);
        if self.ports.phase.now() >= Phase::Draining && self.drain == Drain::No {
            self.core.drain(now);
            self.drain = Drain::Asked;
        }
        if self.ports.phase.now() == Phase::Stopping {
            self.core.end(now);
        }
    }

    /// Tells the node once that nobody is left. Asked at the end of a turn: nothing becomes so between turns.
    fn report_drained(&mut self) {
        if self.drain == Drain::Asked && self.core.is_drained() && self.connections.len() == 0 {
            self.drain = Drain::Done;
            self.ports.report(Report::Drained);
        }
    }

    /// Takes a new connection in.
    fn welcome(&mut self, accepted: Accepted, now: Now) {
        let Accepted {
            socket,
            place,
            claim,
        } = accepted;
        let id = self.connections.insert(Connection::new(socket, place));
        let Some(connection) = self.connections.by_id(id) else {
            unreachable!("INV-SRV-5: what was just inserted is there")
        };
        let registered =
            self.poll
                .registry()
                .register(&mut connection.socket, token_of(id), Interest::READABLE);
        if let Err(error) = registered {
            // Out of memory or watches: this connection cannot be served, the others can.
            tracing::warn!(%error, "connection_not_registered");
            self.connections.remove(id);
            return;
        }
        self.core.connected(id, claim, now);
    }

    /// The socket is gone, or patience with it.
    fn remove(&mut self, id: ConnId) {
        let Some(mut connection) = self.connections.remove(id) else {
            return;
        };
        self.buffers.held_bytes -= connection.input.capacity();
        // Closing the descriptor would do; a descriptor that was duplicated somewhere would keep sending events.
        let _ = self.poll.registry().deregister(&mut connection.socket);
        self.core.disconnected(id);
        self.owes_turn = true;
    }
}

/// Whether the node has entered a phase that this core has not acted on.
fn has_new_phase(phase: Phase, drain: Drain) -> bool {
    match phase {
        Phase::Running => false,
        Phase::Draining => drain == Drain::No,
        Phase::Stopping | Phase::Killed => true,
    }
}
