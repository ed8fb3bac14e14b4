//! One partition: a Raft group with the state it agrees on and everything that waits on it.
//!
//! ```text
//!  room channels ─gather─▶ batches ─stamp─▶ one entry ─propose─▶ replica ─▶ log thread
//!                                                                   │ committed
//!      acks, deliveries ◀─────────────── apply ◀────────────────────┘
//! ```
//! This file has the partition and its turn; each step has a file of its own.

mod applying;
mod checkpointing;
mod cursoring;
mod duplicates;
mod expiring;
mod feeding;
mod fetching;
mod gathering;
mod leading;
mod proposals;
mod referring;
mod signalling;
mod slicing;
mod stamping;
mod subscribing;
mod tailing;
mod targets;
mod timing;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_log::{GroupId, Persisted, RoomIndex, SegmentId};
use antiphon_protocol::peer::Message as PeerMessage;
use antiphon_protocol::{Code, NodeId};

use crate::channel::{PublishBatch, RoomChannel};
use crate::core::{CoreEvent, CoreId, Output};
use crate::home::channels::Channels;
use crate::home::desk::Turn;
use crate::home::hot_tail::HotTail;
use crate::home::interest::Interest;
use crate::home::overlay::Overlay;
use crate::home::replica::{Replica, ReplicaStart, ReplicaStatus};
use crate::home::seed::{Condition, PartitionSeed};
use crate::home::settings::HomeSettings;
use crate::home::state::State;
use crate::lane::ToHome;
use checkpointing::Uncovered;
use cursoring::CursorDesk;
use duplicates::Duplicates;
use expiring::Sweep;
use gathering::Gathered;
use leading::Leadership;
use proposals::Proposals;
use signalling::SignalGate;
use targets::Targets;

/// Whether a partition runs.
#[derive(Debug)]
enum Role {
    /// It does.
    Running(Replica),
    /// It does not: publishes are refused with this code. Damaged: what is left is served to readers. Else nothing is.
    Impaired(Code),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Partition {
    number: u16,
    group: GroupId,
    role: Role,
    state: State,
    index: RoomIndex,
    overlay: Overlay,
    proposals: Proposals,
    interest: Interest,
    channels: Channels,
    duplicates: Duplicates,
    targets: Targets,
    sweep: Sweep,
    signals: SignalGate,
    cursors: CursorDesk,
    /// Channels that are ready and not drained, in the order of their turns.
    ready: VecDeque<Arc<RoomChannel>>,
    /// Batches that were taken out of their channel and not stamped: the entry was full, or an answer had to wait. They go first.
    held: VecDeque<(Arc<RoomChannel>, PublishBatch)>,
    gathered: Gathered,
    /// Messages that came before the partition served, in order. Bounded by the edges' requests under way.
    waiting: VecDeque<(CoreId, ToHome)>,
    leadership: Leadership,
    uncovered: Uncovered,
    /// What is missing at the beginning of rooms was let go, not lost.
    is_trimmed: bool,
    /// A reader thread reads entries for a replica that lags.
    is_fetching: bool,
}

impl Partition {
    /// Starts the partition as recovered.
    pub(crate) fn start(seed: PartitionSeed, settings: &HomeSettings) -> Partition {
        let group = seed.group();
        let PartitionSeed {
            partition,
            state,
            index,
            hard_state,
            log_first,
            terms,
            unsettled,
            recent,
            places,
            log_bytes,
            uncovered_from,
            checkpoint_bytes,
            condition,
            ..
        } = seed;
        let role = match condition {
            Condition::Whole => {
                let applied = state.applied();
                let hot =
                    HotTail::new(log_first, applied, terms, settings.hot_bytes).with_recent(recent);
                let start = ReplicaStart {
                    node: settings.node,
                    voters: settings.voters.clone(),
                    group,
                    seed: settings.seed,
                    uncommitted_bytes_max: settings.uncommitted_bytes_max,
                    hard_state,
                    applied,
                    hot,
                    places,
                    unsettled,
                };
                Role::Running(Replica::start(start))
            }
            Condition::Damaged(_) | Condition::Hole { .. } => Role::Impaired(Code::DAMAGED),
            Condition::Unsound { .. } => Role::Impaired(Code::INTERNAL),
        };
        Partition {
            number: partition,
            group,
            role,
            overlay: Overlay::new(settings.seed, state.time()),
            state,
            index,
            proposals: Proposals::default(),
            interest: Interest::new(settings.seed),
            channels: Channels::default(),
            duplicates: Duplicates::default(),
            targets: Targets::default(),
            sweep: Sweep::default(),
            signals: SignalGate::new(settings.seed),
            cursors: CursorDesk::default(),
            ready: VecDeque::new(),
            held: VecDeque::new(),
            gathered: Gathered::default(),
            waiting: VecDeque::new(),
            leadership: Leadership::default(),
            uncovered: Uncovered {
                log_bytes,
                from: uncovered_from,
                checkpoint_bytes,
                is_wanted: false,
            },
            is_trimmed: false,
            is_fetching: false,
        }
    }

    /// Its number, from 0.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Its state.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Why it is not whole, if so.
    pub(crate) fn impairment(&self) -> Option<Code> {
        match &self.role {
            Role::Running(_) => None,
            Role::Impaired(code) => Some(*code),
        }
    }

    /// Its Raft group.
    pub(crate) fn group(&self) -> GroupId {
        self.group
    }

    /// Payload bytes in memory.
    pub(crate) fn hot_bytes(&self) -> usize {
        self.hot().map_or(0, HotTail::bytes)
    }

    /// Nothing admitted or asked waits here.
    pub(crate) fn is_idle(&self) -> bool {
        let is_settled = match &self.role {
            Role::Running(replica) => replica.is_idle(),
            Role::Impaired(_) => true,
        };
        is_settled
            && self.proposals.is_empty()
            && self.held.is_empty()
            && self.ready.is_empty()
            && self.waiting.is_empty()
            && self.has_told_all()
            && self.duplicates.is_idle()
            && self.targets.is_idle()
            && self.cursors.is_idle()
    }

    /// Segments below `first` were let go.
    pub(crate) fn trim(&mut self, first: SegmentId) {
        self.is_trimmed = true;
        self.index.trim(first);
        if let Role::Running(replica) = &mut self.role {
            replica.trim(first);
        }
    }

    /// A channel of a room of this partition is ready.
    pub(crate) fn channel_ready(&mut self, channel: Arc<RoomChannel>) {
        self.ready.push_back(channel);
    }

    /// The log thread has synced readies of this group.
    pub(crate) fn persisted(&mut self, persisted: &Persisted) {
        if let Role::Running(replica) = &mut self.role {
            replica.persisted(persisted);
        }
    }

    /// The replica on node `from` says something.
    pub(crate) fn step(&mut self, from: NodeId, message: PeerMessage) {
        if let Role::Running(replica) = &mut self.role {
            replica.step(from, message);
        }
    }

    /// What was sent to `node` may be lost.
    pub(crate) fn peer_lost(&mut self, node: NodeId) {
        if let Role::Running(replica) = &mut self.role {
            replica.unreachable(node);
        }
    }

    /// Whether Raft's clock matters now.
    pub(crate) fn needs_ticks(&self) -> bool {
        matches!(&self.role, Role::Running(replica) if replica.needs_ticks())
    }

    /// How its replica stands, if it runs.
    pub(crate) fn status(&self) -> Option<ReplicaStatus> {
        match &self.role {
            Role::Running(replica) => replica.status(),
            Role::Impaired(_) => None,
        }
    }

    /// Its replica, if it runs.
    #[cfg(test)]
    pub(crate) fn replica(&self) -> Option<&Replica> {
        match &self.role {
            Role::Running(replica) => Some(replica),
            Role::Impaired(_) => None,
        }
    }

    /// Makes the library panic when the next entry is applied.
    #[cfg(test)]
    pub(crate) fn break_at_next(&mut self) {
        if let Role::Running(replica) = &mut self.role {
            replica.break_at_next();
        }
    }

    /// Makes the library panic.
    #[cfg(test)]
    pub(crate) fn break_library(&mut self) {
        if let Role::Running(replica) = &mut self.role {
            replica.break_library();
        }
    }

    /// Raft's clock ticks.
    pub(crate) fn tick(&mut self) {
        if let Role::Running(replica) = &mut self.role {
            replica.tick();
        }
    }

    /// Once per turn, after all inputs. `true`: there is more to do at once.
    pub(crate) fn turn(&mut self, turn: &mut Turn<'_>) -> bool {
        self.pump(turn);
        self.notice_leader(turn);
        self.answer_waiting(turn);
        self.look_up_more(turn);
        self.tell_lost_signals(turn);
        self.note_if_wanted(turn);
        self.admit(turn);
        self.ask_for_waiting(turn);
        self.pump(turn);
        self.feed_lagging(turn);
        self.quarantine_if_broken(turn);
        self.checkpoint_if_due(turn);
        let has_publishes = !(self.ready.is_empty() && self.held.is_empty());
        self.may_admit() && has_publishes || self.duplicates.has_more(turn.settings.look_ups_max)
    }

    fn answer(&mut self, turn: &mut Turn<'_>, edge: CoreId, message: ToHome) {
        match message {
            ToHome::OpenChannel { namespace, room } => {
                self.open_channel(turn, edge, namespace, room)
            }
            ToHome::Subscribe(subscribe) => self.subscribe(turn, edge, subscribe),
            ToHome::Unsubscribe(unsubscribe) => self.unsubscribe(edge, &unsubscribe),
            ToHome::Tail(tail) => self.tail(turn, edge, tail),
            ToHome::Fetch(fetch) => self.fetch(turn, edge, fetch),
            ToHome::Signal(signal) => self.signal(turn, edge, &signal),
            ToHome::Cursor(cursor) => self.cursor(turn, edge, *cursor),
            ToHome::Barrier(_) => unreachable!("INV-HOME-46: a barrier is about no partition"),
        }
    }

    /// Whether publishes are looked at: a running partition leads and has memory left; an impaired one refuses.
    fn may_admit(&self) -> bool {
        match &self.role {
            Role::Running(replica) => {
                replica.is_serving() && replica.hot().is_some_and(|hot| !hot.is_full())
            }
            Role::Impaired(_) => true,
        }
    }

    fn hot(&self) -> Option<&HotTail> {
        match &self.role {
            Role::Running(replica) => replica.hot(),
            Role::Impaired(_) => None,
        }
    }

    /// Takes what Raft has to do until it has nothing: entries to the log thread, committed ones into the state.
    fn pump(&mut self, turn: &mut Turn<'_>) {
        while let Role::Running(replica) = &mut self.role
            && let Some(work) = replica.work()
        {
            if let Some(append) = work.append {
                turn.desk.put(Output::Append(append));
            }
            for entry in work.committed {
                if matches!(&self.role, Role::Running(replica) if replica.is_broken()) {
                    // The library panicked over the entry before: what follows is told by a restart.
                    return;
                }
                self.apply(turn, &entry);
            }
        }
        if let Role::Running(replica) = &mut self.role {
            while let Some((node, message)) = replica.poll_message() {
                turn.desk.tell_peer(node, self.group, message);
            }
        }
    }

    /// The library panicked: nothing of this group is served any more. What was proposed may have become durable or not; the code leaves its
    /// numbers bound, so that retries find out after a restart.
    fn quarantine_if_broken(&mut self, turn: &mut Turn<'_>) {
        if !matches!(&self.role, Role::Running(replica) if replica.is_broken()) {
            return;
        }
        let code = Code::INTERNAL;
        self.role = Role::Impaired(code);
        turn.exchange.leading().stopped(self.number);
        self.overlay.clear(&self.state);
        self.proposals.refuse_all(turn, code);
        self.refuse_cursors(turn, code);
        self.refuse_judged(turn, code);
        self.end_subscriptions(turn, code);
        turn.desk.put(Output::Event(CoreEvent::GroupQuarantined {
            group: self.group,
            code,
        }));
    }
}

/// Batches taken for one entry; see `gathering`.
type Batches = Vec<PublishBatch>;
