//! A client of a few lines: frames out, frames in, every wait bounded.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use antiphon_protocol::{
    Ack, Features, Fetch, FetchRange, Gap, Hello, Kind, Link, Namespace, PageItem, Ping, Pong,
    Producer, ProducerSeq, Publish, RawFrame, ReadLevel, RecordKind, RequestId, RoomRef, Seq,
    ServerFrame, Start, Subscribe, Subscribed, next_frame,
};

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One whole frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame(Vec<u8>);

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    socket: TcpStream,
    unread: Vec<u8>,
    pub(crate) producer: Producer,
    next_request: u64,
}

impl Frame {
    pub(crate) fn raw(&self) -> RawFrame<'_> {
        next_frame(&self.0, u32::MAX)
            .expect("checked when read")
            .expect("whole")
    }

    pub(crate) fn decode(&self) -> ServerFrame<'_> {
        ServerFrame::decode(self.raw()).expect("a server sends lawful frames")
    }
}

impl Client {
    /// A connection that has said nothing yet.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("a broker listens");
        socket.set_nodelay(true).expect("a socket option");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        socket
            .set_write_timeout(Some(PATIENCE))
            .expect("a socket option");
        Self {
            socket,
            unread: Vec::new(),
            producer: Producer(0),
            next_request: 1,
        }
    }

    /// A connection with its WELCOME.
    pub(crate) fn welcomed(address: SocketAddr, user: &str) -> Self {
        let mut client = Self::connect(address);
        client.hello(user, None);
        let frame = client.expect("WELCOME");
        let ServerFrame::Welcome(welcome) = frame.decode() else {
            panic!("{frame:?} is no WELCOME")
        };
        assert_eq!(welcome.user, user);
        client.producer = welcome.producer;
        client
    }

    pub(crate) fn hello(&mut self, user: &str, producer: Option<Producer>) {
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            features: Features::NONE,
            producer,
            namespace: Namespace(0),
            device: None,
            keepalive_ms: 0,
            frame_bytes_max: 0,
            user,
            client: Some("sockets test"),
        };
        self.request(|id, out| hello.encode(id, out));
    }

    /// Sends one frame with the next request id, which is returned.
    pub(crate) fn request(&mut self, encode: impl FnOnce(RequestId, &mut Vec<u8>)) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        let mut bytes = Vec::new();
        encode(id, &mut bytes);
        self.send(&bytes);
        id
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the broker reads");
    }

    /// Sends, and says whether the broker's side still takes it.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// Says that nothing more will be sent: the broker ends the connection.
    pub(crate) fn finish_sending(&self) {
        // It may have ended already.
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }

    /// Encodes a publish of this client's own producer.
    pub(crate) fn encode_publish(
        &mut self,
        room: &str,
        producer_seq: u64,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        let publish = Publish {
            room: RoomRef::Name(room),
            producer: self.producer,
            producer_seq: ProducerSeq(producer_seq),
            kind: RecordKind::MESSAGE,
            codec: 0,
            ack: Ack::Committed,
            expect_seq: Seq(0),
            headers: &[],
            body,
        };
        publish.encode(id, out);
        id
    }

    pub(crate) fn publish(&mut self, room: &str, producer_seq: u64, body: &[u8]) -> RequestId {
        let mut bytes = Vec::new();
        let id = self.encode_publish(room, producer_seq, body, &mut bytes);
        self.send(&bytes);
        id
    }

    /// Publishes and waits for the ack; returns the record's seq.
    pub(crate) fn publish_acked(&mut self, room: &str, producer_seq: u64, body: &[u8]) -> u64 {
        let id = self.publish(room, producer_seq, body);
        let frame = self.expect("PUBACK");
        let ServerFrame::Puback(puback) = frame.decode() else {
            panic!("{:?} is no PUBACK", frame.decode())
        };
        let entries: Vec<_> = puback.entries().collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(
            (entries[0].request, entries[0].producer_seq.0),
            (id, producer_seq)
        );
        entries[0].seq.0
    }

    /// Collects `count` acks as (producer_seq, seq), in the order they came.
    pub(crate) fn acks(&mut self, count: usize) -> Vec<(u64, u64)> {
        let mut acks = Vec::new();
        while acks.len() < count {
            let frame = self.expect("PUBACK");
            let ServerFrame::Puback(puback) = frame.decode() else {
                panic!("{:?} is no PUBACK", frame.decode())
            };
            acks.extend(
                puback
                    .entries()
                    .map(|entry| (entry.producer_seq.0, entry.seq.0)),
            );
        }
        acks
    }

    /// Subscribes and waits for SUBSCRIBED.
    pub(crate) fn subscribe(&mut self, room: &str, start: Start<'_>) -> Subscribed<'static> {
        let subscribe = Subscribe::new(RoomRef::Name(room), start);
        self.request(|id, out| subscribe.encode(id, out));
        let frame = self.expect("SUBSCRIBED");
        let ServerFrame::Subscribed(subscribed) = frame.decode() else {
            panic!("{:?} is no SUBSCRIBED", frame.decode())
        };
        subscribed.without_cursors()
    }

    /// The next `count` records as (seq, body); each is checked against the link of the one before.
    pub(crate) fn records(&mut self, count: usize, mut link: Option<Link>) -> Vec<(u64, Vec<u8>)> {
        let mut records = Vec::new();
        while records.len() < count {
            let frame = self.expect("RECORD");
            match frame.decode() {
                ServerFrame::Record(record) => {
                    if let Some(before) = link {
                        assert!(
                            record.verify_link(before),
                            "record {} does not follow",
                            record.seq()
                        );
                    }
                    link = Some(record.link());
                    records.push((record.seq().0, record.body().to_vec()));
                }
                // The room was created after the subscription.
                ServerFrame::Subscribed(subscribed) => link = Some(subscribed.link),
                other => panic!("{other:?} is no RECORD"),
            }
        }
        records
    }

    /// Reads history that has no gap; returns (seq, body) of all pages.
    pub(crate) fn history(
        &mut self,
        room: &str,
        range: FetchRange,
        limit: u32,
    ) -> Vec<(u64, Vec<u8>)> {
        let (records, gaps) = self.history_with_gaps(room, range, limit);
        assert_eq!(gaps, [], "the room is whole");
        records
    }

    /// Reads history; returns (seq, body) of all pages, and the gaps.
    pub(crate) fn history_with_gaps(
        &mut self,
        room: &str,
        range: FetchRange,
        limit: u32,
    ) -> (Vec<(u64, Vec<u8>)>, Vec<Gap>) {
        let fetch = Fetch {
            room: RoomRef::Name(room),
            range,
            limit,
            read: ReadLevel::Any,
            token: 0,
        };
        self.request(|id, out| fetch.encode(id, out));
        let (mut records, mut gaps) = (Vec::new(), Vec::new());
        loop {
            let frame = self.expect("PAGE");
            let ServerFrame::Page(page) = frame.decode() else {
                panic!("{:?} is no PAGE", frame.decode())
            };
            let before = records.len() + gaps.len();
            for item in page.items() {
                match item.expect("a whole record or gap") {
                    PageItem::Record(record) => {
                        records.push((record.seq().0, record.body().to_vec()));
                    }
                    PageItem::Gap(gap) => gaps.push(gap),
                }
            }
            assert_eq!(records.len() + gaps.len() - before, page.count as usize);
            if page.last {
                return (records, gaps);
            }
        }
    }

    /// A round trip: all that was sent before is answered or pushed before this returns. Returns what came.
    pub(crate) fn round_trip(&mut self) -> Vec<Frame> {
        let nonce = self.next_request;
        let id = self.request(|id, out| Ping { nonce }.encode(id, out));
        let mut came = Vec::new();
        loop {
            let frame = self.expect("PONG");
            if frame.raw().header.kind == Kind::Pong.wire() && frame.raw().header.id == id {
                return came;
            }
            came.push(frame);
        }
    }

    /// The next frame; a test that waits for `what` in vain fails.
    pub(crate) fn expect(&mut self, what: &str) -> Frame {
        self.next()
            .unwrap_or_else(|| panic!("the connection ended before {what}"))
    }

    /// The next frame, or `None` at the end of the connection. The broker's own pings are answered on the way.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(frame) = self.take() {
                match frame.decode() {
                    ServerFrame::Ping(ping) => {
                        let mut pong = Vec::new();
                        Pong {
                            nonce: ping.nonce,
                            digest: None,
                        }
                        .encode(frame.raw().header.id, &mut pong);
                        self.try_send(&pong);
                    }
                    _ => return Some(frame),
                }
            }
            assert!(Instant::now() < deadline, "nothing came for {PATIENCE:?}");
            let mut buffer = [0; 16 * 1024];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("reading failed: {error}"),
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let whole = next_frame(&self.unread, u32::MAX)
            .expect("a server's stream is never broken")?
            .whole
            .len();
        let rest = self.unread.split_off(whole);
        Some(Frame(std::mem::replace(&mut self.unread, rest)))
    }

    /// All frames up to the end of the connection.
    pub(crate) fn until_end(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// From the first record on.
pub(crate) const BEGINNING: Start = Start::After {
    seq: Seq(0),
    link: Link(0),
};
