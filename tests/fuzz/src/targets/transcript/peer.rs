//! The client's end of a connection: reads what it is sent, believes nothing, and counts answers.

use std::collections::BTreeMap;

use antiphon_protocol::limits::HANDSHAKE_BYTES_MAX;
use antiphon_protocol::{
    Ack, ClientFrame, Code, CursorMoved, FRAME_HEADER_BYTES, Gap, Link, Page, PageItem, Producer,
    RawFrame, Record, RequestId, RoomId, RoomRef, Seq, ServerFrame, Subscribed, Welcome,
    next_frame,
};

use super::truth::Truth;

/// How many answers the requests with one id may get. An input may use an id again and again.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    /// At least, once everything is at rest.
    least: u32,
    /// At most, at any time.
    most: u32,
    got: u32,
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug)]
struct Ear {
    next: Seq,
    /// 0: a GAP comes first, and tells it.
    link: Link,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Peer {
    received: Vec<u8>,
    /// Told by WELCOME.
    frame_bytes_max: Option<u32>,
    /// Told by WELCOME.
    pub(super) producer: Option<Producer>,
    answers: BTreeMap<u64, Answers>,
    ears: BTreeMap<u64, Ear>,
    /// UNSUBSCRIBEs by id, by the id of their room.
    leaving: BTreeMap<u64, RoomId>,
    /// Pages of a FETCH: the seq that follows.
    pages: BTreeMap<u64, Seq>,
    /// Room ids that it was told.
    pub(super) rooms: Vec<RoomId>,
    /// Position and link heard last, for a SUBSCRIBE that goes on there.
    pub(super) heard: Option<(RoomId, Seq, Link)>,
    /// Where cursors stood last, by room, user and name.
    cursors: BTreeMap<(u64, String, String), Seq>,
    /// Of the newest METADATA.
    version: u64,
    goaway: Option<Code>,
}

impl Peer {
    /// The server was handed this frame.
    pub(super) fn asked(&mut self, frame: RawFrame<'_>) {
        let (least, most) = match ClientFrame::decode(frame) {
            Ok(ClientFrame::Pong(_)) => return,
            Ok(ClientFrame::Publish(publish)) if publish.ack == Ack::None => (0, 1),
            // Only a refusal is answered.
            Ok(ClientFrame::Signal(_)) => (0, 1),
            // The second SUBSCRIBED, if the room is created later.
            Ok(ClientFrame::Subscribe(_)) => (1, 2),
            Ok(ClientFrame::Unsubscribe(unsubscribe)) => {
                if let RoomRef::Id(room) = unsubscribe.room {
                    self.leaving.insert(frame.header.id.0, room);
                }
                (1, 1)
            }
            _ => (1, 1),
        };
        let answers = self.answers.entry(frame.header.id.0).or_default();
        answers.least += least;
        answers.most += most;
    }

    /// Bytes came from the server.
    pub(super) fn receive(&mut self, bytes: &[u8], truth: &Truth) {
        self.received.extend_from_slice(bytes);
        let received = std::mem::take(&mut self.received);
        let mut rest = received.as_slice();
        loop {
            let len_max = self.frame_bytes_max.unwrap_or(HANDSHAKE_BYTES_MAX);
            let frame = next_frame(rest, len_max).expect("the server keeps the limit of a frame");
            let Some(raw) = frame else { break };
            rest = &rest[raw.whole.len()..];
            assert_eq!(self.goaway, None, "nothing follows GOAWAY");
            let frame = ServerFrame::decode(raw).expect("the server says frames that can be read");
            self.take(raw.header.id, &frame, truth);
        }
        self.received = rest.to_vec();
    }

    fn take(&mut self, id: RequestId, frame: &ServerFrame<'_>, truth: &Truth) {
        let is_open = self.frame_bytes_max.is_some();
        assert!(
            is_open || matches!(frame, ServerFrame::Welcome(_) | ServerFrame::Goaway(_)),
            "before WELCOME: {frame:?}"
        );
        match frame {
            ServerFrame::Welcome(welcome) => {
                assert!(!is_open, "a second WELCOME");
                self.answered(id);
                self.on_welcome(welcome);
            }
            ServerFrame::Goaway(goaway) => {
                assert_eq!(id, RequestId::PUSH);
                self.goaway = Some(goaway.code);
            }
            ServerFrame::Pong(_) | ServerFrame::Error(_) => {
                self.answered(id);
                self.pages.remove(&id.0);
            }
            ServerFrame::Ok(_) => {
                self.answered(id);
                if let Some(room) = self.leaving.remove(&id.0) {
                    self.ears.remove(&room.0);
                }
            }
            ServerFrame::Puback(puback) => {
                assert_eq!(id, RequestId::PUSH);
                assert!(puback.entries().next().is_some(), "an empty PUBACK");
                for entry in puback.entries() {
                    self.answered(entry.request);
                    self.learn(entry.room_id);
                    truth.check_ack(&entry);
                }
            }
            ServerFrame::Subscribed(subscribed) => {
                self.answered(id);
                self.on_subscribed(subscribed, truth);
            }
            ServerFrame::Unsubscribe(unsubscribe) => {
                assert_eq!(id, RequestId::PUSH);
                if let RoomRef::Id(room) = unsubscribe.room {
                    self.ears.remove(&room.0);
                }
            }
            ServerFrame::Record(record) => self.on_record(record, truth),
            ServerFrame::Gap(gap) => self.on_gap(gap),
            ServerFrame::Page(page) => self.on_page(id, page, truth),
            ServerFrame::Ping(_) => assert_eq!(id, RequestId::PUSH),
            ServerFrame::Cursor(moved) => self.on_cursor(moved, truth),
            ServerFrame::Signal(signal) => {
                assert!(
                    self.ears.contains_key(&signal.room_id.0),
                    "a signal of a room that nobody follows"
                );
                assert!(
                    signal.signal.is_some() || signal.dropped > 0,
                    "a signal that tells nothing"
                );
            }
            ServerFrame::Metadata(metadata) => {
                self.answered(id);
                assert!(metadata.version >= self.version, "versions rise");
                self.version = metadata.version;
            }
            _ => panic!("a kind that this peer does not know: {frame:?}"),
        }
    }

    fn on_welcome(&mut self, welcome: &Welcome<'_>) {
        assert!(welcome.frame_bytes_max >= HANDSHAKE_BYTES_MAX);
        assert_ne!(welcome.producer, Producer(0));
        self.frame_bytes_max = Some(welcome.frame_bytes_max);
        self.producer = Some(welcome.producer);
    }

    fn on_subscribed(&mut self, subscribed: &Subscribed, truth: &Truth) {
        assert!(subscribed.head_seq.0 <= truth.head(subscribed.room_id));
        assert!(subscribed.next_seq.0 >= 1 && subscribed.next_seq.0 <= subscribed.head_seq.0 + 1);
        if subscribed.room_id.0 == 0 {
            assert_eq!((subscribed.head_seq, subscribed.next_seq), (Seq(0), Seq(1)));
            return;
        }
        self.learn(subscribed.room_id);
        let ear = Ear {
            next: subscribed.next_seq,
            link: subscribed.link,
        };
        self.ears.insert(subscribed.room_id.0, ear);
    }

    fn on_record(&mut self, record: &Record<'_>, truth: &Truth) {
        truth.check_record(record);
        let ear = self
            .ears
            .get_mut(&record.room_id().0)
            .expect("a record of a room that nobody follows");
        assert_eq!(record.seq(), ear.next, "each seq once, in order");
        assert!(record.verify_link(ear.link), "the link goes on");
        (ear.next, ear.link) = (Seq(record.seq().0 + 1), record.link());
        self.heard = Some((record.room_id(), record.seq(), record.link()));
    }

    fn on_cursor(&mut self, moved: &CursorMoved<'_>, truth: &Truth) {
        assert!(
            self.ears.contains_key(&moved.room_id.0),
            "a cursor of a room that nobody follows"
        );
        assert!(moved.position.seq.0 <= truth.head(moved.room_id));
        let key = (
            moved.room_id.0,
            moved.user.to_owned(),
            moved.name.to_owned(),
        );
        let before = self.cursors.insert(key, moved.position.seq);
        assert!(
            before.is_none_or(|before| before <= moved.position.seq),
            "a cursor moved back"
        );
    }

    fn on_gap(&mut self, gap: &Gap) {
        let ear = self
            .ears
            .get_mut(&gap.room_id.0)
            .expect("a gap of a room that nobody follows");
        assert_eq!(gap.from, ear.next, "a gap stands where its records would");
        (ear.next, ear.link) = (Seq(gap.to.0 + 1), gap.link);
    }

    fn on_page(&mut self, id: RequestId, page: &Page<'_>, truth: &Truth) {
        assert!(page.head.head_seq.0 <= truth.head(page.head.room_id));
        let mut count = 0;
        let mut link = page.head.link;
        for item in page.items() {
            count += 1;
            let (from, to) = match item.expect("the server says pages that can be read") {
                PageItem::Record(record) => {
                    truth.check_record(&record);
                    assert!(record.verify_link(link), "the link goes on inside a page");
                    link = record.link();
                    (record.seq(), record.seq())
                }
                PageItem::Gap(gap) => {
                    link = gap.link;
                    (gap.from, gap.to)
                }
            };
            let next = self.pages.entry(id.0).or_insert(from);
            assert_eq!(*next, from, "pages have no holes");
            *next = Seq(to.0 + 1);
        }
        assert_eq!(count, page.count);
        if page.last {
            self.pages.remove(&id.0);
            self.answered(id);
        } else {
            let answers = self.answers.get(&id.0).copied().unwrap_or_default();
            assert!(answers.got < answers.most, "a page that nobody asked for");
        }
    }

    fn answered(&mut self, id: RequestId) {
        let answers = self.answers.entry(id.0).or_default();
        answers.got += 1;
        assert!(
            answers.got <= answers.most,
            "{} answers to {id:?}, {} were asked for",
            answers.got,
            answers.most
        );
    }

    fn learn(&mut self, room: RoomId) {
        assert_ne!(room.0, 0);
        if !self.rooms.contains(&room) {
            self.rooms.push(room);
        }
    }

    /// Nothing moves any more, and the connection lives.
    pub(super) fn all_answered(&self) {
        assert_eq!(self.goaway, None, "GOAWAY and no close");
        assert!(self.received.is_empty(), "half a frame, and no more comes");
        assert!(self.pages.is_empty(), "half an answer, and no more comes");
        for (id, answers) in &self.answers {
            assert!(
                answers.got >= answers.least,
                "no answer to request {id}: {answers:?}"
            );
        }
    }

    /// The server closed the connection and got all its bytes out.
    pub(super) fn closed(&self) {
        assert!(
            self.goaway.is_some() && self.received.len() < FRAME_HEADER_BYTES,
            "closed without GOAWAY"
        );
    }
}
