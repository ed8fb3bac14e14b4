//! The last word: what a disk holds of every room.

use std::collections::BTreeMap;

use antiphon_log::{
    Checkpoint, Disk, Entry, GroupId, GroupRecovery, Item, Items, Log, LogPosition, LogSettings,
    Recover, RecoveredEntry,
};
use antiphon_protocol::{Record, records};

use crate::history::{BodyHash, Link, Origin, Producer, ProducerSeq, Record as Seen, Seq, User};

/// Records by room.
pub(crate) type Rooms = BTreeMap<String, Vec<Seen>>;

/// Users of histories are numbers; their names on the wire begin with this.
pub(crate) const USER_PREFIX: &str = "user-";

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
    Seen {
        seq: Seq(record.seq().0),
        link: Link(record.link().0),
        origin: Origin {
            user: user_of(record.sender().as_bytes()),
            producer: Producer(record.producer().0),
            producer_seq: ProducerSeq(record.producer_seq().0),
        },
        body: BodyHash::of(record.body()),
    }
}

/// The number in a user's name; one that no writer uses if it is none of ours.
pub(crate) fn user_of(sender: &[u8]) -> User {
    let number = std::str::from_utf8(sender)
        .ok()
        .and_then(|name| name.strip_prefix(USER_PREFIX)?.parse().ok());
    User(number.unwrap_or(u32::MAX))
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

/// Opens the log on a disk, which should be a copy, and reads all rooms.
pub(crate) fn rooms<D: Disk>(disk: D, settings: LogSettings) -> Result<Rooms, String> {
    let mut reader = Reader::default();
    Log::open(disk, settings, &mut reader).map_err(|error| error.to_string())?;
    let Reader { names, mut records } = reader;
    Ok(names
        .into_iter()
        .map(|(room, name)| (name, records.remove(&room).unwrap_or_default()))
        .collect())
}
