//! One thing out of order, as `verify` tells it.

use antiphon_log::{Finding as Found, SegmentId};
use serde::Serialize;

use crate::inspect::Place;
use crate::inspect::rooms::RoomFault;

/// One thing out of order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// The log ended in the middle of a write that nobody was told about: no loss.
    Torn {
        /// Where the log ends.
        at: Place,
    },
    /// Bytes that were durable cannot be read.
    Damage {
        /// First byte.
        from: Place,
        /// First byte that can be read again.
        end: Place,
        /// The only group that lost something, if that is known.
        only_group: Option<u32>,
    },
    /// A range holds no block.
    Unreadable {
        /// First byte.
        from: Place,
        /// First byte of the next block, or the file's end.
        end: Place,
        /// What is wrong.
        error: String,
        /// What the block says that it is, if its head is whole.
        head: Option<String>,
    },
    /// The device cannot read a page of a segment.
    UnreadablePage {
        /// The segment.
        segment: u32,
        /// The page, of 4,096 bytes.
        page: u32,
    },
    /// A segment is not as it must be.
    Segment {
        /// The segment.
        segment: u32,
        /// What is wrong.
        fault: String,
    },
    /// An entry, or a room in it, is not as it must be although its checksum is right.
    Entry {
        /// The group.
        group: u32,
        /// The entry.
        index: u64,
        /// The room.
        room: Option<u64>,
        /// What is wrong.
        fault: String,
    },
    /// A valid block contradicts what came before it: its group is damaged from there on.
    Contradiction {
        /// Where the block stands.
        at: Place,
        /// Its group.
        group: u32,
    },
    /// A checkpoint file cannot be used; the older one is.
    Checkpoint {
        /// Its name.
        name: String,
        /// What is wrong.
        fault: String,
    },
}

impl Finding {
    /// What recovery found, unless another pass tells it with more detail.
    pub(super) fn told(found: &Found) -> Option<Finding> {
        let segment = |segment: &SegmentId, fault: &str| {
            Some(Finding::Segment {
                segment: segment.0,
                fault: fault.to_owned(),
            })
        };
        match found {
            Found::Torn { at } => Some(Finding::Torn { at: (*at).into() }),
            Found::Damage { from, end, only } => Some(Finding::Damage {
                from: (*from).into(),
                end: (*end).into(),
                only_group: only.map(|group| group.0),
            }),
            Found::Contradiction { at, group } => Some(Finding::Contradiction {
                at: (*at).into(),
                group: group.0,
            }),
            Found::Missing { segment: id } => {
                segment(id, "it is not there although a later one names it")
            }
            Found::State { segment: id } => segment(id, "its first block cannot be read"),
            Found::Slot { segment: id } => segment(id, "one of its two marks cannot be read"),
            Found::Unlinked { segment: id } => {
                segment(id, "it has blocks, but no later segment names it")
            }
            _ => None,
        }
    }
}

impl From<&RoomFault> for Finding {
    fn from(fault: &RoomFault) -> Self {
        Finding::Entry {
            group: fault.group.0,
            index: fault.index.0,
            room: fault.room.map(|room| room.0),
            fault: fault.fault.clone(),
        }
    }
}
