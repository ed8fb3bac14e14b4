//! What a core thread writes to its sockets.

use antiphon_core::{ConnId, Now};

use crate::history::{Seq, What};

use super::limits::SEND_BYTES_MAX;
use super::link::Stage;
use super::network::delay;
use super::queue::Event;
use super::world::{World, node_no};

impl World {
    pub(crate) fn queue_flush(&mut self, node: usize, core: usize, conn: ConnId) {
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

    pub(crate) fn flush_links(&mut self, node: usize, core: usize, now: Now) -> bool {
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

    pub(crate) fn flush_link(&mut self, node: usize, core: usize, conn: ConnId, now: Now) -> bool {
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
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
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
        self.note_acks(node, number, &bytes);
        self.scratch = bytes;
        has_more
    }

    /// Acks leave the server.
    fn note_acks(&mut self, node: usize, number: u64, bytes: &[u8]) {
        let now = self.queue.now() * 1_000;
        let Some(link) = self.links.get_mut(&number) else {
            return;
        };
        let (watch, history) = (&self.nodes[node].watch, &self.history);
        link.server.acks.feed(bytes, |entry| {
            if let Some(room) = watch.room(entry.room_id.0) {
                let seq = Seq(entry.seq.0);
                history.node(now, node_no(node), What::AckSent { room, seq });
            }
        });
    }
}
