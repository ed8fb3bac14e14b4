//! The lives of a node: it starts, is stopped, is killed, loses power.

use antiphon_log::testing::Survival;
use antiphon_log::{LogError, Outcome};

use crate::history::{Position, What};

use super::limits::START_AGAIN;
use super::link::Stage;
use super::queue::{Event, MILLI, Micros, SECOND};
use super::world::World;

/// How a process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Death {
    /// The process is gone, the machine is not.
    Killed,
    /// Power is gone, and this is left of what was not synced.
    Power(Survival),
}

impl World {
    /// Starts a node that is down, or tries to.
    pub(crate) fn start_node(&mut self, number: usize) {
        let now = self.queue.now();
        let seed = self.dice.seeds.next_u64();
        let choices = &self.choices;
        let node = &mut self.nodes[number];
        node.life += 1;
        node.is_dark = false;
        let life = node.life;
        if std::mem::take(&mut node.crashes_in_open) {
            let calls = 1 + self.dice.disk.below(12);
            node.crash_in(calls);
        }
        let started = node.start(number, choices, seed, now);
        self.note_disk(number);
        match started {
            Ok(recovery) => {
                self.trace
                    .line(now, || format!("node {number}: {recovery:?}"));
                self.tally.recovery(&recovery);
                let is_harmless = self.trouble.has_destroyed();
                if recovery.outcome == Outcome::Damaged && !is_harmless {
                    self.fail(format!(
                        "node {number}: damage out of nothing: {recovery:?}"
                    ));
                }
                let watch = &self.nodes[number].watch;
                let (kept_end, told_end) = (watch.kept_end(), watch.told_end());
                let log_end = kept_end.unwrap_or(Position(recovery.sync_end.wire()));
                let is_silent = recovery.outcome != Outcome::Damaged;
                if is_silent && log_end < told_end && self.trouble.tells_silent_cuts() {
                    self.fail(format!(
                        "node {number}: the log is cut below what is known to be durable: at {log_end:?}, below {told_end:?}"
                    ));
                }
                self.note_node(number, What::Started { log_end });
                if let Some(process) = &self.nodes[number].process {
                    for seat in &process.seats {
                        self.trace.mix(seat.core.stats().home.rooms);
                    }
                }
                self.order_segment(number);
                for core in 0..usize::from(self.choices.cores) {
                    self.wake(number, core);
                }
            }
            Err(error) => {
                self.trace
                    .line(now, || format!("node {number} does not start: {error}"));
                self.tally.starts_refused += 1;
                self.tally.log_error(&error);
                if !self.nodes[number].explains(&error, now) {
                    self.fail(format!("node {number} does not start: {error}"));
                }
                self.revive_disk(number);
                self.queue
                    .after(START_AGAIN, Event::Start { node: number, life });
            }
        }
    }

    /// The disk after a process that met a planned fault, or ended in order.
    fn revive_disk(&mut self, number: usize) {
        let survival = self.survival();
        let node = &mut self.nodes[number];
        let disk = if node.is_power_gone() {
            node.disk.lose_power(survival)
        } else {
            node.disk.kill()
        };
        node.take_over(disk);
    }

    /// What a loss of power leaves.
    pub(crate) fn survival(&mut self) -> Survival {
        match self.dice.disk.below(4) {
            0 => Survival::Lost,
            1 => Survival::Kept,
            _ => Survival::Mixed(self.dice.disk.next_u64()),
        }
    }

    /// The log thread has met a failing disk, and the process ends of it.
    pub(crate) fn log_death(&mut self, number: usize) {
        let death = if self.nodes[number].is_power_gone() {
            Death::Power(self.survival())
        } else {
            Death::Killed
        };
        self.end_life(number, death);
    }

    /// The process ends, and comes back after a while.
    pub(crate) fn end_life(&mut self, number: usize, death: Death) {
        let now = self.queue.now();
        if self.nodes[number].process.take().is_none() {
            return;
        }
        self.trace
            .line(now, || format!("node {number} ends: {death:?}"));
        let disk = &self.nodes[number].disk;
        let disk = match death {
            Death::Killed => disk.kill(),
            Death::Power(survival) => disk.lose_power(survival),
        };
        self.nodes[number].take_over(disk);
        self.note_node(
            number,
            What::Stopped {
                how: format!("{death:?}"),
            },
        );
        let down = 50 * MILLI + self.dice.threads.waiting(SECOND).min(8 * SECOND);
        self.cut_links(number, death, down);
        self.reset_peers_of(number);
        let node = &mut self.nodes[number];
        node.is_dark = matches!(death, Death::Power(_));
        node.paused_until = 0;
        let life = node.life;
        self.queue.after(down, Event::Start { node: number, life });
    }

    /// What becomes of the connections of a process that is gone. A machine without power tells nobody: its clients hear of it when it is back, and
    /// only if they send.
    fn cut_links(&mut self, number: usize, death: Death, down: Micros) {
        let now = self.queue.now();
        let mut over = Vec::new();
        for (&link_number, link) in self
            .links
            .iter_mut()
            .filter(|(_, link)| link.node == number)
        {
            if link.server.stage == Stage::Gone {
                continue;
            }
            link.server.stage = Stage::Gone;
            if link.is_over() {
                over.push(link_number);
                continue;
            }
            let is_dead = link.up.is_dead || link.down.is_dead;
            let at = match death {
                Death::Killed => now + self.choices.net_delay.0 + 1,
                Death::Power(_) => {
                    link.up.is_dead = true;
                    link.down.is_dead = true;
                    now + down + SECOND / 10
                }
            };
            if !is_dead {
                let event = Event::Break {
                    link: link_number,
                    server: false,
                };
                self.queue.at(at, event);
            }
        }
        for link in over {
            self.links.remove(&link);
        }
    }

    /// Tells all cores to end in order.
    pub(crate) fn drain(&mut self, number: usize) {
        let now = self.nodes[number].now(self.queue.now());
        let life = self.nodes[number].life;
        let Some(process) = self.nodes[number].process.as_mut() else {
            return;
        };
        if process.is_draining {
            return;
        }
        process.is_draining = true;
        for seat in &mut process.seats {
            seat.core.drain(now);
        }
        for core in 0..usize::from(self.choices.cores) {
            self.wake(number, core);
        }
        self.queue
            .after(200 * MILLI, Event::Stop { node: number, life });
    }

    /// A node that drains is looked at: closed in order once all is quiet, or after its time whatever is left.
    pub(crate) fn on_stop(&mut self, number: usize, life: u64) {
        let Some(process) = self.process(number, life) else {
            return;
        };
        let is_quiet = process.logger.jobs.is_empty()
            && process.logger.call.is_none()
            && process.seats.iter().all(|seat| {
                seat.core.is_drained() && seat.links.is_empty() && seat.log_waiting.is_empty()
            });
        if !is_quiet {
            // Nobody is cut off before its time: the server gives a drain 10 s.
            let wait = 200 * MILLI;
            self.tally.drain_looks += 1;
            let give_up = self.dice.threads.one_in(50);
            if give_up {
                self.end_life(number, Death::Killed);
            } else {
                self.queue.after(wait, Event::Stop { node: number, life });
            }
            return;
        }
        self.finish_making(number);
        let Some(process) = self.nodes[number].process.take() else {
            return;
        };
        let closed = process.logger.log.close();
        self.note_disk(number);
        self.nodes[number].process = None;
        let death = match closed {
            Ok(_) => {
                self.tally.closes += 1;
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.finish_stop(number, death);
    }

    fn finish_stop(&mut self, number: usize, closed: Result<(), LogError>) {
        let now = self.queue.now();
        self.trace
            .line(now, || format!("node {number} closed: {closed:?}"));
        if let Err(error) = closed {
            self.tally.log_error(&error);
            if !self.nodes[number].explains(&error, now) {
                self.fail(format!("node {number} does not close: {error}"));
            }
        }
        self.revive_disk(number);
        self.note_node(
            number,
            What::Stopped {
                how: "stopped".to_owned(),
            },
        );
        let down = 50 * MILLI + self.dice.threads.below(SECOND);
        self.cut_links(number, Death::Killed, down);
        self.reset_peers_of(number);
        let life = self.nodes[number].life;
        self.queue.after(down, Event::Start { node: number, life });
    }
}
