//! Segments: a log is written, its process or its machine dies, its files rot, and it is opened.
//!
//! Input: `mark slots u8 | steps u8`, that many steps of writing, `end u8 | draw u8`, then rot until the input is over. Promised of any files:
//! - opening answers, and never panics; the same files are told the same way twice;
//! - what was synced and has not rotted is handed over;
//! - nothing is handed over that was not written, unless the rot forged sums;
//! - a log that opens goes on: what it took is there after the next power loss, damage is not forgotten, and no hole heals.

mod rotting;
mod writing;

use std::collections::BTreeMap;

use antiphon_log::testing::{Collector, FaultDisk, Survival};
use antiphon_log::{
    Append, Entry, EntryKind, GroupId, Index, Log, LogError, LogSettings, Outcome, Recovery,
};
use bytes::Bytes;

use crate::script::Script;
use rotting::rot;
use writing::Writer;

/// The smallest that there are.
const SEGMENT_BYTES: u32 = 8 * 1024;
const DIRECTORY: u128 = 0x5E6_F022;
/// Places that rot.
const ROTS_MAX: usize = 16;

fn settings(mark_slots: bool) -> LogSettings {
    LogSettings {
        segment_bytes: SEGMENT_BYTES,
        mark_slots,
        ..LogSettings::new(DIRECTORY)
    }
}

pub(super) fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let settings = settings(script.byte() & 1 == 1);
    let mut writer = Writer::new(settings);
    for _ in 0..script.below(64) {
        writer.step(&mut script);
    }
    let disk = match script.byte() & 3 {
        0 => writer.disk.kill(),
        1 => writer.disk.lose_power(Survival::Lost),
        2 => writer.disk.lose_power(Survival::Kept),
        _ => {
            let seed = u64::from(script.byte());
            writer.disk.lose_power(Survival::Mixed(seed))
        }
    };
    let mut has_rotted = false;
    let mut is_forged = false;
    for _ in 0..ROTS_MAX {
        if script.is_over() {
            break;
        }
        has_rotted = true;
        is_forged |= rot(&mut script, &disk);
    }
    let Some((recovery, found)) = opened_twice(&disk, settings) else {
        assert!(has_rotted, "a log without rot opens");
        return;
    };
    if !is_forged {
        for (group, found) in &found.groups {
            for (entry, _) in &found.committed {
                assert!(
                    writer.was_written(*group, entry),
                    "group {group} was given what nobody wrote: {entry:?}"
                );
            }
        }
    }
    if !has_rotted {
        assert_ne!(
            recovery.outcome,
            Outcome::Damaged,
            "{:?}",
            recovery.findings
        );
        writer.check_synced(&found);
    }
    live_on(&disk, settings, &recovery, &found);
}

/// Opens copies: a log that is opened writes.
fn opened_twice(disk: &FaultDisk, settings: LogSettings) -> Option<(Recovery, Collector)> {
    let (one, two) = (open(&disk.fork(), settings), open(&disk.fork(), settings));
    match (one, two) {
        (Ok((_, recovery, found)), Ok((_, again, found_again))) => {
            assert_eq!(recovery, again, "the same files are told the same way");
            assert_eq!(told(&found), told(&found_again));
            Some((recovery, found))
        }
        (Err(one), Err(two)) => {
            assert_eq!(one.to_string(), two.to_string());
            assert!(!matches!(one, LogError::Failed), "nothing failed before");
            None
        }
        _ => panic!("the same files opened once, and once not"),
    }
}

type Opened = (Log<FaultDisk>, Recovery, Collector);

fn open(disk: &FaultDisk, settings: LogSettings) -> Result<Opened, LogError> {
    let mut found = Collector::default();
    let (log, recovery) = Log::open(disk.clone(), settings, &mut found)?;
    Ok((log, recovery, found))
}

fn told(found: &Collector) -> String {
    format!("{:?}", found.groups)
}

/// Goes on with every group that may, closes, loses power, opens again.
fn live_on(disk: &FaultDisk, settings: LogSettings, recovery: &Recovery, found: &Collector) {
    let (mut log, ..) = open(&disk.clone(), settings).expect("it opened before");
    let mut taken: BTreeMap<GroupId, Entry> = BTreeMap::new();
    for (group, found) in &found.groups {
        let end = found.end.as_ref().expect("each group is told once");
        assert!(end.hard_state.commit <= end.last, "commit is clamped");
        let is_whole = end.damage.is_none_or(|damage| damage.hole.is_none());
        if !is_whole || end.last.0 == u64::MAX {
            continue;
        }
        let entry = Entry {
            index: end.last.next(),
            term: end.hard_state.term,
            kind: EntryKind::Normal,
            payload: Bytes::from_static(b"on"),
        };
        log.submit(Append {
            group: *group,
            ready: 1,
            urgent: false,
            hard_state: None,
            commit: Index(0),
            entries: vec![entry.clone()],
        });
        taken.insert(*group, entry);
    }
    log.close().expect("a disk without faults takes it");
    let (_, again, found_again) =
        open(&disk.lose_power(Survival::Lost), settings).expect("what was closed opens");
    assert!(
        recovery.outcome != Outcome::Damaged || again.outcome == Outcome::Damaged,
        "damage was forgotten"
    );
    for (group, found) in &found.groups {
        let hole = |collector: &Collector| collector.groups.get(group)?.end.as_ref()?.damage?.hole;
        let had_hole = found
            .end
            .as_ref()
            .is_some_and(|end| end.damage.is_some_and(|damage| damage.hole.is_some()));
        assert!(
            !had_hole || hole(&found_again).is_some(),
            "group {group} healed by being opened"
        );
        if let Some(entry) = taken.get(group) {
            let kept = found_again.groups.get(group).map(|found| found.entries());
            assert_eq!(
                kept.as_ref().and_then(|kept| kept.last()),
                Some(entry),
                "group {group} lost what it took"
            );
        }
    }
}
