//! `fanout`: one publisher, one room, many subscribers.

use std::collections::BTreeMap;

use super::{Findings, options, pace};
use crate::drive::drive;
use crate::error::BenchError;
use crate::pace::Pace;
use crate::result::Better;
use crate::stage::Stage;
use crate::stamp::Stream;
use crate::target::Target;
use crate::traffic::{Complete, Source, Traffic};
use crate::verify::Verifier;

/// Options of `fanout`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fanout {
    /// Connections that subscribe to the room. The publisher is one more.
    pub subscribers: u32,
    /// When the next message is published. In flight: not yet delivered to all subscribers.
    pub pace: Pace,
}

impl Fanout {
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        options([
            ("subscribers", self.subscribers.to_string()),
            pace(self.pace),
        ])
    }

    pub(super) fn measure<T: Target>(&self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        let rooms = stage.rooms(1)?;
        let room = &rooms[0];
        // The publisher is the last one, so that subscriber n is connection n.
        let mut generator = stage.connect(self.subscribers + 1)?;
        let subscribers = 0..self.subscribers;
        stage.subscribe(&mut generator, subscribers.clone().map(|n| (n, room)))?;
        let mut verifier = Verifier::default();
        subscribers.for_each(|connection| verifier.expect(connection, Stream(0)));
        let source = Source {
            connection: self.subscribers,
            room: room.clone(),
            subscribers: self.subscribers,
        };
        let mut traffic = Traffic::new(
            vec![source],
            verifier,
            Complete::Delivered,
            self.pace,
            stage.options.body_bytes,
        );
        let phases = stage.options.phases;
        let used = drive(
            &mut generator,
            &mut traffic,
            phases,
            stage.pids(),
            stage.progress,
        )?;
        Ok(delivered(traffic, used, self.pace))
    }
}

/// Findings of a traffic that was all about deliveries.
pub(super) fn delivered(traffic: Traffic, used: crate::drive::Used, pace: Pace) -> Findings {
    let (verdict, delivery, _) = traffic.finish();
    let mut findings = Findings::new(used, verdict);
    findings.meter("delivery", "deliveries", delivery);
    if let Pace::PerSecond(rate) = pace {
        findings.metric("offered_per_s", rate, "1/s", Better::Neither);
    }
    findings
}
