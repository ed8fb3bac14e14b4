//! The reader threads: whatever is no longer hot.

use antiphon_core::{EntryAnswer, EntryJob, ReadFailure, ReadJob, ReadRecords};
use antiphon_log::{BlockSeed, Entry, EntryReader, RoomReader, Wants, read_block, segment_name};
use bytes::Bytes;

use super::limits::READ_SLICE_BYTES_MAX;
use super::queue::{Event, Micros};
use super::world::World;

impl World {
    /// Asks for a read, or gives the job back if too many wait.
    pub(crate) fn ask_reader(&mut self, node: usize, job: ReadJob) -> Result<(), Box<ReadJob>> {
        let takes = self.read_time(node);
        let places = self.choices.read_places;
        let Some(process) = self.nodes[node].process.as_mut() else {
            return Ok(());
        };
        if process.reads.len() >= places {
            return Err(Box::new(job));
        }
        process.last_read += 1;
        let number = process.last_read;
        process.reads.insert(number, job);
        self.finish_read(node, number, takes);
        Ok(())
    }

    /// Asks for entries for a replica that lags. There is one such job per partition, and it waits as others do.
    pub(crate) fn ask_entries(&mut self, node: usize, job: EntryJob) {
        let takes = self.read_time(node);
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        process.last_read += 1;
        let number = process.last_read;
        process.entry_reads.insert(number, job);
        self.finish_read(node, number, takes);
    }

    /// How long a read takes now.
    fn read_time(&mut self, node: usize) -> Micros {
        let (factor, until) = self.nodes[node].slow_reads;
        let factor = if self.queue.now() < until { factor } else { 1 };
        10 + self.dice.disk.waiting(self.choices.read_mean) * factor
    }

    fn finish_read(&mut self, node: usize, job: u64, takes: Micros) {
        let life = self.nodes[node].life;
        self.queue.after(takes, Event::ReadDone { node, life, job });
    }

    pub(crate) fn on_read_done(&mut self, node: usize, life: u64, number: u64) {
        let now = self.queue.now();
        let paused_until = self.nodes[node].paused_until;
        if paused_until > now {
            let job = number;
            self.queue
                .at(paused_until, Event::ReadDone { node, life, job });
            return;
        }
        let Some(process) = self.process(node, life) else {
            return;
        };
        if let Some(job) = process.entry_reads.remove(&number) {
            return self.on_entries_read(node, &job);
        }
        let Some(job) = process.reads.remove(&number) else {
            return;
        };
        let result = self.read(node, &job);
        if let Err(failure) = result {
            self.tally.reads_failed += 1;
            let may_fail = self.trouble.has_destroyed();
            if failure == ReadFailure::Damaged && !may_fail {
                self.fail(format!(
                    "node {node}: what is applied cannot be read: {job:?}"
                ));
            }
        }
        self.tally.reads += 1;
        let answer = job.answer(result);
        let core = usize::from(job.reply_to.0);
        if let Some(process) = self.nodes[node].process.as_mut() {
            process.seats[core].answers.push_back(answer);
        }
        self.wake(node, core);
    }

    fn on_entries_read(&mut self, node: usize, job: &EntryJob) {
        let result = self.read_entries(node, job);
        let may_fail = self.trouble.has_destroyed();
        if result == Err(ReadFailure::Damaged) && !may_fail {
            self.fail(format!(
                "node {node}: what is applied cannot be read for another one: {job:?}"
            ));
        }
        self.tally.entry_reads += 1;
        let group = job.group;
        let core = usize::from(job.reply_to.0);
        if let Some(process) = self.nodes[node].process.as_mut() {
            let answer = EntryAnswer { group, result };
            process.seats[core].entries.push_back(answer);
        }
        self.wake(node, core);
    }

    fn read_entries(&self, node: usize, job: &EntryJob) -> Result<Vec<Entry>, ReadFailure> {
        let node = &self.nodes[node];
        let mut reader = EntryReader::new(job.group, job.first, job.bytes_max as usize);
        for at in &job.places {
            let segment = at.segment();
            let seed = BlockSeed::new(node.settings.directory_id, segment);
            let goes_on = node.disk.look(&segment_name(segment), |file| {
                let block = read_block(file, *at, job.below, seed);
                block.is_ok_and(|block| matches!(reader.take(&block), Ok(Wants::More)))
            });
            if !goes_on {
                break;
            }
        }
        let entries = reader.finish();
        match entries.is_empty() {
            true => Err(ReadFailure::Damaged),
            false => Ok(entries),
        }
    }

    fn read(&self, node: usize, job: &ReadJob) -> Result<ReadRecords, ReadFailure> {
        let node = &self.nodes[node];
        let mut records = Vec::new();
        let records_max = u32::try_from(job.until.0 - job.from.0).unwrap_or(u32::MAX);
        let bytes_max = (job.bytes_max as usize).min(READ_SLICE_BYTES_MAX);
        let mut reader = RoomReader::new(job.room, job.from, records_max, bytes_max, &mut records);
        let mut failure = ReadFailure::Damaged;
        for located in job
            .located
            .chunk_by(|one, next| one.at.segment() == next.at.segment())
        {
            let segment = located[0].at.segment();
            let seed = BlockSeed::new(node.settings.directory_id, segment);
            let goes_on = node.disk.look(&segment_name(segment), |file| {
                if file.is_empty() {
                    failure = ReadFailure::Gone;
                    return false;
                }
                located.iter().all(|located| {
                    let block = read_block(file, located.at, job.below, seed);
                    block.is_ok_and(|block| matches!(reader.take(&block), Ok(Wants::More)))
                })
            });
            if !goes_on {
                break;
            }
        }
        let slice = reader.finish().ok_or(failure)?;
        if slice.first != job.from {
            return Err(ReadFailure::Damaged);
        }
        Ok(ReadRecords {
            first: slice.first,
            next: slice.next,
            link_before: slice.link_before,
            records: Bytes::from(records),
        })
    }
}
