//! One fault of any kind in a log of several lives: what was acknowledged is there, or its loss is told, now and by every
//! later life; nothing that holds anything is removed.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{append, entry, settings, vote};
use crate::disk_trait::Disk;
use crate::entry::Entry;
use crate::ids::{GroupId, Index};
use crate::log::Log;
use crate::recover::{Outcome, Recovery};
use crate::settings::LogSettings;
use crate::testing::{Collector, FaultDisk, Random, Survival};

const GROUPS: u32 = 3;

type Acked = BTreeMap<GroupId, Vec<Entry>>;

fn attack_settings(seed: u64) -> LogSettings {
    LogSettings {
        partitions: GROUPS,
        ..settings(if seed.is_multiple_of(2) { 8 } else { 16 } * 1_024)
    }
}

fn open(disk: &FaultDisk, settings: LogSettings) -> (Log<FaultDisk>, Recovery, Collector) {
    let mut found = Collector::default();
    let (log, recovery) =
        Log::open(disk.clone(), settings, &mut found).expect("damage is no error");
    (log, recovery, found)
}

/// Appends to every whole group and flushes; every flush is acknowledged.
fn live(log: &mut Log<FaultDisk>, found: &Collector, acked: &mut Acked, random: &mut Random) {
    let mut ready = 1;
    for group in 1..=GROUPS {
        if acked.get(&GroupId(group)).is_none_or(Vec::is_empty) {
            log.submit(vote(group, ready, 1, 1, 0));
        }
    }
    // A log with something queued is not idle and is not marked.
    log.flush().expect("the disk works");
    for _ in 0..random.below(12) {
        ready += 1;
        for group in 1..=GROUPS {
            let end = found
                .groups
                .get(&GroupId(group))
                .and_then(|group| group.end.as_ref());
            let is_whole = end
                .and_then(|end| end.damage)
                .is_none_or(|damage| damage.hole.is_none());
            if random.one_in(3) || !is_whole {
                continue;
            }
            let entries = acked.entry(GroupId(group)).or_default();
            let payload = vec![random.next_u64() as u8; 1 + random.below(900) as usize];
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
        if random.one_in(4) {
            log.prepare_segment().expect("the disk works");
        }
    }
}

/// Some lives, each ended in order, by a kill or by a power loss behind an idle mark.
fn lives(settings: LogSettings, random: &mut Random) -> (FaultDisk, Acked) {
    let (mut disk, mut acked) = (FaultDisk::new(), Acked::new());
    let last = random.below(4);
    for life in 0..=last {
        let (mut log, recovery, found) = open(&disk, settings);
        assert_ne!(recovery.outcome, Outcome::Damaged);
        live(&mut log, &found, &mut acked, random);
        if random.one_in(3) {
            log.close().expect("the disk works");
        } else {
            log.idle_mark().expect("the disk works");
            if life < last && random.one_in(3) {
                // A write that nobody is told about.
                let next = acked
                    .get(&GroupId(1))
                    .map_or(0, |entries| entries.len() as u64)
                    + 1;
                log.submit(append(1, 99, 0, vec![entry(next, 1, &[0xEE; 700])]));
                disk.crash_at(disk.calls() + 1 + random.below(3));
                let _ = log.flush();
                disk = disk.lose_power(Survival::Mixed(random.next_u64()));
                let (.., found) = open(&disk.fork(), settings);
                // If it is there in full, it stays.
                if let Some(group) = found.groups.get(&GroupId(1)) {
                    acked.insert(GroupId(1), group.entries());
                }
                continue;
            }
        }
        disk = disk.lose_power(Survival::Kept);
    }
    (disk, acked)
}

fn segments(disk: &FaultDisk) -> Vec<String> {
    let names = disk.names().into_iter();
    names.filter(|name| name.ends_with(".seg")).collect()
}

/// Harms one thing; what was done.
fn harm(disk: &FaultDisk, random: &mut Random) -> String {
    let names = segments(disk);
    let draw = |random: &mut Random| names[random.below(names.len() as u64) as usize].clone();
    let (one, other) = (draw(random), draw(random));
    let len = disk.content(&one).len() as u64;
    let (from, count) = (random.below(len), 1 + random.below(len));
    let range = from as usize..(from + count).min(len) as usize;
    let told = alloc::format!("{one} {range:?} {other}");
    match random.below(7) {
        0 | 1 => {
            for page in from / 4_096..=(range.end as u64 - 1) / 4_096 {
                disk.set_bad_page(&one, page);
            }
            alloc::format!("bad pages of {told}")
        }
        2 => {
            disk.rot(&one, |bytes| bytes[range.clone()].fill(0));
            alloc::format!("zeroed {told}")
        }
        3 => {
            disk.rot(&one, |bytes| bytes[range.clone()].fill(0x5A));
            alloc::format!("overwrote {told}")
        }
        4 => {
            disk.rot(&one, |bytes| bytes.truncate(from as usize));
            alloc::format!("cut {told}")
        }
        5 => {
            let (first, second) = (disk.content(&one), disk.content(&other));
            disk.rot(&one, |bytes| *bytes = second);
            disk.rot(&other, |bytes| *bytes = first);
            alloc::format!("swapped {told}")
        }
        _ => {
            let to = alloc::format!("log/{:016x}.seg", 50 + random.below(9));
            disk.rename(&one, &to).expect("the disk works");
            disk.sync_directory("log").expect("the disk works");
            alloc::format!("renamed {told} {to}")
        }
    }
}

/// How many entries each group has; panics on wrong bytes, or if a loss is not told.
fn check(acked: &Acked, found: &Collector, context: &str) -> BTreeMap<GroupId, Option<Index>> {
    let mut holes = BTreeMap::new();
    for (group, acked) in acked {
        let read = found.groups.get(group);
        let entries = read.map(|group| group.entries()).unwrap_or_default();
        let common = entries.len().min(acked.len());
        assert!(
            entries[..common] == acked[..common] && entries.len() <= acked.len(),
            "{context}: wrong bytes in group {group}"
        );
        let hole = read.and_then(|group| group.end.as_ref()?.damage?.hole);
        assert!(
            entries.len() == acked.len() || hole == Some(Index(entries.len() as u64 + 1)),
            "{context}: group {group} has {} of {}, hole {hole:?}",
            entries.len(),
            acked.len()
        );
        holes.insert(*group, hole);
    }
    holes
}

fn attack(seed: u64) {
    let mut random = Random::new(seed);
    let settings = attack_settings(seed);
    let (disk, mut acked) = lives(settings, &mut random);
    let names = segments(&disk);
    let whole = disk.fork();
    let done = harm(&disk, &mut random);
    let mut context = alloc::format!("seed {seed}, {done} of {names:?}");
    let looks_new = |disk: &FaultDisk, name: &String| {
        let bytes = disk.content(name);
        !bytes.is_empty() && bytes[512.min(bytes.len())..].iter().all(|byte| *byte == 0)
    };
    // What the document names as not to be seen: nothing but zeros behind a header.
    let is_unseen =
        done.starts_with("zeroed") && segments(&disk).iter().any(|name| looks_new(&disk, name));
    let mut before = BTreeMap::new();
    let written: Vec<_> = segments(&disk)
        .into_iter()
        .filter(|name| !looks_new(&disk, name))
        // Rot in a blank one can look like a STATE that was being written; there was nothing to lose.
        .filter(|name| !done.starts_with("overwrote") || !looks_new(&whole, name))
        .collect();
    for life in 0..3 {
        context.push_str(&alloc::format!(", life {life}"));
        let (mut log, recovery, found) = open(&disk, settings);
        if is_unseen {
            return;
        }
        context.push_str(&alloc::format!(
            " {:?} {:?}",
            recovery.outcome,
            recovery.findings
        ));
        let holes = check(&acked, &found, &context);
        for (group, hole) in &before {
            let now: Option<Index> = holes[group];
            let is_kept = now.is_some() || Option::<Index>::is_none(hole);
            assert!(is_kept, "{context}: the hole of group {group} is forgotten");
        }
        for name in &written {
            assert!(disk.names().contains(name), "{context}: {name} was removed");
        }
        before = holes;
        live_on(&mut log, &found, &mut acked, &mut random);
        if random.one_in(2) {
            log.close().expect("the disk works");
        } else {
            log.idle_mark().expect("the disk works");
        }
        if random.one_in(2) {
            disk.heal();
        }
    }
}

/// As [`live`], for a log in which some groups may have a hole.
fn live_on(log: &mut Log<FaultDisk>, found: &Collector, acked: &mut Acked, random: &mut Random) {
    let whole = |group: &GroupId| {
        let end = found.groups.get(group).and_then(|group| group.end.as_ref());
        end.is_some_and(|end| end.damage.is_none())
    };
    for round in 0..random.below(5) {
        for (group, entries) in acked.iter_mut().filter(|(group, _)| whole(group)) {
            let new = entry(entries.len() as u64 + 1, 1, &[round as u8; 300]);
            let commit = entries.len() as u64;
            log.submit(append(group.0, 100 + round, commit, vec![new.clone()]));
            entries.push(new);
        }
        log.flush().expect("the disk works");
    }
}

#[test]
fn one_fault_of_any_kind_is_told_by_every_later_life_and_removes_nothing() {
    for seed in 0..SEEDS {
        attack(seed);
    }
}

/// Found with many more.
const SEEDS: u64 = 300;
