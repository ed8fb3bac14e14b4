//! A log in memory: appends wait until they are persisted; a crash keeps what was.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use antiphon_log::{
    Append, Checkpoint, Entry, GroupDamage, GroupId, GroupRecovery, HardState, Index, Item, Items,
    LogPosition, Persisted, Recover, RecoveredEntry, SegmentId, TermRun,
};
use antiphon_protocol::Seq;
use bytes::Bytes;

use crate::home::Recovering;
use crate::home::records::{cut, link_at};
use crate::read::{
    CheckpointJob, EntryAnswer, EntryJob, ReadAnswer, ReadFailure, ReadJob, ReadRecords,
};

/// What a world needs of a log.
pub(super) trait TestLog {
    /// Takes an append; nothing is persisted.
    fn submit(&mut self, append: Append);
    /// Whether something waits to be persisted, and can be.
    fn has_queued(&self) -> bool;
    /// Persists the oldest `count` appends of `group`, or of all groups, as far as the log can choose, and reports once per group.
    fn persist(&mut self, count: usize, group: Option<GroupId>) -> Vec<Persisted>;
    /// Everything below is durable.
    fn sync_end(&self) -> LogPosition;
    /// Takes a checkpoint.
    fn checkpoint(&mut self, job: CheckpointJob);
    /// Loses what was not persisted, opens what is left, and tells it.
    fn reopen(&mut self, recovering: &mut Recovering);
    /// Does a reader thread's work.
    fn read(&self, job: &ReadJob) -> ReadAnswer;
    /// The same for a replica that lags.
    fn read_entries(&self, job: &EntryJob) -> EntryAnswer;
}

/// What a group has on disk.
#[derive(Clone, Debug, Default)]
struct Durable {
    hard_state: HardState,
    entries: Vec<(Entry, LogPosition)>,
    checkpoint: Option<CheckpointJob>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct ToyLog {
    pub(super) queued: VecDeque<Append>,
    durable: BTreeMap<GroupId, Durable>,
    blocks: BTreeMap<LogPosition, Bytes>,
    end: u32,
    /// First index lost, per group: what the log will say when it is opened.
    holes: BTreeMap<GroupId, Index>,
    /// Entries that nothing is told of, though a checkpoint covers them.
    untold: BTreeSet<LogPosition>,
}

impl ToyLog {
    pub(super) fn new() -> ToyLog {
        ToyLog {
            queued: VecDeque::new(),
            durable: BTreeMap::new(),
            blocks: BTreeMap::new(),
            end: 4_096,
            holes: BTreeMap::new(),
            untold: BTreeSet::new(),
        }
    }

    fn write(&mut self, append: Append, positions: &mut Vec<(Index, LogPosition)>) {
        let durable = self.durable.entry(append.group).or_default();
        if let Some(state) = append.hard_state {
            durable.hard_state.term = state.term;
            durable.hard_state.vote = state.vote;
        }
        assert!(
            append.commit >= durable.hard_state.commit,
            "commit never falls"
        );
        durable.hard_state.commit = append.commit;
        for entry in append.entries {
            while durable
                .entries
                .last()
                .is_some_and(|(last, _)| last.index >= entry.index)
            {
                durable.entries.pop();
            }
            let last = durable
                .entries
                .last()
                .map_or(Index(0), |(last, _)| last.index);
            assert_eq!(entry.index, last.next(), "entries are dense");
            let at = LogPosition::new(SegmentId(1), self.end);
            self.end += 48 + u32::try_from(entry.payload.len()).expect("small");
            self.blocks.insert(at, entry.payload.clone());
            positions.push((entry.index, at));
            durable.entries.push((entry, at));
        }
    }

    pub(super) fn has_checkpoint(&self) -> bool {
        self.durable
            .values()
            .any(|durable| durable.checkpoint.is_some())
    }

    /// A block rots: reads of it fail.
    pub(super) fn rot(&mut self, at: LogPosition) {
        self.blocks.remove(&at);
    }

    /// The group has lost everything from `hole` on.
    pub(super) fn damage(&mut self, group: GroupId, hole: Index) {
        self.holes.insert(group, hole);
    }

    /// Opening will not tell of this entry.
    pub(super) fn hide(&mut self, at: LogPosition) {
        self.untold.insert(at);
    }

    /// The payload at a position becomes another one.
    pub(super) fn replace(&mut self, at: LogPosition, payload: &'static [u8]) {
        for (entry, place) in self
            .durable
            .values_mut()
            .flat_map(|durable| &mut durable.entries)
        {
            if *place == at {
                entry.payload = Bytes::from_static(payload);
            }
        }
    }

    pub(super) fn positions(&self) -> Vec<LogPosition> {
        self.blocks.keys().copied().collect()
    }

    /// What opening the log tells.
    fn recover(&self, recovering: &mut Recovering) {
        for (group, durable) in &self.durable {
            let checkpoint = durable.checkpoint.as_ref().is_some_and(|job| {
                let checkpoint = Checkpoint {
                    directory_id: 1,
                    group: *group,
                    index: job.index,
                    term: job.term,
                    body: &job.bytes,
                };
                recovering.checkpoint(*group, &checkpoint)
            });
            let commit = durable.hard_state.commit;
            let mut terms: Vec<TermRun> = Vec::new();
            let mut unsettled = Vec::new();
            let hole = self.holes.get(group).copied();
            for (entry, at) in &durable.entries {
                if self.untold.contains(at) || hole.is_some_and(|hole| entry.index >= hole) {
                    continue;
                }
                if terms.last().is_none_or(|run| run.term != entry.term) {
                    terms.push(TermRun {
                        first: entry.index,
                        term: entry.term,
                    });
                }
                if entry.index <= commit {
                    let Entry {
                        index,
                        term,
                        kind,
                        payload,
                    } = entry;
                    recovering.committed(
                        *group,
                        RecoveredEntry {
                            index: *index,
                            term: *term,
                            kind: *kind,
                            payload,
                            position: *at,
                        },
                    );
                } else {
                    unsettled.push((entry.clone(), *at));
                }
            }
            let last = durable
                .entries
                .last()
                .map_or(Index(0), |(entry, _)| entry.index);
            let checkpoint = durable
                .checkpoint
                .as_ref()
                .filter(|_| checkpoint)
                .map(|job| (job.index, job.term));
            let last = hole.map_or(last, Index::before);
            let (from, end) = (LogPosition::ZERO, LogPosition::ZERO);
            let damage = hole.map(|hole| GroupDamage {
                hole: Some(hole),
                seen_again: None,
                hard_state_lost: false,
                from,
                end,
            });
            let end = GroupRecovery {
                hard_state: durable.hard_state,
                first: Index(1),
                last,
                terms,
                checkpoint,
                unsettled,
                damage,
            };
            recovering.group(*group, end);
        }
    }

    fn read_records(&self, job: &ReadJob) -> Result<ReadRecords, ReadFailure> {
        assert!(
            job.located
                .first()
                .is_some_and(|located| located.first <= job.from && job.from < located.next),
            "the first block holds `from`"
        );
        let mut records = Vec::new();
        let mut link_before = None;
        let mut next = job.from;
        for located in &job.located {
            assert!(located.at < job.below, "only synced blocks are read");
            let Some(payload) = self.blocks.get(&located.at) else {
                if records.is_empty() {
                    return Err(ReadFailure::Damaged);
                }
                break;
            };
            let left = (job.bytes_max as usize).saturating_sub(records.len());
            if next >= job.until || next < located.first || (left == 0 && !records.is_empty()) {
                break;
            }
            for item in Items::new(payload) {
                let Ok(Item::Records(item)) = item else {
                    continue;
                };
                if item.room != job.room {
                    continue;
                }
                let piece = cut(item.records, item.first, next, job.until, left);
                link_before = link_before.or(piece.link_before).or(Some(item.link_before));
                next = piece.next;
                records.extend_from_slice(&item.records[piece.bytes]);
            }
        }
        assert!(next > job.from, "something is found");
        assert!(link_at(&records).is_some(), "whole records");
        let first: Seq = job.from;
        Ok(ReadRecords {
            first,
            next,
            link_before: link_before.expect("known"),
            records: Bytes::from(records),
        })
    }
}

impl TestLog for ToyLog {
    fn submit(&mut self, append: Append) {
        self.queued.push_back(append);
    }

    fn has_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    fn persist(&mut self, count: usize, group: Option<GroupId>) -> Vec<Persisted> {
        let mut reports: BTreeMap<GroupId, Persisted> = BTreeMap::new();
        let mut left = VecDeque::new();
        let mut taken = 0;
        for append in core::mem::take(&mut self.queued) {
            if taken >= count || group.is_some_and(|group| group != append.group) {
                left.push_back(append);
                continue;
            }
            taken += 1;
            let report = reports.entry(append.group).or_insert(Persisted {
                group: append.group,
                ready: 0,
                positions: Vec::new(),
            });
            assert!(append.ready > report.ready, "readies are queued in order");
            report.ready = append.ready;
            self.write(append, &mut report.positions);
        }
        self.queued = left;
        reports.into_values().collect()
    }

    fn sync_end(&self) -> LogPosition {
        LogPosition::new(SegmentId(1), self.end)
    }

    fn checkpoint(&mut self, job: CheckpointJob) {
        let durable = self.durable.entry(job.group).or_default();
        durable.checkpoint = Some(job);
    }

    fn reopen(&mut self, recovering: &mut Recovering) {
        self.queued.clear();
        self.recover(recovering);
    }

    fn read_entries(&self, job: &EntryJob) -> EntryAnswer {
        panic!("nobody lags here: {job:?}");
    }

    fn read(&self, job: &ReadJob) -> ReadAnswer {
        let result = self.read_records(job);
        job.answer(result)
    }
}
