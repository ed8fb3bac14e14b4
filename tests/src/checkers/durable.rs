//! I14: at the time of an ack, a majority of the replicas has the record on disk, and everything before it in their
//! logs.
//!
//! This catches "acked from memory" in a run without any crash. What is on disk is told by the disk (`Synced`), where
//! things are in the log by what was written (`Written`). An ack is `AckSent`, and PUBACK at a client, which is later.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkers::view::{Set, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::{Actor, Node, Position, Room, Seq, What};

/// Where records are in one node's log.
#[derive(Clone, Copy, Debug)]
struct Block {
    next: Seq,
    end: Position,
    event: EventNo,
}

/// One node's log, as its disk knows it.
#[derive(Debug, Default)]
struct Disk {
    /// By room and first seq; no two overlap.
    blocks: BTreeMap<(Room, Seq), Block>,
    /// Ends of blocks that are not safe.
    unsynced: BTreeSet<Position>,
}

impl Disk {
    /// Later bytes for a seq replace the earlier ones, and all behind it in the room.
    fn written(&mut self, event: EventNo, room: Room, seqs: (Seq, Seq), end: Position) {
        let (first, next) = seqs;
        let behind = (room, first)..=(room, Seq(u64::MAX));
        let old: Vec<_> = self.blocks.range(behind).map(|(at, _)| *at).collect();
        for at in old {
            self.blocks.remove(&at);
        }
        if let Some((_, before)) = self
            .blocks
            .range_mut((room, Seq(0))..(room, first))
            .next_back()
        {
            before.next = before.next.min(first);
        }
        self.blocks
            .insert((room, first), Block { next, end, event });
        self.unsynced.insert(end);
    }

    fn synced(&mut self, from: Position, end: Position) {
        if from >= end {
            return;
        }
        let above = (
            std::ops::Bound::Excluded(from),
            std::ops::Bound::Included(end),
        );
        let safe: Vec<_> = self.unsynced.range(above).copied().collect();
        for end in safe {
            self.unsynced.remove(&end);
        }
    }

    /// A start keeps what lies below `log_end`.
    fn started(&mut self, log_end: Position) {
        self.blocks.retain(|_, block| block.end <= log_end);
        self.unsynced.retain(|end| *end <= log_end);
    }

    fn block(&self, room: Room, seq: Seq) -> Option<&Block> {
        let below = self.blocks.range((room, Seq(0))..=(room, seq)).next_back();
        below
            .map(|(_, block)| block)
            .filter(|block| seq < block.next)
    }

    fn is_safe(&self, block: &Block) -> bool {
        self.unsynced.first().is_none_or(|first| *first > block.end)
    }
}

/// Runs once through the events, with one model of each node's disk.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::I14);
    let mut disks: BTreeMap<Node, Disk> = BTreeMap::new();
    let mut told = Set::default();
    let mut acked = |event, room, seq: Seq, disks: &BTreeMap<Node, Disk>| {
        // Without any log event, the writer had no eye on the disks.
        if seq == Seq(0) || disks.is_empty() {
            return;
        }
        check.compare();
        let needed = view.history.head.replicas / 2 + 1;
        let blocks = || {
            disks
                .values()
                .filter_map(|disk| Some((disk, disk.block(room, seq)?)))
        };
        let safe_on = blocks().filter(|(disk, block)| disk.is_safe(block)).count();
        let safe_on = u32::try_from(safe_on).unwrap_or(u32::MAX);
        if safe_on < needed && told.insert((room, seq)) {
            let written = blocks().map(|(_, block)| block.event);
            let events: Vec<_> = written.chain([event]).collect();
            let anomaly = Anomaly::AckBeforeSync {
                room,
                seq,
                safe_on,
                needed,
            };
            check.violated(anomaly, &events);
        }
    };
    for (event, happened) in view.events() {
        if let What::AckSent { room, seq } = happened.what {
            acked(event, room, seq, &disks);
        } else if let Actor::Node(node) = happened.by {
            follow(&mut disks, node, event, &happened.what);
        }
        if let What::Published { op, seq, .. } = happened.what
            && let Some((_, What::Publish { room, .. })) = view.asked(op)
        {
            acked(event, *room, seq, &disks);
        }
    }
    check
}

/// What a node's event means for its disk. A node without any `Written` or `Synced` has none.
fn follow(disks: &mut BTreeMap<Node, Disk>, node: Node, event: EventNo, what: &What) {
    match *what {
        What::Written {
            room,
            first,
            next,
            end,
        } => {
            let disk = disks.entry(node).or_default();
            disk.written(event, room, (first, next), end);
        }
        What::Synced { from, end } => disks.entry(node).or_default().synced(from, end),
        What::Started { log_end } => {
            if let Some(disk) = disks.get_mut(&node) {
                disk.started(log_end);
            }
        }
        _ => {}
    }
}
