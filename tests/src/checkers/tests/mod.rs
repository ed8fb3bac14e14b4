//! Each checker proves itself: silent on good histories, and exact on a good one with one anomaly planted.

mod edit;
mod good;
mod plants;
mod plants_beside;
mod plants_order;
mod plants_streams;
mod plants_world;
mod scene;

use crate::checkers::{Anomaly, check_all};
use crate::history::{Event, History};

/// An anomaly, and how it is planted into [`good::scripted`].
struct Plant {
    name: &'static str,
    plant: fn(&mut Vec<Event>),
    /// Everything that all checkers together are to say, in the order of the report.
    verdict: Vec<Anomaly>,
    /// The kinds of the events that prove the first of it.
    evidence: &'static [&'static str],
}

/// Plants each and demands the exact verdict, by the right checker and by no other.
fn prove(plants: Vec<Plant>) {
    for plant in plants {
        let mut history: History = good::scripted();
        (plant.plant)(&mut history.events);
        let report = check_all(&history);
        let found: Vec<_> = report.violations().map(|one| one.anomaly.clone()).collect();
        assert_eq!(found, plant.verdict, "{}\n{report}", plant.name);
        let first = report.violations().next();
        let evidence: Vec<_> = first
            .iter()
            .flat_map(|violation| &violation.events)
            .map(|event| edit::kind(&history.events[event.0].what))
            .collect();
        assert_eq!(evidence, plant.evidence, "{}\n{report}", plant.name);
    }
}
