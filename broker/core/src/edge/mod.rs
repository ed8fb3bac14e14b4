//! The connections of this core: sessions, requests, subscriptions, fan-out, liveness.
//!
//! Everything that a client does arrives in [`Edge::frame`], everything that a home answers in [`Edge::handle`]. The files by subject:
//!
//! | file | subject |
//! |---|---|
//! | `conns`, `session`, `subs`, `outbox` | a connection, its state, its queued output |
//! | `decoding`, `hello`, `producers` | frames; the handshake; one connection per session |
//! | `ending`, `liveness`, `wheel` | GOAWAY, drain, deadlines, PING |
//! | `publish`, `batches`, `channels`, `parked` | from PUBLISH to the room's channel |
//! | `rooms`, `subscribe`, `fanout` | subscriptions and live delivery |
//! | `pull`, `history`, `records` | readers behind and FETCH |
//! | `cursors`, `signals`, `metadata`, `digests` | CURSOR; SIGNAL; METADATA; the digest in PONG |

mod batches;
mod channels;
mod conns;
mod cursors;
mod decoding;
mod digests;
mod ending;
mod fanout;
mod handouts;
mod hello;
mod history;
mod liveness;
mod metadata;
mod names;
pub(crate) mod outbox;
mod parked;
mod producers;
mod publish;
mod pull;
mod random;
mod records;
mod rooms;
mod session;
mod settings;
mod signals;
mod subs;
mod subscribe;
mod wheel;

#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use antiphon_protocol::limits::HANDSHAKE_BYTES_MAX;
use antiphon_protocol::{
    ClientFrame, Code, DecodeError, ErrorFrame, FRAME_HEADER_BYTES, PubackEntry, RawFrame,
    RequestId,
};

use self::conns::{Conn, Conns};
use self::digests::Digests;
use self::ending::Ending;
use self::fanout::Fanouts;
use self::outbox::Outbox;
use self::producers::Producers;
use self::publish::Publishing;
use self::pull::Pulls;
use self::random::Random;
use self::rooms::Rooms;
use self::session::Session;
use self::settings::Settings;
use self::signals::Signals;
use self::wheel::Wheel;
use crate::channel::Exchange;
use crate::core::{ConnId, CoreConfig, CoreId, Flow, Now, Output};
use crate::lane::{Ack, Claim, Message, Refused, Reject, ToEdge};
use crate::limits::Limits;

/// What the edge counts, and its sizes now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EdgeStats {
    /// Connections, now.
    pub connections: u64,
    /// Subscriptions, now.
    pub subscriptions: u64,
    /// Rooms with a subscriber here, now.
    pub rooms: u64,
    /// Room channels open here, now.
    pub channels: u64,
    /// Requests of readers behind that are not answered, now.
    pub pulls_in_flight: u64,
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Sessions ended by a newer connection of their own.
    pub sessions_replaced: u64,
    /// GOAWAYs sent.
    pub goaways: u64,
    /// Publishes taken.
    pub publishes: u64,
    /// Batches put into room channels.
    pub batches: u64,
    /// Batches that found their channel full.
    pub batches_parked: u64,
    /// Batches refused because their channel stayed full.
    pub batches_refused: u64,
    /// Acks queued.
    pub acks: u64,
    /// ERROR frames queued.
    pub errors: u64,
    /// Live deliveries queued, one per subscriber.
    pub deliveries: u64,
    /// Deliveries dropped because too many of one room waited; its subscribers read behind.
    pub deliveries_dropped: u64,
    /// How often a live subscriber became a reader behind.
    pub turned_behind: u64,
    /// How often all sessions were held because too much waited for a full lane.
    pub holds: u64,
    /// Signals queued, one per subscriber.
    pub signals: u64,
    /// Signals that a subscription lost, and will be told of by number.
    pub signals_dropped: u64,
    /// Bytes in all outboxes, now.
    pub outbox_bytes: u64,
    /// Turns that ended with more bytes in all outboxes than OUTBOXES_BYTES_MAX.
    pub turns_scarce: u64,
}

/// What a PING takes: whoever takes more has taken something that we had to say.
const PING_BYTES: usize = FRAME_HEADER_BYTES + 8;

/// Text of the GOAWAY of who made the decoder panic.
const DECODER_FAILED: &str = "a frame made the server's decoder fail";

/// The connections of one core.
#[derive(Debug)]
pub(crate) struct Edge {
    settings: Settings,
    /// As of the current input.
    now: Now,
    conns: Conns,
    producers: Producers,
    publishing: Publishing,
    rooms: Rooms,
    fanouts: Fanouts,
    signals: Signals,
    digests: Digests,
    pulls: Pulls,
    wheel: Wheel,
    random: Random,
    /// Last ticket given.
    tickets: u64,
    ending: Ending,
    /// Too much waits for full lanes: no session is read.
    is_held: bool,
    out: VecDeque<Output>,
    stats: EdgeStats,
}

impl Edge {
    pub(crate) fn new(config: &CoreConfig, exchange: Arc<Exchange>, now: Now) -> Edge {
        Edge {
            settings: Settings::new(config, exchange),
            now,
            conns: Conns::new(&config.limits.budgets),
            producers: Producers::new(&config.hash),
            publishing: Publishing::new(config),
            rooms: Rooms::new(&config.hash),
            fanouts: Fanouts::new(),
            signals: Signals::default(),
            digests: Digests::default(),
            pulls: Pulls::default(),
            wheel: Wheel::new(now.mono_ms),
            random: Random::new(config.seed),
            tickets: 0,
            ending: Ending::default(),
            is_held: false,
            out: VecDeque::new(),
            stats: EdgeStats::default(),
        }
    }

    /// The time of the input that follows.
    pub(crate) fn set_now(&mut self, now: Now) {
        debug_assert!(
            now.mono_ms >= self.now.mono_ms,
            "INV-EDGE-16: the monotonic clock went back"
        );
        self.now = now;
    }

    pub(crate) fn connected(&mut self, id: ConnId, claim: Claim) {
        let now_ms = self.now.mono_ms;
        let deadline_ms = now_ms + self.settings.limits.handshake_ms;
        self.conns.insert(Conn {
            id,
            claim,
            session: Session::AwaitHello { deadline_ms },
            outbox: Outbox::new(),
            flush_due: false,
            is_paused: false,
            live_bytes_max: 0,
            frame_since_ms: 0,
            frame_bytes: 0,
            heard_ms: now_ms,
            told_ms: now_ms,
        });
        self.wheel.put(id, deadline_ms);
        if self.ending.drain_deadline_ms.is_some() {
            self.shut_down(id);
        }
    }

    pub(crate) fn len_max(&self, conn: ConnId) -> u32 {
        self.conns
            .get(conn)
            .map_or(HANDSHAKE_BYTES_MAX, |conn| conn.session.len_max())
    }

    pub(crate) fn frame(&mut self, conn: ConnId, frame: RawFrame<'_>) -> Flow {
        let Some(entry) = self.conns.get_mut(conn) else {
            return Flow::Pause;
        };
        entry.frame_since_ms = 0;
        match entry.session {
            Session::Closing { .. } => return Flow::Pause,
            Session::AwaitHello { .. } => self.hello(conn, frame),
            Session::Open(_) => self.request_frame(conn, frame),
        }
        self.flow(conn)
    }

    fn request_frame(&mut self, conn: ConnId, frame: RawFrame<'_>) {
        let id = frame.header.id;
        let Some(decoded) = decoding::request(frame) else {
            return self.goaway(conn, Code::INTERNAL, DECODER_FAILED);
        };
        match decoded {
            Ok(ClientFrame::Publish(publish)) => self.publish(conn, id, &publish),
            Ok(ClientFrame::Ping(ping)) => self.pinged(conn, id, ping.nonce),
            Ok(ClientFrame::Pong(_)) => {}
            Ok(ClientFrame::Subscribe(subscribe)) => self.subscribe(conn, id, &subscribe),
            Ok(ClientFrame::Unsubscribe(unsubscribe)) => self.unsubscribe(conn, id, &unsubscribe),
            Ok(ClientFrame::Fetch(fetch)) => self.fetch(conn, id, &fetch),
            Ok(ClientFrame::Cursor(cursor)) => self.cursor(conn, id, &cursor),
            Ok(ClientFrame::Signal(signal)) => self.signal(conn, id, &signal),
            Ok(ClientFrame::Metadata(request)) => self.metadata(conn, id, request),
            Ok(ClientFrame::Hello(_)) => {
                self.answer_error(conn, id, &ErrorFrame::new(Code::BAD_STATE))
            }
            Ok(_) => {
                let error = DecodeError::KindNotServed(frame.header.kind);
                self.answer_error(conn, id, &ErrorFrame::refusing(&error));
            }
            Err(error) => self.answer_error(conn, id, &ErrorFrame::refusing(&error)),
        }
    }

    /// Whether the connection may be read on; what it is paused for is undone by `ease`.
    fn flow(&mut self, conn: ConnId) -> Flow {
        let limits = &self.settings.limits;
        let Some(entry) = self.conns.get_mut(conn) else {
            return Flow::Pause;
        };
        if !self.is_held && !must_pause(entry, limits) {
            return Flow::Continue;
        }
        entry.is_paused = true;
        Flow::Pause
    }

    /// Has no session read on, or all of them again.
    pub(crate) fn hold(&mut self, is_held: bool) {
        if self.is_held == is_held {
            return;
        }
        self.is_held = is_held;
        if is_held {
            self.stats.holds += 1;
            return;
        }
        for conn in self.conns.ids() {
            self.ease(conn);
        }
    }

    /// Something that a connection may be paused for became less.
    fn ease(&mut self, conn: ConnId) {
        if self.ending.drain_deadline_ms.is_some() {
            return self.leave_if_answered(conn);
        }
        let now_ms = self.now.mono_ms;
        let limits = &self.settings.limits;
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        if entry.is_paused && !self.is_held && !must_pause(entry, limits) {
            entry.is_paused = false;
            entry.heard_ms = now_ms;
            entry.frame_since_ms = 0;
            self.out.push_back(Output::Resume(conn));
        }
    }

    pub(crate) fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        let entry = self.conns.get_mut(conn)?;
        entry.outbox.close_frame();
        Some(&mut entry.outbox)
    }

    pub(crate) fn sent(&mut self, conn: ConnId) {
        let now_ms = self.now.mono_ms;
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        entry.told_ms = now_ms;
        let sent = self.conns.sent(conn);
        if let Some(entry) = self.conns.get_mut(conn)
            && entry.is_paused
            && sent > PING_BYTES
        {
            entry.heard_ms = now_ms;
        }
        self.ease(conn);
        self.queue_pulls(conn);
        self.pull();
    }

    pub(crate) fn handle(&mut self, message: ToEdge) {
        match message {
            ToEdge::Deliver(deliver) => self.deliver(deliver),
            ToEdge::Acks(acks) => self.acks(&acks),
            ToEdge::Reject(reject) => self.rejected(&reject),
            ToEdge::ChannelOpened(opened) => self.channel_opened(opened),
            ToEdge::ChannelRefused {
                namespace,
                room,
                code,
                hint,
            } => self.channel_refused(namespace, &room, code, hint),
            ToEdge::Subscribed(subscribed) => self.subscribed(&subscribed),
            ToEdge::Slice(slice) => self.slice(&slice),
            ToEdge::TailFailed { conn, ticket, code } => self.tail_failed(conn, ticket, code),
            ToEdge::Page(page) => self.page(&page),
            ToEdge::Created(created) => self.created(&created),
            ToEdge::Dirty { room, apply_end } => self.dirty(room, apply_end),
            ToEdge::Signal(signal) => self.signalled(&signal),
            ToEdge::CursorTold(told) => self.cursor_told(&told),
            ToEdge::CursorsMoved(moved) => self.cursors_moved(&moved),
            ToEdge::BarrierPassed(barrier) => self.barrier_passed(barrier),
            ToEdge::Ended { room, code } => self.ended(room, code),
            ToEdge::NameEnded {
                namespace,
                name,
                code,
            } => self.name_ended(namespace, &name, code),
        }
    }

    fn acks(&mut self, acks: &[Ack]) {
        for ack in acks {
            let Ack {
                conn,
                request,
                room: room_id,
                producer_seq,
                seq,
                link,
                time,
                duplicate,
                quiet,
            } = *ack;
            let entry = PubackEntry {
                request,
                room_id,
                producer_seq,
                seq,
                link,
                time,
                duplicate,
            };
            if let Some(may_ease) = self.conns.ack(conn, Some(&entry).filter(|_| !quiet)) {
                self.stats.acks += u64::from(!quiet);
                if may_ease {
                    self.ease(conn);
                }
            }
        }
    }

    fn rejected(&mut self, reject: &Reject) {
        let Reject {
            conn,
            code,
            hint,
            retry_after_ms,
            ..
        } = *reject;
        let class = reject.class.unwrap_or(code.class());
        let error = ErrorFrame {
            code,
            class,
            retry_after_ms,
            hint,
            text: "",
        };
        match reject.of {
            Refused::Publish => {
                self.answer_error(conn, reject.request, &error);
                self.publish_answered(conn);
            }
            Refused::Signal => self.answer_error(conn, reject.request, &error),
            Refused::Cursor(ticket) => {
                if self.take_cursor(conn, ticket).is_some() {
                    self.answer_error(conn, reject.request, &error);
                    self.ease(conn);
                }
            }
            Refused::Subscribe(ticket) => {
                let Some(pending) = self
                    .conns
                    .open_mut(conn)
                    .and_then(|open| open.take_request(ticket))
                else {
                    return;
                };
                self.answer_error(conn, reject.request, &error);
                self.subscribe_refused(conn, pending);
                self.ease(conn);
            }
            Refused::Fetch(ticket) => {
                self.pull_answered(conn);
                let pending = self
                    .conns
                    .open_mut(conn)
                    .and_then(|open| open.take_request(ticket));
                if let Some(session::Pending::Fetch { request, .. }) = pending {
                    self.answer_error(conn, request, &error);
                    self.ease(conn);
                }
            }
        }
    }

    /// Queues ERROR, if the session is still open.
    fn answer_error(&mut self, conn: ConnId, id: RequestId, error: &ErrorFrame<'_>) {
        if self.conns.open(conn).is_some() {
            self.conns.write(conn, |out| error.encode(id, out));
            self.stats.errors += 1;
        }
    }

    fn send(&mut self, to: CoreId, message: Message) {
        self.out.push_back(Output::Lane { to, message });
    }

    /// The inputs of this turn are in: publishes go to their channels.
    pub(crate) fn begin_turn(&mut self) {
        self.send_batches();
    }

    /// Everything of this turn was handled: fan-out, refills, flushes. `true`: more is left.
    pub(crate) fn end_turn(&mut self) -> bool {
        let has_more = self.fan_out_queued() | self.hand_out_signals();
        self.pull();
        self.settle_signals();
        self.stats.turns_scarce += u64::from(self.conns.is_scarce());
        while let Some(conn) = self.conns.next_flush() {
            self.out.push_back(Output::Flush(conn));
        }
        for conn in core::mem::take(&mut self.ending.closes) {
            self.out.push_back(Output::Close(conn));
        }
        has_more
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if self.conns.has_flushes()
            || !self.publishing.batches.is_empty()
            || !self.ending.closes.is_empty()
            || !self.fanouts.is_empty()
            || self.signals.has_handouts()
        {
            return Some(0);
        }
        let deadlines = [
            self.wheel.next_deadline(),
            self.publishing.parked.deadline(self.now.mono_ms),
            self.pull_deadline(),
            self.drain_deadline(),
            self.publishing.channels.sweep_deadline(),
            self.signals.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// When the drain stops waiting.
    fn drain_deadline(&self) -> Option<u64> {
        self.ending
            .drain_deadline_ms
            .filter(|_| self.conns.len() > 0)
            .filter(|&deadline| self.now.mono_ms < deadline)
    }

    pub(crate) fn tick(&mut self) {
        self.check_connections();
        self.end_drain();
        self.publishing.channels.sweep(self.now.mono_ms);
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    pub(crate) fn stats(&self) -> EdgeStats {
        EdgeStats {
            connections: self.conns.len() as u64,
            subscriptions: self.rooms.subscriptions() as u64,
            rooms: self.rooms.rooms() as u64,
            channels: self.publishing.channels.len() as u64,
            pulls_in_flight: u64::from(self.pulls.in_flight()),
            outbox_bytes: self.conns.queued() as u64,
            ..self.stats
        }
    }
}

/// Whether a connection may not be read for now.
fn must_pause(conn: &Conn, limits: &Limits) -> bool {
    match &conn.session {
        Session::Open(open) => {
            open.must_wait(limits) || conn.outbox.len() > limits.budgets.outbox_pause_bytes()
        }
        Session::AwaitHello { .. } => false,
        Session::Closing { .. } => true,
    }
}
