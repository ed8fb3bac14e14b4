//! Rooms as the recovered log tells them, each record checked against its predecessor.

use std::collections::BTreeMap;

use antiphon_log::{
    Checkpoint, EntryKind, GroupId, GroupRecovery, Index, Item, Items, RecordsItem, Recover,
    RecoveredEntry,
};
use antiphon_protocol::{Link, RoomId};

use crate::inspect::records::check_records;

/// What the log tells of one room.
#[derive(Clone, Debug)]
pub(super) struct RoomSeen {
    pub(super) group: GroupId,
    /// Unknown if the entry that created it is gone.
    pub(super) name: Option<String>,
    /// Seq after the last record seen.
    pub(super) next: u64,
    link: Link,
    count: u64,
}

/// A room or an entry that is not as it must be.
#[derive(Clone, Debug)]
pub(super) struct RoomFault {
    pub(super) group: GroupId,
    pub(super) index: Index,
    pub(super) room: Option<RoomId>,
    pub(super) fault: String,
}

/// Takes what recovery finds and checks it.
#[derive(Debug, Default)]
pub(super) struct RoomCheck {
    pub(super) rooms: BTreeMap<RoomId, RoomSeen>,
    pub(super) groups: BTreeMap<GroupId, GroupRecovery>,
    pub(super) faults: Vec<RoomFault>,
    pub(super) entries: u64,
    pub(super) records: u64,
}

impl Recover for RoomCheck {
    fn checkpoint(&mut self, _group: GroupId, _checkpoint: &Checkpoint<'_>) -> bool {
        true
    }

    fn committed(&mut self, group: GroupId, entry: RecoveredEntry<'_>) {
        self.entry(group, entry.index, entry.kind, entry.payload);
    }

    fn group(&mut self, group: GroupId, end: GroupRecovery) {
        for (entry, _) in &end.unsettled {
            self.entry(group, entry.index, entry.kind, &entry.payload);
        }
        self.groups.insert(group, end);
    }
}

impl RoomCheck {
    fn entry(&mut self, group: GroupId, index: Index, kind: EntryKind, payload: &[u8]) {
        self.entries += 1;
        if kind != EntryKind::Normal {
            return;
        }
        for item in Items::new(payload) {
            match item {
                Ok(Item::Room(item)) => self.name(group, item.room, item.name),
                Ok(Item::Records(item)) => self.records(group, index, &item),
                Ok(Item::Expire(_) | Item::Cursors(_) | Item::Erase(_)) => {}
                Err(error) => self.fault(group, index, None, error.to_string()),
            }
        }
    }

    fn name(&mut self, group: GroupId, room: RoomId, name: &[u8]) {
        let name = Some(String::from_utf8_lossy(name).into_owned());
        let seen = RoomSeen {
            group,
            name,
            next: 1,
            link: Link::start(room),
            count: 0,
        };
        self.rooms.insert(room, seen);
    }

    fn records(&mut self, group: GroupId, index: Index, item: &RecordsItem<'_>) {
        let room = item.room;
        let (next, link) = (item.first.0, item.link_before);
        let unknown = RoomSeen {
            group,
            name: None,
            next,
            link,
            count: item.count_before.0,
        };
        let seen = self.rooms.entry(room).or_insert(unknown);
        let continues = seen.next == item.first.0
            && seen.link == item.link_before
            && seen.count == item.count_before.0;
        let expected = seen.next;
        let end = check_records(item);
        if let Ok(end) = end {
            self.records += end.next - item.first.0;
            (seen.next, seen.link, seen.count) = (end.next, end.link, end.count);
        }
        if !continues {
            let fault = format!(
                "records from {} on do not continue the room at {expected}",
                item.first
            );
            self.fault(group, index, Some(room), fault);
        }
        if let Err(fault) = end {
            self.fault(group, index, Some(room), fault);
        }
    }

    fn fault(&mut self, group: GroupId, index: Index, room: Option<RoomId>, fault: String) {
        self.faults.push(RoomFault {
            group,
            index,
            room,
            fault,
        });
    }
}

/// Records of one room that stand behind a hole of its group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Behind {
    pub(super) group: GroupId,
    pub(super) first: u64,
    pub(super) next: u64,
}

/// Collects what stands behind holes, to tell what lies in them.
#[derive(Debug, Default)]
pub(super) struct BehindHoles {
    pub(super) rooms: BTreeMap<RoomId, Behind>,
    names: BTreeMap<RoomId, String>,
}

impl BehindHoles {
    /// Takes an entry behind a hole.
    pub(super) fn entry(&mut self, group: GroupId, payload: &[u8]) {
        for item in Items::new(payload).flatten() {
            match item {
                Item::Room(item) => {
                    self.names
                        .insert(item.room, String::from_utf8_lossy(item.name).into_owned());
                }
                Item::Records(item) => {
                    let Ok(end) = check_records(&item) else {
                        continue;
                    };
                    let first = item.first.0;
                    let behind = self.rooms.entry(item.room).or_insert(Behind {
                        group,
                        first,
                        next: end.next,
                    });
                    behind.next = behind.next.max(end.next);
                }
                Item::Expire(_) | Item::Cursors(_) | Item::Erase(_) => {}
            }
        }
    }

    /// The room's name, if its creation stands behind the hole.
    pub(super) fn name(&self, room: RoomId) -> Option<&str> {
        self.names.get(&room).map(String::as_str)
    }
}
