//! A core thread's turn, as the server makes it.
//!
//! ```text
//!  new sockets, lanes, log reports, read answers -> read sockets -> time -> core.turn -> outputs -> flush -> when again?
//! ```
//! A core turns only when something came for it or its own deadline is due: a wake that the broker forgets is a world that stands still.

use antiphon_core::lane::Message;
use antiphon_core::{CoreEvent, CoreId, Now, Output, ReadFailure};

use super::limits::LOG_RETRY;
use super::link::Stage;
use super::node::{LogJob, Process, Seat};
use super::queue::{Event, MILLI, Micros};
use super::world::World;

impl World {
    /// A running process of that life, or none.
    pub(crate) fn process(&mut self, node: usize, life: u64) -> Option<&mut Process> {
        let node = &mut self.nodes[node];
        if node.life == life {
            node.process.as_mut()
        } else {
            None
        }
    }

    /// Something came for a core: it turns soon.
    pub(crate) fn wake(&mut self, node: usize, core: usize) {
        let wait = 1 + self.dice.threads.below(self.choices.wake_max);
        let at = self.queue.now() + wait;
        self.wake_at(node, core, at);
    }

    /// The core turns at `at` at the latest.
    pub(crate) fn wake_at(&mut self, node: usize, core: usize, at: Micros) {
        let life = self.nodes[node].life;
        let paused_until = self.nodes[node].paused_until;
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let seat = &mut process.seats[core];
        let at = at.max(seat.stuck_until).max(paused_until);
        if seat.turn_at.is_none_or(|turn_at| at < turn_at) {
            seat.turn_at = Some(at);
            self.queue.at(at, Event::Turn { node, life, core });
        }
    }

    pub(crate) fn on_turn(&mut self, node: usize, life: u64, core: usize) {
        let now_at = self.queue.now();
        let paused_until = self.nodes[node].paused_until;
        let Some(process) = self.process(node, life) else {
            return;
        };
        let seat = &mut process.seats[core];
        if seat.turn_at != Some(now_at) {
            return;
        }
        seat.turn_at = None;
        let runs_at = seat.stuck_until.max(paused_until);
        if runs_at > now_at {
            self.wake_at(node, core, runs_at);
            return;
        }
        self.tally.turns += 1;
        let now = self.nodes[node].now(now_at);
        self.take_messages(node, core, now);
        let mut has_more = self.read_links(node, core, now);
        self.close_overdue(node, core);
        if let Some(seat) = self.seat(node, core) {
            if seat
                .core
                .next_deadline()
                .is_some_and(|at| at <= now.mono_ms)
            {
                seat.core.tick(now);
            }
            seat.owes_turn = false;
            has_more |= seat.core.turn(now);
        }
        self.put_out(node, core);
        self.watch_replicas(node, core);
        has_more |= self.flush_links(node, core, now);
        self.plan_turn(node, core, now, has_more);
    }

    pub(crate) fn seat(&mut self, node: usize, core: usize) -> Option<&mut Seat> {
        self.nodes[node]
            .process
            .as_mut()
            .map(|process| &mut process.seats[core])
    }

    /// When the core turns next by itself.
    pub(crate) fn plan_turn(&mut self, node: usize, core: usize, now: Now, has_more: bool) {
        let now_at = self.queue.now();
        let Some(seat) = self.seat(node, core) else {
            return;
        };
        let is_busy = has_more || seat.owes_turn || !seat.readable.is_empty();
        let deadline = seat.core.next_deadline();
        let closing = seat.closing.front().map(|(at, _)| *at);
        let retry = (!seat.log_waiting.is_empty()).then_some(now_at + LOG_RETRY);
        if is_busy {
            self.wake(node, core);
            return;
        }
        let deadline = deadline.map(|at| now_at + at.saturating_sub(now.mono_ms) * MILLI);
        if let Some(at) = [deadline, closing, retry].into_iter().flatten().min() {
            // A deadline that is due is met by the next turn; a whole ms in between, as a poller sleeps.
            let at = if at <= now_at { now_at + 1 } else { at };
            self.wake_at(node, core, at);
        }
    }

    pub(crate) fn take_messages(&mut self, node: usize, core: usize, now: Now) {
        self.accept(node, core, now);
        let turn = self.choices.lane_turn;
        let first = self.dice.threads.place(usize::from(self.choices.cores));
        let mut to_open = Vec::new();
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let Process { seats, lanes, .. } = process;
        let count = seats.len();
        let seat = &mut seats[core];
        for to in std::mem::take(&mut seat.opened) {
            seat.core.lane_open(CoreId(to as u16), now);
        }
        let mut is_left = false;
        for from in (0..count).map(|from| (from + first) % count) {
            let lane = &mut lanes[from][core];
            for message in lane.queue.drain(..turn.min(lane.queue.len())) {
                seat.core.lane(CoreId(from as u16), message, now);
            }
            is_left |= !lane.queue.is_empty();
            if lane.has_refused && lane.queue.len() < self.choices.lane_places {
                lane.has_refused = false;
                to_open.push(from);
            }
        }
        for (persisted, sync_end) in seat.persisted.drain(..) {
            seat.core.persisted(&persisted, sync_end, now);
        }
        for answer in seat.answers.drain(..) {
            seat.core.read_done(answer, now);
        }
        for answer in seat.entries.drain(..) {
            seat.core.entries_read(answer);
        }
        for (from, group, message) in seat.peers.drain(..) {
            seat.core.peer(from, group, message);
        }
        for lost in std::mem::take(&mut seat.peers_lost) {
            seat.core.peer_lost(lost);
        }
        seat.owes_turn |= is_left;
        for from in to_open {
            if let Some(seat) = self.seat(node, from) {
                seat.opened.push(core);
            }
            self.wake(node, from);
        }
        if is_left {
            self.wake(node, core);
        }
        self.offer_log_jobs(node, core);
    }

    pub(crate) fn accept(&mut self, node: usize, core: usize, now: Now) {
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let seat = &mut process.seats[core];
        for (number, claim) in seat.accepted.drain(..).collect::<Vec<_>>() {
            let Some(link) = self.links.get_mut(&number) else {
                continue;
            };
            let conn = seat.place();
            seat.links.insert(conn, number);
            link.server.conn = conn;
            link.server.stage = Stage::Open;
            seat.core.connected(conn, claim, now);
            if !link.server.is_queued {
                link.server.is_queued = true;
                seat.readable.push_back(number);
            }
        }
    }
    pub(crate) fn put_out(&mut self, node: usize, core: usize) {
        let mut wakes = Vec::new();
        while let Some(output) = self.seat(node, core).and_then(|seat| seat.core.poll()) {
            match output {
                Output::Flush(conn) => self.queue_flush(node, core, conn),
                Output::Close(conn) => self.close(node, core, conn),
                Output::Resume(conn) => self.resume(node, core, conn),
                Output::Lane { to, message } => {
                    if self.send_lane(node, core, to, message) {
                        wakes.push(usize::from(to.0));
                    }
                }
                Output::Wake(to) => wakes.push(usize::from(to.0)),
                Output::Append(append) => {
                    self.watch_append(node, &append);
                    self.log_job(node, core, LogJob::Append(append));
                }
                Output::Peer { to, messages } => self.send_peer(node, to, &messages),
                Output::Checkpoint(job) => self.log_job(node, core, LogJob::Checkpoint(job)),
                Output::Read(job) => {
                    if let Err(job) = self.ask_reader(node, job) {
                        let answer = job.answer(Err(ReadFailure::Busy));
                        self.tally.reads_refused += 1;
                        let reply_to = usize::from(job.reply_to.0);
                        if let Some(seat) = self.seat(node, reply_to) {
                            seat.answers.push_back(answer);
                        }
                        wakes.push(reply_to);
                    }
                }
                Output::ReadEntries(job) => self.ask_entries(node, job),
                Output::Event(event) => self.core_event(node, &event),
            }
        }
        for to in wakes {
            self.wake(node, to);
        }
    }

    pub(crate) fn core_event(&mut self, node: usize, event: &CoreEvent) {
        let now = self.queue.now();
        self.trace.line(now, || format!("node {node}: {event:?}"));
        self.tally.core_event(event);
    }

    /// True: it is in the lane.
    pub(crate) fn send_lane(
        &mut self,
        node: usize,
        from: usize,
        to: CoreId,
        message: Message,
    ) -> bool {
        let places = self.choices.lane_places;
        let Some(process) = self.nodes[node].process.as_mut() else {
            return false;
        };
        let lane = &mut process.lanes[from][usize::from(to.0)];
        if lane.queue.len() >= places {
            lane.has_refused = true;
            process.seats[from].core.lane_refused(to, message);
            self.tally.lanes_refused += 1;
            return false;
        }
        lane.queue.push_back(message);
        true
    }
}
