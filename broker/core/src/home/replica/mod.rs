//! One Raft group, driven through the consensus library. Nothing else in this crate names it.
//!
//! ```text
//!  propose ─▶ library ─ready─▶ entries ─▶ hot tail ─▶ Append to the log thread
//!                 ▲                                        │ synced
//!                 └──────────── on_persist_ready ◀─────────┘
//!             ready ─▶ committed entries ─▶ apply ─▶ applied
//!                   └─▶ messages ─▶ a leader's: leave at once
//!                                └▶ others: parked until their ready is synced
//! ```
//! Entries are stable for the library as soon as the hot tail has them, before the disk does; it hands out min(committed, persisted) only. Readies
//! are reported persisted in their order. Between `ready` and `advance_append_async` nothing else is called.

mod drawing;
mod lagging;
mod messages;
mod parking;
mod questions;
mod storage;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use antiphon_log::{
    Append, Entry, GroupId, HardState, Index, LogPosition, Persisted, SegmentId, Term,
};
use antiphon_protocol::NodeId;
use antiphon_protocol::peer::{Message, ReadContext};
use raft::{Config, RawNode, Ready, StateRole};
use slog::{Discard, Logger, o};

use crate::boundary::guarded;
use crate::core::Now;
use crate::home::entry_places::EntryPlaces;
use crate::home::hot_tail::HotTail;
use crate::home::limits::{
    COMMITTED_BYTES_PER_READY, ELECTION_TICKS_MAX, ELECTION_TICKS_MIN, HEARTBEAT_TICKS,
    RAFT_APPENDS_IN_FLIGHT_MAX, RAFT_MESSAGE_BYTES_MAX,
};
use crate::home::state::Part;
use crate::planted::{Bug, planted};
use drawing::election_ticks;
use messages::{context_bytes, context_of, from_library, to_library};
use parking::Parking;
use questions::{Questions, first_question};
use storage::{PartitionStorage, from_raft};

/// What a replica is started with.
#[derive(Debug)]
pub(crate) struct ReplicaStart {
    /// This node.
    pub(crate) node: NodeId,
    /// All voters, this node among them.
    pub(crate) voters: Vec<NodeId>,
    /// The group.
    pub(crate) group: GroupId,
    /// Makes election timeouts differ between runs.
    pub(crate) seed: u64,
    /// Proposals beyond this many uncommitted bytes are dropped.
    pub(crate) uncommitted_bytes_max: u64,
    /// Term and vote as persisted.
    pub(crate) hard_state: HardState,
    /// Everything up to here is in the state already; committed and synced.
    pub(crate) applied: Index,
    /// The log up to `applied`.
    pub(crate) hot: HotTail,
    /// Where its entries stand; none on a node alone.
    pub(crate) places: EntryPlaces,
    /// What follows: synced, not known to be committed.
    pub(crate) unsettled: Vec<(Entry, LogPosition)>,
}

/// What is to be done after a turn of the library.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// For the log thread.
    pub(crate) append: Option<Append>,
    /// To be applied, in order, and then told by [`Replica::applied`].
    pub(crate) committed: Vec<Entry>,
}

/// How a replica stands, for operators and for whoever checks it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReplicaStatus {
    /// Its group.
    pub group: GroupId,
    /// Its term.
    pub term: Term,
    /// It leads.
    pub leads: bool,
    /// Committed, as far as it knows.
    pub commit: Index,
    /// In its state.
    pub applied: Index,
    /// Its newest entry, synced or not.
    pub last: Index,
}

/// Where a replica stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// It leads in this term.
    Leads(Term),
    /// Another one leads.
    Follows(NodeId),
    /// It knows no leader.
    Seeks,
}

/// Why a proposal was not taken. Nothing of it remains.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotProposed {
    /// Too much is uncommitted, or this is no leader.
    Dropped,
    /// The group is quarantined.
    Broken,
}

/// See the module.
pub(crate) struct Replica {
    group: GroupId,
    node_id: u64,
    is_alone: bool,
    seed: u64,
    /// `None`: the library panicked; the group is quarantined.
    node: Option<Box<RawNode<PartitionStorage>>>,
    /// Number of the newest ready.
    ready_newest: u64,
    /// Number of the newest ready that gave the log thread something.
    ready_with_blocks: u64,
    /// Number of the newest ready reported persisted.
    ready_persisted: u64,
    /// Messages to other replicas.
    parking: Parking,
    questions: Questions,
    /// The library panics when this entry is applied.
    #[cfg(test)]
    breaks_at: Option<Index>,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replica {
            group,
            ready_newest,
            ready_persisted,
            ..
        } = self;
        f.debug_struct("Replica")
            .field("group", group)
            .field("is_broken", &self.is_broken())
            .field("ready_newest", ready_newest)
            .field("ready_persisted", ready_persisted)
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// Starts the group. A lone voter campaigns at once and leads, but serves only when the entries of earlier terms are applied; one of several waits
    /// until it hears a leader, or none.
    pub(crate) fn start(start: ReplicaStart) -> Replica {
        let ReplicaStart {
            node,
            voters,
            group,
            seed,
            uncommitted_bytes_max,
            hard_state,
            applied,
            hot,
            places,
            unsettled,
        } = start;
        let node_id = u64::from(node.0);
        assert!(node_id != 0, "INV-HOME-16: a node's id is not 0");
        let (mut hot, mut places) = (hot, places);
        for (entry, at) in unsettled {
            let index = entry.index;
            hot.append(entry);
            hot.place(index, at);
            if voters.len() > 1 {
                places.set(index, at);
            }
        }
        let newest = hot.term(hot.last()).unwrap_or(Term(0));
        let vote = if hard_state.term >= newest {
            hard_state.vote
        } else {
            0
        };
        let hard_state = HardState {
            term: hard_state.term.max(newest),
            vote,
            commit: applied,
        };
        assert!(
            voters.contains(&node),
            "INV-HOME-51: a replica is a voter of its group"
        );
        let is_alone = voters.len() == 1;
        let voters = voters.iter().map(|voter| u64::from(voter.0)).collect();
        let storage = PartitionStorage::new(hot, hard_state, voters).with_places(places);
        let config = settings(node_id, applied, uncommitted_bytes_max);
        let logger = Logger::root(Discard, o!());
        let made = guarded(|| RawNode::new(&config, storage, &logger).ok().map(Box::new));
        let mut replica = Replica {
            group,
            node_id,
            is_alone,
            seed,
            node: made.flatten(),
            ready_newest: 0,
            ready_with_blocks: 0,
            ready_persisted: 0,
            parking: Parking::default(),
            questions: Questions::default(),
            #[cfg(test)]
            breaks_at: None,
        };
        // Also sets the first election timeout.
        let _ = replica.call(|node| {
            if is_alone {
                let _ = node.campaign();
            }
        });
        replica
    }

    /// Whether the group is quarantined.
    pub(crate) fn is_broken(&self) -> bool {
        self.node.is_none()
    }

    /// Whether this replica leads and has applied everything up to the first entry of its own term: it may admit and answer.
    pub(crate) fn is_serving(&self) -> bool {
        self.node.as_ref().is_some_and(|node| {
            node.raft.state == StateRole::Leader && node.raft.apply_to_current_term()
        })
    }

    /// Whether time matters to the group: a leader without peers needs no clock.
    pub(crate) fn needs_ticks(&self) -> bool {
        self.node
            .as_ref()
            .is_some_and(|node| !self.is_alone || node.raft.state != StateRole::Leader)
    }

    /// Whether this is the only voter.
    pub(crate) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Who leads, as far as this replica knows.
    pub(crate) fn standing(&self) -> Standing {
        let Some(node) = &self.node else {
            return Standing::Seeks;
        };
        if node.raft.state == StateRole::Leader {
            return Standing::Leads(Term(node.raft.term));
        }
        match u32::try_from(node.raft.leader_id) {
            Ok(leader) if leader != 0 => Standing::Follows(NodeId(leader)),
            _ => Standing::Seeks,
        }
    }

    /// How it stands; `None` if the group is quarantined.
    pub(crate) fn status(&self) -> Option<ReplicaStatus> {
        let raft = &self.node.as_ref()?.raft;
        Some(ReplicaStatus {
            group: self.group,
            term: Term(raft.term),
            leads: raft.state == StateRole::Leader,
            commit: Index(raft.raft_log.committed),
            applied: Index(raft.raft_log.applied),
            last: Index(raft.raft_log.last_index()),
        })
    }

    /// A message of the replica on node `from`.
    pub(crate) fn step(&mut self, from: NodeId, message: Message) {
        let Some(message) = to_library(from, self.node_id, message) else {
            return;
        };
        // What the library does not take (from a stranger, or of a time that is over) costs nothing and means nothing.
        let _ = self.call(|node| {
            let is_voter = node.raft.prs().get(message.from).is_some();
            is_voter && message.from != node.raft.id && node.step(message).is_ok()
        });
    }

    /// What was sent to `node` may be lost.
    pub(crate) fn unreachable(&mut self, node: NodeId) {
        let _ = self.call(|library| {
            if library.raft.state == StateRole::Leader {
                library.report_unreachable(u64::from(node.0));
            }
        });
    }

    /// Asks how far this replica must have applied to answer as of now: a leader asks the voters whether it still leads, another replica has its leader
    /// ask them. Gives the question's number.
    pub(crate) fn ask_leader(&mut self, now: Now) -> u64 {
        let (seed, group, node) = (self.seed, self.group, self.node());
        let number = self.questions.ask(|| first_question(seed, group, now));
        let context = context_bytes(ReadContext { node, number });
        let _ = self.call(|library| library.read_index(context));
        number
    }

    fn node(&self) -> NodeId {
        NodeId(u32::try_from(self.node_id).unwrap_or_default())
    }

    /// Whether question `number` is confirmed, and everything that was committed when it was asked is applied.
    pub(crate) fn is_readable(&self, number: u64, applied: Index) -> bool {
        self.questions.is_readable(number, applied)
    }

    /// The next message that may leave.
    pub(crate) fn poll_message(&mut self) -> Option<(NodeId, Message)> {
        self.parking.poll()
    }

    /// The hot tail; `None` if the group is quarantined.
    pub(crate) fn hot(&self) -> Option<&HotTail> {
        self.node.as_ref().map(|node| node.store().hot())
    }

    /// Time passes by one tick.
    pub(crate) fn tick(&mut self) {
        let _ = self.call(|node| {
            node.mut_store().lagging().tick();
            node.tick()
        });
    }

    /// Segments of the log below `first` were let go.
    pub(crate) fn trim(&mut self, first: SegmentId) {
        let _ = self.call(|node| node.mut_store().trim(first));
    }

    /// Entries that are to be read for a replica that lags: the first one's index, and where they stand; no places: it cannot be fed from here, and what
    /// it wants is forgotten until it wants it again.
    pub(crate) fn wanted_entries(&mut self) -> Option<(Index, Vec<LogPosition>)> {
        // Not asked through `call`: it is asked in every turn, and changes no role.
        let node = self.node.as_mut()?;
        let wanted = node.store().wanted()?;
        if node.raft.state != StateRole::Leader {
            node.mut_store().lagging().clear();
            return None;
        }
        if wanted.1.is_empty() {
            node.mut_store().lagging().give_up();
        }
        Some(wanted)
    }

    /// What was wanted is read, or cannot be.
    pub(crate) fn entries_fetched(&mut self, fetched: Option<Vec<Entry>>) {
        let _ = self.call(|node| match fetched {
            Some(piece) => {
                let served = node.mut_store().lagging().fetched(piece);
                served
                    .into_iter()
                    .for_each(|context| node.on_entries_fetched(context));
            }
            None => node.mut_store().lagging().give_up(),
        });
    }

    /// Proposes an entry; gives its index and term.
    ///
    /// # Errors
    /// See [`NotProposed`].
    pub(crate) fn propose(&mut self, payload: Vec<u8>) -> Result<(Index, Term), NotProposed> {
        let proposed = self.call(|node| {
            // A follower would forward it: only a leader proposes.
            let is_leader = node.raft.state == StateRole::Leader;
            let is_taken = is_leader && node.propose(Vec::new(), payload).is_ok();
            is_taken.then(|| (Index(node.raft.raft_log.last_index()), Term(node.raft.term)))
        });
        proposed
            .ok_or(NotProposed::Broken)?
            .ok_or(NotProposed::Dropped)
    }

    /// What there is to do; `None` if nothing. Called until then.
    pub(crate) fn work(&mut self) -> Option<Work> {
        if !self.node.as_ref()?.has_ready() {
            return None;
        }
        let group = self.group;
        let (number, ready, work) = self.call(|node| {
            let mut ready = node.ready();
            let number = ready.number();
            let said = Said {
                at_once: ready.take_messages(),
                parked: ready.take_persisted_messages(),
                read: ready.take_read_states(),
            };
            let committed: Vec<Entry> = ready
                .take_committed_entries()
                .into_iter()
                .map(from_raft)
                .collect();
            let append = append_of(group, node, &mut ready);
            node.advance_append_async(ready);
            (number, said, Work { append, committed })
        })?;
        assert!(
            number > self.ready_newest,
            "INV-HOME-18: readies are numbered ascending"
        );
        self.ready_newest = number;
        self.hear(number, ready);
        if work.append.is_some() {
            self.ready_with_blocks = number;
        } else if self.ready_persisted >= self.ready_with_blocks {
            // Without blocks of its own a ready is persisted when its predecessors are.
            self.persist(number);
        }
        Some(work)
    }

    /// The log thread has synced readies of this group.
    pub(crate) fn persisted(&mut self, persisted: &Persisted) {
        assert!(
            persisted.group == self.group,
            "INV-HOME-19: reports reach their group"
        );
        let is_lawful =
            persisted.ready > self.ready_persisted && persisted.ready <= self.ready_with_blocks;
        assert!(
            is_lawful || self.is_broken(),
            "INV-HOME-21: readies are persisted in order, each once"
        );
        let _ = self.call(|node| {
            for (index, at) in &persisted.positions {
                node.mut_store().place(*index, *at);
            }
        });
        let is_newest = persisted.ready == self.ready_with_blocks || planted(Bug::ReleaseUnsynced);
        self.persist(if is_newest {
            self.ready_newest
        } else {
            persisted.ready
        });
    }

    fn persist(&mut self, number: u64) {
        self.ready_persisted = number;
        let _ = self.call(|node| node.on_persist_ready(number));
        if !self.is_broken() {
            self.parking.release(number);
        }
    }

    /// Takes what ready `number` says to others, and to us.
    fn hear(&mut self, number: u64, said: Said) {
        assert!(
            !self.is_alone || said.at_once.is_empty() && said.parked.is_empty(),
            "INV-HOME-17: a group of one has nobody to write to"
        );
        let at_once = said.at_once.into_iter().filter_map(from_library);
        self.parking.leave(at_once);
        let parked = said.parked.into_iter().filter_map(from_library);
        // A question binds nobody: it waits for no sync.
        let (free, parked): (Vec<_>, Vec<_>) =
            parked.partition(|(_, message)| matches!(message, Message::Read { .. }));
        self.parking.leave(free.into_iter());
        self.parking.park(number, parked.into_iter());
        for state in said.read {
            if let Some(context) = context_of(&state.request_ctx) {
                let node = self.node();
                self.questions.confirm(node, context, Index(state.index));
            }
        }
    }

    /// The entry `index`, handed out as committed, is applied; `parts` are its records.
    pub(crate) fn applied(&mut self, index: Index, parts: &[Part]) {
        #[cfg(test)]
        if self.breaks_at == Some(index) {
            return self.break_library();
        }
        let _ = self.call(|node| {
            node.mut_store().applied(index, parts);
            node.advance_apply_to(index.0);
        });
    }

    /// Whether everything appended is applied; of several voters: whether it waits for none of what it appended itself.
    pub(crate) fn is_idle(&self) -> bool {
        self.node.as_ref().is_none_or(|node| {
            let is_settled = node.raft.raft_log.applied == node.raft.raft_log.last_index();
            !node.has_ready()
                && (is_settled || !self.is_alone && node.raft.state != StateRole::Leader)
        })
    }

    /// Makes the library panic when the next entry that is proposed is applied.
    #[cfg(test)]
    pub(crate) fn break_at_next(&mut self) {
        let last = self.hot().map_or(Index(0), HotTail::last);
        self.breaks_at = Some(last.next());
    }

    /// Makes the library panic.
    #[cfg(test)]
    pub(crate) fn break_library(&mut self) {
        let _ = self.call(|node| node.advance_apply_to(u64::MAX));
    }

    /// Every call into the library that may panic or change term or role.
    fn call<R>(&mut self, call: impl FnOnce(&mut RawNode<PartitionStorage>) -> R) -> Option<R> {
        let node = self.node.as_mut()?;
        let (seed, id, group) = (self.seed, self.node_id, self.group);
        let result = guarded(|| {
            let result = call(node);
            // The library draws timeouts from a random source of its own; ours are a function of the term, so that runs can be repeated.
            node.raft.set_randomized_election_timeout(election_ticks(
                seed,
                id,
                group,
                node.raft.term,
            ));
            result
        });
        if result.is_none() {
            self.node = None;
        }
        result
    }
}

/// What a ready says beside its entries.
struct Said {
    at_once: Vec<raft::eraftpb::Message>,
    parked: Vec<raft::eraftpb::Message>,
    read: Vec<raft::ReadState>,
}

fn settings(id: u64, applied: Index, uncommitted_bytes_max: u64) -> Config {
    Config {
        id,
        applied: applied.0,
        election_tick: ELECTION_TICKS_MIN,
        min_election_tick: ELECTION_TICKS_MIN,
        max_election_tick: ELECTION_TICKS_MAX,
        heartbeat_tick: HEARTBEAT_TICKS,
        max_size_per_msg: RAFT_MESSAGE_BYTES_MAX.min(uncommitted_bytes_max),
        max_inflight_msgs: RAFT_APPENDS_IN_FLIGHT_MAX,
        pre_vote: true,
        check_quorum: true,
        // With it, a follower may ack entries that nobody stored.
        batch_append: false,
        max_uncommitted_size: uncommitted_bytes_max,
        max_committed_size_per_ready: COMMITTED_BYTES_PER_READY,
        ..Config::default()
    }
}

/// What the log thread must keep of a ready; its entries are in the hot tail afterwards.
fn append_of(
    group: GroupId,
    node: &mut RawNode<PartitionStorage>,
    ready: &mut Ready,
) -> Option<Append> {
    let entries: Vec<Entry> = ready.take_entries().into_iter().map(from_raft).collect();
    for entry in &entries {
        node.mut_store().append(entry.clone());
    }
    if !ready.must_sync() {
        assert!(entries.is_empty(), "INV-HOME-22: entries are always synced");
        return None;
    }
    let hard_state = ready.hs().map(|state| HardState {
        term: Term(state.term),
        vote: state.vote,
        commit: Index(state.commit),
    });
    let is_first = entries.iter().any(|entry| entry.payload.is_empty());
    let commit = Index(node.raft.raft_log.committed);
    Some(Append {
        group,
        ready: ready.number(),
        urgent: entries.is_empty() || is_first,
        hard_state,
        commit,
        entries,
    })
}
