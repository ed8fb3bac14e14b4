//! What the broker has sent, counted along, to be compared with its own count (docs/protocol.md, PONG).

use std::collections::BTreeMap;

use antiphon_protocol::{PongDigest, RequestId, RoomId, Seq, position_digest};

/// The rooms of a connection, as the broker counts them: from SUBSCRIBED to its own UNSUBSCRIBE or the OK to ours.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rooms: BTreeMap<RoomId, Counted>,
    by_subscribe: BTreeMap<RequestId, RoomId>,
}

#[derive(Debug)]
struct Counted {
    /// The last record or end of a gap; before the first one, what precedes it.
    seq: Seq,
    /// The SUBSCRIBE that counts.
    by: RequestId,
}

impl Tally {
    /// A SUBSCRIBED with a room.
    pub(crate) fn on_subscribed(&mut self, id: RequestId, room: RoomId, next: Seq) {
        let counted = Counted {
            seq: next.previous(),
            by: id,
        };
        if let Some(before) = self.rooms.insert(room, counted) {
            self.by_subscribe.remove(&before.by);
        }
        self.by_subscribe.insert(id, room);
    }

    /// A RECORD with this seq, or a GAP up to it.
    pub(crate) fn on_seq(&mut self, room: RoomId, seq: Seq) {
        if let Some(counted) = self.rooms.get_mut(&room) {
            counted.seq = seq;
        }
    }

    /// The broker has ended the subscription.
    pub(crate) fn on_ended(&mut self, room: RoomId) {
        if let Some(counted) = self.rooms.remove(&room) {
            self.by_subscribe.remove(&counted.by);
        }
    }

    /// The OK to an UNSUBSCRIBE with this id. A subscription that was asked for behind it goes on.
    pub(crate) fn on_left(&mut self, room: RoomId, id: RequestId) {
        if self.rooms.get(&room).is_some_and(|counted| counted.by < id) {
            self.on_ended(room);
        }
    }

    /// As [`Tally::on_left`], of a room that was only asked for when it was left.
    pub(crate) fn on_left_early(&mut self, subscribe: RequestId) {
        if let Some(room) = self.by_subscribe.get(&subscribe).copied() {
            self.on_ended(room);
        }
    }

    /// Whether the broker has counted the same.
    pub(crate) fn agrees(&self, told: &PongDigest) -> bool {
        let digest = self.rooms.iter().fold(0, |digest, (room, counted)| {
            digest ^ position_digest(*room, counted.seq)
        });
        told.digest == digest && told.rooms as usize == self.rooms.len()
    }
}
