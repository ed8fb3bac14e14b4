//! What one flush has written, until it is durable.

use alloc::collections::BTreeMap;

use crate::entry::{Flushed, Persisted};
use crate::ids::{GroupId, Index, LogPosition};

/// Counts and collects; becomes a [`Flushed`] once all is synced.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    groups: BTreeMap<GroupId, Persisted>,
    bytes: u64,
    blocks: u32,
}

impl Tally {
    pub(crate) fn block(&mut self, bytes: u32) {
        self.bytes += u64::from(bytes);
        self.blocks += 1;
    }

    pub(crate) fn entry(&mut self, group: GroupId, index: Index, at: LogPosition) {
        self.group(group).positions.push((index, at));
    }

    pub(crate) fn ready(&mut self, group: GroupId, ready: u64) {
        self.group(group).ready = ready;
    }

    pub(crate) fn finish(self, sync_end: LogPosition) -> Flushed {
        let persisted = self.groups.into_values().collect();
        Flushed {
            sync_end,
            persisted,
            bytes: self.bytes,
            blocks: self.blocks,
        }
    }

    fn group(&mut self, group: GroupId) -> &mut Persisted {
        self.groups.entry(group).or_insert_with(|| Persisted {
            group,
            ready: 0,
            positions: alloc::vec::Vec::new(),
        })
    }
}
