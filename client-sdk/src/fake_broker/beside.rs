//! What rides beside the records in the model: signals, cursors, digests, metadata.

use antiphon_protocol::{
    Code, Count, Cursor, CursorAnswer, CursorEntry, CursorMoved, CursorPosition, ErrorFrame,
    Metadata, MetadataNode, NodeId, Ok_, Pong, PongDigest, RequestId, RoomId, RoomRef, Signal,
    SignalContent, SignalPush, Wants, position_digest,
};

use crate::fake_broker::{Broker, Connection};

/// A frame for every subscription of a room that wants such.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) room: RoomId,
    pub(crate) frame: Vec<u8>,
    pub(crate) is_wanted: fn(Wants) -> bool,
}

impl Broker {
    fn numbered(&self, room: RoomRef<'_>) -> Option<(RoomId, u64)> {
        let mut rooms = self.rooms.iter();
        let found = rooms.find(|(name, known)| match room {
            RoomRef::Id(id) => known.id == id,
            RoomRef::Name(wanted) => *name == wanted,
        });
        found.map(|(_, room)| (room.id, room.head().0))
    }

    /// Tells everybody who is live in the room.
    pub(crate) fn signal(&mut self, room: RoomRef<'_>, content: SignalContent<'_>, dropped: u32) {
        let Some((room, _)) = self.numbered(room) else {
            return;
        };
        let push = SignalPush {
            room_id: room,
            dropped,
            signal: Some(content),
        };
        let mut frame = Vec::new();
        push.encode(&mut frame);
        self.pushes.push(Push {
            room,
            frame,
            is_wanted: |wants| wants.signals,
        });
    }
}

impl Connection {
    pub(crate) fn signal(&mut self, id: RequestId, signal: &Signal<'_>, broker: &mut Broker) {
        if broker.numbered(signal.room).is_none() {
            return ErrorFrame::new(Code::NOT_FOUND).encode(id, &mut self.out);
        }
        let content = SignalContent {
            sender: &self.user(),
            device: antiphon_protocol::Device(7),
            name: signal.name,
            key: signal.key,
            value: signal.value,
        };
        broker.signal(signal.room, content, 0);
    }

    pub(crate) fn cursor(&mut self, id: RequestId, cursor: &Cursor<'_>, broker: &mut Broker) {
        if self.refuses(id, broker) {
            return;
        }
        let Some((room, head)) = broker.numbered(cursor.room) else {
            return ErrorFrame::new(Code::NOT_FOUND).encode(id, &mut self.out);
        };
        if cursor.position.seq.0 > head {
            let mut refusal = ErrorFrame::new(Code::CONFLICT);
            refusal.hint = head;
            return refusal.encode(id, &mut self.out);
        }
        let (user, name) = (self.user(), cursor.name);
        let place = (room, user.clone(), name.to_owned());
        let position = broker.cursors.entry(place).or_default();
        if cursor.position.seq > position.seq {
            *position = cursor.position;
            let moved = CursorMoved {
                room_id: room,
                user: &user,
                name,
                position: *position,
                scope: cursor.scope,
            };
            let mut frame = Vec::new();
            moved.encode(&mut frame);
            broker.pushes.push(Push {
                room,
                frame,
                is_wanted: |wants| wants.cursors,
            });
        }
        let head = CursorPosition {
            seq: antiphon_protocol::Seq(head),
            count: Count(head),
        };
        let answer = CursorAnswer {
            position: *position,
            head,
        };
        let cursor = Some(answer);
        Ok_ { cursor }.encode(id, &mut self.out);
    }

    /// My cursors in a room, as SUBSCRIBED lists them.
    pub(crate) fn list_cursors(&self, room: RoomId, broker: &Broker) -> Vec<u8> {
        let (user, mut list) = (self.user(), Vec::new());
        for ((of, whose, name), position) in &broker.cursors {
            if *of == room && *whose == user {
                let entry = CursorEntry {
                    name,
                    position: *position,
                    scope: antiphon_protocol::CursorScope::PRIVATE,
                };
                entry.append(&mut list);
            }
        }
        list
    }

    pub(crate) fn metadata(&mut self, id: RequestId) {
        let node = MetadataNode {
            node: NodeId(1),
            address: "",
        };
        let leaders = [NodeId(1); 4];
        Metadata::encode(1, NodeId(1), &[node], &leaders, id, &mut self.out);
    }

    pub(crate) fn pong(&mut self, id: RequestId, nonce: u64, broker: &mut Broker) {
        let digest = self.subscriptions.iter().fold(0, |digest, (room, next)| {
            digest ^ position_digest(*room, next.previous())
        });
        let is_behind = |(room, next): (&RoomId, &antiphon_protocol::Seq)| {
            let mut rooms = broker.rooms.values();
            rooms.any(|known| known.id == *room && *next <= known.head())
        };
        let told = PongDigest {
            digest: digest ^ std::mem::take(&mut broker.miscounts),
            rooms: self.subscriptions.len() as u32,
            behind: self
                .subscriptions
                .iter()
                .filter(|one| is_behind(*one))
                .count() as u32,
            as_of_ms: 0,
        };
        let digest = (!std::mem::take(&mut broker.is_counting_for_another)).then_some(told);
        Pong { nonce, digest }.encode(id, &mut self.out);
    }
}
