//! The log as a whole, on a disk that fails on demand.

mod again;
mod ahead;
mod attack;
mod basic;
mod crash;
mod damage;
mod failures;
mod flips;
mod generations;
mod hostile;
mod reserved;
mod retention;
mod sample;
mod script;
mod scrub;
mod space;
mod tails;
mod unreadable;

use alloc::vec::Vec;

use bytes::Bytes;

use crate::entry::{Append, Entry, EntryKind, HardState};
use crate::ids::{GroupId, Index, Term};
use crate::log::Log;
use crate::recover::Recovery;
use crate::settings::LogSettings;
use crate::testing::{Collector, FaultDisk};

const DIRECTORY: u128 = 0x1234_5678_9abc_def0;

fn settings(segment_bytes: u32) -> LogSettings {
    LogSettings {
        segment_bytes,
        ..LogSettings::new(DIRECTORY)
    }
}

fn open(disk: &FaultDisk, settings: LogSettings) -> (Log<FaultDisk>, Recovery, Collector) {
    let mut collector = Collector::default();
    let (log, recovery) =
        Log::open(disk.clone(), settings, &mut collector).expect("the disk works");
    (log, recovery, collector)
}

fn entry(index: u64, term: u64, payload: &[u8]) -> Entry {
    Entry {
        index: Index(index),
        term: Term(term),
        kind: EntryKind::Normal,
        payload: Bytes::copy_from_slice(payload),
    }
}

fn append(group: u32, ready: u64, commit: u64, entries: Vec<Entry>) -> Append {
    Append {
        group: GroupId(group),
        ready,
        urgent: false,
        hard_state: None,
        commit: Index(commit),
        entries,
    }
}

fn vote(group: u32, ready: u64, term: u64, vote: u64, commit: u64) -> Append {
    let hard_state = Some(HardState {
        term: Term(term),
        vote,
        commit: Index(commit),
    });
    Append {
        group: GroupId(group),
        ready,
        urgent: true,
        hard_state,
        commit: Index(commit),
        entries: Vec::new(),
    }
}
