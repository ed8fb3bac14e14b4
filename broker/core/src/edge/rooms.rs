//! Which rooms have subscribers here, and how far each subscriber is.
//!
//! ```text
//!             created                 ends_at_apply
//!   Waiting ──────────▶ Live ◀──────────────────────── Behind
//!                         └────────────────────────────▶
//!                           jump in seq, or outbox full
//! ```
//! The subscribers that are live stand in one dense list per room, 16 bytes each, so that a fan-out walks memory in order. A subscriber holds no queue:
//! it is a position, and the bytes on their way are in its connection's outbox.

use alloc::vec::Vec;

use antiphon_protocol::{Namespace, RequestId, RoomId, RoomName, RoomRef, Seq, Wants};
use hashbrown::HashMap;
use slab::Slab;

use super::names::{NameKey, NameQuery};
use crate::core::{ConnId, CoreId, HashState};
use crate::lane::{Grant, RoomKey, Ticket};

/// A room that has subscribers here.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) namespace: Namespace,
    pub(super) name: RoomName,
    /// `None`: not created yet; then all subscribers wait, else none does.
    pub(super) id: Option<RoomId>,
    pub(super) home: CoreId,
    /// The newest that home has given for the room.
    pub(super) grant: Grant,
    /// All records below are known here to be applied.
    pub(super) apply_end: Seq,
    pub(super) live: Vec<Live>,
    /// Keys of the subscribers that wait for the room to be created.
    waiting: Vec<u32>,
    /// Keys of the subscribers that are behind.
    behind: Vec<u32>,
    /// Deliveries of the room that wait in the fan-out queue.
    pub(super) backlog: u32,
    /// How many of its subscribers want signals.
    pub(super) listeners: u32,
    /// How many of them want to know when cursors move.
    pub(super) followers: u32,
}

/// A subscriber that gets each record as it is applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Live {
    /// Slot of its connection.
    pub(super) slot: u32,
    /// Its key.
    pub(super) sub: u32,
    /// The first seq it was not given.
    pub(super) next: Seq,
}

const _: () = assert!(size_of::<Live>() == 16, "four subscribers in a cache line");

/// One subscription.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sub {
    pub(super) conn: ConnId,
    pub(super) room: u32,
    pub(super) ticket: Ticket,
    /// Place in the list of its connection.
    pub(super) at_in_conn: u32,
    /// What it wants besides records.
    pub(super) wants: Wants,
    /// It stands in the list of those that have to be told what they lost.
    pub(super) is_owed: bool,
    /// Signals lost since the last one that was sent.
    pub(super) dropped: u32,
    pub(super) state: SubState,
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SubState {
    /// The room does not exist.
    Waiting {
        /// Of the SUBSCRIBE, which is answered a second time.
        request: RequestId,
        /// Place in the room's list of those.
        at: u32,
    },
    /// Reads what others had already.
    Behind {
        /// The first seq it was not given.
        next: Seq,
        /// Place in the room's list of those.
        at: u32,
    },
    /// Place in the room's list of live ones.
    Live { at: u32 },
}

/// The rooms and subscriptions of one edge.
#[derive(Debug)]
pub(super) struct Rooms {
    rooms: Slab<Room>,
    subs: Slab<Sub>,
    by_id: HashMap<RoomId, u32, HashState>,
    by_name: HashMap<NameKey, u32, HashState>,
    /// Of connections with many subscriptions only.
    by_ticket: HashMap<Ticket, u32, HashState>,
    /// (slot of the connection, room): at most one subscription. Of connections with many only.
    by_conn: HashMap<(u32, u32), u32, HashState>,
}

impl Rooms {
    pub(super) fn new(hash: &HashState) -> Rooms {
        Rooms {
            rooms: Slab::new(),
            subs: Slab::new(),
            by_id: HashMap::with_hasher(hash.clone()),
            by_name: HashMap::with_hasher(hash.clone()),
            by_ticket: HashMap::with_hasher(hash.clone()),
            by_conn: HashMap::with_hasher(hash.clone()),
        }
    }

    pub(super) fn room(&self, room: u32) -> &Room {
        &self.rooms[room as usize]
    }

    pub(super) fn room_mut(&mut self, room: u32) -> &mut Room {
        &mut self.rooms[room as usize]
    }

    pub(super) fn sub(&self, sub: u32) -> &Sub {
        &self.subs[sub as usize]
    }

    pub(super) fn sub_mut(&mut self, sub: u32) -> &mut Sub {
        &mut self.subs[sub as usize]
    }

    pub(super) fn subscriptions(&self) -> usize {
        self.subs.len()
    }

    pub(super) fn rooms(&self) -> usize {
        self.rooms.len()
    }

    pub(super) fn find_id(&self, id: RoomId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The room as a client of `namespace` names it.
    pub(super) fn find(&self, namespace: Namespace, room: RoomRef<'_>) -> Option<u32> {
        match room {
            RoomRef::Id(id) => self
                .find_id(id)
                .filter(|&room| self.room(room).namespace == namespace),
            RoomRef::Name(name) => self.find_name(namespace, name),
        }
    }

    pub(super) fn find_name(&self, namespace: Namespace, name: &str) -> Option<u32> {
        self.by_name
            .get(&NameQuery(namespace, name.as_bytes()))
            .copied()
    }

    /// The room, entered if it has no subscriber here yet.
    pub(super) fn enter(&mut self, namespace: Namespace, name: &RoomName, home: CoreId) -> u32 {
        let key = NameKey(namespace, name.clone());
        if let Some(&room) = self.by_name.get(&key) {
            return room;
        }
        let room = key_of(self.rooms.insert(Room {
            namespace,
            name: name.clone(),
            id: None,
            home,
            grant: Grant(0),
            apply_end: Seq::FIRST,
            live: Vec::new(),
            waiting: Vec::new(),
            behind: Vec::new(),
            backlog: 0,
            listeners: 0,
            followers: 0,
        }));
        self.by_name.insert(key, room);
        room
    }

    /// The room has been created, or was when its first subscriber came.
    pub(super) fn set_id(&mut self, room: u32, id: RoomId) {
        let entry = &mut self.rooms[room as usize];
        assert!(
            entry.id.is_none_or(|known| known == id),
            "INV-EDGE-4: a room changed its number"
        );
        if entry.id.is_none() {
            entry.id = Some(id);
            self.by_id.insert(id, room);
        }
    }

    /// Whether the subscription is still that of this ticket.
    pub(super) fn is_current(&self, sub: u32, ticket: Ticket) -> bool {
        self.subs
            .get(sub as usize)
            .is_some_and(|entry| entry.ticket == ticket)
    }

    /// Makes subscriptions known to [`Rooms::by_ticket`] and [`Rooms::of_conn`], if they are not.
    pub(super) fn index(&mut self, subs: &[u32]) {
        for &sub in subs {
            let Sub {
                conn, room, ticket, ..
            } = self.subs[sub as usize];
            let twin = self.by_conn.insert((conn.slot, room), sub);
            assert!(
                twin.is_none_or(|twin| twin == sub),
                "INV-EDGE-5: two subscriptions of one connection to one room"
            );
            self.by_ticket.insert(ticket, sub);
        }
    }

    /// The subscription with this ticket, if it was indexed.
    pub(super) fn by_ticket(&self, ticket: Ticket) -> Option<u32> {
        self.by_ticket.get(&ticket).copied()
    }

    /// The subscription of a connection to a room, if it was indexed.
    pub(super) fn of_conn(&self, slot: u32, room: u32) -> Option<u32> {
        self.by_conn.get(&(slot, room)).copied()
    }

    /// Adds a subscription that is behind at `next`.
    pub(super) fn add(
        &mut self,
        conn: ConnId,
        room: u32,
        ticket: Ticket,
        at_in_conn: u32,
        wants: Wants,
        next: Seq,
    ) -> u32 {
        let state = SubState::Behind { next, at: 0 };
        let sub = key_of(self.subs.insert(Sub {
            conn,
            room,
            ticket,
            at_in_conn,
            wants,
            is_owed: false,
            dropped: 0,
            state,
        }));
        self.rooms[room as usize].listeners += u32::from(wants.signals);
        self.rooms[room as usize].followers += u32::from(wants.cursors);
        self.enter_behind(sub, next);
        sub
    }

    /// Takes a subscription out; its room stays, maybe empty.
    pub(super) fn remove(&mut self, sub: u32) -> Sub {
        self.leave_state(sub);
        let gone = self.subs.remove(sub as usize);
        self.rooms[gone.room as usize].listeners -= u32::from(gone.wants.signals);
        self.rooms[gone.room as usize].followers -= u32::from(gone.wants.cursors);
        self.by_conn.remove(&(gone.conn.slot, gone.room));
        self.by_ticket.remove(&gone.ticket);
        gone
    }

    /// From Behind: everything up to `next` was given, and what follows comes by fan-out.
    pub(super) fn become_live(&mut self, sub: u32, next: Seq) {
        self.leave_state(sub);
        let Sub { conn, room, .. } = self.subs[sub as usize];
        let live = &mut self.rooms[room as usize].live;
        live.push(Live {
            slot: conn.slot,
            sub,
            next,
        });
        self.subs[sub as usize].state = SubState::Live {
            at: key_of(live.len() - 1),
        };
    }

    /// Records from `next` on must be fetched.
    pub(super) fn become_behind(&mut self, sub: u32, next: Seq) {
        self.leave_state(sub);
        self.enter_behind(sub, next);
    }

    fn enter_behind(&mut self, sub: u32, next: Seq) {
        let room = self.subs[sub as usize].room;
        let behind = &mut self.rooms[room as usize].behind;
        behind.push(sub);
        self.subs[sub as usize].state = SubState::Behind {
            next,
            at: key_of(behind.len() - 1),
        };
    }

    /// The room does not exist yet.
    pub(super) fn become_waiting(&mut self, sub: u32, request: RequestId) {
        self.leave_state(sub);
        let room = self.subs[sub as usize].room;
        let waiting = &mut self.rooms[room as usize].waiting;
        waiting.push(sub);
        self.subs[sub as usize].state = SubState::Waiting {
            request,
            at: key_of(waiting.len() - 1),
        };
    }

    /// Those who wait for the room, oldest first.
    pub(super) fn waiting(&self, room: u32) -> Vec<u32> {
        self.room(room).waiting.clone()
    }

    /// All subscribers of the room.
    pub(super) fn members(&self, room: u32) -> Vec<u32> {
        let room = self.room(room);
        room.live
            .iter()
            .map(|live| live.sub)
            .chain(room.behind.iter().copied())
            .chain(room.waiting.iter().copied())
            .collect()
    }

    /// Those that are behind.
    pub(super) fn behind(&self, room: u32) -> &[u32] {
        &self.room(room).behind
    }

    /// Takes the room out if it has no subscriber.
    pub(super) fn forget_empty(
        &mut self,
        room: u32,
    ) -> Option<(Namespace, RoomKey, Grant, CoreId)> {
        let entry = self.room(room);
        if !entry.live.is_empty() || !entry.waiting.is_empty() || !entry.behind.is_empty() {
            return None;
        }
        let entry = self.rooms.remove(room as usize);
        if let Some(id) = entry.id {
            self.by_id.remove(&id);
        }
        self.by_name
            .remove(&NameKey(entry.namespace, entry.name.clone()));
        let key = entry.id.map_or(RoomKey::Name(entry.name), RoomKey::Id);
        Some((entry.namespace, key, entry.grant, entry.home))
    }

    /// Takes the subscription out of the list that its state stands in; it is in none then.
    fn leave_state(&mut self, sub: u32) {
        let Sub { room, state, .. } = self.subs[sub as usize];
        let room = &mut self.rooms[room as usize];
        match state {
            SubState::Behind { at, .. } => {
                room.behind.swap_remove(at as usize);
                if let Some(&moved) = room.behind.get(at as usize)
                    && let SubState::Behind { at: place, .. } = &mut self.subs[moved as usize].state
                {
                    *place = at;
                }
            }
            SubState::Waiting { at, .. } => {
                room.waiting.swap_remove(at as usize);
                if let Some(&moved) = room.waiting.get(at as usize)
                    && let SubState::Waiting { at: place, .. } =
                        &mut self.subs[moved as usize].state
                {
                    *place = at;
                }
            }
            SubState::Live { at } => {
                room.live.swap_remove(at as usize);
                if let Some(moved) = room.live.get(at as usize) {
                    self.subs[moved.sub as usize].state = SubState::Live { at };
                }
            }
        }
    }
}

fn key_of(key: usize) -> u32 {
    u32::try_from(key).expect("rooms and subscriptions are bounded by connections times their limit, far below 2^32 in memory")
}
