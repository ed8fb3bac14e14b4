//! What a damaged range means to rooms.

use std::fmt;

use antiphon_protocol::RoomId;
use serde::Serialize;

use crate::inspect::rooms::{Behind, BehindHoles, RoomCheck, RoomSeen};
use crate::inspect::verify::report::hole;

/// A room whose group has a hole.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RoomLoss {
    /// The room.
    pub room: u64,
    /// Its name, if the log still tells.
    pub name: Option<String>,
    /// Its group.
    pub group: u32,
    /// Records 1 up to before this one are served; records from here on are not.
    pub served_end: u64,
    /// Records that are lost, first and last, if records behind the hole tell.
    pub lost: Option<(u64, u64)>,
    /// Records that are whole behind the hole, first and last; they are not served.
    pub behind: Option<(u64, u64)>,
}

impl fmt::Display for RoomLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "room {} ({:?}): ", self.room, name)?,
            None => write!(f, "room {}: ", self.room)?,
        }
        match self.served_end {
            0 | 1 => write!(f, "nothing is served")?,
            end => write!(f, "served up to seq {}", end - 1)?,
        }
        if let Some((first, last)) = self.lost {
            write!(f, "; seqs {first} to {last} are lost")?;
        }
        match self.behind {
            Some((first, last)) => write!(
                f,
                "; seqs {first} to {last} are whole but stand behind the damage"
            ),
            None => write!(f, "; may have lost everything after"),
        }
    }
}

/// Tells every room of every group that has a hole.
pub(super) fn explain(check: &RoomCheck, behind: &BehindHoles, mut tell: impl FnMut(RoomLoss)) {
    let is_damaged = |group| check.groups.get(&group).and_then(hole).is_some();
    for (room, seen) in check
        .rooms
        .iter()
        .filter(|(_, seen)| is_damaged(seen.group))
    {
        tell(loss(*room, Some(seen), behind.rooms.get(room), behind));
    }
    for (room, found) in behind
        .rooms
        .iter()
        .filter(|(room, _)| !check.rooms.contains_key(room))
    {
        tell(loss(*room, None, Some(found), behind));
    }
}

fn loss(
    room: RoomId,
    seen: Option<&RoomSeen>,
    found: Option<&Behind>,
    behind: &BehindHoles,
) -> RoomLoss {
    let served_end = seen.map_or(1, |seen| seen.next);
    let known_name = seen.and_then(|seen| seen.name.as_deref());
    RoomLoss {
        room: room.0,
        name: known_name.or_else(|| behind.name(room)).map(str::to_owned),
        group: seen
            .map(|seen| seen.group)
            .or(found.map(|found| found.group))
            .unwrap_or_default()
            .0,
        served_end,
        lost: found
            .filter(|found| found.first > served_end)
            .map(|found| (served_end, found.first - 1)),
        behind: found.map(|found| (found.first, found.next - 1)),
    }
}
