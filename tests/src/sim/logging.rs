//! The log thread. What it does with its jobs is as in the server; which checkpoint is written next is the server's own rule.
//!
//! A call on the disk happens at its start or at its end, as the dice say: so a process that dies in between leaves all of it, or nothing. What dies
//! within the call itself is the fault `crash-in-flush`.

use antiphon_log::{Flushed, LogError};

use super::limits::{LOG_IDLE, SEGMENT_RETRY, SPACE_LOOK};
use super::node::{LogCall, LogJob};
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
            self.wake_log(node);
        }
    }

    /// Something came for the log thread: it looks soon, unless it works.
    pub(crate) fn wake_log(&mut self, node: usize) {
        let wait = 1 + self.dice.threads.below(self.choices.wake_max);
        self.plan_log(node, wait);
    }

    fn plan_log(&mut self, node: usize, wait: Micros) {
        let life = self.nodes[node].life;
        let at = (self.queue.now() + wait).max(self.nodes[node].paused_until);
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let logger = &mut process.logger;
        if logger.call.is_none() && logger.looks_at.is_none_or(|looks_at| at < looks_at) {
            logger.looks_at = Some(at);
            self.queue.at(at, Event::LogStart { node, life });
        }
    }

    // ---- the log thread -----------------------------------------------------------------------------------------------------------------------

    pub(crate) fn on_log_start(&mut self, node: usize, life: u64) {
        let now = self.queue.now();
        let paused_until = self.nodes[node].paused_until;
        let Some(process) = self.process(node, life) else {
            return;
        };
        if process.logger.looks_at != Some(now) {
            return;
        }
        process.logger.looks_at = None;
        if paused_until > now {
            self.plan_log(node, 0);
            return;
        }
        let taken = process.logger.jobs.len();
        if let Err(error) = self.drain_log(node) {
            self.log_failed(node, error);
            return;
        }
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let logger = &mut process.logger;
        if logger.log.has_queued() {
            self.begin_log_call(node, LogCall::Flush);
        } else if taken == 0 && !logger.is_marked {
            self.begin_log_call(node, LogCall::Mark);
        } else {
            self.end_log_turn(node);
        }
    }

    /// Takes all jobs that are there; appends go into the log's queue.
    fn drain_log(&mut self, node: usize) -> Result<(), LogError> {
        let now = self.queue.now();
        let Some(process) = self.nodes[node].process.as_mut() else {
            return Ok(());
        };
        let logger = &mut process.logger;
        while let Some(job) = logger.jobs.pop_front() {
            match job {
                LogJob::Append(append) => logger.log.submit(append),
                LogJob::Checkpoint(job) => logger.checkpoints.keep(job),
                LogJob::Made(made) => {
                    if made.is_err() {
                        logger.no_segment_before = now + SEGMENT_RETRY;
                    }
                    logger.log.adopt(made);
                }
                LogJob::Checkpointed(made) => {
                    logger.checkpoints.done();
                    if let Err(error) = logger.log.adopt_checkpoint(made) {
                        self.tally.checkpoints_not_written += 1;
                        if logger.log.is_failed() {
                            return Err(error);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn begin_log_call(&mut self, node: usize, call: LogCall) {
        let life = self.nodes[node].life;
        let takes = self.flush_time(node);
        let is_early = self.dice.disk.one_in(2);
        let result = is_early.then(|| self.run_log(node, call)).flatten();
        if let Some(process) = self.nodes[node].process.as_mut() {
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
        let result = result.or_else(|| self.run_log(node, call));
        match result {
            Some(Ok(flushed)) => {
                if let Some(process) = self.nodes[node].process.as_mut() {
                    process.logger.is_marked = call == LogCall::Mark;
                }
                if let Some(flushed) = flushed {
                    self.tally.flushes += 1;
                    self.publish(node, flushed);
                }
            }
            Some(Err(error)) => {
                self.log_failed(node, error);
                return;
            }
            None => return,
        }
        for core in 0..usize::from(self.choices.cores) {
            self.offer_log_jobs(node, core);
        }
        self.end_log_turn(node);
    }

    /// Orders what is to be made, then waits for a job, or until the log is to be marked idle.
    fn end_log_turn(&mut self, node: usize) {
        self.order_checkpoint(node);
        self.order_segment(node);
        self.look_at_space(node);
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        if !process.logger.jobs.is_empty() {
            self.wake_log(node);
        } else if process.logger.is_full {
            self.plan_log(node, SPACE_LOOK);
        } else if !process.logger.is_marked {
            self.plan_log(node, LOG_IDLE);
        }
    }

    /// Tells the cores whether too little is left of the disk.
    fn look_at_space(&mut self, node: usize) {
        let now = self.queue.now();
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let logger = &mut process.logger;
        let space = if logger.no_look_before <= now {
            logger.no_look_before = now + SPACE_LOOK;
            logger.log.look_at_space()
        } else {
            logger.log.weigh_space()
        };
        let was_full = std::mem::replace(&mut logger.is_full, space.is_full);
        process.exchange.set_storage_full(logger.is_full);
        if logger.is_full && !was_full {
            self.tally.storage_full();
        }
    }

    /// Makes the call now.
    fn run_log(&mut self, node: usize, call: LogCall) -> Option<Result<Option<Flushed>, LogError>> {
        let process = self.nodes[node].process.as_mut()?;
        let log = &mut process.logger.log;
        let result = match call {
            LogCall::Flush => log.flush().map(Some),
            LogCall::Mark => log.idle_mark().map(|()| None),
        };
        self.note_disk(node);
        Some(result)
    }

    pub(crate) fn flush_time(&mut self, node: usize) -> Micros {
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
}
