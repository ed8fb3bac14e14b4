//! The channels of one partition's rooms: one per room, made on first use, gone with its last holder.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};

use crate::channel::RoomChannel;
use crate::core::CoreId;
use crate::home::state::Named;

/// Entries below which nobody looks for dead ones.
const SWEEP_MIN: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    map: BTreeMap<Named, Weak<RoomChannel>>,
    /// How many entries were alive after the last sweep.
    alive: usize,
}

impl Channels {
    /// The channel of this room, made if there is none.
    pub(crate) fn open(&mut self, named: Named, home: CoreId) -> Arc<RoomChannel> {
        if let Some(channel) = self.map.get(&named).and_then(Weak::upgrade) {
            return channel;
        }
        if self.map.len() >= SWEEP_MIN.max(2 * self.alive) {
            self.map.retain(|_, channel| channel.strong_count() > 0);
            self.alive = self.map.len();
        }
        let channel = RoomChannel::new(named.0, named.1.clone(), home);
        self.map.insert(named, Arc::downgrade(&channel));
        channel
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use antiphon_protocol::{Namespace, RoomName};

    use super::*;

    fn named(number: usize) -> Named {
        (
            Namespace(0),
            RoomName::try_from(format!("room {number}").as_str()).expect("lawful"),
        )
    }

    #[test]
    fn a_room_has_one_channel_as_long_as_anybody_holds_it_and_dead_ones_are_swept() {
        let mut channels = Channels::default();
        let held: Vec<_> = (0..10)
            .map(|number| channels.open(named(number), CoreId(0)))
            .collect();
        for number in 10..1_000 {
            drop(channels.open(named(number), CoreId(0)));
        }
        assert!(
            channels.map.len() <= SWEEP_MIN,
            "{} entries",
            channels.map.len()
        );
        for (number, channel) in held.iter().enumerate() {
            assert!(Arc::ptr_eq(
                channel,
                &channels.open(named(number), CoreId(0))
            ));
        }
    }
}
