//! One home core, its toy log and pretended edges.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_log::GroupId;
use antiphon_protocol::peer::Message as PeerMessage;
use antiphon_protocol::{
    Code, Device, Link, Namespace, NodeId, Producer, ProducerSeq, Record, RequestId, RoomId,
    RoomName, Seq, Timestamp, UserName,
};
use bytes::Bytes;
use proptest::prelude::ProptestConfig;

use crate::channel::{Exchange, PublishBatch, PublishRequest, RoomChannel};
use crate::core::{ConnId, CoreEvent, CoreId, Now, Output};
use crate::home::limits::UNCOMMITTED_BYTES_MAX;
use crate::home::records::records;
use crate::home::settings::HomeSettings;
use crate::home::{Home, PartitionSeed, Recovering};
use crate::lane::{
    Ack, ChannelOpened, Fetch, FetchRange, Message, Refused, Reject, RoomKey, Start, Subscribe,
    Tail, Ticket, ToEdge, ToHome,
};
use crate::limits::Limits;
use crate::map::SlotMap;
use crate::read::{EntryAnswer, ReadJob};

use super::toy_log::{TestLog, ToyLog};

pub(super) const START_MS: u64 = 1_800_000_000_000;
pub(super) const EDGE: CoreId = CoreId(0);

/// One publish of a test.
#[derive(Clone, Debug)]
pub(super) struct Say<'a> {
    pub(super) room: &'a str,
    pub(super) sender: &'a str,
    pub(super) producer: Producer,
    pub(super) seq: u64,
    pub(super) body: &'a [u8],
}

/// See the module.
#[derive(Debug)]
pub(super) struct World<L = ToyLog> {
    pub(super) home: Home,
    pub(super) exchange: Arc<Exchange>,
    pub(super) log: L,
    pub(super) jobs: VecDeque<ReadJob>,
    /// Entries for replicas that lag, on their way back.
    entry_answers: VecDeque<EntryAnswer>,
    pub(super) sent: Vec<(CoreId, ToEdge)>,
    pub(super) events: Vec<CoreEvent>,
    /// What is to go to other nodes.
    pub(super) peers: Vec<(NodeId, Vec<(GroupId, PeerMessage)>)>,
    pub(super) now: Now,
    pub(super) settings: HomeSettings,
    channels: BTreeMap<RoomName, Arc<RoomChannel>>,
    pub(super) requests: u64,
    /// Kind and target of publishes that refer to another record; `None`: they are messages.
    pub(super) refers: Option<(u8, u64)>,
    /// The seq that publishes expect; 0: any.
    pub(super) expect: Seq,
}

pub(super) fn producer(random: u32) -> Producer {
    Producer::new(Timestamp(START_MS), random)
}

/// Worlds are slow: a quarter of the usual cases, which the environment may raise.
pub(super) fn moderate() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases / 4,
        ..usual
    }
}

pub(super) fn conn(slot: u32) -> ConnId {
    ConnId {
        slot,
        generation: 1,
    }
}

pub(in crate::home) fn settings(partitions: u16) -> HomeSettings {
    HomeSettings {
        node: NodeId(1),
        voters: alloc::vec![NodeId(1)],
        core: EDGE,
        map: SlotMap::even(partitions, 1),
        limits: Limits {
            in_flight_max: 8,
            ..Limits::default()
        },
        seed: 7,
        hot_bytes: 1024 * 1024,
        entry_bytes_max: 64 * 1024,
        room_visit_bytes_min: 1024,
        checkpoint_bytes_min: u64::MAX,
        uncommitted_bytes_max: UNCOMMITTED_BYTES_MAX,
        rooms_max: usize::MAX,
        user_cursors_max: antiphon_protocol::limits::USER_CURSORS_MAX,
        producers_max: usize::MAX,
        erased_max: usize::MAX,
        look_ups_max: 2,
        look_up_records_max: 40,
    }
}

impl World {
    pub(super) fn new(partitions: u16) -> World {
        World::with(settings(partitions))
    }

    pub(super) fn with(settings: HomeSettings) -> World {
        World::on(settings, ToyLog::new())
    }
}

impl<L: TestLog> World<L> {
    /// A world on an empty log.
    pub(super) fn on(settings: HomeSettings, log: L) -> World<L> {
        let mut world = World::started(settings, log);
        world.settle();
        world
    }

    /// As [`World::on`], before anything is persisted.
    pub(super) fn started(settings: HomeSettings, mut log: L) -> World<L> {
        let now = Now {
            mono_ms: 0,
            wall: Timestamp(START_MS),
        };
        let mut recovering = Recovering::new(settings.map.partitions(), 3);
        if settings.voters.len() > 1 {
            recovering = recovering.of_member(settings.hot_bytes);
        }
        log.reopen(&mut recovering);
        let seeds: Vec<PartitionSeed> = recovering.into_seeds();
        // More edges than the one core that has partitions here.
        let exchange = Exchange::new(1);
        let home = Home::with_settings(settings.clone(), Arc::clone(&exchange), seeds, now);
        World {
            home,
            exchange,
            log,
            jobs: VecDeque::new(),
            sent: Vec::new(),
            events: Vec::new(),
            entry_answers: VecDeque::new(),
            peers: Vec::new(),
            now,
            settings,
            channels: BTreeMap::new(),
            refers: None,
            expect: Seq(0),
            requests: 0,
        }
    }

    /// Stops without notice; what was persisted is recovered. Nothing is persisted afterwards yet.
    pub(super) fn restart(self) -> World<L> {
        let World {
            log,
            settings,
            now,
            requests,
            ..
        } = self;
        let mut world = World::started(settings, log);
        world.now = now;
        world.requests = requests;
        world
    }

    /// Turns until nothing moves without the log or a reader.
    pub(super) fn run(&mut self) {
        loop {
            while let Some(answer) = self.entry_answers.pop_front() {
                self.home.entries_read(answer);
            }
            let more = self.home.turn(self.now);
            let mut moved = false;
            while let Some(output) = self.home.poll() {
                moved = true;
                self.take(output);
            }
            if !more && !moved {
                break;
            }
        }
    }

    pub(super) fn take(&mut self, output: Output) {
        match output {
            Output::Lane {
                to,
                message: Message::ToEdge(message),
            } => self.sent.push((to, message)),
            Output::Append(append) => self.log.submit(append),
            Output::Checkpoint(job) => self.log.checkpoint(job),
            Output::Read(job) => self.jobs.push_back(job),
            Output::ReadEntries(job) => {
                let answer = self.log.read_entries(&job);
                self.entry_answers.push_back(answer);
            }
            Output::Event(event) => self.events.push(event),
            Output::Peer { to, messages } => self.peers.push((to, messages)),
            other => panic!("home does not say {other:?}"),
        }
    }

    /// Persists some appends; nothing else moves.
    pub(super) fn persist(&mut self, count: usize, group: Option<GroupId>) {
        let reports = self.log.persist(count, group);
        let sync_end = self.log.sync_end();
        self.home.persisted(&reports, sync_end, self.now);
    }

    /// Answers one read; those for edges are answered here by the caller.
    pub(super) fn read_one(&mut self) -> Option<ReadJob> {
        let job = self.jobs.pop_front()?;
        let answer = self.log.read(&job);
        match job.purpose {
            crate::read::ReadPurpose::Home(_) => self.home.read_done(answer, self.now),
            _ => self.sent.push((job.reply_to, answered(&job, answer))),
        }
        Some(job)
    }

    /// Turns, persists and reads until everything is done.
    pub(super) fn settle(&mut self) {
        loop {
            self.run();
            if self.log.has_queued() {
                self.persist(usize::MAX, None);
            } else if self.read_one().is_none() {
                break;
            }
        }
    }

    pub(super) fn channel(&mut self, room: &str) -> Arc<RoomChannel> {
        let name = RoomName::try_from(room).expect("lawful");
        if let Some(channel) = self.channels.get(&name) {
            return Arc::clone(channel);
        }
        let ask = ToHome::OpenChannel {
            namespace: Namespace(0),
            room: RoomKey::Name(name.clone()),
        };
        self.home.handle(EDGE, ask, self.now);
        while let Some(output) = self.home.poll() {
            if let Output::Lane {
                message: Message::ToEdge(ToEdge::ChannelOpened(ChannelOpened { channel, .. })),
                ..
            } = output
            {
                self.channels.insert(name, Arc::clone(&channel));
                return channel;
            }
            self.take(output);
        }
        panic!("no channel of {room}");
    }

    /// Asks for the channel of a room; the answer comes when it comes.
    pub(super) fn ask_channel(&mut self, room: &str) {
        let ask = ToHome::OpenChannel {
            namespace: Namespace(0),
            room: named(room),
        };
        self.home.handle(EDGE, ask, self.now);
    }

    /// A channel that was asked for.
    pub(super) fn keep_channel(&mut self, room: &str, channel: Arc<RoomChannel>) {
        let name = RoomName::try_from(room).expect("lawful");
        self.channels.insert(name, channel);
    }

    /// Whether publishes to a room can be put into its channel.
    pub(super) fn has_channel(&self, room: &str) -> bool {
        let name = RoomName::try_from(room).expect("lawful");
        self.channels.contains_key(&name)
    }

    /// Puts publishes of one connection into their room's channel as one batch; gives their request ids.
    pub(super) fn batch(&mut self, says: &[Say<'_>]) -> Vec<RequestId> {
        let channel = self.channel(says[0].room);
        let mut payload = Vec::new();
        let mut publishes = Vec::new();
        let mut requests = Vec::new();
        let mut headers = Vec::new();
        let kind = self.refers.map_or(0, |(kind, target)| {
            headers.extend_from_slice(&[3, 0, 8, 0]);
            headers.extend_from_slice(&target.to_le_bytes());
            kind
        });
        for say in says {
            self.requests += 1;
            let request = RequestId(self.requests);
            requests.push(request);
            publishes.push(PublishRequest {
                request,
                producer: say.producer,
                producer_seq: ProducerSeq(say.seq),
                kind,
                codec: 0,
                expect_seq: self.expect,
                quiet: false,
                at: u32::try_from(payload.len()).expect("small"),
                headers_len: u16::try_from(headers.len()).expect("small"),
                body_len: u32::try_from(say.body.len()).expect("small"),
            });
            payload.extend_from_slice(&headers);
            payload.extend_from_slice(say.body);
        }
        let sender = UserName::try_from(says[0].sender).expect("lawful");
        let batch = PublishBatch {
            edge: EDGE,
            conn: conn(1),
            sender,
            device: Device(9),
            publishes,
            payload: Bytes::from(payload),
        };
        let _ = self
            .exchange
            .offer(&channel, batch)
            .expect("the channel has room");
        requests
    }

    pub(super) fn say(
        &mut self,
        room: &str,
        producer: Producer,
        seq: u64,
        body: &[u8],
    ) -> RequestId {
        self.batch(&[Say {
            room,
            sender: "ann",
            producer,
            seq,
            body,
        }])[0]
    }

    /// The answer of a publish, if there is one yet.
    pub(super) fn answer(&self, request: RequestId) -> Option<Result<Ack, (Code, u64)>> {
        self.sent.iter().find_map(|(_, message)| match message {
            ToEdge::Acks(acks) => acks
                .iter()
                .find(|ack| ack.request == request)
                .map(|ack| Ok(*ack)),
            ToEdge::Reject(Reject {
                request: found,
                of: Refused::Publish,
                code,
                hint,
                ..
            }) if *found == request => Some(Err((*code, *hint))),
            _ => None,
        })
    }

    pub(super) fn ack(&self, request: RequestId) -> Ack {
        self.answer(request).expect("answered").expect("acked")
    }

    pub(super) fn subscribe(&mut self, room: RoomKey, start: Start, ticket: u64) {
        let subscribe = Subscribe {
            wants: antiphon_protocol::Wants::RECORDS,
            cursor: "".into(),
            conn: conn(2),
            ticket: Ticket(ticket),
            request: RequestId(ticket),
            namespace: Namespace(0),
            room,
            start,
            sender: UserName::try_from("ann").expect("lawful"),
            producer: producer(1),
        };
        self.home.handle(
            EDGE,
            ToHome::Subscribe(alloc::boxed::Box::new(subscribe)),
            self.now,
        );
    }

    pub(super) fn tail(&mut self, room: RoomId, from: Seq, bytes_max: u32) {
        let tail = Tail {
            conn: conn(2),
            ticket: Ticket(1),
            room,
            from,
            bytes_max,
        };
        self.home.handle(EDGE, ToHome::Tail(tail), self.now);
    }

    pub(super) fn fetch(&mut self, room: &str, range: FetchRange, limit: u32, bytes_max: u32) {
        let fetch = Fetch {
            conn: conn(2),
            ticket: Ticket(5),
            request: RequestId(5),
            namespace: Namespace(0),
            room: named(room),
            range,
            limit,
            bytes_max,
        };
        self.home.handle(EDGE, ToHome::Fetch(fetch), self.now);
    }

    /// Takes what was sent so far.
    pub(super) fn taken(&mut self) -> Vec<ToEdge> {
        core::mem::take(&mut self.sent)
            .into_iter()
            .map(|(_, message)| message)
            .collect()
    }

    /// All records of a room, read from the first on, checked link by link.
    pub(super) fn history(&mut self, room: RoomId) -> Vec<Told> {
        let mut all = Vec::new();
        let mut next = Seq(1);
        let mut link = Link::start(room);
        loop {
            self.sent.clear();
            self.tail(room, next, 4_096);
            self.settle();
            let slice = self.sent.iter().find_map(|(_, message)| match message {
                ToEdge::Slice(slice) => Some(slice.clone()),
                _ => None,
            });
            let slice = slice.expect("a slice");
            assert_eq!((slice.first, slice.link_before), (next, link));
            let (told, last) = checked(&slice.records, next, link);
            link = last;
            next = slice.next;
            all.extend(told);
            if slice.ends_at_apply {
                return all;
            }
        }
    }
}

/// What a reader sees of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Told {
    pub(super) seq: u64,
    pub(super) producer: Producer,
    pub(super) producer_seq: u64,
    pub(super) body: Vec<u8>,
}

/// The records in `bytes`, which must go on from `next` and `link` without a flaw.
pub(super) fn checked(bytes: &[u8], next: Seq, link: Link) -> (Vec<Told>, Link) {
    let mut next = next;
    let mut link = link;
    let mut all = Vec::new();
    for record in records(bytes) {
        let record: Record<'_> = record.expect("a record");
        let whole = Record::parse(record.whole()).expect("its checksum is right");
        assert_eq!(whole.seq(), next, "dense");
        assert!(whole.verify_link(link), "the link continues");
        next = next.next();
        link = whole.link();
        all.push(Told {
            seq: whole.seq().0,
            producer: whole.producer(),
            producer_seq: whole.producer_seq().0,
            body: whole.body().to_vec(),
        });
    }
    (all, link)
}

pub(super) fn named(room: &str) -> RoomKey {
    RoomKey::Name(RoomName::try_from(room).expect("lawful"))
}

/// What an edge makes of a reader thread's answer.
fn answered(job: &ReadJob, answer: crate::read::ReadAnswer) -> ToEdge {
    use crate::lane::{Page, Slice};
    use crate::read::ReadPurpose;
    let read = answer.result.expect("readable");
    match job.purpose {
        ReadPurpose::Slice(route) => ToEdge::Slice(alloc::boxed::Box::new(Slice {
            conn: route.conn,
            ticket: route.ticket,
            room: job.room,
            gap: None,
            first: read.first,
            next: read.next,
            link_before: read.link_before,
            records: read.records,
            ends_at_apply: false,
        })),
        ReadPurpose::Page(route) => ToEdge::Page(alloc::boxed::Box::new(Page {
            conn: route.conn,
            ticket: route.ticket,
            room: job.room,
            gap: None,
            first: read.first,
            next: read.next,
            until: route.until,
            link_before: read.link_before,
            head: route.head,
            first_kept: route.first_kept,
            records: read.records,
        })),
        ReadPurpose::Home(_) => panic!("answered to home"),
    }
}
