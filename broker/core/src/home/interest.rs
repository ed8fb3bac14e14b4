//! Which edges want which rooms of one partition.
//!
//! An edge is in here once per room, however many subscribers it has. Rooms that do not exist yet are wanted by name, and the edges move over when
//! they are created. Each interest remembers the newest grant, so that an edge's farewell that crossed a new grant is ignored.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use antiphon_protocol::RoomId;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::core::CoreId;
use crate::home::state::Named;
use crate::lane::Grant;

/// The edges of one room, ascending, with their newest grants.
type Edges = Vec<(CoreId, Grant)>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Interest {
    rooms: HashMap<RoomId, Edges, FixedState>,
    names: BTreeMap<Named, Edges>,
}

impl Interest {
    pub(crate) fn new(seed: u64) -> Interest {
        Interest {
            rooms: HashMap::with_hasher(FixedState::with_seed(seed)),
            names: BTreeMap::new(),
        }
    }

    /// `edge` wants `room`.
    pub(crate) fn want_room(&mut self, room: RoomId, edge: CoreId, grant: Grant) {
        note(self.rooms.entry(room).or_default(), edge, grant);
    }

    /// `edge` waits for the room of this name.
    pub(crate) fn want_name(&mut self, named: Named, edge: CoreId, grant: Grant) {
        note(self.names.entry(named).or_default(), edge, grant);
    }

    /// `edge` wants `room` no more, unless it was granted something newer.
    pub(crate) fn leave_room(&mut self, room: RoomId, edge: CoreId, grant: Grant) {
        if let Some(edges) = self.rooms.get_mut(&room) {
            forget(edges, edge, grant);
            if edges.is_empty() {
                self.rooms.remove(&room);
            }
        }
    }

    /// As [`leave_room`](Self::leave_room), for a room that does not exist.
    pub(crate) fn leave_name(&mut self, named: &Named, edge: CoreId, grant: Grant) {
        if let Some(edges) = self.names.get_mut(named) {
            forget(edges, edge, grant);
            if edges.is_empty() {
                self.names.remove(named);
            }
        }
    }

    /// The edges that want `room`, ascending.
    pub(crate) fn edges(&self, room: RoomId) -> impl Iterator<Item = CoreId> {
        self.rooms
            .get(&room)
            .into_iter()
            .flatten()
            .map(|(edge, _)| *edge)
    }

    /// Takes the edges that wait for this name.
    pub(crate) fn take_name(&mut self, named: &Named) -> Edges {
        self.names.remove(named).unwrap_or_default()
    }

    /// Takes all rooms with the edges that want them, ascending.
    pub(crate) fn take_rooms(&mut self) -> Vec<(RoomId, CoreId)> {
        let rooms = self.rooms.drain();
        let mut all: Vec<(RoomId, CoreId)> = rooms
            .flat_map(|(room, edges)| edges.into_iter().map(move |(edge, _)| (room, edge)))
            .collect();
        all.sort_unstable();
        all
    }

    /// Takes all names of rooms that do not exist with the edges that wait for them, ascending.
    pub(crate) fn take_names(&mut self) -> impl Iterator<Item = (Named, CoreId)> {
        core::mem::take(&mut self.names)
            .into_iter()
            .flat_map(|(named, edges)| {
                edges
                    .into_iter()
                    .map(move |(edge, _)| (named.clone(), edge))
            })
    }
}

fn note(edges: &mut Edges, edge: CoreId, grant: Grant) {
    match edges.binary_search_by_key(&edge, |(edge, _)| *edge) {
        Ok(at) => edges[at].1 = grant,
        Err(at) => edges.insert(at, (edge, grant)),
    }
}

fn forget(edges: &mut Edges, edge: CoreId, grant: Grant) {
    edges.retain(|(known, newest)| *known != edge || *newest > grant);
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::{Namespace, RoomName};

    use super::*;

    #[test]
    fn a_farewell_that_crossed_a_new_grant_is_ignored() {
        let mut interest = Interest::new(0);
        interest.want_room(RoomId(1), CoreId(2), Grant(1));
        interest.want_room(RoomId(1), CoreId(0), Grant(2));
        interest.want_room(RoomId(1), CoreId(2), Grant(3));
        interest.leave_room(RoomId(1), CoreId(2), Grant(1));
        assert_eq!(
            interest.edges(RoomId(1)).collect::<Vec<_>>(),
            [CoreId(0), CoreId(2)]
        );
        interest.leave_room(RoomId(1), CoreId(2), Grant(3));
        assert_eq!(interest.edges(RoomId(1)).collect::<Vec<_>>(), [CoreId(0)]);
    }

    #[test]
    fn edges_that_wait_for_a_name_are_taken_once() {
        let mut interest = Interest::new(0);
        let named = (Namespace(0), RoomName::try_from("tea").expect("lawful"));
        interest.want_name(named.clone(), CoreId(1), Grant(1));
        interest.leave_name(&named, CoreId(1), Grant(0));
        assert_eq!(interest.take_name(&named), [(CoreId(1), Grant(1))]);
        assert_eq!(interest.take_name(&named), []);
    }
}
