//! The log thread, the segment thread and the reader threads: what takes time below a core.
//!
//! A call on the disk happens at its start or at its end, as the dice say: so a process that dies in between leaves all of it, or nothing. What dies
//! within the call itself is the fault `crash-in-flush`.

use antiphon_core::{ReadAnswer, ReadFailure, ReadJob, ReadRecords};
use antiphon_log::{
    BlockSeed, DiskErrorKind, Flushed, LogError, RoomReader, Wants, read_block, segment_name,
};
use bytes::Bytes;

use super::limits::{LOG_IDLE, READ_SLICE_BYTES_MAX, SEGMENT_RETRY};
use super::node::{LogCall, LogJob, LogResult, Logger};
use super::queue::{Event, Micros};
use super::world::World;

impl World {
    // ---- the cores' side ----------------------------------------------------------------------------------------------------------------------

    /// A core has a job for the log thread; what has no place waits at the core, in order.
    pub(crate) fn log_job(&mut self, node: usize, core: usize, job: LogJob) {
        if let Some(process) = self.nodes[node].process.as_mut() {
            process.seats[core].log_waiting.push_back(job);
        }
        self.offer_log_jobs(node, core);
    }

    pub(crate) fn offer_log_jobs(&mut self, node: usize, core: usize) {
        let places = self.choices.log_places;
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let mut is_offered = false;
        while process.logger.jobs.len() < places
            && let Some(job) = process.seats[core].log_waiting.pop_front()
        {
            process.logger.jobs.push_back(job);
            is_offered = true;
        }
        if is_offered {
            self.kick_log(node, 0);
        }
    }

    /// The log thread looks for work soon, unless it works.
    fn kick_log(&mut self, node: usize, wait: Micros) {
        let wait = wait + 1 + self.dice.threads.below(self.choices.wake_max);
        let life = self.nodes[node].life;
        let paused_until = self.nodes[node].paused_until;
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        if !process.logger.is_busy {
            process.logger.is_busy = true;
            let at = (self.queue.now() + wait).max(paused_until);
            self.queue.at(at, Event::LogStart { node, life });
        }
    }

    // ---- the log thread -----------------------------------------------------------------------------------------------------------------------

    pub(crate) fn on_log_start(&mut self, node: usize, life: u64) {
        let Some(process) = self.process(node, life) else {
            return;
        };
        let logger = &mut process.logger;
        if logger.call.is_some() {
            return;
        }
        while let Some(job) = logger.jobs.pop_front() {
            match job {
                LogJob::Append(append) => logger.log.submit(append),
                LogJob::Checkpoint(job) => logger.checkpoints.push_back(job),
            }
        }
        let call = if logger.log.has_queued() {
            LogCall::Flush
        } else if let Some(job) = logger.checkpoints.pop_front() {
            LogCall::Checkpoint(job)
        } else if !logger.is_marked {
            LogCall::Mark
        } else {
            logger.is_busy = false;
            return;
        };
        let takes = self.flush_time(node);
        let is_early = self.dice.disk.one_in(2);
        let result = is_early.then(|| self.run_log(node, &call)).flatten();
        if let Some(process) = self.process(node, life) {
            process.logger.call = Some((call, result));
        }
        self.queue.after(takes, Event::LogDone { node, life });
    }

    pub(crate) fn on_log_done(&mut self, node: usize, life: u64) {
        let now = self.queue.now();
        let paused_until = self.nodes[node].paused_until;
        if paused_until > now {
            self.queue.at(paused_until, Event::LogDone { node, life });
            return;
        }
        let Some(process) = self.process(node, life) else {
            return;
        };
        let Some((call, result)) = process.logger.call.take() else {
            return;
        };
        let result = result.or_else(|| self.run_log(node, &call));
        match result {
            Some(Ok(LogResult::Flushed(flushed))) => {
                self.tally.flushes += 1;
                self.publish(node, flushed);
            }
            Some(Ok(LogResult::Nothing)) => {}
            Some(Err(error)) => {
                self.log_failed(node, error);
                return;
            }
            None => return,
        }
        self.order_segment(node);
        self.after_log_call(node, &call);
    }

    fn after_log_call(&mut self, node: usize, call: &LogCall) {
        for core in 0..usize::from(self.choices.cores) {
            self.offer_log_jobs(node, core);
        }
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let logger = &mut process.logger;
        logger.is_busy = false;
        logger.is_marked = matches!(call, LogCall::Mark);
        let has_work = !logger.jobs.is_empty() || !logger.checkpoints.is_empty();
        let wait = if has_work { 0 } else { LOG_IDLE };
        if has_work || !logger.is_marked {
            // Idle: the job that comes first kicks it earlier.
            self.plan_log(node, wait);
        }
    }

    /// After a flush without further work the thread waits for a job, or marks the log idle.
    fn plan_log(&mut self, node: usize, wait: Micros) {
        if wait == 0 {
            self.kick_log(node, 0);
            return;
        }
        let life = self.nodes[node].life;
        self.queue.after(wait, Event::LogStart { node, life });
    }

    /// Makes the call now.
    fn run_log(&mut self, node: usize, call: &LogCall) -> Option<Result<LogResult, LogError>> {
        let result = self.call_log(node, call);
        self.note_disk(node);
        result
    }

    fn call_log(&mut self, node: usize, call: &LogCall) -> Option<Result<LogResult, LogError>> {
        let process = self.nodes[node].process.as_mut()?;
        let log = &mut process.logger.log;
        Some(match call {
            LogCall::Flush => log.flush().map(LogResult::Flushed),
            LogCall::Mark => log.idle_mark().map(|()| LogResult::Nothing),
            LogCall::Checkpoint(job) => {
                self.tally.checkpoints += 1;
                match log.write_checkpoint(job.group, job.index, job.term, &job.bytes) {
                    Err(LogError::Disk(error)) if error.kind == DiskErrorKind::Full => {
                        self.tally.checkpoints_not_written += 1;
                        Ok(LogResult::Nothing)
                    }
                    written => written.map(|()| LogResult::Nothing),
                }
            }
        })
    }

    fn flush_time(&mut self, node: usize) -> Micros {
        let (factor, until) = self.nodes[node].slow_disk;
        let factor = if self.queue.now() < until { factor } else { 1 };
        20 + self.dice.disk.waiting(self.choices.flush_mean) * factor
    }

    /// Tells each core what of its groups is durable.
    fn publish(&mut self, node: usize, flushed: Flushed) {
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let mut by_core: Vec<Vec<_>> = process.seats.iter().map(|_| Vec::new()).collect();
        for persisted in flushed.persisted {
            let home = process.map.home_of_group(persisted.group);
            let home = home.expect("only groups at home on a core append");
            by_core[usize::from(home.0)].push(persisted);
        }
        let mut wakes = Vec::new();
        for (core, persisted) in by_core.into_iter().enumerate() {
            if !persisted.is_empty() {
                process.seats[core]
                    .persisted
                    .push_back((persisted, flushed.sync_end));
                wakes.push(core);
            }
        }
        for core in wakes {
            self.wake(node, core);
        }
    }

    /// A failed write or sync is final: the process ends.
    fn log_failed(&mut self, node: usize, error: LogError) {
        let now = self.queue.now();
        self.trace
            .line(now, || format!("node {node}: log failed: {error}"));
        self.tally.log_error(&error);
        if !self.nodes[node].explains(&error, now) {
            self.fail(format!("node {node}: the log failed by itself: {error}"));
        }
        self.log_death(node);
    }

    // ---- the segment thread -------------------------------------------------------------------------------------------------------------------

    pub(crate) fn order_segment(&mut self, node: usize) {
        let now = self.queue.now();
        let takes = self.flush_time(node) * 4;
        let life = self.nodes[node].life;
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let Logger {
            log,
            maker,
            no_segment_before,
            ..
        } = &mut process.logger;
        if now >= *no_segment_before
            && let Some(order) = log.segment_maker()
        {
            *maker = Some(order);
            self.queue.after(takes, Event::SegmentMade { node, life });
        }
    }

    pub(crate) fn on_segment_made(&mut self, node: usize, life: u64) {
        let now = self.queue.now();
        let Some(process) = self.process(node, life) else {
            return;
        };
        // The log thread adopts it between two calls of its own.
        if process.logger.call.is_some() {
            self.queue.after(100, Event::SegmentMade { node, life });
            return;
        }
        let Some(maker) = process.logger.maker.take() else {
            return;
        };
        let made = maker.make();
        let failed = made.as_ref().err().copied();
        if failed.is_some() {
            process.logger.no_segment_before = now + SEGMENT_RETRY;
        }
        process.logger.log.adopt(made);
        self.note_disk(node);
        self.tally.segments += 1;
        if failed.is_some() {
            self.tally.segments_not_made += 1;
            if self.nodes[node].is_power_gone() {
                self.log_death(node);
            }
        }
    }

    // ---- the reader threads -------------------------------------------------------------------------------------------------------------------

    /// Asks for a read, or gives the job back if too many wait.
    pub(crate) fn ask_reader(&mut self, node: usize, job: ReadJob) -> Result<(), ReadJob> {
        let (factor, until) = self.nodes[node].slow_reads;
        let factor = if self.queue.now() < until { factor } else { 1 };
        let takes = 10 + self.dice.disk.waiting(self.choices.read_mean) * factor;
        let life = self.nodes[node].life;
        let places = self.choices.read_places;
        let Some(process) = self.nodes[node].process.as_mut() else {
            return Ok(());
        };
        if process.reads.len() >= places {
            return Err(job);
        }
        process.last_read += 1;
        let number = process.last_read;
        process.reads.insert(number, job);
        self.queue.after(
            takes,
            Event::ReadDone {
                node,
                life,
                job: number,
            },
        );
        Ok(())
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
        let answer = ReadAnswer {
            purpose: job.purpose,
            room: job.room,
            from: job.from,
            result,
        };
        let core = usize::from(job.reply_to.0);
        if let Some(process) = self.nodes[node].process.as_mut() {
            process.seats[core].answers.push_back(answer);
        }
        self.wake(node, core);
    }

    fn read(&self, node: usize, job: &ReadJob) -> Result<ReadRecords, ReadFailure> {
        let node = &self.nodes[node];
        let mut records = Vec::new();
        let records_max = u32::try_from(job.until.0 - job.from.0).unwrap_or(u32::MAX);
        let bytes_max = (job.bytes_max as usize).min(READ_SLICE_BYTES_MAX);
        let mut reader = RoomReader::new(job.room, job.from, records_max, bytes_max, &mut records);
        let mut file = (None, Vec::new());
        let mut failure = ReadFailure::Damaged;
        for located in &job.located {
            let segment = located.at.segment();
            if file.0 != Some(segment) {
                file = (Some(segment), node.disk.content(&segment_name(segment)));
            }
            if file.1.is_empty() {
                failure = ReadFailure::Gone;
                break;
            }
            let seed = BlockSeed::new(node.settings.directory_id, segment);
            let Ok(block) = read_block(&file.1, located.at, job.below, seed) else {
                break;
            };
            match reader.take(&block) {
                Ok(Wants::More) => {}
                Ok(Wants::Nothing) | Err(_) => break,
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
