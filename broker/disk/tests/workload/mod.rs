//! A small partition over the real log: it appends batches of records to rooms and remembers what was made durable.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::path::Path;

use antiphon_disk::{DataDirectory, FileDisk, NewDirectory};
use antiphon_log::{
    Append, Checkpoint, Entry, EntryKind, GroupId, GroupRecovery, HardState, Index, Item,
    ItemWriter, Items, Log, LogPosition, LogSettings, Recover, RecoveredEntry, Recovery, RoomIndex,
    Term,
};
use antiphon_protocol::{
    Count, Device, Link, Namespace, NodeId, Producer, ProducerSeq, Record, RecordFields,
    RecordKind, RoomId, Seq, Timestamp, records,
};

pub const SEGMENT_BYTES: u32 = 64 * 1024;
pub const GROUP: GroupId = GroupId(1);

/// What recovery handed over, and what was appended since.
pub struct Partition {
    pub directory: DataDirectory,
    pub log: Log<FileDisk>,
    pub recovery: Recovery,
    pub state: State,
    ready: u64,
}

#[derive(Default)]
pub struct State {
    pub index: RoomIndex,
    /// Every record frame of every room, by seq from 1.
    pub rooms: BTreeMap<RoomId, Vec<Vec<u8>>>,
    heads: BTreeMap<RoomId, (Seq, Link)>,
    pub last: Index,
    pub group: Option<GroupRecovery>,
    pub sync_end: LogPosition,
}

impl Recover for State {
    fn checkpoint(&mut self, _group: GroupId, _checkpoint: &Checkpoint<'_>) -> bool {
        true
    }

    fn committed(&mut self, group: GroupId, entry: RecoveredEntry<'_>) {
        assert_eq!(group, GROUP);
        self.apply(entry.index, entry.payload, entry.position);
    }

    fn group(&mut self, _group: GroupId, end: GroupRecovery) {
        for (entry, position) in &end.unsettled {
            self.apply(entry.index, &entry.payload, *position);
        }
        self.group = Some(end);
    }
}

impl State {
    fn apply(&mut self, index: Index, payload: &[u8], at: LogPosition) {
        assert_eq!(index, Index(self.last.0 + 1), "entries come in order");
        self.last = index;
        for item in Items::new(payload) {
            let Item::Records(item) = item.expect("lawful items") else {
                continue;
            };
            let frames = self.rooms.entry(item.room).or_default();
            let (mut seq, mut link) = (item.first, item.link_before);
            assert_eq!(item.first.0, frames.len() as u64 + 1);
            for record in records(item.records) {
                let record = record.expect("whole records");
                assert!(record.verify_link(link));
                frames.push(record.whole().to_vec());
                (seq, link) = (seq.next(), record.link());
            }
            self.index.insert(item.room, item.first, seq, at);
            self.heads.insert(item.room, (seq, link));
        }
    }
}

impl Partition {
    pub fn open(path: &Path) -> Self {
        let new = NewDirectory {
            node: NodeId(1),
            partitions: 1,
        };
        let directory = DataDirectory::open(path, new).expect("the directory opens");
        let mut state = State::default();
        let settings = LogSettings {
            segment_bytes: SEGMENT_BYTES,
            ..LogSettings::new(directory.file().directory_id)
        };
        let (log, recovery) =
            Log::open(directory.disk(), settings, &mut state).expect("the log opens");
        state.sync_end = recovery.sync_end;
        let ready = 1;
        Partition {
            directory,
            log,
            recovery,
            state,
            ready,
        }
    }

    /// Appends one entry with `counts` records of `body_bytes` for each room, durably, and applies it.
    pub fn append(&mut self, counts: &[(RoomId, u64)], body_bytes: usize) {
        let payload = self.payload(counts, body_bytes);
        self.append_payload(payload);
    }

    /// Appends an entry that erases these records, durably, and applies it.
    pub fn erase(&mut self, erased: &[(RoomId, Seq)]) {
        let mut writer = ItemWriter::default();
        writer.erase(erased.iter().copied());
        self.append_payload(writer.finish());
    }

    fn append_payload(&mut self, payload: Vec<u8>) {
        let index = Index(self.state.last.0 + 1);
        let entry = Entry {
            index,
            term: Term(1),
            kind: EntryKind::Normal,
            payload: payload.clone().into(),
        };
        let hard_state = HardState {
            term: Term(1),
            vote: 1,
            commit: Index(index.0 - 1),
        };
        self.ready += 1;
        self.log.submit(Append {
            group: GROUP,
            ready: self.ready,
            urgent: false,
            hard_state: (index == Index(1)).then_some(hard_state),
            commit: hard_state.commit,
            entries: vec![entry],
        });
        let flushed = self.log.flush().expect("the disk is well");
        assert_eq!(flushed.persisted[0].ready, self.ready);
        let (persisted, at) = flushed.persisted[0].positions[0];
        assert_eq!(persisted, index);
        self.state.sync_end = flushed.sync_end;
        self.state.apply(index, &payload, at);
    }

    fn payload(&self, counts: &[(RoomId, u64)], body_bytes: usize) -> Vec<u8> {
        let mut writer = ItemWriter::default();
        for (room, count) in counts {
            let start = (Seq(1), Link::start(*room));
            let (first, before) = self.state.heads.get(room).copied().unwrap_or(start);
            if first == Seq(1) {
                writer.room(*room, Namespace(0), format!("room-{}", room.0).as_bytes());
            }
            writer.begin_records(*room, first, Count(first.0 - 1), before);
            for seq in first.0..first.0 + count {
                let body = vec![seq as u8; body_bytes];
                writer.record(&fields(*room, seq, &body));
            }
            writer.end_records();
        }
        writer.finish()
    }
}

fn fields(room: RoomId, seq: u64, body: &[u8]) -> RecordFields<'_> {
    RecordFields {
        room_id: room,
        seq: Seq(seq),
        count: Count(seq),
        time: Timestamp(1_700_000_000_000 + seq),
        producer: Producer(9),
        producer_seq: ProducerSeq(seq),
        back: u32::from(seq > 1),
        device: Device(1),
        kind: RecordKind::from_wire(0),
        codec: 0,
        record_flags: 0,
        sender: b"ann",
        headers: b"",
        body,
    }
}

/// The seqs of the records in `bytes`.
pub fn seqs(bytes: &[u8]) -> Vec<u64> {
    records(bytes)
        .map(|record: Result<Record<'_>, _>| record.expect("whole records").seq().0)
        .collect()
}
