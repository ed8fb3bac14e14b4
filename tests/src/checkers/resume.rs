//! I8: a resume from k goes on with k + 1, with the link of k, or says GAP.

use crate::checkers::view::{Map, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::{Link, Op, Room, Seq, Start, What, Why, codes};

/// A resume of which nothing came yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    after: Seq,
    event: EventNo,
}

/// Runs once through the events; links are what was seen up to then.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::I8);
    let mut links: Map<(Room, Seq), (Link, EventNo)> = Map::default();
    let mut waiting: Map<Op, Waiting> = Map::default();
    let mut seen = view.sightings.iter().peekable();
    for (event, happened) in view.events() {
        match happened.what {
            What::Subscribed { op, next, link, .. } => {
                let told = (event, next, link);
                if let Some(resumed) = resumed(view, op, told, &links, &mut check) {
                    waiting.insert(op, resumed);
                }
            }
            What::Failed {
                op,
                code: codes::DIVERGED,
                ..
            } => diverged(view, op, event, &links, &mut check),
            What::Deliver { sub, record, .. } => {
                first(&mut waiting, sub, (record.seq, event), &mut check);
            }
            What::Gap { sub, gap, .. } => first(&mut waiting, sub, (gap.from, event), &mut check),
            What::Broken {
                sub,
                seq,
                why: why @ Why::Link,
            } => check.violated(Anomaly::broken(sub, seq, why), &[event]),
            _ => {}
        }
        while let Some(sighting) = seen.next_if(|sighting| sighting.event == event) {
            if sighting.record.link != Link(0) {
                links
                    .entry((sighting.room, sighting.record.seq))
                    .or_insert((sighting.record.link, event));
            }
        }
    }
    check
}

fn resumed(
    view: &View<'_>,
    sub: Op,
    (event, next, told): (EventNo, Seq, Link),
    links: &Map<(Room, Seq), (Link, EventNo)>,
    check: &mut Check,
) -> Option<Waiting> {
    let (asked, &What::Subscribe { room, start, .. }) = view.asked(sub)? else {
        return None;
    };
    let Start::After { seq: after, link } = start else {
        return None;
    };
    check.compare();
    if next != after.next() {
        let anomaly = Anomaly::ResumedElsewhere { sub, after, next };
        check.violated(anomaly, &[asked, event]);
        return None;
    }
    let (known, by) = match links.get(&(room, after)) {
        _ if link != Link(0) => (link, asked),
        Some(known) => *known,
        None => (told, event),
    };
    if told != Link(0) && told != known {
        check.violated(Anomaly::OtherLink { sub, after }, &[by, asked, event]);
    }
    Some(Waiting { after, event })
}

fn first(waiting: &mut Map<Op, Waiting>, sub: Op, (seq, event): (Seq, EventNo), check: &mut Check) {
    let Some(resumed) = waiting.remove(&sub) else {
        return;
    };
    check.compare();
    let after = resumed.after;
    if seq != after.next() {
        let anomaly = Anomaly::FirstElsewhere {
            sub,
            after,
            first: seq,
        };
        check.violated(anomaly, &[resumed.event, event]);
    }
}

/// A position that somebody saw is one of this history, whoever asks.
fn diverged(
    view: &View<'_>,
    sub: Op,
    event: EventNo,
    links: &Map<(Room, Seq), (Link, EventNo)>,
    check: &mut Check,
) {
    let Some((asked, &What::Subscribe { room, start, .. })) = view.asked(sub) else {
        return;
    };
    let Start::After { seq: after, link } = start else {
        return;
    };
    check.compare();
    let Some((known, by)) = links.get(&(room, after)) else {
        return;
    };
    if link == Link(0) || link == *known {
        check.violated(Anomaly::Diverged { sub, after }, &[*by, asked, event]);
    }
}
