//! A seeded workload of several groups, and the naive model that says what a log may hold after a crash.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk_trait::{DiskError, DiskErrorKind, DiskOp};
use crate::entry::{Append, Entry, EntryKind, HardState};
use crate::error::LogError;
use crate::ids::{GroupId, Index, Term};
use crate::log::Log;
use crate::testing::{CollectedGroup, Collector, FaultDisk, Random};

/// What is done to the log, one after the other.
#[derive(Clone, Debug)]
enum Step {
    Submit(Append),
    Flush,
    Checkpoint(GroupId, Index, Term),
    IdleMark,
    Prepare,
}

/// What one block changes in a group.
#[derive(Clone, Debug)]
enum Change {
    HardState { term: Term, vote: u64 },
    Entry { entry: Entry, commit: Index },
}

/// A group as the script has driven it so far.
#[derive(Clone, Debug, Default)]
struct Group {
    term: u64,
    vote: u64,
    entries: Vec<Entry>,
    commit: u64,
    /// What was there at the last flush.
    flushed_last: u64,
    ready: u64,
    /// What was there before the script.
    base: Replayed,
    /// All changes ever submitted.
    changes: Vec<Change>,
    /// Number of changes up to each ready.
    changes_at: BTreeMap<u64, usize>,
}

/// Steps, and what they mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    steps: Vec<Step>,
    groups: BTreeMap<GroupId, Group>,
    payloads: u64,
}

/// How many changes of each group were reported durable.
pub(super) type Released = BTreeMap<GroupId, usize>;

/// The state of a group after some of its changes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Replayed {
    hard_state: (Term, u64),
    entries: Vec<Entry>,
    commit: Index,
}

impl Script {
    pub(super) fn generate(seed: u64, steps: usize) -> Script {
        Script::default().grow(seed, steps)
    }

    /// A script for a log that has been opened again and had this in it.
    pub(super) fn after(found: &Collector, seed: u64, steps: usize) -> Script {
        let groups = found
            .groups
            .iter()
            .map(|(id, found)| (*id, Group::after(found)))
            .collect();
        let payloads = 1_000 * (1 + found.groups.len() as u64);
        Script {
            steps: Vec::new(),
            groups,
            payloads,
        }
        .grow(seed, steps)
    }

    fn grow(self, seed: u64, steps: usize) -> Script {
        let mut random = Random::new(seed);
        let mut script = self;
        while script.steps.len() < steps {
            script.step(&mut random);
        }
        script.steps.push(Step::Flush);
        script
    }

    fn step(&mut self, random: &mut Random) {
        let group = GroupId(1 + random.below(3) as u32);
        match random.below(24) {
            0..12 => self.append(group, random),
            12..14 => self.new_term(group, random),
            14..20 => self.flush(),
            20 => self.steps.push(Step::IdleMark),
            21 => self.steps.push(Step::Prepare),
            _ => self.checkpoint(group),
        }
    }

    fn append(&mut self, id: GroupId, random: &mut Random) {
        let group = self.groups.entry(id).or_default();
        group.term = group.term.max(1);
        let count = 1 + random.below(3);
        let entries: Vec<Entry> = (0..count)
            .map(|_| {
                self.payloads += 1;
                let index = Index(group.entries.len() as u64 + 1);
                let entry = Entry {
                    index,
                    term: Term(group.term),
                    kind: kind(random),
                    payload: payload(self.payloads, random),
                };
                group.entries.push(entry.clone());
                entry
            })
            .collect();
        // A leader learns of a commit after its sync; a follower may hear of it with the entries.
        let commit_max = if random.one_in(4) {
            group.entries.len() as u64
        } else {
            group.flushed_last
        };
        group.move_commit(commit_max, random);
        self.submit(id, None, false, entries);
    }

    fn new_term(&mut self, id: GroupId, random: &mut Random) {
        let group = self.groups.entry(id).or_default();
        group.term += 1 + random.below(2);
        group.vote = random.below(4);
        let uncommitted = group.entries.len() as u64 - group.commit;
        let mut entries = Vec::new();
        if uncommitted > 0 && random.one_in(2) {
            let from = group.commit + random.below(uncommitted);
            group.entries.truncate(from as usize);
            group.flushed_last = group.flushed_last.min(from);
            let count = 1 + random.below(3);
            for index in from + 1..=from + count {
                self.payloads += 1;
                let (index, term) = (Index(index), Term(group.term));
                let entry = Entry {
                    index,
                    term,
                    kind: EntryKind::Normal,
                    payload: payload(self.payloads, random),
                };
                group.entries.push(entry.clone());
                entries.push(entry);
            }
            if random.one_in(2) {
                group.commit = from + 1 + random.below(count);
            }
        }
        // As the library says it: with the commit of this very ready, which may be an entry in it.
        let hard_state = HardState {
            term: Term(group.term),
            vote: group.vote,
            commit: Index(group.commit),
        };
        self.submit(id, Some(hard_state), true, entries);
    }

    fn submit(
        &mut self,
        id: GroupId,
        hard_state: Option<HardState>,
        urgent: bool,
        entries: Vec<Entry>,
    ) {
        let group = self.groups.entry(id).or_default();
        group.ready += 1;
        if let Some(HardState { term, vote, .. }) = hard_state {
            group.changes.push(Change::HardState { term, vote });
        }
        let commit = Index(group.commit);
        group
            .changes
            .extend(entries.iter().map(|entry| Change::Entry {
                entry: entry.clone(),
                commit,
            }));
        group.changes_at.insert(group.ready, group.changes.len());
        let ready = group.ready;
        self.steps.push(Step::Submit(Append {
            group: id,
            ready,
            urgent,
            hard_state,
            commit,
            entries,
        }));
    }

    fn flush(&mut self) {
        for group in self.groups.values_mut() {
            group.flushed_last = group.entries.len() as u64;
        }
        self.steps.push(Step::Flush);
    }

    /// Of something applied: durable and committed.
    fn checkpoint(&mut self, id: GroupId) {
        let group = self.groups.entry(id).or_default();
        let index = group.commit.min(group.flushed_last);
        if index > 0 && group.flushed_last == group.entries.len() as u64 {
            let term = group.entries[index as usize - 1].term;
            self.steps.push(Step::Checkpoint(id, Index(index), term));
        }
    }

    /// Does the steps until one fails; tells what was reported durable, and the log if none failed.
    pub(super) fn run(
        &self,
        mut log: Log<FaultDisk>,
    ) -> (Released, Result<Log<FaultDisk>, LogError>) {
        let mut released = Released::new();
        for step in &self.steps {
            if let Err(error) = self.do_step(step, &mut log, &mut released) {
                let again = [
                    log.flush().err(),
                    log.idle_mark().err(),
                    log.prepare_segment().err(),
                ];
                assert_eq!(
                    again,
                    [Some(LogError::Failed); 3],
                    "a log that failed stays closed"
                );
                return (released, Err(error));
            }
        }
        (released, Ok(log))
    }

    fn do_step(
        &self,
        step: &Step,
        log: &mut Log<FaultDisk>,
        released: &mut Released,
    ) -> Result<(), LogError> {
        match step {
            Step::Submit(append) => log.submit(append.clone()),
            Step::Flush => self.flush_and_release(log, released)?,
            Step::Checkpoint(group, index, term) => {
                let body = checkpoint_body(*group, *index);
                match log.write_checkpoint(*group, *index, *term, body.as_bytes()) {
                    Err(LogError::Disk(DiskError {
                        kind: DiskErrorKind::Full,
                        op: DiskOp::Create | DiskOp::Write,
                    })) => {}
                    done => done?,
                }
            }
            Step::IdleMark => log.idle_mark()?,
            Step::Prepare => {
                // Not final: the log goes on if the disk does.
                if log.prepare_segment().is_err() {
                    self.flush_and_release(log, released)?;
                }
            }
        }
        Ok(())
    }

    fn flush_and_release(
        &self,
        log: &mut Log<FaultDisk>,
        released: &mut Released,
    ) -> Result<(), LogError> {
        for persisted in log.flush()?.persisted {
            let changes = self.groups[&persisted.group].changes_at[&persisted.ready];
            released.insert(persisted.group, changes);
        }
        Ok(())
    }

    /// Checks that every group is what it was after some number of its changes, at least those that were released, and
    /// that what was handed over as committed was.
    pub(super) fn check(&self, found: &Collector, released: &Released) -> Result<(), String> {
        for (id, group) in &self.groups {
            let nothing = CollectedGroup::default();
            let found = found.groups.get(id).unwrap_or(&nothing);
            let released = released.get(id).copied().unwrap_or(0);
            group
                .check(found, released)
                .map_err(|error| format!("group {id}: {error}"))?;
        }
        Ok(())
    }
}

impl Group {
    fn after(found: &CollectedGroup) -> Group {
        let entries = found.entries();
        let hard_state = found
            .end
            .as_ref()
            .map(|end| end.hard_state)
            .unwrap_or_default();
        let last_term = entries.last().map_or(0, |entry| entry.term.0);
        let base = Replayed {
            hard_state: (hard_state.term, hard_state.vote),
            entries: entries.clone(),
            commit: hard_state.commit,
        };
        Group {
            term: hard_state.term.0.max(last_term),
            vote: hard_state.vote,
            commit: hard_state.commit.0,
            flushed_last: entries.len() as u64,
            entries,
            base,
            ..Group::default()
        }
    }

    fn move_commit(&mut self, commit_max: u64, random: &mut Random) {
        if commit_max > self.commit {
            self.commit += random.below(commit_max - self.commit + 1);
        }
    }

    fn check(&self, found: &CollectedGroup, released: usize) -> Result<(), String> {
        let end = found.end.clone().unwrap_or_default();
        if end.damage.is_some() {
            return Err(format!("damage: {:?}", end.damage));
        }
        let hard_state = (end.hard_state.term, end.hard_state.vote);
        let entries = found.entries();
        let matching = (released..=self.changes.len())
            .map(|count| self.replay(count))
            .find(|replayed| replayed.hard_state == hard_state && replayed.entries == entries);
        let Some(replayed) = matching else {
            let last = entries.last().map(|entry| (entry.index, entry.term));
            return Err(format!(
                "no prefix from {released} of {} on matches {hard_state:?}, {last:?}",
                self.changes.len()
            ));
        };
        let commit = end.hard_state.commit;
        let is_counted = commit == Index(found.committed.len() as u64);
        let is_in_bounds =
            commit >= replayed.commit && commit <= Index(self.commit.min(entries.len() as u64));
        if !is_counted || !is_in_bounds || end.last != Index(entries.len() as u64) {
            let handed = found.committed.len();
            return Err(format!(
                "commit {commit}, handed over {handed}, at least {}",
                replayed.commit
            ));
        }
        match &found.checkpoint {
            Some((index, term, body)) => {
                self.check_checkpoint(&entries, commit, *index, *term, body)
            }
            None => Ok(()),
        }
    }

    fn check_checkpoint(
        &self,
        entries: &[Entry],
        commit: Index,
        index: Index,
        term: Term,
        body: &[u8],
    ) -> Result<(), String> {
        let is_whole = entries
            .get(index.0 as usize - 1)
            .is_some_and(|entry| entry.term == term);
        let is_its_own =
            (1..=4).any(|group| body == checkpoint_body(GroupId(group), index).as_bytes());
        if is_whole && is_its_own && index <= commit {
            Ok(())
        } else {
            Err(format!("checkpoint at {index}, commit {commit}"))
        }
    }

    fn replay(&self, count: usize) -> Replayed {
        let mut replayed = self.base.clone();
        for change in &self.changes[..count] {
            match change {
                Change::HardState { term, vote } => replayed.hard_state = (*term, *vote),
                Change::Entry { entry, commit } => {
                    replayed.entries.truncate(entry.index.0 as usize - 1);
                    replayed.entries.push(entry.clone());
                    replayed.commit = replayed.commit.max((*commit).min(entry.index));
                }
            }
        }
        replayed
    }
}

fn checkpoint_body(group: GroupId, index: Index) -> String {
    format!(
        "state of {group} at {index}, and some more of it so that it spans a sector{}",
        ".".repeat(500)
    )
}

fn kind(random: &mut Random) -> EntryKind {
    match random.below(10) {
        0 => EntryKind::ConfChange,
        1 => EntryKind::ConfChangeV2,
        _ => EntryKind::Normal,
    }
}

/// Unlike any other payload of the script.
fn payload(number: u64, random: &mut Random) -> Bytes {
    let len = [8, 9, 40, 200, 900][random.below(5) as usize];
    let mut payload = vec![number as u8; len];
    payload[..8].copy_from_slice(&number.to_le_bytes());
    Bytes::from(payload)
}
