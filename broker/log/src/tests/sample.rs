//! A log to be damaged, and what may not happen then.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::{append, entry, open, settings, vote};
use crate::entry::Entry;
use crate::ids::{GroupId, Index, LogPosition, SegmentId};
use crate::limits::SEGMENT_HEADER_BYTES;
use crate::recover::GroupDamage;
use crate::segment::segment_name;
use crate::testing::{Collector, FaultDisk, Random};

pub(super) const SEGMENT_BYTES: u32 = 64 * 1024;

/// A log of one segment with some dozens of blocks, and what is in it.
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    pub(super) groups: BTreeMap<GroupId, Vec<Entry>>,
    /// The end of all flushes but the last one: the newest mark tells it.
    pub(super) marked: LogPosition,
    pub(super) end: LogPosition,
}

pub(super) fn sample_disk() -> (FaultDisk, Sample) {
    let disk = FaultDisk::new();
    let (mut log, ..) = open(&disk, settings(SEGMENT_BYTES));
    let mut random = Random::new(5);
    let mut groups: BTreeMap<GroupId, Vec<Entry>> = BTreeMap::new();
    let mut marked = LogPosition::ZERO;
    let mut ready = 0;
    while log.sync_end().offset() < SEGMENT_HEADER_BYTES + 14 * 1_024 {
        marked = log.sync_end();
        for group in 1..=3 {
            ready += 1;
            if random.one_in(20) {
                log.submit(vote(group, ready, 1, 1, 0));
                ready += 1;
            }
            let entries = groups.entry(GroupId(group)).or_default();
            let payload = vec![random.next_u64() as u8; 100 + random.below(500) as usize];
            let new = entry(entries.len() as u64 + 1, 1, &payload);
            log.submit(append(
                group,
                ready,
                entries.len() as u64,
                vec![new.clone()],
            ));
            entries.push(new);
        }
        log.flush().expect("the disk works");
    }
    let end = log.sync_end();
    let bytes = disk.content(&segment_name(SegmentId(1)));
    (
        disk,
        Sample {
            bytes,
            groups,
            marked,
            end,
        },
    )
}

/// What is missing of the sample; panics on wrong bytes.
pub(super) fn missing(sample: &Sample, found: &Collector) -> Vec<GroupId> {
    let mut missing = Vec::new();
    for (group, entries) in &sample.groups {
        let read = found
            .groups
            .get(group)
            .map(|group| group.entries())
            .unwrap_or_default();
        assert_eq!(read, entries[..read.len()], "wrong bytes in group {group}");
        if read.len() < entries.len() {
            missing.push(*group);
        }
    }
    missing
}

pub(super) fn damage(found: &Collector, group: GroupId) -> Option<GroupDamage> {
    found.groups.get(&group)?.end.as_ref()?.damage
}

/// Whoever lost something says so, with the first index that is gone.
pub(super) fn assert_told(sample: &Sample, found: &Collector, context: &str) {
    for group in missing(sample, found) {
        let read = found
            .groups
            .get(&group)
            .map_or(0, |group| group.entries().len() as u64);
        let hole = damage(found, group).and_then(|damage| damage.hole);
        // A group of which not even a name is left cannot say it; the range does.
        let is_known = found.groups.contains_key(&group);
        assert!(
            !is_known || hole == Some(Index(read + 1)),
            "{context}: group {group} lost {} silently",
            read + 1
        );
    }
}
