//! Signals: from one edge to all edges that want the room, past the log.
//!
//! Nothing is kept: a signal finds those who are there. A room takes so many a second; what is beyond is counted, and the number goes out with the
//! next signal, or when the second is over.

use alloc::vec::Vec;

use antiphon_protocol::limits::ROOM_SIGNALS_PER_SECOND_MAX;
use antiphon_protocol::{Code, RoomId, SignalContent, SignalPush};
use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::core::CoreId;
use crate::home::desk::{Asker, Turn};
use crate::home::partition::Partition;
use crate::lane::{Refused, SignalIn, SignalOut, ToEdge};

/// Length of the time in which a room takes so many signals, in ms.
const WINDOW_MS: u64 = 1_000;

/// How many signals each room took in this second.
#[derive(Debug)]
pub(super) struct SignalGate {
    rooms: HashMap<RoomId, Taken, FixedState>,
    window_end_ms: u64,
    /// Some room has something to tell.
    has_lost: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    count: u32,
    /// Not taken, and not told yet.
    lost: u32,
}

impl SignalGate {
    pub(super) fn new(seed: u64) -> SignalGate {
        SignalGate {
            rooms: HashMap::with_hasher(FixedState::with_seed(seed)),
            window_end_ms: 0,
            has_lost: false,
        }
    }

    /// Whether the room takes one more: how many were lost before it. The window is the current one.
    fn take(&mut self, room: RoomId) -> Option<u32> {
        let taken = self.rooms.entry(room).or_default();
        if taken.count >= ROOM_SIGNALS_PER_SECOND_MAX {
            taken.lost = taken.lost.saturating_add(1);
            self.has_lost = true;
            return None;
        }
        taken.count += 1;
        Some(core::mem::take(&mut taken.lost))
    }

    /// If the second is over: what each room lost in it, ascending.
    fn turn_over(&mut self, now_ms: u64) -> Vec<(RoomId, u32)> {
        if now_ms < self.window_end_ms {
            return Vec::new();
        }
        self.window_end_ms = now_ms + WINDOW_MS;
        let mut lost = Vec::new();
        if core::mem::take(&mut self.has_lost) {
            let of = |(room, taken): (&RoomId, &Taken)| (*room, taken.lost);
            lost.extend(self.rooms.iter().map(of).filter(|(_, lost)| *lost > 0));
            lost.sort_unstable();
        }
        self.rooms.clear();
        lost
    }
}

impl Partition {
    /// When lost signals want to be told.
    pub(crate) fn signals_deadline(&self) -> Option<u64> {
        self.signals.has_lost.then_some(self.signals.window_end_ms)
    }

    /// A client signals.
    pub(super) fn signal(&mut self, turn: &mut Turn<'_>, edge: CoreId, signal: &SignalIn) {
        let Some(room) = self.resolve_room(signal.namespace, &signal.room) else {
            let asker = Asker {
                edge,
                conn: signal.conn,
                request: signal.request,
            };
            return turn.desk.refuse(asker, Refused::Signal, Code::NOT_FOUND, 0);
        };
        self.tell_lost_signals(turn);
        let Some(lost) = self.signals.take(room) else {
            turn.desk.stats.signals_lost += 1;
            return;
        };
        if self.interest.edges(room).next().is_none() {
            return;
        }
        let out = SignalOut {
            room,
            frame: frame_of(room, signal),
            is_keyed: signal.key_len > 0,
            lost,
        };
        self.send_signal(turn, &out);
    }

    /// At the end of a second: tells each room's edges what it did not take.
    pub(super) fn tell_lost_signals(&mut self, turn: &mut Turn<'_>) {
        for (room, lost) in self.signals.turn_over(turn.now.mono_ms) {
            let out = SignalOut {
                room,
                frame: Bytes::new(),
                is_keyed: false,
                lost,
            };
            self.send_signal(turn, &out);
        }
    }

    /// Sends to each edge that wants the room, once.
    fn send_signal(&self, turn: &mut Turn<'_>, out: &SignalOut) {
        for edge in self.interest.edges(out.room) {
            turn.desk.stats.signals += 1;
            turn.desk.send(edge, ToEdge::Signal(out.clone()));
        }
    }
}

/// The frame that all subscribers share.
fn frame_of(room: RoomId, signal: &SignalIn) -> Bytes {
    let (name, rest) = signal.content.split_at(usize::from(signal.name_len));
    let (key, value) = rest.split_at(usize::from(signal.key_len));
    let mut frame = Vec::new();
    let content = SignalContent {
        sender: signal.sender.as_str(),
        device: signal.device,
        name: core::str::from_utf8(name)
            .expect("INV-HOME-45: an edge sends names as it decoded them"),
        key,
        value,
    };
    SignalPush {
        room_id: room,
        dropped: 0,
        signal: Some(content),
    }
    .encode(&mut frame);
    Bytes::from(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_takes_so_many_a_second_and_tells_what_it_did_not() {
        let (tea, jazz) = (RoomId(1), RoomId(2));
        let mut gate = SignalGate::new(0);
        assert_eq!(gate.turn_over(5_000), []);
        for _ in 0..ROOM_SIGNALS_PER_SECOND_MAX {
            assert_eq!(gate.take(tea), Some(0));
        }
        assert_eq!((gate.take(tea), gate.take(tea)), (None, None));
        assert_eq!(gate.take(jazz), Some(0), "another room has its own second");
        assert_eq!(gate.turn_over(5_999), []);
        assert_eq!(gate.turn_over(6_000), [(tea, 2)]);
        assert!(!gate.has_lost);
        assert_eq!(gate.take(tea), Some(0));
    }
}
