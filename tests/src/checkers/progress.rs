//! I12: once the disturbances are over, everything is answered within the time that the head of the history names.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkers::view::{Attempt, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::{Actor, Client, Op, What, codes};

/// From when on progress is demanded, and how long it may take.
struct Demand {
    healed: EventNo,
    healed_at: u64,
    progress_ns: u64,
    /// When the history ends; without bound if it says that nothing is under way any more.
    until: u64,
}

impl Demand {
    fn of(view: &View<'_>) -> Option<Self> {
        let events = &view.history.events;
        let at = |what: &What| events.iter().rposition(|event| event.what == *what);
        let healed = at(&What::Healed)?;
        let is_settled = at(&What::Settled).is_some_and(|settled| settled > healed);
        let end = events.last().map_or(0, |event| event.at);
        Some(Self {
            healed: EventNo(healed),
            healed_at: events[healed].at,
            progress_ns: view.history.head.progress_ns,
            until: if is_settled { u64::MAX } else { end },
        })
    }

    /// Until when what began at `from` must be done.
    fn deadline(&self, from: u64) -> u64 {
        from.max(self.healed_at).saturating_add(self.progress_ns)
    }

    /// Whether what began at `from` and is not done is late.
    fn is_overdue(&self, from: u64) -> bool {
        self.until > self.deadline(from)
    }
}

/// The clients that their applications gave up.
fn closed(view: &View<'_>) -> BTreeSet<Actor> {
    let closed = view.events().map(|(_, event)| event);
    let closed = closed.filter(|event| event.what == What::Closed);
    closed.map(|event| event.by).collect()
}

/// Looks at all that was asked after healing, or had no answer then.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::I12);
    if let Some(demand) = Demand::of(view) {
        requests(view, &demand, &mut check);
        let closed = closed(view);
        messages(view, &demand, &closed, &mut check);
        clients(view, &demand, &closed, &mut check);
    }
    check
}

fn requests(view: &View<'_>, demand: &Demand, check: &mut Check) {
    for (event, happened) in view.events() {
        let Some(op) = asks(&happened.what) else {
            continue;
        };
        let Some(request) = view.requests.get(&op) else {
            continue;
        };
        if request
            .outcome
            .is_some_and(|outcome| outcome < demand.healed)
        {
            continue;
        }
        check.compare();
        let is_late = match request.outcome {
            Some(outcome) => view.event(outcome).at > demand.deadline(happened.at),
            None => demand.is_overdue(happened.at),
        };
        if is_late {
            let events: Vec<_> = [demand.healed, event]
                .into_iter()
                .chain(request.outcome)
                .collect();
            check.violated(Anomaly::Stuck { op }, &events);
        }
    }
}

fn asks(what: &What) -> Option<Op> {
    match *what {
        What::Connect { op, .. }
        | What::Publish { op, .. }
        | What::Subscribe { op, .. }
        | What::Fetch { op, .. }
        | What::Cursor { op, .. } => Some(op),
        _ => None,
    }
}

/// Whether an outcome of a publish says that it is still to be done.
fn is_open(outcome: &What) -> bool {
    match outcome {
        What::Unknown { .. } => true,
        What::Failed { code, .. } => codes::SEND_AGAIN.contains(code),
        _ => false,
    }
}

/// A message whose last try is unknown, or refused for now, is not done, though each of its requests has an end.
fn messages(view: &View<'_>, demand: &Demand, closed: &BTreeSet<Actor>, check: &mut Check) {
    let is_tried = |attempt: &&Attempt| {
        let outcome = attempt.outcome.unwrap_or(attempt.invoked);
        attempt.invoked > demand.healed || outcome > demand.healed
    };
    let tried = view.attempts.iter().filter_map(|(message, attempts)| {
        let first = attempts.iter().find(is_tried)?;
        Some((first.invoked, message, attempts))
    });
    let mut tried: Vec<_> = tried.collect();
    tried.sort_unstable_by_key(|(first, message, _)| (*first, *message));
    for (first, message, attempts) in tried {
        check.compare();
        let is_acked = attempts.iter().any(|attempt| {
            attempt
                .outcome
                .is_some_and(|at| matches!(view.event(at).what, What::Published { .. }))
        });
        let given_up = attempts
            .last()
            .and_then(|last| last.outcome)
            .filter(|at| is_open(&view.event(*at).what));
        let Some(given_up) = given_up.filter(|_| !is_acked) else {
            continue;
        };
        if closed.contains(&view.event(given_up).by) {
            continue;
        }
        if demand.is_overdue(view.event(first).at) {
            let (room, origin) = *message;
            let anomaly = Anomaly::NeverAnswered { room, origin };
            check.violated(anomaly, &[demand.healed, first, given_up]);
        }
    }
}

/// A client whose last try to connect was in vain, while there was time for another.
fn clients(view: &View<'_>, demand: &Demand, closed: &BTreeSet<Actor>, check: &mut Check) {
    let mut last: BTreeMap<Client, (Op, EventNo)> = BTreeMap::new();
    for (event, happened) in view.events() {
        if closed.contains(&happened.by) {
            continue;
        }
        if let (What::Connect { op, .. }, Some(client)) = (&happened.what, View::client(happened)) {
            last.insert(client, (*op, event));
        }
    }
    for (client, (op, event)) in last {
        check.compare();
        let outcome = view.requests.get(&op).and_then(|request| request.outcome);
        // Without any outcome it is a stuck request.
        let Some(outcome) = outcome else { continue };
        let is_connected = matches!(view.event(outcome).what, What::Connected { .. });
        if !is_connected && demand.is_overdue(view.event(event).at) {
            let anomaly = Anomaly::NeverConnected { client };
            check.violated(anomaly, &[demand.healed, event, outcome]);
        }
    }
}
