//! The last word: what the disk holds of every room when all is over.

use std::collections::BTreeMap;

use antiphon_log::{
    Checkpoint, Entry, GroupId, GroupRecovery, Item, Items, Log, LogPosition, Recover,
    RecoveredEntry,
};
use antiphon_protocol::{Record, records};

use crate::history::{BodyHash, Link, Origin, Producer, ProducerSeq, Record as Seen, Seq, User};

use super::node::Node;

/// Records by room.
pub(crate) type Rooms = BTreeMap<String, Vec<Seen>>;

/// Collects the records of all entries, in the order of each group.
#[derive(Debug, Default)]
struct Reader {
    names: BTreeMap<u64, String>,
    records: BTreeMap<u64, Vec<Seen>>,
}

impl Reader {
    fn take(&mut self, payload: &[u8]) {
        for item in Items::new(payload).flatten() {
            match item {
                Item::Room(room) => {
                    let name = String::from_utf8_lossy(room.name).into_owned();
                    self.names.insert(room.room.0, name);
                }
                Item::Records(item) => {
                    let seen = self.records.entry(item.room.0).or_default();
                    seen.extend(records(item.records).flatten().map(|record| see(&record)));
                }
                _ => {}
            }
        }
    }
}

fn see(record: &Record<'_>) -> Seen {
    let user = std::str::from_utf8(record.sender().as_bytes())
        .ok()
        .and_then(|name| name.strip_prefix("user-")?.parse().ok())
        .unwrap_or(u32::MAX);
    Seen {
        seq: Seq(record.seq().0),
        link: Link(record.link().0),
        origin: Origin {
            user: User(user),
            producer: Producer(record.producer().0),
            producer_seq: ProducerSeq(record.producer_seq().0),
        },
        body: BodyHash::of(record.body()),
    }
}

impl Recover for Reader {
    fn checkpoint(&mut self, _group: GroupId, _checkpoint: &Checkpoint<'_>) -> bool {
        // Entries below a checkpoint come all the same.
        true
    }

    fn committed(&mut self, _group: GroupId, entry: RecoveredEntry<'_>) {
        self.take(entry.payload);
    }

    fn group(&mut self, _group: GroupId, end: GroupRecovery) {
        let unsettled: Vec<(Entry, LogPosition)> = end.unsettled;
        for (entry, _) in unsettled {
            self.take(&entry.payload);
        }
    }
}

/// Reads a copy of the disk, as another process would find it.
pub(crate) fn rooms(node: &Node) -> Result<Rooms, String> {
    let mut reader = Reader::default();
    let disk = node.disk.kill();
    Log::open(disk, node.settings, &mut reader).map_err(|error| error.to_string())?;
    let Reader { names, mut records } = reader;
    Ok(names
        .into_iter()
        .map(|(room, name)| (name, records.remove(&room).unwrap_or_default()))
        .collect())
}
