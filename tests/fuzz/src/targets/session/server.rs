//! A broker that knows what was asked, and answers as the input likes: rightly, wrongly, twice, or something else.

use antiphon_protocol::limits::{FRAME_BYTES_MAX, HANDSHAKE_BYTES_MAX};
use antiphon_protocol::{
    Assembler, Class, ClientFrame, Code, Count, CursorEntries, Device, ErrorFrame, Features, Gap,
    GapReason, Goaway, GoawayClass, Link, NodeId, Ok_, Page, PageHead, Ping, Pong, Producer,
    ProducerSeq, PubackBuilder, PubackEntry, RecordFields, RecordKind, RequestId, RoomId, RoomRef,
    Seq, Subscribed, Timestamp, Unsubscribe, Welcome, append_record,
};

use crate::script::Script;

pub(super) const ROOMS: [&str; 2] = ["tea", "coffee"];
/// Records of each room.
const RECORDS: u64 = 24;
const FRAME_LIMITS: [u32; 4] = [8_192, 16_384, 65_536, FRAME_BYTES_MAX];

/// A room, as records with the links that they have, from seq 1.
#[derive(Debug)]
struct Room {
    id: RoomId,
    /// Each whole, with its link.
    records: Vec<(Vec<u8>, Link)>,
}

impl Room {
    fn new(number: u64) -> Room {
        let id = RoomId(number << 52 | 1);
        let mut link = Link::start(id);
        let records = (1..=RECORDS).map(|seq| {
            let mut whole = Vec::new();
            link = append_record(&mut whole, &fields(id, seq), link);
            (whole, link)
        });
        Room {
            id,
            records: records.collect(),
        }
    }

    /// The link of `seq`, if there is such a record.
    fn link(&self, seq: u64) -> Link {
        match seq.checked_sub(1) {
            None => Link::start(self.id),
            Some(at) => self
                .records
                .get(at as usize)
                .map_or(Link(seq), |(_, link)| *link),
        }
    }
}

fn fields(room_id: RoomId, seq: u64) -> RecordFields<'static> {
    RecordFields {
        room_id,
        seq: Seq(seq),
        count: Count(seq),
        time: Timestamp(1_000 + seq),
        producer: Producer(7 << 22 | 1),
        producer_seq: ProducerSeq(seq),
        back: u32::from(seq > 1),
        device: Device(1),
        kind: RecordKind::from_wire(0),
        codec: 0,
        record_flags: 0,
        sender: b"bob",
        headers: &[],
        body: &[7; 200][..seq as usize * 8],
    }
}

/// A PUBLISH that was not answered.
#[derive(Clone, Copy, Debug)]
struct Asked {
    id: RequestId,
    room: usize,
    number: ProducerSeq,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Server {
    rooms: [Room; 2],
    assembler: Assembler,
    /// Told by WELCOME; before it, the limit of handshakes.
    frame_bytes_max: u32,
    /// Frames of this connection that were read.
    frames: u64,
    publishes: Vec<Asked>,
    /// SUBSCRIBE, FETCH, UNSUBSCRIBE, PING and HELLO, by the room that they name.
    requests: Vec<(RequestId, usize)>,
    /// Where records of a room go on.
    next: [u64; 2],
    out: Vec<u8>,
}

impl Server {
    pub(super) fn new() -> Server {
        Server {
            rooms: [Room::new(1), Room::new(2)],
            assembler: Assembler::new(),
            frame_bytes_max: HANDSHAKE_BYTES_MAX,
            frames: 0,
            publishes: Vec::new(),
            requests: Vec::new(),
            next: [1, 1],
            out: Vec::new(),
        }
    }

    /// Another connection: nothing of the last one counts.
    pub(super) fn accept(&mut self) {
        let rooms = std::mem::replace(&mut self.rooms, [Room::new(1), Room::new(2)]);
        let next = self.next;
        *self = Server {
            rooms,
            next,
            ..Server::new()
        };
    }

    /// The client's bytes.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        let mut assembler = std::mem::take(&mut self.assembler);
        while let Some(raw) = assembler
            .next(&mut rest, self.frame_bytes_max)
            .expect("the client keeps the limit of a frame")
        {
            let frame = ClientFrame::decode(raw).expect("the client says frames that can be read");
            let is_hello = matches!(frame, ClientFrame::Hello(_));
            assert_eq!(is_hello, self.frames == 0, "HELLO is first, and once");
            self.frames += 1;
            self.asked(raw.header.id, &frame);
        }
        self.assembler = assembler;
    }

    fn asked(&mut self, id: RequestId, frame: &ClientFrame<'_>) {
        let room = match frame {
            ClientFrame::Publish(publish) => {
                let room = self.number_of(publish.room);
                let number = publish.producer_seq;
                self.publishes.push(Asked { id, room, number });
                return;
            }
            ClientFrame::Subscribe(subscribe) => self.number_of(subscribe.room),
            ClientFrame::Fetch(fetch) => self.number_of(fetch.room),
            ClientFrame::Unsubscribe(unsubscribe) => self.number_of(unsubscribe.room),
            _ => 0,
        };
        self.requests.push((id, room));
    }

    fn number_of(&self, room: RoomRef<'_>) -> usize {
        match room {
            RoomRef::Name(name) => usize::from(name == ROOMS[1]),
            RoomRef::Id(id) => usize::from(id == self.rooms[1].id),
        }
    }

    /// Bytes for the client.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        self.out.drain(..count.min(self.out.len())).collect()
    }

    /// Anything.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Changes a byte of what was not sent yet.
    pub(super) fn spoil(&mut self, back: usize, mask: u8) {
        if let Some(at) = self.out.len().checked_sub(1 + back) {
            self.out[at] ^= mask;
        }
    }

    /// `what u8 | how u8`: says something.
    pub(super) fn phrase(&mut self, script: &mut Script<'_>) {
        let (what, how) = (script.byte(), script.byte());
        // Mostly the oldest request that was not answered.
        let place = usize::from(how >> 5) % self.requests.len().max(1);
        let (id, room) = match self.requests.get(place) {
            Some(&asked) => asked,
            None => (RequestId(u64::from(how)), usize::from(how & 1)),
        };
        let is_answered = match what & 15 {
            0 => self.welcome(id, how),
            1 | 2 => self.puback(how),
            3 | 4 => self.subscribed(id, room, how),
            5..=7 => self.records(usize::from(how & 1), how),
            8 => self.gap(usize::from(how & 1), how),
            9 | 10 => self.page(id, room, how),
            11 => self.error(id, how),
            12 => {
                Ok_ { cursor: None }.encode(id, &mut self.out);
                true
            }
            13 => self.goaway(how),
            14 => self.ended(room, how),
            _ => self.alive(id, how),
        };
        if is_answered && place < self.requests.len() {
            self.requests.remove(place);
        }
    }

    fn welcome(&mut self, id: RequestId, how: u8) -> bool {
        let limit = FRAME_LIMITS[usize::from(how & 3)];
        let welcome = Welcome {
            features: Features::ALL,
            producer: Producer(1_800_000_000_000 << 22 | u64::from(how >> 4 & 1)),
            server_time: Timestamp(1_800_000_000_000 + u64::from(how)),
            node: NodeId(1),
            device: Device(7),
            keepalive_ms: u32::from(how & 4) * 1_000,
            frame_bytes_max: limit,
            body_bytes_max: limit - 1_024,
            headers_bytes_max: 512,
            in_flight_max: 1 + u32::from(how >> 2 & 3) * 8,
            subscriptions_max: 2,
            requests_max: 1 + u32::from(how >> 3 & 1) * 7,
            fetch_records_max: 1 + u32::from(how >> 6) * 20,
            version: 1,
            room_bytes_max: 255,
            user: "ann",
        };
        welcome.encode(id, &mut self.out);
        self.frame_bytes_max = self.frame_bytes_max.max(limit);
        true
    }

    /// Acks up to four publishes; some of them wrongly.
    fn puback(&mut self, how: u8) -> bool {
        let mut builder = PubackBuilder::default();
        for _ in 0..1 + (how & 3) {
            let Some(asked) = self.publishes.first().copied() else {
                break;
            };
            if how & 4 == 0 {
                self.publishes.remove(0);
            }
            let seq = u64::from(how >> 4 & 7);
            let room = &self.rooms[asked.room ^ usize::from(how >> 3 & 1)];
            let entry = PubackEntry {
                request: asked.id,
                room_id: room.id,
                producer_seq: ProducerSeq(asked.number.0 + u64::from(how == 0xFF)),
                seq: Seq(seq),
                link: room.link(seq),
                time: Timestamp(1_000 + seq),
                duplicate: how & 128 != 0,
            };
            builder.push(&entry, &mut self.out);
        }
        builder.finish(&mut self.out);
        false
    }

    fn subscribed(&mut self, id: RequestId, room: usize, how: u8) -> bool {
        let head = u64::from(how & 7) * 3;
        let next = match how >> 3 & 3 {
            0 => head + 1,
            1 => 1,
            2 => self.next[room],
            _ => u64::from(how >> 5) + 1,
        };
        let at = &self.rooms[room];
        let subscribed = Subscribed {
            room_id: at.id,
            head_seq: Seq(head),
            head_count: Count(head),
            head_link: at.link(head),
            head_time: Timestamp(1_000 + head),
            first_seq: Seq(head.min(1)),
            next_seq: Seq(next),
            link: at.link(next - 1),
            producer_seq: ProducerSeq(u64::from(how >> 6)),
            role: 0,
            cursors: CursorEntries::NONE,
        };
        let subscribed = if how == 0xFE {
            Subscribed::NO_ROOM
        } else {
            subscribed
        };
        self.next[room] = next;
        subscribed.encode(id, &mut self.out);
        how & 32 == 0
    }

    /// Up to four records from where the room goes on, at times from elsewhere.
    fn records(&mut self, room: usize, how: u8) -> bool {
        if how & 0xF0 == 0xF0 {
            self.next[room] = u64::from(how >> 1 & 7) + 1;
        }
        for _ in 0..1 + (how >> 1 & 3) {
            let at = self.next[room].wrapping_sub(1) as usize;
            if let Some((whole, _)) = self.rooms[room].records.get(at) {
                self.out.extend_from_slice(whole);
                self.next[room] += 1;
            }
        }
        false
    }

    fn gap(&mut self, room: usize, how: u8) -> bool {
        let from = self.next[room].saturating_add(u64::from(how >> 7));
        let to = match how >> 1 & 3 {
            3 => u64::MAX - 1,
            more => from.saturating_add(u64::from(more) * 2),
        };
        let gap = Gap {
            room_id: self.rooms[room].id,
            from: Seq(from),
            to: Seq(to),
            link: self.rooms[room].link(to),
            reason: GapReason::from_wire(how >> 3 & 7),
        };
        gap.encode(RequestId::PUSH, &mut self.out);
        self.next[room] = to.saturating_add(1);
        false
    }

    fn page(&mut self, id: RequestId, room: usize, how: u8) -> bool {
        let from = u64::from(how & 7) * 2 + 1;
        let count = u64::from(how >> 3 & 3);
        let is_last = how & 32 != 0;
        let at = &self.rooms[room];
        let head = PageHead {
            room_id: at.id,
            link: at.link(from - 1),
            head_seq: Seq(RECORDS),
            token: 0,
            first_seq: Seq(1),
        };
        let draft = Page::begin(&mut self.out, id, &head);
        for seq in from..from + count {
            let (whole, _) = &at.records[seq as usize - 1];
            self.out.extend_from_slice(whole);
        }
        draft.finish(&mut self.out, count as u32, is_last);
        is_last
    }

    fn error(&mut self, id: RequestId, how: u8) -> bool {
        let class = [
            Class::Retry,
            Class::Moved,
            Class::Auth,
            Class::Limit,
            Class::Conflict,
            Class::Bad,
            Class::Gone,
            Class::Internal,
        ][usize::from(how & 7)];
        let error = ErrorFrame {
            class,
            retry_after_ms: u32::from(how >> 4),
            hint: u64::from(how >> 2 & 7),
            ..ErrorFrame::new(Code::from_wire(u16::from(how >> 2)))
        };
        let asked = self.publishes.first().map(|asked| asked.id);
        match asked {
            Some(publish) if how & 16 != 0 => {
                self.publishes.remove(0);
                error.encode(publish, &mut self.out);
                false
            }
            _ => {
                error.encode(id, &mut self.out);
                true
            }
        }
    }

    fn goaway(&mut self, how: u8) -> bool {
        let classes = [GoawayClass::Retry, GoawayClass::Move, GoawayClass::Terminal];
        let goaway = Goaway {
            retry_after_ms: u32::from(how >> 3),
            endpoints: (how & 4 != 0).then_some("127.0.0.3:1,127.0.0.4:2"),
            ..Goaway::new(
                Code::from_wire(u16::from(how >> 2)),
                classes[usize::from(how & 3) % 3],
                "enough",
            )
        };
        goaway.encode(RequestId::PUSH, &mut self.out);
        false
    }

    fn ended(&mut self, room: usize, how: u8) -> bool {
        let room = if how & 1 == 0 {
            RoomRef::Id(self.rooms[room].id)
        } else {
            RoomRef::Name(ROOMS[room])
        };
        let code = Code::from_wire(u16::from(how >> 1));
        Unsubscribe { room, code }.encode(RequestId::PUSH, &mut self.out);
        false
    }

    fn alive(&mut self, id: RequestId, how: u8) -> bool {
        if how & 1 == 0 {
            let nonce = u64::from(how);
            Ping { nonce }.encode(RequestId::PUSH, &mut self.out);
            return false;
        }
        let pong = Pong {
            nonce: id.0,
            digest: None,
        };
        pong.encode(id, &mut self.out);
        true
    }
}
