//! What a core thread reads from its sockets, and how it gives them up.

use antiphon_core::{ConnId, Core, Flow, Now};
use antiphon_protocol::next_frame;

use super::limits::{CLOSE_WAIT, READS_PER_TURN};
use super::link::{Link, Stage};
use super::queue::{Event, Micros};
use super::random::Random;
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
    pub(crate) fn read_links(&mut self, node: usize, core: usize, now: Now) -> bool {
        let at = self.queue.now();
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
                    read_frames(&mut seat.core, link, share, &mut self.dice.net, (at, now))
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
    pub(crate) fn unblock_client(&mut self, number: u64) {
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

    pub(crate) fn close_overdue(&mut self, node: usize, core: usize) {
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
    pub(crate) fn close(&mut self, node: usize, core: usize, conn: ConnId) {
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

    pub(crate) fn resume(&mut self, node: usize, core: usize, conn: ConnId) {
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
}

fn read_frames(
    core: &mut Core,
    link: &mut Link,
    reads: usize,
    net: &mut Random,
    (at, now): (Micros, Now),
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
        let most = 1 + net.below(link.up.grain(at)) as usize;
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
    let mut held = std::mem::take(&mut link.server.held);
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
    held.drain(..used);
    link.server.held = held;
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
