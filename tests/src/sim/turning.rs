//! A core thread's turn, as the server makes it.
//!
//! ```text
//!  new sockets, lanes, log reports, read answers -> read sockets -> time -> core.turn -> outputs -> flush -> when again?
//! ```
//! A core turns only when something came for it or its own deadline is due: a wake that the broker forgets is a world that stands still.

use antiphon_core::lane::Message;
use antiphon_core::{ConnId, Core, CoreEvent, CoreId, Flow, Now, Output, ReadAnswer, ReadFailure};
use antiphon_protocol::next_frame;

use super::limits::{CLOSE_WAIT, LOG_RETRY, READS_PER_TURN, SEND_BYTES_MAX};
use super::link::{Link, Stage};
use super::node::{LogJob, Process};
use super::queue::{Event, MILLI, Micros};
use super::world::World;

/// How reading a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Read {
    /// Nothing more to read.
    Empty,
    /// The turn's share is used up.
    Again,
    /// The core wants no more for now.
    Paused,
    /// The peer's end, or a reset.
    Ended,
}

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
        has_more |= self.flush_links(node, core, now);
        self.plan_turn(node, core, now, has_more);
    }

    fn seat(&mut self, node: usize, core: usize) -> Option<&mut super::node::Seat> {
        self.nodes[node]
            .process
            .as_mut()
            .map(|process| &mut process.seats[core])
    }

    /// When the core turns next by itself.
    fn plan_turn(&mut self, node: usize, core: usize, now: Now, has_more: bool) {
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

    fn take_messages(&mut self, node: usize, core: usize, now: Now) {
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

    fn accept(&mut self, node: usize, core: usize, now: Now) {
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let seat = &mut process.seats[core];
        for number in seat.accepted.drain(..).collect::<Vec<_>>() {
            let Some(link) = self.links.get_mut(&number) else {
                continue;
            };
            let conn = seat.place();
            seat.links.insert(conn, number);
            link.server.conn = conn;
            link.server.stage = Stage::Open;
            seat.core.connected(conn, now);
            if !link.server.is_queued {
                link.server.is_queued = true;
                seat.readable.push_back(number);
            }
        }
    }

    // ---- reading ------------------------------------------------------------------------------------------------------------------------------

    fn read_links(&mut self, node: usize, core: usize, now: Now) -> bool {
        let count = self.seat(node, core).map_or(0, |seat| seat.readable.len());
        let mut has_more = false;
        for _ in 0..count {
            let Some(number) = self
                .seat(node, core)
                .and_then(|seat| seat.readable.pop_front())
            else {
                break;
            };
            let Some(link) = self.links.get_mut(&number) else {
                continue;
            };
            link.server.is_queued = false;
            let Some(process) = self.nodes[node].process.as_mut() else {
                return false;
            };
            let seat = &mut process.seats[core];
            let read = match link.server.stage {
                Stage::Open => {
                    let share = 1 + self.dice.threads.place(READS_PER_TURN);
                    read_frames(&mut seat.core, link, share, &mut self.dice.net, now)
                }
                Stage::Lingering => discard(link),
                Stage::Closing => Read::Paused,
                Stage::Waiting | Stage::Gone => Read::Empty,
            };
            if read == Read::Again {
                link.server.is_queued = true;
                seat.readable.push_back(number);
                has_more = true;
            }
            if read == Read::Ended {
                self.drop_server_side(number);
            }
            self.unblock_client(number);
        }
        has_more
    }

    /// The client's side may have been refused bytes and hears of room.
    fn unblock_client(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else {
            return;
        };
        if link.up.is_blocked && link.up.room() > 0 && link.client_holds {
            link.up.is_blocked = false;
            let client = link.client;
            self.wake_client(client);
        }
    }

    /// The server's thread gives the connection up.
    pub(crate) fn drop_server_side(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else {
            return;
        };
        let (node, core, life) = (link.node, link.core, link.life);
        let was_open = !matches!(link.server.stage, Stage::Gone | Stage::Waiting);
        link.server.stage = Stage::Gone;
        link.server.held = Vec::new();
        let conn = link.server.conn;
        let at = self.queue.now() + self.choices.net_delay.0 + 1;
        if link.client_holds && !link.up.is_dead {
            self.queue.at(
                at,
                Event::Break {
                    link: number,
                    server: false,
                },
            );
        }
        if link.is_over() {
            self.links.remove(&number);
        }
        if let Some(process) = self.process(node, life)
            && was_open
        {
            let seat = &mut process.seats[core];
            seat.links.remove(&conn);
            seat.free.push(ConnId {
                slot: conn.slot,
                generation: conn.generation + 1,
            });
            seat.core.disconnected(conn);
            seat.owes_turn = true;
        }
    }

    fn close_overdue(&mut self, node: usize, core: usize) {
        let now = self.queue.now();
        while let Some(number) = self.seat(node, core).and_then(|seat| {
            let is_due = seat.closing.front().is_some_and(|(at, _)| *at <= now);
            is_due
                .then(|| seat.closing.pop_front())?
                .map(|(_, number)| number)
        }) {
            self.drop_server_side(number);
        }
    }

    // ---- outputs ------------------------------------------------------------------------------------------------------------------------------

    fn put_out(&mut self, node: usize, core: usize) {
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
                Output::Append(append) => self.log_job(node, core, LogJob::Append(append)),
                Output::Checkpoint(job) => self.log_job(node, core, LogJob::Checkpoint(job)),
                Output::Read(job) => {
                    if let Err(job) = self.ask_reader(node, job) {
                        let answer = ReadAnswer {
                            purpose: job.purpose,
                            room: job.room,
                            from: job.from,
                            result: Err(ReadFailure::Busy),
                        };
                        self.tally.reads_refused += 1;
                        let reply_to = usize::from(job.reply_to.0);
                        if let Some(seat) = self.seat(node, reply_to) {
                            seat.answers.push_back(answer);
                        }
                        wakes.push(reply_to);
                    }
                }
                Output::Event(event) => self.core_event(node, &event),
            }
        }
        for to in wakes {
            self.wake(node, to);
        }
    }

    fn core_event(&mut self, node: usize, event: &CoreEvent) {
        let now = self.queue.now();
        self.trace.line(now, || format!("node {node}: {event:?}"));
        self.tally.core_event(event);
    }

    /// True: it is in the lane.
    fn send_lane(&mut self, node: usize, from: usize, to: CoreId, message: Message) -> bool {
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

    fn close(&mut self, node: usize, core: usize, conn: ConnId) {
        let at = self.queue.now() + CLOSE_WAIT;
        let Some(seat) = self.seat(node, core) else {
            return;
        };
        let Some(number) = seat.links.get(&conn).copied() else {
            return;
        };
        seat.closing.push_back((at, number));
        if let Some(link) = self.links.get_mut(&number)
            && link.server.stage == Stage::Open
        {
            link.server.stage = Stage::Closing;
            link.server.held = Vec::new();
        }
        self.queue_flush(node, core, conn);
    }

    fn resume(&mut self, node: usize, core: usize, conn: ConnId) {
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let seat = &mut process.seats[core];
        let number = seat.links.get(&conn).copied();
        let Some((number, link)) =
            number.and_then(|number| Some((number, self.links.get_mut(&number)?)))
        else {
            return;
        };
        link.server.is_paused = false;
        if !link.server.is_queued {
            link.server.is_queued = true;
            seat.readable.push_back(number);
        }
    }

    // ---- writing ------------------------------------------------------------------------------------------------------------------------------

    fn queue_flush(&mut self, node: usize, core: usize, conn: ConnId) {
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let seat = &mut process.seats[core];
        let link = seat
            .links
            .get(&conn)
            .and_then(|number| self.links.get_mut(number));
        if let Some(link) = link
            && !link.server.is_flushing
            && !link.down.is_blocked
        {
            link.server.is_flushing = true;
            seat.flushes.push_back(conn);
        }
    }

    /// The client's side took bytes: the server's may have been refused.
    pub(crate) fn unblock_server(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else {
            return;
        };
        if link.down.is_blocked && link.down.room() > 0 && link.server.stage != Stage::Gone {
            link.down.is_blocked = false;
            let (node, core, conn) = (link.node, link.core, link.server.conn);
            self.queue_flush(node, core, conn);
            self.wake(node, core);
        }
    }

    fn flush_links(&mut self, node: usize, core: usize, now: Now) -> bool {
        let count = self.seat(node, core).map_or(0, |seat| seat.flushes.len());
        let mut has_more = false;
        for _ in 0..count {
            let Some(conn) = self
                .seat(node, core)
                .and_then(|seat| seat.flushes.pop_front())
            else {
                break;
            };
            has_more |= self.flush_link(node, core, conn, now);
        }
        has_more
    }

    fn flush_link(&mut self, node: usize, core: usize, conn: ConnId, now: Now) -> bool {
        let Some(process) = self.nodes[node].process.as_mut() else {
            return false;
        };
        let seat = &mut process.seats[core];
        let Some((number, link)) = seat
            .links
            .get(&conn)
            .and_then(|number| Some((*number, self.links.get_mut(number)?)))
        else {
            return false;
        };
        link.server.is_flushing = false;
        if link.server.stage == Stage::Lingering {
            return false;
        }
        let Some(outbox) = seat.core.outbox(conn) else {
            self.fail(format!("node {node} core {core}: {conn:?} has no outbox"));
            return false;
        };
        let mut room = link.down.room().min(SEND_BYTES_MAX);
        if room > 1 && self.dice.net.one_in(16) {
            room = 1 + self.dice.net.place(room - 1);
        }
        let mut bytes = Vec::new();
        for chunk in outbox.chunks() {
            let take = chunk.len().min(room - bytes.len());
            bytes.extend_from_slice(&chunk[..take]);
            if bytes.len() == room {
                break;
            }
        }
        outbox.advance(bytes.len());
        let is_empty = outbox.is_empty();
        let mut has_more = false;
        let arrival = self.queue.now() + delay(&self.choices.net_delay, &mut self.dice.net);
        if !bytes.is_empty() {
            let at = link.down.write(&bytes, arrival);
            self.queue.at(
                at,
                Event::Arrive {
                    link: number,
                    up: false,
                },
            );
            seat.core.sent(conn, now);
            seat.owes_turn = true;
            has_more = true;
        }
        if !is_empty {
            if link.down.room() == 0 {
                link.down.is_blocked = true;
            } else {
                link.server.is_flushing = true;
                seat.flushes.push_back(conn);
                has_more = true;
            }
        } else if link.server.stage == Stage::Closing {
            link.server.stage = Stage::Lingering;
            let at = link.down.end(arrival);
            self.queue.at(
                at,
                Event::Arrive {
                    link: number,
                    up: false,
                },
            );
            if !link.server.is_queued {
                link.server.is_queued = true;
                seat.readable.push_back(number);
            }
        }
        has_more
    }

    // ---- the network's news -------------------------------------------------------------------------------------------------------------------

    pub(crate) fn on_arrive(&mut self, number: u64, up: bool) {
        let now = self.queue.now();
        let Some(link) = self.links.get_mut(&number) else {
            return;
        };
        let pipe = if up { &mut link.up } else { &mut link.down };
        if pipe.is_dead {
            return;
        }
        if now < pipe.clogged_until {
            let at = pipe.clogged_until;
            self.queue.at(at, Event::Arrive { link: number, up });
            return;
        }
        if !pipe.arrive(now) {
            return;
        }
        if up {
            self.make_readable(number);
        } else if link.client_holds {
            let client = link.client;
            self.wake_client(client);
        }
    }

    pub(crate) fn on_break(&mut self, number: u64, server: bool) {
        let Some(link) = self.links.get_mut(&number) else {
            return;
        };
        if server {
            link.server.is_broken = true;
            self.make_readable(number);
        } else {
            link.client_is_broken = true;
            let client = link.client;
            if link.client_holds {
                self.wake_client(client);
            }
        }
    }

    /// The server's kernel has something for a core.
    fn make_readable(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else {
            return;
        };
        let (node, core, life) = (link.node, link.core, link.life);
        if self.nodes[node].life != life || link.server.stage == Stage::Gone {
            return;
        }
        let Some(process) = self.nodes[node].process.as_mut() else {
            return;
        };
        let is_wanted = !link.server.is_paused || link.server.is_broken;
        if link.server.stage != Stage::Waiting && !link.server.is_queued && is_wanted {
            link.server.is_queued = true;
            process.seats[core].readable.push_back(number);
        }
        self.wake(node, core);
    }
}

/// The time that bytes take.
pub(crate) fn delay(net_delay: &(Micros, Micros), net: &mut super::random::Random) -> Micros {
    1 + net_delay.0 + net.waiting(net_delay.1)
}

fn read_frames(
    core: &mut Core,
    link: &mut Link,
    reads: usize,
    net: &mut super::random::Random,
    now: Now,
) -> Read {
    if link.server.is_broken {
        return Read::Ended;
    }
    if link.server.is_paused {
        return Read::Paused;
    }
    if !parse(core, link, now) {
        return Read::Paused;
    }
    for _ in 0..reads {
        if link.up.is_at_end() {
            return Read::Ended;
        }
        let most = 1 + net.below(link.up.grain) as usize;
        let count = link.up.read(most, &mut link.server.held);
        if count == 0 {
            return Read::Empty;
        }
        let goes_on = parse(core, link, now);
        let is_partial = !link.server.held.is_empty();
        core.received(link.server.conn, count, is_partial, now);
        if !goes_on {
            return Read::Paused;
        }
    }
    if link.up.is_readable() {
        Read::Again
    } else {
        Read::Empty
    }
}

/// Takes whole frames out of what is held; false: no more for now.
fn parse(core: &mut Core, link: &mut Link, now: Now) -> bool {
    let conn = link.server.conn;
    let held = std::mem::take(&mut link.server.held);
    let mut used = 0;
    let goes_on = loop {
        match next_frame(&held[used..], core.len_max(conn)) {
            Ok(None) => break true,
            Ok(Some(frame)) => {
                used += frame.whole.len();
                if core.frame(conn, frame, now) == Flow::Pause {
                    break false;
                }
            }
            Err(why) => {
                core.broken(conn, why, now);
                used = held.len();
                break false;
            }
        }
    };
    link.server.held = if used == 0 {
        held
    } else {
        held[used..].to_vec()
    };
    link.server.is_paused = !goes_on;
    goes_on
}

/// Throws away what still comes.
fn discard(link: &mut Link) -> Read {
    let mut bytes = Vec::new();
    link.up.read(usize::MAX, &mut bytes);
    if link.up.is_at_end() || link.server.is_broken {
        Read::Ended
    } else {
        Read::Empty
    }
}
