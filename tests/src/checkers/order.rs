//! I3: a room has one order: (room, seq) names one message and one link, over all observers and all time.

use std::collections::hash_map::Entry;

use crate::checkers::view::{Map, Sighting, View};
use crate::checkers::{Anomaly, Check, Invariant};
use crate::history::{Link, Room, Seq};

/// Compares every sighting with the first one of its place.
///
/// The body is left to I2: it is part of the link.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::I3);
    let mut places: Map<(Room, Seq), Sighting> = Map::default();
    for sighting in &view.sightings {
        check.compare();
        match places.entry((sighting.room, sighting.record.seq)) {
            Entry::Vacant(place) => {
                place.insert(*sighting);
            }
            Entry::Occupied(mut place) => {
                let first = *place.get();
                compare(&first, sighting, &mut check);
                if first.record.link == Link(0) {
                    place.get_mut().record.link = sighting.record.link;
                }
            }
        }
    }
    check
}

fn compare(first: &Sighting, second: &Sighting, check: &mut Check) {
    let (room, seq) = (first.room, first.record.seq);
    let events = [first.event, second.event];
    let links = [first.record.link, second.record.link];
    if first.record.origin != second.record.origin {
        check.violated(Anomaly::TwoRecords { room, seq }, &events);
    } else if links[0] != links[1] && !links.contains(&Link(0)) {
        check.violated(Anomaly::TwoLinks { room, seq }, &events);
    }
}
