//! I7: what was acked before a question is in the answer; what is published after an ack stands behind it.
//!
//! With seqs told by the broker this is linearizability of a log, in one pass with the highest ack so far per room.

use std::collections::BTreeMap;

use crate::checkers::view::{Map, Message, Sighting, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::{Op, Room, Seq, What, codes};

/// The highest ack so far, and its event.
type Acked = (Seq, EventNo);

#[derive(Default)]
struct Marks {
    /// Now.
    rooms: BTreeMap<Room, Acked>,
    /// When a subscribe or fetch was asked.
    questions: Map<Op, Acked>,
    /// When a message was published first.
    messages: Map<Message, Acked>,
}

/// Runs once through the events.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::I7);
    let mut marks = Marks::default();
    let mut seen = view.sightings.iter().peekable();
    for (event, happened) in view.events() {
        marks.asked(event, &happened.what, view);
        marks.answered(event, &happened.what, &mut check);
        while let Some(sighting) = seen.next_if(|sighting| sighting.event == event) {
            marks.placed(sighting, &mut check);
            if sighting.by_ack {
                marks.raise(sighting.room, (sighting.record.seq, event));
            }
        }
    }
    check
}

impl Marks {
    fn raise(&mut self, room: Room, acked: Acked) {
        let mark = self.rooms.entry(room).or_insert(acked);
        if acked.0 > mark.0 {
            *mark = acked;
        }
    }

    fn asked(&mut self, event: EventNo, what: &What, view: &View<'_>) {
        match what {
            What::Subscribe { op, room, .. } | What::Fetch { op, room, .. } => {
                if let Some(mark) = self.rooms.get(room) {
                    self.questions.insert(*op, *mark);
                }
            }
            What::Publish { room, origin, .. } => {
                let attempts = view.attempts.get(&(*room, *origin));
                let is_first = attempts
                    .and_then(|attempts| attempts.first())
                    .is_some_and(|first| first.invoked == event);
                if let Some(mark) = self.rooms.get(room).filter(|_| is_first) {
                    self.messages.insert((*room, *origin), *mark);
                }
            }
            _ => {}
        }
    }

    fn answered(&mut self, event: EventNo, what: &What, check: &mut Check) {
        let (op, head) = match *what {
            What::Subscribed { op, head, .. } | What::Fetched { op, head, .. } => (op, Some(head)),
            What::Failed {
                op,
                code: codes::NOT_FOUND,
                ..
            } => (op, None),
            _ => return,
        };
        // Removed: the second SUBSCRIBED of a room that came into being tells head 0.
        let Some((acked, acked_by)) = self.questions.remove(&op) else {
            return;
        };
        check.compare();
        let anomaly = match head {
            Some(head) if head >= acked => return,
            Some(head) => Anomaly::StaleHead { op, head, acked },
            None => Anomaly::StaleNotFound { op, acked },
        };
        check.violated(anomaly, &[acked_by, event]);
    }

    fn placed(&mut self, sighting: &Sighting, check: &mut Check) {
        let (room, origin) = (sighting.room, sighting.record.origin);
        let seq = sighting.record.seq;
        let Some((acked, acked_by)) = self.messages.get(&(room, origin)).copied() else {
            return;
        };
        check.compare();
        if seq <= acked {
            // Told once.
            self.messages.remove(&(room, origin));
            let anomaly = Anomaly::BelowAcked {
                room,
                origin,
                seq,
                acked,
            };
            check.violated(anomaly, &[acked_by, sighting.event]);
        }
    }
}
