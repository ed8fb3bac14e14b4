//! Which room channels this edge has open.
//!
//! A room may be known by name, by number or by both: each way has its own entry, and both hold the same channel.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use antiphon_protocol::{Code, Namespace, RoomId, RoomRef};
use hashbrown::HashMap;
use slab::Slab;

use super::names::{NameKey, NameQuery};
use crate::channel::{PublishBatch, RoomChannel};
use crate::core::HashState;
use crate::lane::RoomKey;
use crate::limits::{CHANNEL_IDLE_MS, CHANNEL_SWEEP_MAX, CHANNELS_MAX};

#[derive(Debug)]
pub(super) struct Channels {
    entries: Slab<Entry>,
    by_name: HashMap<NameKey, u32, HashState>,
    by_id: HashMap<(Namespace, RoomId), u32, HashState>,
    /// Each entry once, in the order in which they are looked at: idle ones go then.
    looks: VecDeque<Look>,
    /// Entries ever made.
    made: u64,
    /// Numbers the turns: the batches of this one still name their entries.
    gathering: u64,
    /// Entries in state Refused.
    refused: Vec<u32>,
}

/// When an entry is looked at.
#[derive(Clone, Copy, Debug)]
struct Look {
    at_ms: u64,
    key: u32,
    /// Tells the entries in one place apart.
    number: u64,
}

#[derive(Debug)]
struct Entry {
    /// Which of all entries ever made.
    number: u64,
    namespace: Namespace,
    room: RoomKey,
    state: ChannelState,
    /// When a publish was last taken for it.
    used_ms: u64,
    /// In which turn that was; <= Channels::gathering
    used_in: u64,
}

/// What is known of a channel.
#[derive(Debug)]
pub(super) enum ChannelState {
    /// Home was asked; these batches wait, in order.
    Opening(Vec<PublishBatch>),
    /// Here it is.
    Open(Arc<RoomChannel>),
    /// There is none, for this reason and with this hint; the entry goes with the next turn.
    Refused(Code, u64),
}

impl Channels {
    pub(super) fn new(hash: &HashState) -> Channels {
        Channels {
            entries: Slab::new(),
            by_name: HashMap::with_hasher(hash.clone()),
            by_id: HashMap::with_hasher(hash.clone()),
            looks: VecDeque::new(),
            made: 0,
            gathering: 0,
            refused: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry of a room that is in use from now on.
    pub(super) fn find(
        &mut self,
        namespace: Namespace,
        room: RoomRef<'_>,
        now_ms: u64,
    ) -> Option<u32> {
        let key = match room {
            RoomRef::Id(id) => self.by_id.get(&(namespace, id)).copied(),
            RoomRef::Name(name) => self
                .by_name
                .get(&NameQuery(namespace, name.as_bytes()))
                .copied(),
        }?;
        let entry = &mut self.entries[key as usize];
        (entry.used_ms, entry.used_in) = (now_ms, self.gathering);
        Some(key)
    }

    /// Adds an entry that is being opened; `None` if there are too many and no idle one is found.
    pub(super) fn add(&mut self, namespace: Namespace, room: RoomKey, now_ms: u64) -> Option<u32> {
        if self.entries.len() >= CHANNELS_MAX {
            self.sweep(now_ms);
            if self.entries.len() >= CHANNELS_MAX {
                return None;
            }
        }
        self.made += 1;
        let entry = Entry {
            number: self.made,
            namespace,
            room: room.clone(),
            state: ChannelState::Opening(Vec::new()),
            used_ms: now_ms,
            used_in: self.gathering,
        };
        let key = u32::try_from(self.entries.insert(entry)).expect("CHANNELS_MAX is a u32");
        match room {
            RoomKey::Id(id) => self.by_id.insert((namespace, id), key),
            RoomKey::Name(name) => self.by_name.insert(NameKey(namespace, name), key),
        };
        self.looks.push_back(Look {
            at_ms: now_ms + CHANNEL_IDLE_MS,
            key,
            number: self.made,
        });
        Some(key)
    }

    pub(super) fn state_mut(&mut self, key: u32) -> &mut ChannelState {
        &mut self.entries[key as usize].state
    }

    /// Home has answered: the batches that waited. `None`: nobody asked any more.
    pub(super) fn settle(
        &mut self,
        namespace: Namespace,
        room: &RoomKey,
        state: ChannelState,
    ) -> Option<Vec<PublishBatch>> {
        let key = match room {
            RoomKey::Id(id) => self.by_id.get(&(namespace, *id)).copied(),
            RoomKey::Name(name) => self
                .by_name
                .get(&NameQuery(namespace, name.as_bytes()))
                .copied(),
        }?;
        if matches!(state, ChannelState::Refused(..)) {
            self.refused.push(key);
        }
        match mem::replace(&mut self.entries[key as usize].state, state) {
            ChannelState::Opening(waiting) => Some(waiting),
            ChannelState::Open(_) | ChannelState::Refused(..) => Some(Vec::new()),
        }
    }

    /// When an entry is looked at next.
    pub(super) fn sweep_deadline(&self) -> Option<u64> {
        self.looks.front().map(|look| look.at_ms)
    }

    /// Lets go of channels that were not used for long: an entry is looked at once in CHANNEL_IDLE_MS, so it goes after twice that at most. A batch that
    /// is being collected names its entry, but one that is used in this turn is not idle.
    pub(super) fn sweep(&mut self, now_ms: u64) {
        for _ in 0..CHANNEL_SWEEP_MAX {
            let Some(look) = self.looks.pop_front_if(|look| look.at_ms <= now_ms) else {
                return;
            };
            let Some(entry) = self.entries.get(look.key as usize) else {
                continue;
            };
            if entry.number != look.number {
                continue;
            }
            let is_named = entry.used_in == self.gathering;
            let is_idle = !is_named && now_ms >= entry.used_ms + CHANNEL_IDLE_MS;
            if is_idle && !matches!(entry.state, ChannelState::Opening(_)) {
                self.remove(look.key as usize);
            } else {
                self.looks.push_back(Look {
                    at_ms: now_ms + CHANNEL_IDLE_MS,
                    ..look
                });
            }
        }
    }

    fn remove(&mut self, key: usize) {
        let entry = self.entries.remove(key);
        match entry.room {
            RoomKey::Id(id) => self.by_id.remove(&(entry.namespace, id)),
            RoomKey::Name(name) => self.by_name.remove(&NameKey(entry.namespace, name)),
        };
    }

    /// The batches of this turn have left: none names an entry. Those refused are forgotten, so that the next publish asks again.
    pub(super) fn batches_left(&mut self) {
        self.gathering += 1;
        for key in mem::take(&mut self.refused) {
            if matches!(
                self.entries.get(key as usize),
                Some(Entry {
                    state: ChannelState::Refused(..),
                    ..
                })
            ) {
                self.remove(key as usize);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: Namespace = Namespace(0);

    fn add(channels: &mut Channels, room: u64, now_ms: u64) -> Option<u32> {
        channels.add(NAMESPACE, RoomKey::Id(RoomId(room)), now_ms)
    }

    #[test]
    fn channels_are_limited_and_idle_ones_make_room() {
        let mut channels = Channels::new(&HashState::fixed());
        for room in 1..=CHANNELS_MAX as u64 {
            let key = add(&mut channels, room, 0).unwrap();
            *channels.state_mut(key) = ChannelState::Refused(Code::NOT_FOUND, 0);
        }
        channels.batches_left();
        assert_eq!(
            add(&mut channels, 1 << 40, CHANNEL_IDLE_MS - 1),
            None,
            "none is idle"
        );
        assert!(
            channels
                .find(NAMESPACE, RoomRef::Id(RoomId(1)), CHANNEL_IDLE_MS)
                .is_some()
        );
        assert!(add(&mut channels, 1 << 40, CHANNEL_IDLE_MS).is_some());
        assert!(
            channels
                .find(NAMESPACE, RoomRef::Id(RoomId(1)), CHANNEL_IDLE_MS)
                .is_some(),
            "it was in use"
        );
    }

    #[test]
    fn a_channel_that_is_being_opened_is_not_let_go() {
        let mut channels = Channels::new(&HashState::fixed());
        let _ = add(&mut channels, 1, 0);
        channels.sweep(10 * CHANNEL_IDLE_MS);
        assert_eq!(channels.len(), 1);
    }

    #[test]
    fn a_channel_that_a_gathered_batch_names_stays_however_long_the_turn_takes() {
        let mut channels = Channels::new(&HashState::fixed());
        let key = add(&mut channels, 1, 0).unwrap();
        *channels.state_mut(key) = ChannelState::Refused(Code::NOT_FOUND, 0);
        channels.sweep(CHANNEL_IDLE_MS);
        assert_eq!(channels.len(), 1);
    }

    #[test]
    fn every_idle_channel_goes_in_time_however_many_there_are() {
        let mut channels = Channels::new(&HashState::fixed());
        let count = 10 * CHANNEL_SWEEP_MAX as u64;
        for room in 1..=count {
            let key = add(&mut channels, room, room).unwrap();
            *channels.state_mut(key) = ChannelState::Refused(Code::NOT_FOUND, 0);
        }
        let used = CHANNEL_IDLE_MS - 1;
        let _ = channels.find(NAMESPACE, RoomRef::Id(RoomId(7)), used);
        channels.batches_left();
        let mut sweeps = 0;
        while let Some(at_ms) = channels.sweep_deadline() {
            channels.sweep(at_ms);
            sweeps += 1;
            assert!(at_ms <= used + 2 * CHANNEL_IDLE_MS, "{at_ms}");
            let is_kept = channels.by_id.contains_key(&(NAMESPACE, RoomId(7)));
            assert_eq!(is_kept, at_ms < used + CHANNEL_IDLE_MS, "at {at_ms}");
        }
        assert_eq!(channels.len(), 0);
        assert!(sweeps <= count + 1, "an entry is looked at when it is due");
    }
}
