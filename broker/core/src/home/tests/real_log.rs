//! The same worlds on the real log, over a disk in memory that loses what was not synced.

use alloc::vec::Vec;

use antiphon_log::testing::{FaultDisk, Survival};
use antiphon_log::{
    BlockSeed, EntryReader, GroupId, Log, LogPosition, LogSettings, Persisted, Retention,
    RoomReader, SegmentId, Wants, read_block, segment_name,
};
use bytes::Bytes;

use super::toy_log::TestLog;
use crate::home::Recovering;
use crate::read::{
    CheckpointJob, EntryAnswer, EntryJob, ReadAnswer, ReadFailure, ReadJob, ReadRecords,
};

/// A log of the real kind. It persists everything or nothing.
#[derive(Debug)]
pub(super) struct RealLog {
    disk: FaultDisk,
    settings: LogSettings,
    log: Option<Log<FaultDisk>>,
    queued: Vec<antiphon_log::Append>,
    /// Drives what survives a loss of power.
    losses: u64,
}

impl RealLog {
    pub(super) fn new(segment_bytes: u32, losses: u64) -> RealLog {
        let settings = LogSettings {
            segment_bytes,
            ..LogSettings::new(77)
        };
        RealLog {
            disk: FaultDisk::new(),
            settings,
            log: None,
            queued: Vec::new(),
            losses,
        }
    }

    /// Lets the oldest segments go.
    pub(super) fn set_retention(&mut self, bytes: u64) {
        self.settings.retention = Retention { bytes, age_ms: 0 };
    }

    /// As the log thread does once in a while: what is kept, and whose checkpoints it waits for.
    pub(super) fn retain(&mut self) -> (SegmentId, Vec<GroupId>) {
        let log = self.log.as_mut().expect("the log is open");
        log.retain().expect("the disk works");
        log.prepare_segment().expect("the disk works");
        (log.first_kept(), log.holding())
    }

    /// The power goes some calls from now.
    pub(super) fn crash_in(&self, calls: u64) {
        self.disk.crash_at(self.disk.calls() + calls);
    }

    /// The process is dead: only opening helps.
    pub(super) fn is_dead(&self) -> bool {
        self.log.is_none()
    }

    /// Whether the disk has a file whose name starts so.
    pub(super) fn has_file(&self, start: &str) -> bool {
        self.disk.names().iter().any(|name| name.starts_with(start))
    }

    pub(super) fn segments(&self) -> usize {
        self.disk
            .names()
            .iter()
            .filter(|name| name.ends_with(".seg"))
            .count()
    }
}

impl TestLog for RealLog {
    fn submit(&mut self, append: antiphon_log::Append) {
        self.queued.push(append);
    }

    fn has_queued(&self) -> bool {
        !self.queued.is_empty() && self.log.is_some()
    }

    fn persist(&mut self, _count: usize, _group: Option<GroupId>) -> Vec<Persisted> {
        let Some(log) = &mut self.log else {
            return Vec::new();
        };
        for append in self.queued.drain(..) {
            log.submit(append);
        }
        match log.flush() {
            Ok(flushed) => flushed.persisted,
            Err(_) => {
                self.log = None;
                Vec::new()
            }
        }
    }

    fn sync_end(&self) -> LogPosition {
        self.log.as_ref().map_or(
            LogPosition::new(antiphon_log::SegmentId(u32::MAX), 0),
            Log::sync_end,
        )
    }

    fn checkpoint(&mut self, job: CheckpointJob) {
        let CheckpointJob {
            group,
            index,
            term,
            bytes,
        } = job;
        if self
            .log
            .as_mut()
            .is_some_and(|log| log.write_checkpoint(group, index, term, &bytes).is_err())
        {
            self.log = None;
        }
    }

    fn reopen(&mut self, recovering: &mut Recovering) {
        self.queued.clear();
        self.log = None;
        self.losses += 1;
        self.disk = self.disk.lose_power(Survival::Mixed(self.losses));
        let (log, recovery) =
            Log::open(self.disk.clone(), self.settings, recovering).expect("opens");
        assert!(
            recovery.outcome != antiphon_log::Outcome::Damaged,
            "{recovery:?}"
        );
        self.log = Some(log);
    }

    fn read_entries(&self, job: &EntryJob) -> EntryAnswer {
        let mut reader = EntryReader::new(job.group, job.first, job.bytes_max as usize);
        for at in &job.places {
            let segment = at.segment();
            let bytes = self.disk.content(&segment_name(segment));
            let seed = BlockSeed::new(self.settings.directory_id, segment);
            let block =
                read_block(&bytes, *at, job.below, seed).expect("what is applied is readable");
            if reader.take(&block).expect("places tell the truth") == Wants::Nothing {
                break;
            }
        }
        EntryAnswer {
            group: job.group,
            result: Ok(reader.finish()),
        }
    }

    fn read(&self, job: &ReadJob) -> ReadAnswer {
        let mut records = Vec::new();
        let mut reader = RoomReader::new(
            job.room,
            job.from,
            u32::MAX,
            job.bytes_max as usize,
            &mut records,
        );
        for located in &job.located {
            let segment = located.at.segment();
            let bytes = self.disk.content(&segment_name(segment));
            let seed = BlockSeed::new(self.settings.directory_id, segment);
            let block = read_block(&bytes, located.at, job.below, seed)
                .expect("what is applied is readable");
            if reader.take(&block).expect("records") == Wants::Nothing {
                break;
            }
        }
        let slice = reader.finish().ok_or(ReadFailure::Damaged);
        let result = slice.map(|slice| ReadRecords {
            first: slice.first,
            next: slice.next,
            link_before: slice.link_before,
            records: Bytes::from(records),
        });
        job.answer(result)
    }
}
