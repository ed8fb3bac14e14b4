//! What the network brings: bytes, ends, and the news that a connection is gone.

use super::link::Stage;
use super::queue::{Event, Micros};
use super::random::Random;
use super::world::World;

impl World {
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
    pub(crate) fn make_readable(&mut self, number: u64) {
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
pub(crate) fn delay(net_delay: &(Micros, Micros), net: &mut Random) -> Micros {
    1 + net_delay.0 + net.waiting(net_delay.1)
}
