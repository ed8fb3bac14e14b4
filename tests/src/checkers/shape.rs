//! Shape: the history itself is sound, so that a verdict about the broker is not one about its writer.

use crate::checkers::view::{Set, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::{Actor, Event, Op, What};

/// Checks every event by itself and against its request.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::Shape);
    let mut answered: Set<Op> = Set::default();
    let mut before: Option<(EventNo, u64)> = None;
    for (event, happened) in view.events() {
        check.compare();
        if let Some((earlier, _)) = before.filter(|before| before.1 > happened.at) {
            check.violated(Anomaly::TimeFell, &[earlier, event]);
        }
        before = Some((event, happened.at));
        if !is_by_the_right_one(happened) {
            check.violated(Anomaly::WrongActor, &[event]);
        }
        requests(view, event, happened, &mut check);
        outcomes(view, event, happened, &mut answered, &mut check);
    }
    check
}

fn is_by_the_right_one(happened: &Event) -> bool {
    match happened.what {
        What::Started { .. }
        | What::Stopped { .. }
        | What::Written { .. }
        | What::Synced { .. }
        | What::AckSent { .. }
        | What::FinalRead { .. } => matches!(happened.by, Actor::Node(_)),
        What::FaultStart(_) | What::FaultStop(_) | What::Healed | What::Settled => {
            happened.by == Actor::World
        }
        _ => matches!(happened.by, Actor::Client(_)),
    }
}

fn requests(view: &View<'_>, event: EventNo, happened: &Event, check: &mut Check) {
    if let What::Connect { op, .. }
    | What::Publish { op, .. }
    | What::Subscribe { op, .. }
    | What::Fetch { op, .. }
    | What::Signal { op, .. }
    | What::Cursor { op, .. } = happened.what
        && let Some(request) = view.requests.get(&op)
        && request.invoked != event
    {
        check.violated(Anomaly::OpTwice { op }, &[request.invoked, event]);
    }
}

fn outcomes(
    view: &View<'_>,
    event: EventNo,
    happened: &Event,
    answered: &mut Set<Op>,
    check: &mut Check,
) {
    let Some((op, fits)) = belongs(&happened.what) else {
        return;
    };
    let request = view.requests.get(&op);
    let sound = request.is_some_and(|request| {
        request.invoked < event
            && request.by == happened.by
            && fits(&view.event(request.invoked).what)
    });
    if !sound {
        check.violated(Anomaly::NoRequest { op }, &[event]);
        return;
    }
    let is_outcome = !matches!(
        happened.what,
        What::Subscribed { .. }
            | What::Ended { .. }
            | What::Deliver { .. }
            | What::Gap { .. }
            | What::Broken { .. }
            | What::Expect { .. }
            | What::Signalled { .. }
            | What::CursorMoved { .. }
    );
    if is_outcome && !answered.insert(op) {
        let first = request.and_then(|request| request.outcome);
        let events: Vec<_> = first.into_iter().chain([event]).collect();
        check.violated(Anomaly::OutcomeTwice { op }, &events);
    }
}

/// Whether this is the request.
type Fits = fn(&What) -> bool;

/// The request that an event belongs to, and what that has to be.
fn belongs(what: &What) -> Option<(Op, Fits)> {
    let (op, fits): (Op, Fits) = match *what {
        What::Connected { op, .. } => (op, |asked| matches!(asked, What::Connect { .. })),
        What::Expect { op, .. } => (op, |asked| matches!(asked, What::Publish { .. })),
        What::CursorAt { op, .. } => (op, |asked| matches!(asked, What::Cursor { .. })),
        What::Published { op, .. } => (op, |asked| matches!(asked, What::Publish { .. })),
        What::Fetched { op, .. } => (op, |asked| matches!(asked, What::Fetch { .. })),
        What::Failed { op, .. } | What::Unknown { op } => (op, |_| true),
        What::Subscribed { op, .. }
        | What::Ended { sub: op }
        | What::Deliver { sub: op, .. }
        | What::Gap { sub: op, .. }
        | What::Broken { sub: op, .. }
        | What::Signalled { sub: op, .. }
        | What::CursorMoved { sub: op, .. } => {
            (op, |asked| matches!(asked, What::Subscribe { .. }))
        }
        _ => return None,
    };
    Some((op, fits))
}
