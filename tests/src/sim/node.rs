//! A whole node below the I/O line: cores, log, what waits between them; and its disk, which outlives its processes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use antiphon_core::channel::Exchange;
use antiphon_core::lane::{Claim, Message};
use antiphon_core::{
    CheckpointJob, CheckpointQueue, ConnId, Core, CoreConfig, CoreId, EntryAnswer, EntryJob,
    HashState, Member, Membership, Now, ReadAnswer, ReadJob, Recovering, SlotMap,
};
use antiphon_log::testing::FaultDisk;
use antiphon_log::{
    Append, CheckpointMaker, DiskErrorKind, Flushed, GroupId, Log, LogError, LogPosition,
    LogSettings, MadeCheckpoint, Persisted, PreparedSegment, Recovery, SegmentMaker,
};
use antiphon_protocol::peer::Message as PeerMessage;
use antiphon_protocol::{NodeId, Timestamp};
use bytes::Bytes;

use super::peering::node_id;
use super::queue::{MILLI, Micros};
use super::swarm::Choices;
use super::watch::{Watch, WatchedDisk};

/// The wall clock when the world begins, in ms since the epoch.
pub(crate) const WALL_START: u64 = 1_800_000_000_000;

/// A node: a disk, a clock, and at times a process.
#[derive(Debug)]
pub(crate) struct Node {
    /// What outlives the process.
    pub(crate) disk: FaultDisk,
    /// What its logs wrote and synced.
    pub(crate) watch: Watch,
    /// How the log is kept.
    pub(crate) settings: LogSettings,
    /// The process, if one runs.
    pub(crate) process: Option<Process>,
    /// Numbers the processes of this node; also of the one that comes next, while none runs.
    pub(crate) life: u64,
    /// How far the wall clock is ahead of the world's, in ms.
    pub(crate) wall_skew_ms: i64,
    /// The process stands still until then.
    pub(crate) paused_until: Micros,
    /// Flushes are this many times slower until then.
    pub(crate) slow_disk: (u64, Micros),
    /// Reads are this many times slower until then.
    pub(crate) slow_reads: (u64, Micros),
    /// Nobody can connect until then.
    pub(crate) refuses_until: Micros,
    /// While down: packets to it are lost, instead of refused.
    pub(crate) is_dark: bool,
    /// The next open is cut short.
    pub(crate) crashes_in_open: bool,
    /// The power goes at this call on the disk.
    pub(crate) crash_call: Option<u64>,
    /// This call on the disk fails.
    pub(crate) fail_call: Option<u64>,
    /// The disk had a bound until then.
    pub(crate) full_until: Micros,
}

/// One life of a node.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) map: SlotMap,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) seats: Vec<Seat>,
    /// `lanes[from][to]`
    pub(crate) lanes: Vec<Vec<Lane>>,
    pub(crate) logger: Logger,
    /// Jobs of the reader threads, by number.
    pub(crate) reads: BTreeMap<u64, ReadJob>,
    /// The same for replicas on other nodes.
    pub(crate) entry_reads: BTreeMap<u64, EntryJob>,
    pub(crate) last_read: u64,
    /// Was told to end in order.
    pub(crate) is_draining: bool,
}

/// From a core to a core.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) queue: VecDeque<Message>,
    pub(crate) has_refused: bool,
}

/// One core and what its thread keeps beside it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) core: Core,
    /// When it turns next.
    pub(crate) turn_at: Option<Micros>,
    /// It does not run before.
    pub(crate) stuck_until: Micros,
    /// Accepted, not taken in.
    pub(crate) accepted: VecDeque<(u64, Claim)>,
    pub(crate) persisted: VecDeque<(Vec<Persisted>, LogPosition)>,
    pub(crate) answers: VecDeque<ReadAnswer>,
    pub(crate) entries: VecDeque<EntryAnswer>,
    /// What replicas on other nodes say.
    pub(crate) peers: VecDeque<(NodeId, GroupId, PeerMessage)>,
    /// Nodes to which something was lost.
    pub(crate) peers_lost: BTreeSet<NodeId>,
    /// Lanes that have room again.
    pub(crate) opened: Vec<usize>,
    /// Connections with something to read.
    pub(crate) readable: VecDeque<u64>,
    /// Connections with something to send.
    pub(crate) flushes: VecDeque<ConnId>,
    /// Links by connection.
    pub(crate) links: BTreeMap<ConnId, u64>,
    /// Connections that are being closed, by the end of patience.
    pub(crate) closing: VecDeque<(Micros, u64)>,
    /// Places that were given back, and the generation to use.
    pub(crate) free: Vec<ConnId>,
    pub(crate) next_slot: u32,
    /// What the log thread's queue had no room for.
    pub(crate) log_waiting: VecDeque<LogJob>,
    /// `sent` or `disconnected` was called since the last turn.
    pub(crate) owes_turn: bool,
}

/// Work of the log thread.
#[derive(Debug)]
pub(crate) enum LogJob {
    Append(Append),
    Checkpoint(CheckpointJob),
    Made(Result<PreparedSegment<WatchedDisk>, LogError>),
    Checkpointed(Result<MadeCheckpoint, LogError>),
}

/// What the log thread is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LogCall {
    Flush,
    Mark,
}

/// The log thread's call on the disk, and its result if that is known already.
pub(crate) type Calling = (LogCall, Option<Result<Option<Flushed>, LogError>>);

/// What a maker's thread is to make.
#[derive(Debug)]
pub(crate) enum Order {
    Segment(SegmentMaker<WatchedDisk>),
    Checkpoint(CheckpointMaker<WatchedDisk>, Bytes),
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Making {
    Ordered(Order),
    Made(LogJob),
}

/// The log thread, and the threads that make files for it.
#[derive(Debug)]
pub(crate) struct Logger {
    pub(crate) log: Log<WatchedDisk>,
    pub(crate) jobs: VecDeque<LogJob>,
    pub(crate) checkpoints: CheckpointQueue,
    /// When it looks for jobs next.
    pub(crate) looks_at: Option<Micros>,
    /// What it does.
    pub(crate) call: Option<Calling>,
    /// Nothing was written since the last mark.
    pub(crate) is_marked: bool,
    pub(crate) segment: Option<Making>,
    pub(crate) checkpoint: Option<Making>,
    /// No segment is ordered before.
    pub(crate) no_segment_before: Micros,
    /// Too little is left of the disk.
    pub(crate) is_full: bool,
    /// The disk itself is not asked before.
    pub(crate) no_look_before: Micros,
}

impl Order {
    /// Makes it now.
    pub(crate) fn make(self) -> LogJob {
        match self {
            Order::Segment(maker) => LogJob::Made(maker.make()),
            Order::Checkpoint(maker, bytes) => LogJob::Checkpointed(maker.make(&bytes)),
        }
    }
}

impl Node {
    /// A node with an empty disk.
    pub(crate) fn new(number: usize, choices: &Choices) -> Node {
        let settings = LogSettings {
            segment_bytes: choices.segment_bytes,
            mark_slots: choices.mark_slots,
            // A disk that gets full in steps of a few segments: see the fault `disk-full`.
            reserve_bytes: u64::from(choices.segment_bytes),
            resume_bytes: u64::from(choices.segment_bytes) * 3 / 2,
            ..LogSettings::new(0xA0 + number as u128)
        };
        Node {
            disk: FaultDisk::new(),
            watch: Watch::default(),
            settings,
            process: None,
            life: 0,
            wall_skew_ms: 0,
            paused_until: 0,
            slow_disk: (1, 0),
            slow_reads: (1, 0),
            refuses_until: 0,
            is_dark: false,
            crashes_in_open: false,
            crash_call: None,
            fail_call: None,
            full_until: 0,
        }
    }

    /// The power goes `calls` calls on the disk from now.
    pub(crate) fn crash_in(&mut self, calls: u64) {
        let call = self.disk.calls() + calls;
        self.crash_call = Some(call);
        self.disk.crash_at(call);
    }

    /// The call on the disk `calls` from now fails.
    pub(crate) fn fail_in(&mut self, calls: u64, kind: DiskErrorKind) {
        let call = self.disk.calls() + calls;
        self.fail_call = Some(call);
        self.disk.fail_at(call, kind);
    }

    /// Whether the power went in the middle of a call on the disk.
    pub(crate) fn is_power_gone(&self) -> bool {
        self.crash_call
            .is_some_and(|call| self.disk.calls() >= call)
    }

    /// Whether a planned fault is why the log failed.
    pub(crate) fn explains(&self, error: &LogError, now: Micros) -> bool {
        let LogError::Disk(error) = error else {
            return false;
        };
        let has_failed = self.fail_call.is_some_and(|call| self.disk.calls() >= call);
        self.is_power_gone()
            || has_failed
            || (error.kind == DiskErrorKind::Full && now <= self.full_until)
    }

    /// The disk as the next process finds it; planned faults are gone.
    pub(crate) fn take_over(&mut self, disk: FaultDisk) {
        self.disk = disk;
        self.crash_call = None;
        self.fail_call = None;
    }

    /// The clocks of its process.
    pub(crate) fn now(&self, now: Micros) -> Now {
        let world_ms = now / MILLI;
        Now {
            mono_ms: 1_000 + world_ms,
            wall: Timestamp((WALL_START + world_ms).saturating_add_signed(self.wall_skew_ms)),
        }
    }

    /// Begins a life: opens the log and makes the cores.
    pub(crate) fn start(
        &mut self,
        number: usize,
        choices: &Choices,
        seed: u64,
        now: Micros,
    ) -> Result<Recovery, LogError> {
        let membership = membership(choices.nodes);
        let mut recovering = Recovering::new(choices.partitions, seed);
        if !membership.is_alone() {
            recovering = recovering.of_member(choices.limits.budgets.hot_bytes);
        }
        let (log, recovery) = Log::open(
            self.watch.over(self.disk.clone()),
            self.settings,
            &mut recovering,
        )?;
        let map = SlotMap::even(choices.partitions, choices.cores);
        let exchange = Exchange::new(choices.cores);
        let now = self.now(now);
        let mut seeds = recovering.into_seeds();
        let seats = (0..choices.cores).map(|core| {
            let config = CoreConfig {
                node: NodeId(1 + number as u32),
                membership: membership.clone(),
                core: CoreId(core),
                cores: choices.cores,
                partitions: choices.partitions,
                seed: seed.wrapping_add(u64::from(core)),
                limits: choices.limits.clone(),
                map: map.clone(),
                hash: HashState::fixed(),
            };
            let mine = seeds
                .extract_if(.., |seed| {
                    map.home_of_partition(seed.partition()) == CoreId(core)
                })
                .collect();
            Seat::new(Core::new(config, Arc::clone(&exchange), mine, now))
        });
        let seats = seats.collect();
        let lanes = (0..choices.cores)
            .map(|_| (0..choices.cores).map(|_| Lane::default()).collect())
            .collect();
        self.process = Some(Process {
            map,
            exchange,
            seats,
            lanes,
            logger: Logger::new(log),
            reads: BTreeMap::new(),
            entry_reads: BTreeMap::new(),
            last_read: 0,
            is_draining: false,
        });
        Ok(recovery)
    }
}

/// So many nodes; clients find them without addresses.
fn membership(nodes: usize) -> Membership {
    let members = (0..nodes).map(|node| Member {
        node: node_id(node),
        address: "".into(),
    });
    Membership::new(members.collect()).expect("1 to 7 nodes, each named once")
}

impl Seat {
    fn new(core: Core) -> Seat {
        Seat {
            core,
            turn_at: None,
            stuck_until: 0,
            accepted: VecDeque::new(),
            persisted: VecDeque::new(),
            answers: VecDeque::new(),
            entries: VecDeque::new(),
            peers: VecDeque::new(),
            peers_lost: BTreeSet::new(),
            opened: Vec::new(),
            readable: VecDeque::new(),
            flushes: VecDeque::new(),
            links: BTreeMap::new(),
            closing: VecDeque::new(),
            free: Vec::new(),
            next_slot: 0,
            log_waiting: VecDeque::new(),
            owes_turn: true,
        }
    }

    /// A place for a new connection.
    pub(crate) fn place(&mut self) -> ConnId {
        self.free.pop().unwrap_or_else(|| {
            self.next_slot += 1;
            ConnId {
                slot: self.next_slot - 1,
                generation: 1,
            }
        })
    }
}

impl Logger {
    fn new(log: Log<WatchedDisk>) -> Logger {
        Logger {
            log,
            jobs: VecDeque::new(),
            checkpoints: CheckpointQueue::default(),
            looks_at: None,
            call: None,
            is_marked: false,
            segment: None,
            checkpoint: None,
            no_segment_before: 0,
            is_full: false,
            no_look_before: 0,
        }
    }

    /// What the segments' thread makes, or the checkpoints'.
    pub(crate) fn making(&mut self, is_segment: bool) -> &mut Option<Making> {
        if is_segment {
            &mut self.segment
        } else {
            &mut self.checkpoint
        }
    }
}
