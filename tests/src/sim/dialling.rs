//! How a client gets its connection, and gives it up.

use antiphon_protocol::{Code, ErrorFrame};

use super::acks::Acks;
use super::limits::DIAL_TIMEOUT;
use super::link::{Link, ServerSide, Stage};
use super::network::delay;
use super::pipe::Pipe;
use super::queue::Event;
use super::world::World;

impl World {
    pub(crate) fn dial(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.attempt += 1;
        client.is_dialling = true;
        let attempt = client.attempt;
        let wait = delay(&self.choices.net_delay, &mut self.dice.net) * 2;
        let node = &self.nodes[self.clients[number].node];
        let is_dark = node.is_dark && node.process.is_none();
        let is_lost = is_dark || self.queue.now() < node.refuses_until;
        let wait = if is_lost { DIAL_TIMEOUT } else { wait };
        self.queue.after(
            wait,
            Event::Dial {
                client: number,
                attempt,
            },
        );
    }

    pub(crate) fn on_dial(&mut self, number: usize, attempt: u64) {
        let now_ms = self.client_ms();
        let client = &mut self.clients[number];
        if client.attempt != attempt || !client.is_dialling || client.app.is_over {
            return;
        }
        client.is_dialling = false;
        let node = self.clients[number].node;
        let is_refused = self.queue.now() < self.nodes[node].refuses_until;
        let life = self.nodes[node].life;
        let cores = usize::from(self.choices.cores);
        let core = self.dice.threads.place(cores);
        let Some(process) = self.nodes[node].process.as_mut().filter(|_| !is_refused) else {
            self.clients[number].connect_failed(now_ms);
            self.tally.dials_failed += 1;
            self.try_elsewhere(number);
            self.drain_client(number);
            self.wake_client(number);
            return;
        };
        self.last_link += 1;
        let link_number = self.last_link;
        let claim = process.exchange.claim();
        process.seats[core].accepted.push_back((link_number, claim));
        let capacity = self.choices.pipe_bytes;
        let grain = self.dice.net.pick(&[4_096, 64 * 1024, 64 * 1024, 100]);
        let link = Link {
            node,
            life,
            core,
            client: number,
            up: Pipe::new(capacity, grain),
            down: Pipe::new(capacity, grain),
            server: ServerSide {
                stage: Stage::Waiting,
                conn: antiphon_core::ConnId {
                    slot: 0,
                    generation: 0,
                },
                held: Vec::new(),
                is_paused: false,
                is_queued: false,
                is_flushing: false,
                is_broken: false,
                acks: Acks::default(),
            },
            client_holds: true,
            client_is_broken: false,
        };
        self.links.insert(link_number, link);
        self.clients[number].link = Some(link_number);
        self.tally.connections += 1;
        self.tap_begin(number);
        self.wake(node, core);
        self.clients[number].connected(now_ms);
        self.drain_client(number);
        self.wake_client(number);
    }

    /// The next attempt goes to another node, if there is one.
    pub(crate) fn try_elsewhere(&mut self, number: usize) {
        let nodes = self.nodes.len();
        if nodes > 1 {
            self.clients[number].node = self.peering.net.place(nodes);
        }
    }

    /// The broker says who leads, or that nobody does: a client of several nodes goes there, or looks around.
    pub(crate) fn told_elsewhere(&mut self, number: usize, error: &ErrorFrame<'_>) {
        let nodes = self.nodes.len();
        if nodes == 1 || self.clients[number].moves {
            return;
        }
        let here = self.clients[number].node;
        match error.code {
            Code::MOVED if (1..=nodes as u64).contains(&error.hint) => {
                self.clients[number].node = error.hint as usize - 1;
            }
            Code::UNAVAILABLE if self.peering.net.one_in(4) => self.try_elsewhere(number),
            _ => return,
        }
        self.clients[number].moves = self.clients[number].node != here;
        self.tally.moves += u64::from(self.clients[number].moves);
    }

    /// The client closes its socket.
    pub(crate) fn client_hangs_up(&mut self, number: usize) {
        let Some(link_number) = self.clients[number].link.take() else {
            return;
        };
        self.tap_end(number);
        let now = self.queue.now();
        let Some(link) = self.links.get_mut(&link_number) else {
            return;
        };
        link.client_holds = false;
        if link.is_over() {
            self.links.remove(&link_number);
            return;
        }
        if link.up.is_dead {
            return;
        }
        // Its end behind what it sent, or a reset that overtakes it.
        let arrival = now + delay(&self.choices.net_delay, &mut self.dice.net);
        if self.dice.net.one_in(2) {
            let at = link.up.end(arrival);
            let event = Event::Arrive {
                link: link_number,
                up: true,
            };
            self.queue.at(at, event);
        } else {
            let event = Event::Break {
                link: link_number,
                server: true,
            };
            self.queue.at(arrival, event);
        }
    }
}
