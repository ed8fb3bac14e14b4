//! I6: in a room, seq rises with producer_seq.

use crate::checkers::view::{Map, Message, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::Seq;

/// Sorts what was seen by message, and compares neighbours of one producer.
///
/// Of a message that stands at two places the lowest counts: that it has two is I5's.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::I6);
    let mut places: Map<Message, (Seq, EventNo)> = Map::default();
    for sighting in &view.sightings {
        let seen = (sighting.record.seq, sighting.event);
        let place = places
            .entry((sighting.room, sighting.record.origin))
            .or_insert(seen);
        *place = (*place).min(seen);
    }
    // Sorted by room, user, producer, producer_seq: neighbours are neighbours in time.
    let mut places: Vec<(Message, (Seq, EventNo))> = places.into_iter().collect();
    places.sort_unstable();
    for ((earlier, before), (later, after)) in places.iter().zip(places.iter().skip(1)) {
        let producer = |message: &Message| (message.0, message.1.user, message.1.producer);
        if producer(earlier) != producer(later) {
            continue;
        }
        check.compare();
        if after.0 < before.0 {
            let anomaly = Anomaly::OvertakenBy {
                room: earlier.0,
                earlier: earlier.1,
                later: later.1,
            };
            check.violated(anomaly, &[before.1, after.1]);
        }
    }
    check
}
