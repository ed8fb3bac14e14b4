//! A client that speaks frames and has no SDK: signals, cursors, starts from a cursor, publishes that name their place.
//!
//! It lives as long as its connection: what was under way is lost with it, and the next one begins anew. It takes everything at once and asks for
//! little, but it believes the broker as little as `tap` does, which reads the same bytes.

use std::collections::{BTreeMap, VecDeque};

use antiphon_client::testing::Told;
use antiphon_protocol as wire;
use antiphon_protocol::{
    CursorPosition, Features, Hello, ProducerSeq, RequestId, RoomRef, Seq, ServerFrame, Subscribe,
    Wants, next_frame,
};

/// Frames longer than this are no frames.
const FRAME_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// Bytes of a signal's value: the connection's own number, and the signal's.
pub(crate) const SIGNAL_VALUE_BYTES: usize = 16;
/// The name of each signal.
pub(crate) const SIGNAL_NAME: &str = "now";

/// Signals that it sends in a second: so few that the broker refuses none even if all of ten seconds come at once, for a refusal that is lost with the
/// connection looks as if the signal were.
const SIGNALS_PER_SECOND: u32 = 10;

/// A room whose SUBSCRIBE was refused is asked for again after this time.
const AGAIN_MS: u64 = 300;

/// See the module.
#[derive(Debug)]
pub(crate) struct Raw {
    user: String,
    keepalive_ms: u64,
    /// What no other connection says of itself.
    pub(crate) via: u64,
    out: Vec<u8>,
    held: Vec<u8>,
    told: VecDeque<Told>,
    is_asked: bool,
    is_open: bool,
    is_over: bool,
    last_id: u64,
    producer: wire::Producer,
    heard_ms: u64,
    said_ms: u64,
    /// Rooms by name, once it asked for them.
    pub(crate) rooms: BTreeMap<String, RawRoom>,
    /// Subscribes without an answer that has a room's number.
    asked: BTreeMap<RequestId, String>,
    /// Rooms to ask for again, and from when on.
    again: VecDeque<(u64, String)>,
    /// Signals sent in which second.
    signalled: (u64, u32),
}

/// A room that it follows.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawRoom {
    /// 0: it is not subscribed, or there is no such room.
    pub(crate) id: wire::RoomId,
    /// How far the stream has come.
    pub(crate) at: Seq,
    /// A record that was there: its seq, count and time.
    pub(crate) last: Option<(CursorPosition, u64)>,
    /// The head that SUBSCRIBED told, or what came since.
    pub(crate) head: Seq,
    /// Publishes that were acked.
    published: u64,
    publish: Option<RequestId>,
    /// Signals sent, by key.
    signals: BTreeMap<u32, u64>,
}

impl Raw {
    /// A client of that name, not connected.
    pub(crate) fn new(user: String, keepalive_ms: u64, via: u64) -> Raw {
        Raw {
            user,
            keepalive_ms,
            via,
            out: Vec::new(),
            held: Vec::new(),
            told: VecDeque::new(),
            is_asked: false,
            is_open: false,
            is_over: false,
            last_id: 0,
            producer: wire::Producer(0),
            heard_ms: 0,
            said_ms: 0,
            rooms: BTreeMap::new(),
            asked: BTreeMap::new(),
            again: VecDeque::new(),
            signalled: (0, 0),
        }
    }

    /// Its connection is gone, and so is it.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The broker has greeted.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open && !self.is_over
    }

    // ---- what its thread calls, as for a session of the SDK ---------------------------------------------------------------------------------------

    pub(crate) fn connected(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
        self.said_ms = now_ms;
        let id = self.id();
        let hello = Hello {
            features: Features::ALL,
            keepalive_ms: u32::try_from(self.keepalive_ms).unwrap_or(0),
            ..Hello::new(&self.user)
        };
        hello.encode(id, &mut self.out);
    }

    pub(crate) fn end(&mut self) {
        self.is_over = true;
    }

    pub(crate) fn tick(&mut self, now_ms: u64) {
        if !self.is_asked {
            self.is_asked = true;
            self.told.push_back(Told::Connect("node-1".to_owned()));
        }
        if self.heard_ms == 0 || self.is_over {
            return;
        }
        if now_ms >= self.heard_ms + 3 * self.keepalive_ms {
            self.is_over = true;
            self.told.push_back(Told::Disconnect);
        } else if self.is_open && now_ms >= self.said_ms + self.keepalive_ms / 2 {
            let id = self.id();
            wire::Ping { nonce: id.0 }.encode(id, &mut self.out);
            self.said_ms = now_ms;
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if self.is_over {
            return None;
        }
        if !self.is_asked {
            return Some(0);
        }
        let silence = self.heard_ms + 3 * self.keepalive_ms;
        let again = self.again.front().map_or(u64::MAX, |(at, _)| *at);
        let said = self.said_ms + self.keepalive_ms / 2;
        (self.heard_ms > 0).then(|| silence.min(said).min(again))
    }

    pub(crate) fn poll(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        &self.out
    }

    pub(crate) fn advance(&mut self, count: usize, now_ms: u64) {
        self.out.drain(..count);
        self.said_ms = now_ms;
    }

    /// Bytes came.
    pub(crate) fn received(&mut self, bytes: &[u8], now_ms: u64) {
        self.heard_ms = now_ms;
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut used = 0;
        while let Ok(Some(frame)) = next_frame(&held[used..], FRAME_BYTES_MAX) {
            used += frame.whole.len();
            let id = frame.header.id;
            if let Ok(frame) = ServerFrame::decode(frame) {
                self.frame(id, &frame);
            }
        }
        held.drain(..used);
        self.held = held;
    }

    fn frame(&mut self, id: RequestId, frame: &ServerFrame<'_>) {
        match frame {
            ServerFrame::Welcome(welcome) => {
                self.is_open = true;
                self.producer = welcome.producer;
            }
            ServerFrame::Ping(ping) => {
                let pong = wire::Pong {
                    nonce: ping.nonce,
                    digest: None,
                };
                pong.encode(id, &mut self.out);
            }
            ServerFrame::Goaway(_) => {
                self.is_over = true;
                self.told.push_back(Told::Disconnect);
            }
            ServerFrame::Subscribed(subscribed) => self.subscribed(id, subscribed),
            ServerFrame::Unsubscribe(over) => {
                if let RoomRef::Id(id) = over.room
                    && let Some(room) = self.room_of(id)
                {
                    room.id = wire::RoomId(0);
                }
            }
            ServerFrame::Record(record) => {
                let position = CursorPosition {
                    seq: record.seq(),
                    count: record.count(),
                };
                let time = record.time().0;
                if let Some(room) = self.room_of(record.room_id()) {
                    room.at = position.seq;
                    room.head = room.head.max(position.seq);
                    room.last = Some((position, time));
                }
            }
            ServerFrame::Gap(gap) => {
                if let Some(room) = self.room_of(gap.room_id) {
                    room.at = gap.to;
                }
            }
            ServerFrame::Puback(puback) => self.acked(puback),
            ServerFrame::Error(error) => {
                let is_final = error.code == wire::Code::CONFLICT;
                for room in self.rooms.values_mut() {
                    if room.publish == Some(id) {
                        room.publish = None;
                        // It sends nothing again: whether the number is taken is another life's to know.
                        self.is_over |= !is_final;
                    }
                }
                if self.is_over {
                    self.told.push_back(Told::Disconnect);
                }
                self.subscribe_refused(id, error.code);
            }
            _ => {}
        }
    }

    fn subscribed(&mut self, id: RequestId, subscribed: &wire::Subscribed<'_>) {
        let Some(name) = self.asked.get(&id).cloned() else {
            return;
        };
        // Whatever was asked before it for this room counts no more.
        self.asked.retain(|asked, of| *of != name || *asked > id);
        if subscribed.room_id.0 == 0 {
            self.asked.insert(id, name);
            return;
        }
        let room = self.rooms.entry(name).or_default();
        room.id = subscribed.room_id;
        room.at = Seq(subscribed.next_seq.0.saturating_sub(1));
        room.head = subscribed.head_seq;
    }

    fn acked(&mut self, puback: &wire::Puback<'_>) {
        for entry in puback.entries() {
            let all = self.rooms.values_mut();
            for room in all.filter(|room| room.publish == Some(entry.request)) {
                room.publish = None;
                room.published += 1;
            }
        }
    }

    /// An older subscription goes on, or a later one counts; else it asks again after a while.
    fn subscribe_refused(&mut self, id: RequestId, code: wire::Code) {
        let Some(name) = self.asked.remove(&id) else {
            return;
        };
        let is_followed = self.rooms.get(&name).is_some_and(|room| room.id.0 != 0);
        if !is_followed && code != wire::Code::REPLACED {
            self.again.push_back((self.heard_ms + AGAIN_MS, name));
        }
    }

    /// A room that it is to ask for again now.
    pub(crate) fn due_again(&mut self, now_ms: u64) -> Option<String> {
        let is_due = self.again.front().is_some_and(|(at, _)| *at <= now_ms);
        let (_, name) = is_due.then(|| self.again.pop_front())??;
        Some(name)
    }

    /// How far its stream of a room has come; `None`: it follows it, and that is not known yet.
    pub(crate) fn position(&self, name: &str) -> Option<Option<Seq>> {
        let is_wanted = self.again.iter().any(|(_, again)| again == name);
        if is_wanted || self.asked.values().any(|asked| asked == name) {
            return Some(None);
        }
        let room = self.rooms.get(name).filter(|room| room.id.0 != 0)?;
        Some(Some(room.at))
    }

    fn room_of(&mut self, id: wire::RoomId) -> Option<&mut RawRoom> {
        self.rooms.values_mut().find(|room| room.id == id)
    }

    fn id(&mut self) -> RequestId {
        self.last_id += 1;
        RequestId(self.last_id)
    }

    // ---- what its application asks for -----------------------------------------------------------------------------------------------------------

    /// Follows a room, with its signals and cursors.
    pub(crate) fn subscribe(&mut self, name: &str, start: wire::Start<'_>) {
        let id = self.id();
        // Until the answer the old subscription goes on, if there is one.
        self.rooms.entry(name.to_owned()).or_default();
        let wants = Wants {
            signals: true,
            cursors: true,
        };
        let subscribe = Subscribe {
            wants,
            ..Subscribe::new(RoomRef::Name(name), start)
        };
        subscribe.encode(id, &mut self.out);
        self.asked.insert(id, name.to_owned());
    }

    /// Says something to those who are there; with key 0 without one.
    pub(crate) fn signal(&mut self, name: &str, key: u32, now_ms: u64) {
        let second = now_ms / 1_000;
        if self.signalled.0 != second {
            self.signalled = (second, 0);
        }
        if self.signalled.1 >= SIGNALS_PER_SECOND {
            return;
        }
        self.signalled.1 += 1;
        let id = self.id();
        let via = self.via;
        let Some(room) = self.rooms.get_mut(name).filter(|room| room.id.0 != 0) else {
            return;
        };
        let number = room.signals.entry(key).or_default();
        *number += 1;
        let value: [[u8; 8]; 2] = [via.to_le_bytes(), number.to_le_bytes()];
        let key = if key == 0 {
            String::new()
        } else {
            key.to_string()
        };
        let signal = wire::Signal {
            room: RoomRef::Name(name),
            name: SIGNAL_NAME,
            key: key.as_bytes(),
            value: value.as_flattened(),
        };
        signal.encode(id, &mut self.out);
    }

    /// Moves its cursor of that name; with position 0 asks where it stands.
    pub(crate) fn cursor(
        &mut self,
        name: &str,
        cursor: &str,
        position: CursorPosition,
        is_sync: bool,
    ) {
        let id = self.id();
        let cursor = wire::Cursor {
            room: RoomRef::Name(name),
            name: cursor,
            position,
            scope: wire::CursorScope::MEMBERS,
            is_sync,
        };
        cursor.encode(id, &mut self.out);
    }

    /// Publishes what is to stand right behind the newest record that it knows, if nothing of it is under way there.
    pub(crate) fn publish_next(&mut self, name: &str, body: &[u8]) -> bool {
        let id = self.id();
        let producer = self.producer;
        let Some(room) = self.rooms.get_mut(name) else {
            return false;
        };
        if room.id.0 == 0 || room.publish.is_some() {
            return false;
        }
        room.publish = Some(id);
        let publish = wire::Publish {
            room: RoomRef::Name(name),
            producer,
            producer_seq: ProducerSeq(room.published + 1),
            kind: wire::RecordKind::MESSAGE,
            codec: 0,
            ack: wire::Ack::Committed,
            expect_seq: Seq(room.head.0 + 1),
            headers: &[],
            body,
        };
        publish.encode(id, &mut self.out);
        true
    }
}
