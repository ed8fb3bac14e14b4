//! I1: an acked publish is never lost, on any node.
//!
//! What was acked, minus what the final read of each node has. A record that a declared gap of retention, redaction or
//! expiry covers is not lost; any other gap loses it. The classes are those of the queue checker in jepsen-io/nats.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkers::view::{Ack, FinalRead, View};
use crate::checkers::{Anomaly, Check, Invariant, Place};
use crate::history::{GapRange, Node, Origin, Room, Seq, gap_reasons};

/// Compares every room's acks with every node's final read.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::I1);
    if view.final_reads.is_empty() {
        return check;
    }
    let mut acks: BTreeMap<Room, BTreeMap<Origin, Ack>> = BTreeMap::new();
    for ack in &view.acks {
        let room = acks.entry(ack.message.0).or_default();
        let known = room.entry(ack.message.1).or_insert(*ack);
        if known.seq == Seq(0) {
            *known = *ack;
        }
    }
    // The last final read of a room on a node is the one that counts.
    let mut reads: BTreeMap<(Node, Room), FinalRead<'_>> = BTreeMap::new();
    for read in &view.final_reads {
        reads.insert((read.node, read.room), *read);
    }
    for (room, acks) in &acks {
        for node in &view.history.head.nodes {
            match reads.get(&(*node, *room)) {
                Some(read) => compare(read, acks, &mut check),
                None => {
                    let first = acks.values().map(|ack| ack.event).min();
                    let events: Vec<_> = first.into_iter().collect();
                    let (node, room) = (*node, *room);
                    check.violated(Anomaly::NotRead { node, room }, &events);
                }
            }
        }
    }
    check
}

fn compare(read: &FinalRead<'_>, acks: &BTreeMap<Origin, Ack>, check: &mut Check) {
    let kept: BTreeSet<(Origin, Seq)> = read
        .records
        .iter()
        .map(|record| (record.origin, record.seq))
        .collect();
    let seqs = || read.records.iter().map(|record| record.seq);
    let ends = seqs().min().zip(seqs().max());
    let mut lost: BTreeMap<Place, Vec<&Ack>> = BTreeMap::new();
    for (origin, ack) in acks {
        check.compare();
        let mut copies = kept.range((*origin, Seq(0))..=(*origin, Seq(u64::MAX)));
        let is_kept = copies.any(|(_, seq)| ack.seq == Seq(0) || *seq == ack.seq);
        if !is_kept && !read.gaps.iter().any(|gap| is_lawful(gap, ack.seq)) {
            lost.entry(place(ack.seq, ends)).or_default().push(ack);
        }
    }
    for (place, mut lost) in lost {
        lost.sort_by_key(|ack| ack.seq);
        let Some(first) = lost.first() else { continue };
        let anomaly = Anomaly::Lost {
            node: read.node,
            room: read.room,
            place,
            first: first.seq,
            count: lost.len() as u64,
        };
        check.violated(anomaly, &[first.event, read.event]);
    }
}

fn is_lawful(gap: &GapRange, seq: Seq) -> bool {
    let may = matches!(
        gap.reason,
        gap_reasons::RETENTION | gap_reasons::ERASED | gap_reasons::EXPIRED
    );
    may && (gap.from..=gap.to).contains(&seq)
}

fn place(seq: Seq, ends: Option<(Seq, Seq)>) -> Place {
    match ends {
        None => Place::Whole,
        Some(_) if seq == Seq(0) => Place::Untold,
        Some((first, _)) if seq < first => Place::Prefix,
        Some((_, last)) if seq > last => Place::Postfix,
        Some(_) => Place::Middle,
    }
}
