//! What a client's socket carries, written down as history.
//!
//! It reads the bytes themselves, so it believes neither the broker nor the SDK: it shares the frames' codec with them, and nothing else. Requests are
//! noted when their bytes leave the client, answers when their bytes have reached it.

use std::collections::{BTreeMap, BTreeSet};

use antiphon_protocol as wire;
use antiphon_protocol::{ClientFrame, PageItem, RoomRef, ServerFrame, next_frame};

use crate::history::{
    BodyHash, GapRange, Link, Op, Origin, Producer, ProducerSeq, Range, Record, Room, Seq, Start,
    User, Way, What, Why,
};

use super::tap_beside::cursor_number;
use super::world::{World, node_no};

/// Frames longer than this are no frames.
const FRAME_BYTES_MAX: u32 = 2 * 1024 * 1024;

/// One client's socket.
#[derive(Debug)]
pub(crate) struct Tap {
    pub(super) user: u32,
    connect: Option<Op>,
    up: Vec<u8>,
    down: Vec<u8>,
    pub(super) asked: BTreeMap<u64, Asked>,
    /// The subscription whose records come, by room.
    pub(super) live: BTreeMap<u32, Live>,
    /// Names of rooms' numbers, as the broker told them.
    pub(super) rooms: BTreeMap<u64, u32>,
}

/// What a request was.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Hello(Op),
    Publish(Op, u32),
    /// Further answers may come: a room that did not exist comes to be.
    Subscribe(Op, u32, bool),
    Unsubscribe(Option<Op>, u32),
    Fetch(Op, u32, Pages),
    /// No answer but an error.
    Signal(Op),
    Cursor(Op),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    head: Option<Seq>,
    records: Vec<Record>,
    gaps: Vec<GapRange>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) op: Op,
    head: u64,
    link: wire::Link,
}

impl Tap {
    /// The socket of a client.
    pub(crate) fn new(user: u32) -> Tap {
        Tap {
            user,
            connect: None,
            up: Vec::new(),
            down: Vec::new(),
            asked: BTreeMap::new(),
            live: BTreeMap::new(),
            rooms: BTreeMap::new(),
        }
    }

    /// What was asked and is without an answer, for people.
    pub(crate) fn waits_for(&self) -> String {
        let open = |asked: &&Asked| !asked.is_done();
        let asked: Vec<String> = self
            .asked
            .iter()
            .filter(|(_, asked)| open(asked))
            .take(5)
            .map(|(id, asked)| format!("request {id}: {asked:?}"))
            .collect();
        format!("greeting: {:?}, {}", self.connect, asked.join(", "))
    }

    /// No publish or read is without an answer. A slow reader may leave and join its room again and again, and is not asked.
    pub(crate) fn is_answered(&self) -> bool {
        let is_open = |asked: &Asked| matches!(asked, Asked::Publish(..) | Asked::Fetch(..));
        self.connect.is_none() && !self.asked.values().any(is_open)
    }

    /// Nothing asked is without an answer.
    pub(crate) fn is_quiet(&self) -> bool {
        self.connect.is_none() && self.asked.values().all(Asked::is_done)
    }

    pub(super) fn room(&self, room: RoomRef<'_>) -> Option<u32> {
        match room {
            RoomRef::Id(id) => self.rooms.get(&id.0).copied(),
            RoomRef::Name(name) => name.strip_prefix("room-")?.parse().ok(),
        }
    }

    fn record(record: &wire::Record<'_>) -> Record {
        // Users are called user-N.
        let user = std::str::from_utf8(record.sender().as_bytes())
            .ok()
            .and_then(|name| name.strip_prefix("user-")?.parse().ok())
            .unwrap_or(u32::MAX);
        Record {
            seq: Seq(record.seq().0),
            link: Link(record.link().0),
            origin: Origin {
                user: User(user),
                producer: Producer(record.producer().0),
                producer_seq: ProducerSeq(record.producer_seq().0),
            },
            body: BodyHash::of(record.body()),
        }
    }
}

impl Asked {
    /// Nothing, or nothing more, has to come.
    fn is_done(&self) -> bool {
        matches!(self, Asked::Subscribe(_, _, true) | Asked::Signal(_))
    }
}

fn gap_range(gap: &wire::Gap) -> GapRange {
    GapRange {
        from: Seq(gap.from.0),
        to: Seq(gap.to.0),
        reason: gap.reason.wire(),
    }
}

impl World {
    pub(super) fn op(&mut self) -> Op {
        self.last_op += 1;
        Op(self.last_op)
    }

    pub(super) fn told(&mut self, client: usize, what: What) {
        self.note(client, what);
    }

    /// A connection is up.
    pub(crate) fn tap_begin(&mut self, client: usize) {
        let op = self.op();
        let tap = &mut self.clients[client].tap;
        tap.connect = Some(op);
        tap.up.clear();
        tap.down.clear();
        let node = node_no(self.clients[client].node);
        self.told(client, What::Connect { op, node });
    }

    /// A connection is gone, and with it all answers.
    pub(crate) fn tap_end(&mut self, client: usize) {
        let tap = &mut self.clients[client].tap;
        tap.up.clear();
        tap.down.clear();
        let mut unknown: BTreeSet<Op> = tap.connect.take().into_iter().collect();
        for asked in std::mem::take(&mut tap.asked).into_values() {
            match asked {
                Asked::Publish(op, _)
                | Asked::Subscribe(op, _, false)
                | Asked::Fetch(op, _, _)
                | Asked::Cursor(op)
                | Asked::Hello(op) => {
                    unknown.insert(op);
                }
                Asked::Subscribe(_, _, true) | Asked::Unsubscribe(..) | Asked::Signal(_) => {}
            }
        }
        tap.live.clear();
        for op in unknown {
            self.told(client, What::Unknown { op });
        }
        self.told(client, What::Disconnected);
    }

    /// Bytes leave a client.
    pub(crate) fn tap_up(&mut self, client: usize, bytes: &[u8]) {
        let mut buffer = std::mem::take(&mut self.clients[client].tap.up);
        buffer.extend_from_slice(bytes);
        let mut used = 0;
        while let Ok(Some(frame)) = next_frame(&buffer[used..], FRAME_BYTES_MAX) {
            used += frame.whole.len();
            let id = frame.header.id.0;
            match ClientFrame::decode(frame) {
                Ok(frame) => self.tap_request(client, id, &frame),
                Err(error) => self.fail(format!("client {client} sends what is no frame: {error}")),
            }
        }
        buffer.drain(..used);
        self.clients[client].tap.up = buffer;
    }

    fn tap_request(&mut self, client: usize, id: u64, frame: &ClientFrame<'_>) {
        let next_op = Op(self.last_op + 1);
        let tap = &mut self.clients[client].tap;
        let user = User(tap.user);
        let (asked, what) = match frame {
            ClientFrame::Hello(_) => {
                let Some(op) = tap.connect.take() else { return };
                tap.asked.insert(id, Asked::Hello(op));
                return;
            }
            ClientFrame::Publish(publish) => {
                let Some(room) = tap.room(publish.room) else {
                    self.fail(format!(
                        "client {client} publishes to a room it cannot know"
                    ));
                    return;
                };
                let origin = Origin {
                    user,
                    producer: Producer(publish.producer.0),
                    producer_seq: ProducerSeq(publish.producer_seq.0),
                };
                let what = What::Publish {
                    op: next_op,
                    room: Room(room),
                    origin,
                    body: BodyHash::of(publish.body),
                };
                (Asked::Publish(next_op, room), what)
            }
            ClientFrame::Subscribe(subscribe) => {
                let Some(room) = tap.room(subscribe.room) else {
                    self.fail(format!(
                        "client {client} subscribes to a room it cannot know"
                    ));
                    return;
                };
                let start = match subscribe.start {
                    wire::Start::Live => Start::Live,
                    wire::Start::After { seq, link } => Start::After {
                        seq: Seq(seq.0),
                        link: Link(link.0),
                    },
                    wire::Start::Last(count) => Start::Last(count),
                    wire::Start::Time(time) => Start::Time(time.0),
                    wire::Start::Cursor(name) => Start::Cursor(cursor_number(name)),
                };
                let what = What::Subscribe {
                    op: next_op,
                    room: Room(room),
                    start,
                };
                (Asked::Subscribe(next_op, room, false), what)
            }
            ClientFrame::Unsubscribe(unsubscribe) => {
                if let Some(room) = tap.room(unsubscribe.room) {
                    let sub = tap.live.get(&room).map(|live| live.op);
                    tap.asked.insert(id, Asked::Unsubscribe(sub, room));
                }
                return;
            }
            ClientFrame::Fetch(fetch) => {
                let Some(room) = tap.room(fetch.room) else {
                    self.fail(format!("client {client} reads a room it cannot know"));
                    return;
                };
                let range = match fetch.range {
                    wire::FetchRange::Latest => Range::Latest,
                    wire::FetchRange::Before(seq) => Range::Before(Seq(seq.0)),
                    wire::FetchRange::After(seq) => Range::After(Seq(seq.0)),
                    wire::FetchRange::Around(seq) => Range::Around(Seq(seq.0)),
                    wire::FetchRange::Time(time) => Range::Time(time.0),
                };
                let what = What::Fetch {
                    op: next_op,
                    room: Room(room),
                    range,
                    limit: fetch.limit,
                };
                (Asked::Fetch(next_op, room, Pages::default()), what)
            }
            ClientFrame::Signal(signal) => return self.tap_signal(client, id, signal),
            ClientFrame::Cursor(cursor) => return self.tap_cursor(client, id, cursor),
            _ => return,
        };
        tap.asked.insert(id, asked);
        self.last_op += 1;
        self.told(client, what);
        if let ClientFrame::Publish(publish) = frame
            && publish.expect_seq.0 != 0
        {
            let (op, seq) = (next_op, Seq(publish.expect_seq.0));
            self.told(client, What::Expect { op, seq });
        }
    }

    /// Bytes reached a client.
    pub(crate) fn tap_down(&mut self, client: usize, bytes: &[u8]) {
        let mut buffer = std::mem::take(&mut self.clients[client].tap.down);
        buffer.extend_from_slice(bytes);
        let mut used = 0;
        while let Ok(Some(frame)) = next_frame(&buffer[used..], FRAME_BYTES_MAX) {
            used += frame.whole.len();
            let id = frame.header.id.0;
            match ServerFrame::decode(frame) {
                Ok(frame) => self.tap_answer(client, id, &frame),
                Err(error) => {
                    self.fail(format!(
                        "client {client} receives what is no frame: {error}"
                    ));
                }
            }
        }
        buffer.drain(..used);
        self.clients[client].tap.down = buffer;
    }

    fn tap_answer(&mut self, client: usize, id: u64, frame: &ServerFrame<'_>) {
        match frame {
            ServerFrame::Welcome(welcome) => {
                if let Some(Asked::Hello(op)) = self.clients[client].tap.asked.remove(&id) {
                    let producer = Producer(welcome.producer.0);
                    self.told(client, What::Connected { op, producer });
                }
            }
            ServerFrame::Puback(puback) => {
                for entry in puback.entries() {
                    self.tap_puback(client, &entry);
                }
            }
            ServerFrame::Error(error) => {
                self.told_elsewhere(client, error);
                self.tap_error(client, id, error);
            }
            ServerFrame::Subscribed(subscribed) => self.tap_subscribed(client, id, subscribed),
            ServerFrame::Ok(done) => match self.clients[client].tap.asked.remove(&id) {
                Some(Asked::Unsubscribe(Some(sub), room)) => self.tap_ended(client, sub, room),
                Some(Asked::Cursor(op)) => self.tap_cursor_at(client, op, done),
                _ => {}
            },
            ServerFrame::Signal(push) => self.tap_signalled(client, push),
            ServerFrame::Cursor(moved) => self.tap_cursor_moved(client, moved),
            ServerFrame::Unsubscribe(unsubscribe) => {
                let tap = &self.clients[client].tap;
                let room = tap.room(unsubscribe.room);
                let live = room.and_then(|room| Some((room, tap.live.get(&room)?.op)));
                if let Some((room, sub)) = live {
                    self.tap_ended(client, sub, room);
                }
            }
            ServerFrame::Record(record) => self.tap_record(client, record),
            ServerFrame::Gap(gap) => {
                let tap = &mut self.clients[client].tap;
                let room = tap.rooms.get(&gap.room_id.0).copied();
                let Some(live) = room.and_then(|room| tap.live.get_mut(&room)) else {
                    return;
                };
                live.link = gap.link;
                let what = What::Gap {
                    sub: live.op,
                    gap: gap_range(gap),
                    link: Link(gap.link.0),
                };
                self.told(client, what);
            }
            ServerFrame::Page(page) => self.tap_page(client, id, page),
            ServerFrame::Goaway(goaway) => {
                let now = self.queue.now();
                let code = goaway.code;
                self.tally.goaway(code);
                self.trace
                    .line(now, || format!("client {client}: goaway {code}"));
            }
            _ => {}
        }
    }

    fn tap_puback(&mut self, client: usize, entry: &wire::PubackEntry) {
        let tap = &mut self.clients[client].tap;
        let Some(Asked::Publish(op, room)) = tap.asked.remove(&entry.request.0) else {
            self.fail(format!("client {client}: an ack for nothing: {entry:?}"));
            return;
        };
        tap.rooms.insert(entry.room_id.0, room);
        self.tally.duplicates += u64::from(entry.duplicate);
        let what = What::Published {
            op,
            seq: Seq(entry.seq.0),
            link: Link(entry.link.0),
            time: entry.time.0,
            duplicate: entry.duplicate,
        };
        self.told(client, what);
    }

    fn tap_error(&mut self, client: usize, id: u64, error: &wire::ErrorFrame<'_>) {
        self.tally.error_code(error.code);
        // No clock of a world comes near the seven days for which a producer is known.
        if error.code == wire::Code::PRODUCER_EXPIRED && !self.trouble.has_destroyed() {
            self.fail(format!("client {client}: its producer is forgotten"));
        }
        let now = self.queue.now();
        let (code, hint) = (error.code, error.hint);
        self.trace.line(now, || {
            format!("client {client}: request {id} refused: {code}, hint {hint}")
        });
        let op = match self.clients[client].tap.asked.remove(&id) {
            Some(
                Asked::Publish(op, _)
                | Asked::Subscribe(op, _, false)
                | Asked::Fetch(op, _, _)
                | Asked::Signal(op)
                | Asked::Cursor(op),
            ) => op,
            Some(Asked::Subscribe(sub, room, true)) => {
                self.tap_ended(client, sub, room);
                return;
            }
            _ => return,
        };
        let what = What::Failed {
            op,
            code: error.code.wire(),
            hint: error.hint,
        };
        self.told(client, what);
    }

    fn tap_subscribed(&mut self, client: usize, id: u64, subscribed: &wire::Subscribed<'_>) {
        let tap = &mut self.clients[client].tap;
        let Some(Asked::Subscribe(op, room, is_answered)) = tap.asked.get_mut(&id) else {
            self.fail(format!("client {client}: SUBSCRIBED for nothing"));
            return;
        };
        let (op, room) = (*op, *room);
        *is_answered = true;
        if subscribed.room_id.0 != 0 {
            tap.asked.remove(&id);
            tap.rooms.insert(subscribed.room_id.0, room);
        }
        let live = Live {
            op,
            head: subscribed.head_seq.0,
            link: subscribed.link,
        };
        let before = tap.live.insert(room, live);
        if let Some(before) = before.filter(|before| before.op != op) {
            self.told(client, What::Ended { sub: before.op });
        }
        let what = What::Subscribed {
            op,
            head: Seq(subscribed.head_seq.0),
            next: Seq(subscribed.next_seq.0),
            link: Link(subscribed.link.0),
        };
        self.told(client, what);
        self.tap_cursors_told(client, op, subscribed);
    }

    fn tap_ended(&mut self, client: usize, sub: Op, room: u32) {
        let tap = &mut self.clients[client].tap;
        if tap.live.get(&room).is_some_and(|live| live.op == sub) {
            tap.live.remove(&room);
            self.told(client, What::Ended { sub });
        }
    }

    fn tap_record(&mut self, client: usize, record: &wire::Record<'_>) {
        let tap = &mut self.clients[client].tap;
        let room = tap.rooms.get(&record.room_id().0).copied();
        let Some(live) = room.and_then(|room| tap.live.get_mut(&room)) else {
            self.fail(format!(
                "client {client}: a record of a room that it does not follow: {record:?}"
            ));
            return;
        };
        let is_linked = record.verify_link(live.link);
        live.link = record.link();
        let (sub, head) = (live.op, live.head);
        let way = if record.seq().0 > head {
            Way::Live
        } else {
            Way::CatchUp
        };
        if !is_linked {
            let seq = Seq(record.seq().0);
            let why = Why::Link;
            self.told(client, What::Broken { sub, seq, why });
        }
        let record = Tap::record(record);
        self.told(client, What::Deliver { sub, record, way });
    }

    fn tap_page(&mut self, client: usize, id: u64, page: &wire::Page<'_>) {
        let tap = &mut self.clients[client].tap;
        let Some(Asked::Fetch(op, room, pages)) = tap.asked.get_mut(&id) else {
            self.fail(format!("client {client}: a page for nothing"));
            return;
        };
        let (op, room) = (*op, *room);
        let mut is_bad = false;
        // What the whole answer is about was fixed by its first page.
        pages.head.get_or_insert(Seq(page.head.head_seq.0));
        for item in page.items() {
            match item {
                Ok(PageItem::Record(record)) => pages.records.push(Tap::record(&record)),
                Ok(PageItem::Gap(gap)) => pages.gaps.push(gap_range(&gap)),
                Err(_) => is_bad = true,
            }
        }
        if is_bad {
            self.fail(format!("client {client}: a page of what is no record"));
            return;
        }
        if !page.last {
            return;
        }
        let Pages {
            head,
            records,
            gaps,
        } = std::mem::take(pages);
        tap.asked.remove(&id);
        tap.rooms.insert(page.head.room_id.0, room);
        let head = head.unwrap_or_default();
        let what = What::Fetched {
            op,
            head,
            records,
            gaps,
        };
        self.told(client, what);
    }
}
