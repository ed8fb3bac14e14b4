//! Home: the partitions that live on this core.
//!
//! Each partition is a Raft group, of one voter or of several. Publishes come through room channels, are admitted and stamped into one entry per partition
//! and turn, go to the log thread, come back persisted and committed, and are applied: only then are publishers acked and subscribers served. Nothing
//! uncommitted is ever told.
//!
//! | file | what |
//! |---|---|
//! | `partition` | one partition and its turn: gather, stamp, propose, apply, and what readers ask |
//! | `admission` | the checks a publish passes |
//! | `overlay` | what is proposed and not committed |
//! | `state` | what is committed: apply and checkpoints |
//! | `replica`, `hot_tail`, `entry_places` | the Raft group, the newest entries in memory, and where the others stand |
//! | `interest`, `channels` | which edges want which rooms, and how publishes come |
//! | `recovering`, `seed` | from the log to a partition |

mod admission;
mod channels;
mod cursors;
mod desk;
mod entry_places;
mod erased;
mod hot_tail;
mod interest;
pub(crate) mod limits;
mod overlay;
mod partition;
mod producers;
mod reads;
mod recent;
pub(crate) mod records;
mod recovering;
mod replica;
mod seed;
mod settings;
mod state;
mod stats;
mod window;

#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_log::{GroupId, LogPosition, Persisted, SegmentId};
use antiphon_protocol::peer::Message as PeerMessage;
use antiphon_protocol::{Code, Namespace, NodeId, Slot};

use crate::channel::Exchange;
use crate::core::{CoreConfig, CoreEvent, CoreId, Now, Output};
use crate::home::desk::{Desk, Turn};
use crate::home::limits::{CHANNELS_PER_TURN_MAX, EXPIRE_EVERY_MS, TICK_MS};
use crate::home::partition::Partition;
use crate::home::reads::{Purpose, Reading};
use crate::home::settings::HomeSettings;
use crate::lane::{Gap, RoomKey, ToEdge, ToHome};
use crate::planted::{Bug, planted};
use crate::read::{EntryAnswer, ReadAnswer, ReadFailure, ReadPurpose};

pub use recovering::Recovering;
pub use replica::ReplicaStatus;
pub use seed::{Condition, PartitionSeed, Unsound};
pub use stats::HomeStats;

/// The partitions at home on one core.
#[derive(Debug)]
pub(crate) struct Home {
    settings: HomeSettings,
    exchange: Arc<Exchange>,
    /// Partition `p` stands at `p / cores`.
    partitions: Vec<Partition>,
    desk: Desk,
    /// When silent producers are looked for next.
    sweep_at_ms: u64,
    /// When Raft's clock ticks next, if any group needs it.
    tick_at_ms: u64,
    /// Segments below were let go, and the room indexes know it.
    kept_from: SegmentId,
}

impl Home {
    /// Starts the partitions at home here, as recovered. Others among `seeds` are a bug of the server.
    pub(crate) fn new(
        config: CoreConfig,
        exchange: Arc<Exchange>,
        seeds: Vec<PartitionSeed>,
        now: Now,
    ) -> Home {
        Home::with_settings(HomeSettings::new(config), exchange, seeds, now)
    }

    pub(crate) fn with_settings(
        settings: HomeSettings,
        exchange: Arc<Exchange>,
        mut seeds: Vec<PartitionSeed>,
        now: Now,
    ) -> Home {
        seeds.sort_by_key(PartitionSeed::partition);
        let mut desk = Desk::new(settings.map.cores());
        let mut partitions = Vec::with_capacity(seeds.len());
        for seed in seeds {
            let is_next = usize::from(seed.partition / settings.map.cores()) == partitions.len();
            let is_here = settings.map.home_of_partition(seed.partition) == settings.core;
            assert!(
                is_next && is_here,
                "INV-HOME-33: a core gets exactly the partitions at home on it"
            );
            desk.sync_end = desk.sync_end.max(seed.read_end);
            let partition = Partition::start(seed, &settings);
            if let Some(code) = partition.impairment() {
                exchange.leading().stopped(partition.number());
                desk.put(Output::Event(CoreEvent::GroupQuarantined {
                    group: partition.group(),
                    code,
                }));
            }
            partitions.push(partition);
        }
        let sweep_at_ms = now.mono_ms + EXPIRE_EVERY_MS;
        Home {
            settings,
            exchange,
            partitions,
            desk,
            sweep_at_ms,
            tick_at_ms: now.mono_ms + TICK_MS,
            kept_from: SegmentId(0),
        }
    }

    /// Handles one message of an edge; answers are `Output::Lane`.
    pub(crate) fn handle(&mut self, from: CoreId, message: ToHome, now: Now) {
        if let ToHome::Barrier(barrier) = message {
            return self.desk.send(from, ToEdge::BarrierPassed(barrier));
        }
        let Some(slot) = slot_of(&message) else {
            return;
        };
        let number = self.settings.map.partition_of(slot);
        self.with(number, now, |partition, turn| {
            partition.handle(turn, from, message)
        });
    }

    /// The log thread has synced readies of groups at home here.
    pub(crate) fn persisted(&mut self, persisted: &[Persisted], sync_end: LogPosition, _now: Now) {
        assert!(
            sync_end >= self.desk.sync_end,
            "INV-HOME-34: what is synced stays synced"
        );
        self.desk.sync_end = sync_end;
        for report in persisted {
            self.partition_of(report.group)
                .expect("INV-HOME-19: reports reach their group")
                .persisted(report);
        }
    }

    /// A replica on another node says something to its fellow here. A group that is not at home here is none of ours.
    pub(crate) fn peer(&mut self, from: NodeId, group: GroupId, message: PeerMessage) {
        if let Some(partition) = self.partition_of(group) {
            partition.step(from, message);
        }
    }

    /// What was sent to `node` may be lost.
    pub(crate) fn peer_lost(&mut self, node: NodeId) {
        self.partitions
            .iter_mut()
            .for_each(|partition| partition.peer_lost(node));
    }

    fn partition_of(&mut self, group: GroupId) -> Option<&mut Partition> {
        let number = u16::try_from(group.0.checked_sub(1)?).ok()?;
        let place = usize::from(number / self.settings.map.cores());
        let partition = self.partitions.get_mut(place)?;
        (partition.group() == group).then_some(partition)
    }

    /// A reader thread has answered a read of home itself.
    pub(crate) fn read_done(&mut self, answer: ReadAnswer, now: Now) {
        let ReadPurpose::Home(read) = answer.purpose else {
            panic!("INV-HOME-43: a reader answers what home asked, once");
        };
        let Reading { partition, purpose } = self
            .desk
            .take_read(read)
            .expect("INV-HOME-43: a reader answers what home asked, once");
        let ReadAnswer {
            room, from, result, ..
        } = answer;
        self.with(partition, now, |partition, turn| match purpose {
            Purpose::Position {
                edge,
                subscribe,
                next,
            } => partition.position_read(turn, edge, &subscribe, room, next, result),
            Purpose::Time { edge, search } => partition.time_read(turn, edge, search, from, result),
            Purpose::Window => partition.window_read(turn, read, from, result),
            Purpose::Target => partition.target_read(turn, read, result),
            Purpose::Gap {
                edge,
                from: missing,
                reader,
            } => match result {
                Ok(read) => {
                    let reason = partition.missing_reason(room, missing);
                    let gap = Gap::before(missing, from, read.link_before, reason);
                    partition.tell_gap(turn, edge, &reader, gap);
                }
                Err(failure) => {
                    let code = match failure {
                        ReadFailure::Busy | ReadFailure::Gone => Code::UNAVAILABLE,
                        ReadFailure::Damaged => Code::DAMAGED,
                    };
                    partition.fail_gap(turn, edge, &reader, code);
                }
            },
        });
    }

    /// A reader thread has read entries for a replica that lags, or could not.
    pub(crate) fn entries_read(&mut self, answer: EntryAnswer) {
        let partition = self.partition_of(answer.group);
        partition
            .expect("INV-HOME-43: a reader answers what home asked, once")
            .entries_read(answer);
    }

    /// Drains room channels by budget, proposes, readies, applies. `true`: more to do.
    pub(crate) fn turn(&mut self, now: Now) -> bool {
        self.trim();
        for _ in 0..CHANNELS_PER_TURN_MAX {
            let Some(channel) = self.exchange.next_ready(self.settings.core) else {
                break;
            };
            let slot = Slot::of(channel.namespace(), channel.name());
            let number = self.settings.map.partition_of(slot);
            self.with(number, now, |partition, _| partition.channel_ready(channel));
        }
        let mut has_more = false;
        let Home {
            settings,
            exchange,
            partitions,
            desk,
            ..
        } = self;
        let mut turn = Turn {
            now,
            settings,
            exchange,
            desk,
        };
        for partition in partitions {
            has_more |= partition.turn(&mut turn);
        }
        self.desk.flush_acks();
        self.desk.flush_peers();
        has_more || self.exchange.has_ready(self.settings.core)
    }

    /// Lets go of what retention has let go of.
    fn trim(&mut self) {
        let kept_from = self.exchange.kept_from();
        if kept_from > self.kept_from {
            self.kept_from = kept_from;
            let partitions = self.partitions.iter_mut();
            partitions.for_each(|partition| partition.trim(kept_from));
        }
    }

    /// When [`Home::tick`] wants to be called next.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let ticks = self
            .partitions
            .iter()
            .any(Partition::needs_ticks)
            .then_some(self.tick_at_ms);
        let sweep = self
            .partitions
            .iter()
            .any(|partition| partition.state().producer_count() > 0)
            .then_some(self.sweep_at_ms);
        let signals = self
            .partitions
            .iter()
            .filter_map(Partition::signals_deadline);
        let cursors = self
            .partitions
            .iter()
            .filter_map(Partition::cursors_deadline);
        ticks
            .into_iter()
            .chain(sweep)
            .chain(signals)
            .chain(cursors)
            .min()
    }

    /// Time has passed. A long pause is one tick, never caught up.
    pub(crate) fn tick(&mut self, now: Now) {
        if now.mono_ms >= self.tick_at_ms {
            self.tick_at_ms = now.mono_ms + TICK_MS;
            self.partitions
                .iter_mut()
                .filter(|partition| partition.needs_ticks())
                .for_each(Partition::tick);
        }
        if now.mono_ms >= self.sweep_at_ms {
            self.sweep_at_ms = now.mono_ms + EXPIRE_EVERY_MS;
            if self.exchange.is_storage_full() {
                // Nobody new is remembered either, and the entry takes space.
                return;
            }
            self.partitions
                .iter_mut()
                .for_each(|partition| partition.sweep(now.wall));
        }
    }

    /// The node stops: what is written now and then is written now.
    pub(crate) fn drain(&mut self, now: Now) {
        for partition in &mut self.partitions {
            partition.flush_cursors(now.mono_ms);
        }
    }

    /// Drained by the facade after each of the calls above.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.desk.poll()
    }

    pub(crate) fn replicas(&self) -> impl Iterator<Item = ReplicaStatus> {
        self.partitions.iter().filter_map(Partition::status)
    }

    /// Nothing admitted waits for its commit or apply.
    pub(crate) fn is_idle(&self) -> bool {
        self.partitions.iter().all(Partition::is_idle)
            && !self.exchange.has_ready(self.settings.core)
    }

    pub(crate) fn stats(&self) -> HomeStats {
        let sum =
            |of: fn(&Partition) -> usize| self.partitions.iter().map(of).sum::<usize>() as u64;
        HomeStats {
            partitions: self.partitions.len() as u64,
            partitions_impaired: sum(|partition| usize::from(partition.impairment().is_some())),
            rooms: sum(|partition| partition.state().room_count()),
            producers: sum(|partition| partition.state().producer_count()),
            hot_bytes: sum(Partition::hot_bytes),
            ..self.desk.stats
        }
    }

    /// Makes the library panic in one group.
    #[cfg(test)]
    fn break_library(&mut self, group: antiphon_log::GroupId) {
        for partition in self
            .partitions
            .iter_mut()
            .filter(|partition| partition.group() == group)
        {
            partition.break_library();
        }
    }

    /// Calls a partition at home here, with the desk.
    fn with(&mut self, number: u16, now: Now, call: impl FnOnce(&mut Partition, &mut Turn<'_>)) {
        let Home {
            settings,
            exchange,
            partitions,
            desk,
            ..
        } = self;
        assert!(
            settings.map.home_of_partition(number) == settings.core,
            "INV-HOME-35: messages reach the home of their room"
        );
        let partition = partitions
            .get_mut(usize::from(number / settings.map.cores()))
            .expect("INV-HOME-33: all partitions at home here are here");
        call(
            partition,
            &mut Turn {
                now,
                settings,
                exchange,
                desk,
            },
        );
    }
}

/// The slot of the room that a message is about, if it is about one.
fn slot_of(message: &ToHome) -> Option<Slot> {
    let (namespace, room) = match message {
        ToHome::OpenChannel { namespace, room } if planted(Bug::WrongSlot) => {
            (Namespace(namespace.0 + 1), room)
        }
        ToHome::OpenChannel { namespace, room } => (*namespace, room),
        ToHome::Subscribe(subscribe) => (subscribe.namespace, &subscribe.room),
        ToHome::Unsubscribe(unsubscribe) => (unsubscribe.namespace, &unsubscribe.room),
        ToHome::Fetch(fetch) => (fetch.namespace, &fetch.room),
        ToHome::Signal(signal) => (signal.namespace, &signal.room),
        ToHome::Cursor(cursor) => (cursor.namespace, &cursor.room),
        ToHome::Tail(tail) => return Some(tail.room.slot()),
        ToHome::Barrier(_) => return None,
    };
    Some(match room {
        RoomKey::Id(id) => id.slot(),
        RoomKey::Name(name) => Slot::of(namespace, name),
    })
}
