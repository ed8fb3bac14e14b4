//! A log is written, as brokers do it: entries in order, commits behind syncs, terms that rise and cut what was not committed.

use std::collections::{BTreeMap, BTreeSet};

use antiphon_log::testing::{Collector, FaultDisk};
use antiphon_log::{Append, Entry, EntryKind, GroupId, HardState, Index, Log, LogSettings, Term};
use bytes::Bytes;

use crate::script::Script;

const GROUPS: usize = 3;
const PAYLOAD_BYTES: [usize; 8] = [0, 1, 7, 30, 200, 900, 2_500, 3_500];

#[derive(Debug, Default)]
struct Group {
    term: u64,
    ready: u64,
    commit: u64,
    /// As the group has them now.
    entries: Vec<Entry>,
    /// How many of them were synced.
    synced: usize,
    /// Every entry ever written: index, term, payload.
    written: BTreeSet<(u64, u64, Bytes)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) disk: FaultDisk,
    log: Log<FaultDisk>,
    groups: BTreeMap<GroupId, Group>,
    payloads: u32,
}

impl Writer {
    pub(super) fn new(settings: LogSettings) -> Writer {
        let disk = FaultDisk::new();
        let (log, _) = Log::open(disk.clone(), settings, &mut Collector::default())
            .expect("a disk without faults opens");
        Writer {
            disk,
            log,
            groups: BTreeMap::new(),
            payloads: 0,
        }
    }

    /// `what u8`: the group, and what it does.
    pub(super) fn step(&mut self, script: &mut Script<'_>) {
        let what = script.byte();
        let group = GroupId(1 + u32::from(what >> 4) % GROUPS as u32);
        match what & 15 {
            0..=6 => self.append(group, script.byte()),
            7 => self.new_term(group, script.byte()),
            8 => self.checkpoint(group),
            9 => self.log.idle_mark().expect("a disk without faults"),
            10 => drop(self.log.prepare_segment().expect("a disk without faults")),
            _ => self.flush(),
        }
    }

    fn append(&mut self, id: GroupId, how: u8) {
        let payload_bytes = PAYLOAD_BYTES[usize::from(how & 7)];
        let group = self.groups.entry(id).or_default();
        group.term = group.term.max(1);
        let mut entries = Vec::new();
        for _ in 0..1 + (how >> 3 & 1) {
            self.payloads += 1;
            let mut payload = self.payloads.to_le_bytes().to_vec();
            payload.resize(4 + payload_bytes, self.payloads as u8);
            let entry = Entry {
                index: Index(group.entries.len() as u64 + 1),
                term: Term(group.term),
                kind: EntryKind::Normal,
                payload: Bytes::from(payload),
            };
            group.write(&entry);
            entries.push(entry);
        }
        if how & 16 != 0 {
            group.commit = group.commit.max(group.synced as u64);
        }
        group.ready += 1;
        let append = Append {
            group: id,
            ready: group.ready,
            urgent: how & 32 != 0,
            hard_state: None,
            commit: Index(group.commit),
            entries,
        };
        self.log.submit(append);
    }

    /// A new leader: at times what was not committed is cut, and written anew.
    fn new_term(&mut self, id: GroupId, how: u8) {
        let group = self.groups.entry(id).or_default();
        group.term += 1 + u64::from(how & 1);
        let mut entries = Vec::new();
        let uncommitted = group.entries.len() as u64 - group.commit;
        if uncommitted > 0 && how & 2 != 0 {
            let kept = group.commit + u64::from(how >> 2) % uncommitted;
            group.entries.truncate(kept as usize);
            group.synced = group.synced.min(kept as usize);
            let entry = Entry {
                index: Index(kept + 1),
                term: Term(group.term),
                kind: EntryKind::Normal,
                payload: Bytes::from_static(b"anew"),
            };
            group.write(&entry);
            entries.push(entry);
        }
        group.ready += 1;
        let append = Append {
            group: id,
            ready: group.ready,
            urgent: true,
            hard_state: Some(HardState {
                term: Term(group.term),
                vote: u64::from(how & 3),
                commit: Index(group.commit),
            }),
            commit: Index(group.commit),
            entries,
        };
        self.log.submit(append);
    }

    fn checkpoint(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(&id) else {
            return;
        };
        let Some(last) = group.commit.checked_sub(1) else {
            return;
        };
        let entry = &group.entries[last as usize];
        self.log
            .write_checkpoint(id, entry.index, entry.term, b"state")
            .expect("a disk without faults");
    }

    fn flush(&mut self) {
        let flushed = self.log.flush().expect("a disk without faults");
        for persisted in &flushed.persisted {
            let group = self.groups.get_mut(&persisted.group);
            let group = group.expect("only groups that wrote are told of");
            // All that was submitted: a flush takes as much as there is.
            if persisted.ready == group.ready {
                group.synced = group.entries.len();
            }
        }
    }

    /// Whether this was ever given to the log, or is what `live_on` writes.
    pub(super) fn was_written(&self, id: GroupId, entry: &Entry) -> bool {
        let key = (entry.index.0, entry.term.0, entry.payload.clone());
        self.groups
            .get(&id)
            .is_some_and(|group| group.written.contains(&key))
    }

    /// What was synced is there, in place.
    pub(super) fn check_synced(&self, found: &Collector) {
        for (id, group) in &self.groups {
            let there = found.groups.get(id).map(|found| found.entries());
            let there = there.unwrap_or_default();
            for entry in &group.entries[..group.synced] {
                let at = there.iter().position(|found| found.index == entry.index);
                let found = at.map(|at| &there[at]);
                assert_eq!(found, Some(entry), "group {id} lost what was synced");
            }
        }
    }
}

impl Group {
    fn write(&mut self, entry: &Entry) {
        self.written
            .insert((entry.index.0, entry.term.0, entry.payload.clone()));
        self.entries.push(entry.clone());
    }
}
