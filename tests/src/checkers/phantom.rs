//! I2: nothing is read that nobody published; bodies are what was published.

use crate::checkers::view::{Attempt, Set, Sighting, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::{What, Why, codes};

/// Compares every record that was read with the attempts to publish it.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::I2);
    // Everybody reads a wrong record; once is enough.
    let mut told = Set::default();
    // An ack tells nothing about what was stored.
    for sighting in view.sightings.iter().filter(|sighting| !sighting.by_ack) {
        check.compare();
        let message = (sighting.room, sighting.record.origin);
        if let Some((anomaly, other)) = wrong(view, sighting)
            && told.insert(message)
        {
            let events: Vec<_> = other.into_iter().chain([sighting.event]).collect();
            check.violated(anomaly, &events);
        }
    }
    for (event, happened) in view.events() {
        if let What::Broken {
            sub,
            seq,
            why: why @ Why::Sum,
        } = happened.what
        {
            check.violated(Anomaly::broken(sub, seq, why), &[event]);
        }
    }
    check
}

fn wrong(view: &View<'_>, sighting: &Sighting) -> Option<(Anomaly, Option<EventNo>)> {
    let (room, origin) = (sighting.room, sighting.record.origin);
    let Some(attempts) = view.attempts.get(&(room, origin)) else {
        return Some((Anomaly::NeverPublished { room, origin }, None));
    };
    let same = |attempt: &&Attempt| attempt.body == sighting.record.body;
    let Some(first) = attempts.iter().find(same) else {
        let other = attempts.first().map(|attempt| attempt.invoked);
        return Some((Anomaly::OtherBody { room, origin }, other));
    };
    if first.invoked > sighting.event {
        return Some((Anomaly::SeenBefore { room, origin }, Some(first.invoked)));
    }
    let may_be_stored = |attempt: &Attempt| {
        attempt.invoked < sighting.event && !attempt.outcome.is_some_and(|at| has_failed(view, at))
    };
    if attempts.iter().filter(same).any(may_be_stored) {
        return None;
    }
    Some((Anomaly::Refused { room, origin }, first.outcome))
}

/// A refusal that says "send again" does not say that nothing was stored.
fn has_failed(view: &View<'_>, outcome: EventNo) -> bool {
    match view.event(outcome).what {
        What::Failed { code, .. } => !codes::SEND_AGAIN.contains(&code),
        _ => false,
    }
}
