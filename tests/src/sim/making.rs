//! The threads that make files for the log: segments ahead, and checkpoints.
//!
//! What is made is made at the beginning or at the end of its time, as the dice say, and comes back to the log thread as a job.

use super::node::{LogJob, Making, Order};
use super::queue::Event;
use super::world::World;

impl World {
    /// Has the next segment made, unless that failed a moment ago.
    pub(crate) fn order_segment(&mut self, node: usize) {
        let now = self.queue.now();
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let logger = &mut process.logger;
        if now >= logger.no_segment_before
            && let Some(maker) = logger.log.segment_maker()
        {
            self.tally.segments += 1;
            self.begin_making(node, Order::Segment(maker));
        }
    }

    /// Has the next checkpoint file written, unless one is being written.
    pub(crate) fn order_checkpoint(&mut self, node: usize) {
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let logger = &mut process.logger;
        if let Some(job) = logger.checkpoints.take() {
            let maker = logger.log.checkpoint_maker(job.group, job.index, job.term);
            let maker = maker.expect("a log that has failed is gone, and its process with it");
            self.tally.checkpoints += 1;
            self.begin_making(node, Order::Checkpoint(maker, job.bytes));
        }
    }

    fn begin_making(&mut self, node: usize, order: Order) {
        let life = self.nodes[node].life;
        let takes = self.flush_time(node) * 4;
        let is_segment = matches!(order, Order::Segment(_));
        let making = if self.dice.disk.one_in(2) {
            let made = order.make();
            self.note_disk(node);
            Making::Made(made)
        } else {
            Making::Ordered(order)
        };
        if let Some(process) = self.nodes[node].process.as_mut() {
            let place = process.logger.making(is_segment);
            debug_assert!(place.is_none(), "one order at a time");
            *place = Some(making);
        }
        let event = Event::Made {
            node,
            life,
            is_segment,
        };
        self.queue.after(takes, event);
    }

    pub(crate) fn on_made(&mut self, node: usize, life: u64, is_segment: bool) {
        let now = self.queue.now();
        let paused_until = self.nodes[node].paused_until;
        if paused_until > now {
            let event = Event::Made {
                node,
                life,
                is_segment,
            };
            self.queue.at(paused_until, event);
            return;
        }
        let Some(process) = self.process(node, life) else {
            return;
        };
        let made = match process.logger.making(is_segment).take() {
            Some(Making::Made(made)) => made,
            Some(Making::Ordered(order)) => order.make(),
            None => return,
        };
        let has_failed = matches!(&made, LogJob::Made(Err(_)));
        process.logger.jobs.push_back(made);
        self.note_disk(node);
        self.tally.segments_not_made += u64::from(has_failed);
        if self.nodes[node].is_power_gone() {
            self.log_death(node);
        } else {
            self.wake_log(node);
        }
    }

    /// The process ends in order: what is being made is finished, and nobody listens.
    pub(crate) fn finish_making(&mut self, node: usize) {
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        for is_segment in [true, false] {
            if let Some(Making::Ordered(order)) = process.logger.making(is_segment).take() {
                let _ = order.make();
            }
        }
        self.note_disk(node);
    }
}
