//! A node below the I/O line, driven by hand: two cores, the lanes between them, a log on a disk in memory.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use antiphon_core::channel::Exchange;
use antiphon_core::lane::Message;
use antiphon_core::limits::{Budgets, Limits, OUTBOX_PAUSE_BYTES};
use antiphon_core::{
    CheckpointJob, ConnId, Core, CoreConfig, CoreEvent, CoreId, Flow, HashState, Membership, Now,
    Output, ReadFailure, ReadJob, ReadRecords, Recovering, SlotMap,
};
use antiphon_log::testing::FaultDisk;
use antiphon_log::{
    Append, BlockSeed, Log, LogSettings, RoomReader, Wants, read_block, segment_name,
};
use antiphon_protocol::{NodeId, Timestamp, next_frame};
use bytes::Bytes;

use super::peer::Peer;
use super::truth::Truth;

pub(super) const CORES: usize = 2;
/// What the wall clock shows first.
pub(super) const START_MS: u64 = 1_800_000_000_000;
const PARTITIONS: u16 = 3;
/// Small, so that inputs of some KiB fill several.
const SEGMENT_BYTES: u32 = 32 * 1024;
const BODY_BYTES_MAX: u32 = 4 * 1024;
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// Messages that a lane holds.
const LANE_PLACES: usize = 4;
/// What an outbox may hold beyond the mark at which its connection is not read any more: the answers to one read, and a slice.
const OUTBOX_SLACK_BYTES: usize = 256 * 1024;
/// Rounds until everything must have come to rest, of a ms each: parked batches, for example, wait at most 100.
const ROUNDS_MAX: usize = 1_000;

/// A connection, with both ends.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) core: usize,
    pub(super) conn: ConnId,
    /// Sent by the client, not read by the server.
    pub(super) up: Vec<u8>,
    /// Read, and not a whole frame.
    held: Vec<u8>,
    is_paused: bool,
    has_flush: bool,
    pub(super) stage: Stage,
    pub(super) peer: Peer,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Open,
    /// The server closes it once its outbox is sent.
    Closing,
    /// GOAWAY could not be sent in time: the server closes it without.
    GivenUp,
    Gone,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Broker {
    cores: Vec<Core>,
    /// What they share.
    exchange: Arc<Exchange>,
    /// `lanes[from]`, to the other core.
    lanes: [VecDeque<Message>; CORES],
    refused: BTreeSet<usize>,
    disk: FaultDisk,
    settings: LogSettings,
    log: Log<FaultDisk>,
    map: SlotMap,
    limits: Limits,
    appends: VecDeque<Append>,
    checkpoints: VecDeque<CheckpointJob>,
    reads: VecDeque<ReadJob>,
    pub(super) wires: Vec<Wire>,
    conns: u32,
    lives: u64,
    now: Now,
    pub(super) truth: Truth,
    has_more: bool,
}

/// Limits that an input chooses from: usual ones would need megabytes to be reached.
fn limits(choice: usize) -> Limits {
    let (in_flight_max, requests_max, entry_bytes_max) = [
        (1_024, 64, 16 * 1024),
        (2, 1, 4 * 1024),
        (1, 2, 8 * 1024),
        (64, 8, 2 * 1024),
    ][choice % 4];
    Limits {
        frame_bytes_max: FRAME_BYTES_MAX,
        body_bytes_max: BODY_BYTES_MAX,
        headers_bytes_max: 256,
        in_flight_max,
        requests_max,
        subscriptions_max: 3,
        fetch_records_max: 20,
        budgets: Budgets {
            // The least that is allowed: reads leave memory soon.
            hot_bytes: 4 * entry_bytes_max,
            entry_bytes_max,
            room_visit_bytes_min: 2 * 1024,
            checkpoint_bytes_min: 4 * 1024,
            batch_bytes_max: 4 * 1024,
            batch_publishes_max: 8,
            ..Limits::default().budgets
        },
        ..Limits::default()
    }
}

impl Broker {
    pub(super) fn new(choice: usize) -> Broker {
        let settings = LogSettings {
            segment_bytes: SEGMENT_BYTES,
            ..LogSettings::new(0xF022)
        };
        let now = Now {
            mono_ms: 5_000,
            wall: Timestamp(START_MS),
        };
        let disk = FaultDisk::new();
        let limits = limits(choice);
        let map = SlotMap::even(PARTITIONS, CORES as u16);
        let (cores, exchange, log) = open(&disk, settings, &limits, &map, 1, now);
        Broker {
            cores,
            exchange,
            lanes: Default::default(),
            refused: BTreeSet::new(),
            disk,
            settings,
            log,
            map,
            limits,
            appends: VecDeque::new(),
            checkpoints: VecDeque::new(),
            reads: VecDeque::new(),
            wires: Vec::new(),
            conns: 0,
            lives: 1,
            now,
            truth: Truth::default(),
            has_more: true,
        }
    }

    /// The process dies, and another one opens what the disk has.
    pub(super) fn restart(&mut self) {
        self.lives += 1;
        self.wires
            .iter_mut()
            .for_each(|wire| wire.stage = Stage::Gone);
        self.lanes = Default::default();
        self.refused.clear();
        self.appends.clear();
        self.checkpoints.clear();
        self.reads.clear();
        self.truth.forget_unsynced();
        self.disk = self.disk.kill();
        let (cores, exchange, log) = open(
            &self.disk,
            self.settings,
            &self.limits,
            &self.map,
            self.lives,
            self.now,
        );
        (self.cores, self.exchange, self.log) = (cores, exchange, log);
        self.has_more = true;
    }

    pub(super) fn connect(&mut self, core: usize) {
        let conn = ConnId {
            slot: self.conns,
            generation: 1,
        };
        self.conns += 1;
        self.cores[core].connected(conn, self.exchange.claim(), self.now);
        self.wires.push(Wire {
            core,
            conn,
            up: Vec::new(),
            held: Vec::new(),
            is_paused: false,
            has_flush: false,
            stage: Stage::Open,
            peer: Peer::default(),
        });
    }

    /// The client hangs up.
    pub(super) fn hang_up(&mut self, wire: usize) {
        let wire = &mut self.wires[wire];
        if wire.stage != Stage::Gone {
            wire.stage = Stage::Gone;
            self.cores[wire.core].disconnected(wire.conn);
        }
    }

    /// The server reads up to `count` bytes.
    pub(super) fn read(&mut self, wire: usize, count: usize) {
        let wire = &mut self.wires[wire];
        let core = &mut self.cores[wire.core];
        if wire.stage != Stage::Open || wire.is_paused || !parse(core, wire, self.now) {
            return;
        }
        let count = count.min(wire.up.len());
        if count > 0 {
            wire.held.extend(wire.up.drain(..count));
            let goes_on = parse(core, wire, self.now);
            let is_partial = !wire.held.is_empty();
            core.received(wire.conn, count, is_partial, self.now);
            self.has_more |= goes_on;
        }
    }

    pub(super) fn turn(&mut self, core: usize) {
        let at = &mut self.cores[core];
        if at.next_deadline().is_some_and(|at| at <= self.now.mono_ms) {
            at.tick(self.now);
        }
        self.has_more |= at.turn(self.now);
        self.put_out(core);
    }

    fn put_out(&mut self, core: usize) {
        while let Some(output) = self.cores[core].poll() {
            self.has_more = true;
            match output {
                Output::Flush(conn) => self.on_wire(core, conn, |wire| wire.has_flush = true),
                Output::Close(conn) => self.on_wire(core, conn, |wire| {
                    wire.stage = match wire.stage {
                        Stage::Open => Stage::Closing,
                        // A second close is one without waiting.
                        Stage::Closing | Stage::GivenUp | Stage::Gone => Stage::GivenUp,
                    };
                    wire.has_flush = true;
                }),
                Output::Resume(conn) => self.on_wire(core, conn, |wire| wire.is_paused = false),
                Output::Lane { to, message } => {
                    assert_eq!(usize::from(to.0), 1 - core, "a message for another core");
                    if self.lanes[core].len() < LANE_PLACES {
                        self.lanes[core].push_back(message);
                    } else {
                        self.refused.insert(core);
                        self.cores[core].lane_refused(to, message);
                    }
                }
                Output::Wake(_) => {}
                Output::Append(append) => self.appends.push_back(append),
                Output::Checkpoint(job) => self.checkpoints.push_back(job),
                Output::Read(job) => self.reads.push_back(job),
                Output::Peer { .. } | Output::ReadEntries(_) => {
                    panic!("this node knows nobody else")
                }
                Output::Event(event) => assert!(
                    !matches!(event, CoreEvent::GroupQuarantined { .. }),
                    "a client broke a partition: {event:?}"
                ),
            }
        }
    }

    fn on_wire(&mut self, core: usize, conn: ConnId, change: impl FnOnce(&mut Wire)) {
        let wire = self
            .wires
            .iter_mut()
            .find(|wire| wire.core == core && wire.conn == conn && wire.stage != Stage::Gone);
        if let Some(wire) = wire {
            change(wire);
        }
    }

    /// The other core takes up to `count` messages.
    pub(super) fn pass(&mut self, from: usize, count: usize) {
        let to = 1 - from;
        for _ in 0..count {
            let Some(message) = self.lanes[from].pop_front() else {
                break;
            };
            self.cores[to].lane(CoreId(from as u16), message, self.now);
            self.has_more = true;
        }
        if self.lanes[from].len() < LANE_PLACES && self.refused.remove(&from) {
            self.cores[from].lane_open(CoreId(to as u16), self.now);
            self.put_out(from);
        }
    }

    /// The log thread takes up to `count` appends, writes and syncs them; or writes a checkpoint.
    pub(super) fn flush(&mut self, count: usize) {
        if self.appends.is_empty() {
            if let Some(job) = self.checkpoints.pop_front() {
                self.log
                    .write_checkpoint(job.group, job.index, job.term, &job.bytes)
                    .expect("a disk without faults takes a checkpoint");
            }
            return;
        }
        self.has_more = true;
        for append in self.appends.drain(..count.min(self.appends.len())) {
            self.truth.written(&append);
            self.log.submit(append);
        }
        let flushed = self
            .log
            .flush()
            .expect("a disk without faults takes a batch");
        self.truth.synced();
        self.log
            .prepare_segment()
            .expect("a disk without faults has room for a segment");
        for core in 0..CORES {
            let home = Some(CoreId(core as u16));
            let persisted: Vec<_> = flushed
                .persisted
                .iter()
                .filter(|persisted| self.map.home_of_group(persisted.group) == home)
                .cloned()
                .collect();
            self.cores[core].persisted(&persisted, flushed.sync_end, self.now);
        }
    }

    /// A reader thread answers, or says that it is busy.
    pub(super) fn answer_read(&mut self, is_busy: bool) {
        let Some(job) = self.reads.pop_front() else {
            return;
        };
        self.has_more = true;
        let result = if is_busy {
            Err(ReadFailure::Busy)
        } else {
            Ok(self.look_up(&job))
        };
        let answer = job.answer(result);
        self.cores[usize::from(job.reply_to.0)].read_done(answer, self.now);
    }

    fn look_up(&self, job: &ReadJob) -> ReadRecords {
        let mut records = Vec::new();
        let records_max = u32::try_from(job.until.0 - job.from.0).unwrap_or(u32::MAX);
        let bytes_max = job.bytes_max as usize;
        let mut reader = RoomReader::new(job.room, job.from, records_max, bytes_max, &mut records);
        for located in &job.located {
            let segment = located.at.segment();
            let file = self.disk.content(&segment_name(segment));
            let seed = BlockSeed::new(self.settings.directory_id, segment);
            let block = read_block(&file, located.at, job.below, seed)
                .expect("what is applied can be read");
            match reader
                .take(&block)
                .expect("the index tells where records are")
            {
                Wants::More => {}
                Wants::Nothing => break,
            }
        }
        let slice = reader
            .finish()
            .expect("the first record asked for is there");
        assert_eq!(slice.first, job.from, "the read begins where it should");
        ReadRecords {
            first: slice.first,
            next: slice.next,
            link_before: slice.link_before,
            records: Bytes::from(records),
        }
    }

    /// The socket takes up to `count` bytes, and the client reads them.
    pub(super) fn send(&mut self, wire: usize, count: usize) {
        let wire = &mut self.wires[wire];
        if wire.stage == Stage::Gone || !wire.has_flush {
            return;
        }
        let core = &mut self.cores[wire.core];
        let outbox = core.outbox(wire.conn).expect("a connection has an outbox");
        assert!(
            outbox.len() <= OUTBOX_PAUSE_BYTES as usize + OUTBOX_SLACK_BYTES,
            "an outbox of {} bytes",
            outbox.len()
        );
        let bytes: Vec<u8> = outbox.chunks().flatten().copied().take(count).collect();
        outbox.advance(bytes.len());
        let is_empty = outbox.is_empty();
        wire.peer.receive(&bytes, &self.truth);
        if !bytes.is_empty() {
            core.sent(wire.conn, self.now);
            self.has_more = true;
        }
        if is_empty {
            wire.has_flush = false;
            if wire.stage != Stage::Open {
                if wire.stage == Stage::Closing {
                    wire.peer.closed();
                }
                wire.stage = Stage::Gone;
                core.disconnected(wire.conn);
            }
        }
        let core = wire.core;
        self.put_out(core);
    }

    pub(super) fn pass_time(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall.0 += ms;
    }

    /// All that can happen happens, once.
    pub(super) fn round(&mut self) {
        for wire in 0..self.wires.len() {
            self.read(wire, usize::MAX);
        }
        for core in 0..CORES {
            self.turn(core);
            self.pass(core, usize::MAX);
        }
        self.flush(usize::MAX);
        while !self.reads.is_empty() {
            self.answer_read(false);
        }
        for wire in 0..self.wires.len() {
            self.send(wire, usize::MAX);
        }
    }

    /// Goes on until nothing moves; then every request has its answer.
    pub(super) fn settle(&mut self) {
        let mut quiet_rounds = 0;
        for _ in 0..ROUNDS_MAX {
            self.has_more = false;
            self.round();
            self.pass_time(1);
            let is_quiet = !self.has_more
                && !self.wires.iter().any(Wire::has_work)
                && self.checkpoints.is_empty();
            quiet_rounds = if is_quiet { quiet_rounds + 1 } else { 0 };
            if quiet_rounds == 3 {
                for wire in self.wires.iter().filter(|wire| wire.stage == Stage::Open) {
                    wire.peer.all_answered();
                }
                return;
            }
        }
        panic!("does not come to rest: {self:?}");
    }

    /// The disk as a process that was killed now leaves it.
    pub(super) fn remains(&self) -> (FaultDisk, LogSettings) {
        (self.disk.kill(), self.settings)
    }
}

impl Wire {
    fn has_work(&self) -> bool {
        match self.stage {
            Stage::Open => self.is_paused || self.has_flush || !self.up.is_empty(),
            Stage::Closing | Stage::GivenUp => true,
            Stage::Gone => false,
        }
    }
}

/// Opens what is on the disk and makes the cores of a new life.
fn open(
    disk: &FaultDisk,
    settings: LogSettings,
    limits: &Limits,
    map: &SlotMap,
    life: u64,
    now: Now,
) -> (Vec<Core>, Arc<Exchange>, Log<FaultDisk>) {
    let mut recovering = Recovering::new(PARTITIONS, 1);
    let (log, recovery) =
        Log::open(disk.clone(), settings, &mut recovering).expect("a disk without faults opens");
    assert!(
        recovery.findings.is_empty(),
        "nothing was destroyed: {:?}",
        recovery.findings
    );
    let exchange = Exchange::new(CORES as u16);
    let mut seeds = recovering.into_seeds();
    let cores = (0..CORES as u16).map(|core| {
        let mine = seeds
            .extract_if(.., |seed| {
                map.home_of_partition(seed.partition()) == CoreId(core)
            })
            .collect();
        let config = CoreConfig {
            node: NodeId(1),
            core: CoreId(core),
            cores: CORES as u16,
            partitions: PARTITIONS,
            seed: life * 16 + u64::from(core),
            limits: limits.clone(),
            map: map.clone(),
            membership: Membership::alone(NodeId(1)),
            hash: HashState::fixed(),
        };
        Core::new(config, Arc::clone(&exchange), mine, now)
    });
    (cores.collect(), exchange, log)
}

/// Hands over whole frames; false: no more for now.
fn parse(core: &mut Core, wire: &mut Wire, now: Now) -> bool {
    let mut used = 0;
    let goes_on = loop {
        match next_frame(&wire.held[used..], core.len_max(wire.conn)) {
            Ok(None) => break true,
            Ok(Some(frame)) => {
                used += frame.whole.len();
                wire.peer.asked(frame);
                if core.frame(wire.conn, frame, now) == Flow::Pause {
                    break false;
                }
            }
            Err(why) => {
                core.broken(wire.conn, why, now);
                used = wire.held.len();
                break false;
            }
        }
    };
    wire.held.drain(..used);
    wire.is_paused = !goes_on;
    goes_on
}
