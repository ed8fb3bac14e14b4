//! What goes wrong between nodes: peerings break, ways are cut in one direction or both, in silence or with notice, one node is left alone.

use super::queue::{Event, SECOND};
use super::world::World;

impl World {
    pub(crate) fn on_peer_trouble(&mut self) {
        if self.is_calm {
            return;
        }
        let nodes = self.nodes.len();
        let net = &mut self.peering.net;
        let wait = net.waiting(2 * SECOND).max(1);
        let (one, other) = (net.place(nodes), net.place(nodes));
        let is_silent = net.one_in(2);
        let what = net.below(8);
        self.queue.after(wait, Event::PeerTrouble);
        if one == other {
            return;
        }
        let now = self.queue.now();
        match what {
            0 | 1 => self.reset_peer(one, other),
            2 => self.cut_peer(one, other, is_silent),
            3 => {
                self.cut_peer(one, other, is_silent);
                self.cut_peer(other, one, is_silent);
            }
            4 => {
                for other in (0..nodes).filter(|other| *other != one) {
                    self.cut_peer(one, other, is_silent);
                    self.cut_peer(other, one, is_silent);
                }
            }
            _ => self.peering.heal(),
        }
        self.tally.peer_troubles += 1;
        self.trace
            .line(now, || format!("peers {one} and {other}: trouble {what}"));
    }
}
