//! Numbers with a meaning. Two bare `u64` in one signature are a bug waiting.

use xxhash_rust::xxh3::xxh3_64;

use crate::limits::{PRODUCER_AGE_MS_MAX, ROOM_NAME_BYTES_MAX};
use crate::names::RoomName;

/// A number that is its own type, and is shown as a number.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub $inner);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}
pub(crate) use id;

id!(
    /// Position of a record in its room, dense from 1: a reader can prove that nothing is missing.
    Seq(u64)
);
id!(
    /// How many records of kind 0 a room has up to some seq; unread = head count - count of the cursor.
    Count(u64)
);
id!(
    /// Rolling hash of a room's records up to a seq. [`Link::start`] is the link before the first record.
    Link(u64)
);
id!(
    /// A room, for ever: its slot in the upper 12 bits, a counter of that slot (from 1) in the lower 52. 0: no room.
    RoomId(u64)
);
id!(
    /// Hash class of a room's name, 0..4096.
    Slot(u16)
);
id!(
    /// Tenant: room names and user names are unique within one.
    Namespace(u32)
);
id!(
    /// A session's identity for publishing, drawn by the server: birth (42 bits of ms since the epoch), 22 random bits.
    Producer(u64)
);
id!(
    /// Number of a publish, dense from 1 per (producer, room).
    ProducerSeq(u64)
);
id!(
    /// Tells one user's devices apart.
    Device(u32)
);
id!(
    /// A broker process.
    NodeId(u32)
);
id!(
    /// Milliseconds since the Unix epoch.
    Timestamp(u64)
);
id!(
    /// Ties an answer to its request; chosen by the requester, 0 on pushes.
    RequestId(u64)
);

impl Seq {
    /// Before the first record.
    pub const ZERO: Seq = Seq(0);
    /// The first record of a room.
    pub const FIRST: Seq = Seq(1);
    /// The last seq there can ever be, so that an exclusive end behind it exists. A gap up to here has no known end.
    pub const LAST: Seq = Seq(u64::MAX - 1);

    /// The seq that follows. Stays at the end of the numbers, which no room reaches.
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }

    /// The seq before; 0 stays 0.
    #[must_use]
    pub const fn previous(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }
}

impl ProducerSeq {
    /// The first number of a producer in a room.
    pub const FIRST: ProducerSeq = ProducerSeq(1);

    /// The number that follows.
    #[must_use]
    pub const fn next(self) -> ProducerSeq {
        ProducerSeq(self.0.saturating_add(1))
    }
}

impl RequestId {
    /// The id of what nobody asked for.
    pub const PUSH: RequestId = RequestId(0);
}

impl Slot {
    /// How many slots there are.
    pub const COUNT: u16 = 4_096;

    /// The slot of a room name: xxh3_64(namespace le, 0x00, name) >> 52, for ever.
    #[must_use]
    pub fn of(namespace: Namespace, name: &RoomName) -> Slot {
        Slot::of_bytes(namespace, name.as_bytes())
    }

    /// [`Slot::of`] for a name that was checked elsewhere.
    #[must_use]
    pub fn of_bytes(namespace: Namespace, name: &[u8]) -> Slot {
        let mut buffer = [0_u8; 5 + ROOM_NAME_BYTES_MAX];
        let mut length = 0_usize;
        let input = namespace
            .0
            .to_le_bytes()
            .into_iter()
            .chain([0])
            .chain(name.iter().copied());
        for (place, byte) in buffer.iter_mut().zip(input) {
            *place = byte;
            length = length.saturating_add(1);
        }
        debug_assert!(
            name.len() <= ROOM_NAME_BYTES_MAX,
            "INV-PROTO-1: a name longer than any lawful one"
        );
        let hash = xxh3_64(buffer.get(..length).unwrap_or_default());
        Slot((hash >> RoomId::COUNTER_BITS) as u16)
    }
}

impl RoomId {
    /// Bits of the counter; the slot stands above them.
    pub const COUNTER_BITS: u32 = 52;
    /// Largest counter of a slot.
    pub const COUNTER_MAX: u64 = (1 << Self::COUNTER_BITS) - 1;

    /// The room number `counter` of `slot`; `None` if the counter is 0 or needs more than 52 bits, or no such slot is.
    #[must_use]
    pub const fn new(slot: Slot, counter: u64) -> Option<RoomId> {
        if slot.0 >= Slot::COUNT || counter == 0 || counter > Self::COUNTER_MAX {
            return None;
        }
        Some(RoomId(((slot.0 as u64) << Self::COUNTER_BITS) | counter))
    }

    /// The slot whose counter gave this id.
    #[must_use]
    pub const fn slot(self) -> Slot {
        Slot((self.0 >> Self::COUNTER_BITS) as u16)
    }

    /// The number within the slot, from 1.
    #[must_use]
    pub const fn counter(self) -> u64 {
        self.0 & Self::COUNTER_MAX
    }
}

impl Link {
    /// The link before a room's first record: xxh3_64(room id le).
    #[must_use]
    pub fn start(room: RoomId) -> Link {
        Link(xxh3_64(&room.0.to_le_bytes()))
    }
}

impl Producer {
    /// Bits of the random part; the birth stands above them.
    pub const RANDOM_BITS: u32 = 22;
    const BIRTH_MAX: u64 = (1 << (64 - Self::RANDOM_BITS)) - 1;
    const RANDOM_MAX: u32 = (1 << Self::RANDOM_BITS) - 1;

    /// A producer born at `birth`; only the lower 22 bits of `random` and 42 bits of `birth` are used.
    #[must_use]
    pub const fn new(birth: Timestamp, random: u32) -> Producer {
        Producer(
            ((birth.0 & Self::BIRTH_MAX) << Self::RANDOM_BITS) | (random & Self::RANDOM_MAX) as u64,
        )
    }

    /// When it was drawn, by the server's clock.
    #[must_use]
    pub const fn birth(self) -> Timestamp {
        Timestamp(self.0 >> Self::RANDOM_BITS)
    }

    /// Whether it may publish for the first time in a room of a partition whose time is `time`, and that has forgotten
    /// producers born up to `forgotten` (0: none).
    ///
    /// A producer whose state has left must never start afresh, for a retry would then take effect a second time: its
    /// birth is at or below `forgotten`. Age alone does not tell: the partition's time never falls, so a clock that was
    /// years ahead once would make every new producer look old. One born far ahead would stay for as long: it is refused.
    #[must_use]
    pub const fn may_start(self, forgotten: Timestamp, time: Timestamp) -> bool {
        let birth = self.birth().0;
        birth > forgotten.0 && birth <= time.0.saturating_add(PRODUCER_AGE_MS_MAX)
    }

    /// Last partition time at which its state in a room, last used at `last_use`, must still be there.
    #[must_use]
    pub const fn kept_until(self, last_use: Timestamp) -> Timestamp {
        let birth = self.birth().0;
        let from = if last_use.0 > birth {
            last_use.0
        } else {
            birth
        };
        Timestamp(from.saturating_add(PRODUCER_AGE_MS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_id_is_its_slot_and_its_counter() {
        let room = RoomId::new(Slot(0xABC), 0x123).unwrap();
        assert_eq!(room, RoomId(0xABC0_0000_0000_0123));
        assert_eq!((room.slot(), room.counter()), (Slot(0xABC), 0x123));
        assert_eq!(
            RoomId::new(Slot(4_095), RoomId::COUNTER_MAX),
            Some(RoomId(u64::MAX))
        );
        assert_eq!(RoomId::new(Slot(4_096), 1), None);
        assert_eq!(RoomId::new(Slot(0), 0), None);
        assert_eq!(RoomId::new(Slot(0), RoomId::COUNTER_MAX + 1), None);
    }

    #[test]
    fn a_slot_depends_on_the_namespace_and_lies_below_the_count() {
        let name = RoomName::try_from("lobby").unwrap();
        let slots: std::vec::Vec<Slot> =
            (0..1_000).map(|n| Slot::of(Namespace(n), &name)).collect();
        assert!(slots.iter().all(|slot| slot.0 < Slot::COUNT));
        assert_ne!(slots[0], slots[1]);
    }

    #[test]
    fn a_producer_keeps_its_birth_and_only_22_random_bits() {
        let producer = Producer::new(Timestamp(1_767_323_045_678), u32::MAX);
        assert_eq!(producer.birth(), Timestamp(1_767_323_045_678));
        assert_eq!(producer.0 & 0x3F_FFFF, 0x3F_FFFF);
        assert_eq!(
            Producer::new(Timestamp(u64::MAX), 0).birth(),
            Timestamp((1 << 42) - 1)
        );
    }

    #[test]
    fn a_producer_whose_state_has_left_never_starts_again() {
        let now = 1_767_323_045_678;
        let week = PRODUCER_AGE_MS_MAX;
        for birth in [
            now - 2 * week,
            now - week,
            now - 1,
            now,
            now + 1,
            now + week,
            now + 2 * week,
        ] {
            let producer = Producer::new(Timestamp(birth), 0);
            for last_use in [now, now + 1, now + week] {
                let left = Timestamp(producer.kept_until(Timestamp(last_use)).0 + 1);
                assert!(
                    !producer.may_start(producer.birth(), left),
                    "born {birth}, used {last_use}"
                );
            }
        }
    }

    #[test]
    fn a_producer_may_start_if_it_is_younger_than_all_forgotten_ones_and_not_of_the_future() {
        let now = 1_767_323_045_678;
        let week = PRODUCER_AGE_MS_MAX;
        let may_start = |birth: u64, forgotten: u64| {
            Producer::new(Timestamp(birth), 0).may_start(Timestamp(forgotten), Timestamp(now))
        };
        assert!(may_start(1, 0) && !may_start(0, 0));
        assert!(may_start(now, 0) && may_start(now + week, 0) && !may_start(now + week + 1, 0));
        assert!(may_start(now - week, now - week - 1) && !may_start(now - week, now - week));
        assert!(Producer(u64::MAX).may_start(Timestamp(0), Timestamp(u64::MAX)));
    }

    #[test]
    fn positions_stay_at_the_ends_of_their_numbers() {
        assert_eq!(Seq(7).next(), Seq(8));
        assert_eq!(Seq(u64::MAX).next(), Seq(u64::MAX));
        assert_eq!(
            (Seq(1).previous(), Seq::ZERO.previous()),
            (Seq::ZERO, Seq::ZERO)
        );
        assert_eq!(ProducerSeq(u64::MAX).next(), ProducerSeq(u64::MAX));
    }
}
